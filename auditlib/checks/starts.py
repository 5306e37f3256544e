"""CONT: containers that could not start, and containers whose namespace belongs to one that is gone."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from auditlib.checks.containers import ended_in_error
from auditlib.checks.ports import is_refused
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, Publication
from auditlib.findings.check import Fault, Fix, check, fact, word
from auditlib.french import quoted
from auditlib.software import is_up, joined_container
from auditlib.views.proxy import RoutedContainer


class Severed(Fault):
    """A container in a namespace of a container that is gone."""

    container: str
    state: str | None
    namespaces: tuple[str, ...] = fact("Espaces partagés")
    bearer: str = fact("Conteneur disparu")
    shared: str = word()
    effect: str = word()
    remedy: str = word()


@check(
    "CONT-010",
    "high",
    "Aucun conteneur ne partage l’espace d’un conteneur disparu",
    key=("container",),
    message="Le conteneur « {container} » partage {shared} du conteneur {bearer}, qui n’existe plus : {effect}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d",),
        ("docker inspect --format '{{{{.HostConfig.NetworkMode}}}}' {container}",),
    ),
)
def namespaces_live(containers: Rows[Container], routed: Rows[RoutedContainer] | None = None) -> Iterator[Severed]:
    """Containers that joined the network, processes or IPC of a container that no longer exists.

    The engine keeps the identifier: one that was recreated has another, and `docker start` fails for ever.
    """
    known = {name for container in containers for name in (container.id, container.name)}
    through = {route.container for route in routed or ()}
    for container in containers:
        gone = _gone(container, known)
        if not gone:
            continue
        up = is_up(container.state)
        yield Severed(
            severity="critical" if container.name in through else "high",
            container=container.name,
            state=container.state,
            namespaces=tuple(gone),
            bearer=next(iter(gone.values()))[:12],
            shared="le réseau" if "réseau" in gone else f"l’espace {next(iter(gone))}",
            effect=_EFFECTS[up],
            remedy="Recréer tout le projet, qui lui donnera le conteneur d’aujourd’hui : le démarrer ne suffit pas."
            if container.compose_project
            else "Le supprimer et le recréer avec le nom du conteneur d’aujourd’hui : le démarrer ne suffit pas.",
        )


_EFFECTS = {True: "ce qu’il en prenait n’est plus là, bien qu’il tourne", False: "il ne peut pas démarrer"}


def _gone(container: Container, known: Collection[str | None]) -> Mapping[str, str]:
    """The containers, none of those that are `known`, whose namespaces a container joined, by what it shares."""
    modes = {"réseau": container.network_mode, "PID": container.pid_mode, "IPC": container.ipc_mode}
    return {noun: bearer for noun, mode in modes.items() if (bearer := joined_container(mode)) and bearer not in known}


class _Cause(NamedTuple):
    """Why a container could not start: a word of ours, and in French the reason and what to do."""

    kind: str
    reason: str
    remedy: str


# The engine's words (moby `daemon`, runc, libnetwork; 20.10 to 29), what they mean, and what to do. The first that
# matches; {0} and {1} are its groups.
_CAUSES: tuple[tuple[str, re.Pattern[str], str, str], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE), reason, remedy)
    for kind, pattern, reason, remedy in (
        (
            "bind_source",
            r"bind source path does not exist: ([^\s,;]+)",
            "le chemin {0}, à monter, n’existe pas sur la machine",
            "Créer {0}, ou corriger le montage, puis recréer le conteneur.",
        ),
        (
            "bind_kind",
            r'error mounting "([^"]+)" to rootfs at "([^"]+)".*not a directory',
            "{0} est monté sur {1}, et l’un est un dossier quand l’autre est un fichier",
            "Docker fait un dossier d’une source absente : le supprimer, mettre le fichier {0} à sa place, puis "
            "recréer le conteneur.",
        ),
        (
            "network",
            r"network ([\w.-]+) not found",
            "son réseau {0} n’existe plus",
            "Recréer le réseau s’il est externe, puis recréer le conteneur : le démarrer ne suffit pas.",
        ),
        (
            "namespace",
            r"(?:cannot join network of a non running container|no such container): ?([\w.-]+)",
            "le conteneur {0}, dont il prend le réseau, n’est pas là ou ne tourne pas",
            "Démarrer d’abord ce conteneur, ou recréer tout le projet.",
        ),
        (
            "device",
            r'(?:gathering device information.*"([^"]+)"|no such device or address)',
            "le périphérique {0} n’existe pas sur la machine",
            "Brancher ou charger ce périphérique, ou retirer {0} de « devices ».",
        ),
        (
            "gpu",
            r'could not select device driver "([^"]*)"',
            "le pilote de périphérique « {0} » manque au moteur",
            "Installer ce qui donne les GPU aux conteneurs (nvidia-container-toolkit), puis redémarrer le moteur.",
        ),
        (
            "runtime",
            r"unknown or invalid runtime name: ([\w.-]+)",
            "le moteur ne connaît pas l’exécuteur « {0} »",
            "Déclarer cet exécuteur dans daemon.json, ou retirer « runtime ».",
        ),
        (
            "program",
            r'exec: "([^"]+)": (?:executable file not found|stat [^:]+: no such file|permission denied)',
            "le programme « {0} » n’est pas dans l’image, ou n’est pas exécutable",
            "Corriger la commande ou le point d’entrée du conteneur, ou l’image, puis le recréer.",
        ),
        (
            "folder",
            r'(?:chdir to cwd \("([^"]+)"\)|mkdir ([^:\s]+): read-only file system)',
            "le dossier {0} ne peut pas servir",
            "Corriger « working_dir » ou le montage, puis recréer le conteneur.",
        ),
        (
            "address",
            r"address already in use",
            "l’adresse fixe qu’il demande sur un réseau est prise par un autre conteneur",
            "Arrêter le conteneur qui a pris cette adresse, démarrer celui-ci, puis donner au réseau un « ip_range » à "
            "l’écart des adresses fixes.",
        ),
    )
)


class Unstarted(Fault):
    """A container that the engine could not start."""

    container: str
    state: str | None
    kind: str | None = fact("Cause")
    start_error: str | None
    restart_policy: str | None
    reason: str = word()
    remedy: str = word()


@check(
    "CONT-009",
    "high",
    "Aucun conteneur n’a été empêché de démarrer",
    key=("container",),
    message="Le conteneur « {container} » n’a pas pu démarrer : {reason}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{.State.Status}}}} {{{{.State.Error}}}}' {container}",),
    ),
)
def started(
    containers: Rows[Container], publications: Rows[Publication], routed: Rows[RoutedContainer] | None = None
) -> Iterator[Unstarted]:
    """Containers with an error of their last start that a policy, a port or a route wants up.

    A port that is taken is told by PORT-001, a namespace that is gone by CONT-010, an error with an exit code by
    CONT-003. One without policy, port or route may have been created on purpose.
    """
    known = {name for container in containers for name in (container.id, container.name)}
    through = {route.container for route in routed or ()}
    wanted = through | {publication.container for publication in publications}
    for container in containers:
        error = container.start_error
        kept = container.restart_policy not in (None, "no") or container.name in wanted
        if not error or is_up(container.state) or not kept or ended_in_error(container) is not None:
            continue
        if is_refused(container) or _gone(container, known):
            continue
        cause = _cause(error)
        yield Unstarted(
            severity="critical" if container.name in through else "high",
            container=container.name,
            state=container.state,
            kind=cause.kind if cause else None,
            start_error=error,
            restart_policy=container.restart_policy,
            reason=cause.reason if cause else f"le moteur dit {quoted(error.rstrip('.'))}",
            remedy=cause.remedy if cause else "Corriger ce que dit le moteur, puis recréer le conteneur.",
        )


def _cause(error: str) -> _Cause | None:
    """What the engine's words mean; None for words that are not known."""
    for kind, pattern, reason, remedy in _CAUSES:
        if match := pattern.search(error):
            groups = [group or "" for group in (*match.groups(), "", "")]
            return _Cause(kind, reason.format(*groups), remedy.format(*groups))
    return None
