"""What Traefik makes of routers as a provider configures them: what its API would show, and what is in force.

`pkg/server/aggregator.go` (defaults, models), `pkg/config/runtime/runtime_http.go` (entry points) and
`pkg/server/router/router.go` (priorities, services, parents). The routers of a snapshot have been through all this
already: this is for configurations that no Traefik has loaded, and what their fix would make of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditlib.routing.forms import form
from auditlib.routing.matchers import UnbuildableError, compiled, reading
from auditlib.routing.routers import STILL_SERVES, EntryPoint, Router
from auditlib.routing.versions import Features, features
from auditlib.rules import RuleError, Syntax, parse

MAX_USER_PRIORITY = 2**63 - 1 - 1000


@dataclass(frozen=True)
class Known:
    """The full names that routers may refer to; None: any name is taken to exist."""

    services: frozenset[str] | None = None
    middlewares: frozenset[str] | None = None
    tls_options: frozenset[str] | None = None


@dataclass(frozen=True)
class Configured:
    """A router as the API would show it: its status, and its errors in Traefik's own words, in Traefik's order.

    Of the words for a refused rule, only the beginning that all versions share is given.
    """

    router: Router
    status: str
    errors: tuple[str, ...]


def configured(
    version: str | None,
    entrypoints: Sequence[EntryPoint],
    routers: Mapping[str, Mapping[str, Any]],
    known: Known | None = None,
    *,
    default_syntax: str | None = None,
) -> list[Configured]:
    """The HTTP routers of a configuration, by full name, each as the keys of the file provider say it."""
    what = features(version)
    names = {one.name: one for one in entrypoints}
    roots = [one for one in entrypoints if one.default]
    effective: list[tuple[Router, Mapping[str, Any]]] = []
    copies: dict[str, list[str]] = {}
    for name, given in routers.items():
        wanted = list(given.get("entryPoints") or [one.name for one in roots])
        for router in _split(_router(name, given, default_syntax), wanted, names, what):
            effective.append((router, given))
            copies.setdefault(name, []).append(router.name)
    # A child of a router that was split is a child of all its parts.
    effective = [
        (replace(one, parents=tuple(copy for parent in one.parents for copy in copies.get(parent, [parent]))), given)
        for one, given in effective
    ]
    parents = {parent for one, _ in effective for parent in one.parents}
    reached = _reached([one for one, _ in effective])
    return [
        _judged(one, given, names, known or Known(), what, parent=one.name in parents, reached=one.name in reached)
        for one, given in effective
    ]


def _router(name: str, given: Mapping[str, Any], default_syntax: str | None) -> Router:
    provider = name.rpartition("@")[2]
    tls = given.get("tls")
    options = (tls or {}).get("options") or "default"
    return Router(
        name,
        given.get("rule") or "",
        (),
        tls is not None,
        given.get("priority"),
        given.get("ruleSyntax") or default_syntax,
        tuple(_qualified(parent, provider) for parent in given.get("parentRefs") or []),
        options if options == "default" else _qualified(options, provider),
    )


def _qualified(reference: str, provider: str) -> str:
    return reference if "@" in reference else f"{reference}@{provider}"


def _split(router: Router, wanted: list[str], names: Mapping[str, EntryPoint], what: Features) -> Iterator[Router]:
    """The routers that one becomes: a copy of its own for each entry point that has a say in its routers."""
    if router.parents:
        yield router
        return
    modelled = [
        name for name in wanted if name in names and (what.splits or names[name].tls or names[name].handling.refused)
    ]
    for name in modelled:
        tls = router.tls or names[name].tls
        yield replace(
            router, name=f"{name}-{router.name}" if len(wanted) > 1 else router.name, entrypoints=(name,), tls=tls
        )
    if rest := tuple(name for name in wanted if name not in modelled):
        yield replace(router, entrypoints=rest)


def _reached(routers: Iterable[Router]) -> set[str]:
    """The routers that are reached from a root."""
    every = list(routers)
    reached = {one.name for one in every if not one.parents}
    while more := {one.name for one in every if reached & {*one.parents}} - reached:
        reached |= more
    return reached


def _judged(
    router: Router,
    given: Mapping[str, Any],
    names: Mapping[str, EntryPoint],
    known: Known,
    what: Features,
    *,
    parent: bool,
    reached: bool,
) -> Configured:
    warnings = [f'entryPoint "{name}" doesn\'t exist' for name in router.entrypoints if name not in names]
    router = replace(router, entrypoints=tuple(name for name in router.entrypoints if name in names))
    faults = list(_faults(router, given, known, what, parent=parent, reached=reached))
    status = "disabled" if faults else "warning" if warnings else "enabled"
    serves = status != "disabled" or faults == [STILL_SERVES]
    return Configured(replace(router, serves=serves), status, (*warnings, *faults))


def _faults(
    router: Router, given: Mapping[str, Any], known: Known, what: Features, *, parent: bool, reached: bool
) -> Iterator[str]:
    """What disables a router: the first thing that Traefik stumbles on."""
    provider = router.name.rpartition("@")[2]
    service = given.get("service")
    if router.parents and (router.tls or given.get("entryPoints")):
        yield f"non-root router cannot have {'TLS' if router.tls else 'Entrypoints'} configuration"
        return
    if not reached:
        yield "router is not reachable"
        return
    if parent and service:
        yield STILL_SERVES
        return
    if not router.parents and not router.entrypoints:
        yield "no valid entryPoint for this router"
        return
    # A child may have any priority.
    if not router.parents and router.rank > MAX_USER_PRIORITY and provider != "internal":
        yield f"the router priority {router.rank} exceeds the max user-defined priority {MAX_USER_PRIORITY}"
        return
    if router.tls and not _exists(router.options, known.tls_options) and router.options != "default":
        yield f"building router handler: unknown TLS options: {router.options}"
        return
    missing = [
        name
        for name in (_qualified(one, provider) for one in given.get("middlewares") or [])
        if not _exists(name, known.middlewares)
    ]
    if service and not _exists(_qualified(service, provider), known.services):
        yield f'the service "{_qualified(service, provider)}" does not exist'
    elif missing:
        yield f'middleware "{missing[0]}" does not exist'
    elif not service and not parent:
        yield (
            "router must have either a service or child routers"
            if what.parents
            else "the service is missing on the router"
        )
    elif fault := _refused(router, what):
        yield fault


def _exists(name: str, known: frozenset[str] | None) -> bool:
    return known is None or name in known


def _refused(router: Router, what: Features) -> str | None:
    syntax: Syntax = "v2" if what.muxer_v2 or router.syntax == "v2" else "v3"
    try:
        compiled(form(parse(router.rule, syntax)), reading(syntax, what))
    except (RuleError, UnbuildableError):
        return f"error while parsing rule {router.rule}"
    return None
