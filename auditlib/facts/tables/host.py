"""What the collection read, and what the machine says: its sockets, network, disks, units, and who commands Docker."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, octets, prose, seconds, several, table, text

STATUSES = {"ok": "lue", "partial": "lue en partie", "refused": "refusée", "absent": "absente", "failed": "en échec"}
ACTIVE_STATES = {
    "active": "active",
    "reloading": "recharge",
    "inactive": "inactive",
    "failed": "en échec",
    "activating": "démarre",
    "deactivating": "s’arrête",
}


@table("sources", "Sources", "Ce que la collecte a lu, ou pas, et pourquoi. Toujours présente.", key=("source",))
class SourceStatus(Row):
    source: str = text("Source")
    status: str | None = text("État", words=STATUSES)
    reason: str | None = prose("Motif")
    remedy: str | None = prose("Remède")
    duration_s: float | None = seconds("Durée")
    rows: int | None = integer("Lignes", "Nombre de lignes lues, toutes tables de la source confondues.")


@table("host", "Machine", "La machine auditée, une ligne.", key=("name",), source="host")
class Host(Row):
    name: str = text("Machine")
    os: str | None = text("Système")
    kernel: str | None = text("Noyau")
    architecture: str | None = text("Architecture")
    cpus: int | None = integer("Processeurs")
    memory: int | None = octets("Mémoire")
    memory_available: int | None = octets(
        "Mémoire disponible", "Ce que le noyau peut donner sans swap, caches rendus compris."
    )
    swap: int | None = octets("Swap")
    swap_free: int | None = octets("Swap libre")
    ephemeral_first: int | None = integer("Premier port éphémère", "Les ports que le noyau donne aux clients.")
    ephemeral_last: int | None = integer("Dernier port éphémère")
    booted: dt.datetime | None = instant("Démarrée")
    root: bool | None = flag("Audit en root", "Faux : les processus des autres utilisateurs sont restés inconnus.")


@table(
    "listeners",
    "Écoutes de la machine",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés, tels que le noyau les montre.",
    key=("protocol", "family", "address", "port", "pid"),
    source="listeners",
)
class Listener(Row):
    protocol: str = text("Protocole")
    family: str = text("Famille", "ipv4 ou ipv6.")
    address: str = text("Adresse")
    port: int = integer("Port")
    pid: int | None = integer("PID")
    process: str | None = text("Processus")
    user: str | None = text("Utilisateur")
    unit: str | None = text("Unité systemd")
    container: str | None = text("Conteneur", "Le conteneur qui écoute, ou celui que sert docker-proxy.")


@table(
    "host_addresses",
    "Adresses de la machine",
    "Les adresses de chaque interface, ponts de Docker compris, sauf celles de lien local.",
    key=("interface", "address"),
    source="network",
)
class HostAddress(Row):
    interface: str = text("Interface")
    family: str | None = text("Famille", "ipv4 ou ipv6.")
    address: str = text("Adresse")
    prefix: int | None = integer("Préfixe")


@table(
    "host_routes",
    "Routes de la machine",
    "La table de routage principale du noyau, sans les adresses propres de la machine ni les liens locaux.",
    key=("family", "destination", "interface", "gateway", "metric"),
    source="network",
)
class HostRoute(Row):
    family: str = text("Famille", "ipv4 ou ipv6.")
    destination: str = text("Destination", "0.0.0.0/0 ou ::/0 : la route par défaut.")
    gateway: str | None = text("Passerelle", "Inconnue : le réseau est joint directement.", missing="aucune")
    interface: str = text("Interface")
    metric: int = integer("Métrique")


@table(
    "firewalls",
    "Pare-feu",
    "Les pare-feu connus, et s’ils sont actifs. Un état inconnu n’est pas un pare-feu absent.",
    key=("name",),
    source="network",
)
class Firewall(Row):
    name: str = text("Pare-feu", "ufw, firewalld, nftables ou iptables.")
    installed: bool | None = flag("Installé")
    active: bool | None = flag("Actif", "Inconnu si rien de lisible ne le dit.", missing="inconnu")
    input_policy: str | None = text("Politique d’entrée", "drop, reject ou accept, par défaut.")
    evidence: str | None = text("D’après")


@table(
    "disks",
    "Disques",
    "Les systèmes de fichiers de la racine, des données de Docker et de celles des bases de données.",
    key=("mountpoint",),
    source="disks",
)
class Disk(Row):
    mountpoint: str = text("Point de montage")
    holds: tuple[str, ...] | None = several("Contient")
    device: str | None = text("Périphérique")
    filesystem: str | None = text("Système de fichiers")
    size: int | None = octets("Taille")
    used: int | None = octets("Utilisé")
    free: int | None = octets("Libre", "Sans la réserve de root.")
    inodes: int | None = integer("Inodes", "Inconnus : ce système de fichiers n’en compte pas.", missing="sans objet")
    inodes_free: int | None = integer("Inodes libres", missing="sans objet")


@table(
    "docker_usage",
    "Place utilisée par Docker",
    "Ce que le moteur compte par sorte d’objets, et ce qu’un nettoyage libérerait : selon le moteur s’il le dit "
    "(API 1.52 et suivantes), sinon la place propre à ce qui ne sert pas, sans celle partagée avec ce qui sert.",
    key=("kind",),
    source="engine_usage",
)
class DockerUsage(Row):
    kind: str = text(
        "Sorte",
        words={
            "images": "images",
            "containers": "conteneurs",
            "volumes": "volumes",
            "build_cache": "cache de construction",
        },
    )
    count: int | None = integer("Nombre")
    active: int | None = integer("En service")
    size: int | None = octets("Taille")
    reclaimable: int | None = octets("Récupérable")


@table(
    "docker_group",
    "Groupe de Docker",
    "Les comptes locaux du groupe qui tient le socket de Docker : chacun peut tout faire sur la machine.",
    key=("group", "user"),
    source="docker_access",
)
class GroupMember(Row):
    group: str = text("Groupe")
    user: str = text("Compte")
    uid: int | None = integer("UID", "Inconnu : le groupe cite un compte qui n’est pas local.")
    primary: bool | None = flag("Groupe principal")


@table(
    "docker_sockets",
    "Sockets de Docker",
    "Les fichiers sockets de Docker et de containerd, et qui peut y écrire.",
    key=("path",),
    source="docker_access",
)
class DockerSocket(Row):
    path: str = text("Socket")
    daemon: str | None = text("Démon", "docker ou containerd.")
    mode: str | None = text("Mode", "En octal, comme 660.")
    owner: str | None = text("Propriétaire")
    group: str | None = text("Groupe")


@table(
    "docker_daemon",
    "Réglages du démon Docker",
    "Ce que chaque démon reçoit de sa ligne de commande et de son fichier ; sans démon visible, le fichier seul. "
    "Inconnu : non réglé, la valeur par défaut de Docker s’applique.",
    key=("config_file", "pid"),
    source="docker_access",
)
class DockerDaemon(Row):
    config_file: str = text("Fichier")
    config_exists: bool | None = flag("Fichier présent")
    config_read: bool | None = flag("Fichier lu", "Faux : ce qu’il règle reste inconnu.")
    pid: int | None = integer("PID")
    data_root: str | None = text("Dossier de données")
    hosts: tuple[str, ...] | None = several("Adresses d’écoute")
    tls: bool | None = flag("TLS")
    tlsverify: bool | None = flag("TLS vérifié")
    group: str | None = text("Groupe du socket")
    log_driver: str | None = text("Pilote de journaux")
    log_max_size: str | None = text("Taille des journaux", "Option max-size de log-opts.")
    log_max_file: str | None = text("Nombre de journaux", "Option max-file de log-opts.")
    log_level: str | None = text("Niveau de journal")
    live_restore: bool | None = flag("Live restore")
    icc: bool | None = flag("Communication entre conteneurs")
    iptables: bool | None = flag("Règles iptables")
    ip6tables: bool | None = flag("Règles ip6tables")
    userland_proxy: bool | None = flag("Proxy de ports")
    no_new_privileges: bool | None = flag("Sans nouveaux privilèges")
    experimental: bool | None = flag("Expérimental")
    userns_remap: str | None = text("Espace utilisateur")
    storage_driver: str | None = text("Pilote de stockage")
    storage_opts: tuple[str, ...] | None = several("Options de stockage")
    cgroup_parent: str | None = text("Cgroup parent")
    seccomp_profile: str | None = text("Profil seccomp")
    insecure_registries: tuple[str, ...] | None = several("Registres sans TLS")
    authorization_plugins: tuple[str, ...] | None = several("Greffons d’autorisation")
    default_ulimits: tuple[str, ...] | None = several("Limites par défaut", "Noms seulement.")


@table(
    "units",
    "Unités systemd",
    "Les unités derrière les écoutes de la machine, celles de Docker, et toutes celles en échec.",
    key=("unit",),
    source="systemd",
)
class Unit(Row):
    unit: str = text("Unité")
    active: str | None = text("État", words=ACTIVE_STATES)
    sub: str | None = text("Sous-état")
    enabled: str | None = text("Au démarrage", "enabled, disabled, static, generated… tel que systemd le dit.")
    load: str | None = text("Chargement", "loaded, not-found, masked, bad-setting ou error.")
    result: str | None = text("Résultat", "success, exit-code, signal, timeout…")
    exit_status: int | None = integer("Code de sortie", "Du processus principal, s’il s’est terminé.")
    main_pid: int | None = integer("PID principal")
    restart: str | None = text("Redémarrage", "no, always, on-failure…")
    restarts: int | None = integer("Redémarrages")
    since: dt.datetime | None = instant("Depuis")
    fragment: str | None = text("Fichier")
    listens: tuple[str, ...] | None = several("Écoutes")
    description: str | None = text("Description")
