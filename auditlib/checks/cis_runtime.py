"""CIS: what a container is given of the machine (CIS Docker Benchmark 1.6, section 5; those on by default)."""

from collections.abc import Iterable

from auditlib.checks.cis import on_container
from auditlib.facts.legacy import Record
from auditlib.findings.check import NotApplicable
from auditlib.french import listing, quoted
from auditlib.software import SENSITIVE_FOLDERS, image_words, is_traefik
from auditlib.views.ports import EVERYWHERE, exposure


@on_container(
    "CIS-5.2",
    "medium",
    "Chaque conteneur est confiné par AppArmor là où le démon en dispose",
    fault="n’est confiné par aucun profil AppArmor, alors que le démon en dispose",
    remedy="retirer « apparmor=unconfined » de « security_opt » (« --security-opt »)",
    shows="{{.AppArmorProfile}}",
)
def apparmor(container: Record, docker_engine: list[Record]) -> Record | None:
    """No profile, or none that confines. A privileged container never has one: CIS-5.5 judges it."""
    if not _offers(docker_engine, "name=apparmor"):
        raise NotApplicable("le démon Docker ne dispose pas d’AppArmor")
    profile = container["apparmor_profile"]
    bare = profile in (None, "unconfined") and not container["privileged"]
    return {"apparmor_profile": profile} if bare else None


def _offers(docker_engine: list[Record], option: str) -> bool:
    """Whether the engine has a security option: `name=apparmor`, `name=seccomp,profile=default`."""
    return any(one.partition(",")[0] == option for row in docker_engine for one in row["security_options"] or ())


# What Docker gives to every container (moby, `oci/caps/defaults.go`): adding one of them again gives nothing more.
DEFAULT_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"}
    | {"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
# Any of these is as good as root on the machine.
MIGHTY_CAPABILITIES = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "DAC_READ_SEARCH"})


@on_container(
    "CIS-5.4",
    "medium",
    "Aucun conteneur n’a de capacité du noyau au-delà de celles par défaut",
    fault="reçoit des capacités du noyau en plus : {capabilities}{effect}",
    remedy="retirer de « cap_add » (« --cap-add ») celles dont le programme peut se passer",
    shows="{{json .HostConfig.CapAdd}}",
)
def capabilities(container: Record) -> Record | None:
    """Capabilities added. NET_BIND_SERVICE is told too: in a container, ports below 1024 are free to all."""
    added = {one.upper().removeprefix("CAP_") for one in container["cap_add"] or ()}
    beyond = sorted(added - DEFAULT_CAPABILITIES | added & {"NET_BIND_SERVICE"})
    mighty = sorted(added & MIGHTY_CAPABILITIES)
    if not beyond:
        return None
    effect = f" ; {listing(mighty)} {'donne' if len(mighty) == 1 else 'donnent'} de quoi prendre la machine"
    return {
        "capabilities": beyond,
        "severity": "high" if mighty else "low" if beyond == ["NET_BIND_SERVICE"] else "medium",
        "wording": {"effect": effect if mighty else ""},
    }


@on_container(
    "CIS-5.5",
    "critical",
    "Aucun conteneur n’est privilégié",
    fault="est privilégié : ce qui s’y exécute peut prendre toute la machine",
    remedy="retirer « privileged: true » (« --privileged ») et ne donner que les capacités et périphériques utiles",
    shows="{{.HostConfig.Privileged}}",
)
def privileged(container: Record) -> Record | None:
    """Containers with every capability and device."""
    return {"image": container["image"]} if container["privileged"] else None


@on_container(
    "CIS-5.6",
    "high",
    "Aucun dossier sensible de la machine n’est monté en écriture",
    fault="peut écrire dans des dossiers sensibles de la machine : {folders}",
    remedy="monter ces dossiers en lecture seule (« :ro »), ou seulement le fichier nécessaire",
    shows="{{json .Mounts}}",
)
def sensitive_folders(
    container: Record, mounts: list[Record], docker_engine: list[Record] | None = None
) -> Record | None:
    """A sensitive folder mounted read-write, a parent of one, or a folder below one; not single files and devices."""
    # Podman and rootless engines keep their data elsewhere.
    roots = [row["root"] for row in docker_engine or () if row["root"]]
    bound = [row for row in mounts if row["type"] == "bind" and row["writable"] and row["source"]]
    folders = sorted({row["source"] for row in bound if _sensitive(row, (*SENSITIVE_FOLDERS, *roots))})
    return {"folders": folders} if folders else None


def _sensitive(mount: Record, folders: Iterable[str]) -> bool:
    return any(
        _within(folder, mount["source"]) or (mount["folder"] is True and _within(mount["source"], folder))
        for folder in folders
    )


def _within(path: str, folder: str) -> bool:
    """Whether `path` is `folder`, or is below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


@on_container(
    "CIS-5.10",
    "medium",
    "Aucun conteneur n’utilise le réseau de la machine",
    fault="utilise le réseau de la machine : tous ses ports y sont ouverts, et les services de la boucle locale lui "
    "répondent",
    remedy="remplacer « network_mode: host » (« --network host ») par un réseau Docker et ne publier que l’utile",
    shows="{{.HostConfig.NetworkMode}}",
)
def host_network(container: Record) -> Record | None:
    """Containers in the network namespace of the machine."""
    return {"network_mode": "host"} if container["network_mode"] == "host" else None


@on_container(
    "CIS-5.14",
    "low",
    "Chaque port publié l’est sur une adresse précise",
    fault="publie sur toutes les interfaces de la machine, IPv4 ou IPv6 : {ports}",
    remedy="faire précéder chaque port d’une adresse, par exemple « 127.0.0.1: », là où l’extérieur n’en a pas besoin",
    shows="{{json .NetworkSettings.Ports}}",
)
def every_interface(container: Record, publications: list[Record]) -> Record | None:
    """Ports published on 0.0.0.0 or on ::, one as bad as the other."""
    wide = [row for row in publications if row["live"] and exposure([row["host_ip"]]) == EVERYWHERE]
    ports = [f"{host}:{port}/{protocol}" for port, protocol, host in sorted(map(_published, wide))]
    return {"ports": ports} if ports else None


def _published(row: Record) -> tuple[int, str, str]:
    address = f"[{row['host_ip']}]" if ":" in row["host_ip"] else row["host_ip"]
    return row["host_port"] or 0, row["protocol"], address


@on_container(
    "CIS-5.16",
    "high",
    "Aucun conteneur ne voit les processus de la machine",
    fault="partage l’espace des processus de la machine : il peut les voir, les tracer et les arrêter",
    remedy="retirer « pid: host » (« --pid host »)",
    shows="{{.HostConfig.PidMode}}",
)
def host_processes(container: Record) -> Record | None:
    """Containers in the PID namespace of the machine."""
    return {"pid_mode": "host"} if container["pid_mode"] == "host" else None


@on_container(
    "CIS-5.17",
    "medium",
    "Aucun conteneur ne partage la mémoire IPC de la machine",
    fault="partage l’espace IPC de la machine : la mémoire partagée de ses programmes lui est ouverte",
    remedy="retirer « ipc: host » (« --ipc host »)",
    shows="{{.HostConfig.IpcMode}}",
)
def host_ipc(container: Record) -> Record | None:
    """Containers in the IPC namespace of the machine."""
    return {"ipc_mode": "host"} if container["ipc_mode"] == "host" else None


@on_container(
    "CIS-5.20",
    "medium",
    "Aucun montage ne se propage vers la machine",
    fault="a des montages en propagation partagée, et peut ainsi en faire apparaître sur la machine : {destinations}",
    remedy="retirer la propagation « shared » ou « rshared » de ces montages, ou la remplacer par « rslave »",
    shows="{{json .Mounts}}",
)
def shared_propagation(container: Record, mounts: list[Record]) -> Record | None:
    """Mounts whose propagation is shared or rshared."""
    destinations = sorted(row["destination"] for row in mounts if row["propagation"] in ("shared", "rshared"))
    return {"destinations": destinations} if destinations else None


@on_container(
    "CIS-5.21",
    "low",
    "Aucun conteneur ne partage le nom de la machine",
    fault="partage l’espace UTS de la machine, et peut changer son nom",
    remedy="retirer « uts: host » (« --uts host »)",
    shows="{{.HostConfig.UTSMode}}",
)
def host_name(container: Record) -> Record | None:
    """Containers in the UTS namespace of the machine."""
    return {"uts_mode": "host"} if container["uts_mode"] == "host" else None


@on_container(
    "CIS-5.22",
    "high",
    "Aucun conteneur n’est sans filtre seccomp",
    fault="n’a pas de filtre seccomp : tous les appels au noyau lui sont permis",
    remedy="retirer « seccomp=unconfined » de « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
)
def seccomp(container: Record) -> Record | None:
    """Containers whose seccomp filter was taken off. The older form has a colon."""
    off = {"seccomp=unconfined", "seccomp:unconfined"} & {*(container["security_options"] or ())}
    return {"security_options": sorted(off)} if off else None


@on_container(
    "CIS-5.30",
    "info",
    "Aucun conteneur n’utilise le réseau par défaut de Docker",
    fault="est sur le réseau par défaut « bridge », où tous les conteneurs se voient et où aucun nom n’est résolu",
    remedy="attacher le conteneur à un réseau nommé (« networks », « --network »)",
    shows="{{json .NetworkSettings.Networks}}",
)
def default_bridge(container: Record, container_networks: list[Record]) -> Record | None:
    """Containers on the network `bridge`, whatever the name of its interface (docker0 by default)."""
    return {"network": "bridge"} if any(row["network"] == "bridge" for row in container_networks) else None


@on_container(
    "CIS-5.31",
    "medium",
    "Aucun conteneur ne renonce à l’espace utilisateur du démon",
    fault="utilise l’espace utilisateur de la machine : son root y est root",
    remedy="retirer « userns_mode: host » (« --userns host »)",
    shows="{{.HostConfig.UsernsMode}}",
)
def host_users(container: Record) -> Record | None:
    """Containers that leave the user namespace of the daemon for the machine's."""
    return {"userns_mode": "host"} if container["userns_mode"] == "host" else None


# Images that exist to filter Docker's API for others, and reverse proxies that find their routes in it.
_SOCKET_PROXIES = frozenset({"socket-proxy", "socketproxy", "dockerproxy", "docker-proxy"})
_REVERSE_PROXIES = frozenset({"nginx-proxy", "docker-gen", "caddy-docker-proxy"})


@on_container(
    "CIS-5.32",
    "high",
    "Le socket de Docker n’est monté dans aucun conteneur",
    fault="monte le socket de Docker{through}, {access} : il peut tout demander au démon, donc prendre la machine",
    remedy="remplacer ce montage par un proxy de socket qui ne permet que l’utile ; seul ce proxy garde le socket",
    shows="{{json .Mounts}}",
)
def docker_socket(
    container: Record,
    mounts: list[Record],
    docker_sockets: list[Record] | None = None,
    docker_engine: list[Record] | None = None,
    proxy: list[Record] | None = None,
) -> Record | None:
    """Docker's socket mounted, or a folder that holds it. Read-only stops no call: a socket is written to all the same.

    A reverse proxy needs it, and a socket proxy exists for it: read-only, they are the lesser evil.
    """
    sockets = {_run(row["path"]) for row in docker_sockets or () if row["daemon"] == "docker"}
    sockets |= {_run(row["endpoint"].removeprefix("unix://")) for row in docker_engine or () if _is_socket(row)}
    found = [row for row in mounts if row["type"] == "bind" and _holds(row["source"], sockets or {"/run/docker.sock"})]
    if not found:
        return None
    writable = any(row["writable"] for row in found)
    sources = sorted({row["source"] for row in found})
    words = "-".join(image_words(container["image"]))
    fit = words in _REVERSE_PROXIES or any(known in words for known in _SOCKET_PROXIES)
    fit = fit or is_traefik(container["image"]) or any(row["container"] == container["name"] for row in proxy or ())
    folders = [source for source in sources if not source.endswith(".sock")]
    return {
        "sources": sources,
        "writable": writable,
        "severity": "high" if writable else "low" if fit else "medium",
        "wording": {
            "through": f" par le dossier {listing(map(quoted, folders))} qui le contient" if folders else "",
            "access": "en écriture" if writable else "en lecture seule, ce qui n’arrête aucun appel à l’API",
        },
    }


def _is_socket(engine: Record) -> bool:
    return bool(engine["local"]) and str(engine["endpoint"]).startswith("unix://")


def _run(path: str) -> str:
    """A path with /var/run, a link on every current system, as /run."""
    return f"/run{path.removeprefix('/var/run')}" if _within(path, "/var/run") else path


def _holds(source: str | None, sockets: Iterable[str]) -> bool:
    """Whether a mounted path is a socket of Docker, or a folder above one."""
    if not source:
        return False
    return source.endswith("/docker.sock") or any(_within(socket, _run(source)) for socket in sockets)
