"""CIS: the images, and what piles up of them and of containers (CIS Docker Benchmark 1.6, sections 4 and 6)."""

from collections.abc import Iterator

from auditlib.checks.cis import EngineFault, Rule, on_container, on_engine
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, DockerEngine, Image
from auditlib.findings.check import Fault, fact, word
from auditlib.french import plural
from auditlib.software import is_up


def _is_root(user: str | None) -> bool:
    """Whether a container runs as root, by name or number. The engine gives the image's user where it sets none."""
    name = (user or "").partition(":")[0]
    return name == "root" or not name.strip("0")


on_container(
    Rule("CIS-4.1", "info", "Chaque conteneur tourne sous un compte qui n’est pas root"),
    fault="tourne en tant que root",
    remedy="donner un compte ordinaire (« user: 1000:1000 », « --user ») ou choisir une image qui en déclare un",
    shows="{{.Config.User}}",
    when=lambda container: _is_root(container.user),
    tells=(Container.user,),
)


class UncheckedImage(Fault):
    """An image in use without a health check."""

    image: str
    containers: tuple[str, ...]
    users: str = word()


@on_engine(
    Rule("CIS-4.6", "info", "Chaque image utilisée déclare un contrôle de santé"),
    about="image",
    message="L’image « {image} », dont {users}, ne déclare pas de contrôle de santé (HEALTHCHECK).",
    remedy="Ajouter « HEALTHCHECK » au Dockerfile de « {image} » si elle est faite ici ; sinon, déclarer le contrôle "
    "dans le service qui s’en sert (« healthcheck »), ou accepter ce constat.",
    shows="docker image inspect --format '{{{{json .Config.Healthcheck}}}}' {image}",
)
def image_health_check(images: Rows[Image], containers: Rows[Container]) -> Iterator[UncheckedImage]:
    """Images of containers, up or not, that were inspected and have none. What containers add is another check's."""
    users = containers.grouped(Container.image_id)
    used = [image for image in images if image.id in users]
    for image in used:
        if image.healthcheck is False:
            names = tuple(container.name for container in users[image.id])
            serves = plural(len(names), "conteneur se sert", "conteneurs se servent")
            yield UncheckedImage(image=(image.tags or (image.id,))[0], containers=names, users=serves)
    if any(image.healthcheck is None for image in used):
        raise AbsentTable("images", "les images utilisées n’ont pas toutes été inspectées")


class UnusedImages(EngineFault):
    """A machine most of whose images serve no container."""

    unused: str = fact("Images inutilisées")
    total: int = fact("Images")


@on_engine(
    Rule("CIS-6.1", "info", "La plupart des images de la machine servent"),
    message="Sur « {host} », {unused} sur {total} ne servent à aucun conteneur.",
    remedy="Supprimer les images inutiles, après les avoir relues.",
    commands=("docker image prune --all",),
    shows="docker images",
)
def image_sprawl(
    docker_engine: Rows[DockerEngine], images: Rows[Image], containers: Rows[Container]
) -> Iterator[UnusedImages]:
    """Fewer than half of the images serve, as docker-bench-security counts."""
    unused = len({image.id for image in images} - {container.image_id for container in containers})
    if unused > len(images) / 2:
        for engine in docker_engine:
            yield UnusedImages(host=engine.name, unused=plural(unused, "image"), total=len(images))


# As many stopped containers as docker-bench-security tolerates.
_STOPPED = 25


class StoppedContainers(EngineFault):
    """A machine with many containers that do not run."""

    stopped: str


@on_engine(
    Rule("CIS-6.2", "info", "Les conteneurs arrêtés ne s’accumulent pas"),
    message="Sur « {host} », {stopped} sont arrêtés.",
    remedy="Supprimer les conteneurs arrêtés qui ne serviront plus, après les avoir relus.",
    commands=("docker container prune",),
    shows="docker ps --all --filter status=exited",
)
def container_sprawl(docker_engine: Rows[DockerEngine], containers: Rows[Container]) -> Iterator[StoppedContainers]:
    """More containers that do not run than are tolerated."""
    stopped = sum(not is_up(container.state) for container in containers)
    if stopped > _STOPPED:
        for engine in docker_engine:
            yield StoppedContainers(host=engine.name, stopped=plural(stopped, "conteneur"))
