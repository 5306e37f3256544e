"""CIS: how a container is confined, and within which limits it runs (CIS Docker Benchmark 1.6, section 5)."""

from auditlib.checks.cis import ContainerFault, Rule, on_container, security_features
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, DockerEngine, Image
from auditlib.facts.tables.host import DockerDaemon
from auditlib.findings.check import NotApplicable, fact, word
from auditlib.french import listing


@on_container(
    Rule("CIS-5.2", "medium", "Chaque conteneur est confiné par AppArmor là où le démon en dispose"),
    fault="n’est confiné par aucun profil AppArmor, alors que le démon en dispose",
    remedy="retirer « apparmor=unconfined » de « security_opt » (« --security-opt »)",
    shows="{{.AppArmorProfile}}",
    tells=(Container.apparmor_profile,),
)
def apparmor(container: Container, docker_engine: Rows[DockerEngine]) -> bool:
    """No profile, or none that confines. A privileged container never has one: CIS-5.5 judges it."""
    if "apparmor" not in security_features(docker_engine):
        raise NotApplicable("le démon Docker ne dispose pas d’AppArmor")
    return container.apparmor_profile in (None, "unconfined") and not container.privileged


class SecurityOptions(ContainerFault):
    """Options of security that take a protection off."""

    security_options: tuple[str, ...]


def _among(container: Container, *options: str) -> SecurityOptions | None:
    """Those of these options that a container is started with."""
    found = {*options} & {*(container.security_options or ())}
    return SecurityOptions(security_options=tuple(sorted(found))) if found else None


@on_container(
    Rule("CIS-5.3", "info", "Aucun conteneur ne quitte le confinement de SELinux là où le démon en dispose"),
    fault="n’est pas confiné par SELinux, alors que le démon en dispose",
    remedy="retirer « label=disable » de « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
)
def selinux(container: Container, docker_engine: Rows[DockerEngine]) -> SecurityOptions | None:
    """Containers that turn their label off. Docker labels the others by itself, so that no option is needed."""
    if "selinux" not in security_features(docker_engine):
        raise NotApplicable("le démon Docker ne dispose pas de SELinux")
    return _among(container, "label=disable", "label:disable")


# What Docker gives to every container (moby, `oci/caps/defaults.go`): adding one of them again gives nothing more.
DEFAULT_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"}
    | {"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
# Any of these is as good as root on the machine.
MIGHTY_CAPABILITIES = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "DAC_READ_SEARCH"})


class AddedCapabilities(ContainerFault):
    """Capabilities beyond those that every container has."""

    capabilities: tuple[str, ...] = fact("Capacités")
    effect: str = word()


@on_container(
    Rule("CIS-5.4", "medium", "Aucun conteneur n’a de capacité du noyau au-delà de celles par défaut"),
    fault="reçoit des capacités du noyau en plus : {capabilities}{effect}",
    remedy="retirer de « cap_add » (« --cap-add ») celles dont le programme peut se passer",
    shows="{{json .HostConfig.CapAdd}}",
)
def capabilities(container: Container) -> AddedCapabilities | None:
    """Capabilities added. NET_BIND_SERVICE is told too: in a container, ports below 1024 are free to all."""
    added = {name.upper().removeprefix("CAP_") for name in container.cap_add or ()}
    beyond = sorted(added - DEFAULT_CAPABILITIES | added & {"NET_BIND_SERVICE"})
    mighty = sorted(added & MIGHTY_CAPABILITIES)
    if not beyond:
        return None
    effect = f" ; {listing(mighty)} {'donne' if len(mighty) == 1 else 'donnent'} de quoi prendre la machine"
    return AddedCapabilities(
        capabilities=tuple(beyond),
        severity="high" if mighty else "low" if beyond == ["NET_BIND_SERVICE"] else "medium",
        effect=effect if mighty else "",
    )


on_container(
    Rule("CIS-5.5", "critical", "Aucun conteneur n’est privilégié"),
    fault="est privilégié : ce qui s’y exécute peut prendre toute la machine",
    remedy="retirer « privileged: true » (« --privileged ») et ne donner que les capacités et périphériques utiles",
    shows="{{.HostConfig.Privileged}}",
    when=lambda container: container.privileged is True,
    tells=(Container.image,),
)

on_container(
    Rule("CIS-5.10", "medium", "Aucun conteneur n’utilise le réseau de la machine"),
    fault="utilise le réseau de la machine : tous ses ports y sont ouverts, et les services de la boucle locale lui "
    "répondent",
    remedy="remplacer « network_mode: host » (« --network host ») par un réseau Docker et ne publier que l’utile",
    shows="{{.HostConfig.NetworkMode}}",
    when=lambda container: container.network_mode == "host",
    tells=(Container.network_mode,),
)

on_container(
    Rule("CIS-5.11", "info", "Chaque conteneur a une limite de mémoire"),
    fault="n’a pas de limite de mémoire",
    remedy="donner une limite de mémoire (« mem_limit », « --memory »)",
    shows="{{.HostConfig.Memory}}",
    when=lambda container: container.memory_limit is None,
    tells=(Container.memory_limit,),
)

on_container(
    Rule("CIS-5.12", "info", "Chaque conteneur a une part ou une limite de processeur"),
    fault="n’a ni part ni limite de processeur",
    remedy="donner une limite ou une part (« cpus » ou « cpu_shares », « --cpus » ou « --cpu-shares »)",
    shows="{{.HostConfig.CpuShares}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}",
    when=lambda container: container.cpu_shares is container.nano_cpus is container.cpu_quota is None,
)

on_container(
    Rule("CIS-5.13", "info", "La racine de chaque conteneur est en lecture seule"),
    fault="peut écrire dans sa racine",
    remedy="rendre la racine immuable (« read_only: true », « --read-only ») et monter en « tmpfs » ce qui est écrit",
    shows="{{.HostConfig.ReadonlyRootfs}}",
    when=lambda container: container.readonly_rootfs is False,
    tells=(Container.readonly_rootfs,),
)

# « always » and « unless-stopped » have no bound, and serve another purpose.
on_container(
    Rule("CIS-5.15", "info", "Aucun conteneur en échec n’est relancé plus de cinq fois"),
    fault="est relancé jusqu’à {restart_max} fois après un échec",
    remedy="borner les redémarrages à 5 (« restart: on-failure:5 », « --restart »)",
    shows="{{json .HostConfig.RestartPolicy}}",
    when=lambda container: (container.restart_max or 0) > 5,
    tells=(Container.restart_max,),
)

on_container(
    Rule("CIS-5.16", "high", "Aucun conteneur ne voit les processus de la machine"),
    fault="partage l’espace des processus de la machine : il peut les voir, les tracer et les arrêter",
    remedy="retirer « pid: host » (« --pid host »)",
    shows="{{.HostConfig.PidMode}}",
    when=lambda container: container.pid_mode == "host",
    tells=(Container.pid_mode,),
)

on_container(
    Rule("CIS-5.17", "medium", "Aucun conteneur ne partage la mémoire IPC de la machine"),
    fault="partage l’espace IPC de la machine : la mémoire partagée de ses programmes lui est ouverte",
    remedy="retirer « ipc: host » (« --ipc host »)",
    shows="{{.HostConfig.IpcMode}}",
    when=lambda container: container.ipc_mode == "host",
    tells=(Container.ipc_mode,),
)


class NoLimits(ContainerFault):
    """A container that has no limits of its own, nor the daemon's."""

    default: str = word(default="limites de ressources", about="default")


@on_container(
    Rule("CIS-5.19", "info", "Les limites de ressources de chaque conteneur sont réglées"),
    fault="n’a aucune limite de ressources (ulimit) à lui, et le démon n’en donne pas par défaut",
    remedy="régler celles qui comptent (« ulimits », « --ulimit »), par exemple « nofile »",
    shows="{{json .HostConfig.Ulimits}}",
)
def ulimits(container: Container, docker_daemon: Rows[DockerDaemon]) -> NoLimits | None:
    """No ulimit of its own, nor of the daemon's. Not judged where an older snapshot did not keep them."""
    default = any(daemon.default_ulimits for daemon in docker_daemon)
    return NoLimits() if container.ulimits == () and not default else None


on_container(
    Rule("CIS-5.21", "low", "Aucun conteneur ne partage le nom de la machine"),
    fault="partage l’espace UTS de la machine, et peut changer son nom",
    remedy="retirer « uts: host » (« --uts host »)",
    shows="{{.HostConfig.UTSMode}}",
    when=lambda container: container.uts_mode == "host",
    tells=(Container.uts_mode,),
)


@on_container(
    Rule("CIS-5.22", "high", "Aucun conteneur n’est sans filtre seccomp"),
    fault="n’a pas de filtre seccomp : tous les appels au noyau lui sont permis",
    remedy="retirer « seccomp=unconfined » de « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
)
def seccomp(container: Container) -> SecurityOptions | None:
    """Containers whose seccomp filter was taken off. The older form has a colon."""
    return _among(container, "seccomp=unconfined", "seccomp:unconfined")


# The limits set in a cgroup other than the daemon's are those that count.
on_container(
    Rule("CIS-5.25", "info", "Chaque conteneur est dans le cgroup par défaut"),
    fault="est dans un cgroup particulier, « {cgroup_parent} »",
    remedy="retirer « cgroup_parent » (« --cgroup-parent ») si ses limites ne sont pas voulues",
    shows="{{.HostConfig.CgroupParent}}",
    when=lambda container: bool(container.cgroup_parent),
    tells=(Container.cgroup_parent,),
)


class NewPrivileges(SecurityOptions):
    """Options of security that leave new privileges within reach."""

    explicit: str = word()
    default: str | None = word(about="default")  # unless an option of its own decides


@on_container(
    Rule("CIS-5.26", "info", "Aucun conteneur ne peut acquérir de nouveaux privilèges"),
    fault="peut acquérir de nouveaux privilèges{explicit}",
    remedy="ajouter « no-new-privileges:true » à « security_opt » (« --security-opt »)",
    shows="{{json .HostConfig.SecurityOpt}}",
)
def new_privileges(container: Container, docker_daemon: Rows[DockerDaemon] | None = None) -> NewPrivileges | None:
    """Neither its own option nor the daemon's forbids it. `no-new-privileges:false` allows it, in spite of its name."""
    options = tuple(option.replace("=", ":", 1) for option in container.security_options or ())
    if {"no-new-privileges", "no-new-privileges:true"} & {*options}:
        return None
    explicit = "no-new-privileges:false" in options
    if not explicit and any(daemon.no_new_privileges for daemon in docker_daemon or ()):
        return None
    allowed = " : son option « no-new-privileges:false » l’y autorise" if explicit else ""
    return NewPrivileges(
        security_options=options, explicit=allowed, default=None if explicit else "nouveaux privilèges"
    )


on_container(
    Rule("CIS-5.27", "info", "Chaque conteneur a un contrôle de santé"),
    fault="n’a pas de contrôle de santé",
    remedy="déclarer un contrôle de santé (« healthcheck », « --health-cmd »)",
    shows="{{json .Config.Healthcheck}}",
    when=lambda container: container.healthcheck is False,
    tells=(Container.image,),
)


class SupersededImage(ContainerFault):
    """An image whose tag is another image's by now."""

    image: str
    image_id: str
    newer: str = fact("Image que désigne l’étiquette")


@on_container(
    Rule("CIS-5.28", "info", "Chaque conteneur tourne sur l’image que désigne son étiquette"),
    fault="tourne encore sur une image plus ancienne que celle que « {image} » désigne sur cette machine",
    remedy="garder la même étiquette si la nouvelle image convient",
    shows="{{.Image}}",
)
def superseded_image(container: Container, images: Rows[Image]) -> SupersededImage | None:
    """The tag that the container was made from has moved to another image since."""
    name = container.image or ""
    tag = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    newer = next((image.id for image in images if tag in (image.tags or ())), None)
    if newer is None or container.image_id is None or container.image_id == newer:
        return None
    return SupersededImage(image=name, image_id=container.image_id, newer=newer)


on_container(
    Rule("CIS-5.29", "info", "Le nombre de processus de chaque conteneur est limité"),
    fault="peut lancer autant de processus que la machine en supporte",
    remedy="borner le nombre de processus (« pids_limit: 200 », « --pids-limit 200 »)",
    shows="{{.HostConfig.PidsLimit}}",
    when=lambda container: container.pids_limit is None,
    tells=(Container.pids_limit,),
)

on_container(
    Rule("CIS-5.31", "medium", "Aucun conteneur ne renonce à l’espace utilisateur du démon"),
    fault="utilise l’espace utilisateur de la machine : son root y est root",
    remedy="retirer « userns_mode: host » (« --userns host »)",
    shows="{{.HostConfig.UsernsMode}}",
    when=lambda container: container.userns_mode == "host",
    tells=(Container.userns_mode,),
)
