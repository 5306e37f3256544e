"""What the Docker engine says."""

from auditlib.facts.table import Table, flag, instant, integer, several, size, text

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

DOCKER_SWARM = Table(
    "docker_swarm",
    "Essaim Docker",
    "L’essaim (swarm) dont le moteur est un nœud, une ligne ; vide s’il n’est d’aucun.",
    ("name",),
    (
        text("name", "Moteur"),
        text("address", "Adresse annoncée", "Celle que les autres nœuds joignent."),
        flag("manager", "Gestionnaire", "Faux : un simple nœud, qui ne sait rien des réglages de l’essaim."),
        integer("port", "Port de gestion"),
        integer("nodes", "Nœuds"),
        integer("managers", "Gestionnaires"),
        flag("autolock", "Verrouillage automatique"),
        integer("certificate_days", "Durée des certificats", "Des nœuds, en jours."),
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
        text(
            "health_reported", "Santé annoncée", "Le mot du moteur, « none » compris, que Traefik lit ; inconnu sans."
        ),
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
        integer("cpu_shares", "Part de processeur", "Poids relatif (cpu_shares).", missing="aucune"),
        integer("cpu_quota", "Quota de processeur", "En microsecondes par période.", missing="aucun"),
        several("devices", "Périphériques", "Ceux de la machine qui lui sont donnés."),
        several("ulimits", "Limites propres", "Noms des ulimits réglées pour lui."),
        text("cgroup_parent", "Cgroup parent", "Inconnu s’il n’est pas réglé.", missing="par défaut"),
        text("log_driver", "Journaux", "Pilote de journalisation."),
        text("log_max_size", "Taille des journaux", "Option max-size du pilote ; inconnue si elle n’est pas réglée."),
        several("exposed_ports", "Ports internes", "Ports déclarés par l’image ou le conteneur (EXPOSE)."),
        several("network_ports", "Ports en réseau", "Ports déclarés ou publiés de son réseau : Traefik en prend un."),
        several("extra_hosts", "Noms ajoutés", "Noms ajoutés à son /etc/hosts, sous la forme nom:adresse."),
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
        flag("encrypted", "Chiffré", "D’un nœud à l’autre de l’essaim ; inconnu d’un réseau d’une seule machine."),
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
        flag("folder", "Dossier", "Vrai si la source est un dossier ; regardé pour les chemins sensibles seulement."),
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
        flag("healthcheck", "Contrôle de santé", "Regardé pour les images que des conteneurs utilisent, 30 au plus."),
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
        integer(
            "variant",
            "Variante",
            "Numéro d’une valeur dont un secret a été retiré : à valeur égale, numéro égal pour une même étiquette.",
        ),
    ),
    source="engine",
)

ENVIRONMENT = Table(
    "container_environment",
    "Variables des conteneurs",
    "Les noms des variables d’environnement, celles de l’image comprises ; aucune valeur n’est gardée.",
    ("container", "variable"),
    (
        text("container", "Conteneur"),
        text("variable", "Variable"),
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
        flag("chosen", "Choisi", "Vrai si le moteur choisit le port, parmi tous ou dans une plage."),
    ),
    source="engine",
)

TABLES = (
    *(DOCKER_ENGINE, DOCKER_SWARM, CONTAINERS, CONTAINER_NETWORKS, NETWORKS, VOLUMES, MOUNTS, IMAGES),
    *(LABELS, ENVIRONMENT, PUBLICATIONS),
)
