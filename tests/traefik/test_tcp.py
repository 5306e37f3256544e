"""TCP rules in both grammars, and the order of the TCP layer."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlib.traefik.building import Part, References
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.muxer import Decision, Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.shadowing import fates
from auditlib.traefik.statuses import State, states
from auditlib.traefik.steps import Step
from auditlib.traefik.versions import features

CASES = yaml.safe_load(Path(__file__).with_name("tcp_rules.yaml").read_text("utf-8"))
WORLD = [None, "a.fr", "A.fr", "x.a.fr", "y.x.a.fr", "b.fr"]
# Version, syntax, and the column that stands for it when it is absent.
COLUMNS = {
    "3.7": ("3.7.15", None, None),
    "3.0": ("3.0.4", None, "3.7"),
    "v2": ("3.7.15", "v2", None),
    "2.11": ("2.11.53", None, "v2"),
}


def _router(rule: str, *, tls: bool = True, name: str = "r@file", **given: Any) -> Router:
    return Router(name, rule, ("tcp",), tls, protocol="tcp", **given)


def _state(router: Router, version: str, fault: str | None = None) -> State:
    service = Part((Step("fault", fault),)) if fault else Part(())
    names = References({"s@file": service}, {}, {})
    return next(states([Linked(router, "s@file")], {"tcp": {"tcp"}}, {"tcp": names}, features(version)))


def _case(case: dict[str, Any]) -> str:
    return case["rule"] if case.get("tls", True) else f"{case['rule']} in clear"


def expected(case: dict[str, Any], column: str) -> tuple[list[str], list[str | None]]:
    """The errors of a router, and the names that it takes."""
    made = case[column] if column in case else case[COLUMNS[column][2]]
    prefix = "" if column == "2.11" else f"error while adding rule {case['rule']}: "
    errors = [error.replace("… ", prefix) for error in made.get("errors", ())]
    return errors, WORLD if made.get("takes") == "all" else made.get("takes", [])


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("case", CASES, ids=_case)
def test_a_rule_is_what_traefik_makes_of_it(case: dict[str, Any], column: str) -> None:
    version, syntax, _ = COLUMNS[column]
    errors, names = expected(case, column)
    router = _router(case["rule"], tls=case.get("tls", True), syntax=syntax)
    state = _state(router, version)
    assert (state.status, state.errors) == ("disabled" if errors else "enabled", tuple(errors))
    muxer = Muxer(version, [EntryPoint("tcp")], [router])
    assert [name for name in WORLD if muxer.decide(Request("", tls=True, sni=name), "tcp").winners] == names
    assert router.rank == case.get("rank", len(case["rule"].encode()))


@pytest.mark.parametrize(
    ("router", "fault", "errors"),
    [
        (_router("HostSNI(`a.fr`)", options="no@file"), None, ("unknown TLS options: no@file",)),
        # Traefik goes on after unknown TLS options, to a route that closes connections; not after a service.
        (
            _router("ALPN(`acme-tls/1`)", options="no@file"),
            None,
            (
                "unknown TLS options: no@file",
                "error while adding rule ALPN(`acme-tls/1`): invalid protocol value for ALPN matcher, "
                '"acme-tls/1" is not allowed',
            ),
        ),
        (_router("ALPN(`acme-tls/1`)"), "no such port", ("no such port",)),
        (
            _router("HostSNI(`*`)", priority=2**63 - 1000),
            None,
            ("the router priority 9223372036854774808 exceeds the max user-defined priority 9223372036854774807",),
        ),
    ],
    ids=["options", "options and rule", "service", "priority"],
)
def test_what_traefik_says_beside_rules(router: Router, fault: str | None, errors: tuple[str, ...]) -> None:
    assert _state(router, "3.7.15", fault).errors == errors


def test_a_rule_that_holds_a_secret_is_not_judged() -> None:
    link = Linked(_router("HostSNI(`a"), "s@file", whole=False)
    assert next(states([link], {"tcp": {"tcp"}}, {}, features("3.7.15"))).errors == ()


# The TCP layer


def _decide(routers: list[Router], one: Request, version: str = "3.7.15") -> Decision:
    return Muxer(version, [EntryPoint("tcp")], routers).decide(one, "tcp")


def test_the_protocols_that_a_client_offers_choose_a_router() -> None:
    routers = [_router("ALPN(`mqtt`)", name="mqtt@f"), _router("HostSNIRegexp(`.+`) && ALPN(`h2`)", name="h2@f")]
    assert _decide(routers, Request("", tls=True, sni="a.fr", alpn=("mqtt",))).winners == ("mqtt@f",)
    assert _decide(routers, Request("", tls=True, sni="a.fr")).winners == ("h2@f",)
    assert _decide(routers, Request("", tls=True)).winners == ()


def test_an_entry_point_without_tls_reads_nothing_of_a_tls_connection() -> None:
    routers = [_router("ALPN(`h2`) || HostSNIRegexp(`a`)", tls=False), _router("!ALPN(`h2`)", tls=False, name="not@f")]
    assert _decide(routers, Request("", tls=True, sni="a.fr")).winners == ("not@f",)


@pytest.mark.parametrize(("rule", "taker"), [("Host(`b.fr`)", ("all@f",)), ("PathPrefix(`/`)", ("https@f",))])
def test_https_without_a_host_comes_before_the_tcp_router_for_all(rule: str, taker: tuple[str, ...]) -> None:
    https = Router("https@f", rule, ("tcp",), tls=True)
    decision = _decide([_router("HostSNI(`*`)", name="all@f"), https], Request("a.fr", tls=True, sni="a.fr"))
    assert decision.winners == taker


def test_a_tcp_and_an_http_router_may_have_one_name() -> None:
    routers = [_router("HostSNI(`*`)", name="app@f", tls=False), Router("app@f", "Host(`a.fr`)", ("tcp",))]
    assert _decide(routers, Request("a.fr")) == Decision(None, ("app@f",), "tcp")
    (fate,) = fates(Muxer("3.7.15", [EntryPoint("tcp")], routers), "tcp", tls=False)
    assert (fate.verdict, fate.other) == ("never", routers[0])


def test_what_is_negated_names_a_host_until_3_7_13() -> None:
    """The TLS options of a router are those of the hosts that its rule names."""
    routers = [
        Router("not@f", "!Host(`a.fr`)", ("tcp",), tls=True, options="strict@f"),
        Router("b@f", "Host(`b.fr`)", ("tcp",), tls=True, priority=99),
    ]
    one = Request("b.fr", tls=True, sni="a.fr")
    assert _decide(routers, one, "3.7.12").status == 421
    assert _decide(routers, one, "3.7.13").winners == ("b@f",)


@pytest.mark.parametrize(
    ("precedence", "winners"),
    [
        ((), ("x@file", "y@docker")),
        (("docker", "file"), ("y@docker",)),
        (("file", "docker"), ("x@file",)),
        # One that is not listed comes after those that are; two that are not are tied.
        (("file",), ("x@file",)),
        (("http",), ("x@file", "y@docker")),
        (("file", "docker", "file"), ("y@docker",)),
    ],
)
def test_precedence_decides_between_tcp_routers_too(precedence: tuple[str, ...], winners: tuple[str, ...]) -> None:
    routers = [_router("HostSNI(`a.fr`)", name="x@file"), _router("HostSNI(`a.fr`)", name="y@docker")]
    muxer = Muxer("3.7.15", [EntryPoint("tcp")], routers, precedence)
    assert muxer.decide(Request("", tls=True, sni="a.fr"), "tcp").winners == winners
