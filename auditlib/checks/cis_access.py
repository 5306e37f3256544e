"""CIS: what of the machine a container has access to: folders, ports, devices, Docker itself (section 5)."""

from collections.abc import Iterable

from auditlib.addresses import joined
from auditlib.checks.cis import ContainerFault, Rule, on_container
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import (
    Container,
    ContainerListener,
    ContainerNetwork,
    DockerEngine,
    Mount,
    Publication,
)
from auditlib.facts.tables.host import DockerSocket, SourceStatus
from auditlib.findings.check import About, fact, word
from auditlib.french import listing, quoted
from auditlib.software import SENSITIVE_FOLDERS, image_words, is_traefik
from auditlib.views.ports import EVERYWHERE, exposure
from auditlib.views.proxy import Proxy


class SensitiveFolders(ContainerFault):
    """Folders of the machine that a container must not write to, and can."""

    folders: tuple[str, ...] = fact("Dossiers")

    @property
    def about(self) -> About:
        """The folders in the container."""
        return {"mount": [f"{path} ({self.container})" for path in self.folders]}


@on_container(
    Rule("CIS-5.6", "high", "Aucun dossier sensible de la machine n’est monté en écriture"),
    fault="peut écrire dans des dossiers sensibles de la machine : {folders}",
    remedy="monter ces dossiers en lecture seule (« :ro »), ou seulement le fichier nécessaire",
    shows="{{json .Mounts}}",
)
def sensitive_folders(
    container: Container, mounts: Rows[Mount], docker_engine: Rows[DockerEngine] | None = None
) -> SensitiveFolders | None:
    """A sensitive folder mounted read-write, a parent of one, or a folder below one; not single files and devices."""
    # Podman and rootless engines keep their data elsewhere.
    sensitive = [*SENSITIVE_FOLDERS, *(engine.root for engine in docker_engine or () if engine.root)]
    folders = {source for source, mount in _bound(mounts) if mount.writable and _gives(mount, source, sensitive)}
    return SensitiveFolders(folders=tuple(sorted(folders))) if folders else None


def _bound(mounts: Rows[Mount]) -> list[tuple[str, Mount]]:
    """The mounts of what is on the machine, each with its path there."""
    return [(mount.source, mount) for mount in mounts if mount.type == "bind" and mount.source]


def _gives(mount: Mount, source: str, sensitive: Iterable[str]) -> bool:
    """Whether a mounted path gives a sensitive folder: itself, one above it, or a folder below one."""
    below = mount.folder is True
    return any(_within(folder, source) or (below and _within(source, folder)) for folder in sensitive)


def _within(path: str, folder: str) -> bool:
    """Whether `path` is `folder`, or is below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


class SshServer(ContainerFault):
    """An SSH server, by its programs and the ports where it listens."""

    processes: tuple[str, ...]
    ports: tuple[str, ...]


@on_container(
    Rule("CIS-5.7", "info", "Aucun serveur SSH n’écoute dans un conteneur"),
    fault="fait tourner un serveur SSH ({processes}, port {ports})",
    remedy="retirer ce serveur de l’image (« docker exec » ouvre un terminal sans lui)",
    shows="docker top {container}",
)
def ssh_server(container: Container, container_listeners: Rows[ContainerListener]) -> SshServer | None:
    """Containers where an SSH server listens."""
    servers = [(row.process, row.port) for row in container_listeners if row.process in ("sshd", "dropbear")]
    processes, ports = sorted({process for process, _ in servers}), sorted({port for _, port in servers})
    return SshServer(processes=tuple(processes), ports=tuple(map(str, ports))) if servers else None


class PublishedPorts(ContainerFault):
    """Ports that a container publishes on the machine."""

    ports: tuple[str, ...]


@on_container(
    Rule("CIS-5.8", "info", "Aucun port privilégié de la machine n’est publié"),
    fault="publie des ports de la machine inférieurs à 1024 : {ports}",
    remedy="publier ces ports au-dessus de 1023, sauf pour le proxy qui reçoit le trafic du Web",
    shows="{{json .NetworkSettings.Ports}}",
)
def privileged_ports(container: Container, publications: Rows[Publication]) -> PublishedPorts | None:
    """Ports below 1024, published on IPv4 or on IPv6."""
    low = {(row.host_port, row.protocol) for row in publications if row.live and row.host_port and row.host_port < 1024}
    return PublishedPorts(ports=tuple(f"{port}/{protocol}" for port, protocol in sorted(low))) if low else None


@on_container(
    Rule("CIS-5.9", "info", "Aucun port n’est publié sans que le conteneur y écoute"),
    fault="publie des ports où rien n’écoute : {ports}",
    remedy="retirer de « ports » (« --publish ») ceux qui ne servent pas",
    shows="{{json .NetworkSettings.Ports}}",
    whole=("container_listeners",),
)
def needless_ports(
    container: Container,
    publications: Rows[Publication],
    container_listeners: Rows[ContainerListener],
    sources: Rows[SourceStatus],
) -> PublishedPorts | None:
    """Published TCP ports without a listener in the network of the container, which others may share.

    A container that just starts, or starts again, may not listen yet.
    """
    if container.state == "restarting" or container.health == "starting":
        return None
    published = {row.container_port for row in publications if row.live and row.protocol == "tcp"}
    inside = [row for row in container_listeners if container.name in row.network_of.split(", ")]
    if published and not inside and not _all_read(sources):
        raise AbsentTable(
            "container_listeners", f"les écoutes de {quoted(container.name)} n’ont peut-être pas été lues"
        )
    needless = sorted(published - {row.port for row in inside if row.protocol == "tcp"})
    return PublishedPorts(ports=tuple(f"{port}/tcp" for port in needless)) if needless else None


def _all_read(sources: Rows[SourceStatus]) -> bool:
    """Whether the sockets of every container were read: then one without any listens to nothing."""
    return any(source.source == "namespaces" and source.status == "ok" for source in sources)


class OpenPorts(PublishedPorts):
    """Ports that a container publishes on every address of the machine."""

    @property
    def about(self) -> About:
        """The publications."""
        ports = [port.rpartition("/") for port in self.ports]
        return {"publication": [f"{self.container} {kind}/{place.rpartition(':')[2]}" for place, _, kind in ports]}


@on_container(
    Rule("CIS-5.14", "low", "Chaque port publié l’est sur une adresse précise"),
    fault="publie sur toutes les interfaces de la machine, IPv4 ou IPv6 : {ports}",
    remedy="faire précéder chaque port d’une adresse, par exemple « 127.0.0.1: », là où l’extérieur n’en a pas besoin",
    shows="{{json .NetworkSettings.Ports}}",
)
def every_interface(container: Container, publications: Rows[Publication]) -> OpenPorts | None:
    """Ports published on 0.0.0.0 or on ::, one as bad as the other."""
    wide = [row for row in publications if row.live and exposure([row.host_ip]) == EVERYWHERE]
    ports = sorted((row.host_port or 0, row.protocol, joined(row.host_ip, row.host_port or 0)) for row in wide)
    return OpenPorts(ports=tuple(f"{place}/{protocol}" for _, protocol, place in ports)) if ports else None


on_container(
    Rule("CIS-5.18", "info", "Aucun périphérique de la machine n’est donné à un conteneur"),
    fault="dispose de périphériques de la machine : {devices}",
    remedy="retirer de « devices » (« --device ») ceux dont le programme peut se passer",
    shows="{{json .HostConfig.Devices}}",
    when=lambda container: bool(container.devices),
    tells=(Container.devices,),
)


class SharedMounts(ContainerFault):
    """Mounts that appear on the machine too."""

    destinations: tuple[str, ...] = fact("Points de montage")


@on_container(
    Rule("CIS-5.20", "medium", "Aucun montage ne se propage vers la machine"),
    fault="a des montages en propagation partagée, et peut ainsi en faire apparaître sur la machine : {destinations}",
    remedy="retirer la propagation « shared » ou « rshared » de ces montages, ou la remplacer par « rslave »",
    shows="{{json .Mounts}}",
)
def shared_propagation(container: Container, mounts: Rows[Mount]) -> SharedMounts | None:
    """Mounts whose propagation is shared or rshared."""
    destinations = sorted(mount.destination for mount in mounts if mount.propagation in ("shared", "rshared"))
    return SharedMounts(destinations=tuple(destinations)) if destinations else None


class DefaultNetwork(ContainerFault):
    """Docker's default network, where every container sees every other."""

    network: str


@on_container(
    Rule("CIS-5.30", "info", "Aucun conteneur n’utilise le réseau par défaut de Docker"),
    fault="est sur le réseau par défaut « bridge », où tous les conteneurs se voient et où aucun nom n’est résolu",
    remedy="attacher le conteneur à un réseau nommé (« networks », « --network »)",
    shows="{{json .NetworkSettings.Networks}}",
    extra=False,
)
def default_bridge(container: Container, container_networks: Rows[ContainerNetwork]) -> DefaultNetwork | None:
    """Containers on the network `bridge`, whatever the name of its interface (docker0 by default)."""
    attached = any(attachment.network == "bridge" for attachment in container_networks)
    return DefaultNetwork(network="bridge") if attached else None


# Images that exist to filter Docker's API for others, and reverse proxies that find their routes in it.
_SOCKET_PROXIES = frozenset({"socket-proxy", "socketproxy", "dockerproxy", "docker-proxy"})
_REVERSE_PROXIES = frozenset({"nginx-proxy", "docker-gen", "caddy-docker-proxy"})


class MountedSocket(ContainerFault):
    """Docker's socket, by the paths that give it."""

    sources: tuple[str, ...] = fact("Chemins montés")
    writable: bool
    through: str = word()
    access: str = word()

    @property
    def about(self) -> About:
        """The paths in the container."""
        return {"mount": [f"{path} ({self.container})" for path in self.sources]}


@on_container(
    Rule("CIS-5.32", "high", "Le socket de Docker n’est monté dans aucun conteneur"),
    fault="monte le socket de Docker{through}, {access} : il peut tout demander au démon, donc prendre la machine",
    remedy="remplacer ce montage par un proxy de socket qui ne permet que l’utile ; seul ce proxy garde le socket",
    shows="{{json .Mounts}}",
)
def docker_socket(
    container: Container,
    mounts: Rows[Mount],
    docker_sockets: Rows[DockerSocket] | None = None,
    docker_engine: Rows[DockerEngine] | None = None,
    proxy: Rows[Proxy] | None = None,
) -> MountedSocket | None:
    """Docker's socket mounted, or a folder that holds it. Read-only stops no call: a socket is written to all the same.

    A reverse proxy needs it, and a socket proxy exists for it: read-only, they are the lesser evil.
    """
    sockets = _sockets(docker_sockets or (), docker_engine or ())
    held = [(source, mount) for source, mount in _bound(mounts) if _holds(source, sockets)]
    if not held:
        return None
    sources, writable = sorted({source for source, _ in held}), any(mount.writable for _, mount in held)
    fit = bool(proxy) or _needs_socket(container.image)
    folders = [source for source in sources if not source.endswith(".sock")]
    return MountedSocket(
        sources=tuple(sources),
        writable=writable,
        severity="high" if writable else "low" if fit else "medium",
        through=f" par le dossier {listing(map(quoted, folders))} qui le contient" if folders else "",
        access="en écriture" if writable else "en lecture seule, ce qui n’arrête aucun appel à l’API",
    )


def _sockets(sockets: Iterable[DockerSocket], engines: Iterable[DockerEngine]) -> set[str]:
    """The paths of Docker's sockets; the default one where none is known."""
    paths = [socket.path for socket in sockets if socket.daemon == "docker"]
    endpoints = [engine.endpoint for engine in engines if engine.local and engine.endpoint]
    paths += [endpoint.removeprefix("unix://") for endpoint in endpoints if endpoint.startswith("unix://")]
    return {_run(path) for path in paths} or {"/run/docker.sock"}


def _needs_socket(image: str | None) -> bool:
    """Whether an image is that of a socket proxy, or of a reverse proxy that asks the engine for its routes."""
    words = "-".join(image_words(image))
    return words in _REVERSE_PROXIES or any(name in words for name in _SOCKET_PROXIES) or is_traefik(image)


def _run(path: str) -> str:
    """A path with /var/run, a link on every current system, as /run."""
    return f"/run{path.removeprefix('/var/run')}" if _within(path, "/var/run") else path


def _holds(source: str, sockets: Iterable[str]) -> bool:
    """Whether a mounted path is a socket of Docker, or a folder above one."""
    return source.endswith("/docker.sock") or any(_within(socket, _run(source)) for socket in sockets)
