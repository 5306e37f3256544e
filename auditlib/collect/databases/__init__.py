"""Databases: which there are, what each says without a password, and who is configured to reach it.

`found` tells them from the engine's and the kernel's answers, `ask` asks them over their own protocol, `executions`
runs the few fixed commands inside containers, `strings` reads connection strings.
"""

import re
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import requests
from docker.errors import DockerException

from auditlib.collect import listeners
from auditlib.collect.databases import executions
from auditlib.collect.databases.ask import LIMIT_S, Transcript, ask, understand
from auditlib.collect.databases.executions import Execution
from auditlib.collect.databases.found import Door, Found, find
from auditlib.collect.databases.strings import strings
from auditlib.collect.databases.wire import Answer
from auditlib.collect.engine import address, here
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable, connection_fault
from auditlib.facts.table import Row
from auditlib.facts.tables.databases import Database, ExecCommand
from auditlib.facts.tables.host import Listener
from auditlib.french import listing
from auditlib.parameters import Parameters

WORKERS = 4  # databases asked at once
_LEFT_FOR_ENGINE = 0.2  # of the source's time: an engine that hangs takes that long to be given up
MAX_DOORS = 3  # addresses tried for one database
MAX_OUTPUT = 500  # characters of a command's answer that are kept
MAX_NAMES = 200  # databases of one server that are named

_READABLE = "rendre le moteur Docker lisible"

# What the audit reads of a container's inspection.
_CONFIG = ("Image", "Env", "ExposedPorts", "Healthcheck")


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The containers and listeners that databases are found in, and what each database answered.

    `gaps` tells what was not asked, as French clauses.
    """
    engine, heard = payloads["engine"], payloads["listeners"]
    if engine is None and heard is None:
        raise Unreadable("absent", "ni le moteur Docker ni les écoutes de la machine n’ont été lus", _READABLE)
    if engine is None and _elsewhere(parameters.docker_host):
        raise Unreadable("absent", "le moteur Docker audité est sur une autre machine et n’a pas été lu", _READABLE)
    payload: dict[str, Any] = {
        "containers": [_trimmed(one) for one in engine["containers"]] if engine else None,
        "local": engine is None or engine["local"],
        "listeners": heard,
        "answers": {},
        "executions": [],
        "gaps": [],
    }
    deadline = time.monotonic() + PATIENCE * parameters.timeout_s
    found = [one for one in _found(payload) if one.running]
    with ThreadPoolExecutor(WORKERS) as pool:
        asked = list(pool.map(lambda one: _ask(one, deadline), found))
    payload["answers"] = {one.name: told for one, told in zip(found, asked, strict=True)}
    late = [one.name for one, told in zip(found, asked, strict=True) if one.doors and not told]
    if late:
        payload["gaps"].append(f"le temps a manqué pour interroger {listing(late)}")
    if not payload["local"]:
        payload["gaps"].append("le moteur Docker est sur une autre machine : ses bases ne sont pas interrogées d’ici")
    elif parameters.exec_checks and engine:
        _execute(parameters, payload, found, deadline - _LEFT_FOR_ENGINE * parameters.timeout_s)
    payload["exec_checks"] = parameters.exec_checks
    return payload


def _elsewhere(docker_host: str) -> bool:
    """Whether the engine's address is another machine's: then what listens on this one is none of its facts."""
    try:
        return not here(address(docker_host).url)
    except Unreadable:
        return False


def _trimmed(container: dict[str, Any]) -> dict[str, Any]:
    """The part of an inspection that is read here."""
    host, settings = container["HostConfig"], container["NetworkSettings"] or {}
    return {
        **{key: container.get(key) for key in ("Id", "Name", "Path", "Args", "Mounts")},
        "State": {"Running": bool(container["State"].get("Running"))},
        "Config": {key: container["Config"].get(key) for key in _CONFIG},
        "HostConfig": {key: host.get(key) for key in ("NetworkMode", "ExtraHosts", "Links")},
        "NetworkSettings": {key: settings.get(key) for key in ("Networks", "Ports")},
    }


def _found(payload: dict[str, Any]) -> list[Found]:
    heard = listeners.rows(payload["listeners"]).of(Listener) if payload["listeners"] else []
    # Listeners of this machine say nothing of an engine that runs elsewhere.
    return find(payload["containers"] or [], heard if payload["local"] else [], local=payload["local"])


def _ask(one: Found, deadline: float) -> list[Transcript]:
    """What each address answered, up to the first that spoke; nothing when the time is over."""
    told: list[Transcript] = []
    for door in one.doors[:MAX_DOORS]:
        left = min(LIMIT_S, deadline - time.monotonic())
        if left <= 0:
            break
        told.append(ask(one.kind, door, left))
        if understand(one.kind, told[-1]).speaks:
            break
    return told


def _execute(parameters: Parameters, payload: dict[str, Any], found: list[Found], deadline: float) -> None:
    """Run the fixed commands in the containers of databases; the first refusal of the engine ends it."""
    inside = [one for one in found if one.container_id and not _hangs(one, payload["answers"][one.name])]
    if not any(list(executions.commands(one)) for one in inside):
        return
    try:
        limit_s = min(executions.LIMIT_S, parameters.timeout_s / 4)
        with executions.door(address(parameters.docker_host), parameters.timeout_s / 10) as client:
            for one in inside:
                for command, words in executions.commands(one):
                    if time.monotonic() > deadline:
                        payload["gaps"].append("le temps a manqué pour toutes les commandes de docker exec")
                        return
                    told = _run(client, one, command, words, limit_s)
                    payload["executions"].append(told)
                    if told["status"] in (401, 403, 405):
                        payload["refused"] = told["status"]
                        return
    except (DockerException, requests.RequestException, OSError, Unreadable) as error:
        fault = connection_fault(error) or "réponse inutilisable"
        payload["gaps"].append(f"docker exec n’a pas pu être demandé au moteur ({fault})")


def _hangs(one: Found, told: list[Transcript]) -> bool:
    """Whether a database was reached and stayed silent: a command that asks it would stay too, inside its container."""
    return any(transcript["reached"] and not understand(one.kind, transcript).speaks for transcript in told)


def _run(
    client: executions.ExecutionDoor, one: Found, command: executions.Command, words: list[str] | None, limit_s: float
) -> Execution:
    if words is None:
        told = {"name": one.name, "container": one.container, "tells": command.tells, "command": list(command.words)}
        fault = "le nom de l’utilisateur ou de la base n’est pas un nom simple"
        return {**told, "output": "", "exit_code": None, "fault": fault, "status": None, "duration_s": None}
    return executions.run(client, one, command, words, limit_s)


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `databases` and, with the engine, of `exec_commands` and `connection_strings`."""
    told: dict[str, dict[str, str]] = {}
    for one in payload["executions"]:
        if one["exit_code"] == 0:
            told.setdefault(one["name"], {})[one["tells"]] = one["output"].strip()
    tables: dict[str, Sequence[Row]] = {
        "databases": [
            _database(one, payload["answers"].get(one.name) or [], told.get(one.name, {})) for one in _found(payload)
        ]
    }
    gaps = list(payload["gaps"])
    if payload["containers"] is not None:
        tables["connection_strings"] = strings(payload["containers"])
        tables["exec_commands"] = [_execution(one) for one in payload["executions"]]
    else:
        gaps.append("le moteur Docker n’a pas été lu : seules les bases de la machine sont connues")
    if payload["listeners"] is None and payload["local"]:
        gaps.append("les écoutes de la machine n’ont pas été lues : seules les bases des conteneurs sont connues")
    return Reading(tables, gaps, note=_note(payload))


def _note(payload: dict[str, Any]) -> str:
    """What is said when there are no commands of docker exec, whose absence takes little from the audit."""
    if not payload["exec_checks"]:
        return "Sans docker exec (exec_checks est faux) : les bases sont interrogées par leur protocole seulement."
    if payload.get("refused"):
        return (
            f"Le moteur Docker refuse docker exec (HTTP {payload['refused']}) : les bases sont interrogées par leur "
            "protocole seulement."
        )
    return ""


def _database(one: Found, asked: list[Transcript], told: dict[str, str]) -> Database:
    transcript, answer = _best(one, asked)
    door = Door(**transcript["door"]) if transcript else None
    answer = _completed(answer, told)
    names = [*(one.facts.names or ()), *told.get("databases", "").splitlines()[:MAX_NAMES]]
    alive = bool(told.keys() & {"now", "hello"}) or told.get("ping", "").startswith(("PONG", "NOAUTH"))
    answers = True if answer.speaks else _silence(one, asked)
    by_exec = alive and not answer.speaks
    return replace(
        one.facts,
        database=one.name,
        kind=one.kind,
        place=one.place,
        container=one.container,
        found_by=one.by,
        running=one.running,
        port=one.port,
        answers=True if by_exec else answers,
        asked_at=door.shown if door and not by_exec else None,
        asked_via="exec" if by_exec else door.via if door else None,
        asked_from=transcript["source"] if transcript else None,
        product=answer.product,
        version=answer.version,
        authentication=answer.authentication,
        method=answer.method,
        tls=answer.tls,
        role=answer.role,
        read_only=answer.read_only,
        names=tuple(dict.fromkeys(redact(name) for name in names)),
        note=_remark(one, transcript, answer),
    )


def _best(one: Found, asked: list[Transcript]) -> tuple[Transcript | None, Answer]:
    """The transcript that tells most: one where the database spoke, else one where something was reached."""
    understood = [(transcript, understand(one.kind, transcript)) for transcript in asked]
    order = {True: 1, False: 2, None: 3}
    understood.sort(key=lambda pair: 0 if pair[1].speaks else order[pair[0]["reached"]])
    return understood[0] if understood else (None, Answer())


def _completed(answer: Answer, told: dict[str, str]) -> Answer:
    """The answer with what the commands inside the container tell."""
    version = answer.version
    if not version and (said := told.get("version") or told.get("program")):
        match = re.search(r"\d+(?:\.\d+)+[\w.+~-]*", said)
        version = match[0] if match else None
    recovery = {"t": True, "f": False}.get(told.get("recovery", ""))
    if recovery is None:
        return replace(answer, version=version)
    return replace(answer, version=version, role="réplique" if recovery else "primaire", read_only=recovery)


def _silence(one: Found, asked: list[Transcript]) -> bool | None:
    """Whether a database that did not speak is known not to answer: unknown when it was not reached or not asked."""
    if not one.running or not asked:
        return None
    return None if all(transcript["reached"] is None for transcript in asked) else False


def _remark(one: Found, transcript: Transcript | None, answer: Answer) -> str | None:
    """One French sentence on how it went."""
    if not one.running:
        return "Le conteneur ne tourne pas."
    if transcript is None:
        return "Elle n’a pas été interrogée : aucune adresse n’est connue d’ici."
    if transcript["reached"] is None:
        return f"Injoignable de cette machine ({transcript['fault']})."
    said = answer.note or transcript["fault"]
    if not answer.speaks and transcript["reached"] and transcript["fault"]:
        said = f"la connexion s’ouvre, puis : {transcript['fault']}"
    return f"{said[:1].upper()}{said[1:]}." if said else None


_OUTCOMES = {401: "refused", 403: "refused", 405: "refused"}


def _execution(one: Execution) -> ExecCommand:
    outcome = _OUTCOMES.get(one["status"] or 0) or (
        "skipped"
        if one["duration_s"] is None
        else "timeout"
        if one["fault"] == "délai dépassé"
        else "ok"
        if one["exit_code"] == 0
        else "error"
    )
    return ExecCommand(
        database=one["name"],
        container=one["container"],
        command=shlex.join(["docker", "exec", one["container"], *one["command"]]),
        outcome=outcome,
        exit_code=one["exit_code"],
        output=tuple(redact(one["output"].strip())[:MAX_OUTPUT].splitlines()),
        reason=f"{one['fault'][:1].upper()}{one['fault'][1:]}." if one["fault"] else None,
        duration_s=one["duration_s"],
    )
