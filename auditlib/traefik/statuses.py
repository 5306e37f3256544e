"""What Traefik says of routers once it tried to build them: their status, and their errors in its own words.

`pkg/config/runtime/runtime_http.go` (entry points) and `pkg/server/router/router.go` (priorities, parents, services,
middlewares, rules); `tcp_statuses` for TCP.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auditlib.traefik.decoding import quoted
from auditlib.traefik.matchers import UnbuildableError, compiled, form, reading
from auditlib.traefik.routers import MAX_USER_PRIORITY, STILL_SERVES, Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.tcp_statuses import faults as tcp_faults
from auditlib.traefik.versions import Features


@dataclass(frozen=True)
class References:
    """The full names that the routers of one protocol may refer to; None: any name is taken to exist.

    `providers`: those of which all is known, None for all of them; what another may have is taken to exist. `faults`:
    why services cannot be built.
    """

    services: Collection[str] | None = None
    middlewares: Collection[str] | None = None
    tls_options: Collection[str] | None = None
    providers: Collection[str] | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Linked:
    """A router and what it refers to, by full names. `whole`: its rule is known to the last character.

    The entry points of `router` are all those that it names or gets by default; `named`: it names them itself.
    """

    router: Router
    service: str | None
    middlewares: Sequence[str] = ()
    named: bool = False
    whole: bool = True


@dataclass(frozen=True)
class State:
    """Status and errors of a router as the API shows them; the entry points it has left; whether it serves."""

    status: str
    errors: tuple[str, ...]
    entrypoints: tuple[str, ...]
    serves: bool


def qualified(reference: str, owner: str) -> str:
    """A reference without provider is to the provider of the one who refers."""
    # Traefik takes the second part of the owner's name for its provider, even of « a@file@docker ».
    return reference if "@" in reference else f"{reference}@{owner.split('@')[1]}"


def states(
    links: Sequence[Linked], entrypoints: Collection[str], references: Mapping[str, References], what: Features
) -> Iterator[State]:
    """The state of each router, given the entry points that exist and what there is to refer to, by protocol."""
    routers = [link.router for link in links]
    parents = {(router.protocol, parent) for router in routers for parent in router.parents}
    reached = _reached(routers)
    for link in links:
        router = link.router
        key = (router.protocol, router.name)
        left = tuple(name for name in router.entrypoints if name in entrypoints)
        warnings = [f"entryPoint {quoted(name)} doesn't exist" for name in router.entrypoints if name not in left]
        names = references.get(router.protocol) or References()
        fault = _fault(link, left, names, what, parent=key in parents, reached=key in reached)
        faults = [fault] if fault else []
        if router.protocol == "tcp" and left and link.service:
            options = not _lacks_options(router, names)
            handler = _handler_fault(link, names)
            faults = list(tcp_faults(router, what, options=options, handler=handler, whole=link.whole))
        status = "disabled" if faults else "warning" if warnings else "enabled"
        serves = not faults or faults == [STILL_SERVES]
        yield State(status, (*warnings, *faults), left, serves)


def _reached(routers: Sequence[Router]) -> set[tuple[str, str]]:
    """The routers that are reached from a root, by protocol and name."""
    reached = {(router.protocol, router.name) for router in routers if not router.parents}
    while (
        more := {
            (router.protocol, router.name)
            for router in routers
            if reached & {(router.protocol, parent) for parent in router.parents}
        }
        - reached
    ):
        reached |= more
    return reached


def _fault(
    link: Linked, left: tuple[str, ...], names: References, what: Features, *, parent: bool, reached: bool
) -> str | None:
    """What disables a router: the first thing that Traefik stumbles on."""
    router, service = link.router, link.service
    if router.parents and (router.tls or link.named):
        return f"non-root router cannot have {'TLS' if router.tls else 'Entrypoints'} configuration"
    if not reached:
        return "router is not reachable"
    if parent and service:
        return STILL_SERVES
    # A router of udp that names none is on all of them.
    if not router.parents and not left and (router.entrypoints or router.protocol != "udp"):
        return "no valid entryPoint for this router"
    # A child may have any priority.
    if not router.parents and router.rank > MAX_USER_PRIORITY and router.provider != "internal":
        return f"the router priority {router.rank} exceeds the max user-defined priority {MAX_USER_PRIORITY}"
    if _lacks_options(router, names):
        return f"building router handler: unknown TLS options: {router.options}"
    if not service and not parent:
        children = what.parents and router.protocol == "http"
        return (
            "router must have either a service or child routers" if children else "the service is missing on the router"
        )
    if fault := _handler_fault(link, names):
        return fault
    return _refused(router, what) if link.whole and router.protocol == "http" else None


def _lacks_options(router: Router, names: References) -> bool:
    return router.tls and router.options != "default" and not _exists(router.options, names.tls_options, names)


def _handler_fault(link: Linked, names: References) -> str | None:
    """Why the service or the middlewares of a router cannot be built."""
    if link.service and not _exists(link.service, names.services, names):
        return f"the service {quoted(link.service)} does not exist"
    if fault := names.faults.get(link.service or ""):
        return fault
    # The chain is built from its end: the last that is missing is the one that is told.
    for name in reversed(link.middlewares):
        if not _exists(name, names.middlewares, names):
            return f"middleware {quoted(name)} does not exist"
    return None


def _exists(name: str, known: Collection[str] | None, names: References) -> bool:
    elsewhere = names.providers is not None and name.rpartition("@")[2] not in names.providers
    return known is None or name in known or elsewhere


def _refused(router: Router, what: Features) -> str | None:
    syntax: Syntax = "v2" if what.muxer_v2 or router.syntax == "v2" else "v3"
    try:
        compiled(form(parse(router.rule, syntax)), reading(syntax, what))
    except (RuleError, UnbuildableError) as error:
        return f"error while parsing rule {router.rule}: {error}"
    return None
