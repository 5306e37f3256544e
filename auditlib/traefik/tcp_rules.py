"""The rules of TCP routers as functions of a connection (`pkg/muxer/tcp/matcher.go`, `matcher_v2.go`).

Both syntaxes have the same matchers. In that of version 3 each of them takes one value, and HostSNIRegexp searches for
an expression; in that of version 2 they take several, and HostSNIRegexp has templates of the whole name.
"""

import functools
import re
from collections.abc import Iterator

from auditlib.traefik.decoding import quoted
from auditlib.traefik.matchers import (
    ExpressionError,
    Form,
    Leaf,
    Test,
    UnbuildableError,
    braces,
    clients,
    compiled,
    form,
    quote_meta,
    search,
    starred,
)
from auditlib.traefik.rules import Matcher, RuleError, UnknownMatcherError, network, parse
from auditlib.traefik.versions import Features

# The protocol of ACME's challenges, which Traefik answers itself.
_ACME = "acme-tls/1"
_ALL = Leaf(Matcher("HostSNI", ("*",)))


class TcpRuleError(ValueError):
    """A TCP rule that Traefik refuses, in its own words; what Go's parser says of a bad syntax is in French."""


def read(rule: str) -> Form:
    """The form of a rule, whose values are judged by `built`. Raises TcpRuleError for a bad syntax."""
    try:
        return form(parse(rule, "tcp"))
    except UnknownMatcherError as error:
        raise TcpRuleError(f"invalid rule: {quoted(rule)} , unsupported function: {error.name}") from None
    except RuleError as error:
        raise TcpRuleError(f"invalid rule: {quoted(rule)} , {error}") from None


def built(rule: str, syntax: str | None, features: Features) -> Test:
    """The test of a rule. Raises TcpRuleError where Traefik refuses to build it."""
    leaf = _leaf_v2 if features.muxer_v2 or syntax == "v2" else _leaf_v3
    try:
        return compiled(read(rule), functools.partial(leaf, features=features))
    except UnbuildableError as error:
        words = error.words if isinstance(error, ExpressionError) else str(error)
        raise TcpRuleError(words if features.muxer_v2 else f"error while adding rule {rule}: {words}") from None


def leaves(rule: Form) -> Iterator[Leaf]:
    """The matchers of a rule, from left to right."""
    if isinstance(rule, Leaf):
        yield rule
    else:
        for part in rule.parts:
            yield from leaves(part)


def names(rule: Form, matcher: str, features: Features) -> list[str]:
    """What the Host or HostSNI matchers of a rule name, in lower case: what decides about TLS before any request."""
    own = (leaf for leaf in leaves(rule) if leaf.matcher.name == matcher)
    return [arg.lower() for leaf in own if leaf.positive or features.negated_names for arg in leaf.matcher.args]


def is_catch_all(rule: str) -> bool:
    """Whether a rule is HostSNI(`*`) or its negation, which Traefik tries last."""
    alone = _form(rule)
    return isinstance(alone, Leaf) and alone.matcher == _ALL.matcher


def takes_all(rule: str) -> bool:
    """Whether a rule is HostSNI(`*`), which takes every connection."""
    return _form(rule) == _ALL


@functools.lru_cache(maxsize=1024)
def _form(rule: str) -> Form | None:
    try:
        return read(rule)
    except TcpRuleError:
        return None


def _leaf_v3(matcher: Matcher, features: Features) -> Test:
    _check_values(matcher)
    if len(matcher.args) != 1:
        raise UnbuildableError(f"unexpected number of parameters; got {len(matcher.args)}, expected 1")
    (value,) = matcher.args
    match matcher.name:
        case "ALPN":
            if value == _ACME:
                raise UnbuildableError(f"invalid protocol value for ALPN matcher, {quoted(value)} is not allowed")
            return lambda seen: value in seen.protocols
        case "ClientIP":
            _check_networks(matcher, "initializing IP checker for ClientIP matcher")
            return clients(matcher.args)
        case "HostSNI":
            return server_name(value, features)
    if not value.isascii():
        raise UnbuildableError(f"invalid value for HostSNIRegexp matcher, {quoted(value)} is not a valid hostname")
    try:
        matches = search(value)
    except ExpressionError as error:
        raise UnbuildableError(f"compiling HostSNIRegexp matcher: {error.words}") from None
    return lambda seen: matches(seen.host)


def server_name(name: str, features: Features) -> Test:
    """Whether the server name of a connection is the one of a HostSNI of version 3. Raises UnbuildableError."""
    if name == "*":
        return lambda seen: True
    starry = features.wildcards and name.startswith("*.")
    if not _is_host(name.removeprefix("*.") if starry else name, features):
        raise UnbuildableError(f"invalid value for HostSNI matcher, {quoted(name)} is not a valid hostname")
    # Before wildcards, an upper-case letter was never that of a server name, which Traefik lower-cases.
    domain = (name.lower() if features.wildcards else name).removesuffix(".")
    if starry:
        return lambda seen: bool(seen.host) and starred(seen.host) == domain
    return lambda seen: bool(seen.host) and seen.host == domain


def _leaf_v2(matcher: Matcher, features: Features) -> Test:
    _check_values(matcher)
    match matcher.name:
        case "ALPN":
            if _ACME in matcher.args:
                raise UnbuildableError(f'invalid protocol value for "ALPN" matcher, {quoted(_ACME)} is not allowed')
            return lambda seen: not seen.protocols.isdisjoint(matcher.args)
        case "ClientIP":
            _check_networks(matcher, 'could not initialize IP Checker for "ClientIP" matcher')
            return clients(matcher.args)
        case "HostSNI":
            return _server_names(matcher.args, features)
    expressions = [search(_template(arg)) for arg in matcher.args]
    return lambda seen: any(matches(seen.host) for matches in expressions)


def _server_names(names: tuple[str, ...], features: Features) -> Test:
    for name in names:
        if name != "*" and not _is_host(name, features):
            raise UnbuildableError(f'invalid value for "HostSNI" matcher, {quoted(name)} is not a valid hostname or IP')
    domains = {domain for name in names for domain in (name.lower(), name.lower().removesuffix("."))}
    # A star that is not the first of several only stands for connections that name a server.
    return lambda seen: names[0] == "*" or (bool(seen.host) and ("*" in names or seen.host in domains))


def _template(text: str) -> str:
    """The expression of a template, `{name}` or `{name:expression}` in a text that is else taken literally."""
    invalid = f'invalid pattern value for "HostSNIRegexp" matcher, {quoted(text)} is not a valid pattern'
    try:
        variables = list(braces(text))
    except UnbuildableError:
        raise UnbuildableError(f"{invalid}: mux: unbalanced braces in {quoted(text)}") from None
    expression, end = "(?i)^", 0
    for at, (start, stop) in enumerate(variables):
        name, colon, value = text[start + 1 : stop - 1].partition(":")
        value = value if colon else "[^.]+"
        if not name or not value:
            raise UnbuildableError(f"{invalid}: mux: missing name or pattern in {quoted(text[end:stop])}")
        expression += f"{quote_meta(text[end:start])}(?P<v{at}>{value})"
        end = stop
    return f"{expression}{quote_meta(text[end:])}$"


def _check_values(matcher: Matcher) -> None:
    if not matcher.args:
        raise UnbuildableError(f"no args for matcher {matcher.name}")
    if not all(matcher.args):
        raise UnbuildableError(f"empty args for matcher {matcher.name}, [{' '.join(matcher.args)}]")


def _check_networks(matcher: Matcher, invalid: str) -> None:
    for arg in matcher.args:
        if network(arg) is None:
            raise UnbuildableError(f"{invalid}: parsing CIDR trusted IPs <nil>: invalid CIDR address: {arg}")


def _is_host(name: str, features: Features) -> bool:
    letters = r"\w" if features.underscores else "a-zA-Z0-9"
    return re.fullmatch(rf"[{letters}.:-]+", name, re.ASCII) is not None
