"""The declared tables of a snapshot: the raw facts, one declaration each.

Names and types of columns are a contract for scripts (columns may be added). Labels and descriptions are French:
they are shown to the reader of an audit.
"""

from auditlib.schema import Table, flag, instant, integer, prose, seconds, several, size, text

# French words for the codes that tables hold.
STATUSES = {"ok": "lue", "partial": "lue en partie", "refused": "refusée", "absent": "absente", "failed": "en échec"}
STATES = {
    "created": "créé",
    "running": "en marche",
    "paused": "en pause",
    "restarting": "redémarre",
    "removing": "en suppression",
    "exited": "arrêté",
    "dead": "mort",
}
HEALTHS = {"starting": "démarrage", "healthy": "bonne", "unhealthy": "mauvaise"}
LOADED = {"enabled": "actif", "warning": "avertissement", "disabled": "désactivé"}

SOURCES = Table(
    "sources",
    "Sources",
    "Ce que la collecte a lu, ou pas, et pourquoi. Toujours présente.",
    ("source",),
    (
        text("source", "Source"),
        text("status", "État", words=STATUSES),
        prose("reason", "Motif"),
        prose("remedy", "Remède"),
        seconds("duration_s", "Durée"),
        integer("rows", "Lignes", "Nombre de lignes lues, toutes tables de la source confondues."),
    ),
)

HOST = Table(
    "host",
    "Machine",
    "La machine auditée, une ligne.",
    ("name",),
    (
        text("name", "Machine"),
        text("os", "Système"),
        text("kernel", "Noyau"),
        text("architecture", "Architecture"),
        integer("cpus", "Processeurs"),
        size("memory", "Mémoire"),
        instant("booted", "Démarrée"),
        flag("root", "Audit en root", "Faux : les processus des autres utilisateurs sont restés inconnus."),
    ),
    source="host",
)

DOCKER_ENGINE = Table(
    "docker_engine",
    "Moteur Docker",
    "Le moteur interrogé, une ligne.",
    ("name",),
    (
        text("name", "Moteur"),
        text("endpoint", "Adresse"),
        flag("local", "Local", "Vrai si ses conteneurs sont des processus de cette machine."),
        text("version", "Version"),
        text("api_version", "Version de l’API"),
        text("os", "Système"),
        text("kernel", "Noyau"),
        text("storage_driver", "Pilote de stockage"),
        text("cgroup_version", "Version de cgroup"),
        text("root", "Dossier de données"),
        instant("clock", "Horloge", "L’heure du moteur à la collecte : celle de ses dates."),
        flag("live_restore", "Live restore"),
        text("swarm", "Swarm"),
        several("security_options", "Options de sécurité"),
    ),
    source="engine",
)

CONTAINERS = Table(
    "containers",
    "Conteneurs",
    "Les conteneurs du moteur Docker, quel que soit leur état.",
    ("name",),
    (
        text("name", "Conteneur"),
        text("id", "Identifiant"),
        text("image", "Image", "La référence demandée à la création."),
        text("image_id", "Identifiant de l’image"),
        text("state", "État", words=STATES),
        text("health", "Santé", "Inconnue sans contrôle de santé.", words=HEALTHS),
        flag("healthcheck", "Contrôle de santé", "Vrai si un contrôle de santé est défini."),
        integer("exit_code", "Code de sortie"),
        flag("oom_killed", "Tué faute de mémoire"),
        text("start_error", "Erreur au démarrage", "Enregistrée par le moteur au dernier démarrage."),
        text("restart_policy", "Redémarrage", "no, always, on-failure ou unless-stopped."),
        integer("restart_max", "Redémarrages permis", "Borne de la politique on-failure ; inconnue sans borne."),
        integer("restart_count", "Redémarrages"),
        instant("created", "Créé"),
        instant("started", "Démarré"),
        instant("finished", "Arrêté"),
        integer("pid", "PID"),
        text("compose_project", "Projet compose"),
        text("compose_service", "Service compose"),
        several("compose_files", "Fichiers compose"),
        text("compose_dir", "Dossier compose"),
        text("compose_version", "Version de Compose"),
        text("network_mode", "Mode réseau"),
        text("pid_mode", "Espace PID"),
        text("ipc_mode", "Espace IPC"),
        text("uts_mode", "Espace UTS"),
        text("userns_mode", "Espace utilisateur"),
        flag("privileged", "Privilégié"),
        flag("readonly_rootfs", "Racine en lecture seule"),
        text("user", "Utilisateur"),
        several("cap_add", "Capacités ajoutées"),
        several("cap_drop", "Capacités retirées"),
        several("security_options", "Options de sécurité"),
        text("apparmor_profile", "Profil AppArmor"),
        size("memory_limit", "Limite mémoire", missing="aucune"),
        integer("nano_cpus", "Limite CPU", "En milliardièmes de processeur.", missing="aucune"),
        integer("pids_limit", "Limite de processus", missing="aucune"),
        text("log_driver", "Journaux", "Pilote de journalisation."),
        several("exposed_ports", "Ports internes", "Ports déclarés par l’image ou le conteneur (EXPOSE)."),
    ),
    source="engine",
)

CONTAINER_NETWORKS = Table(
    "container_networks",
    "Attachements",
    "À quels réseaux chaque conteneur est attaché, sous quelles adresses et quels noms.",
    ("container", "network"),
    (
        text("container", "Conteneur"),
        text("network", "Réseau"),
        text("ipv4", "IPv4", "Inconnue tant que le conteneur est arrêté."),
        text("ipv6", "IPv6"),
        several("aliases", "Alias DNS"),
    ),
    source="engine",
)

NETWORKS = Table(
    "networks",
    "Réseaux Docker",
    "Les réseaux du moteur Docker.",
    ("name", "id"),
    (
        text("name", "Réseau"),
        text("id", "Identifiant"),
        text("driver", "Pilote"),
        text("scope", "Portée"),
        flag("internal", "Interne"),
        flag("ipv6", "IPv6"),
        several("subnets", "Sous-réseaux"),
        several("gateways", "Passerelles"),
        text("compose_project", "Projet compose"),
        instant("created", "Créé"),
    ),
    source="engine",
)

VOLUMES = Table(
    "volumes",
    "Volumes",
    "Les volumes du moteur Docker.",
    ("name",),
    (
        text("name", "Volume"),
        text("driver", "Pilote"),
        text("scope", "Portée"),
        text("mountpoint", "Emplacement"),
        text("compose_project", "Projet compose"),
        instant("created", "Créé"),
    ),
    source="engine",
)

MOUNTS = Table(
    "mounts",
    "Montages",
    "Ce que chaque conteneur monte.",
    ("container", "destination"),
    (
        text("container", "Conteneur"),
        text("type", "Type", "bind, volume, tmpfs…"),
        text("source", "Source", "Chemin sur la machine."),
        text("volume", "Volume"),
        text("destination", "Destination"),
        flag("writable", "Écriture"),
        text("propagation", "Propagation"),
    ),
    source="engine",
)

IMAGES = Table(
    "images",
    "Images",
    "Les images du moteur Docker.",
    ("id",),
    (
        text("id", "Identifiant"),
        several("tags", "Étiquettes"),
        size("size", "Taille"),
        instant("created", "Créée"),
    ),
    source="engine",
)

LABELS = Table(
    "labels",
    "Étiquettes des conteneurs",
    "Les étiquettes (labels). Seules les valeurs utiles à l’audit sont gardées, sans leurs secrets.",
    ("container", "label"),
    (
        text("container", "Conteneur"),
        text("label", "Étiquette"),
        text("value", "Valeur", "Inconnue si l’audit n’en a pas besoin : elle n’est pas gardée."),
    ),
    source="engine",
)

PUBLICATIONS = Table(
    "publications",
    "Ports publiés",
    "Les ports que le moteur Docker publie sur la machine, en vigueur ou seulement configurés.",
    ("container", "protocol", "container_port", "host_ip", "host_port", "live"),
    (
        text("container", "Conteneur"),
        text("protocol", "Protocole"),
        integer("container_port", "Port interne"),
        text("host_ip", "Adresse", "Adresse de la machine."),
        integer("host_port", "Port", "Inconnu : choisi par le moteur au démarrage."),
        integer("host_port_last", "Dernier port", "Fin de la plage où le moteur choisit ; inconnue sans plage."),
        flag("live", "En vigueur", "Faux : configuré, mais le conteneur ne tourne pas."),
    ),
    source="engine",
)

LISTENERS = Table(
    "listeners",
    "Écoutes de la machine",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés, tels que le noyau les montre.",
    ("protocol", "family", "address", "port", "pid"),
    (
        text("protocol", "Protocole"),
        text("family", "Famille", "ipv4 ou ipv6."),
        text("address", "Adresse"),
        integer("port", "Port"),
        integer("pid", "PID"),
        text("process", "Processus"),
        text("user", "Utilisateur"),
        text("unit", "Unité systemd"),
        text("container", "Conteneur", "Le conteneur qui écoute, ou celui que sert docker-proxy."),
    ),
    source="listeners",
)

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

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SOURCES,
        HOST,
        DOCKER_ENGINE,
        CONTAINERS,
        CONTAINER_NETWORKS,
        NETWORKS,
        VOLUMES,
        MOUNTS,
        IMAGES,
        LABELS,
        PUBLICATIONS,
        LISTENERS,
        TRAEFIK_STATIC,
        TRAEFIK,
        TRAEFIK_ENTRYPOINTS,
        TRAEFIK_ROUTERS,
        TRAEFIK_SERVICES,
        TRAEFIK_SERVERS,
        TRAEFIK_MIDDLEWARES,
    )
}
