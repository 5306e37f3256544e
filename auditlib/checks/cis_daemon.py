"""CIS: how the Docker daemon is set, and who may talk to it (CIS Docker Benchmark 1.6, sections 2 and 3)."""

from collections.abc import Iterator

from auditlib.addresses import host_and_port, is_loopback
from auditlib.checks.cis import DaemonFault, Rule, on_daemon, on_engine, security_features
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import DockerEngine
from auditlib.facts.tables.host import DockerDaemon, DockerSocket, GroupMember
from auditlib.findings.check import Fault, NotApplicable, fact, word

# Section 2: the settings

on_daemon(
    Rule("CIS-2.2", "info", "Les conteneurs du réseau par défaut ne se voient pas"),
    fault="laisse communiquer tous les conteneurs du réseau par défaut",
    remedy="régler « icc » à « false »",
    shows="docker network inspect bridge",
    when=lambda daemon: daemon.icc is not False,
    tells=(DockerDaemon.icc,),
)

on_daemon(
    Rule("CIS-2.3", "info", "Le niveau de journal du démon Docker est « info »"),
    fault="tient son journal au niveau « {log_level} »",
    remedy="régler « log-level » à « info »",
    when=lambda daemon: daemon.log_level not in (None, "info"),
    tells=(DockerDaemon.log_level,),
)

on_daemon(
    Rule("CIS-2.4", "info", "Le démon Docker peut régler iptables"),
    fault="ne règle pas iptables : ni l’isolation des réseaux ni les ports publiés ne sont garantis",
    remedy="retirer « iptables » réglé à « false »",
    shows="sudo iptables -S DOCKER",
    when=lambda daemon: daemon.iptables is False,
    tells=(DockerDaemon.iptables,),
)


class InsecureRegistries(DaemonFault):
    """Registries that need not prove who they are."""

    registries: tuple[str, ...] = fact("Registres")


@on_daemon(
    Rule("CIS-2.5", "info", "Le démon Docker n’a aucun registre sans TLS"),
    fault="accepte des registres sans TLS vérifié : {registries}",
    remedy="retirer ces registres de « insecure-registries »",
    shows="docker info --format '{{json .RegistryConfig.InsecureRegistryCIDRs}}'",
)
def insecure_registries(daemon: DockerDaemon) -> InsecureRegistries | None:
    """None by default, loopback aside."""
    return InsecureRegistries(registries=daemon.insecure_registries) if daemon.insecure_registries else None


class StorageDriver(DaemonFault):
    """A storage driver that Docker has given up."""

    storage_driver: str


@on_daemon(
    Rule("CIS-2.6", "info", "Le pilote de stockage n’est pas aufs"),
    fault="utilise le pilote de stockage « aufs », abandonné",
    remedy="régler « storage-driver » à « overlay2 », après avoir sauvegardé ce que les conteneurs portent",
    shows="docker info --format '{{.Driver}}'",
)
def aufs(daemon: DockerDaemon, docker_engine: Rows[DockerEngine]) -> StorageDriver | None:
    """What the engine says it uses."""
    used = any(engine.storage_driver == "aufs" for engine in docker_engine)
    return StorageDriver(storage_driver="aufs") if used else None


class OpenAddresses(DaemonFault):
    """Addresses that obey without a certificate."""

    addresses: tuple[str, ...]
    tls: bool | None


@on_daemon(
    Rule("CIS-2.7", "critical", "Le démon Docker n’écoute aucune adresse sans exiger de certificat"),
    fault="obéit sans certificat à quiconque joint {addresses} : c’est un accès root à la machine",
    remedy="retirer cette adresse de « hosts », ou exiger des certificats (« tlsverify », « tlscacert », « tlscert » "
    "et « tlskey »)",
    shows="ss -ltnp",
)
def open_tcp(daemon: DockerDaemon) -> OpenAddresses | None:
    """TCP addresses without `tlsverify`: TLS alone encrypts, and asks the client for nothing.

    On loopback only, it takes a process of this machine: high. `fd://` leaves the address to systemd.
    """
    addresses = tuple(address for address in daemon.hosts or () if address.startswith("tcp://"))
    if not addresses or daemon.tlsverify:
        return None
    near = all(is_loopback(host_and_port(address)[0]) for address in addresses)
    return OpenAddresses(addresses=addresses, tls=daemon.tls, severity="high" if near else None)


class UnsetDefault(DaemonFault):
    """A default that containers which ask for nothing go without."""

    default: str = word(about="default")


@on_daemon(
    Rule("CIS-2.8", "info", "Des limites de ressources par défaut sont réglées"),
    fault="ne donne aucune limite de ressources (ulimit) par défaut à ses conteneurs",
    remedy="régler « default-ulimits », par exemple pour « nofile »",
)
def default_limits(daemon: DockerDaemon) -> UnsetDefault | None:
    """No default ulimit."""
    return None if daemon.default_ulimits else UnsetDefault(default="limites de ressources")


@on_daemon(
    Rule("CIS-2.9", "info", "Le root des conteneurs n’est pas celui de la machine"),
    fault="n’isole pas le root des conteneurs de celui de la machine",
    remedy="régler « userns-remap » à « default », en sachant que les volumes existants changent de propriétaire",
    shows="docker info --format '{{.SecurityOptions}}'",
)
def user_namespace(daemon: DockerDaemon, docker_engine: Rows[DockerEngine]) -> bool:
    """Neither user namespaces nor a rootless engine."""
    return not (daemon.userns_remap or security_features(docker_engine) & {"userns", "rootless"})


on_daemon(
    Rule("CIS-2.10", "info", "Le cgroup du démon Docker est celui par défaut"),
    fault="met ses conteneurs dans un cgroup particulier, « {cgroup_parent} »",
    remedy="retirer « cgroup-parent » si ses limites ne sont pas voulues",
    when=lambda daemon: bool(daemon.cgroup_parent),
    tells=(DockerDaemon.cgroup_parent,),
)


class BaseSize(DaemonFault):
    """A size of its own for the roots of containers."""

    base_size: str = fact("Taille de base")


@on_daemon(
    Rule("CIS-2.11", "info", "La taille de base des conteneurs est celle par défaut"),
    fault="donne à chaque conteneur une racine d’une autre taille que celle par défaut (« {base_size} »)",
    remedy="retirer « dm.basesize » de « storage-opts » si aucune image ne demande tant de place",
)
def base_size(daemon: DockerDaemon) -> BaseSize | None:
    """The device mapper's 10 GiB, as long as nothing needs another size. Of an option given twice, the last counts."""
    options = [option.partition("=") for option in daemon.storage_opts or ()]
    sizes = [value.strip() for key, _, value in options if key.strip().lower() == "dm.basesize"]
    return BaseSize(base_size=sizes[-1]) if sizes else None


on_daemon(
    Rule("CIS-2.12", "info", "Les commandes du client Docker sont soumises à autorisation"),
    fault="n’a pas de greffon d’autorisation : qui peut lui parler peut tout lui demander",
    remedy="installer un greffon d’autorisation et le nommer dans « authorization-plugins », si plusieurs comptes s’en "
    "servent",
    shows="docker info --format '{{.Plugins.Authorization}}'",
    when=lambda daemon: not daemon.authorization_plugins,
)


class LocalLogs(DaemonFault):
    """A log driver that leaves the logs on the machine."""

    driver: str


@on_daemon(
    Rule("CIS-2.13", "info", "Les journaux des conteneurs sont centralisés"),
    fault="garde les journaux des conteneurs sur la machine (pilote « {driver} »)",
    remedy="régler « log-driver » vers un collecteur (« journald », « syslog », « gelf », « fluentd »…)",
    shows="docker info --format '{{.LoggingDriver}}'",
)
def local_logs(daemon: DockerDaemon) -> LocalLogs | None:
    """json-file by default."""
    driver = daemon.log_driver or "json-file"
    return LocalLogs(driver=driver) if driver in ("json-file", "local") else None


@on_daemon(
    Rule("CIS-2.14", "info", "Les conteneurs ne peuvent pas acquérir de privilèges par défaut"),
    fault="laisse par défaut ses conteneurs acquérir de nouveaux privilèges",
    remedy="régler « no-new-privileges » à « true »",
)
def default_privileges(daemon: DockerDaemon) -> UnsetDefault | None:
    """`no-new-privileges` is off by default."""
    return None if daemon.no_new_privileges else UnsetDefault(default="nouveaux privilèges")


@on_daemon(
    Rule("CIS-2.15", "info", "Les conteneurs survivent à un redémarrage du démon Docker"),
    fault="arrête ses conteneurs quand il redémarre",
    remedy="régler « live-restore » à « true »",
    shows="docker info --format '{{.LiveRestoreEnabled}}'",
)
def live_restore(daemon: DockerDaemon, docker_engine: Rows[DockerEngine]) -> bool:
    """Off by default; a swarm forbids it."""
    if any(engine.swarm == "active" for engine in docker_engine):
        raise NotApplicable("un essaim Docker interdit « live-restore »")
    return not (daemon.live_restore or any(engine.live_restore for engine in docker_engine))


on_daemon(
    Rule("CIS-2.16", "info", "Les ports publiés ne passent pas par un proxy en espace utilisateur"),
    fault="lance un processus « docker-proxy » par port publié",
    remedy="régler « userland-proxy » à « false »",
    shows="pgrep -c docker-proxy",
    when=lambda daemon: daemon.userland_proxy is not False,
)


class SeccompProfile(DaemonFault):
    """A seccomp profile that forbids nothing."""

    seccomp_profile: str


@on_daemon(
    Rule("CIS-2.17", "info", "Le filtre seccomp du démon Docker est actif"),
    fault="ne filtre les appels au noyau d’aucun conteneur : son profil seccomp est « unconfined »",
    remedy="retirer « seccomp-profile », ou nommer un profil",
    shows="docker info --format '{{.SecurityOptions}}'",
)
def seccomp_profile(daemon: DockerDaemon, docker_engine: Rows[DockerEngine]) -> SeccompProfile | None:
    """The default profile, or one of this machine's own, will do."""
    off = any("name=seccomp,profile=unconfined" in (engine.security_options or ()) for engine in docker_engine)
    return SeccompProfile(seccomp_profile="unconfined") if off or daemon.seccomp_profile == "unconfined" else None


on_daemon(
    Rule("CIS-2.18", "info", "Le démon Docker n’a pas de fonctions expérimentales"),
    fault="a ses fonctions expérimentales activées",
    remedy="retirer « experimental »",
    shows="docker version --format '{{.Server.Experimental}}'",
    when=lambda daemon: daemon.experimental is True,
    tells=(DockerDaemon.experimental,),
)


# Section 3: the socket

_ALLOWED_MODE = 0o660


class SocketOwner(Fault):
    """A socket of Docker that belongs to others than root and its group."""

    listener: str = fact("Socket")
    owner: str | None
    group: str | None
    wanted: str = word()


@on_engine(
    Rule("CIS-3.15", "high", "Le socket de Docker appartient à root et à son groupe"),
    about="listener",
    message="Le socket « {listener} » appartient à « {owner}:{group} » au lieu de « root:{wanted} » : qui le possède "
    "peut tout demander au démon.",
    remedy="Rendre le socket à « root:{wanted} », puis retirer de la configuration du démon ou de « docker.socket » ce "
    "qui lui donne un autre propriétaire.",
    commands=("sudo chown root:{wanted} {listener}",),
    shows="stat -c %U:%G {listener}",
)
def socket_owner(
    docker_sockets: Rows[DockerSocket],
    docker_daemon: Rows[DockerDaemon] | None = None,
    docker_group: Rows[GroupMember] | None = None,
) -> Iterator[SocketOwner]:
    """Sockets of other owners than root and Docker's group: `docker`, the one that the daemon is told, or root.

    A rootless engine's socket belongs to its user. A number in place of a group's name, where the accounts could not be
    read, tells nothing.
    """
    groups = [daemon.group for daemon in docker_daemon or () if daemon.group]
    for socket in _system_sockets(docker_sockets):
        nameless = docker_group is None and (socket.group or "").isdecimal()
        if socket.owner not in ("root", "0") or not (nameless or socket.group in ("docker", "root", "0", *groups)):
            wanted = groups[0] if groups else "docker"
            yield SocketOwner(listener=socket.path, owner=socket.owner, group=socket.group, wanted=wanted)


class SocketMode(Fault):
    """A socket of Docker that is open to more than root and its group."""

    listener: str = fact("Socket")
    mode: str
    beyond: str = fact("Droits de trop")
    effect: str = word()


@on_engine(
    Rule("CIS-3.16", "high", "Le socket de Docker n’est ouvert qu’à root et à son groupe"),
    about="listener",
    message="Le socket « {listener} » a les droits {mode} au lieu de 660 au plus : {effect}.",
    remedy="Ramener les droits du socket à 660, puis retirer de « docker.socket » (« SocketMode ») ou du démarrage ce "
    "qui les élargit.",
    commands=("sudo chmod 660 {listener}",),
    shows="stat -c %a {listener}",
)
def socket_mode(docker_sockets: Rows[DockerSocket]) -> Iterator[SocketMode]:
    """Modes with a bit beyond 660, compared bit by bit: 606, a smaller number than 660, opens the socket to all."""
    sockets = _system_sockets(docker_sockets)
    for path, mode in ((socket.path, socket.mode) for socket in sockets if socket.mode):
        bits = int(mode, 8)
        if beyond := bits & ~_ALLOWED_MODE:
            effect = "tout compte de la machine peut commander Docker" if bits & 0o002 else "des droits y sont de trop"
            yield SocketMode(listener=path, mode=mode, beyond=f"{beyond:o}", effect=effect)
    if not all(socket.mode for socket in sockets):
        raise AbsentTable("docker_sockets", "les droits des sockets n’ont pas tous été lus")


def _system_sockets(sockets: Rows[DockerSocket]) -> list[DockerSocket]:
    """Docker's sockets, without those of rootless engines, which are their user's."""
    return [socket for socket in sockets if socket.daemon == "docker" and not socket.path.startswith("/run/user/")]
