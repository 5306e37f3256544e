"""COMPOSE: what compose files say: names, faults, secrets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeFile, ComposeProblem, ComposeProject, ComposeSecret, ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import About, Command, Fault, Fix, check, fact, word
from auditlib.findings.commands import compose_on_disk
from auditlib.french import listing, quoted
from auditlib.software import GENERIC_NAMES, is_up
from auditlib.views.declarations import origin, place

_UNREAD = "les fichiers compose n’ont pas été lus"
MOST = 8  # things told one by one in a sentence

# A project and a service of it.
Owner = tuple[str | None, str | None]


class GenericName(Fault):
    """A container, or a service that would make it, with a name that others are likely to want too."""

    container: str
    project: str | None = fact("Projet")
    image: str | None
    others: tuple[str, ...] = fact("Réclamé aussi par")
    start: str = word()
    owner: str = word()
    effect: str = word()
    where: str = word()
    proposal: str = word()
    alone: str | None = word()
    filter: str = word()


@check(
    "COMPOSE-001",
    "medium",
    "Aucun conteneur ne porte un nom générique",
    key=("container",),
    message="{start} un nom générique{owner} : {effect}.",
    fix=Fix(
        "{where}, puis recréer le conteneur. Un nom propre au projet convient, par exemple « {proposal} ».",
        ("{compose} up -d {service}", "docker rename {alone} {proposal}"),
        ("docker ps --all --filter {filter} --format '{{{{.Names}}}}'",),
    ),
)
def distinctive_names(
    containers: Rows[Container], compose_services: Rows[ComposeService] | None = None
) -> Iterator[GenericName]:
    """Generic names of containers, and of services of the disk that would start: somebody chose each of them.

    `high` when two of them have one name. The same service of the same project is one, in however many files. Behind
    a profile that is not active, a service starts only when it is asked for: it counts for nothing here.
    """
    live = {container.name: container for container in containers if container.name.lower() in GENERIC_NAMES}
    declared: dict[str, dict[Owner, ComposeService]] = {}
    for service in compose_services or ():
        name = service.container_name
        if name and name.lower() in GENERIC_NAMES and service.active:
            declared.setdefault(name, {}).setdefault((service.project, service.service), service)
    for name in sorted({*live, *declared}):
        services = declared.get(name, {})
        if container := live.get(name):
            owner: Owner = (container.compose_project, container.compose_service)
            image = container.image
        else:
            owner = min(services, key=_title)
            image = services[owner].image
        yield _generic(name, owner, image, services, live=container is not None)
    if compose_services is None:
        raise AbsentTable("compose_services", _UNREAD)


def _title(owner: Owner) -> str:
    return " / ".join(filter(None, owner))


def _generic(
    name: str, owner: Owner, image: str | None, services: Mapping[Owner, ComposeService], *, live: bool
) -> GenericName:
    """The fault of a name, that of a container that is there or that a file gives. `services` declare it, by owner."""
    project, service = owner
    own = services.get(owner)
    where = place(replace(own, file=own.container_name_file, line=own.container_name_line)) if own else ""
    rivals = tuple(sorted(_title(other) for other in services if other != owner))
    claim = "réclame" if len(rivals) == 1 else "réclament"
    effect = f"{listing(map(quoted, rivals))} le {claim} aussi, et un seul peut le porter"
    return GenericName(
        severity="high" if rivals else "medium",
        container=name,
        project=project,
        image=image,
        others=rivals,
        start=f"Le conteneur {quoted(name)} porte" if live else f"Le fichier {where} donne {quoted(name)},",
        owner=f" (projet « {project} », service « {service} »)" if project else "",
        effect=effect if rivals else "un autre ensemble qui choisirait le même nom ne pourrait pas démarrer",
        where=f"Retirer ou préfixer « container_name » dans {where or 'le fichier compose'}"
        if project
        else "Renommer le conteneur là où il est lancé",
        proposal=own_name(project or image or "mon", name),
        alone=None if project else name,
        filter=f"name=^/{name}$",
    )


def own_name(project: str, name: str) -> str:
    """A name that tells the project by its first word: « unified-postgres » for « postgres » of « unified-stack »."""
    return f"{project.rpartition('/')[2].partition(':')[0].replace('_', '-').partition('-')[0]}-{name}"


class InvalidFile(Fault):
    """A compose file that Compose refuses, or whose variables have no value."""

    compose_file: str = fact("Fichier compose")
    project: str | None = fact("Projet")
    problems: tuple[str, ...] = fact("Défauts")
    variables: tuple[str, ...] = fact("Variables")
    effect: str = word()
    summary: str = word()
    remedy: str = word()
    compose: Command | None = word()
    refused: bool = word()  # Compose refuses a project of the file

    @property
    def about(self) -> About:
        """A file whose project cannot start."""
        return {"start": self.compose_file.split(" + ") if self.refused else ()}


@check(
    "COMPOSE-002",
    "medium",
    "Chaque fichier compose est lisible, valide et sans variable inconnue",
    key=("compose_file",),
    message="Le fichier compose « {compose_file} » (projet « {project} ») {effect} : {summary}.",
    fix=Fix(
        "{remedy}, puis faire relire le fichier par Compose.",
        (),
        ("{compose} config --quiet",),
    ),
)
def valid_files(
    compose_problems: Rows[ComposeProblem],
    compose_projects: Rows[ComposeProject],
    compose_files: Rows[ComposeFile],
    containers: Rows[Container] | None = None,
) -> Iterator[InvalidFile]:
    """What Compose would refuse, and variables without a value, by file.

    `low` where a container runs from these very files, and only variables are missing: whoever started it gave them. A
    file that only a container names and that is gone is COMPOSE-006's. One of another machine is not known.
    """
    projects = {(project.root, project.files): project for project in compose_projects}
    gone = lost_projects(compose_files)
    started = {origin(container)[:3] for container in containers or () if is_up(container.state)}
    files: dict[str, list[ComposeProblem]] = {}
    for problem in compose_problems:
        project = projects.get((problem.root, problem.files))
        if project and problem.kind != "remote" and (problem.root, problem.files) not in gone:
            files.setdefault(problem.file or project.file or problem.files, []).append(problem)
    for file, problems in files.items():
        project = projects[problems[0].root, problems[0].files]
        refused = any(bool(row.refused) and file in row.files.split(" + ") for row in compose_projects)
        runs = (project.project, project.path, project.files.count(" + ") + 1) in started
        yield _invalid(file, problems, project, refused=refused, runs=runs)


_GIVE = "Donner {} dans le fichier .env du projet, ou une valeur de repli"


def _invalid(
    file: str, problems: list[ComposeProblem], project: ComposeProject, *, refused: bool, runs: bool
) -> InvalidFile:
    faults = [problem for problem in problems if problem.kind != "variable"]
    clauses = tuple(dict.fromkeys(map(_clause, problems)))
    found = InvalidFile(
        compose_file=file,
        project=project.project,
        problems=clauses,
        variables=tuple(sorted({problem.variable for problem in problems if problem.variable})),
        effect="est refusé par Compose" if faults else "est incomplet",
        summary=summary(clauses),
        remedy="Corriger ce qui est refusé" if faults else _GIVE.format("ces valeurs"),
        compose=compose_on_disk(project),
        refused=refused,
    )
    lacking = sorted({problem.variable for problem in faults if problem.variable})
    if not runs or not lacking or not all(problem.variable for problem in faults):
        return found
    which = f"la variable {lacking[0]}" if len(lacking) == 1 else f"les variables {listing(lacking)}"
    return replace(
        found,
        severity="low",
        effect="ne suffit pas à lui seul",
        summary=f"il attend {which}, que le shell du dernier « up » a dû lui donner",
        remedy=_GIVE.format("cette valeur" if len(lacking) == 1 else "ces valeurs"),
    )


def lost_projects(compose_files: Rows[ComposeFile]) -> set[tuple[str, str]]:
    """The root and the files of the projects of which a compose file is gone."""
    return {(file.root, file.files) for file in compose_files if file.role == "compose" and file.missing}


def _clause(problem: ComposeProblem) -> str:
    what = f"variable {problem.variable} sans valeur" if problem.kind == "variable" else problem.reason
    return f"{what} (ligne {problem.line})" if problem.line else what


def summary(clauses: Sequence[str]) -> str:
    """The first of many things, and how many more there are."""
    more = len(clauses) - MOST
    return " ; ".join([*clauses[:MOST], *([f"et {more} de plus"] if more > 0 else [])])


_SECRET_PLACES = {"environment": "variable", "label": "étiquette", "command": "commande", "build": "argument"}


class ClearSecrets(Fault):
    """Secrets that a compose file holds, by their names."""

    compose_file: str = fact("Fichier compose")
    project: str | None = fact("Projet")
    secrets: tuple[str, ...] = fact("Secrets")
    summary: str = word()
    compose: Command | None = word()
    service: str | None = word()


@check(
    "COMPOSE-005",
    "medium",
    "Aucun fichier compose ne contient de secret en clair",
    key=("compose_file",),
    message="Le fichier compose « {compose_file} » contient en clair : {summary}. Qui lit le fichier, ou l’une de ses "
    "copies, le connaît.",
    fix=Fix(
        "Mettre la valeur dans le fichier .env du projet (mode 600, hors du dépôt) et la nommer par une variable, ou "
        "la donner par « secrets: » ; puis changer ce secret, qui a pu être lu, et recréer le service.",
        ("{compose} up -d {service}",),
        ("{compose} config --quiet",),
    ),
)
def no_clear_secret(
    compose_secrets: Rows[ComposeSecret], compose_projects: Rows[ComposeProject]
) -> Iterator[ClearSecrets]:
    """Secrets written in compose files, by name and place, never by value; `low` when all are fallbacks."""
    projects = {(project.root, project.files): project for project in compose_projects}
    files: dict[str, dict[tuple[str, str, str, int], ComposeSecret]] = {}
    for secret in compose_secrets:
        file = secret.file or projects[secret.root, secret.files].file or secret.files
        # Several projects may read one file.
        files.setdefault(file, {}).setdefault((secret.service, secret.kind, secret.name, secret.line), secret)
    for file, places in files.items():
        secrets = list(places.values())
        yield _clear(file, secrets, projects[secrets[0].root, secrets[0].files])


def _clear(file: str, secrets: list[ComposeSecret], project: ComposeProject) -> ClearSecrets:
    services = {secret.service for secret in secrets}
    return ClearSecrets(
        severity="low" if all(secret.default for secret in secrets) else "medium",
        compose_file=file,
        project=project.project,
        secrets=tuple(secret.name for secret in secrets),
        summary=summary([_secret(secret) for secret in secrets]),
        compose=compose_on_disk(project),
        service=services.pop() if len(services) == 1 else None,
    )


def _secret(secret: ComposeSecret) -> str:
    fallback = " (valeur de repli)" if secret.default else ""
    line = f", ligne {secret.line}" if secret.line else ""
    return f"{_SECRET_PLACES[secret.kind]} {secret.name}{fallback} du service {quoted(secret.service)}{line}"
