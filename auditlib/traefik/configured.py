"""What Traefik makes of routers as a provider configures them: what its API would show, and what is in force.

`pkg/server/aggregator.go` (defaults, models). The routers of a snapshot have been through all this
already: this is for configurations that no Traefik has loaded, and what their fix would make of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditlib.traefik.building import References, qualified
from auditlib.traefik.conflicts import Linked, renamed
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.statuses import Judgement, judge
from auditlib.traefik.versions import Features, features


@dataclass(frozen=True)
class Configured:
    """A router as the API would show it: its status, and its errors in Traefik's own words, in Traefik's order.

    Of the words for a refused rule, only the beginning that all versions share is given; the rest is French.
    """

    router: Router
    status: str | None
    errors: tuple[str, ...]


def configured(
    version: str | None,
    entrypoints: Sequence[EntryPoint],
    routers: Mapping[str, Mapping[str, Any]],
    references: References | None = None,
    *,
    default_syntax: str | None = None,
) -> list[Configured]:
    """The HTTP routers of a configuration, by full name, each as the keys of the file provider say it."""
    return configured_whole(version, entrypoints, routers, references, default_syntax=default_syntax)[0]


def configured_whole(
    version: str | None,
    entrypoints: Sequence[EntryPoint],
    routers: Mapping[str, Mapping[str, Any]],
    references: References | None = None,
    *,
    default_syntax: str | None = None,
) -> tuple[list[Configured], Judgement]:
    """The HTTP routers of a configuration, and what is found of all that they use."""
    what = features(version)
    points = {point.name: point for point in entrypoints}
    defaults = [point.name for point in entrypoints if point.default]
    effective: list[tuple[Router, Mapping[str, Any]]] = []
    copies: dict[str, list[str]] = {}
    for name, given in routers.items():
        wanted = list(given.get("entryPoints") or ([] if given.get("parentRefs") else defaults))
        for router in _split(_router(name, given, default_syntax), wanted, points, what):
            effective.append((router, given))
            copies.setdefault(name, []).append(router.name)
    links = []
    for router, given in effective:
        # A child of a router that was split is a child of all its parts.
        parents = tuple(copy for parent in router.parents for copy in copies.get(parent, [parent]))
        service = qualified(given["service"], router.name) if given.get("service") else None
        middlewares = [qualified(middleware, router.name) for middleware in given.get("middlewares") or []]
        links.append(
            Linked(
                replace(router, parents=parents),
                service,
                middlewares,
                named=bool(given.get("entryPoints")),
                observed=bool(given.get("observability")),
            )
        )
    links = renamed(links, what.version)
    judgement = judge(links, {"http": points}, {"http": references or References()}, what)
    found = [
        Configured(replace(link.router, entrypoints=state.entrypoints, serves=state.serves), state.status, state.errors)
        for link, state in zip(links, judgement.states, strict=True)
    ]
    return found, judgement


def _router(name: str, given: Mapping[str, Any], default_syntax: str | None) -> Router:
    tls = given.get("tls")
    options = (tls or {}).get("options") or "default"
    return Router(
        name,
        given.get("rule") or "",
        (),
        tls is not None,
        given.get("priority"),
        given.get("ruleSyntax") or default_syntax,
        tuple(qualified(parent, name) for parent in given.get("parentRefs") or []),
        options if options == "default" else qualified(options, name),
    )


def _split(router: Router, wanted: list[str], points: Mapping[str, EntryPoint], what: Features) -> Iterator[Router]:
    """The routers that one becomes: a copy of its own for each entry point that has a say in its routers."""
    if router.parents:
        yield replace(router, entrypoints=tuple(wanted))
        return
    modelled = [
        name for name in wanted if name in points and (what.splits or points[name].tls or points[name].handling.refused)
    ]
    for name in modelled:
        tls = router.tls or points[name].tls
        yield replace(
            router, name=f"{name}-{router.name}" if len(wanted) > 1 else router.name, entrypoints=(name,), tls=tls
        )
    if rest := tuple(name for name in wanted if name not in modelled):
        yield replace(router, entrypoints=rest)
