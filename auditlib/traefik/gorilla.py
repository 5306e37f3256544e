"""The 405 of version 2: gorilla/mux remembers that a route failed on its method alone (`mux.Route.Match`).

It answers 405 instead of 404 when that memory is still there once every route has failed. Whatever succeeds on the
way, even a part of a route, wipes it: so routes and their parts are tried here in gorilla's own order.
"""

from collections.abc import Callable, Iterable

from auditlib.traefik.forms import Every, Form, Leaf, Some
from auditlib.traefik.matchers import leaf_v2
from auditlib.traefik.requests import Seen

# Whether a part matches; the list holds one flag, that a route failed on its method alone.
_Part = Callable[[Seen, list[bool]], bool]
# Parts that are nothing but a method are tried on: the rest of their route is looked at all the same.
_Step = tuple[bool, _Part]
# Matchers that gorilla puts into a router of their own.
_SUBROUTED = {"Path", "PathPrefix", "HostRegexp"}


class Gorilla:
    """One rule, as gorilla's route. Raises matchers.UnbuildableError."""

    def __init__(self, rule: Form) -> None:
        self._match = _route(_steps(rule))

    def matches(self, seen: Seen, mismatch: list[bool]) -> bool:
        """Whether the route matches; `mismatch[0]` becomes what gorilla then remembers."""
        return self._match(seen, mismatch)


def refuses_method(routes: Iterable[Gorilla], seen: Seen) -> bool:
    """Whether gorilla answers 405 to a request that no route takes."""
    mismatch = [False]
    return not any(route.matches(seen, mismatch) for route in routes) and mismatch[0]


def _steps(form: Form) -> list[_Step]:
    """What a form adds to its route."""
    if isinstance(form, Every):
        return [step for part in form.parts for step in _steps(part)]
    if isinstance(form, Some):
        return [(False, _router([_steps(part) for part in form.parts]))]
    if not form.positive:
        inner = _route(_steps(Leaf(form.matcher)))
        return [(False, lambda seen, mismatch: not inner(seen, mismatch))]
    test = leaf_v2(form.matcher)
    if form.matcher.name in _SUBROUTED:
        return [(False, _router([[(False, lambda seen, _: test(seen))]]))]
    return [(form.matcher.name == "Method", lambda seen, _: test(seen))]


def _router(alternatives: list[list[_Step]]) -> _Part:
    routes = [_route(steps) for steps in alternatives]
    return lambda seen, mismatch: any(route(seen, mismatch) for route in routes)


def _route(steps: list[_Step]) -> _Part:
    def match(seen: Seen, mismatch: list[bool]) -> bool:
        refused = False
        for on_method, part in steps:
            if not part(seen, mismatch):
                if not on_method:
                    return False
                refused = True
        mismatch[0] = refused
        return not refused

    return match
