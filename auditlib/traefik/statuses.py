"""What Traefik says of routers once it tried to build them: their status, and their errors in its own words.

`pkg/config/runtime/runtime_http.go` (entry points) and `pkg/server/router/router.go` (priorities, parents, services,
middlewares, rules).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auditlib.traefik.decoding import quoted
from auditlib.traefik.forms import form
from auditlib.traefik.matchers import UnbuildableError, compiled, reading
from auditlib.traefik.routers import STILL_SERVES, Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.versions import Features

MAX_USER_PRIORITY = 2**63 - 1 - 1000


@dataclass(frozen=True)
class Known:
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
class Asked:
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
    asked: Sequence[Asked], entrypoints: Collection[str], known: Mapping[str, Known], what: Features
) -> Iterator[State]:
    """The state of each router, given the entry points that exist and what is known by protocol."""
    roots = [one.router for one in asked]
    parents = {(one.protocol, parent) for one in roots for parent in one.parents}
    reached = _reached(roots)
    for one in asked:
        router = one.router
        key = (router.protocol, router.name)
        left = tuple(name for name in router.entrypoints if name in entrypoints)
        warnings = [f"entryPoint {quoted(name)} doesn't exist" for name in router.entrypoints if name not in left]
        fault = _fault(
            one, left, known.get(router.protocol) or Known(), what, parent=key in parents, reached=key in reached
        )
        status = "disabled" if fault else "warning" if warnings else "enabled"
        serves = not fault or fault == STILL_SERVES
        yield State(status, (*warnings, *([fault] if fault else [])), left, serves)


def _reached(routers: Iterable[Router]) -> set[tuple[str, str]]:
    """The routers that are reached from a root, by protocol and name."""
    every = list(routers)
    reached = {(one.protocol, one.name) for one in every if not one.parents}
    while (
        more := {
            (one.protocol, one.name) for one in every if reached & {(one.protocol, parent) for parent in one.parents}
        }
        - reached
    ):
        reached |= more
    return reached


def _fault(
    one: Asked, left: tuple[str, ...], known: Known, what: Features, *, parent: bool, reached: bool
) -> str | None:
    """What disables a router: the first thing that Traefik stumbles on."""
    router, service = one.router, one.service
    if router.parents and (router.tls or one.named):
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
    if router.tls and router.options != "default" and not _exists(router.options, known.tls_options, known):
        return f"building router handler: unknown TLS options: {router.options}"
    if not service and not parent:
        children = what.parents and router.protocol == "http"
        return (
            "router must have either a service or child routers" if children else "the service is missing on the router"
        )
    if service and not _exists(service, known.services, known):
        return f"the service {quoted(service)} does not exist"
    if fault := known.faults.get(service or ""):
        return fault
    # The chain is built from its end: the last that is missing is the one that is told.
    for name in reversed(one.middlewares):
        if not _exists(name, known.middlewares, known):
            return f"middleware {quoted(name)} does not exist"
    return _refused(router, what) if one.whole and router.protocol != "udp" else None


def _exists(name: str, names: Collection[str] | None, known: Known) -> bool:
    elsewhere = known.providers is not None and name.rpartition("@")[2] not in known.providers
    return names is None or name in names or elsewhere


def _refused(router: Router, what: Features) -> str | None:
    syntax: Syntax = "tcp" if router.protocol == "tcp" else "v2" if what.muxer_v2 or router.syntax == "v2" else "v3"
    try:
        tree = parse(router.rule, syntax)
        if syntax != "tcp":
            compiled(form(tree), reading(syntax, what))
    except (RuleError, UnbuildableError) as error:
        return f"error while parsing rule {router.rule}: {error}"
    return None
