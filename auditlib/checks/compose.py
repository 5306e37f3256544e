"""COMPOSE: names and files of stacks."""

from collections.abc import Iterator

import pandas as pd

from auditlib.findings import Fix, check
from auditlib.fixes import compose
from auditlib.schema import Row, records
from auditlib.software import GENERIC_NAMES


@check(
    "COMPOSE-001",
    "medium",
    "Aucun conteneur ne porte un nom générique",
    key=("container",),
    message="Le conteneur « {container} » porte un nom générique{owner} : un autre ensemble qui choisirait le même nom "
    "ne pourrait pas démarrer.",
    fix=Fix(
        "{where}, puis recréer le conteneur. Un nom propre au projet convient, par exemple « {proposal} ».",
        ("{compose} up -d {service}", "docker rename {alone} {proposal}"),
        ("docker ps --all --filter {filter} --format '{{{{.Names}}}}'",),
    ),
)
def distinctive_names(containers: pd.DataFrame) -> Iterator[Row]:
    """Live containers whose name is a generic word: Compose gives none by itself, so somebody chose it."""
    for row in records(containers):
        if row["name"].lower() in GENERIC_NAMES:
            project, name = row["compose_project"], row["name"]
            yield {
                "container": name,
                "project": project,
                "image": row["image"],
                "wording": {
                    "owner": f" (projet « {project} », service « {row['compose_service']} »)" if project else "",
                    "where": "Retirer ou préfixer « container_name » dans le fichier compose"
                    if project
                    else "Renommer le conteneur là où il est lancé",
                    "proposal": f"{_prefix(project or row['image'] or 'mon')}-{name}",
                    "alone": None if project else name,
                    "filter": f"name=^/{name}$",
                    **compose(row),
                },
            }


def _prefix(project: str) -> str:
    """The first word of a project's name: « unified-stack » gives « unified »."""
    return project.rpartition("/")[2].partition(":")[0].replace("_", "-").partition("-")[0]
