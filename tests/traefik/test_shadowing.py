"""What each router wins and loses: the cases people meet, and random ones against requests tried by hand."""

import random
from typing import Any

import pytest

from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.shadowing import Fate, fates

NEWEST = "3.7.15"
LONG = "y" * 44


def _muxer(version: str, rules: dict[str, str | tuple[str, int]]) -> Muxer:
    given = {name: (rule, None) if isinstance(rule, str) else rule for name, rule in rules.items()}
    return Muxer(
        version,
        [EntryPoint("web")],
        [Router(name, rule, ("web",), priority=priority) for name, (rule, priority) in given.items()],
    )


def _fates(rules: dict[str, Any], version: str = NEWEST) -> list[Fate]:
    return list(fates(_muxer(version, rules), "web", tls=False))


def _told(rules: dict[str, Any], version: str = NEWEST) -> set[tuple[Any, ...]]:
    return {
        (fate.router.name, fate.verdict, fate.other and fate.other.name, fate.relation)
        for fate in _fates(rules, version)
    }


MANY = " || ".join(f"Host(`h{number}.fr`)" for number in range(30))
A, API = "Host(`a.fr`)", "Host(`a.fr`) && PathPrefix(`/api`)"


@pytest.mark.parametrize(
    "rules",
    [
        {"app@docker": A, "api@docker": API},
        {"all@file": ("PathPrefix(`/`)", 1), "api@docker": API, "app@docker": A},
        {"app@docker": A, "other@docker": "Host(`b.fr`)"},
        {"app@docker": A, "both@docker": "(Host(`a.fr`) || Host(`b.fr`)) && PathPrefix(`/api`)"},
        {"app@docker": A, "post@docker": "Host(`a.fr`) && Method(`POST`)"},
        {"app@docker": A, "beta@docker": "Host(`a.fr`) && Header(`X-Beta`, `1`)"},
        {"app@docker": A, "lan@docker": "Host(`a.fr`) && ClientIP(`10.0.0.0/8`)"},
        {"app@docker": A, "some@docker": "Host(`a.fr`) && Query(`a`, `1`) && !PathPrefix(`/x`)"},
        {"any@docker": ("HostRegexp(`.+`)", 1), "app@docker": A},
        {"web@docker": ("HostRegexp(`^[a-z]+\\.a\\.fr$`)", 1), "app@docker": "Host(`x.a.fr`)"},
        {"app@docker": A, "v@docker": "Host(`a.fr`) && PathRegexp(`^/v[0-9]+/`)"},
        {"app@docker": A, "not@docker": "Host(`a.fr`) && !(PathPrefix(`/x`) || PathPrefix(`/y`))"},
        {"wild@docker": ("Host(`*.a.fr`)", 1), "app@docker": "Host(`x.a.fr`)"},
        {
            "many@docker": MANY,
            "api@docker": f"({MANY}) && PathPrefix(`/api`)",
            "h1@docker": ("Host(`h1.fr`) && Path(`/z`)", 9999),
        },
    ],
    ids=" / ".join,
)
def test_the_more_specific_takes_its_part_and_nobody_is_blamed(rules: dict[str, Any]) -> None:
    assert _told(rules) == {(name, "wins", None, None) for name in rules}


@pytest.mark.parametrize(
    ("rules", "loser"),
    [
        # The longer text wins, whatever it says.
        (
            {"taker@f": f"HostRegexp(`^(x|{LONG})\\.localhost$`)", "r@f": "Host(`x.localhost`) && PathPrefix(`/api`)"},
            "r@f",
        ),
        ({"taker@f": A + " " * 60, "r@f": API}, "r@f"),
        ({"taker@f": f"{A} || Host(`{LONG}`)", "r@f": API}, "r@f"),
        ({"taker@f": "PathPrefix(`/`)", "r@f": (API, 1)}, "r@f"),
        ({"taker@f": "PathPrefix(`/`)", "r@f": A}, "r@f"),
        ({"taker@f": ("PathPrefix(`/x`) || Path(`/y`)", 99), "r@f": "PathRegexp(`^/x/(a|b)`)"}, "r@f"),
        ({"taker@f": ("PathRegexp(`^/x`)", 99), "r@f": "PathPrefix(`/x/y`)"}, "r@f"),
        ({"taker@f": ("HostRegexp(`.+`)", 100), "r@f": API}, "r@f"),
        ({"taker@f": ("PathPrefix(`/api`)", 100), "r@f": (API, 1)}, "r@f"),
        ({"taker@f": (A, 100), "r@f": ("Host(`a.fr`) && Method(`POST`) && !Query(`a`)", 1)}, "r@f"),
        ({"taker@f": ("ClientIP(`10.0.0.0/8`)", 100), "r@f": ("ClientIP(`10.1.0.0/16`)", 1)}, "r@f"),
    ],
)
def test_a_router_that_can_never_win(rules: dict[str, Any], loser: str) -> None:
    found = {fate.router.name: fate for fate in _fates(rules) if fate.verdict != "wins"}
    assert {*found} == {loser}
    assert found[loser].verdict == "never" or found[loser].relation in ("wider", "same")
    never = next(fate for fate in _fates(rules) if fate.verdict == "never")
    assert never.other and never.other.name == "taker@f" and not never.intended
    assert never.request and _muxer(NEWEST, rules).decide(never.request, "web").winners == ("taker@f",)


def test_two_together_can_take_everything() -> None:
    rules = {
        "r@f": (API, 1),
        "get@f": "Host(`a.fr`) && Method(`GET`)",
        "rest@f": "Host(`a.fr`) && !Method(`GET`)",
    }
    assert ("r@f", "never") in {(fate.router.name, fate.verdict) for fate in _fates(rules)}


def test_a_part_of_a_domain_is_lost_to_a_router_of_other_domains() -> None:
    rules = {"app@f": A, "flows@f": "PathPrefix(`/outpost.goauthentik.io/`)"}
    assert _told(rules) == {
        ("app@f", "wins", None, None),
        ("flows@f", "wins", None, None),
        ("app@f", "shadowed", "flows@f", "crossing"),
    }
    lost = next(fate for fate in _fates(rules) if fate.verdict == "shadowed")
    assert lost.request == Request("a.fr", "/outpost.goauthentik.io/")


def test_what_traefik_itself_takes_is_meant() -> None:
    rules = {"web-to-websecure@internal": ("HostRegexp(`^.+$`)", 2**63 - 2), "app@docker": A}
    found = {fate.router.name: fate for fate in _fates(rules)}
    assert found["app@docker"].verdict == "never" and found["app@docker"].intended
    assert found["app@docker"].relation == "internal"


def test_ties() -> None:
    rules = {"wild@f": "Host(`*.a.fr`)", "one@f": "Host(`x.a.fr`)", "z@f": "Host(`b.fr`)    "}
    assert _told(rules) == {
        ("wild@f", "wins", None, None),
        ("z@f", "wins", None, None),
        ("wild@f", "tie", "one@f", "narrower"),
        ("one@f", "tie", "wild@f", "wider"),
    }
    # Before 3.7 a star in Host is no wildcard: nobody asks for such a host.
    assert _told(rules, "3.6.6") == {
        ("wild@f", "never", None, None),
        ("one@f", "wins", None, None),
        ("z@f", "wins", None, None),
    }


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`a.fr:8080`)",
        "Host(`a.fr`) && Host(`b.fr`)",
        "PathPrefix(`/a`) && !PathPrefix(`/a`)",
        "Header(`X`, `1`) && !Header(`X`, `1`)",
    ],
)
def test_a_rule_that_no_request_satisfies(rule: str) -> None:
    assert _told({"r@f": rule}) == {("r@f", "never", None, None)}


def test_what_cannot_be_decided_is_said_to_be_unknown() -> None:
    assert _told({"r@f": "PathRegexp(`^/(?:a{900}b){1,1}c\\z`) && PathRegexp(`\\.x$`)"}) == {
        ("r@f", "unknown", None, None)
    }


# Random rules, against every request of a small world

_HOSTS = ["a.fr", "b.fr", "x.a.fr", "z.fr"]
_PATHS = ["/", "/api", "/api/v1", "/apifoo", "/x", "/x/api"]
_LEAVES = ["Host(`a.fr`)", "Host(`b.fr`)", "Host(`*.a.fr`)", "HostRegexp(`^[ab]\\.fr$`)", "PathPrefix(`/api`)"]
_LEAVES += [
    "PathPrefix(`/`)",
    "Path(`/x`)",
    "PathRegexp(`^/x`)",
    "Method(`POST`)",
    "Header(`X-A`, `1`)",
    "Query(`q`, `1`)",
]
_LEAVES += ["ClientIP(`10.0.0.0/8`)", "PathPrefix(`/api/v1`)", "Host(`x.a.fr`)"]
WORLD = [
    Request(host, path + query, method, headers, client)
    for host in _HOSTS
    for path in _PATHS
    for query in ("", "?q=1")
    for method in ("GET", "POST")
    for headers in ((), (("X-A", "1"),))
    for client in ("127.0.0.1", "10.1.1.1")
]


def _rule(chance: random.Random) -> str:
    count = chance.choice([1, 2, 2, 3])
    leaves = ["!" * (chance.random() < 0.25) + chance.choice(_LEAVES) for _ in range(count)]
    return chance.choice([" && ", " && ", " || "]).join(leaves)


def test_every_verdict_agrees_with_requests_that_were_tried() -> None:
    chance = random.Random(20261125)
    verdicts: dict[str, int] = {}
    for _ in range(60):
        rules: dict[str, Any] = {f"r{at}@f": _rule(chance) for at in range(5)}
        muxer = _muxer(NEWEST, rules)
        won = {name for one in WORLD for name in [muxer.decide(one, "web").winners] if len(name) == 1}
        sole = {name for (name,) in won}
        found = list(fates(muxer, "web", tls=False))
        for fate in found:
            verdicts[fate.verdict] = verdicts.get(fate.verdict, 0) + 1
            name, other = fate.router.name, fate.other and fate.other.name
            winners = muxer.decide(fate.request, "web").winners if fate.request else ()
            if fate.verdict == "wins":
                assert winners == (name,)
            elif fate.verdict == "never":
                assert name not in sole
                assert other is None or winners != (name,)
            elif fate.verdict == "shadowed":
                assert winners == (other,)
                assert fate.request and muxer.candidates(fate.request, "web")
                assert {name, other} <= {one.router for one in muxer.candidates(fate.request, "web") if one.matches}
            elif fate.verdict == "tie":
                assert {name, other} <= {*winners}
        # A router that wins something here is not said to win nothing; the unknown are few.
        said = {fate.router.name for fate in found if fate.verdict in ("wins", "unknown")}
        assert sole <= said
    assert verdicts["unknown"] <= 5 and min(verdicts[one] for one in ("wins", "never", "shadowed", "tie")) >= 5
