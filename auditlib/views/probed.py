"""How each probe should have travelled: the router that must win it, and the first broken hop of its way."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, flag, prose, several, table, text, view
from auditlib.facts.tables import TABLES
from auditlib.traefik.rules import RuleError, Syntax, parse, places
from auditlib.views.hops import Known, Trace
from auditlib.views.trace import RequestError, trace


@table(
    "probe_walks",
    "Trajets des sondes",
    "Le trajet que chaque sonde devait faire, et la première étape rompue.",
    key=("url", "entrypoint"),
)
class ProbeWalk(Row):
    """A probe and the walk of its request through what was read."""

    url: str = text("URL")
    entrypoint: str = text("Point d’entrée")
    routers: tuple[str, ...] | None = several("Routeurs prévus", "Plusieurs : à égalité.")
    certain: bool | None = flag(
        "Certain", "Faux si une règle dépend de ce que la sonde ne dit pas, ou qui a été masqué."
    )
    service: str | None = text("Service")
    server: str | None = text("Serveur")
    container: str | None = text("Conteneur")
    stop: str | None = text("S’arrête à", "La première étape rompue, celle de la sonde mise à part.")
    stop_name: str | None = text("Étape", "Le nom de cette étape.")
    reason: str | None = prose("Motif")
    faults: tuple[str, ...] | None = several(
        "Contrôles", "Ceux qui en disent plus, avec leur sujet : NET-002 container app."
    )


# The address that Traefik sees of a probe depends on the engine; what was a secret in a rule is not known any more.
_UNSURE = ("clientip", "[secret retiré]")
# What a walk reads is dated by no clock: a snapshot of these tables needs one all the same.
_NO_TIME = dt.datetime.fromtimestamp(0, dt.UTC)


@view(ProbeWalk)
def probe_walks(
    http_probes: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    container_networks: pd.DataFrame | None = None,
    container_listeners: pd.DataFrame | None = None,
    labels: pd.DataFrame | None = None,
    networks: pd.DataFrame | None = None,
    publications: pd.DataFrame | None = None,
    listeners: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
    traefik_static: pd.DataFrame | None = None,
    traefik_entrypoints: pd.DataFrame | None = None,
    traefik_routers: pd.DataFrame | None = None,
    traefik_services: pd.DataFrame | None = None,
    traefik_servers: pd.DataFrame | None = None,
    traefik_middlewares: pd.DataFrame | None = None,
    traefik_files: pd.DataFrame | None = None,
    traefik_file_routers: pd.DataFrame | None = None,
    traefik_file_services: pd.DataFrame | None = None,
    traefik_file_servers: pd.DataFrame | None = None,
    traefik_file_middlewares: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row for each probe whose address can be asked at all."""
    given: Mapping[str, Any] = {
        "containers": containers,
        "container_networks": container_networks,
        "container_listeners": container_listeners,
        "labels": labels,
        "networks": networks,
        "publications": publications,
        "listeners": listeners,
        "traefik": traefik,
        "traefik_static": traefik_static,
        "traefik_entrypoints": traefik_entrypoints,
        "traefik_routers": traefik_routers,
        "traefik_services": traefik_services,
        "traefik_servers": traefik_servers,
        "traefik_middlewares": traefik_middlewares,
        "traefik_files": traefik_files,
        "traefik_file_routers": traefik_file_routers,
        "traefik_file_services": traefik_file_services,
        "traefik_file_servers": traefik_file_servers,
        "traefik_file_middlewares": traefik_file_middlewares,
    }
    known = Known(
        Snapshot(
            "", _NO_TIME, {name: TABLES[name].rows(records(rows)) for name, rows in given.items() if rows is not None}
        )
    )
    rules = {row["router"]: row for row in known.traefik("routers") or []}
    for probe in records(http_probes):
        try:
            walked = trace(known, probe["url"])
        except RequestError:
            continue
        same = walked.entrypoint == probe["entrypoint"]
        stop = next((hop for hop in walked.hops if hop.state == "broken"), None) if same else None
        yield {
            "url": probe["url"],
            "entrypoint": probe["entrypoint"],
            "routers": (walked.router, *walked.ties) if same and walked.router else (),
            "certain": same and _certain(walked, rules, probe),
            "service": walked.service,
            "server": walked.server,
            "container": walked.container,
            "stop": stop and stop.hop,
            "stop_name": (stop and stop.name) or None,
            "reason": stop and stop.reason,
            "faults": tuple(dict.fromkeys(" ".join(fault) for fault in walked.faults)) if same else (),
        }


def _certain(walked: Trace, rules: Mapping[str, Record], probe: Record) -> bool:
    """Whether no router that is tried before the winner, and may answer to this probe, has a rule of unsure effect."""
    for candidate in walked.candidates:
        row = rules.get(candidate.router)
        rule = (row or {}).get("rule") or ""
        if row and any(word in rule.lower() for word in _UNSURE) and _concerns(row, probe):
            return False
        if candidate.router == walked.router:
            break
    return True


def _concerns(router: Record, probe: Record) -> bool:
    syntax: Syntax = "v2" if router["rule_syntax"] == "v2" else "v3"
    try:
        found = places(parse(router["rule"] or "", syntax))
    except RuleError:
        return True
    return any(
        (_pattern(place.domain) or place.domain == probe["domain"])
        and (_pattern(place.path) or str(probe["path"] or "/").startswith(str(place.path)))
        for place in found
    )


def _pattern(place: str | None) -> bool:
    return place is None or place.startswith(("~", "*"))
