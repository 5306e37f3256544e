"""Reading the machine. Nothing outside this package touches it, and nothing here changes it."""

import datetime as dt
import logging
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from auditlib.collect import (
    acme,
    compose,
    containers,
    databases,
    dependencies,
    disks,
    docker_access,
    engine,
    host,
    listeners,
    logs,
    namespaces,
    network,
    probes,
    systemd,
    tls,
    traefik_api,
    traefik_files,
    traefik_static,
    usage,
)
from auditlib.collect.attribution import answered_by, attribute
from auditlib.collect.source import Outcome, Source, Unreadable, gather
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import Host, SourceStatus
from auditlib.facts.tables.web import Certificate, HttpProbe
from auditlib.parameters import Parameters

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
        _tables("traefik_api"),  # and, from Traefik 3.7 on, rows of « certificates »
        traefik_api.fetch,
        traefik_api.rows,
        after=("engine", "traefik_static"),
    ),
    Source(
        "logs",
        "journaux de Traefik",
        _tables("logs"),
        logs.fetch,
        logs.rows,
        # The probes leave their trace in the access log, which tells the router that answered.
        after=("engine", "traefik_static", "probes"),
    ),
    Source("acme", "stockage ACME", _tables("acme"), acme.fetch, acme.rows, after=("engine", "traefik_static")),
    Source(
        "tls",
        "certificats servis",
        (*_tables("tls"), Certificate.table.name),
        tls.fetch,
        tls.rows,
        # Without the API, what labels and files declare is asked.
        after=("engine", "traefik_static", "traefik_api", "traefik_files"),
        local=True,
    ),
    Source(
        "probes",
        "sondes HTTP",
        _tables("probes"),
        probes.fetch,
        probes.rows,
        # Without the API, what labels and files declare is asked.
        after=("engine", "traefik_static", "traefik_api", "traefik_files"),
        local=True,
    ),
    Source(
        "namespaces",
        "intérieur des conteneurs",
        _tables("namespaces"),
        namespaces.fetch,
        dependencies.rows,
        after=("engine",),
        local=True,
    ),
    Source("network", "réseau de la machine", _tables("network"), network.fetch, network.rows, local=True),
    Source("disks", "disques", _tables("disks"), disks.fetch, disks.rows, after=("engine",), local=True),
    Source("engine_usage", "place utilisée par Docker", _tables("engine_usage"), usage.fetch, usage.rows),
    Source(
        "docker_access",
        "accès à Docker",
        _tables("docker_access"),
        docker_access.fetch,
        docker_access.rows,
        local=True,
    ),
    Source(
        "systemd", "unités systemd", _tables("systemd"), systemd.fetch, systemd.rows, after=("listeners",), local=True
    ),
    Source(
        "databases",
        "bases de données",
        _tables("databases"),
        databases.fetch,
        databases.rows,
        after=("engine", "listeners"),
    ),
    Source(
        "compose", "fichiers compose", _tables("compose"), compose.fetch, compose.rows, after=("engine",), local=True
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
    tables = _together(outcomes)
    absent = {
        name: _clause(outcome.reason) or "non lue"
        for outcome in outcomes.values()
        for name in outcome.source.tables
        if name not in tables
    }
    hosts = (host.name for host in tables.get(Host.table.name, ()) if isinstance(host, Host))
    hostname = elsewhere or next(hosts, platform.node())
    facts = attribute(Snapshot(hostname, moment, tables, absent, duration_s=duration_s, zone=zone))
    probes = facts.known(HttpProbe)
    if probes is not None and (log := _access_log(outcomes["logs"].payload)):
        answers = outcomes["probes"].payload["answers"]
        facts = facts.changed({HttpProbe.table.name: answered_by(probes, answers, log)})
    return facts


def _together(outcomes: Mapping[str, Outcome]) -> dict[str, Rows[Row]]:
    """The tables that the sources gave, and that of the sources themselves."""
    read: dict[str, list[Row]] = {SourceStatus.table.name: [_status(outcome) for outcome in outcomes.values()]}
    for outcome in outcomes.values():
        for name, rows in outcome.tables.items():
            # Several sources tell of certificates.
            read.setdefault(name, []).extend(rows)
    return {name: table.rows(read[name]) for name, table in TABLES.items() if name in read}


def _access_log(payload: Mapping[str, Any] | None) -> str:
    """The end of the access log; "" when there is none, or none that could be read."""
    place = payload["places"].get("access") if payload else None
    return str(payload["tails"][place]["text"]) if payload and place in payload["tails"] else ""


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


def _status(outcome: Outcome) -> SourceStatus:
    return SourceStatus(
        source=outcome.source.name,
        status=outcome.status,
        reason=outcome.reason or None,
        remedy=outcome.remedy or None,
        duration_s=round(outcome.duration_s, 3),
        rows=sum(len(rows) for rows in outcome.tables.values()) if outcome.tables else None,
    )


def _clause(sentence: str) -> str:
    """A sentence as a clause inside another one."""
    proper = sentence.startswith(("Traefik", "Docker", "Compose"))
    return (sentence if proper else sentence[:1].lower() + sentence[1:]).rstrip(".")


def _zone() -> str:
    """The machine's time zone, as the IANA names it; UTC when it does not say."""
    name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name).key
    except (ValueError, ZoneInfoNotFoundError):
        return "UTC"
