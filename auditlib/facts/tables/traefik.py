"""What Traefik says, and what it was told: its options, and the files of its file provider."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, several, table, text

LOADED = {"enabled": "actif", "warning": "avertissement", "disabled": "désactivé"}
FILE_STATES = {"read": "lu", "broken": "cassé", "templated": "gabarit non évalué", "unreadable": "illisible"}


@table(
    "traefik_static",
    "Configuration statique de Traefik",
    "Les options de Traefik, par origine. Seule la première origine présente compte : fichier, options, environnement.",
    key=("container", "origin", "key"),
    source="traefik_static",
)
class StaticOption(Row):
    container: str | None = text("Conteneur")
    origin: str = text("Origine", "file, flags ou environment.")
    location: str | None = text("Emplacement", "Chemin du fichier ; inconnu pour les autres origines.")
    key: str = text("Option")
    value: str | None = text("Valeur", "Inconnue si elle peut être un secret.")
    effective: bool | None = flag("En vigueur")


@table("traefik", "Traefik", "Le Traefik interrogé, une ligne.", key=("url",), source="traefik_api")
class Traefik(Row):
    url: str = text("API")
    container: str | None = text("Conteneur")
    version: str | None = text("Version")
    started: dt.datetime | None = instant("Démarré")
    providers: tuple[str, ...] | None = several("Fournisseurs")


@table(
    "traefik_entrypoints",
    "Points d’entrée",
    "Les points d’entrée de Traefik.",
    key=("entrypoint",),
    source="traefik_api",
)
class TraefikEntrypoint(Row):
    entrypoint: str = text("Point d’entrée")
    address: str | None = text("Adresse")
    protocol: str | None = text("Protocole")
    port: int | None = integer("Port", "Dans l’espace réseau de Traefik.")
    default: bool | None = flag("Par défaut", "Reçoit les routeurs qui ne nomment aucun point d’entrée.")
    tls: bool | None = flag("TLS")
    redirect_to: str | None = text("Redirige vers")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    sanitizes_path: bool | None = flag("Nettoie les chemins", "http.sanitizePath ; inconnu : ce que fait la version.")
    refused_characters: tuple[str, ...] | None = several(
        "Caractères refusés", "Encodés ; inconnu : ce que fait la version."
    )
    encodes_semicolons: bool | None = flag("Encode les points-virgules", "http.encodeQuerySemicolons.")
    trusted: tuple[str, ...] | None = several(
        "Relais de confiance", "Réseaux dont les en-têtes X-Forwarded sont gardés."
    )
    underscores: str | None = text(
        "En-têtes à tiret bas", "http.underscoreHeadersStrategy : keep, delete ou reject ; inconnu : gardés."
    )
    aliases: str | None = text(
        "En-têtes ambigus",
        "http.aliasHeadersStrategy, de même ; leur nom a autre chose que lettres, chiffres et tirets.",
    )


@table(
    "traefik_routers",
    "Routeurs",
    "Les routeurs que Traefik a chargés.",
    key=("protocol", "router"),
    source="traefik_api",
)
class TraefikRouter(Row):
    router: str = text("Routeur")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    rule: str | None = text("Règle")
    rule_syntax: str | None = text("Syntaxe")
    priority: int | None = integer("Priorité")
    entrypoints: tuple[str, ...] | None = several("Points d’entrée", "Ceux qui sont réellement en usage.")
    tls: bool | None = flag("TLS")
    cert_resolver: str | None = text("Résolveur ACME")
    tls_options: str | None = text("Options TLS")
    parents: tuple[str, ...] | None = several(
        "Routeurs parents", "Par lesquels il est atteint ; aucun : par ses points d’entrée."
    )
    service: str | None = text("Service")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    status: str | None = text("État", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs")


@table(
    "traefik_services",
    "Services Traefik",
    "Les services que Traefik a chargés.",
    key=("protocol", "service"),
    source="traefik_api",
)
class TraefikService(Row):
    service: str = text("Service")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole")
    type: str | None = text("Type")
    health_check: bool | None = flag("Contrôle de santé")
    children: tuple[str, ...] | None = several(
        "Services composés", "Les services d’un service pondéré, miroir ou de secours."
    )
    used_by: tuple[str, ...] | None = several("Utilisé par")
    status: str | None = text("État", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs")


@table(
    "traefik_servers",
    "Serveurs",
    "Les serveurs vers lesquels Traefik envoie les requêtes.",
    key=("protocol", "service", "url"),
    source="traefik_api",
)
class TraefikServer(Row):
    service: str = text("Service")
    protocol: str = text("Protocole")
    url: str = text("Adresse")
    container: str | None = text("Conteneur", "Celui qui porte cette adresse ; inconnu pour un serveur de la machine.")
    network: str | None = text("Réseau", "Le réseau Docker de cette adresse.")
    status: str | None = text(
        "État", "UP ou DOWN ; inconnu sans contrôle de santé, car Traefik répond alors toujours UP."
    )


@table(
    "traefik_middlewares",
    "Middlewares",
    "Les middlewares que Traefik a chargés.",
    key=("protocol", "middleware"),
    source="traefik_api",
)
class TraefikMiddleware(Row):
    middleware: str = text("Middleware")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole")
    type: str | None = text("Type")
    chain: tuple[str, ...] | None = several("Chaîne", "Les middlewares d’une chaîne.")
    used_by: tuple[str, ...] | None = several("Utilisé par")
    status: str | None = text("État", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs")


@table(
    "traefik_files",
    "Fichiers de configuration dynamique",
    "Les fichiers que lit le fournisseur « file » de Traefik, dans l’ordre où il les lit.",
    key=("container", "path"),
    source="traefik_files",
)
class TraefikFile(Row):
    container: str = text("Conteneur", "Celui de Traefik.")
    path: str = text("Fichier", "Dans le conteneur.")
    location: str | None = text("Emplacement", "Sur la machine ; inconnu s’il n’est pas monté.")
    position: int | None = integer("Ordre")
    modified: dt.datetime | None = instant("Modifié")
    status: str | None = text("État", words=FILE_STATES)
    line: int | None = integer("Ligne", "Celle de la faute ; inconnue si l’analyse ne la donne pas.")
    error: str | None = text("Faute", "De Traefik, en anglais, ou de lecture.")


@table(
    "traefik_file_routers",
    "Routeurs déclarés par fichier",
    "Les routeurs que les fichiers déclarent, que Traefik les ait chargés ou non.",
    key=("path", "protocol", "router"),
    source="traefik_files",
)
class FileRouter(Row):
    path: str = text("Fichier")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    router: str = text("Routeur", "Sans fournisseur.")
    rule: str | None = text("Règle")
    rule_syntax: str | None = text("Syntaxe")
    priority: int | None = integer("Priorité", "Inconnue si elle n’est pas donnée.")
    entrypoints: tuple[str, ...] | None = several("Points d’entrée")
    tls: bool | None = flag("TLS")
    cert_resolver: str | None = text("Résolveur ACME")
    tls_options: str | None = text("Options TLS")
    service: str | None = text("Service")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    parents: tuple[str, ...] | None = several("Routeurs parents")
    observed: bool | None = flag("Observabilité", "Vrai s’il dit la sienne, ce qu’un routeur enfant ne peut pas.")
    effective: bool | None = flag(
        "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier."
    )


@table(
    "traefik_file_services",
    "Services déclarés par fichier",
    "Les services que les fichiers déclarent.",
    key=("path", "protocol", "service"),
    source="traefik_files",
)
class FileService(Row):
    path: str = text("Fichier")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    service: str = text("Service", "Sans fournisseur.")
    type: str | None = text("Type")
    health_check: bool | None = flag("Contrôle de santé")
    children: tuple[str, ...] | None = several("Services composés")
    steps: tuple[str, ...] | None = several(
        "Construction",
        "Ce que Traefik fait pour le construire, dans l’ordre : « fault » et son erreur, une référence, ou « unknown » "
        "et ce qu’il faudrait savoir.",
    )
    silent: str | None = text(
        "Santé tue", "Comment Traefik nomme un service qui ne dit pas sa santé ; inconnu s’il la dit."
    )
    effective: bool | None = flag(
        "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier."
    )


@table(
    "traefik_file_servers",
    "Serveurs déclarés par fichier",
    "Les serveurs des services que les fichiers déclarent.",
    key=("path", "protocol", "service", "url"),
    source="traefik_files",
)
class FileServer(Row):
    path: str = text("Fichier")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    service: str = text("Service")
    url: str = text("Adresse")


@table(
    "traefik_file_middlewares",
    "Middlewares déclarés par fichier",
    "Les middlewares que les fichiers déclarent ; leur contenu n’est pas gardé.",
    key=("path", "protocol", "middleware"),
    source="traefik_files",
)
class FileMiddleware(Row):
    path: str = text("Fichier")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    middleware: str = text("Middleware")
    type: str | None = text("Type")
    chain: tuple[str, ...] | None = several("Chaîne")
    steps: tuple[str, ...] | None = several(
        "Construction",
        "Ce que Traefik fait pour le construire, dans l’ordre : « fault » et son erreur, une référence, ou « unknown » "
        "et ce qu’il faudrait savoir.",
    )
    effective: bool | None = flag(
        "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier."
    )


@table(
    "traefik_file_options",
    "Options TLS et transports déclarés par fichier",
    "Ce que des routeurs et des services peuvent nommer ; leur contenu n’est pas gardé.",
    key=("path", "kind", "name"),
    source="traefik_files",
)
class FileOption(Row):
    path: str = text("Fichier")
    kind: str = text(
        "Nature",
        words={"tls": "options TLS", "http": "transport HTTP", "tcp": "transport TCP"},
    )
    name: str = text("Nom", "Sans fournisseur.")
    steps: tuple[str, ...] | None = several(
        "Construction",
        "Ce que Traefik fait pour le construire, dans l’ordre : « fault » et son erreur, une référence, ou « unknown » "
        "et ce qu’il faudrait savoir.",
    )
    effective: bool | None = flag(
        "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier."
    )
