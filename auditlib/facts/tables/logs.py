"""What Traefik wrote: its own log by kind of event, and its access log in figures."""

from auditlib.facts.table import Table, flag, instant, integer, several, size, text

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

LOGS = Table(
    "logs",
    "Journaux lus",
    "Les journaux de Traefik, et depuis quand ils ont été lus : seule leur fin l’est s’ils sont longs.",
    ("log",),
    (
        text("log", "Journal", words={"traefik": "journal de Traefik", "access": "journal d’accès"}),
        text("container", "Conteneur"),
        text("origin", "Origine", words={"file": "fichier", "engine": "moteur Docker"}),
        text("location", "Emplacement", "Chemin dans le conteneur ; inconnu pour la sortie du conteneur."),
        text("format", "Format", "Celui de la plupart des lignes."),
        integer("entries", "Entrées", "Celles qui ont été lues et comprises."),
        integer("unparsed", "Lignes non comprises"),
        integer(
            "probes", "Sondes de l’audit", "Requêtes de l’audit lui-même, laissées de côté ; celles qu’on reconnaît."
        ),
        size("size", "Taille"),
        flag("complete", "Entier", "Faux si le début a été laissé de côté."),
        instant("first", "Première entrée lue"),
        instant("last", "Dernière entrée"),
    ),
    source="logs",
)

LOG_EVENTS = Table(
    "log_events",
    "Événements du journal de Traefik",
    "Ce que Traefik a écrit, groupé par sorte, sujet et cause.",
    ("kind", "subject_kind", "subject", "named", "cause"),
    (
        text("kind", "Sorte", words=KINDS),
        text("subject_kind", "Nature du sujet", words=SUBJECTS),
        text("subject", "Sujet"),
        text("named", "Nommé", "Ce que le message nomme : réseau, référence, version… ; pour « autre », le message."),
        text("cause", "Cause", "D’un échec d’ACME ou d’un fournisseur.", words=CAUSES),
        text("level", "Niveau", "Le plus grave du groupe.", words=LEVELS),
        integer("count", "Nombre"),
        instant("first", "Premier"),
        instant("last", "Dernier"),
        text("provider", "Fournisseur"),
        text("router", "Routeur"),
        several("containers", "Conteneurs"),
        several("domains", "Domaines"),
        text("file", "Fichier"),
        integer("line", "Ligne", "Du fichier."),
        text("example", "Exemple", "Le dernier message du groupe, sans secret."),
    ),
    source="logs",
)

ACCESS_STATS = Table(
    "access_stats",
    "Requêtes par routeur",
    "Le journal d’accès, par routeur et service.",
    ("router", "service"),
    (
        text("router", "Routeur", "Inconnu si le format du journal ne le dit pas.", missing="non dit"),
        text("service", "Service", "Inconnu si le format ne le dit pas, ou si un middleware a répondu."),
        integer("requests", "Requêtes"),
        integer("status_1xx", "1xx"),
        integer("status_2xx", "2xx"),
        integer("status_3xx", "3xx"),
        integer("status_4xx", "4xx"),
        integer("status_5xx", "5xx"),
        integer("traefik_5xx", "5xx de Traefik", "Aucun serveur n’a répondu : 502, 503, 504, ou 500 de TLS."),
        integer("application_5xx", "5xx de l’application"),
        integer("refused", "Refus", "4xx donnés avant tout serveur : authentification, filtre, débit, 421."),
        integer("p50_ms", "Médiane (ms)"),
        integer("p95_ms", "95e centile (ms)"),
        integer("max_ms", "Maximum (ms)"),
        instant("first", "Première"),
        instant("last", "Dernière"),
    ),
    source="logs",
)

ACCESS_UNROUTED = Table(
    "access_unrouted",
    "Requêtes sans routeur",
    "Les requêtes qu’aucun routeur n’a prises, par nom demandé ; les plus fréquents.",
    ("host",),
    (
        text("host", "Nom demandé", "Inconnu si le format du journal ne le dit pas.", missing="non dit"),
        integer("requests", "Requêtes"),
        instant("first", "Première"),
        instant("last", "Dernière"),
    ),
    source="logs",
)

TABLES = (LOGS, LOG_EVENTS, ACCESS_STATS, ACCESS_UNROUTED)
