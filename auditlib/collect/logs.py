"""What Traefik wrote: its own log and its access log, from files or from the engine, their ends only.

Where they are is told by the static configuration (`log.filepath`, `accesslog`, `accesslog.filepath`). Without a
file they are on the container's standard output, both mixed if both are there.
"""

import contextlib
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import requests
from docker.errors import APIError, DockerException

from auditlib.collect import access_log, log_tail, traefik_events, traefik_log, traefik_static
from auditlib.collect.containers import name
from auditlib.collect.engine import ReadOnlyClient, address, connect
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable, connection_fault
from auditlib.facts.table import Row
from auditlib.facts.tables.logs import Log
from auditlib.french import instant, number, os_error
from auditlib.parameters import Parameters
from auditlib.traefik.decoding import TRUE

TITLES = {"traefik": "journal de Traefik", "access": "journal d’accès"}
NO_ACCESS_LOG = "Traefik n’écrit pas de journal d’accès (option accesslog)"
REMEDY = "écrire les journaux dans un fichier monté, ou avec le pilote json-file ou local"
REMEDY_ON_HOST = "écrire les journaux dans un fichier (log.filePath, accessLog.filePath), et lancer l’audit avec sudo"
OUTPUT = ""  # the path of the container's standard output


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The ends of the logs, as text, by place: a path in the container, or "" for its standard output."""
    engine, static, container = payloads["engine"], payloads["traefik_static"], traefik_static.bearer(payloads)
    options, sure = traefik_static.options(static)
    places = where(options, container)
    payload: dict[str, Any] = {
        "container": static["container"],
        "names": {one["Id"]: name(one) for one in engine["containers"]},
        "places": places,
        "sure": sure,
        "tails": {},
        "unread": {},
    }
    wanted = [place for place in dict.fromkeys(places.values()) if place is not None]
    if static.get("process"):
        for place in wanted:
            _keep(place, payload, partial(_of_machine, container, place))
        return payload
    with contextlib.closing(connect(address(parameters.docker_host), PATIENCE * parameters.timeout_s)) as client:
        for place in wanted:
            read = partial(_tail, client, container, place, local=engine["local"], timeout_s=client.timeout)
            _keep(place, payload, read)
    return payload


def where(options: Mapping[str, str], container: Mapping[str, Any]) -> dict[str, str | None]:
    """Where each log is: a path in the container, "" for its standard output, None when it is not written."""
    own = options.get("log.filepath") or OUTPUT
    given = [key for key in options if key.startswith("accesslog.")]
    on = bool(given) or options.get("accesslog", "false") in TRUE
    access = (options.get("accesslog.filepath") or OUTPUT) if on else None
    folder = container["Config"].get("WorkingDir") or "/"
    return {
        log: None if path is None else _place(traefik_static.joined(folder, path) if path else OUTPUT)
        for log, path in (("traefik", own), ("access", access))
    }


def _place(path: str) -> str:
    return OUTPUT if path in log_tail.STANDARD else path


def _keep(place: str, payload: dict[str, Any], read: Callable[[], tuple[str, log_tail.Tail]]) -> None:
    """Put what is read of the log at `place` into the payload, or why it cannot be read."""
    try:
        origin, tail = read()
    except Unreadable as unreadable:
        payload["unread"][place] = unreadable.reason
    except (DockerException, requests.RequestException, OSError, ValueError, tarfile.TarError) as error:
        payload["unread"][place] = _fault(error)
    else:
        payload["tails"][place] = {"origin": origin, **asdict(tail)}


def _of_machine(process: dict[str, Any], place: str) -> tuple[str, log_tail.Tail]:
    """The end of a log of the machine's own Traefik."""
    tail = log_tail.of_mount(process, place) if place != OUTPUT else None
    if tail is None:
        raise Unreadable("partial", "Traefik l’écrit sur la sortie standard de son processus")
    return "file", tail


def _tail(
    client: ReadOnlyClient, container: dict[str, Any], place: str, *, local: bool, timeout_s: float
) -> tuple[str, log_tail.Tail]:
    """The end of a log, and where it was read."""
    if place != OUTPUT:
        try:
            # What this user may not read, the engine may still give.
            with contextlib.suppress(PermissionError):
                if local and (tail := log_tail.of_mount(container, place)) is not None:
                    return "file", tail
            return "file", log_tail.of_archive(client, container["Id"], place)
        except log_tail.StandardOutputError:
            pass
    return "engine", log_tail.of_engine(client, container, timeout_s)


def _fault(error: Exception) -> str:
    """Why a log could not be read, as a French clause."""
    if isinstance(error, APIError) and error.status_code:
        return f"le moteur Docker répond HTTP {error.status_code}"
    if isinstance(error, OSError) and error.errno:
        return os_error(error)
    return connection_fault(error) or "réponse du moteur Docker inutilisable"


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `logs`, `log_events`, `access_stats` and `access_unrouted`.

    The tables of a log that was not read are absent. Raises Unreadable when none was read.
    """
    remedy = REMEDY if payload["container"] else REMEDY_ON_HOST
    logs: list[Log] = []
    tables: dict[str, Sequence[Row]] = {}
    gaps, notes, unread = [], [], False
    if not payload["sure"]:
        gaps.append("la configuration en vigueur n’est pas sûre : d’autres journaux sont peut-être écrits")
    for log, place in payload["places"].items():
        if place is None:
            notes.append(NO_ACCESS_LOG)
        elif place in payload["unread"]:
            unread = True
            gaps.append(f"{TITLES[log]} non lu{f' ({redact(place)})' if place else ''} : {payload['unread'][place]}")
        else:
            tail = payload["tails"][place]
            content = _READERS[log](tail["text"], payload["names"])
            logs.append(
                replace(
                    content.log,
                    container=payload["container"],
                    origin=tail["origin"],
                    location=redact(place) or None,
                    size=tail["size"],
                    complete=tail["complete"],
                )
            )
            tables |= content.tables
            gaps += content.gaps
            notes += [] if tail["complete"] else [_cut(content.log)]
    if not logs:
        raise Unreadable("failed", " ; ".join(gaps), remedy)
    return Reading(
        {"logs": logs, **tables},
        gaps,
        f"{remedy.capitalize()}." if unread else "",
        ". ".join(notes) + "." if notes else "",
    )


def _cut(log: Log) -> str:
    since = f"lu à partir du {instant(log.first)}" if log.first else "aucune date n’y est lisible"
    return f"Début du {TITLES[log.log]} laissé de côté : {since}"


class _Content(NamedTuple):
    """What a log holds: its row without where it was read, the rows made of it, and what is missing from them."""

    log: Log
    tables: dict[str, Sequence[Row]]
    gaps: list[str]


def _own(text: str, names: Mapping[str, str]) -> _Content:
    """The log that Traefik keeps of itself."""
    found = list(traefik_log.entries(text))
    table, left_out = traefik_events.events(found, names)
    times = [entry.time for entry in found if entry.time]
    log = Log(
        log="traefik",
        format=_most([entry.form for entry in found if entry.form]),
        entries=sum(bool(entry.form) for entry in found),
        unparsed=sum(not entry.form for entry in found),
        first=min(times, default=None),
        last=max(times, default=None),
    )
    gaps = [f"{number(left_out)} messages d’autres sortes laissés de côté"] if left_out else []
    return _Content(log, {"log_events": table}, gaps)


def _access(text: str, names: Mapping[str, str]) -> _Content:
    """The access log; the audit's own probes are left out as far as it tells them."""
    lines = list(access_log.requests(text))
    asked = [request for request in lines if request is not None]
    stats, unrouted = access_log.statistics(request for request in asked if not request.probe)
    times = [request.time for request in asked if request.time]
    log = Log(
        log="access",
        format=_most([request.form for request in asked]),
        entries=len(asked),
        unparsed=len(lines) - len(asked),
        probes=sum(request.probe for request in asked) if any(request.agent for request in asked) else None,
        first=min(times, default=None),
        last=max(times, default=None),
    )
    return _Content(log, {"access_stats": stats, "access_unrouted": unrouted}, [])


def _most(forms: list[str]) -> str | None:
    return next((form for form, _ in Counter(forms).most_common(1)), None)


_READERS = {"traefik": _own, "access": _access}
