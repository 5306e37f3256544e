"""CONT: the state of containers."""

import datetime as dt
from collections.abc import Iterator

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeService
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Container, DockerEngine, Publication
from auditlib.facts.tables.host import DockerDaemon
from auditlib.findings.about import given_up
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.french import instant, listing, plural, quoted, size
from auditlib.software import is_running, is_up
from auditlib.views.proxy import RoutedContainer

# A container that the engine restarted at least this often, the last time this recently, is in a loop.
LOOP_RESTARTS = 3
LOOP_WINDOW = dt.timedelta(minutes=15)


class Unhealthy(Fault):
    """A container whose health check fails."""

    container: str
    state: str | None
    image: str | None
    consequence: str = word()

    @property
    def about(self) -> About:
        """A container that Traefik gives up for its health."""
        return {"step": given_up([self.container], "health")}


@check(
    "CONT-001",
    "high",
    "Aucun conteneur n’est en mauvaise santé",
    key=("container",),
    message="Le conteneur « {container} » est en mauvaise santé : son contrôle de santé échoue. {consequence}",
    fix=Fix(
        "Lire le résultat du contrôle de santé et les journaux de « {container} », corriger la cause, "
        "puis le redémarrer.",
        (
            "docker inspect --format '{{{{range .State.Health.Log}}}}{{{{.Output}}}}{{{{end}}}}' {container}",
            "docker logs --tail 100 {container}",
            "docker restart {container}",
        ),
        ("docker inspect --format '{{{{.State.Health.Status}}}}' {container}",),
    ),
)
def healthy(containers: Rows[Container], routed: Rows[RoutedContainer] | None = None) -> Iterator[Unhealthy]:
    """Containers whose health check fails. Traefik drops them (`pkg/provider/docker/config.go`, keepContainer).

    The engine also calls unhealthy what it stopped probing, a container stopped or paused (`container/health.go`).
    """
    by_traefik = {route.container for route in routed or () if route.docker}
    for container in containers:
        if container.health == "unhealthy" and is_running(container.state):
            dropped = "Traefik ne lui envoie plus aucune requête." if container.name in by_traefik else ""
            yield Unhealthy(container=container.name, state=container.state, image=container.image, consequence=dropped)


class StoppedFault(Fault):
    """A container that does not run, or not for long."""

    container: str

    @property
    def about(self) -> About:
        """A container that Traefik gives up."""
        return {"step": given_up([self.container], "stopped")}


class Looping(StoppedFault):
    """A container that restarts again and again."""

    state: str | None
    restart_count: int | None
    exit_code: int | None
    restart_policy: str | None
    restarts: str = word()
    ending: str = word()
    since: str = word()


@check(
    "CONT-002",
    "high",
    "Aucun conteneur ne redémarre en boucle",
    key=("container",),
    message="Le conteneur « {container} » redémarre en boucle : {restarts}{ending}, politique "
    "« {restart_policy} »{since}.",
    fix=Fix(
        "Lire la fin des journaux de « {container} » et corriger ce qui l’arrête ; « docker stop » suspend la boucle "
        "en attendant.",
        ("docker logs --tail 100 {container}", "docker stop {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' {container}",),
    ),
)
def steady(containers: Rows[Container], docker_engine: Rows[DockerEngine]) -> Iterator[Looping]:
    """Containers that are restarting now, or that the engine restarted several times, the last time just now.

    The engine counts restarts since the container was created: a count alone says nothing of today.
    """
    now = docker_engine[0].clock if docker_engine else None
    for container in containers:
        restarting = container.state == "restarting"
        if not restarting and not _restarted_just_now(container, now):
            continue
        # The engine forgets how the last run ended once the next one runs.
        ended = restarting and container.exit_code is not None
        yield Looping(
            container=container.name,
            state=container.state,
            restart_count=container.restart_count,
            exit_code=container.exit_code,
            restart_policy=container.restart_policy,
            restarts=plural(container.restart_count or 0, "redémarrage"),
            ending=f", code de sortie {container.exit_code}" if ended else "",
            since=f", dernier démarrage le {instant(container.started)}" if container.started else "",
        )


def _restarted_just_now(container: Container, now: dt.datetime | None) -> bool:
    """Whether the engine restarted a running container several times, the last time a moment ago."""
    if now is None or container.started is None or not is_running(container.state):
        return False
    return (container.restart_count or 0) >= LOOP_RESTARTS and now - container.started < LOOP_WINDOW


# How a container that was asked to stop ends: interrupted, killed, terminated (128 + signal). No error of its own.
_STOPPED_BY_HAND = (0, 130, 137, 143)


class Failed(StoppedFault):
    """A container that ended with an error, and should run."""

    exit_code: int
    finished: dt.datetime | None
    restart_policy: str | None
    start_error: str | None
    duty: str = word()
    when: str = word()
    cause: str = word()


@check(
    "CONT-003",
    "high",
    "Aucun conteneur qui devrait tourner n’est arrêté en erreur",
    key=("container",),
    confidence="probable",
    message="Le conteneur « {container} » devrait tourner ({duty}), mais s’est arrêté en erreur, code "
    "{exit_code}{when}{cause}.",
    fix=Fix(
        "Lire la fin des journaux de « {container} », corriger ce qui l’arrête, puis le relancer ; s’il a été arrêté "
        "exprès, le supprimer.",
        ("docker logs --tail 100 {container}", "docker start {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' {container}",),
    ),
)
def running(containers: Rows[Container], publications: Rows[Publication]) -> Iterator[Failed]:
    """Containers that ended with an error though their restart policy, or a port that they publish, wants them up.

    Without either, a container may be a task that is over. A code of a signal is that of a stop that was asked for, or
    of a lack of memory (CONT-005). The engine does not tell who stopped it: probable only.
    """
    publishing = publications.grouped(Publication.container)
    for container in containers:
        code, kept = ended_in_error(container), container.restart_policy not in (None, "no")
        if code is not None and (kept or container.name in publishing):
            yield Failed(
                container=container.name,
                exit_code=code,
                finished=container.finished,
                restart_policy=container.restart_policy,
                start_error=container.start_error,
                duty=f"politique {quoted(container.restart_policy)}" if kept else "il publie un port",
                when=f", le {instant(container.finished)}" if container.finished else "",
                cause=f" : {container.start_error.rstrip('.')}" if container.start_error else "",
            )


def ended_in_error(container: Container) -> int | None:
    """The code of a container that ended with an error of its own; None for any other."""
    code = container.exit_code
    ended = container.state == "exited" and code not in _STOPPED_BY_HAND and not container.oom_killed
    return code if ended else None


class Unrestarted(Fault):
    """A container that others count on, without restart policy."""

    container: str
    restart_policy: str
    role: str
    policy: str = word()


@check(
    "CONT-004",
    "medium",
    "Chaque service routé et chaque base de données redémarre de lui-même",
    key=("container",),
    message="Le conteneur « {container} » ({role}) n’a pas de politique de redémarrage : il restera arrêté après un "
    "plantage ou un redémarrage de la machine.",
    fix=Fix(
        "Ajouter {policy} ; « docker update » l’applique sans attendre.",
        ("docker update --restart unless-stopped {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{.HostConfig.RestartPolicy.Name}}}}' {container}",),
    ),
)
def restarting(
    containers: Rows[Container],
    routed: Rows[RoutedContainer] | None = None,
    databases: Rows[Database] | None = None,
) -> Iterator[Unrestarted]:
    """Containers without restart policy, of those that others count on."""
    roles = {database.container: f"base {database.kind}" for database in databases or () if database.container}
    roles |= {route.container: "routé par Traefik" for route in routed or ()}
    for container in containers:
        if container.restart_policy == "no" and is_up(container.state) and container.name in roles:
            yield Unrestarted(
                container=container.name,
                restart_policy="no",
                role=roles[container.name],
                policy="« restart: unless-stopped » à son service dans le fichier compose"
                if container.compose_project
                else "« --restart unless-stopped » à la commande qui le crée",
            )
    for name, table in (("routed", routed), ("databases", databases)):
        if table is None:
            raise AbsentTable(name, "on ne sait pas quels conteneurs sont routés, ou sont des bases de données")


class OutOfMemory(StoppedFault):
    """A container that was killed for lack of memory."""

    state: str | None
    memory_limit: int | None
    finished: dt.datetime | None
    when: str = word()
    limit: str = word()

    @property
    def about(self) -> About:
        """A container that does not run, unless it was killed once and runs again."""
        return {**super().about, "state": () if self.state == "running" else (self.container,)}


@check(
    "CONT-005",
    "high",
    "Aucun conteneur n’a été tué faute de mémoire",
    key=("container",),
    message="Le conteneur « {container} » a été tué faute de mémoire{when}, {limit}.",
    fix=Fix(
        "Relever sa limite (« mem_limit ») si elle est trop basse, ou réduire ce qu’il consomme ; sans limite, c’est "
        "la mémoire de la machine qui a manqué.",
        ("docker logs --tail 100 {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{.State.OOMKilled}}}} {{{{.HostConfig.Memory}}}}' {container}",),
    ),
)
def fed(containers: Rows[Container]) -> Iterator[OutOfMemory]:
    """Containers that the kernel killed for memory, as the engine recorded it at their last end."""
    for container in containers:
        if container.oom_killed:
            limit = container.memory_limit
            yield OutOfMemory(
                container=container.name,
                state=container.state,
                memory_limit=limit,
                finished=container.finished,
                when=f" le {instant(container.finished)}" if container.finished else "",
                limit=f"limite de {size(limit)}" if limit is not None else "sans limite propre",
            )


class Moving(Fault):
    """An image whose reference does not fix its version."""

    container: str
    image: str
    why: str = word()


@check(
    "CONT-006",
    "low",
    "Chaque image a une version fixe",
    key=("container",),
    message="L’image de « {container} », « {image} », n’a pas de version fixe : {why}, et une nouvelle création peut "
    "en prendre une autre.",
    fix=Fix(
        "Remplacer « {image} » par une version précise dans {declared}, par exemple celle qui tourne, que la "
        "première commande peut dire, puis recréer le conteneur.",
        (
            "docker image inspect --format '{{{{json .RepoDigests}}}} {{{{json .Config.Labels}}}}' {image}",
            "{compose} up -d {service}",
        ),
        ("docker inspect --format '{{{{.Config.Image}}}}' {container}",),
    ),
)
def versioned(containers: Rows[Container], compose_services: Rows[ComposeService] | None = None) -> Iterator[Moving]:
    """Images without tag or digest, or whose tag holds no figure (latest, stable, alpine…): it moves.

    An image that Compose builds here has the version of its sources.
    """
    built = {(service.project, service.service) for service in compose_services or () if service.build}
    for container in containers:
        project, service, image = container.compose_project, container.compose_service, container.image
        if not image or "@" in image or _is_identifier(image) or (project, service) in built:
            continue
        name, _, tag = image.rpartition("/")[2].partition(":")
        built_here = project and name in (f"{project}-{service}", f"{project}_{service}")
        if not built_here and not any(char.isdigit() for char in tag):
            why = f"l’étiquette {quoted(tag)} suit les nouvelles" if tag else "sans étiquette, c’est « latest »"
            yield Moving(container=container.name, image=image, why=why)


def _is_identifier(image: str) -> bool:
    """Whether an image is named by its identifier, as the engine does once its tag is gone."""
    digest = image.removeprefix("sha256:")
    return len(digest) >= 12 and all(char in "0123456789abcdef" for char in digest)


# As many names as a sentence can bear.
_NAMED = 8


class Unbounded(Fault):
    """An engine whose containers write logs without limit."""

    host: str
    containers: tuple[str, ...]
    daemon_limit: str | None = fact("Limite réglée au démon")
    config_file: str = word()
    count: str = word()
    named: str = word()
    daemon: str = word()
    first: str = word()


@check(
    "CONT-007",
    "low",
    "Les journaux des conteneurs sont bornés",
    key=("host",),
    message="Les journaux json-file {count} du moteur « {host} » grossissent sans limite : {named}.{daemon}",
    fix=Fix(
        "Dans « {config_file} », régler « log-driver » à « local », ou « log-opts » à "
        '« {{"max-size": "10m", "max-file": "3"}} », redémarrer Docker, puis recréer ces conteneurs : ceux qui '
        "existent gardent leurs réglages.",
        ("sudo systemctl restart docker",),
        ("docker inspect --format '{{{{.Name}}}} {{{{json .HostConfig.LogConfig}}}}' {first}",),
    ),
)
def bounded_logs(
    containers: Rows[Container],
    docker_engine: Rows[DockerEngine],
    docker_daemon: Rows[DockerDaemon] | None = None,
) -> Iterator[Unbounded]:
    """Containers whose json-file logs have no `max-size`; -1 is none. One finding: the daemon's default mends all."""
    unbounded = [
        container.name
        for container in containers
        if container.log_driver == "json-file" and container.log_max_size in (None, "-1")
    ]
    if not unbounded:
        return
    daemons = docker_daemon or Rows[DockerDaemon]()
    limit = next((daemon.log_max_size for daemon in daemons if daemon.log_max_size), None)
    others = [plural(len(unbounded) - _NAMED, "autre")] if len(unbounded) > _NAMED else []
    for engine in docker_engine:
        yield Unbounded(
            host=engine.name,
            containers=tuple(unbounded),
            daemon_limit=limit,
            config_file=daemons[0].config_file if daemons else "/etc/docker/daemon.json",
            count=f"de {plural(len(unbounded), 'conteneur')}" if unbounded[1:] else "d’un conteneur",
            named=listing([*map(quoted, unbounded[:_NAMED]), *others]),
            daemon=f" Le démon limite désormais à {limit} ce qui est créé, pas ce qui existe déjà." if limit else "",
            first=unbounded[0],
        )


class Unchecked(Fault):
    """A routed container without a health check."""

    container: str
    image: str | None


@check(
    "CONT-008",
    "low",
    "Chaque service routé a un contrôle de santé",
    key=("container",),
    message="Le conteneur « {container} », routé par Traefik, n’a pas de contrôle de santé : Traefik lui envoie des "
    "requêtes même quand il ne répond plus.",
    fix=Fix(
        "Déclarer un contrôle de santé (« healthcheck ») qui interroge le service, puis recréer le conteneur.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .State.Health}}}}' {container}",),
    ),
)
def checked(routed: Rows[RoutedContainer], containers: Rows[Container]) -> Iterator[Unchecked]:
    """Routed containers without a health check of their own."""
    routes = routed.by(RoutedContainer.container)
    for container in containers:
        if container.name in routes and container.healthcheck is False:
            yield Unchecked(container=container.name, image=container.image)
