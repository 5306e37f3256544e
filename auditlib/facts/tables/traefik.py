"""What Traefik says, and what it was told."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, several, table, text

LOADED = {"enabled": "actif", "warning": "avertissement", "disabled": "désactivé"}


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
