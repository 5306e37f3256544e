"""What the files of Traefik's file provider declare."""

from auditlib.facts.table import Table, flag, instant, integer, several, text

FILE_STATES = {
    "read": "lu",
    "broken": "cassé",
    "templated": "gabarit non évalué",
    "unreadable": "illisible",
}

TRAEFIK_FILES = Table(
    "traefik_files",
    "Fichiers de configuration dynamique",
    "Les fichiers que lit le fournisseur « file » de Traefik, dans l’ordre où il les lit.",
    ("container", "path"),
    (
        text("container", "Conteneur", "Celui de Traefik."),
        text("path", "Fichier", "Dans le conteneur."),
        text("location", "Emplacement", "Sur la machine ; inconnu s’il n’est pas monté."),
        integer("position", "Ordre"),
        instant("modified", "Modifié"),
        text("status", "État", words=FILE_STATES),
        integer("line", "Ligne", "Celle de la faute ; inconnue si l’analyse ne la donne pas."),
        text("error", "Faute", "De Traefik, en anglais, ou de lecture."),
    ),
    source="traefik_files",
)

_FILE = (
    text("path", "Fichier"),
    text("protocol", "Protocole", "http, tcp ou udp."),
)
_EFFECTIVE = flag("effective", "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier.")

TRAEFIK_FILE_ROUTERS = Table(
    "traefik_file_routers",
    "Routeurs déclarés par fichier",
    "Les routeurs que les fichiers déclarent, que Traefik les ait chargés ou non.",
    ("path", "protocol", "router"),
    (
        *_FILE,
        text("router", "Routeur", "Sans fournisseur."),
        text("rule", "Règle"),
        text("rule_syntax", "Syntaxe"),
        integer("priority", "Priorité", "Inconnue si elle n’est pas donnée."),
        several("entrypoints", "Points d’entrée"),
        flag("tls", "TLS"),
        text("cert_resolver", "Résolveur ACME"),
        text("tls_options", "Options TLS"),
        text("service", "Service"),
        several("middlewares", "Middlewares"),
        several("parents", "Routeurs parents"),
        _EFFECTIVE,
    ),
    source="traefik_files",
)

TRAEFIK_FILE_SERVICES = Table(
    "traefik_file_services",
    "Services déclarés par fichier",
    "Les services que les fichiers déclarent.",
    ("path", "protocol", "service"),
    (
        *_FILE,
        text("service", "Service", "Sans fournisseur."),
        text("type", "Type"),
        flag("health_check", "Contrôle de santé"),
        several("children", "Services composés"),
        _EFFECTIVE,
    ),
    source="traefik_files",
)

TRAEFIK_FILE_SERVERS = Table(
    "traefik_file_servers",
    "Serveurs déclarés par fichier",
    "Les serveurs des services que les fichiers déclarent.",
    ("path", "protocol", "service", "url"),
    (*_FILE, text("service", "Service"), text("url", "Adresse")),
    source="traefik_files",
)

TRAEFIK_FILE_MIDDLEWARES = Table(
    "traefik_file_middlewares",
    "Middlewares déclarés par fichier",
    "Les middlewares que les fichiers déclarent ; leur contenu n’est pas gardé.",
    ("path", "protocol", "middleware"),
    (*_FILE, text("middleware", "Middleware"), text("type", "Type"), several("chain", "Chaîne"), _EFFECTIVE),
    source="traefik_files",
)

TABLES = (
    TRAEFIK_FILES,
    TRAEFIK_FILE_ROUTERS,
    TRAEFIK_FILE_SERVICES,
    TRAEFIK_FILE_SERVERS,
    TRAEFIK_FILE_MIDDLEWARES,
)
