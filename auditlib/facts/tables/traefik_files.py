"""What the files of Traefik's file provider declare."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, several, table, text

FILE_STATES = {
    "read": "lu",
    "broken": "cassé",
    "templated": "gabarit non évalué",
    "unreadable": "illisible",
}


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
    effective: bool | None = flag(
        "Retenu", "Faux : un fichier lu avant déclare le même nom, et Traefik garde le premier."
    )
