"""What joins the sources: which container is behind a listener, which container and network behind a server."""

import datetime as dt
from typing import Any

from auditlib.addresses import host_and_port
from auditlib.collect import access_log
from auditlib.facts.legacy import Record
from auditlib.software import PORT_HOLDERS

Tables = dict[str, list[Record]]


def attribute(tables: Tables) -> Tables:
    """The same tables with containers and networks named where the joins tell them; unknown where they do not."""
    joined = dict(tables)
    if "listeners" in tables:
        joined["listeners"] = _listeners(tables)
    if "traefik_servers" in tables and "container_networks" in tables:
        joined["traefik_servers"] = _servers(tables)
    return joined


def answered_by(probes: list[Record], answers: list[dict[str, Any]], log: str) -> list[Record]:
    """The probes with the router that answered each, where the access log tells it."""
    sent = {(one["url"], one["entrypoint"]): dt.datetime.fromisoformat(one["sent"]) for one in answers}
    if not sent:
        return probes
    # A busy log holds far more requests than those of the few seconds that the probes took.
    first, last = min(sent.values()) - access_log.TOLERANCE, max(sent.values()) + access_log.TOLERANCE
    asked = [one for one in access_log.requests(log) if one and one.time and first <= one.time <= last]
    return [
        {**row, "router": access_log.router_of(asked, row["domain"], row["path"], sent[row["url"], row["entrypoint"]])}
        for row in probes
    ]


def _listeners(tables: Tables) -> list[Record]:
    """Engine ids become names; a port held by docker-proxy belongs to the container that publishes it."""
    names = {row["id"]: row["name"] for row in tables.get("containers", [])}
    published = {
        (row["protocol"], row["host_ip"], row["host_port"]): row["container"]
        for row in tables.get("publications", [])
        if row["live"]
    }
    rows = []
    for row in tables["listeners"]:
        # A container that this engine does not know (another engine, Podman) keeps a short form of its id.
        container = names.get(row["container"], row["container"] and row["container"][:12])
        if not container and row["process"] in PORT_HOLDERS:
            container = published.get((row["protocol"], row["address"], row["port"]))
        rows.append({**row, "container": container})
    return rows


def _servers(tables: Tables) -> list[Record]:
    """A server belongs to the container that has its address, or its name on a network that Traefik shares."""
    ends = tables["container_networks"]
    proxy = {row["container"] for row in tables["traefik"]}
    reached = {end["network"] for end in ends if end["container"] in proxy}
    rows = []
    for row in tables["traefik_servers"]:
        host = host_and_port(row["url"])[0]
        matches = [end for end in ends if host and host in (end["ipv4"], end["ipv6"])]
        matches = matches or [end for end in ends if end["network"] in reached and host in _names(end)]
        # Two containers that answer to one name are no attribution: which one is reached is not known.
        if len({end["container"] for end in matches}) == 1:
            rows.append({**row, "container": matches[0]["container"], "network": _only(matches)})
        else:
            rows.append(row)
    return rows


def _only(ends: list[Record]) -> str | None:
    networks = {end["network"] for end in ends}
    return networks.pop() if len(networks) == 1 else None


def _names(end: Record) -> set[str]:
    """What Docker's DNS answers to, whatever the case."""
    return {name.lower() for name in (end["container"], *(end["aliases"] or []))}
