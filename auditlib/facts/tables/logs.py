"""What Traefik wrote: its own log by kind of event, and its access log in figures."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, octets, several, table, text

# Kinds of events, by what the lines say. The order is that of importance to the reader, not of recognition.
KINDS = {
    "network_missing": "réseau désigné absent du conteneur",
    "network_fallback": "repli sur un autre réseau",
    "address_missing": "conteneur sans adresse",
    "port_missing": "port inconnu",
    "field_unknown": "option inconnue",
    "container_skipped": "conteneur ignoré",
    "label_invalid": "étiquette mal formée",
    "name_duplicate": "nom déclaré plusieurs fois",
    "service_ambiguous": "plusieurs services, aucun nommé",
    "reference_missing": "middleware ou service absent",
    "middleware_invalid": "middleware mal configuré",
    "entrypoint_missing": "point d’entrée absent",
    "rule_invalid": "règle mal formée",
    "resolver_missing": "résolveur ACME absent",
    "resolver_skipped": "résolveur ACME écarté",
    "acme_obtain": "certificat non obtenu",
    "acme_renew": "certificat non renouvelé",
    "docker_version": "version de l’API Docker refusée",
    "provider_failed": "fournisseur injoignable",
    "configuration_failed": "fournisseur arrêté ou figé",
    "file_duplicate": "nom déclaré dans deux fichiers",
    "health_failed": "contrôle de santé en échec",
    "tls_options": "options TLS en conflit ou absentes",
    "tls_default_duplicate": "réglage TLS par défaut déclaré deux fois",
    "priority_excessive": "priorité trop grande",
    "hostsni_without_tls": "HostSNI sans TLS",
    "plugins_disabled": "greffons désactivés",
    "static_invalid": "configuration statique refusée",
    "upstream_tls": "TLS refusé par le serveur",
    "constraint_invalid": "contrainte mal formée",
    "server_invalid": "adresse de serveur mal formée",
    "gateway_error": "serveur sans réponse",
    "acme_renewing": "renouvellement demandé",
    "acme_check": "échéances des certificats vérifiées",
    "update_available": "version plus récente",
    "started": "démarrage",
    "stopping": "arrêt",
    "crash": "arrêt brutal",
    "container_gone": "conteneur disparu entre-temps",
    "advice": "conseil de Traefik",
    "other": "autre",
}

LEVELS = {
    "trace": "trace",
    "debug": "débogage",
    "info": "information",
    "warning": "avertissement",
    "error": "erreur",
    "fatal": "fatale",
    "panic": "panique",
}

# Why an ACME authority gave no certificate, or a provider nothing.
CAUSES = {
    "rate_limited": "limite de l’autorité atteinte",
    "dns": "nom sans adresse DNS",
    "caa": "interdit par CAA",
    "challenge": "défi mal servi",
    "unreachable": "serveur injoignable depuis l’autorité",
    "authority": "autorité injoignable",
    "credentials": "accès au fournisseur DNS refusé ou incomplet",
    "account": "compte refusé",
    "name": "nom refusé par l’autorité",
    "permission": "accès refusé",
    "connection": "connexion impossible",
    "other": "autre",
}

SUBJECTS = {
    "container": "conteneur",
    "router": "routeur",
    "service": "service",
    "middleware": "middleware",
    "domain": "domaine",
    "resolver": "résolveur ACME",
    "file": "fichier",
    "entrypoint": "point d’entrée",
    "provider": "fournisseur",
}


@table(
    "logs",
    "Journaux lus",
    "Les journaux de Traefik, et depuis quand ils ont été lus : seule leur fin l’est s’ils sont longs.",
    key=("log",),
    source="logs",
)
class Log(Row):
    log: str = text("Journal", words={"traefik": "journal de Traefik", "access": "journal d’accès"})
    container: str | None = text("Conteneur")
    origin: str | None = text("Origine", words={"file": "fichier", "engine": "moteur Docker"})
    location: str | None = text("Emplacement", "Chemin dans le conteneur ; inconnu pour la sortie du conteneur.")
    format: str | None = text("Format", "Celui de la plupart des lignes.")
    entries: int | None = integer("Entrées", "Celles qui ont été lues et comprises.")
    unparsed: int | None = integer("Lignes non comprises")
    probes: int | None = integer(
        "Sondes de l’audit", "Requêtes de l’audit lui-même, laissées de côté ; celles qu’on reconnaît."
    )
    size: int | None = octets("Taille")
    complete: bool | None = flag("Entier", "Faux si le début a été laissé de côté.")
    first: dt.datetime | None = instant("Première entrée lue")
    last: dt.datetime | None = instant("Dernière entrée")


@table(
    "log_events",
    "Événements du journal de Traefik",
    "Ce que Traefik a écrit, groupé par sorte, sujet et cause.",
    key=("kind", "subject_kind", "subject", "named", "cause"),
    source="logs",
)
class LogEvent(Row):
    kind: str = text("Sorte", words=KINDS)
    subject_kind: str | None = text("Nature du sujet", words=SUBJECTS)
    subject: str | None = text("Sujet")
    named: str | None = text(
        "Nommé", "Ce que le message nomme : réseau, référence, version… ; pour « autre », le message."
    )
    cause: str | None = text("Cause", "D’un échec d’ACME ou d’un fournisseur.", words=CAUSES)
    level: str | None = text("Niveau", "Le plus grave du groupe.", words=LEVELS)
    count: int | None = integer("Nombre")
    first: dt.datetime | None = instant("Premier")
    last: dt.datetime | None = instant("Dernier")
    provider: str | None = text("Fournisseur")
    router: str | None = text("Routeur")
    containers: tuple[str, ...] | None = several("Conteneurs")
    domains: tuple[str, ...] | None = several("Domaines")
    file: str | None = text("Fichier")
    line: int | None = integer("Ligne", "Du fichier.")
    example: str | None = text("Exemple", "Le dernier message du groupe, sans secret.")


@table(
    "access_stats",
    "Requêtes par routeur",
    "Le journal d’accès, par routeur et service.",
    key=("router", "service"),
    source="logs",
)
class AccessStat(Row):
    router: str | None = text("Routeur", "Inconnu si le format du journal ne le dit pas.", missing="non dit")
    service: str | None = text("Service", "Inconnu si le format ne le dit pas, ou si un middleware a répondu.")
    requests: int | None = integer("Requêtes")
    status_1xx: int | None = integer("1xx")
    status_2xx: int | None = integer("2xx")
    status_3xx: int | None = integer("3xx")
    status_4xx: int | None = integer("4xx")
    status_5xx: int | None = integer("5xx")
    traefik_5xx: int | None = integer("5xx de Traefik", "Aucun serveur n’a répondu : 502, 503, 504, ou 500 de TLS.")
    application_5xx: int | None = integer("5xx de l’application")
    refused: int | None = integer("Refus", "4xx donnés avant tout serveur : authentification, filtre, débit, 421.")
    p50_ms: int | None = integer("Médiane (ms)")
    p95_ms: int | None = integer("95e centile (ms)")
    max_ms: int | None = integer("Maximum (ms)")
    first: dt.datetime | None = instant("Première")
    last: dt.datetime | None = instant("Dernière")


@table(
    "access_unrouted",
    "Requêtes sans routeur",
    "Les requêtes qu’aucun routeur n’a prises, par nom demandé ; les plus fréquents.",
    key=("host",),
    source="logs",
)
class UnroutedHost(Row):
    host: str | None = text("Nom demandé", "Inconnu si le format du journal ne le dit pas.", missing="non dit")
    requests: int | None = integer("Requêtes")
    first: dt.datetime | None = instant("Première")
    last: dt.datetime | None = instant("Dernière")
