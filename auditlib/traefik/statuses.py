"""What Traefik says of routers once it tried to build them: their status, and their errors in its own words.

`pkg/config/runtime/runtime_http.go` (entry points), `pkg/server/router/{tcp,udp}` (priorities, services, rules); HTTP
routers are in `http_building`, the rules of TCP in `tcp_statuses`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlib.traefik.building import Builder, Built, Finding, References
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.decoding import quoted
from auditlib.traefik.http_building import HttpRouters
from auditlib.traefik.matchers import UnbuildableError, compiled, form, reading
from auditlib.traefik.routers import MAX_USER_PRIORITY, Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.tcp_statuses import faults as tcp_faults
from auditlib.traefik.versions import Features


@dataclass(frozen=True)
class State:
    """Status and errors of a router as the API shows them; the entry points it has left; whether it serves.

    The status is None when it cannot be told from what is known.
    """

    status: str | None
    errors: tuple[str, ...]
    entrypoints: tuple[str, ...]
    serves: bool


@dataclass(frozen=True)
class Judgement:
    """What Traefik finds of a whole configuration: the state of each router, in the order that they were given in.

    `services` and `middlewares`: what was found of those that routers use, by protocol and full name.
    """

    states: Sequence[State]
    services: Mapping[tuple[str, str], Finding]
    middlewares: Mapping[tuple[str, str], Finding]


def states(
    links: Sequence[Linked],
    entrypoints: Mapping[str, Collection[str]],
    references: Mapping[str, References],
    what: Features,
) -> Iterator[State]:
    """The state of each router, given the entry points that there are and what there is to refer to, by protocol."""
    yield from judge(links, entrypoints, references, what).states


def judge(
    links: Sequence[Linked],
    entrypoints: Mapping[str, Collection[str]],
    references: Mapping[str, References],
    what: Features,
) -> Judgement:
    """What Traefik finds when it builds all that routers use."""
    protocols = dict.fromkeys(("http", "tcp", "udp"))
    builders = {one: Builder(references.get(one) or References(), what.version, one) for one in protocols}
    http = [link for link in links if link.router.protocol == "http"]
    points = entrypoints.get("http", ())
    nodes = HttpRouters(http, points, builders["http"], what, lambda router: _refused(router, what)).build()
    found = []
    for link in links:
        router = link.router
        left = tuple(name for name in router.entrypoints if name in entrypoints.get(router.protocol, ()))
        if router.protocol == "http":
            node = nodes[router.name]
            finding, serves = node.finding, node.serves
        else:
            finding, serves = _stream(link, left, builders[router.protocol], what)
        found.append(State(finding.status, tuple(finding.errors), left, serves))
    services = {(one, name): finding for one, builder in builders.items() for name, finding in builder.services.items()}
    middlewares = {
        (one, name): finding for one, builder in builders.items() for name, finding in builder.middlewares.items()
    }
    return Judgement(found, services, middlewares)


def _stream(link: Linked, left: tuple[str, ...], builder: Builder, what: Features) -> tuple[Finding, bool]:
    """What is found of a router of tcp or udp, and whether it serves."""
    finding, router = Finding(), link.router
    for name in router.entrypoints:
        if name not in left:
            finding.add(f"entryPoint {quoted(name)} doesn't exist", critical=False)
    if not left:
        finding.add("no valid entryPoint for this router", critical=True)
    elif not link.service:
        finding.add(f"the service is missing on the {'udp ' if router.protocol == 'udp' else ''}router", critical=True)
    else:
        for fault in (_tcp if router.protocol == "tcp" else _udp)(link, builder, finding, what):
            finding.add(fault, critical=True)
    return finding, not finding.disabled


def _tcp(link: Linked, builder: Builder, finding: Finding, what: Features) -> Iterator[str]:
    """The errors of a router of TCP that has a service; `finding` is told what could not be decided."""
    router = link.router
    options = builder.tls_options(router.options) if router.tls else Built()
    service, chain = builder.service(link.service or ""), builder.chain(link.middlewares)
    finding.sure = options.sure and service.sure and chain.sure and link.whole
    yield from tcp_faults(router, what, options=options.fault, handler=service.fault or chain.fault, whole=link.whole)


def _udp(link: Linked, builder: Builder, finding: Finding, what: Features) -> Iterator[str]:
    """The error of a router of UDP that has a service; `finding` is told what could not be decided."""
    router, service = link.router, builder.service(link.service or "")
    finding.sure = service.sure
    if router.rank > MAX_USER_PRIORITY and router.provider != "internal":
        yield f"the router priority {router.rank} exceeds the max user-defined priority {MAX_USER_PRIORITY}"
    elif service.fault:
        yield service.fault


def _refused(router: Router, what: Features) -> str | None:
    syntax: Syntax = "v2" if what.muxer_v2 or router.syntax == "v2" else "v3"
    try:
        compiled(form(parse(router.rule, syntax)), reading(syntax, what))
    except (RuleError, UnbuildableError) as error:
        return f"error while parsing rule {router.rule}: {error}"
    return None
