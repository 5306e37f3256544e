"""Routers that disagree about the TLS options of a host: Traefik warns, and gives them the default ones.

`pkg/server/router/tcp/manager.go`, and `pkg/server/aggregator.go` since 2.11.47, 3.6.18 and 3.7.2; since 2.11.50,
3.6.21 and 3.7.5 a router in conflict on an entry point gets a copy and a name of its own there.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditlib.traefik.matchers import Every, Form, Leaf, Some, form
from auditlib.traefik.routers import Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.versions import Version

_DEFAULT = "default"
_CONFLICT = (
    "router's TLSOptions configuration is conflicting with other routers on the same entrypoint and host, default TLS "
    "options will be used instead"
)


@dataclass(frozen=True)
class Linked:
    """A router and what it refers to, by full names. `whole`: its rule is known to the last character.

    The entry points of `router` are all those that it names or gets by default; `named`: it names them itself;
    `observed`: it says how it is observed. `conflicted`: it lost its TLS options on its entry point.
    """

    router: Router
    service: str | None
    middlewares: Sequence[str] = ()
    named: bool = False
    whole: bool = True
    observed: bool = False
    conflicted: bool = False

    @property
    def origin(self) -> str:
        """The name of the router that this is a copy of, its own when it is none."""
        router = self.router
        return router.name.removeprefix(f"{router.entrypoints[0]}-conflicted-") if self.conflicted else router.name


@functools.lru_cache(maxsize=4096)
def domains(rule: str, at: Version) -> tuple[str, ...] | None:
    """The hosts by which Traefik chooses the TLS options of a rule, those of Host; None when it cannot read it."""
    syntaxes: tuple[Syntax, ...] = ("v3", "v2")
    for syntax in syntaxes:
        try:
            tree = form(parse(rule, syntax))
        except RuleError:
            continue
        # Seen of 3.7.12 and 3.7.13: since then what a rule excludes does not count any more.
        return tuple(dict.fromkeys(_hosts(tree, negated=at < (3, 7, 13))))
    return None


def _hosts(tree: Form, *, negated: bool) -> Iterator[str]:
    if isinstance(tree, Every | Some):
        for part in tree.parts:
            yield from _hosts(part, negated=negated)
    elif isinstance(tree, Leaf) and tree.matcher.name == "Host" and (tree.positive or negated):
        yield from (arg.lower() for arg in tree.matcher.args)


def renamed(links: Iterable[Linked], at: Version) -> list[Linked]:
    """The routers as Traefik resolves their conflicts: those in conflict get a copy by entry point, with its name.

    A router with TLS and no entry point, which only a child is, is lost there.
    """
    every = [*links]
    if not _renames(at):
        return every
    losers = _losers(every, at)
    result = []
    for link in every:
        router = link.router
        if router.protocol != "http" or not router.tls:
            result.append(link)
            continue
        lost = [point for point in router.entrypoints if (point, router.name) in losers]
        for point in lost:
            copy = replace(router, name=f"{point}-conflicted-{router.name}", entrypoints=(point,))
            result.append(replace(link, router=copy, conflicted=True))
        if kept := tuple(point for point in router.entrypoints if point not in lost):
            result.append(replace(link, router=replace(router, entrypoints=kept)))
    return result


def _renames(at: Version) -> bool:
    return at >= (3, 7, 5) or (3, 6, 21) <= at < (3, 7, 0) or (2, 11, 50) <= at < (3, 0, 0)


def _resolves(at: Version) -> bool:
    return at >= (3, 7, 2) or (3, 6, 18) <= at < (3, 7, 0) or (2, 11, 47) <= at < (3, 0, 0)


def _losers(links: Sequence[Linked], at: Version) -> set[tuple[str, str]]:
    """The routers that lose their TLS options, with the entry point where they do."""
    losers: set[tuple[str, str]] = set()
    options: dict[tuple[str, str], dict[str, list[str]]] = {}
    for link in links:
        router = link.router
        hosts = domains(router.rule, at) if router.protocol == "http" and router.tls else None
        for point in router.entrypoints if hosts is not None else ():
            if not hosts and router.options != _DEFAULT:
                losers.add((point, router.name))
            for host in hosts or ():
                options.setdefault((point, host), {}).setdefault(router.options, []).append(router.name)
    for (point, _), by_options in options.items():
        if len(by_options) > 1:
            losers |= {(point, name) for names in by_options.values() for name in names}
    return losers


def warnings(links: Sequence[Linked], points: Iterable[str], at: Version) -> Iterator[tuple[str, str, bool]]:
    """What Traefik says of TLS options, once routers are built: a router, an error, and whether it disables it."""
    secured = [link for link in links if link.router.protocol == "http" and link.router.tls]
    disputed = {} if _renames(at) else _disputed(secured, points, at)
    for point in points:
        # Of several routers with the same options, the last one is told.
        told = {
            host: {link.router.options: link.router.name for link in those}
            for host, those in disputed.get(point, {}).items()
        }
        for link in secured:
            if point in link.router.entrypoints:
                yield from _of_router(link, disputed.get(point, {}), at)
        for host, names in told.items() if not _resolves(at) else ():
            for name in names.values():
                words = f"found different TLS options for routers on the same host {host}"
                yield name, f"{words}, so using the default TLS options instead", False


def _disputed(secured: Sequence[Linked], points: Iterable[str], at: Version) -> dict[str, dict[str, list[Linked]]]:
    """The routers of each host that they disagree about, by entry point."""
    disputed: dict[str, dict[str, list[Linked]]] = {}
    for point in points:
        # Between the two ways, a host was resolved once for all entry points.
        those = [link for link in secured if point in link.router.entrypoints or _resolves(at)]
        hosts: dict[str, list[Linked]] = {}
        for link in those:
            for host in domains(link.router.rule, at) or ():
                hosts.setdefault(host, []).append(link)
        disputed[point] = {host: one for host, one in hosts.items() if len({link.router.options for link in one}) > 1}
    return disputed


def _of_router(link: Linked, disputed: dict[str, list[Linked]], at: Version) -> Iterator[tuple[str, str, bool]]:
    router = link.router
    hosts = domains(router.rule, at)
    if hosts is None:
        if not link.whole:
            return
        inner = f"error while parsing rule {router.rule}: " if at >= (3, 0, 0) else ""
        yield router.name, f"invalid rule {router.rule}, error: {inner}{_reason(router.rule)}", True
        return
    tells = at >= (3, 7, 3) or (3, 6, 20) <= at < (3, 7, 0) or (2, 11, 49) <= at < (3, 0, 0)
    if not hosts and router.options != _DEFAULT and tells:
        yield (
            router.name,
            f"no domain found in rule {router.rule}, the TLS option {router.options} cannot be applied",
            False,
        )
    if hosts and link.conflicted and router.options != _DEFAULT:
        yield router.name, _CONFLICT, False
    elif _resolves(at) and router.options != _DEFAULT and any(host in disputed for host in hosts):
        words = "found different TLS options for routers on the same host, so using the default TLS options instead"
        yield router.name, words, False


def _reason(rule: str) -> str:
    """Why a rule cannot be read, in French."""
    try:
        parse(rule)
    except RuleError as error:
        return str(error)
    return ""
