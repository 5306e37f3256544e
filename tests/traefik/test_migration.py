"""Old rules in the new syntax: they must take the same requests, as the muxer of real programs takes them."""

import pytest

from auditlib.traefik.migration import outdated
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import request
from auditlib.traefik.routers import EntryPoint, Router
from tests.traefik.test_vectors import CASES

RUNNING = "3.6.15"
OLD = [
    "Host(`a.fr`, `b.fr`) && PathPrefix(`/api`, `/v1`)",
    "HostRegexp(`{sub:[a-z]+}.a.fr`)",
    "HostRegexp(`a.fr`, `{any}.b.fr`)",
    "Path(`/p/{id}`)",
    "PathPrefix(`/p/{id:[0-9]{2}}/x`)",
    "HostHeader(`a.fr`) && Headers(`X-A`, `1`)",
    "HeadersRegexp(`X-A`, `^[0-9]+$`)",
    "Query(`q=1`)",
    "Query(`q=`)",
    "!Host(`a.fr`, `b.fr`)",
    "Method(`GET`, `POST`)",
    "ClientIP(`10.0.0.0/8`, `127.0.0.1`)",
]
URLS = [
    f"http://{host}{target}"
    for host in ("a.fr", "b.fr", "x.a.fr", "x1.a.fr", "x.b.fr", "c.fr")
    for target in ("/", "/api/x", "/v1", "/p/7", "/p/7/x", "/p/12/x", "/p/123/x", "/?q=1", "/?q=2", "/?q")
]
ASKED = [
    request(url, method, headers, "172.16.0.1" if method == "PUT" else "127.0.0.1")
    for url in URLS
    for method, headers in (("GET", ()), ("POST", (("X-A", "1"),)), ("PUT", (("X-A", "b"),)))
]


def taken(rule: str, syntax: str | None) -> list[bool]:
    routers = [Router("r@file", rule, ("web",), syntax=syntax)]
    muxer = Muxer(RUNNING, [EntryPoint("web")], routers)
    return [bool(muxer.decide(one, "web").winners) for one in ASKED]


@pytest.mark.parametrize("rule", OLD)
def test_the_proposed_rule_takes_the_same_requests(rule: str) -> None:
    found = outdated(rule, "v2", RUNNING)
    assert found is not None
    assert found.proposal is not None
    before = taken(rule, "v2")
    assert taken(found.proposal, None) == before
    assert any(before)
    assert not all(before)


def test_what_is_taken_to_the_letter_answered_recorded_requests_to_the_letter_only() -> None:
    judged = 0
    for case in CASES:
        for name, router in case["routers"].items():
            for version in ("3.3.6", "3.6.15", "3.7.15"):
                found = outdated(router.get("rule", ""), router.get("ruleSyntax"), version)
                if found is not None and "à la lettre" in found.why:
                    judged += 1
                    won = [one["label"] for one in case["requests"] if one["winner"].get(version) == name]
                    assert all("%7B" in label or "{" in label for label in won), (case["name"], name, version)
    assert judged >= 6


def test_a_rule_that_is_merely_broken_is_left_alone() -> None:
    assert outdated("Host(`a.fr`", None, RUNNING) is None
    assert outdated("Hosts(`a.fr`)", None, RUNNING) is None
    assert outdated("HostRegexp(`{a`)", "v2", RUNNING) is not None
