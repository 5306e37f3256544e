"""COMPOSE: what compose files say: names, faults, secrets."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose, compose_on_disk
from auditlib.french import listing, quoted
from auditlib.software import GENERIC_NAMES
from auditlib.views.declarations import place

_UNREAD = "les fichiers compose n’ont pas été lus"
MOST = 8  # things told one by one in a sentence


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
def distinctive_names(containers: pd.DataFrame, compose_services: pd.DataFrame | None = None) -> Iterator[Record]:
    """Generic names of containers, and of services of the disk that would start: somebody chose each of them.

    `high` when two of them have one name. The same service of the same project is one, in however many files. Behind
    a profile that is not active, a service starts only when it is asked for: it counts for nothing here.
    """
    declared: dict[str, dict[tuple[str, str], Record]] = {}
    for row in records(compose_services) if compose_services is not None else []:
        name = row["container_name"]
        if name and name.lower() in GENERIC_NAMES and row["active"]:
            declared.setdefault(name, {}).setdefault((row["project"], row["service"]), row)
    live = {row["name"]: row for row in records(containers) if row["name"].lower() in GENERIC_NAMES}
    for name in sorted({*live, *declared}):
        others = dict(declared.get(name, {}))
        if container := live.get(name):
            own = others.pop((container["compose_project"], container["compose_service"]), None)
            yield _generic(name, container["compose_project"], container["compose_service"], own, others, container)
        else:
            (project, service), own = next(iter(sorted(others.items())))
            del others[project, service]
            yield _generic(name, project, service, own, others, None)
    if compose_services is None:
        raise AbsentTable("compose_services", _UNREAD)


def _generic(
    name: str,
    project: str | None,
    service: str | None,
    own: Record | None,
    others: dict[tuple[str, str], Record],
    container: Record | None,
) -> Record:
    where = place({"file": own["container_name_file"], "line": own["container_name_line"]}) if own else ""
    image = container["image"] if container else own["image"] if own else None
    rivals = [f"{one} / {other}" for one, other in sorted(others)]
    if rivals:
        effect = (
            f"{listing(map(quoted, rivals))} le {'réclame' if len(rivals) == 1 else 'réclament'} aussi, et un seul "
        )
        effect += "peut le porter"
    else:
        effect = "un autre ensemble qui choisirait le même nom ne pourrait pas démarrer"
    return {
        "severity": "high" if rivals else "medium",
        "container": name,
        "project": project,
        "image": image,
        "others": rivals,
        "wording": {
            "start": f"Le conteneur {quoted(name)} porte" if container else f"Le fichier {where} donne {quoted(name)},",
            "owner": f" (projet « {project} », service « {service} »)" if project else "",
            "effect": effect,
            "where": f"Retirer ou préfixer « container_name » dans {where or 'le fichier compose'}"
            if project
            else "Renommer le conteneur là où il est lancé",
            "proposal": own_name(project or image or "mon", name),
            "alone": None if project else name,
            "filter": f"name=^/{name}$",
            **(compose(container) if container else {"compose": None, "service": None}),
        },
    }


def own_name(project: str, name: str) -> str:
    """A name that tells the project by its first word: « unified-postgres » for « postgres » of « unified-stack »."""
    return f"{project.rpartition('/')[2].partition(':')[0].replace('_', '-').partition('-')[0]}-{name}"


@check(
    "COMPOSE-002",
    "medium",
    "Chaque fichier compose est lisible, valide et sans variable inconnue",
    key=("compose_file",),
    message="Le fichier compose « {compose_file} » (projet « {project} ») {effect} : {told}.",
    fix=Fix(
        "{remedy}, puis faire relire le fichier par Compose.",
        (),
        ("{compose} config --quiet",),
    ),
)
def valid_files(
    compose_problems: pd.DataFrame, compose_projects: pd.DataFrame, compose_files: pd.DataFrame
) -> Iterator[Record]:
    """What Compose would refuse, and variables without a value, by file.

    A file that only a container names and that is gone is COMPOSE-006's. One of another machine is not known.
    """
    projects = {(row["root"], row["files"]): row for row in records(compose_projects)}
    gone = {
        (row["root"], row["files"]) for row in records(compose_files) if row["role"] == "compose" and row["missing"]
    }
    found: dict[str, dict[str, Record]] = {}
    first: dict[str, Record] = {}
    for row in records(compose_problems):
        project = projects.get((row["root"], row["files"]))
        if project and row["kind"] != "remote" and (row["root"], row["files"]) not in gone:
            file = row["file"] or project["file"]
            first.setdefault(file, project)
            line = f" (ligne {row['line']})" if row["line"] else ""
            vague = row["kind"] == "variable"
            clause = f"variable {row['variable']} sans valeur" if vague else row["reason"]
            found.setdefault(file, {}).setdefault(f"{clause}{line}", row)
    for file, problems in found.items():
        refused = any(row["kind"] != "variable" for row in problems.values())
        yield {
            "compose_file": file,
            "project": first[file]["project"],
            "problems": list(problems),
            "variables": sorted({row["variable"] for row in problems.values() if row["variable"]}),
            "wording": {
                "effect": "est refusé par Compose" if refused else "est incomplet",
                "told": told(list(problems)),
                "remedy": "Corriger ce qui est refusé"
                if refused
                else "Donner ces valeurs dans le fichier .env du projet, ou une valeur de repli",
                "compose": compose_on_disk(first[file]),
            },
        }


def told(clauses: list[str]) -> str:
    """The first of many things, and how many more there are."""
    more = len(clauses) - MOST
    return " ; ".join([*clauses[:MOST], *([f"et {more} de plus"] if more > 0 else [])])


_SECRET_PLACES = {"environment": "variable", "label": "étiquette", "command": "commande", "build": "argument"}


@check(
    "COMPOSE-005",
    "medium",
    "Aucun fichier compose ne contient de secret en clair",
    key=("compose_file",),
    message="Le fichier compose « {compose_file} » contient en clair : {told}. Qui lit le fichier, ou l’une de ses "
    "copies, le connaît.",
    fix=Fix(
        "Mettre la valeur dans le fichier .env du projet (mode 600, hors du dépôt) et la nommer par une variable, ou "
        "la donner par « secrets: » ; puis changer ce secret, qui a pu être lu, et recréer le service.",
        ("{compose} up -d {services}",),
        ("{compose} config --quiet",),
    ),
)
def no_clear_secret(compose_secrets: pd.DataFrame, compose_projects: pd.DataFrame) -> Iterator[Record]:
    """Secrets written in compose files, by name and place, never by value; `low` when all are fallbacks."""
    projects = {(row["root"], row["files"]): row for row in records(compose_projects)}
    found: dict[str, dict[tuple[str, str, str, int | None], Record]] = {}
    for row in records(compose_secrets):
        file = row["file"] or projects[row["root"], row["files"]]["file"]
        found.setdefault(file, {}).setdefault((row["service"], row["kind"], row["name"], row["line"]), row)
    for file, secrets in found.items():
        rows = list(secrets.values())
        project = projects[rows[0]["root"], rows[0]["files"]]
        services = sorted({row["service"] for row in rows})
        yield {
            "severity": "low" if all(row["default"] for row in rows) else "medium",
            "compose_file": file,
            "project": project["project"],
            "secrets": [row["name"] for row in rows],
            "wording": {
                "told": told([_secret(row) for row in rows]),
                "compose": compose_on_disk(project),
                "services": services[0] if len(services) == 1 else None,
            },
        }


def _secret(row: Record) -> str:
    fallback = " (valeur de repli)" if row["default"] else ""
    line = f", ligne {row['line']}" if row["line"] else ""
    return f"{_SECRET_PLACES[row['kind']]} {row['name']}{fallback} du service {quoted(row['service'])}{line}"
