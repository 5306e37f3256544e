"""CIS: the swarm that the engine is a node of (CIS Docker Benchmark 1.6, 5.1 and section 7; informational, on demand).

Left out, since the engine's API tells nothing of them: 7.4 (whether the swarm manages the secrets), 7.6 and 7.8 (when
the unlock key and the authority were last changed), 7.9 (whether management and data travel apart).
"""

from collections.abc import Iterator

from auditlib.checks.cis import EngineFault, Rule, on_engine
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import DockerEngine, DockerSwarm, Network
from auditlib.facts.tables.host import Listener
from auditlib.findings.check import Fault, NotApplicable, fact, word
from auditlib.french import plural
from auditlib.views.ports import EVERYWHERE, exposure

# What Docker's documentation advises at most, and its default.
_MANAGERS = 7
_DAYS = 90


def _node(docker_swarm: Rows[DockerSwarm]) -> DockerSwarm:
    """The node that the engine is. Raises NotApplicable outside a swarm."""
    if not docker_swarm:
        raise NotApplicable("le moteur Docker n’est dans aucun essaim")
    return docker_swarm[0]


def _manager(docker_swarm: Rows[DockerSwarm]) -> DockerSwarm:
    """The node, when it manages the swarm: no other is told its settings."""
    node = _node(docker_swarm)
    if not node.manager:
        raise NotApplicable("ce nœud de l’essaim n’en est pas un gestionnaire")
    return node


class Swarm(EngineFault):
    """An engine that is part of a swarm."""

    swarm: str


@on_engine(
    Rule("CIS-5.1", "info", "Le mode essaim de Docker n’est pas actif sans besoin"),
    message="Le moteur Docker de « {host} » est en mode essaim (swarm).",
    remedy="Si aucun service d’essaim ne sert, quitter l’essaim (« docker swarm leave ») ; sinon, accepter ce constat.",
    shows="docker info --format '{{{{.Swarm.LocalNodeState}}}}'",
)
def swarm(docker_engine: Rows[DockerEngine]) -> Iterator[Swarm]:
    """Engines that are part of a swarm."""
    return (Swarm(host=engine.name, swarm="active") for engine in docker_engine if engine.swarm == "active")


class Managers(EngineFault):
    """A number of managers that helps no swarm."""

    managers: int
    count: str = word()
    why: str = word()


@on_engine(
    Rule("CIS-7.1", "info", "L’essaim n’a pas plus de gestionnaires qu’il n’en faut"),
    message="L’essaim de « {host} » a {count} : {why}.",
    remedy="Promouvoir ou rétrograder un nœud (« docker node promote », « docker node demote ») pour garder un nombre "
    "impair, le plus petit qui tolère les pannes voulues : 1, 3, 5 ou 7.",
    shows="docker node ls",
)
def managers(docker_swarm: Rows[DockerSwarm]) -> Iterator[Managers]:
    """An even number, which bears no more failures than the odd one below it, or more than seven."""
    node = _manager(docker_swarm)
    number = node.managers
    if number is not None and (number % 2 == 0 or number > _MANAGERS):
        why = "au-delà de sept, ils ne font que le ralentir" if number > _MANAGERS else "un de moins suffirait"
        yield Managers(host=node.name, managers=number, count=plural(number, "gestionnaire"), why=why)


class OpenManagement(EngineFault):
    """A management of the swarm that listens everywhere."""

    port: int | None
    addresses: tuple[str, ...]


@on_engine(
    Rule("CIS-7.2", "info", "La gestion de l’essaim n’écoute que sur une adresse choisie"),
    message="La gestion de l’essaim de « {host} » écoute sur toutes les interfaces, au port {port}.",
    remedy="Fermer ce port aux autres réseaux dans le pare-feu ; l’adresse d’écoute ne se choisit qu’en créant "
    "l’essaim ou en le rejoignant (« --listen-addr »).",
    shows="ss -ltn 'sport = :{port}'",
)
def management(docker_swarm: Rows[DockerSwarm], listeners: Rows[Listener]) -> Iterator[OpenManagement]:
    """What listens on the manager's port of this machine, as the kernel shows it."""
    node = _manager(docker_swarm)
    addresses = tuple(one.address for one in listeners if (one.protocol, one.port) == ("tcp", node.port))
    if not addresses:
        raise AbsentTable("listeners", "l’écoute de la gestion de l’essaim n’a pas été vue")
    if exposure(addresses) == EVERYWHERE:
        yield OpenManagement(host=node.name, port=node.port, addresses=addresses)


class ClearNetwork(Fault):
    """A network of the swarm that is not encrypted."""

    network: str
    encrypted: bool


@on_engine(
    Rule("CIS-7.3", "info", "Les réseaux de l’essaim sont chiffrés"),
    about="network",
    message="Le réseau « {network} » de l’essaim n’est pas chiffré : d’un nœud à l’autre, tout y passe en clair.",
    remedy="Recréer ce réseau avec l’option « encrypted » (« driver_opts » d’un fichier compose, « --opt encrypted » "
    "de « docker network create »), si l’essaim a plusieurs nœuds dont le lien n’est pas sûr.",
    shows="docker network inspect --format '{{{{json .Options}}}}' {network}",
)
def encryption(docker_swarm: Rows[DockerSwarm], networks: Rows[Network]) -> Iterator[ClearNetwork]:
    """Overlay networks without the option, the one that publishes ports included."""
    _node(docker_swarm)
    return (ClearNetwork(network=network.name, encrypted=False) for network in networks if network.encrypted is False)


class Unlocked(EngineFault):
    """A swarm whose managers start again without a key."""

    autolock: bool


@on_engine(
    Rule("CIS-7.5", "info", "Les gestionnaires de l’essaim se verrouillent"),
    message="Les gestionnaires de l’essaim de « {host} » repartent sans clé : qui a leur disque a ses secrets.",
    remedy="Activer le verrouillage, et garder hors de la machine la clé que la commande affiche : elle sera "
    "demandée à chaque redémarrage de Docker.",
    commands=("docker swarm update --autolock=true",),
    shows="docker info --format '{{{{.Swarm.Cluster.Spec.EncryptionConfig.AutoLockManagers}}}}'",
)
def autolock(docker_swarm: Rows[DockerSwarm]) -> Iterator[Unlocked]:
    """Off by default."""
    node = _manager(docker_swarm)
    if node.autolock is False:
        yield Unlocked(host=node.name, autolock=False)


class LongCertificates(EngineFault):
    """Certificates of nodes that are valid for longer than by default."""

    days: int = fact("Jours")


@on_engine(
    Rule("CIS-7.7", "info", "Les certificats des nœuds de l’essaim sont renouvelés au moins tous les 90 jours"),
    message="Les certificats des nœuds de l’essaim de « {host} » valent {days} jours, au lieu de 90 au plus.",
    remedy="Revenir à la durée par défaut, ou à une plus courte.",
    commands=("docker swarm update --cert-expiry 2160h",),
    shows="docker info --format '{{{{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}}}'",
)
def node_certificates(docker_swarm: Rows[DockerSwarm]) -> Iterator[LongCertificates]:
    """Longer than Docker's default."""
    node = _manager(docker_swarm)
    if node.certificate_days and node.certificate_days > _DAYS:
        yield LongCertificates(host=node.name, days=node.certificate_days)
