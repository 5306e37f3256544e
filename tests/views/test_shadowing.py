"""What the routers of a snapshot win and lose, and who answers by its tables."""

from typing import Any

import pytest

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
from auditlib.traefik.requests import request
from auditlib.views.known import Known
from auditlib.views.shadowing import Shadowing
from tests.conftest import snapshot_of

NEWEST = "3.7.15"


@pytest.mark.parametrize(
    ("rule", "version", "url"),
    [
        ("Host(`a.fr`) && PathPrefix(`/foo bar`)", NEWEST, "http://a.fr/foo%20bar"),
        ("Host(`a.fr`) && PathPrefix(`/a%2Fb`)", NEWEST, "http://a.fr/a%2Fb"),
        ("Host(`a.fr`) && PathPrefix(`/a%2Fb`)", "3.0.4", "http://a.fr/a%252Fb"),
        ("Host(`::1`)", NEWEST, "http://[::1]/"),
        ("Host(`a.fr`) && PathPrefix(`/é`) && Query(`é`, `a b`)", NEWEST, "http://a.fr/%C3%A9?%C3%A9=a%20b"),
        ("HostRegexp(`^[a-c]{2}\\.fr$`) && Path(`/x`)", NEWEST, "http://aa.fr/x"),
    ],
)
def test_witnesses_are_written_as_they_are_sent(rule: str, version: str, url: str) -> None:
    (row,) = _shadowing(version, [{"router": "r@f", "rule": rule}])
    assert (row.verdict, row.url) == ("wins", url)


def _shadowing(version: str, routers: list[dict[str, Any]]) -> Rows[Shadowing]:
    common = {"protocol": "http", "status": "enabled", "tls": False, "entrypoints": ["web"], "errors": []}
    return snapshot_of(
        traefik=[{"url": "http://t", "version": version}],
        traefik_entrypoints=[{"entrypoint": "web", "address": ":80", "protocol": "tcp", "port": 80, "default": True}],
        traefik_routers=[{**common, **router} for router in routers],
    ).rows(Shadowing)


def test_the_view_names_the_router_the_other_and_the_request() -> None:
    app = {"router": "r@f", "rule": "Host(`a.fr`) && PathPrefix(`/api`)", "priority": 1}
    winner, loser = _shadowing(NEWEST, [app, {"router": "all@f", "rule": "PathPrefix(`/`)"}])
    asked = {"entrypoint": "web", "method": "GET", "headers": (), "client": "127.0.0.1"}
    assert winner == Shadowing(
        router="all@f", verdict="wins", intended=True, priority=15, url="http://exemple.invalid/", **asked
    )
    assert loser == Shadowing(
        router="r@f", verdict="never", other="all@f", relation="wider", intended=False, priority=1,
        other_priority=15, url="http://a.fr/api", **asked,
    )  # fmt: skip


def test_a_tcp_router_that_takes_everything_leaves_nothing() -> None:
    tcp = {"router": "t@f", "protocol": "tcp", "rule": "HostSNI(`*`)", "priority": -1}
    (row,) = _shadowing(NEWEST, [tcp, {"router": "r@f", "rule": "Host(`a.fr`)"}])
    assert (row.router, row.verdict, row.other, row.other_priority) == ("r@f", "never", "t@f", -1)


def test_a_disabled_router_loses_nothing_and_takes_nothing() -> None:
    twin = {"router": "off@f", "rule": "Host(`a.fr`)", "status": "disabled", "errors": ["no valid entryPoint"]}
    (row,) = _shadowing(NEWEST, [twin, {"router": "r@f", "rule": "Host(`a.fr`)"}])
    assert (row.router, row.verdict) == ("r@f", "wins")


def test_the_reference_server_has_no_shadow(faulty: Snapshot, healthy: Snapshot) -> None:
    for facts in (faulty, healthy):
        rows = facts.rows(Shadowing)
        assert {row.verdict for row in rows} == {"wins"}
        assert len(rows) >= 10


def test_the_muxer_of_the_reference_server(faulty: Snapshot) -> None:
    muxer = Known(faulty).muxer
    assert muxer is not None
    assert muxer.broken == {}
    answers = {
        (url, on): muxer.decide(request(url), on).winners
        for url, on in [
            ("https://ai.4lb.ca/api/x", "websecure"),
            ("https://files.4lb.ca/api/x", "websecure"),
            ("http://ai.4lb.ca/", "web"),
            ("http://ai.4lb.ca/.well-known/acme-challenge/x", "web"),
            ("https://unknown.4lb.ca/", "websecure"),
        ]
    }
    assert [*answers.values()] == [
        ("ai-api@file",),
        ("media-api@docker",),
        ("web-to-websecure@internal",),
        ("acme-http@internal",),
        (),
    ]
