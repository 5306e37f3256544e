"""How fast routing is: decisions a second, and shadowing beside as many routers again. Run as a module."""

import time

from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.shadowing import fates

ENTRYPOINT = "websecure"


def routers(count: int) -> list[Router]:
    """Routers as a busy server has them: a host and its paths, methods and expressions, five by five."""
    rules = (
        "Host(`h{0}.example.fr`)",
        "Host(`h{0}.example.fr`) && PathPrefix(`/api`)",
        "(Host(`h{0}.example.fr`) || Host(`www.h{0}.example.fr`)) && PathPrefix(`/static`) && !Path(`/static/x`)",
        "Host(`h{0}.example.fr`) && PathPrefix(`/admin`) && (Method(`GET`) || Header(`X-A`, `1`))",
        "Host(`h{0}.example.fr`) && PathRegexp(`^/v[0-9]+/`)",
    )
    plain = [rules[at % 5].format(at // 5) for at in range(count - 4)]
    loose = ["HostRegexp(`^x[0-9]+\\.fr$`)", "PathPrefix(`/.well-known/`)", "ClientIP(`10.0.0.0/8`)", "PathPrefix(`/`)"]
    return [Router(f"r{at}@file", rule, (ENTRYPOINT,)) for at, rule in enumerate([*plain, *loose])]


def main() -> None:
    """Print the figures."""
    for count in (200, 400):
        started = time.perf_counter()
        muxer = Muxer("3.7.15", [EntryPoint(ENTRYPOINT)], routers(count))
        compiled = time.perf_counter() - started
        requests = [Request(f"h{at % 97}.example.fr", f"/api/{at % 31}/a?x=1") for at in range(20_000)]
        started = time.perf_counter()
        for request in requests:
            muxer.decide(request, ENTRYPOINT)
        rate = len(requests) / (time.perf_counter() - started)
        print(f"{count} routers: compiled in {compiled * 1e3:.0f} ms, {rate:,.0f} decisions/s")
    spent = {}
    for count in (250, 500, 1_000):
        muxer = Muxer("3.7.15", [EntryPoint(ENTRYPOINT)], routers(count))
        started = time.perf_counter()
        found = list(fates(muxer, ENTRYPOINT, tls=False))
        spent[count] = time.perf_counter() - started
        unknown = sum(fate.verdict == "unknown" for fate in found)
        print(f"{count} routers: shadowing in {spent[count]:.2f} s, {len(found)} rows, {unknown} unknown")
    print(f"shadowing of twice as many routers: {spent[1_000] / spent[500]:.1f} times as long")


if __name__ == "__main__":
    main()
