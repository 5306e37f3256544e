"""CIS: what a container could do without (CIS Docker Benchmark 1.6, sections 4 and 5; informational, on demand)."""

from auditlib.checks.cis import on_container
from auditlib.facts.legacy import Record
from auditlib.findings.check import NotApplicable


@on_container(
    "CIS-4.1",
    "info",
    "Chaque conteneur tourne sous un compte qui n’est pas root",
    fault="tourne en tant que root",
    remedy="donner un compte ordinaire (« user: 1000:1000 », « --user ») ou choisir une image qui en déclare un",
    shows="{{.Config.User}}",
    extra=True,
)
def root_user(container: Record) -> Record | None:
    """No user, or root by name or number. The engine gives the image's user where the container sets none."""
    user = str(container["user"] or "").partition(":")[0]
    return {"user": container["user"]} if user in ("", "root") or user.strip("0") == "" else None


@on_container(
    "CIS-5.3",
    "info",
    "Aucun conteneur ne quitte le confinement de SELinux là où le démon en dispose",
    fault="n’est pas confiné par SELinux, alors que le démon en dispose",
    remedy="retirer « label=disable » de « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
    extra=True,
)
def selinux(container: Record, docker_engine: list[Record]) -> Record | None:
    """Containers that turn their label off. Docker labels the others by itself, so that no option is needed."""
    if not any("name=selinux" in (row["security_options"] or ()) for row in docker_engine):
        raise NotApplicable("le démon Docker ne dispose pas de SELinux")
    off = {"label=disable", "label:disable"} & {*(container["security_options"] or ())}
    return {"security_options": sorted(off)} if off else None


@on_container(
    "CIS-5.7",
    "info",
    "Aucun serveur SSH n’écoute dans un conteneur",
    fault="fait tourner un serveur SSH ({processes}, port {ports})",
    remedy="retirer ce serveur de l’image (« docker exec » ouvre un terminal sans lui)",
    shows="docker top {container}",
    extra=True,
)
def ssh_server(container: Record, container_listeners: list[Record]) -> Record | None:
    """Containers where an SSH server listens."""
    found = [row for row in container_listeners if row["process"] in ("sshd", "dropbear")]
    if not found:
        return None
    ports = [str(port) for port in sorted({row["port"] for row in found})]
    return {"processes": sorted({row["process"] for row in found}), "ports": ports}


@on_container(
    "CIS-5.8",
    "info",
    "Aucun port privilégié de la machine n’est publié",
    fault="publie des ports de la machine inférieurs à 1024 : {ports}",
    remedy="publier ces ports au-dessus de 1023, sauf pour le proxy qui reçoit le trafic du Web",
    shows="{{json .NetworkSettings.Ports}}",
    extra=True,
)
def privileged_ports(container: Record, publications: list[Record]) -> Record | None:
    """Ports below 1024, published on IPv4 or on IPv6."""
    low = {
        (row["host_port"], row["protocol"]) for row in publications if row["live"] and (row["host_port"] or 1024) < 1024
    }
    return {"ports": [f"{port}/{protocol}" for port, protocol in sorted(low)]} if low else None


@on_container(
    "CIS-5.9",
    "info",
    "Aucun port n’est publié sans que le conteneur y écoute",
    fault="publie des ports où rien n’écoute : {ports}",
    remedy="retirer de « ports » (« --publish ») ceux qui ne servent pas",
    shows="{{json .NetworkSettings.Ports}}",
    extra=True,
)
def needless_ports(container: Record, publications: list[Record], container_listeners: list[Record]) -> Record | None:
    """Published TCP ports without a listener, in a container whose listeners are known."""
    heard = {row["port"] for row in container_listeners if row["protocol"] == "tcp"}
    published = {row["container_port"] for row in publications if row["live"] and row["protocol"] == "tcp"}
    needless = sorted(published - heard) if heard else []
    return {"ports": [f"{port}/tcp" for port in needless]} if needless else None


@on_container(
    "CIS-5.11",
    "info",
    "Chaque conteneur a une limite de mémoire",
    fault="n’a pas de limite de mémoire",
    remedy="donner une limite de mémoire (« mem_limit », « --memory »)",
    shows="{{.HostConfig.Memory}}",
    extra=True,
)
def memory_limit(container: Record) -> Record | None:
    """Containers that may take all the memory of the machine."""
    return {"memory_limit": None} if container["memory_limit"] is None else None


@on_container(
    "CIS-5.12",
    "info",
    "Chaque conteneur a une part ou une limite de processeur",
    fault="n’a ni part ni limite de processeur",
    remedy="donner une limite ou une part (« cpus » ou « cpu_shares », « --cpus » ou « --cpu-shares »)",
    shows="{{.HostConfig.CpuShares}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}",
    extra=True,
)
def cpu_limit(container: Record) -> Record | None:
    """No weight, no number of processors, no quota."""
    bounds = ("cpu_shares", "nano_cpus", "cpu_quota")
    return {} if all(container[name] is None for name in bounds) else None


@on_container(
    "CIS-5.13",
    "info",
    "La racine de chaque conteneur est en lecture seule",
    fault="peut écrire dans sa racine",
    remedy="rendre la racine immuable (« read_only: true », « --read-only ») et monter en « tmpfs » ce qui est écrit",
    shows="{{.HostConfig.ReadonlyRootfs}}",
    extra=True,
)
def writable_root(container: Record) -> Record | None:
    """Containers whose root file system can be written to."""
    return {"readonly_rootfs": False} if container["readonly_rootfs"] is False else None


@on_container(
    "CIS-5.15",
    "info",
    "Aucun conteneur en échec n’est relancé plus de cinq fois",
    fault="est relancé jusqu’à {restart_max} fois après un échec",
    remedy="borner les redémarrages à 5 (« restart: on-failure:5 », « --restart »)",
    shows="{{json .HostConfig.RestartPolicy}}",
    extra=True,
)
def restarts(container: Record) -> Record | None:
    """A bound above 5. « always » and « unless-stopped » have none, and serve another purpose."""
    return {"restart_max": container["restart_max"]} if (container["restart_max"] or 0) > 5 else None


@on_container(
    "CIS-5.18",
    "info",
    "Aucun périphérique de la machine n’est donné à un conteneur",
    fault="dispose de périphériques de la machine : {devices}",
    remedy="retirer de « devices » (« --device ») ceux dont le programme peut se passer",
    shows="{{json .HostConfig.Devices}}",
    extra=True,
)
def devices(container: Record) -> Record | None:
    """Devices given one by one."""
    return {"devices": container["devices"]} if container["devices"] else None


@on_container(
    "CIS-5.19",
    "info",
    "Les limites de ressources de chaque conteneur sont réglées",
    fault="n’a aucune limite de ressources (ulimit) à lui, et le démon n’en donne pas par défaut",
    remedy="régler celles qui comptent (« ulimits », « --ulimit »), par exemple « nofile »",
    shows="{{json .HostConfig.Ulimits}}",
    extra=True,
)
def ulimits(container: Record, docker_daemon: list[Record]) -> Record | None:
    """No ulimit of its own, nor of the daemon's. Not judged where an older snapshot did not keep them."""
    by_default = any(row["default_ulimits"] for row in docker_daemon)
    return {} if container["ulimits"] == () and not by_default else None


@on_container(
    "CIS-5.25",
    "info",
    "Chaque conteneur est dans le cgroup par défaut",
    fault="est dans un cgroup particulier, « {cgroup_parent} »",
    remedy="retirer « cgroup_parent » (« --cgroup-parent ») si ses limites ne sont pas voulues",
    shows="{{.HostConfig.CgroupParent}}",
    extra=True,
)
def cgroup(container: Record) -> Record | None:
    """A cgroup other than the daemon's: the limits set there are those that count."""
    return {"cgroup_parent": container["cgroup_parent"]} if container["cgroup_parent"] else None


@on_container(
    "CIS-5.26",
    "info",
    "Aucun conteneur ne peut acquérir de nouveaux privilèges",
    fault="peut acquérir de nouveaux privilèges{explicit}",
    remedy="ajouter « no-new-privileges:true » à « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
    extra=True,
)
def new_privileges(container: Record, docker_daemon: list[Record] | None = None) -> Record | None:
    """Neither its own option nor the daemon's forbids it. `no-new-privileges:false` allows it, in spite of its name."""
    options = [one.replace("=", ":", 1) for one in container["security_options"] or ()]
    if any(one in ("no-new-privileges", "no-new-privileges:true") for one in options):
        return None
    explicit = "no-new-privileges:false" in options
    if not explicit and any(row["no_new_privileges"] for row in docker_daemon or ()):
        return None
    said = " : son option « no-new-privileges:false » l’y autorise"
    return {"security_options": options, "wording": {"explicit": said if explicit else ""}}


@on_container(
    "CIS-5.27",
    "info",
    "Chaque conteneur a un contrôle de santé",
    fault="n’a pas de contrôle de santé",
    remedy="déclarer un contrôle de santé (« healthcheck », « --health-cmd »)",
    shows="{{json .Config.Healthcheck}}",
    extra=True,
)
def health_check(container: Record) -> Record | None:
    """Neither the image nor the container defines one."""
    return {"image": container["image"]} if container["healthcheck"] is False else None


@on_container(
    "CIS-5.28",
    "info",
    "Chaque conteneur tourne sur l’image que désigne son étiquette",
    fault="tourne encore sur une image plus ancienne que celle que « {image} » désigne sur cette machine",
    remedy="garder la même étiquette si la nouvelle image convient",
    shows="{{.Image}}",
    extra=True,
)
def superseded_image(container: Record, images: list[Record]) -> Record | None:
    """The tag that the container was made from has moved to another image since."""
    image = str(container["image"] or "")
    tag = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    holder = next((row["id"] for row in images if tag in (row["tags"] or ())), None)
    moved = holder is not None and container["image_id"] is not None and holder != container["image_id"]
    return {"image": image, "image_id": container["image_id"], "newer": holder} if moved else None


@on_container(
    "CIS-5.29",
    "info",
    "Le nombre de processus de chaque conteneur est limité",
    fault="peut lancer autant de processus que la machine en supporte",
    remedy="borner le nombre de processus (« pids_limit: 200 », « --pids-limit 200 »)",
    shows="{{.HostConfig.PidsLimit}}",
    extra=True,
)
def processes(container: Record) -> Record | None:
    """Containers without a limit of processes."""
    return {"pids_limit": None} if container["pids_limit"] is None else None
