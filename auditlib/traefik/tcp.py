"""What the TCP layer of an entry point does with a connection before HTTP (`pkg/server/router/tcp/router.go`).

A clear connection belongs to the TCP routers without TLS first. A TLS one goes to HTTPS when its server name is the
host of an HTTPS router, then to the TCP routers with TLS, and to HTTPS for the rest. The server name also chooses the
TLS options.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlib.traefik.matchers import Test, UnbuildableError, form
from auditlib.traefik.requests import Request, Seen, client_address
from auditlib.traefik.routers import Router
from auditlib.traefik.rules import RuleError, Syntax, parse
from auditlib.traefik.tcp_rules import TcpRuleError, built, is_catch_all, names, read, server_name
from auditlib.traefik.versions import Features

_DEFAULT = "default"


@dataclass(frozen=True)
class _Route:
    router: str
    order: tuple[int, int]
    test: Test
    catch_all: bool


class Layer:
    """The TCP layer of one entry point. `precedence` is `providers.precedence`."""

    def __init__(self, routers: Iterable[Router], features: Features, precedence: Sequence[str] = ()) -> None:
        every = list(routers)
        tcp = [router for router in every if router.protocol == "tcp" and router.serves]
        self._clear = list(_routes([router for router in tcp if not router.tls], features, precedence))
        self._tls = list(_routes([router for router in tcp if router.tls], features, precedence))
        self._https = [router for router in every if router.protocol == "http" and router.tls and not router.parents]
        # Since options are the router's, so are disagreements; before, each host has its own.
        domains = {router.name: _domains(router, features) for router in self._https}
        self._resolved = _resolved(self._https, domains) if features.options_of_router else {}
        self._options = _options(self._https, domains, self._resolved)
        self._hosts = dict(_tests(self._options, features))
        self._features = features

    @property
    def bare(self) -> bool:
        """Whether there is nothing on this layer that could take a connection from HTTP or choose TLS options."""
        return not (self._clear or self._tls or set(self._options.values()) - {_DEFAULT})

    def takes(self, request: Request) -> tuple[str, ...]:
        """The TCP routers of which one takes the connection of a request; none when it is left to HTTP."""
        client = client_address(request.client_ip)
        if not request.tls or (self._clear and not self._tls and not self._https):
            # An entry point without any TLS router gives TLS connections to its TCP routers too, and reads nothing of
            # them before.
            taken = _best(self._clear, Seen("", client=client))
            if taken or not request.tls:
                return tuple(route.router for route in taken)
        name = (request.sni or "").strip().lower()
        host = self._host(name)
        if host not in (None, "*"):
            return ()
        taken = _best(self._tls, Seen(name, client=client, protocols=frozenset(request.alpn)))
        if host == "*" and all(route.catch_all for route in taken):
            return ()
        return tuple(route.router for route in taken)

    def misdirected(self, request: Request, host: str, router: Router | None) -> bool:
        """Whether a request answers 421: its connection was made with other TLS options.

        They are compared with those of the host it asks for, before any router (`router` None); since 2.11.47, 3.6.18
        and 3.7.2 with those of the router that takes it.
        """
        if not request.tls or self.bare or (router is not None) != self._features.options_of_router:
            return False
        name = (request.sni or "").lower()
        if router is not None:
            return self._options.get(self._host(name) or "", _DEFAULT) != self._resolved[router.name]
        # A dot at the end of the host is tolerated, as it is in Host.
        spellings = (host, host[:-1] if host.endswith(".") else f"{host}.")
        options = next((self._options[spelling] for spelling in spellings if spelling in self._options), _DEFAULT)
        return host != name and options != self._options.get(name, _DEFAULT)

    def _host(self, name: str) -> str | None:
        """The host of an HTTPS router that a server name stands for, the longest if there are several."""
        hosts = [host for host, test in self._hosts.items() if host != "*" and test(Seen(name))]
        return max(hosts, key=len, default="*" if "*" in self._options else None)


def _tests(hosts: Iterable[str], features: Features) -> Iterator[tuple[str, Test]]:
    """Whether a connection is for a host, for the hosts that can be one."""
    for host in hosts:
        with contextlib.suppress(UnbuildableError):
            yield host, server_name(host, features)


def _best(routes: list[_Route], seen: Seen) -> list[_Route]:
    matching = [route for route in routes if route.test(seen)]
    first = min((route.order for route in matching), default=None)
    return [route for route in matching if route.order == first]


def _routes(routers: Iterable[Router], features: Features, precedence: Sequence[str]) -> Iterator[_Route]:
    """The routes of TCP routers, without those that Traefik refuses."""
    for router in routers:
        with contextlib.suppress(TcpRuleError):
            hosts = names(read(router.rule), "HostSNI", features)
            if router.tls or not hosts or hosts[0] == "*":
                test = built(router.rule, router.syntax, features)
                yield _Route(router.name, router.order(precedence), test, is_catch_all(router.rule))


def _domains(router: Router, features: Features) -> list[str]:
    """The domains that Traefik takes from a rule to choose TLS options."""
    syntaxes: tuple[Syntax, ...] = ("v3", "v2")
    for syntax in syntaxes:
        with contextlib.suppress(RuleError):
            return names(form(parse(router.rule, syntax)), "Host", features)
    return []


def _resolved(https: list[Router], domains: Mapping[str, list[str]]) -> dict[str, str]:
    """The TLS options that each router ends up with: the default ones if it disagrees with another about any host."""
    options: dict[str, set[str]] = {}
    for router in https:
        for domain in domains[router.name]:
            options.setdefault(domain, set()).add(router.options)
    alone = {domain for domain, several in options.items() if len(several) == 1}
    return {
        router.name: router.options if domains[router.name] and alone.issuperset(domains[router.name]) else _DEFAULT
        for router in https
    }


def _options(https: list[Router], domains: Mapping[str, list[str]], resolved: Mapping[str, str]) -> dict[str, str]:
    """The TLS options of each domain. Routers that disagree about one leave it the default ones."""
    options: dict[str, set[str]] = {}
    for router in https:
        for domain in domains[router.name] or ["*"]:
            resolution = resolved.get(router.name, router.options)
            options.setdefault(domain, set()).add(resolution if domain != "*" else _DEFAULT)
    return {domain: next(iter(several)) if len(several) == 1 else _DEFAULT for domain, several in options.items()}
