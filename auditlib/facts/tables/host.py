"""What the machine says of its network, its disks, its units, and of who may command Docker."""

from auditlib.facts.table import Table, flag, instant, integer, several, size, text

HOST_ADDRESSES = Table(
    "host_addresses",
    "Adresses de la machine",
    "Les adresses de chaque interface, ponts de Docker compris, sauf celles de lien local.",
    ("interface", "address"),
    (
        text("interface", "Interface"),
        text("family", "Famille", "ipv4 ou ipv6."),
        text("address", "Adresse"),
        integer("prefix", "Préfixe"),
    ),
    source="network",
)

HOST_ROUTES = Table(
    "host_routes",
    "Routes de la machine",
    "La table de routage principale du noyau, sans les adresses propres de la machine ni les liens locaux.",
    ("family", "destination", "interface", "gateway", "metric"),
    (
        text("family", "Famille", "ipv4 ou ipv6."),
        text("destination", "Destination", "0.0.0.0/0 ou ::/0 : la route par défaut."),
        text("gateway", "Passerelle", "Inconnue : le réseau est joint directement.", missing="aucune"),
        text("interface", "Interface"),
        integer("metric", "Métrique"),
    ),
    source="network",
)

FIREWALLS = Table(
    "firewalls",
    "Pare-feu",
    "Les pare-feu connus, et s’ils sont actifs. Un état inconnu n’est pas un pare-feu absent.",
    ("name",),
    (
        text("name", "Pare-feu", "ufw, firewalld, nftables ou iptables."),
        flag("installed", "Installé"),
        flag("active", "Actif", "Inconnu si rien de lisible ne le dit.", missing="inconnu"),
        text("input_policy", "Politique d’entrée", "drop, reject ou accept, par défaut."),
        text("evidence", "D’après"),
    ),
    source="network",
)

DISKS = Table(
    "disks",
    "Disques",
    "Les systèmes de fichiers de la racine, des données de Docker et de celles des bases de données.",
    ("mountpoint",),
    (
        text("mountpoint", "Point de montage"),
        several("holds", "Contient"),
        text("device", "Périphérique"),
        text("filesystem", "Système de fichiers"),
        size("size", "Taille"),
        size("used", "Utilisé"),
        size("free", "Libre", "Sans la réserve de root."),
        integer("inodes", "Inodes", "Inconnus : ce système de fichiers n’en compte pas.", missing="sans objet"),
        integer("inodes_free", "Inodes libres", missing="sans objet"),
    ),
    source="disks",
)

DOCKER_USAGE = Table(
    "docker_usage",
    "Place utilisée par Docker",
    "Ce que le moteur compte par sorte d’objets, et ce qu’un nettoyage libérerait : selon le moteur s’il le dit "
    "(API 1.52 et suivantes), sinon la place propre à ce qui ne sert pas, sans celle partagée avec ce qui sert.",
    ("kind",),
    (
        text(
            "kind",
            "Sorte",
            words={
                "images": "images",
                "containers": "conteneurs",
                "volumes": "volumes",
                "build_cache": "cache de construction",
            },
        ),
        integer("count", "Nombre"),
        integer("active", "En service"),
        size("size", "Taille"),
        size("reclaimable", "Récupérable"),
    ),
    source="engine_usage",
)

DOCKER_GROUP = Table(
    "docker_group",
    "Groupe de Docker",
    "Les comptes locaux du groupe qui tient le socket de Docker : chacun peut tout faire sur la machine.",
    ("group", "user"),
    (
        text("group", "Groupe"),
        text("user", "Compte"),
        integer("uid", "UID", "Inconnu : le groupe cite un compte qui n’est pas local."),
        flag("primary", "Groupe principal"),
    ),
    source="docker_access",
)

DOCKER_SOCKETS = Table(
    "docker_sockets",
    "Sockets de Docker",
    "Les fichiers sockets de Docker et de containerd, et qui peut y écrire.",
    ("path",),
    (
        text("path", "Socket"),
        text("daemon", "Démon", "docker ou containerd."),
        text("mode", "Mode", "En octal, comme 660."),
        text("owner", "Propriétaire"),
        text("group", "Groupe"),
    ),
    source="docker_access",
)

DOCKER_DAEMON = Table(
    "docker_daemon",
    "Réglages du démon Docker",
    "Ce que chaque démon reçoit de sa ligne de commande et de son fichier ; sans démon visible, le fichier seul. "
    "Inconnu : non réglé, la valeur par défaut de Docker s’applique.",
    ("config_file", "pid"),
    (
        text("config_file", "Fichier"),
        flag("config_exists", "Fichier présent"),
        flag("config_read", "Fichier lu", "Faux : ce qu’il règle reste inconnu."),
        integer("pid", "PID"),
        text("data_root", "Dossier de données"),
        several("hosts", "Adresses d’écoute"),
        flag("tls", "TLS"),
        flag("tlsverify", "TLS vérifié"),
        text("group", "Groupe du socket"),
        text("log_driver", "Pilote de journaux"),
        text("log_max_size", "Taille des journaux", "Option max-size de log-opts."),
        text("log_max_file", "Nombre de journaux", "Option max-file de log-opts."),
        text("log_level", "Niveau de journal"),
        flag("live_restore", "Live restore"),
        flag("icc", "Communication entre conteneurs"),
        flag("iptables", "Règles iptables"),
        flag("ip6tables", "Règles ip6tables"),
        flag("userland_proxy", "Proxy de ports"),
        flag("no_new_privileges", "Sans nouveaux privilèges"),
        flag("experimental", "Expérimental"),
        text("userns_remap", "Espace utilisateur"),
        text("storage_driver", "Pilote de stockage"),
        several("storage_opts", "Options de stockage"),
        text("cgroup_parent", "Cgroup parent"),
        text("seccomp_profile", "Profil seccomp"),
        several("insecure_registries", "Registres sans TLS"),
        several("authorization_plugins", "Greffons d’autorisation"),
        several("default_ulimits", "Limites par défaut", "Noms seulement."),
    ),
    source="docker_access",
)

ACTIVE_STATES = {
    "active": "active",
    "reloading": "recharge",
    "inactive": "inactive",
    "failed": "en échec",
    "activating": "démarre",
    "deactivating": "s’arrête",
}

UNITS = Table(
    "units",
    "Unités systemd",
    "Les unités derrière les écoutes de la machine, celles de Docker, et toutes celles en échec.",
    ("unit",),
    (
        text("unit", "Unité"),
        text("active", "État", words=ACTIVE_STATES),
        text("sub", "Sous-état"),
        text("enabled", "Au démarrage", "enabled, disabled, static, generated… tel que systemd le dit."),
        text("load", "Chargement", "loaded, not-found, masked, bad-setting ou error."),
        text("result", "Résultat", "success, exit-code, signal, timeout…"),
        integer("exit_status", "Code de sortie", "Du processus principal, s’il s’est terminé."),
        integer("main_pid", "PID principal"),
        text("restart", "Redémarrage", "no, always, on-failure…"),
        integer("restarts", "Redémarrages"),
        instant("since", "Depuis"),
        text("fragment", "Fichier"),
        several("listens", "Écoutes"),
        text("description", "Description"),
    ),
    source="systemd",
)

TABLES = (
    HOST_ADDRESSES,
    HOST_ROUTES,
    FIREWALLS,
    DISKS,
    DOCKER_USAGE,
    DOCKER_GROUP,
    DOCKER_SOCKETS,
    DOCKER_DAEMON,
    UNITS,
)
