"""CONT: the state of containers."""

import datetime as dt
from collections.abc import Iterator

import pandas as pd

from auditlib.findings import Fix, check
from auditlib.fixes import compose
from auditlib.french import instant, plural
from auditlib.schema import Row, records

# A container that the engine restarted at least this often, the last time this recently, is in a loop.
LOOP_RESTARTS = 3
LOOP_WINDOW = dt.timedelta(minutes=15)


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
def healthy(containers: pd.DataFrame, routed: pd.DataFrame | None = None) -> Iterator[Row]:
    """Containers whose health check fails. Traefik drops them (`pkg/provider/docker/config.go`, keepContainer).

    The engine also calls unhealthy what it stopped probing, a container stopped or paused (`container/health.go`).
    """
    by_traefik = {row["container"] for row in records(routed) if row["docker"]} if routed is not None else set()
    for row in records(containers):
        if row["health"] == "unhealthy" and row["state"] == "running":
            dropped = "Traefik ne lui envoie plus aucune requête." if row["name"] in by_traefik else ""
            facts = {"container": row["name"], "state": row["state"], "image": row["image"]}
            yield {**facts, "wording": {"consequence": dropped}}


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
def steady(containers: pd.DataFrame, docker_engine: pd.DataFrame) -> Iterator[Row]:
    """Containers that are restarting now, or that the engine restarted several times, the last time just now.

    The engine counts restarts since the container was created: a count alone says nothing of today.
    """
    now = records(docker_engine)[0]["clock"] if len(docker_engine) else None
    for row in records(containers):
        recent = now is not None and row["started"] is not None and now - row["started"] < LOOP_WINDOW
        again = row["state"] == "running" and (row["restart_count"] or 0) >= LOOP_RESTARTS and recent
        if row["state"] == "restarting" or again:
            # The engine forgets how the last run ended once the next one runs.
            ended = row["state"] == "restarting" and row["exit_code"] is not None
            yield {
                "container": row["name"],
                "state": row["state"],
                "restart_count": row["restart_count"],
                "exit_code": row["exit_code"],
                "restart_policy": row["restart_policy"],
                "wording": {
                    "restarts": plural(row["restart_count"] or 0, "redémarrage"),
                    "ending": f", code de sortie {row['exit_code']}" if ended else "",
                    "since": f", dernier démarrage le {instant(row['started'])}" if row["started"] else "",
                    **compose(row),
                },
            }
