"""What Traefik says, and what it was told."""

from auditlib.facts.table import Table, flag, instant, integer, several, text

LOADED = {"enabled": "actif", "warning": "avertissement", "disabled": "désactivé"}

TRAEFIK_STATIC = Table(
    "traefik_static",
    "Configuration statique de Traefik",
    "Les options de Traefik, par origine. Seule la première origine présente compte : fichier, options, environnement.",
    ("container", "origin", "key"),
    (
        text("container", "Conteneur"),
        text("origin", "Origine", "file, flags ou environment."),
        text("location", "Emplacement", "Chemin du fichier ; inconnu pour les autres origines."),
        text("key", "Option"),
        text("value", "Valeur", "Inconnue si elle peut être un secret."),
        flag("effective", "En vigueur"),
    ),
    source="traefik_static",
)

TRAEFIK = Table(
    "traefik",
    "Traefik",
    "Le Traefik interrogé, une ligne.",
    ("url",),
    (
        text("url", "API"),
        text("container", "Conteneur"),
        text("version", "Version"),
        instant("started", "Démarré"),
        several("providers", "Fournisseurs"),
    ),
    source="traefik_api",
)

TRAEFIK_ENTRYPOINTS = Table(
    "traefik_entrypoints",
    "Points d’entrée",
    "Les points d’entrée de Traefik.",
    ("entrypoint",),
    (
        text("entrypoint", "Point d’entrée"),
        text("address", "Adresse"),
        text("protocol", "Protocole"),
        integer("port", "Port", "Dans l’espace réseau de Traefik."),
        flag("default", "Par défaut", "Reçoit les routeurs qui ne nomment aucun point d’entrée."),
        flag("tls", "TLS"),
        text("redirect_to", "Redirige vers"),
        several("middlewares", "Middlewares"),
        flag("sanitizes_path", "Nettoie les chemins", "http.sanitizePath ; inconnu : ce que fait la version."),
        several("refused_characters", "Caractères refusés", "Encodés ; inconnu : ce que fait la version."),
        flag("encodes_semicolons", "Encode les points-virgules", "http.encodeQuerySemicolons."),
        several("trusted", "Relais de confiance", "Réseaux dont les en-têtes X-Forwarded sont gardés."),
    ),
    source="traefik_api",
)

TRAEFIK_ROUTERS = Table(
    "traefik_routers",
    "Routeurs",
    "Les routeurs que Traefik a chargés.",
    ("protocol", "router"),
    (
        text("router", "Routeur"),
        text("provider", "Fournisseur"),
        text("protocol", "Protocole", "http, tcp ou udp."),
        text("rule", "Règle"),
        text("rule_syntax", "Syntaxe"),
        integer("priority", "Priorité"),
        several("entrypoints", "Points d’entrée", "Ceux qui sont réellement en usage."),
        flag("tls", "TLS"),
        text("cert_resolver", "Résolveur ACME"),
        text("tls_options", "Options TLS"),
        several("parents", "Routeurs parents", "Par lesquels il est atteint ; aucun : par ses points d’entrée."),
        text("service", "Service"),
        several("middlewares", "Middlewares"),
        text("status", "État", words=LOADED),
        several("errors", "Erreurs"),
    ),
    source="traefik_api",
)

TRAEFIK_SERVICES = Table(
    "traefik_services",
    "Services Traefik",
    "Les services que Traefik a chargés.",
    ("protocol", "service"),
    (
        text("service", "Service"),
        text("provider", "Fournisseur"),
        text("protocol", "Protocole"),
        text("type", "Type"),
        flag("health_check", "Contrôle de santé"),
        several("children", "Services composés", "Les services d’un service pondéré, miroir ou de secours."),
        several("used_by", "Utilisé par"),
        text("status", "État", words=LOADED),
        several("errors", "Erreurs"),
    ),
    source="traefik_api",
)

TRAEFIK_SERVERS = Table(
    "traefik_servers",
    "Serveurs",
    "Les serveurs vers lesquels Traefik envoie les requêtes.",
    ("protocol", "service", "url"),
    (
        text("service", "Service"),
        text("protocol", "Protocole"),
        text("url", "Adresse"),
        text("container", "Conteneur", "Celui qui porte cette adresse ; inconnu pour un serveur de la machine."),
        text("network", "Réseau", "Le réseau Docker de cette adresse."),
        text("status", "État", "UP ou DOWN ; inconnu sans contrôle de santé, car Traefik répond alors toujours UP."),
    ),
    source="traefik_api",
)

TRAEFIK_MIDDLEWARES = Table(
    "traefik_middlewares",
    "Middlewares",
    "Les middlewares que Traefik a chargés.",
    ("protocol", "middleware"),
    (
        text("middleware", "Middleware"),
        text("provider", "Fournisseur"),
        text("protocol", "Protocole"),
        text("type", "Type"),
        several("chain", "Chaîne", "Les middlewares d’une chaîne."),
        several("used_by", "Utilisé par"),
        text("status", "État", words=LOADED),
        several("errors", "Erreurs"),
    ),
    source="traefik_api",
)

TABLES = (
    TRAEFIK_STATIC,
    TRAEFIK,
    TRAEFIK_ENTRYPOINTS,
    TRAEFIK_ROUTERS,
    TRAEFIK_SERVICES,
    TRAEFIK_SERVERS,
    TRAEFIK_MIDDLEWARES,
)
