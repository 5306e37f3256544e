"""What the TCP layer of an entry point does with a connection before HTTP (`pkg/server/router/tcp/router.go`).

A clear connection belongs to the TCP routers without TLS first. A TLS one goes to HTTPS when its server name is the
host of an HTTPS router, then to the TCP routers with TLS, and to HTTPS for the rest. The server name also chooses the
TLS options.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from auditlib.traefik.matchers import Form, Leaf, Test, UnbuildableError, compiled, form, reading, search
from auditlib.traefik.requests import Request, Seen, client_address
from auditlib.traefik.routers import Router
from auditlib.traefik.rules import Matcher, RuleError, Syntax, parse
from auditlib.traefik.versions import Features

_HOST_OR_IP = re.compile(r"(\*\.)?[\w.:-]+", re.ASCII)
_DEFAULT = "default"
# What browsers and curl offer in a TLS handshake.
_OFFERED = {"h2", "http/1.1"}


@dataclass(frozen=True)
class _Route:
    router: str
    rank: int
    test: Test
    catch_all: bool


class Layer:
    """The TCP layer of one entry point."""

    def __init__(self, routers: Iterable[Router], features: Features) -> None:
        every = list(routers)
        tcp = [router for router in every if router.protocol == "tcp" and router.serves]
        self._clear = [route for router in tcp if not router.tls for route in _routes(router, features)]
        self._tls = [route for router in tcp if router.tls for route in _routes(router, features)]
        self._https = [router for router in every if router.protocol == "http" and router.tls and not router.parents]
        # Since options are the router's, so are disagreements; before, each host has its own.
        self._resolved = _resolved(self._https) if features.options_of_router else {}
        self._options = _options(self._https, self._resolved)
        self._hosts = dict(_tests(self._options, features))
        self._features = features

    @property
    def bare(self) -> bool:
        """Whether there is nothing on this layer that could take a connection from HTTP or choose TLS options."""
        return not (self._clear or self._tls or set(self._options.values()) - {_DEFAULT})

    def takes(self, request: Request) -> tuple[str, ...]:
        """The TCP routers of which one takes the connection of a request; none when it is left to HTTP."""
        seen = Seen(request.sni or "", client=client_address(request.client_ip))
        if not request.tls or (self._clear and not self._tls and not self._https):
            # An entry point without any TLS router gives even TLS connections to its TCP routers.
            taken = _best(self._clear, seen)
            if taken or not request.tls:
                return tuple(route.router for route in taken)
        if request.sni and self._host(request.sni) not in (None, "*"):
            return ()
        taken = _best(self._tls, seen)
        if all(route.catch_all for route in taken) and self._https:
            return ()
        return tuple(route.router for route in taken)

    def misdirected(self, request: Request, host: str, router: Router | None) -> bool:
        """Whether a request answers 421: its connection was made with other TLS options.

        They are compared with those of the host it asks for, before any router (`router` None); since 2.11.47, 3.6.18
        and 3.7.2 with those of the router that takes it.
        """
        if not request.tls or self.bare or (router is not None) != self._features.options_of_router:
            return False
        name = request.sni or ""
        if router is not None:
            return self._options.get(self._host(name) or "", _DEFAULT) != self._resolved[router.name]
        # A dot at the end of the host is tolerated, as it is in Host.
        spellings = (host, host[:-1] if host.endswith(".") else f"{host}.")
        options = next((self._options[spelling] for spelling in spellings if spelling in self._options), _DEFAULT)
        return host != name.lower() and options != self._options.get(name.lower(), _DEFAULT)

    def _host(self, name: str) -> str | None:
        """The host of an HTTPS router that a server name stands for, the longest if there are several."""
        hosts = [host for host, test in self._hosts.items() if host != "*" and test(name)]
        return max(hosts, key=len, default="*" if "*" in self._options else None)


def _tests(hosts: Iterable[str], features: Features) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Whether a server name is a host, for the hosts that can be one."""
    for host in hosts:
        with contextlib.suppress(UnbuildableError):
            yield host, _sni(host, features)


def _best(routes: list[_Route], seen: Seen) -> list[_Route]:
    matching = [route for route in routes if route.test(seen)]
    best = max((route.rank for route in matching), default=0)
    return [route for route in matching if route.rank == best]


def _routes(router: Router, features: Features) -> Iterator[_Route]:
    """The route of a TCP router; none when Traefik refuses it."""
    try:
        rule = form(parse(router.rule, "tcp"))
        test = compiled(rule, functools.partial(_leaf, features=features))
    except (RuleError, UnbuildableError):
        return
    named = [arg for leaf in _leaves(rule) if leaf.matcher.name == "HostSNI" for arg in leaf.matcher.args]
    if named and named[0] != "*" and not router.tls:
        return
    catch_all = isinstance(rule, Leaf) and rule.matcher == Matcher("HostSNI", ("*",))
    rank = router.priority or (-1 if catch_all else router.rank)
    yield _Route(router.name, rank, test, catch_all)


def _leaves(rule: Form) -> Iterator[Leaf]:
    if isinstance(rule, Leaf):
        yield rule
    else:
        for part in rule.parts:
            yield from _leaves(part)


def _leaf(matcher: Matcher, features: Features) -> Test:
    match matcher.name:
        case "HostSNI":
            tests = [_sni(arg, features) for arg in matcher.args]
            return lambda seen: any(test(seen.host) for test in tests)
        case "HostSNIRegexp":
            expressions = [search(arg) for arg in matcher.args]
            return lambda seen: any(matches(seen.host) for matches in expressions)
        case "ALPN":
            offered = bool(_OFFERED & {*matcher.args})
            return lambda seen: offered
    return reading("v3", features)(matcher)


def _sni(host: str, features: Features) -> Callable[[str], bool]:
    """Whether a server name is the one of a HostSNI. Raises UnbuildableError."""
    if host == "*":
        return lambda name: True
    if not _HOST_OR_IP.fullmatch(host) or (host.startswith("*") and not features.wildcards):
        raise UnbuildableError(f"nom de domaine mal formé « {host} »")
    domain = host.lower().removesuffix(".")
    if domain.startswith("*."):
        return lambda name: bool(name) and "*." + name.lower().partition(".")[2] == domain
    return lambda name: name.lower() == domain


def _domains(router: Router) -> list[str]:
    """The domains that Traefik takes from a rule to choose TLS options: those of Host, the negated ones too."""
    syntaxes: tuple[Syntax, ...] = ("v3", "v2")
    for syntax in syntaxes:
        try:
            leaves = _leaves(form(parse(router.rule, syntax)))
        except RuleError:
            continue
        return [arg.lower() for leaf in leaves if leaf.matcher.name == "Host" for arg in leaf.matcher.args]
    return []


def _resolved(https: list[Router]) -> dict[str, str]:
    """The TLS options that each router ends up with: the default ones if it disagrees with another about any host."""
    options: dict[str, set[str]] = {}
    domains = {router.name: _domains(router) for router in https}
    for router in https:
        for domain in domains[router.name]:
            options.setdefault(domain, set()).add(router.options)
    alone = {domain for domain, several in options.items() if len(several) == 1}
    return {
        router.name: router.options if domains[router.name] and alone.issuperset(domains[router.name]) else _DEFAULT
        for router in https
    }


def _options(https: list[Router], resolved: dict[str, str]) -> dict[str, str]:
    """The TLS options of each domain. Routers that disagree about one leave it the default ones."""
    options: dict[str, set[str]] = {}
    for router in https:
        for domain in _domains(router) or ["*"]:
            resolution = resolved.get(router.name, router.options)
            options.setdefault(domain, set()).add(resolution if domain != "*" else _DEFAULT)
    return {domain: next(iter(several)) if len(several) == 1 else _DEFAULT for domain, several in options.items()}
