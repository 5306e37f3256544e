"""Who takes whose requests: for each router and entry point, a request that it wins, or the router that takes it.

A router of higher priority takes a part of another's requests all the time: that is what specific routers are for.
What counts is how the two sets of requests lie by host and path, other conditions left aside:

- narrower: each alternative of the taker's rule that touches the loser's lies within it (``PathPrefix(`/api`)`` beside
  ``PathPrefix(`/`)``; `(a or b) and /api` beside `a`). With the same hosts and paths, one more condition makes it
  narrower too. A carve-out, intended.
- internal: the taker is Traefik's own (a redirection, ping, ACME's challenges). Intended.
- wider, crossing: the taker also answers where the loser does not. The loser loses a part of its own domain and path.

Every request given was decided by the muxer. «never wins» is proved: each alternative of the rule contradicts itself
or is covered by others; where neither a request nor a proof is found, the verdict is unknown.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from auditlib.traefik.constraints import UNSATISFIABLE, Conjunction, Solver, alternatives, of_place
from auditlib.traefik.matchers import Form, negated
from auditlib.traefik.muxer import Decision, Muxer, Route
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import Router
from auditlib.traefik.rules import Syntax
from auditlib.traefik.tcp_rules import takes_all
from auditlib.traefik.versions import Features

Verdict = Literal["wins", "never", "unknown"]
Relation = Literal["narrower", "wider", "crossing", "same", "internal", "unknown"]

# Conjunctions tried for one question; beyond, the answer is unknown.
_PATIENCE = 300
# Those tried for one entry point: a thousand ordinary routers take a fifth of it. Beyond, what routers lose in part is
# not looked for; beyond some more, nor is with whom they are tied.
_EFFORT = 200_000
_FOR_TIES = 3


@dataclass(frozen=True)
class Fate:
    """What a router wins (`other` None), or what another takes from it or may take; `request` shows it."""

    router: Router
    verdict: str
    request: Request | None = None
    other: Router | None = None
    relation: Relation | None = None

    @property
    def intended(self) -> bool:
        """Whether it is as people mean it: a win, a carve-out, or Traefik's own."""
        return self.verdict == "wins" or self.relation in ("narrower", "internal")


def fates(muxer: Muxer, entrypoint: str, *, tls: bool) -> Iterator[Fate]:
    """The fates of all routers that an entry point tries: one at least for each."""
    routes = muxer.routes(entrypoint, tls=tls)
    field = _Field(muxer, entrypoint, tls=tls)
    for at, route in enumerate(routes):
        yield from field.fates(route, [other for other in routes[:at] if _near(other, route)], _tied(routes, at))


def _near(route: Route, other: Route) -> bool:
    """Whether two routes have a host in common, as far as their hosts can be listed."""
    return route.hosts is None or other.hosts is None or not route.hosts.isdisjoint(other.hosts)


def _tied(routes: Sequence[Route], at: int) -> list[Route]:
    """The routes after one that are tied with it."""
    route = routes[at]
    equals = itertools.takewhile(lambda other: other.order == route.order, itertools.islice(routes, at + 1, None))
    return [other for other in equals if _near(other, route)]


@dataclass(frozen=True)
class _Rule:
    """A rule as its alternatives, what holds where it does not; None where they are too many to be told."""

    met: list[Conjunction]
    whole: bool
    denied: list[Conjunction] | None

    @classmethod
    def of(cls, rule: Form, syntax: Syntax, features: Features) -> "_Rule":
        met, whole = alternatives(rule, syntax, features)
        denied, all_of_them = alternatives(negated(rule), syntax, features)
        return cls(met, whole, denied if all_of_them else None)


class _Field:
    """The routers of one entry point, and what is asked of them."""

    def __init__(self, muxer: Muxer, entrypoint: str, *, tls: bool) -> None:
        self.muxer = muxer
        self.entrypoint = entrypoint
        self.routes = {route.router.name: route for route in muxer.routes(entrypoint, tls=tls)}
        self.solver = Solver(muxer.features, lambda request: muxer.seen(request, entrypoint), tls=tls)
        self._rules: dict[tuple[str, bool], _Rule] = {}

    def exhausted(self, efforts: int = 1) -> bool:
        """Whether so much was asked of this entry point that pairs of routers are not compared any more."""
        return self.solver.effort > efforts * _EFFORT

    def fates(self, route: Route, above: list[Route], beside: list[Route]) -> Iterator[Fate]:
        """The fates of a route among those before it (some of them tied with it) and those tied after it."""
        tied = [other for other in [*above, *beside] if other.order == route.order]
        verdict, request, taker = self._wins(route)
        losses = [fate for other in above if other.order != route.order and (fate := self._loss(route, other))]
        losses += [fate for other in tied if (fate := self._tie(route, other))]
        if verdict == "wins":
            yield Fate(route.router, "wins", request)
        elif verdict == "unknown" or (tied and self.exhausted(_FOR_TIES)):
            yield Fate(route.router, "unknown")
        elif not any(fate.verdict == "tie" for fate in losses):
            other = self.routes.get(taker.name) if taker and taker.protocol == "http" else None
            relation = self._relation(other, route) if other else "wider" if taker else None
            yield Fate(route.router, "never", request, taker, relation)
            losses = [fate for fate in losses if fate.other is None or fate.other != taker]
        yield from losses

    def _wins(self, route: Route) -> tuple[Verdict, Request | None, Router | None]:
        """Whether a route wins some request, with that request; else one that it loses, and who takes it."""
        lost: tuple[Request | None, Router | None] = (None, None)
        rule = self._rule(route)
        certain, patience = rule.whole, _PATIENCE
        waiting = list(reversed(rule.met))
        while waiting:
            conjunction = waiting.pop()
            patience -= 1
            solution = self.solver.solve(conjunction) if patience >= 0 else None
            if solution == UNSATISFIABLE:
                continue
            if solution is None or isinstance(solution, str):
                certain = False
                if patience < 0:
                    break
                continue
            decision, firsts = self._decided(solution)
            if firsts == [route.router.name]:
                return "wins", solution, None
            others = [name for name in firsts if name != route.router.name]
            if not others:
                # A TCP router takes the connection: all of them only when it asks for nothing.
                takers = [
                    router for name in decision.winners if takes_all((router := self.muxer.tcp_routers[name]).rule)
                ]
                certain = certain and bool(takers) and not solution.tls
                lost = lost if lost[0] else (solution, takers[0] if takers else None)
                continue
            lost = lost if lost[0] else (solution, self.routes[others[0]].router)
            denied = self._denied(self.routes[others[0]])
            if denied is None:
                certain = False
                continue
            waiting += [tuple(dict.fromkeys([*conjunction, *more])) for more in reversed(denied)]
        return "never" if certain else "unknown", *lost

    def _decided(self, request: Request) -> tuple[Decision, list[str]]:
        """The decision on a request, and the roots that may take it: a parent takes what its children lose."""
        decision = self.muxer.decide(request, self.entrypoint)
        if decision.layer == "tcp":
            return decision, []
        return decision, [root.router.name for root in self.muxer.roots(request, self.entrypoint)]

    def _loss(self, route: Route, other: Route) -> Fate | None:
        """What a route of higher priority takes from another, unless that is meant."""
        if self.exhausted():
            return None
        relation = self._relation(other, route)
        if relation in ("narrower", "internal", "unknown"):
            return None
        for request in self._common(route, other):
            _, firsts = self._decided(request)
            if firsts == [other.router.name]:
                return Fate(route.router, "shadowed", request, other.router, relation)
        return None

    def _tie(self, route: Route, other: Route) -> Fate | None:
        if self.exhausted(_FOR_TIES):
            return None
        for request in self._common(route, other):
            _, firsts = self._decided(request)
            if {route.router.name, other.router.name} <= {*firsts}:
                return Fate(route.router, "tie", request, other.router, self._relation(other, route))
        return None

    def _common(self, route: Route, other: Route) -> Iterator[Request]:
        """Requests that match both rules, and that no third router takes from both as far as that is easily said."""
        patience = _PATIENCE
        for ours in self._rule(route).met:
            for theirs in self._rule(other).met:
                waiting = [tuple(dict.fromkeys([*ours, *theirs]))]
                while waiting and patience:
                    patience -= 1
                    conjunction = waiting.pop()
                    solution = self.solver.solve(conjunction)
                    if solution is None or isinstance(solution, str):
                        continue
                    yield solution
                    _, firsts = self._decided(solution)
                    thirds = [name for name in firsts if name not in (route.router.name, other.router.name)]
                    denied = self._denied(self.routes[thirds[0]]) if thirds else None
                    waiting += [tuple(dict.fromkeys([*conjunction, *more])) for more in denied or ()]

    def _relation(self, taker: Route, loser: Route) -> Relation:
        """How the requests of the taker lie to those of the loser, by host and path."""
        if taker.router.provider == "internal":
            return "internal"
        if self.exhausted():
            return "unknown"
        inside, outside = self._within(taker, loser, place=True), self._within(loser, taker, place=True)
        if inside and outside:
            inside, outside = self._within(taker, loser, place=False), self._within(loser, taker, place=False)
            return "narrower" if inside and not outside else "same"
        if inside is None or outside is None:
            return "unknown"
        return "narrower" if inside else "wider" if outside else "crossing"

    def _within(self, route: Route, other: Route, *, place: bool) -> bool | None:
        """Whether each alternative of a route that touches the other lies wholly in it; None: unknown.

        `place`: by host and path alone.
        """
        left, right = self._rule(route, place=place), self._rule(other, place=place)
        if right.denied is None or not left.whole or not right.whole:
            return None
        certain = True
        for conjunction in left.met:
            if all(self.solver.solve((*conjunction, *more)) == UNSATISFIABLE for more in right.met):
                continue
            for more in right.denied:
                solution = self.solver.solve((*conjunction, *more))
                if isinstance(solution, Request):
                    return False
                certain = certain and solution == UNSATISFIABLE
        return True if certain else None

    def _rule(self, route: Route, *, place: bool = False) -> _Rule:
        key = (route.router.name, place)
        if key not in self._rules:
            rule = of_place(route.form) if place else route.form
            self._rules[key] = _Rule.of(rule, route.syntax, self.muxer.features)
        return self._rules[key]

    def _denied(self, route: Route) -> list[Conjunction] | None:
        return self._rule(route).denied
