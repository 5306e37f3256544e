"""What joins the sources: which container is behind a listener, which container and network behind a server."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from auditlib.addresses import host_and_port
from auditlib.collect import access_log
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row
from auditlib.facts.tables.docker import Container, ContainerNetwork, Publication
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import Traefik, TraefikServer
from auditlib.facts.tables.web import HttpProbe
from auditlib.software import PORT_HOLDERS


def attribute(facts: Snapshot) -> Snapshot:
    """The same facts with containers and networks named where the joins tell them; unknown where they do not."""
    joined: dict[str, Sequence[Row]] = {}
    if (listeners := facts.known(Listener)) is not None:
        joined["listeners"] = _listeners(listeners, facts)
    servers, ends = facts.known(TraefikServer), facts.known(ContainerNetwork)
    if servers is not None and ends is not None:
        joined["traefik_servers"] = _servers(servers, ends, {one.container for one in facts.rows(Traefik)})
    return facts.changed(joined)


def answered_by(probes: Sequence[HttpProbe], answers: list[dict[str, Any]], log: str) -> Sequence[HttpProbe]:
    """The probes with the router that answered each, where the access log tells it."""
    sent = {(one["url"], one["entrypoint"]): dt.datetime.fromisoformat(one["sent"]) for one in answers}
    if not sent:
        return probes
    # A busy log holds far more requests than those of the few seconds that the probes took.
    first, last = min(sent.values()) - access_log.TOLERANCE, max(sent.values()) + access_log.TOLERANCE
    asked = [one for one in access_log.requests(log) if one and one.time and first <= one.time <= last]
    return [
        replace(
            probe,
            router=access_log.router_of(asked, probe.domain or "", probe.path or "", sent[probe.url, probe.entrypoint]),
        )
        for probe in probes
    ]


def _listeners(listeners: Iterable[Listener], facts: Snapshot) -> list[Listener]:
    """Engine ids become names; a port held by docker-proxy belongs to the container that publishes it."""
    names = {one.id: one.name for one in facts.known(Container) or ()}
    published = {
        (one.protocol, one.host_ip, one.host_port): one.container for one in facts.known(Publication) or () if one.live
    }
    return [replace(one, container=_behind(one, names, published)) for one in listeners]


def _behind(
    listener: Listener, names: Mapping[str | None, str], published: Mapping[tuple[str, str, int | None], str]
) -> str | None:
    if listener.container:
        # A container that this engine does not know (another engine, Podman) keeps a short form of its id.
        return names.get(listener.container, listener.container[:12])
    if listener.process in PORT_HOLDERS:
        return published.get((listener.protocol, listener.address, listener.port))
    return None


def _servers(
    servers: Iterable[TraefikServer], ends: Sequence[ContainerNetwork], proxies: set[str | None]
) -> list[TraefikServer]:
    """A server belongs to the container that has its address, or its name on a network that Traefik shares."""
    reached = {end.network for end in ends if end.container in proxies}
    named = [end for end in ends if end.network in reached]

    def attributed(server: TraefikServer) -> TraefikServer:
        host = host_and_port(server.url)[0]
        matches = [end for end in ends if host and host in (end.ipv4, end.ipv6)]
        matches = matches or [end for end in named if host in _names(end)]
        containers, networks = {end.container for end in matches}, {end.network for end in matches}
        # Two containers that answer to one name are no attribution: which one is reached is not known.
        if len(containers) != 1:
            return server
        return replace(server, container=containers.pop(), network=networks.pop() if len(networks) == 1 else None)

    return [attributed(server) for server in servers]


def _names(end: ContainerNetwork) -> set[str]:
    """What Docker's DNS answers to, whatever the case."""
    return {name.lower() for name in (end.container, *(end.aliases or ()))}
