"""CONT: the state of containers."""

import datetime as dt
from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import instant, listing, plural, quoted, size
from auditlib.software import is_running, is_up

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
def healthy(containers: pd.DataFrame, routed: pd.DataFrame | None = None) -> Iterator[Record]:
    """Containers whose health check fails. Traefik drops them (`pkg/provider/docker/config.go`, keepContainer).

    The engine also calls unhealthy what it stopped probing, a container stopped or paused (`container/health.go`).
    """
    by_traefik = {row["container"] for row in records(routed) if row["docker"]} if routed is not None else set()
    for row in records(containers):
        if row["health"] == "unhealthy" and is_running(row["state"]):
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
def steady(containers: pd.DataFrame, docker_engine: pd.DataFrame) -> Iterator[Record]:
    """Containers that are restarting now, or that the engine restarted several times, the last time just now.

    The engine counts restarts since the container was created: a count alone says nothing of today.
    """
    now = records(docker_engine)[0]["clock"] if len(docker_engine) else None
    for row in records(containers):
        recent = now is not None and row["started"] is not None and now - row["started"] < LOOP_WINDOW
        again = is_running(row["state"]) and (row["restart_count"] or 0) >= LOOP_RESTARTS and recent
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


# How a container that was asked to stop ends: interrupted, killed, terminated (128 + signal). No error of its own.
_STOPPED_BY_HAND = (0, 130, 137, 143)


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
def running(containers: pd.DataFrame, publications: pd.DataFrame) -> Iterator[Record]:
    """Containers that ended with an error though their restart policy, or a port that they publish, wants them up.

    Without either, a container may be a task that is over. A code of a signal is that of a stop that was asked for, or
    of a lack of memory (CONT-005). The engine does not tell who stopped it: probable only.
    """
    publishing = {row["container"] for row in records(publications)}
    for row in records(containers):
        kept, code = row["restart_policy"] not in (None, "no"), row["exit_code"]
        wanted = kept or row["name"] in publishing
        if row["state"] != "exited" or code is None or code in _STOPPED_BY_HAND or row["oom_killed"] or not wanted:
            continue
        yield {
            "container": row["name"],
            "exit_code": code,
            "finished": row["finished"],
            "restart_policy": row["restart_policy"],
            "start_error": row["start_error"],
            "wording": {
                "duty": f"politique {quoted(row['restart_policy'])}" if kept else "il publie un port",
                "when": f", le {instant(row['finished'])}" if row["finished"] else "",
                "cause": f" : {row['start_error'].rstrip('.')}" if row["start_error"] else "",
                **compose(row),
            },
        }


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
    containers: pd.DataFrame, routed: pd.DataFrame | None = None, databases: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Containers without restart policy, of those that others count on."""
    roles: dict[str, str] = {}
    if databases is not None:
        roles |= {row["container"]: f"base {row['kind']}" for row in records(databases) if row["container"]}
    if routed is not None:
        roles |= {row["container"]: "routé par Traefik" for row in records(routed)}
    for row in records(containers):
        if row["restart_policy"] == "no" and is_up(row["state"]) and row["name"] in roles:
            yield {
                "container": row["name"],
                "restart_policy": "no",
                "role": roles[row["name"]],
                "wording": {
                    "policy": "« restart: unless-stopped » à son service dans le fichier compose"
                    if row["compose_project"]
                    else "« --restart unless-stopped » à la commande qui le crée",
                    **compose(row),
                },
            }
    for name, table in (("routed", routed), ("databases", databases)):
        if table is None:
            raise AbsentTable(name, "on ne sait pas quels conteneurs sont routés, ou sont des bases de données")


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
def fed(containers: pd.DataFrame) -> Iterator[Record]:
    """Containers that the kernel killed for memory, as the engine recorded it at their last end."""
    for row in records(containers):
        if row["oom_killed"]:
            limit = row["memory_limit"]
            yield {
                "container": row["name"],
                "state": row["state"],
                "memory_limit": limit,
                "finished": row["finished"],
                "wording": {
                    "when": f" le {instant(row['finished'])}" if row["finished"] else "",
                    "limit": f"limite de {size(limit)}" if limit is not None else "sans limite propre",
                    **compose(row),
                },
            }


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
def versioned(containers: pd.DataFrame, compose_services: pd.DataFrame | None = None) -> Iterator[Record]:
    """Images without tag or digest, or whose tag holds no figure (latest, stable, alpine…): it moves.

    An image that Compose builds here has the version of its sources.
    """
    services = [] if compose_services is None else records(compose_services)
    built = {(row["project"], row["service"]) for row in services if row["build"]}
    for row in records(containers):
        image = row["image"] or ""
        name, _, tag = image.rpartition("/")[2].partition(":")
        own = (row["compose_project"], row["compose_service"])
        made_here = own in built or (own[0] and name in (f"{own[0]}-{own[1]}", f"{own[0]}_{own[1]}"))
        fixed = "@" in image or any(char.isdigit() for char in tag) or not image or _is_identifier(image)
        if not fixed and not made_here:
            why = f"l’étiquette {quoted(tag)} suit les nouvelles" if tag else "sans étiquette, c’est « latest »"
            yield {"container": row["name"], "image": image, "wording": {"why": why, **compose(row)}}


def _is_identifier(image: str) -> bool:
    """Whether an image is named by its identifier, as the engine does once its tag is gone."""
    digest = image.removeprefix("sha256:")
    return len(digest) >= 12 and all(char in "0123456789abcdef" for char in digest)


# As many names as a sentence can bear.
_NAMED = 8


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
    containers: pd.DataFrame, docker_engine: pd.DataFrame, docker_daemon: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Containers whose json-file logs have no `max-size`; -1 is none. One finding: the daemon's default mends all."""
    unbounded = [
        row["name"]
        for row in records(containers)
        if row["log_driver"] == "json-file" and row["log_max_size"] in (None, "-1")
    ]
    daemons = [] if docker_daemon is None else records(docker_daemon)
    limit = next((row["log_max_size"] for row in daemons if row["log_max_size"]), None)
    if not unbounded:
        return
    others = len(unbounded) - _NAMED
    named = [*map(quoted, unbounded[:_NAMED]), *([plural(others, "autre")] if others > 0 else [])]
    told = f" Le démon limite désormais à {limit} ce qui est créé, pas ce qui existe déjà."
    for engine in records(docker_engine):
        yield {
            "host": engine["name"],
            "containers": unbounded,
            "daemon_limit": limit,
            "wording": {
                "config_file": next((row["config_file"] for row in daemons), "/etc/docker/daemon.json"),
                "count": f"de {plural(len(unbounded), 'conteneur')}" if unbounded[1:] else "d’un conteneur",
                "named": listing(named),
                "daemon": told if limit else "",
                "first": unbounded[0],
            },
        }


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
def checked(routed: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """Routed containers without a health check of their own."""
    known = {row["name"]: row for row in records(containers)}
    for one in records(routed):
        row = known.get(one["container"])
        if row and row["healthcheck"] is False:
            yield {"container": row["name"], "image": row["image"], "wording": compose(row)}
