"""What Traefik says of a TCP router that it tries to build (`pkg/server/router/tcp/manager.go`), in its own words."""

from collections.abc import Iterator

from auditlib.traefik.decoding import quoted
from auditlib.traefik.routers import MAX_USER_PRIORITY, Router
from auditlib.traefik.tcp_rules import TcpRuleError, built, names, read
from auditlib.traefik.versions import Features


def faults(
    router: Router, features: Features, *, options: str | None, handler: str | None, whole: bool = True
) -> Iterator[str]:
    """The errors of a router that has a service.

    `options`: what is wrong with its TLS options. `handler`: with its service and middlewares. `whole`: its rule is
    known to the last character.
    """
    hosts: list[str] = []
    if whole:
        if not router.rule:
            yield "router has no rule"
            return
        try:
            hosts = names(read(router.rule), "HostSNI", features)
        except TcpRuleError as error:
            yield str(error)
            return
        if hosts and hosts[0] != "*" and not router.tls:
            yield f"invalid rule: {quoted(router.rule)} , has HostSNI matcher, but no TLS on router"
            return
    if router.rank > MAX_USER_PRIORITY and router.provider != "internal":
        yield f"the router priority {router.rank} exceeds the max user-defined priority {MAX_USER_PRIORITY}"
        return
    if router.tls:
        for host in dict.fromkeys(hosts):
            if not host.isascii():
                yield f"invalid domain name value {quoted(host)}, non-ASCII characters are not allowed"
        if options:
            yield options
    # A router without its TLS options gets a route all the same, which closes connections.
    if handler and not options:
        yield handler
        return
    if whole:
        try:
            built(router.rule, router.syntax, features)
        except TcpRuleError as error:
            yield str(error)
