"""The muxer's own corners: scopes, ties, parents, the TCP layer, TLS options, versions, tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.traefik.matchers import compiled, form, reading
from auditlib.traefik.muxer import Decision, Muxer
from auditlib.traefik.requests import Handling, Request, Seen, request, seen
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.rules import And, Matcher, Node, Not, Or, parse, printed
from auditlib.traefik.versions import features, number

NEWEST = "3.7.15"
WEB = [EntryPoint("web"), EntryPoint("websecure")]


def _router(name: str, rule: str, *, on: str = "web", **given: Any) -> Router:
    return Router(name, rule, tuple(on.split()), **given)


def _decide(routers: list[Router], one: Request, on: str = "web", version: str = NEWEST, **given: Any) -> Decision:
    return Muxer(version, WEB, routers, **given).decide(one, on)


A = "Host(`a.fr`)"


def test_priorities_are_exact_integers() -> None:
    low, high = 2**62, 2**62 + 1
    routers = [_router("low@f", A, priority=low), _router("high@f", A, priority=high)]
    assert float(low) == float(high)
    assert _decide(routers, Request("a.fr")) == Decision(None, ("high@f",))


def test_a_rule_is_as_long_as_its_bytes() -> None:
    routers = [
        _router("accents@f", "PathPrefix(`/éé`) || Path(`/`)"),
        _router("ascii@f", "PathPrefix(`/xxxx`) || Path(`/`)"),
    ]
    assert {one.rank for one in routers} == {32}
    assert _decide(routers, Request("a.fr")).winners == ("accents@f", "ascii@f")


def test_ties_are_one_of_until_a_precedence_decides() -> None:
    routers = [_router("x@file", A), _router("y@docker", A), _router("z@docker", "Host(`b.fr`)")]
    assert _decide(routers, Request("a.fr")) == Decision(None, ("x@file", "y@docker"))
    assert _decide(routers, Request("a.fr"), precedence=("docker", "file")).winners == ("y@docker",)
    assert _decide(routers, Request("a.fr"), precedence=("file",)).winners == ("x@file",)


@pytest.mark.parametrize(
    ("one", "on", "expected"),
    [
        (Request("a.fr"), "web", Decision(None, ("clear@f",))),
        (Request("a.fr", tls=True, sni="a.fr"), "web", Decision(404)),
        (Request("a.fr"), "websecure", Decision(404)),
        (Request("a.fr", tls=True, sni="z.fr"), "websecure", Decision(None, ("tls@f",))),
        (Request("b.fr", tls=True), "websecure", Decision(404)),
        (Request("a.fr"), "nowhere", Decision(404)),
    ],
)
def test_entry_points_and_tls_part_the_routers(one: Request, on: str, expected: Decision) -> None:
    assert _decide([_router("clear@f", A), _router("tls@f", A, on="websecure", tls=True)], one, on) == expected


def test_a_broken_rule_leaves_its_place_to_a_lesser_one() -> None:
    muxer = Muxer(NEWEST, WEB, [_router("broken@f", "Host(`a.fr`) && HostRegexp(`(`)"), _router("app@f", A)])
    assert muxer.decide(Request("a.fr"), "web").winners == ("app@f",)
    assert muxer.broken == {"broken@f": "expression régulière mal formée « ( »"}
    unbuilt = [_router("off@f", f"{A} && PathPrefix(`/`)", serves=False), _router("app@f", A)]
    assert _decide(unbuilt, Request("a.fr")).winners == ("app@f",)


def test_parents_decide_for_their_children() -> None:
    routers = [
        _router("parent@f", "Host(`a.fr`) && PathPrefix(`/`)"),
        Router("api@f", "PathPrefix(`/api`)", parents=("parent@f",)),
        Router("get@f", "PathPrefix(`/api`) && Method(`GET`)", parents=("parent@f",)),
        _router("app@f", A),
    ]
    assert _decide(routers, Request("a.fr", "/api")).winners == ("get@f",)
    assert _decide(routers, Request("a.fr", "/api", "POST")).winners == ("api@f",)
    # No way back to the other roots.
    assert _decide(routers, Request("a.fr", "/x")) == Decision(404)


def test_a_loop_between_parents_ends() -> None:
    routers = [
        _router("root@f", A),
        Router("one@f", "PathPrefix(`/`)", parents=("root@f", "two@f")),
        Router("two@f", "PathPrefix(`/`)", parents=("one@f",)),
    ]
    assert _decide(routers, Request("a.fr")).winners == ()


def test_a_tcp_router_for_everything_captures_clear_http_only() -> None:
    routers = [
        Router("tcp@f", "HostSNI(`*`)", ("web", "websecure"), protocol="tcp"),
        _router("app@f", A),
        _router("tls@f", A, on="websecure", tls=True),
    ]
    assert _decide(routers, Request("a.fr")) == Decision(None, ("tcp@f",), "tcp")
    assert _decide(routers, Request("a.fr", tls=True, sni="a.fr"), "websecure").winners == ("tls@f",)
    # Without any TLS router on the entry point, TLS connections are its own too.
    assert _decide(routers, Request("a.fr", tls=True, sni="a.fr"), "web").layer == "tcp"


def test_a_server_name_goes_to_https_before_tcp() -> None:
    routers = [
        Router("named@f", "HostSNI(`db.fr`)", ("web",), tls=True, protocol="tcp"),
        Router("any@f", "HostSNI(`*`)", ("web",), tls=True, protocol="tcp"),
        Router("wrong@f", "HostSNI(`db.fr`)", ("web",), protocol="tcp"),
        _router("app@f", A, tls=True),
    ]
    assert _decide(routers, Request("a.fr", tls=True, sni="a.fr")).winners == ("app@f",)
    assert _decide(routers, Request("a.fr", tls=True, sni="db.fr")) == Decision(None, ("named@f",), "tcp")
    assert _decide(routers, Request("db.fr")) == Decision(404)


@pytest.mark.parametrize(("version", "status"), [("3.5.3", 421), (NEWEST, 421)], ids=["by the host", "by the router"])
def test_other_tls_options_than_the_connection_are_refused(version: str, status: int) -> None:
    routers = [_router("a@f", A, tls=True, options="strict@f"), _router("b@f", "Host(`b.fr`)", tls=True)]
    asked = [("a.fr", "a.fr"), ("b.fr", "b.fr"), ("b.fr", "z.fr"), ("b.fr", "a.fr"), ("a.fr", "b.fr")]
    answers = [_decide(routers, Request(host, tls=True, sni=sni), version=version).status for host, sni in asked]
    assert answers == [None, None, None, status, status]


def test_routers_that_disagree_about_a_host_lose_their_options() -> None:
    """Since options are compared by router, on all of its hosts; before, on that host alone."""
    routers = [
        _router("two@f", "Host(`a.fr`) || Host(`b.fr`)", tls=True, options="strict@f"),
        _router("one@f", "Host(`b.fr`) && PathPrefix(`/one`)", tls=True),
        _router("z@f", "Host(`z.fr`)", tls=True),
    ]
    one = Request("z.fr", tls=True, sni="a.fr")
    assert _decide(routers, one, version="3.5.3").status == 421
    assert _decide(routers, one, version=NEWEST).winners == ("z@f",)


def test_version_2_says_405_when_only_the_method_is_wrong() -> None:
    routers = [_router("a@f", "Host(`a.fr`) && Method(`POST`)"), _router("b@f", "Host(`b.fr`)")]
    assert _decide(routers, Request("a.fr"), version="2.11.53") == Decision(405)
    assert _decide(routers, Request("c.fr"), version="2.11.53") == Decision(404)
    assert _decide(routers, Request("a.fr"), version=NEWEST) == Decision(404)


def test_candidates_come_in_the_order_of_traefik() -> None:
    muxer = Muxer(NEWEST, WEB, [_router("b@f", A), _router("long@f", f"{A} && Path(`/x`)"), _router("a@f", A)])
    found = muxer.candidates(Request("a.fr"), "web")
    assert [(one.router, one.priority, one.matches) for one in found] == [
        ("long@f", 26, False),
        ("a@f", 12, True),
        ("b@f", 12, True),
    ]
    assert muxer.candidates(Request("a.fr", "/%zz"), "web") == []


# Requests


def _path(target: str, version: str = NEWEST, **handling: Any) -> str | int:
    found = seen(Request("a.fr", target), features(version), Handling(**handling))
    return found if isinstance(found, int) else 400 if found.refused else found.path


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        # 3.0.4, 3.3.6, 3.4.1, 3.6.4, 3.6.6
        ("//api", ("//api", "/api", "/api", "/api", "/api")),
        ("/x/../api/", ("/x/../api/", "/api/", "/api/", "/api/", "/api/")),
        ("/x/%2e%2e/api", ("/x/../api", "/x/../api", "/api", "/api", "/api")),
        ("/a%2fb", ("/a/b", "/a/b", "/a%2Fb", 400, 400)),
        ("/%C3%A9%20", ("/é ",) * 5),
        ("/é", ("/é",) * 5),
        ("/%FF", ("/\udcff",) * 5),
        ("/a;b", ("/a;b",) * 5),
        ("/a%3Ab", ("/a:b", "/a:b", "/a%3Ab", "/a%3Ab", "/a%3Ab")),
        ("/a#b", (400,) * 5),
        ("/%zz", (400,) * 5),
        ("/a b", (400,) * 5),
        ("nothing", (400,) * 5),
    ],
)
def test_paths_as_each_version_sees_them(target: str, paths: tuple[str | int, ...]) -> None:
    assert tuple(_path(target, version) for version in ("3.0.4", "3.3.6", "3.4.1", "3.6.4", "3.6.6")) == paths


def test_entry_points_have_their_own_ways() -> None:
    assert _path("//api", sanitizes=False) == "//api"
    assert _path("/a%2Fb", refused=frozenset({"%2F"})) == 400
    assert _path("/a%2Fb", "3.6.4", refused=frozenset()) == "/a%2Fb"
    muxer = Muxer(NEWEST, [EntryPoint("web", Handling(encodes_semicolons=True))], [_router("r@f", "Query(`a`, `1;b`)")])
    assert muxer.decide(Request("a.fr", "/?a=1;b"), "web").winners == ("r@f",)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.fr", Request("a.fr", "/", tls=True, sni="a.fr")),
        ("http://A.fr:80/x?y=1#z", Request("a.fr", "/x?y=1")),
        ("http://a.fr:8080/é b", Request("a.fr:8080", "/%C3%A9%20b")),
        ("https://[::1]:8443/", Request("[::1]:8443", "/", tls=True)),
        ("http://café.fr/%2F", Request("xn--caf-dma.fr", "/%2F")),
    ],
)
def test_what_a_browser_sends_for_an_address(url: str, sent: Request) -> None:
    assert request(url) == sent


@pytest.mark.parametrize("url", ["ftp://a.fr/", "a.fr/x", "http://", "", "http://a.fr:port/"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        request(url)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v3.7.0-rc.1", (3, 7, 0)), ("3.6", (3, 6, 0)), ("2.11.53", (2, 11, 53)), ("dev", (99, 0, 0)), (None, (99, 0, 0))],
)
def test_versions(version: str | None, expected: tuple[int, ...]) -> None:
    assert number(version) == expected


@given(
    st.text() | st.from_regex(r"[/.%a0-9?#;&=é]{0,12}", fullmatch=True),
    st.text(max_size=8) | st.none(),
    st.sampled_from(["2.11.53", "3.0.4", "3.6.4", NEWEST]),
)
def test_any_request_is_seen_or_refused(target: str, host: str | None, version: str) -> None:
    found = seen(Request(host, target), features(version))
    assert found in (200, 400) or isinstance(found, Seen)


# De Morgan

_LEAVES = st.sampled_from(
    [
        Matcher("Host", ("a.fr",)),
        Matcher("PathPrefix", ("/x",)),
        Matcher("Method", ("GET",)),
        Matcher("Query", ("q", "1")),
        Matcher("HostRegexp", ("^[ab]",)),
    ]
)
_TREES = st.recursive(
    _LEAVES, lambda node: st.builds(Not, node) | st.builds(And, node, node) | st.builds(Or, node, node), max_leaves=10
)
_WORLD = [
    Seen(host, path=path, method=method, raw_query=query)
    for host in ("a.fr", "b.fr", "c.fr")
    for path in ("/", "/x/y")
    for method in ("GET", "POST")
    for query in ("", "q=1")
]


def _holds(node: Node, one: Seen) -> bool:
    match node:
        case Matcher():
            return reading("v3", features(NEWEST))(node)(one)
        case Not(operand):
            return not _holds(operand, one)
        case And(left, right):
            return _holds(left, one) and _holds(right, one)
        case Or(left, right):
            return _holds(left, one) or _holds(right, one)


@given(_TREES)
def test_negations_at_the_leaves_say_the_same(tree: Node) -> None:
    test = compiled(form(tree), reading("v3", features(NEWEST)))
    opposite = compiled(form(Not(tree)), reading("v3", features(NEWEST)))
    printed_test = compiled(form(parse(printed(tree))), reading("v3", features(NEWEST)))
    for one in _WORLD:
        assert test(one) == _holds(tree, one) == printed_test(one) != opposite(one)


def test_a_rule_of_thousands_of_hosts_is_decided() -> None:
    rule = " || ".join(f"Host(`h{number}.fr`)" for number in range(5000))
    for version in ("2.11.53", NEWEST):
        muxer = Muxer(version, WEB, [_router("many@f", rule), _router("not@f", f"!({rule})")])
        assert muxer.decide(Request("h4999.fr"), "web").winners == ("many@f",)
        assert muxer.decide(Request("other.fr"), "web").winners == ("not@f",)
