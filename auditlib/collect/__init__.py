"""Reading the machine. Nothing outside this package touches it, and nothing here changes it."""

import datetime as dt
import logging
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from auditlib.collect import containers, engine, host, listeners, traefik_api, traefik_files, traefik_static
from auditlib.collect.attribution import attribute
from auditlib.collect.source import Outcome, Source, Unreadable, gather
from auditlib.parameters import Parameters
from auditlib.schema import Row
from auditlib.snapshot import Snapshot
from auditlib.tables import SOURCES, TABLES

log = logging.getLogger(__name__)


def _tables(source: str) -> tuple[str, ...]:
    return tuple(table.name for table in TABLES.values() if table.source == source)


ALL: tuple[Source, ...] = (
    Source("host", "machine", _tables("host"), host.fetch, host.rows, local=True),
    Source("engine", "moteur Docker", _tables("engine"), engine.fetch, containers.rows),
    Source("listeners", "écoutes de la machine", _tables("listeners"), listeners.fetch, listeners.rows, local=True),
    Source(
        "traefik_static",
        "configuration de Traefik",
        _tables("traefik_static"),
        traefik_static.fetch,
        traefik_static.rows,
        after=("engine",),
    ),
    Source(
        "traefik_api",
        "API de Traefik",
        _tables("traefik_api"),
        traefik_api.fetch,
        traefik_api.rows,
        after=("engine", "traefik_static"),
    ),
    Source(
        "traefik_files",
        "fichiers de Traefik",
        _tables("traefik_files"),
        traefik_files.fetch,
        traefik_files.rows,
        after=("engine", "traefik_static", "traefik_api"),
    ),
)


def collect(parameters: Parameters, progress: Callable[[Outcome], None] = lambda outcome: None) -> Snapshot:
    """Read every source, side by side, and make a snapshot of what was read.

    A source that cannot be read is recorded in the table `sources`, and its tables are absent. `progress` is called
    with the outcome of each source, from the thread that read it.
    """
    started, moment = time.monotonic(), dt.datetime.now(dt.UTC).replace(microsecond=0)
    outcomes = gather(ALL, parameters, progress)
    where = _engine_host(parameters, outcomes["engine"])
    return assemble(outcomes, where, moment, duration_s=time.monotonic() - started, zone=_zone())


def assemble(
    outcomes: Mapping[str, Outcome], elsewhere: str | None, moment: dt.datetime, *, duration_s: float, zone: str
) -> Snapshot:
    """Join what the sources gave into a snapshot.

    `elsewhere` is the engine's machine when it is not this one: then what was read of this machine is left out, since
    local facts are never joined with remote containers.
    """
    if elsewhere:
        for outcome in outcomes.values():
            if outcome.source.local:
                outcome.status, outcome.tables = "absent", {}
                outcome.reason = f"Le moteur Docker audité est sur une autre machine, {elsewhere}."
                outcome.remedy = "Lancez l’audit sur cette machine."
    read = attribute({name: rows for outcome in outcomes.values() for name, rows in outcome.tables.items()})
    read[SOURCES.name] = [_record(outcome) for outcome in outcomes.values()]
    absent = {
        name: _clause(outcome.reason) or "non lue"
        for outcome in outcomes.values()
        for name in outcome.source.tables
        if name not in outcome.tables
    }
    frames = {name: table.frame(read[name]) for name, table in TABLES.items() if name in read}
    names = [row["name"] for row in read.get("host", [])]
    hostname = elsewhere or (names[0] if names else platform.node())
    return Snapshot(hostname, moment, frames, absent, duration_s=duration_s, zone=zone)


def _engine_host(parameters: Parameters, outcome: Outcome) -> str | None:
    """The name of the machine that the engine runs on, when it is not this one."""
    if outcome.payload is not None:
        if outcome.payload["local"]:
            return None
        return str(outcome.payload.get("info", {}).get("Name") or outcome.payload["endpoint"])
    try:
        url = engine.address(parameters.docker_host).url
    except Unreadable:
        return None
    return None if engine.here(url) else urlsplit(url).hostname


def _record(outcome: Outcome) -> Row:
    return {
        "source": outcome.source.name,
        "status": outcome.status,
        "reason": outcome.reason or None,
        "remedy": outcome.remedy or None,
        "duration_s": round(outcome.duration_s, 3),
        "rows": sum(len(rows) for rows in outcome.tables.values()) if outcome.tables else None,
    }


def _clause(sentence: str) -> str:
    """A sentence as a clause inside another one."""
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")


def _zone() -> str:
    """The machine's time zone, as the IANA names it; UTC when it does not say."""
    name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name).key
    except (ValueError, ZoneInfoNotFoundError):
        return "UTC"
