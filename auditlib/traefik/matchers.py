"""The rules of HTTP routers as functions of a request (`pkg/muxer/http/matcher.go`, `matcher_v2.go`).

A rule is read in a form that has its negations at its leaves, as Traefik's parser makes it (`rules.invert`). A chain of
one operator is one node of it, however long, so that walking a form never goes deeper than a rule's brackets.

Regular expressions are RE2's, as Go's are. A rule whose regular expression or template is refused cannot be built.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import re2

from auditlib.traefik.requests import Seen, header_name, template_host
from auditlib.traefik.rules import And, Matcher, Node, Not, Or, Syntax, network
from auditlib.traefik.versions import Features


@dataclass(frozen=True)
class Leaf:
    """A matcher, or its negation."""

    matcher: Matcher
    positive: bool = True


@dataclass(frozen=True)
class Every:
    """All of the parts hold."""

    parts: tuple["Form", ...]


@dataclass(frozen=True)
class Some:
    """At least one of the parts holds."""

    parts: tuple["Form", ...]


Form = Leaf | Every | Some


def form(node: Node, *, positive: bool = True) -> Form:
    """The form of a tree, or of its negation."""
    joints: list[And | Or] = []
    while isinstance(node, And | Or):
        joints.append(node)
        node = node.left
    first: Form = form(node.operand, positive=not positive) if isinstance(node, Not) else Leaf(node, positive)
    while joints:
        # De Morgan: a negated || is an &&.
        kind = Every if isinstance(joints[-1], And) is positive else Some
        parts: list[Form] = [first]
        while joints and (Every if isinstance(joints[-1], And) is positive else Some) is kind:
            parts.append(form(joints.pop().right, positive=positive))
        flat = (part.parts if isinstance(part, kind) else (part,) for part in parts)
        first = kind(tuple(itertools.chain.from_iterable(flat)))
    return first


def negated(form: Form) -> Form:
    """What holds when a form does not."""
    if isinstance(form, Leaf):
        return Leaf(form.matcher, not form.positive)
    kind = Some if isinstance(form, Every) else Every
    return kind(tuple(map(negated, form.parts)))


Test = Callable[[Seen], bool]


class UnbuildableError(ValueError):
    """A rule that parses, and that Traefik refuses all the same. The message is a French clause."""


class ExpressionError(UnbuildableError):
    """A regular expression that Go's regexp.Compile refuses, with `words` to say so."""

    def __init__(self, expression: str, words: str) -> None:
        super().__init__(f"expression régulière mal formée « {expression} »")
        self.words = f"error parsing regexp: {words}"


def compiled(form: Form, leaf: Callable[[Matcher], Test]) -> Test:
    """The test of a form, given the tests of its matchers. Raises UnbuildableError."""
    if isinstance(form, Leaf):
        test = leaf(form.matcher)
        return test if form.positive else lambda seen: not test(seen)
    tests = [compiled(part, leaf) for part in form.parts]
    if len(tests) == 2:
        first, second = tests
        if isinstance(form, Every):
            return lambda seen: first(seen) and second(seen)
        return lambda seen: first(seen) or second(seen)
    if isinstance(form, Every):
        return lambda seen: all(test(seen) for test in tests)
    return lambda seen: any(test(seen) for test in tests)


def reading(syntax: Syntax, features: Features) -> Callable[[Matcher], Test]:
    """How a matcher of a syntax is read by a version. What it returns raises UnbuildableError."""
    return leaf_v2 if syntax == "v2" else functools.partial(_leaf_v3, features=features)


def search(expression: str) -> Callable[[str], bool]:
    """Whether a text holds a match. Raises ExpressionError for what Go's regexp.Compile refuses."""
    # Go takes no expression that is no UTF-8, and knows no \C, a byte of a character.
    if _LONE.search(expression):
        raise ExpressionError(expression, f"invalid UTF-8: `{expression}`")
    if re.search(r"(?<!\\)(?:\\\\)*\\C", expression):
        raise ExpressionError(expression, r"invalid escape sequence: `\C`")
    try:
        pattern = re2.compile(expression, _options())
    except re2.error as error:
        raise ExpressionError(expression, _go_words(error)) from None

    # The same hosts come again and again.
    @functools.lru_cache(maxsize=256)
    def matches(text: str) -> bool:
        return pattern.search(text if text.isascii() else _LONE.sub("\N{REPLACEMENT CHARACTER}", text)) is not None

    return matches


# What RE2 calls otherwise than Go does.
_GO_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def _go_words(error: re2.error) -> str:
    """Go's words for what RE2 refuses: the kind of error, and the part of the expression that has it."""
    kind, _, part = error.args[0].decode("utf-8", "replace").partition(": ")
    return f"{_GO_WORDS.get(kind, kind)}: `{part}`"


# A byte that is no UTF-8: Go's expressions take it for the character that stands for it.
_LONE = re.compile("[\ud800-\udfff]")


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    return options


def _leaf_v3(matcher: Matcher, features: Features) -> Test:
    name, first, last = matcher.name, matcher.args[0], matcher.args[-1]
    match name:
        case "Host":
            return _host(matcher, features)
        case "HostRegexp":
            matches = search(first)
            # Without CNAME flattening the flattened name is "", which Traefik tries too.
            empty = matches("")
            return lambda seen: empty or matches(seen.host)
        case "Path":
            return lambda seen: seen.path == first
        case "PathPrefix":
            return lambda seen: seen.path.startswith(first)
        case "PathRegexp":
            matches = search(first)
            return lambda seen: matches(seen.path)
        case "Method":
            method = first.upper()
            return lambda seen: seen.method == method
        case "Header":
            key = header_name(first)
            return lambda seen: last in seen.headers.get(key, ())
        case "HeaderRegexp":
            key, matches = header_name(first), search(last)
            return lambda seen: any(map(matches, seen.headers.get(key, ())))
        case "ClientIP":
            return clients(matcher.args)
    value = last if len(matcher.args) == 2 else ""
    if name == "QueryRegexp" and value:
        matches = search(value)
        return lambda seen: any(map(matches, seen.query.get(first, ())))
    return lambda seen: value in seen.query.get(first, ())


def named_hosts(matcher: Matcher, syntax: Syntax, features: Features) -> frozenset[str] | None:
    """The hosts that a Host matches, None when they cannot be listed: a wildcard, or another matcher.

    One trailing dot is tolerated on either side.
    """
    if matcher.name not in ("Host", "HostHeader"):
        return None
    if syntax == "v3" and features.wildcards and matcher.args[0].startswith("*"):
        return None
    return _names(matcher.args)


def _names(args: tuple[str, ...]) -> frozenset[str]:
    hosts = [arg.lower() for arg in args]
    return frozenset(name for host in hosts for name in (host, host.removesuffix("."), f"{host}.") if name)


def _listed(hosts: frozenset[str]) -> Test:
    return lambda seen: seen.host in hosts


def _host(matcher: Matcher, features: Features) -> Test:
    pattern = matcher.args[0].lower()
    if pattern == "*" and features.star:
        return lambda seen: True
    if not (pattern.startswith("*") and features.wildcards):
        return _listed(_names(matcher.args))
    names = {pattern, pattern.removesuffix(".")}
    return lambda seen: (
        bool(seen.host) and (starred(seen.host) in names or starred(seen.host.removesuffix(".")) == pattern)
    )


def starred(host: str) -> str:
    """A host with its first label replaced by a star."""
    _, dot, rest = host.partition(".")
    return f"*{dot}{rest}"


def clients(args: tuple[str, ...]) -> Test:
    """Whether a request comes from one of some networks."""
    networks = [block for arg in args if (block := network(arg))]
    return lambda seen: (
        seen.client is not None
        and any(seen.client.version == block.version and seen.client in block for block in networks)
    )


def leaf_v2(matcher: Matcher) -> Test:
    """One matcher of version 2's language, as gorilla/mux reads it."""
    args = matcher.args
    match matcher.name:
        case "Host" | "HostHeader":
            return _listed(_names(args))
        case "HostRegexp":
            hosts = [template(arg, "[^.]+", prefix="(?i)") for arg in args]
            return lambda seen: any(matches(template_host(seen.authority)) for matches in hosts)
        case "Path" | "PathPrefix":
            end = "$" if matcher.name == "Path" else ""
            paths = [template(arg, "[^/]+", end=end) for arg in args]
            return lambda seen: any(matches(seen.path) for matches in paths)
        case "Method":
            methods = {arg.upper() for arg in args}
            return lambda seen: seen.method in methods
        case "Headers":
            # The last of two values of one name counts.
            headers = {header_name(name): value for name, value in zip(args[::2], args[1::2], strict=True)}
            return lambda seen: all(value in seen.headers.get(name, ()) for name, value in headers.items())
        case "HeadersRegexp":
            tests = {header_name(name): search(value) for name, value in zip(args[::2], args[1::2], strict=True)}
            return lambda seen: all(any(map(matches, seen.headers.get(name, ()))) for name, matches in tests.items())
        case "ClientIP":
            return clients(args)
    return _query_v2(args)


def _query_v2(args: tuple[str, ...]) -> Test:
    """`a=1`, all of them; only the first value of a name is looked at, and `a=` is any."""
    parts = [part for arg in args for part in arg.split("=", 1)]
    if len(parts) % 2:
        raise UnbuildableError("Query s’écrit nom=valeur")
    tests, variables = [], set[str]()
    for pair in map("=".join, zip(parts[::2], parts[1::2], strict=True)):
        name, _, value = pair.partition("=")
        own = {pair[start + 1 : stop - 1].partition(":")[0] for start, stop in braces(pair)}
        if own & variables:
            raise UnbuildableError("une même variable deux fois dans Query")
        variables |= own
        tests.append((name, template(pair, ".*", more=not value)))
    return lambda seen: all(
        matches(f"{name}={seen.query[name][0]}" if name in seen.query else "") for name, matches in tests
    )


def template(
    text: str, any_value: str, *, prefix: str = "", end: str = "$", more: bool = False
) -> Callable[[str], bool]:
    """A template of gorilla/mux: `{name}` and `{name:expression}` in a text that is else taken literally."""
    expression, at = f"{prefix}^", 0
    for start, stop in braces(text):
        name, colon, value = text[start + 1 : stop - 1].partition(":")
        value = value if colon else any_value
        if not name or not value:
            raise UnbuildableError(f"nom ou expression manquant dans « {text} »")
        search(f"^{value}$")
        expression += f"{quote_meta(text[at:start])}({value})"
        at = stop
    return search(expression + quote_meta(text[at:]) + (any_value if more else "") + end)


def braces(text: str) -> Iterator[tuple[int, int]]:
    """Where the braces of the first level open and close."""
    level = start = 0
    for at, character in enumerate(text):
        if character == "{":
            level += 1
            start = at if level == 1 else start
        elif character == "}":
            level -= 1
            if level == 0:
                yield start, at + 1
        if level < 0:
            break
    if level:
        raise UnbuildableError(f"accolades mal appariées dans « {text} »")


def quote_meta(text: str) -> str:
    """Go's regexp.QuoteMeta."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)


# Version 2 answers 405 instead of 404 to some requests. gorilla/mux remembers that a route failed on its method alone
# (`mux.Route.Match`), and answers 405 when that memory is still there once every route has failed. Whatever succeeds on
# the way, even a part of a route, wipes it: so routes and their parts are tried here in gorilla's own order.

# Whether a part matches; the list holds one flag, that a route failed on its method alone.
_Part = Callable[[Seen, list[bool]], bool]
# Parts that are nothing but a method are tried on: the rest of their route is looked at all the same.
_Step = tuple[bool, _Part]
# Matchers that gorilla puts into a router of their own.
_SUBROUTED = {"Path", "PathPrefix", "HostRegexp"}


class Gorilla:
    """One rule, as gorilla's route. Raises UnbuildableError."""

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
