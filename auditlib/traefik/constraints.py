"""Requests that satisfy some conditions and fail others, or the proof that none does.

A conjunction of matchers and negated matchers falls apart into host, path, method, headers, query and client, which
are solved one by one. Requests have the host of a browser's: a name of letters, digits, dots and hyphens without a dot
at its end, or an address; what a rule would only take from others is taken for nothing. What cannot be decided is said
to be unknown, never guessed; whoever gets a request has had it checked by the very functions that decide.
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote_from_bytes

from auditlib.traefik.examples import examples
from auditlib.traefik.matchers import Every, Form, Leaf, Some, Test, named_hosts, reading
from auditlib.traefik.requests import Headers, Request, Seen, client_address, header_name
from auditlib.traefik.rules import Matcher, Network, Syntax, network
from auditlib.traefik.versions import Features

UNSATISFIABLE: Final = "unsatisfiable"
Solution = Request | Literal["unsatisfiable"] | None  # None: unknown

# Alternatives of one rule; those beyond are given up, which makes the answer unknown.
_MAX_BRANCHES = 400
_HOST, _PATH, _METHOD, _HEADER, _QUERY, _CLIENT = "host", "path", "method", "header", "query", "client"
_ASPECTS = {
    **dict.fromkeys(("Host", "HostHeader", "HostRegexp"), _HOST),
    **dict.fromkeys(("Path", "PathPrefix", "PathRegexp"), _PATH),
    **dict.fromkeys(("Header", "HeaderRegexp", "Headers", "HeadersRegexp"), _HEADER),
    **dict.fromkeys(("Query", "QueryRegexp"), _QUERY),
    "Method": _METHOD,
    "ClientIP": _CLIENT,
}
PLACE = frozenset({_HOST, _PATH})

# Expressions that match any host and any path that is one, as people write them.
_ANY = re.compile(r"\^?(?:\.[+*]|\(\.[+*]\))\$?|\^?\.?|\.?\$")
_ANY_PATH = re.compile(r"\^?/|\^?/(?:\.\*|\(\.\*\))\$?")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_ANY_TEMPLATE = re.compile(r"/?\{\w+:\.[+*]\}")
_TEMPLATE = re.compile(r"\{\w*(?::((?:[^{}]|\{[0-9,]*\})*))?\}")


@dataclass(frozen=True)
class Condition:
    """A matcher of a rule, or its negation, and how its version tests it."""

    matcher: Matcher
    positive: bool
    syntax: Syntax
    test: Test

    @property
    def aspect(self) -> str:
        """What of a request it looks at."""
        return _ASPECTS[self.matcher.name]

    @property
    def opposite(self) -> tuple[Matcher, bool, Syntax]:
        """What would contradict it."""
        return self.matcher, not self.positive, self.syntax


Conjunction = tuple[Condition, ...]


def alternatives(form: Form, syntax: Syntax, features: Features) -> tuple[list[Conjunction], bool]:
    """The conjunctions of which a form is the disjunction; and whether they are all of them."""
    if isinstance(form, Leaf):
        test = reading(syntax, features)(form.matcher)
        return [(Condition(form.matcher, form.positive, syntax, test if form.positive else _negated(test)),)], True
    parts = [alternatives(part, syntax, features) for part in form.parts]
    whole = all(complete for _, complete in parts)
    if isinstance(form, Every):
        branches: Iterable[Conjunction] = (
            tuple(itertools.chain.from_iterable(choice)) for choice in itertools.product(*(below for below, _ in parts))
        )
    else:
        branches = itertools.chain.from_iterable(below for below, _ in parts)
    kept = list(itertools.islice(branches, _MAX_BRANCHES + 1))
    return kept[:_MAX_BRANCHES], whole and len(kept) <= _MAX_BRANCHES


def _negated(test: Test) -> Test:
    return lambda seen: not test(seen)


class Solver:
    """Solves conjunctions for one entry point. `see` is what its muxer makes of a request."""

    def __init__(self, features: Features, see: Callable[[Request], Seen | int], *, tls: bool) -> None:
        self.features = features
        self.see = see
        self.tls = tls
        self.effort = 0

    def solve(self, conditions: Conjunction) -> Solution:
        """A request that meets all of the conditions."""
        self.effort += 1
        kinds = {(condition.matcher, condition.positive, condition.syntax) for condition in conditions}
        if any(condition.opposite in kinds for condition in conditions if condition.positive):
            return UNSATISFIABLE
        of: dict[str, list[Condition]] = {}
        for condition in conditions:
            of.setdefault(condition.aspect, []).append(condition)
        host = self._hosts(of.get(_HOST, []))
        if host == UNSATISFIABLE or (path := self._paths(of.get(_PATH, []))) == UNSATISFIABLE:
            return UNSATISFIABLE
        method, client = _methods(of.get(_METHOD, [])), _clients(of.get(_CLIENT, []))
        headers, query = _headers(of.get(_HEADER, [])), _queries(of.get(_QUERY, []))
        if UNSATISFIABLE in (method, client, query) or headers == UNSATISFIABLE:
            return UNSATISFIABLE
        if host is None or path is None or client is None or headers is None or query is None:
            return None
        request = Request(method=method, headers=headers, client_ip=client, tls=self.tls)
        return self._sent(request, host, path, query, conditions)

    def _sent(self, request: Request, host: str, path: str, query: str, conditions: Conjunction) -> Solution:
        """The request with its host and path as they are sent; None when rules would not see them so."""
        sni = host.rstrip(".") if self.tls and client_address(host) is None else None
        authority = f"[{host}]" if ":" in host else host
        for keep in ("%", ""):
            target = quote_from_bytes(path.encode("utf-8", "surrogateescape"), safe=f"/!$&'()*+,;=:@~{keep}")
            whole = request._replace(host=authority, sni=sni, target=target + query)
            seen = self.see(whole)
            if isinstance(seen, Seen) and not seen.refused and all(condition.test(seen) for condition in conditions):
                return whole
        return None

    def _hosts(self, conditions: list[Condition]) -> str | None:
        if any(_matches_any(condition) for condition in conditions if not condition.positive):
            return UNSATISFIABLE
        positive = [condition for condition in conditions if condition.positive and not _matches_any(condition)]
        listed = [named_hosts(condition.matcher, condition.syntax, self.features) for condition in positive]
        names = [hosts for hosts in listed if hosts is not None]
        if names:
            # All there are: when none passes, none exists.
            every = sorted(filter(_is_host, frozenset.intersection(*names)))
            return next(_passing(every, conditions, _at_host), UNSATISFIABLE)
        stars = {condition.matcher.args[0].lower() for condition in positive if condition.matcher.name == "Host"}
        if len({star.removesuffix(".") for star in stars}) > 1:
            return UNSATISFIABLE
        labels = ("exemple", "a", "0", "x-1")
        guesses = [label + star[1:] for star in stars for label in labels]
        guesses += [text.lower() for condition in positive for text in _guesses(condition)]
        guesses += [f"{label}.invalid" for label in labels] if not positive else []
        return next(_passing(filter(_is_host, guesses), conditions, _at_host), None)

    def _paths(self, conditions: list[Condition]) -> str | None:
        if any(_matches_any(condition) for condition in conditions if not condition.positive):
            return UNSATISFIABLE
        positive = [condition for condition in conditions if condition.positive and not _matches_any(condition)]
        exact = [
            frozenset(condition.matcher.args)
            for condition in positive
            if condition.matcher.name == "Path" and _plain(condition)
        ]
        if exact:
            return next(_passing(sorted(frozenset.intersection(*exact)), conditions, _at_path), UNSATISFIABLE)
        prefixes = [
            condition.matcher.args
            for condition in positive
            if condition.matcher.name == "PathPrefix" and _plain(condition)
        ]
        start = _common_start(positive, prefixes)
        if start is None or any(start.startswith(barred) for barred in _barred(conditions)):
            return UNSATISFIABLE
        starts = [start, *(arg for args in prefixes if len(args) > 1 for arg in args)]
        ends = ["", "/", "/exemple", "exemple", *"abcdefghijklmnopqrstuvwxyz0123456789_"]
        guesses = [
            text if text.startswith("/") else f"/{text}" for condition in positive for text in _guesses(condition)
        ]
        guesses += [begin.rstrip("/") + text for begin in starts for text in guesses]
        guesses += [begin + end for begin in starts for end in ends]
        return next(_passing(guesses, conditions, _at_path), None)


def _common_start(positive: list[Condition], prefixes: list[tuple[str, ...]]) -> str | None:
    """The longest text that all paths must begin with, as plain prefixes and expressions say; None: they disagree."""
    starts = [args[0] for args in prefixes if len(args) == 1] + [_start(condition)[0] for condition in positive]
    longest = max(starts, key=len, default="/")
    return longest if all(map(longest.startswith, starts)) else None


def _barred(conditions: list[Condition]) -> Iterator[str]:
    """The texts that no path may begin with."""
    for condition in conditions:
        if not condition.positive and condition.matcher.name == "PathPrefix":
            yield from (arg for arg in condition.matcher.args if "{" not in arg)
        elif not condition.positive and _start(condition)[1]:
            yield _start(condition)[0]


def _is_host(text: str) -> bool:
    """Whether a text is a host that a browser asks for."""
    return _NAME.fullmatch(text) is not None or client_address(text) is not None


def _passing(guesses: Iterable[str], conditions: list[Condition], at: Callable[[str], Seen]) -> Iterator[str]:
    return (guess for guess in guesses if all(condition.test(at(guess)) for condition in conditions))


def _at_host(host: str) -> Seen:
    return Seen(host, f"[{host}]" if ":" in host else host)


def _at_path(path: str) -> Seen:
    return Seen("", path=path)


def _matches_any(condition: Condition) -> bool:
    """Whether a matcher takes whatever has a host, or a path."""
    name, first = condition.matcher.name, condition.matcher.args[0]
    if condition.syntax == "v2" and condition.aspect in PLACE:
        return (name == "PathPrefix" and "/" in condition.matcher.args) or any(
            map(_ANY_TEMPLATE.fullmatch, condition.matcher.args)
        )
    if name in ("HostRegexp", "PathRegexp"):
        patterns = (_ANY, _ANY_PATH) if name == "PathRegexp" else (_ANY,)
        return any(pattern.fullmatch(first) for pattern in patterns)
    tested = condition.test(Seen("", path="")) is condition.positive
    return (name, first) == ("PathPrefix", "/") or (name == "Host" and first == "*" and tested)


def _start(condition: Condition) -> tuple[str, bool]:
    """The text that paths of a PathRegexp begin with, and whether that is all that it asks for."""
    expression = condition.matcher.args[0]
    if condition.matcher.name != "PathRegexp" or not expression.startswith("^/") or _alternates(expression):
        return "", False
    literal = _LITERAL.match(expression)
    text = re.sub(r"\\(.)", r"\1", literal[1]) if literal else ""
    return text, literal is not None and literal.end() == len(expression)


# Plain characters that no repetition follows.
_LITERAL = re.compile(r"\^((?:(?:[\w/~@:,=&;%!-]|\\[./+-])(?![*+?{]))*)")


def _alternates(expression: str) -> bool:
    """Whether an expression has alternatives outside of brackets."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", expression)
    while (shorter := re.sub(r"\([^()]*\)", "", bare)) != bare:
        bare = shorter
    return "|" in bare


def _plain(condition: Condition) -> bool:
    """Whether a path is no template."""
    return condition.syntax != "v2" or not any("{" in arg for arg in condition.matcher.args)


def _guesses(condition: Condition) -> list[str]:
    """Texts that an expression or a template may match."""
    if condition.matcher.name.endswith("Regexp") and condition.syntax != "v2":
        return [text for arg in condition.matcher.args[-1:] for text in examples(arg)]
    if condition.syntax != "v2" or condition.aspect not in PLACE:
        return []
    return [text for arg in condition.matcher.args for text in examples(_expression(arg))]


def _expression(template: str) -> str:
    """A template as one expression, roughly."""
    parts, at = "", 0
    for variable in _TEMPLATE.finditer(template):
        parts += re.escape(template[at : variable.start()]) + f"(?:{variable[1] or 'a'})"
        at = variable.end()
    return parts + re.escape(template[at:])


def _methods(conditions: list[Condition]) -> str:
    sets = [{arg.upper() for arg in condition.matcher.args} for condition in conditions if condition.positive]
    methods = sorted(set.intersection(*sets)) if sets else ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH"]
    passing = (method for method in methods if all(condition.test(Seen("", method=method)) for condition in conditions))
    # A method is any word: there is always one more.
    return next(passing, UNSATISFIABLE if sets else "AUDIT")


def _required(conditions: list[Condition]) -> tuple[list[tuple[str, str]], bool] | None:
    """The names and values that the positive conditions ask for; whether they could be no others. None: unknown."""
    pairs, certain = [], True
    for condition in conditions:
        if condition.positive:
            if condition.syntax == "v2" and condition.aspect == _QUERY:
                args = [part for arg in condition.matcher.args for part in arg.partition("=")[::2]]
                certain = False
            else:
                args = [*condition.matcher.args, ""] if len(condition.matcher.args) % 2 else [*condition.matcher.args]
            for name, value in zip(args[::2], args[1::2], strict=True):
                if condition.matcher.name.endswith("Regexp") and value:
                    certain = False
                    if not (guesses := examples(value)):
                        return None
                    pairs.append((name, guesses[0] or "a"))
                else:
                    pairs.append((name, value))
    return list(dict.fromkeys(pairs)), certain


def _headers(conditions: list[Condition]) -> Headers | Literal["unsatisfiable"] | None:
    """More headers only make more conditions true: the required ones decide."""
    required = _required(conditions)
    if required is None:
        return None
    pairs, certain = required
    held: dict[str, list[str]] = {}
    for name, value in pairs:
        held.setdefault(header_name(name), []).append(value)
    if all(condition.test(Seen("", read_headers=lambda: held)) for condition in conditions):
        return tuple(pairs)
    return UNSATISFIABLE if certain else None


def _queries(conditions: list[Condition]) -> str | None:
    required = _required(conditions)
    if required is None:
        return None
    pairs, certain = required
    coded = "&".join(f"{_coded(name)}={_coded(value)}" for name, value in pairs)
    if all(condition.test(Seen("", raw_query=coded)) for condition in conditions):
        return f"?{coded}" if coded else ""
    return UNSATISFIABLE if certain else None


def _coded(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "replace"), safe="")


def _clients(conditions: list[Condition]) -> str | None:
    """An address of the networks that are left."""
    if not conditions:
        return "127.0.0.1"
    left: list[Network] = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    for condition in conditions:
        named = [block for arg in condition.matcher.args if (block := network(arg))]
        cut = _common if condition.positive else _without
        left = [part for whole in left for part in cut(whole, named)]
        if len(left) > _MAX_BRANCHES:
            return None
    if not left:
        return UNSATISFIABLE
    local = ipaddress.ip_address("127.0.0.1")
    usual = any(local.version == block.version and local in block for block in left)
    return str(local if usual else left[0].network_address)


def _common(whole: Network, named: list[Network]) -> list[Network]:
    return [block if block.prefixlen >= whole.prefixlen else whole for block in named if _meet(block, whole)]


def _without(whole: Network, named: list[Network]) -> list[Network]:
    left = [whole]
    for block in named:
        left = [part for rest in left for part in (_cut(rest, block) if _meet(rest, block) else [rest])]
    return left


def _cut(whole: Network, part: Network) -> list[Network]:
    if whole.prefixlen >= part.prefixlen:
        return []
    return list(whole.address_exclude(part))  # type: ignore[arg-type]  # of one family, since they meet


def _meet(block: Network, other: Network) -> bool:
    return block.version == other.version and block.overlaps(other)


def of_place(form: Form) -> Form:
    """What a form says of host and path: whatever else it asks for is taken to hold."""
    if isinstance(form, Leaf):
        return form if _ASPECTS[form.matcher.name] in PLACE else Every(())
    kind = Every if isinstance(form, Every) else Some
    return kind(tuple(map(of_place, form.parts)))
