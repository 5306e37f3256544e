"""What the Docker engine says, and what the kernel says of the sockets of its containers."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, octets, several, table, text

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
ENDS = {
    "container": "conteneur",
    "unit": "unité systemd",
    "process": "processus",
    "host": "machine",
    "outside": "extérieur",
}


@table("docker_engine", "Moteur Docker", "Le moteur interrogé, une ligne.", key=("name",), source="engine")
class DockerEngine(Row):
    name: str = text("Moteur")
    endpoint: str | None = text("Adresse")
    local: bool | None = flag("Local", "Vrai si ses conteneurs sont des processus de cette machine.")
    version: str | None = text("Version")
    api_version: str | None = text("Version de l’API")
    os: str | None = text("Système")
    kernel: str | None = text("Noyau")
    storage_driver: str | None = text("Pilote de stockage")
    cgroup_version: str | None = text("Version de cgroup")
    root: str | None = text("Dossier de données")
    clock: dt.datetime | None = instant("Horloge", "L’heure du moteur à la collecte : celle de ses dates.")
    live_restore: bool | None = flag("Live restore")
    swarm: str | None = text("Swarm")
    security_options: tuple[str, ...] | None = several("Options de sécurité")


@table(
    "docker_swarm",
    "Essaim Docker",
    "L’essaim (swarm) dont le moteur est un nœud, une ligne ; vide s’il n’est d’aucun.",
    key=("name",),
    source="engine",
)
class DockerSwarm(Row):
    name: str = text("Moteur")
    address: str | None = text("Adresse annoncée", "Celle que les autres nœuds joignent.")
    manager: bool | None = flag("Gestionnaire", "Faux : un simple nœud, qui ne sait rien des réglages de l’essaim.")
    port: int | None = integer("Port de gestion")
    nodes: int | None = integer("Nœuds")
    managers: int | None = integer("Gestionnaires")
    autolock: bool | None = flag("Verrouillage automatique")
    certificate_days: int | None = integer("Durée des certificats", "Des nœuds, en jours.")


@table(
    "containers",
    "Conteneurs",
    "Les conteneurs du moteur Docker, quel que soit leur état.",
    key=("name",),
    source="engine",
)
class Container(Row):
    name: str = text("Conteneur")
    id: str | None = text("Identifiant")
    image: str | None = text("Image", "La référence demandée à la création.")
    image_id: str | None = text("Identifiant de l’image")
    state: str | None = text("État", words=STATES)
    health: str | None = text("Santé", "Inconnue sans contrôle de santé.", words=HEALTHS)
    health_reported: str | None = text(
        "Santé annoncée", "Le mot du moteur, « none » compris, que Traefik lit ; inconnu sans."
    )
    healthcheck: bool | None = flag("Contrôle de santé", "Vrai si un contrôle de santé est défini.")
    exit_code: int | None = integer("Code de sortie")
    oom_killed: bool | None = flag("Tué faute de mémoire")
    start_error: str | None = text("Erreur au démarrage", "Enregistrée par le moteur au dernier démarrage.")
    restart_policy: str | None = text("Redémarrage", "no, always, on-failure ou unless-stopped.")
    restart_max: int | None = integer("Redémarrages permis", "Borne de la politique on-failure ; inconnue sans borne.")
    restart_count: int | None = integer("Redémarrages")
    created: dt.datetime | None = instant("Créé")
    started: dt.datetime | None = instant("Démarré")
    finished: dt.datetime | None = instant("Arrêté")
    pid: int | None = integer("PID")
    compose_project: str | None = text("Projet compose")
    compose_service: str | None = text("Service compose")
    compose_files: tuple[str, ...] | None = several("Fichiers compose")
    compose_dir: str | None = text("Dossier compose")
    compose_version: str | None = text("Version de Compose")
    network_mode: str | None = text("Mode réseau")
    pid_mode: str | None = text("Espace PID")
    ipc_mode: str | None = text("Espace IPC")
    uts_mode: str | None = text("Espace UTS")
    userns_mode: str | None = text("Espace utilisateur")
    privileged: bool | None = flag("Privilégié")
    readonly_rootfs: bool | None = flag("Racine en lecture seule")
    user: str | None = text("Utilisateur")
    cap_add: tuple[str, ...] | None = several("Capacités ajoutées")
    cap_drop: tuple[str, ...] | None = several("Capacités retirées")
    security_options: tuple[str, ...] | None = several("Options de sécurité")
    apparmor_profile: str | None = text("Profil AppArmor")
    memory_limit: int | None = octets("Limite mémoire", missing="aucune")
    nano_cpus: int | None = integer("Limite CPU", "En milliardièmes de processeur.", missing="aucune")
    pids_limit: int | None = integer("Limite de processus", missing="aucune")
    cpu_shares: int | None = integer("Part de processeur", "Poids relatif (cpu_shares).", missing="aucune")
    cpu_quota: int | None = integer("Quota de processeur", "En microsecondes par période.", missing="aucun")
    devices: tuple[str, ...] | None = several("Périphériques", "Ceux de la machine qui lui sont donnés.")
    ulimits: tuple[str, ...] | None = several("Limites propres", "Noms des ulimits réglées pour lui.")
    cgroup_parent: str | None = text("Cgroup parent", "Inconnu s’il n’est pas réglé.", missing="par défaut")
    log_driver: str | None = text("Journaux", "Pilote de journalisation.")
    log_max_size: str | None = text(
        "Taille des journaux", "Option max-size du pilote ; inconnue si elle n’est pas réglée."
    )
    exposed_ports: tuple[str, ...] | None = several(
        "Ports internes", "Ports déclarés par l’image ou le conteneur (EXPOSE)."
    )
    network_ports: tuple[str, ...] | None = several(
        "Ports en réseau", "Ports déclarés ou publiés de son réseau : Traefik en prend un."
    )
    extra_hosts: tuple[str, ...] | None = several(
        "Noms ajoutés", "Noms ajoutés à son /etc/hosts, sous la forme nom:adresse."
    )


@table(
    "container_networks",
    "Attachements",
    "À quels réseaux chaque conteneur est attaché, sous quelles adresses et quels noms.",
    key=("container", "network"),
    source="engine",
)
class ContainerNetwork(Row):
    container: str = text("Conteneur")
    network: str = text("Réseau")
    ipv4: str | None = text("IPv4", "Inconnue tant que le conteneur est arrêté.")
    ipv6: str | None = text("IPv6")
    aliases: tuple[str, ...] | None = several("Alias DNS")


@table("networks", "Réseaux Docker", "Les réseaux du moteur Docker.", key=("name", "id"), source="engine")
class Network(Row):
    name: str = text("Réseau")
    id: str | None = text("Identifiant")
    driver: str | None = text("Pilote")
    scope: str | None = text("Portée")
    internal: bool | None = flag("Interne")
    ipv6: bool | None = flag("IPv6")
    encrypted: bool | None = flag(
        "Chiffré", "D’un nœud à l’autre de l’essaim ; inconnu d’un réseau d’une seule machine."
    )
    subnets: tuple[str, ...] | None = several("Sous-réseaux")
    gateways: tuple[str, ...] | None = several("Passerelles")
    compose_project: str | None = text("Projet compose")
    created: dt.datetime | None = instant("Créé")


@table("volumes", "Volumes", "Les volumes du moteur Docker.", key=("name",), source="engine")
class Volume(Row):
    name: str = text("Volume")
    driver: str | None = text("Pilote")
    scope: str | None = text("Portée")
    mountpoint: str | None = text("Emplacement")
    compose_project: str | None = text("Projet compose")
    created: dt.datetime | None = instant("Créé")


@table("mounts", "Montages", "Ce que chaque conteneur monte.", key=("container", "destination"), source="engine")
class Mount(Row):
    container: str = text("Conteneur")
    type: str | None = text("Type", "bind, volume, tmpfs…")
    source: str | None = text("Source", "Chemin sur la machine.")
    volume: str | None = text("Volume")
    destination: str = text("Destination")
    writable: bool | None = flag("Écriture")
    propagation: str | None = text("Propagation")
    folder: bool | None = flag(
        "Dossier", "Vrai si la source est un dossier ; regardé pour les chemins sensibles seulement."
    )


@table("images", "Images", "Les images du moteur Docker.", key=("id",), source="engine")
class Image(Row):
    id: str = text("Identifiant")
    tags: tuple[str, ...] | None = several("Étiquettes")
    size: int | None = octets("Taille")
    created: dt.datetime | None = instant("Créée")
    healthcheck: bool | None = flag(
        "Contrôle de santé", "Regardé pour les images que des conteneurs utilisent, 30 au plus."
    )


@table(
    "labels",
    "Étiquettes des conteneurs",
    "Les étiquettes (labels). Seules les valeurs utiles à l’audit sont gardées, sans leurs secrets.",
    key=("container", "label"),
    source="engine",
)
class ContainerLabel(Row):
    container: str = text("Conteneur")
    label: str = text("Étiquette")
    value: str | None = text("Valeur", "Inconnue si l’audit n’en a pas besoin : elle n’est pas gardée.")
    variant: int | None = integer(
        "Variante",
        "Numéro d’une valeur dont un secret a été retiré : à valeur égale, numéro égal pour une même étiquette.",
    )


@table(
    "container_environment",
    "Variables des conteneurs",
    "Les noms des variables d’environnement, celles de l’image comprises ; aucune valeur n’est gardée.",
    key=("container", "variable"),
    source="engine",
)
class ContainerVariable(Row):
    container: str = text("Conteneur")
    variable: str = text("Variable")


@table(
    "publications",
    "Ports publiés",
    "Les ports que le moteur Docker publie sur la machine, en vigueur ou seulement configurés.",
    key=("container", "protocol", "container_port", "host_ip", "host_port", "live"),
    source="engine",
)
class Publication(Row):
    container: str = text("Conteneur")
    protocol: str = text("Protocole")
    container_port: int = integer("Port interne")
    host_ip: str = text("Adresse", "Adresse de la machine.")
    host_port: int | None = integer("Port", "Inconnu : choisi par le moteur au démarrage.")
    host_port_last: int | None = integer("Dernier port", "Fin de la plage où le moteur choisit ; inconnue sans plage.")
    live: bool = flag("En vigueur", "Faux : configuré, mais le conteneur ne tourne pas.")
    chosen: bool | None = flag("Choisi", "Vrai si le moteur choisit le port, parmi tous ou dans une plage.")


@table(
    "container_listeners",
    "Écoutes dans les conteneurs",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés de chaque conteneur qui a son propre réseau, tels que "
    "le noyau les montre. Les conteneurs du réseau de la machine sont dans ses écoutes ; le DNS de Docker est omis.",
    key=("network_of", "protocol", "family", "address", "port", "pid", "uid"),
    source="namespaces",
)
class ContainerListener(Row):
    container: str | None = text(
        "Conteneur", "Celui qui écoute ; inconnu si plusieurs partagent ce réseau sans qu’on le sache."
    )
    network_of: str = text("Réseau de", "Le conteneur, ou les conteneurs, dont c’est l’espace réseau.")
    protocol: str = text("Protocole")
    family: str | None = text("Famille", "ipv4 ou ipv6.")
    address: str = text("Adresse")
    port: int = integer("Port")
    pid: int | None = integer("PID", "Sur la machine.")
    process: str | None = text("Processus")
    uid: int | None = integer("UID", "Celui du socket, sur la machine.")


@table(
    "connections",
    "Dépendances observées",
    "Les connexions établies au moment de la collecte, vues du client : d’un conteneur ou d’un processus de la machine "
    "vers un conteneur, la machine ou l’extérieur. Ce qu’un processus se dit à lui-même et l’audit sont omis.",
    key=("source_kind", "source", "process", "protocol", "address", "port", "target_kind", "target"),
    source="namespaces",
)
class Connection(Row):
    source: str | None = text("De")
    source_kind: str = text("Nature du client", words=ENDS)
    process: str | None = text("Processus", "Le processus du client.")
    target: str | None = text("Vers", "Inconnu : l’adresse ne dit pas qui répond. À l’extérieur : l’adresse.")
    target_kind: str = text("Nature du serveur", words=ENDS)
    database: str | None = text("Base de données", "La sorte de base qui répond sur ce port, si c’en est une.")
    protocol: str = text("Protocole")
    address: str = text("Adresse", "Celle que le client appelle.")
    port: int = integer("Port", "Celui que le client appelle.")
    sockets: int | None = integer("Connexions")
