"""CIS: the engine as a whole, its images and its containers (CIS Docker Benchmark 1.6, 4.6, 5.1 and section 6)."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.french import plural
from auditlib.software import is_up


@check(
    "CIS-5.1",
    "info",
    "Le mode essaim de Docker n’est pas actif sans besoin",
    key=("host",),
    message="Le moteur Docker de « {host} » est en mode essaim (swarm).",
    fix=Fix(
        "Si aucun service d’essaim ne sert, quitter l’essaim (« docker swarm leave ») ; sinon, accepter ce constat.",
        (),
        ("docker info --format '{{{{.Swarm.LocalNodeState}}}}'",),
    ),
    extra=True,
)
def swarm(docker_engine: pd.DataFrame) -> Iterator[Record]:
    """Engines that are part of a swarm."""
    return ({"host": row["name"], "swarm": "active"} for row in records(docker_engine) if row["swarm"] == "active")


@check(
    "CIS-6.1",
    "info",
    "La plupart des images de la machine servent",
    key=("host",),
    message="Sur « {host} », {unused} sur {total} ne servent à aucun conteneur.",
    fix=Fix(
        "Supprimer les images inutiles, après les avoir relues.",
        ("docker image prune --all",),
        ("docker images",),
    ),
    extra=True,
)
def image_sprawl(docker_engine: pd.DataFrame, images: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """Fewer than half of the images serve, as docker-bench-security counts."""
    every, used = {*images["id"]}, {row["image_id"] for row in records(containers)}
    unused = len(every - used)
    if unused > len(every) / 2:
        for row in records(docker_engine):
            yield {"host": row["name"], "unused": plural(unused, "image"), "total": len(every)}


@check(
    "CIS-4.6",
    "info",
    "Chaque image utilisée déclare un contrôle de santé",
    key=("image",),
    message="L’image « {image} », dont {users}, ne déclare pas de contrôle de santé (HEALTHCHECK).",
    fix=Fix(
        "Ajouter « HEALTHCHECK » au Dockerfile de « {image} » si elle est faite ici ; sinon, déclarer le contrôle dans "
        "le service qui s’en sert (« healthcheck »), ou accepter ce constat.",
        (),
        ("docker image inspect --format '{{{{json .Config.Healthcheck}}}}' {image}",),
    ),
    extra=True,
)
def image_health_check(images: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """Images of containers, up or not, that were inspected and have none. What containers add is another check's."""
    users: dict[str, list[str]] = {}
    for row in records(containers):
        users.setdefault(row["image_id"], []).append(row["name"])
    used = [row for row in records(images) if row["id"] in users]
    for row in used:
        if row["healthcheck"] is False:
            names = users[row["id"]]
            serves = plural(len(names), "conteneur se sert", "conteneurs se servent")
            yield {"image": (row["tags"] or (row["id"],))[0], "containers": names, "wording": {"users": serves}}
    if any(row["healthcheck"] is None for row in used):
        raise AbsentTable("images", "les images utilisées n’ont pas toutes été inspectées")


# As many stopped containers as docker-bench-security tolerates.
_STOPPED = 25


@check(
    "CIS-6.2",
    "info",
    "Les conteneurs arrêtés ne s’accumulent pas",
    key=("host",),
    message="Sur « {host} », {stopped} sont arrêtés.",
    fix=Fix(
        "Supprimer les conteneurs arrêtés qui ne serviront plus, après les avoir relus.",
        ("docker container prune",),
        ("docker ps --all --filter status=exited",),
    ),
    extra=True,
)
def container_sprawl(docker_engine: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """Many containers that do not run."""
    stopped = sum(not is_up(row["state"]) for row in records(containers))
    if stopped > _STOPPED:
        for row in records(docker_engine):
            yield {"host": row["name"], "stopped": plural(stopped, "conteneur")}
