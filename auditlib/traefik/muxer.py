"""Which router answers a request, as Traefik decides it.

The order of things is Traefik's: the TCP layer (`tcp`), the handlers of the entry point (`requests`), then the routers
by priority (`pkg/server/router/router.go`, `pkg/muxer/http/mux.go`), and under a parent its children. Routers of equal
priority that both match are all possible winners: Traefik's choice among them changes from one reload to the next.

Middlewares are not applied: a parent that rewrites paths decides for its children on the path as it came.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditlib.traefik.matchers import (
    Every,
    Form,
    Gorilla,
    Leaf,
    Test,
    UnbuildableError,
    compiled,
    form,
    named_hosts,
    reading,
    refuses_method,
)
from auditlib.traefik.requests import Handling, Request, Seen, seen
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.tcp import Layer
from auditlib.traefik.versions import Features, features


@dataclass(frozen=True)
class Decision:
    """Who answers. `winners`: the routers of which one does, none when nobody does; more than one is a tie.

    `status`: what Traefik itself answers (404, 400, 405, 421; Go's own 200 to `OPTIONS *`), None when a router does.
    Both are given when a tie may also end in a refusal. `layer` is tcp when TCP routers take the connection.
    """

    status: int | None
    winners: tuple[str, ...] = ()
    layer: str = "http"


@dataclass(frozen=True)
class Candidate:
    """A router that an entry point tries on a request; `matches` is whether its rule does."""

    router: str
    priority: int
    matches: bool


@dataclass(frozen=True)
class Route:
    """A router whose rule was compiled. `order` sorts it among its siblings; equal ones are tied."""

    router: Router
    form: Form
    syntax: Syntax
    test: Test
    hosts: frozenset[str] | None
    order: tuple[int, int]


class Muxer:
    """The routers of one Traefik, compiled.

    `version` is Traefik's own word for itself; `routers` are all it has, of HTTP and TCP. An HTTP router whose rule
    Traefik refuses is in `broken`, with the reason in French. `precedence` is `providers.precedence` (3.7), which
    decides between providers.
    """

    def __init__(
        self,
        version: str | None,
        entrypoints: Iterable[EntryPoint],
        routers: Iterable[Router],
        precedence: Sequence[str] = (),
    ) -> None:
        self.features: Features = features(version)
        self.handling = {point.name: point.handling for point in entrypoints}
        every = list(routers)
        self.routers = {router.name: router for router in every if router.protocol == "http"}
        self.tcp_routers = {router.name: router for router in every if router.protocol == "tcp"}
        self.broken: dict[str, str] = {}
        self.children: dict[str, _Table] = {}
        routes = [route for router in self.routers.values() if (route := self._route(router, precedence))]
        roots: dict[tuple[str, bool], list[Route]] = {}
        children: dict[str, list[Route]] = {}
        for route in routes:
            # Before 3.6 there are no parents, and Traefik takes no configuration that speaks of them.
            for parent in route.router.parents:
                children.setdefault(parent, []).append(route)
            for name in () if route.router.parents else route.router.entrypoints:
                roots.setdefault((name, route.router.tls), []).append(route)
        self._roots = {place: _Table(siblings) for place, siblings in roots.items()}
        self.children = {parent: _Table(siblings) for parent, siblings in children.items()}
        self._layers = {
            name: Layer([router for router in every if name in router.entrypoints], self.features, precedence)
            for name in {*self.handling, *(name for name, _ in roots)}
        }

    def _route(self, router: Router, precedence: Sequence[str]) -> Route | None:
        if not router.serves:
            return None
        syntax: Syntax = "v2" if self.features.muxer_v2 or router.syntax == "v2" else "v3"
        try:
            rule = form(parse(router.rule, syntax))
            test = compiled(rule, reading(syntax, self.features))
        except (RuleError, UnbuildableError) as error:
            self.broken[router.name] = str(error)
            return None
        return Route(router, rule, syntax, test, _hosts(rule, syntax, self.features), router.order(precedence))

    def routes(self, entrypoint: str, *, tls: bool) -> Sequence[Route]:
        """The routes that an entry point tries, in Traefik's order; tied ones by name."""
        table = self._roots.get((entrypoint, tls))
        return table.routes if table else ()

    def seen(self, request: Request, entrypoint: str) -> Seen | int:
        """The request as rules see it on an entry point, or the status that answers it before any rule."""
        return seen(request, self.features, self.handling.get(entrypoint, Handling()))

    def decide(self, request: Request, entrypoint: str) -> Decision:
        """Who answers a request that reaches an entry point."""
        layer = self._layers.get(entrypoint)
        if layer and not layer.bare and (taken := layer.takes(request)):
            return Decision(None, taken, "tcp")
        seen = self.seen(request, entrypoint)
        if isinstance(seen, int):
            return Decision(seen)
        if layer and layer.misdirected(request, seen.host, None):
            return Decision(421)
        table = self._roots.get((entrypoint, request.tls))
        roots = table.best(seen) if table else []
        if not roots:
            return Decision(self._nobody(table, seen) if table else 404)
        winners: list[str] = []
        status = None
        for root in roots:
            if layer and layer.misdirected(request, seen.host, root.router):
                status = 421
            elif seen.refused:
                status = 400
            else:
                leaves, missed = self._under(root, seen)
                winners += leaves
                status = 404 if missed else status
        return Decision(status, tuple(dict.fromkeys(winners)))

    def roots(self, request: Request, entrypoint: str) -> list[Route]:
        """The routes of an entry point of which one takes a request: the best that match, whatever comes of it."""
        seen = self.seen(request, entrypoint)
        table = self._roots.get((entrypoint, request.tls))
        return table.best(seen) if table and not isinstance(seen, int) else []

    def _nobody(self, table: "_Table", seen: Seen) -> int:
        if not self.features.muxer_v2:
            return 404
        return 405 if refuses_method(table.gorilla, seen) else 404

    def _under(self, route: Route, seen: Seen) -> tuple[list[str], bool]:
        """The routers that may answer below a route, itself when it has no children; whether it may be nobody."""
        winners: list[str] = []
        missed = False
        waiting, reached = [route], set()
        while waiting:
            name = waiting.pop().router.name
            if name in reached:
                continue
            reached.add(name)
            if name not in self.children:
                winners.append(name)
                continue
            below = self.children[name].best(seen)
            missed = missed or not below
            waiting += below
        return winners, missed

    def candidates(self, request: Request, entrypoint: str) -> list[Candidate]:
        """Every router that an entry point could try on a request, in Traefik's order. Empty when none is tried."""
        seen = self.seen(request, entrypoint)
        if isinstance(seen, int):
            return []
        tried = self.routes(entrypoint, tls=request.tls)
        return [Candidate(route.router.name, route.router.rank, route.test(seen)) for route in tried]


class _Table:
    """Siblings, in the order that they are tried, with those that name hosts by host."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = sorted(routes, key=lambda route: (route.order, route.router.name))
        self._anywhere = [route for route in self.routes if route.hosts is None]
        self._named: dict[str, list[int]] = {}
        for at, route in enumerate(self.routes):
            for host in route.hosts or ():
                self._named.setdefault(host, []).append(at)
        self._loose = [at for at, route in enumerate(self.routes) if route.hosts is None]
        self._by_host: dict[str, list[Route]] = {}
        self._gorilla: list[Gorilla] = []

    @property
    def gorilla(self) -> list[Gorilla]:
        """The routes as version 2 tries them."""
        if not self._gorilla:
            self._gorilla = [Gorilla(route.form) for route in self.routes]
        return self._gorilla

    def tried(self, host: str) -> list[Route]:
        """The routes that may match a host."""
        if host not in self._named:
            return self._anywhere
        if host not in self._by_host:
            self._by_host[host] = [self.routes[at] for at in sorted(self._named[host] + self._loose)]
        return self._by_host[host]

    def best(self, seen: Seen) -> list[Route]:
        """The first that matches, and those tied with it that match too."""
        tried = iter(self.tried(seen.host))
        for route in tried:
            if route.test(seen):
                return [route, *_tied(route, tried, seen)]
        return []


def _tied(first: Route, others: Iterator[Route], seen: Seen) -> Iterator[Route]:
    for route in others:
        if route.order != first.order:
            return
        if route.test(seen):
            yield route


def _hosts(rule: Form, syntax: Syntax, features: Features) -> frozenset[str] | None:
    """Hosts outside of which a rule never matches; None when there is no such list."""
    if isinstance(rule, Leaf):
        return named_hosts(rule.matcher, syntax, features) if rule.positive else None
    parts = [_hosts(part, syntax, features) for part in rule.parts]
    lists = [hosts for hosts in parts if hosts is not None]
    if isinstance(rule, Every):
        return frozenset.intersection(*lists) if lists else None
    return frozenset.union(*lists) if len(lists) == len(parts) else None
