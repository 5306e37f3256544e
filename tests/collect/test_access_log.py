"""The access log: its three forms, its figures, and who answered a probe."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.access_log import MAX_HOSTS, Request, requests, router_of, statistics
from auditlib.facts.tables import TABLES
from tests.conftest import PAYLOADS

RECORDED = PAYLOADS / "traefik_log"
AT = dt.datetime(2026, 11, 23, 6, 50, 7, tzinfo=dt.UTC)


def recorded(name: str) -> list[Request]:
    found = list(requests((RECORDED / name).read_text("utf-8")))
    assert None not in found
    return [request for request in found if request]


def stats_of(asked: list[Request]) -> dict[tuple[str | None, str | None], dict[str, Any]]:
    routed, unrouted = statistics(asked)
    TABLES["access_stats"].rows(routed)
    TABLES["access_unrouted"].rows(unrouted)
    return {(row.router, row.service): row for row in routed}


def line(**changes: Any) -> str:
    said = {
        "DownstreamStatus": 200,
        "DownstreamContentSize": 5,
        "Duration": 2_000_000,
        "RequestMethod": "GET",
        "RequestHost": "a.fr",
        "RequestPath": "/x",
        "RouterName": "a@file",
        "ServiceName": "s@file",
        "ServiceURL": "http://10.0.0.1:80",
        "StartUTC": "2026-11-23T06:50:07Z",
    }
    return json.dumps({key: value for key, value in (said | changes).items() if value is not None})


def asked(*lines: str) -> list[Request]:
    return [request for request in requests("\n".join(lines)) if request]


@pytest.mark.parametrize("version", ["3.3.6", "3.7.15"])
def test_both_forms_say_the_same_of_real_requests(version: str) -> None:
    def told(form: str) -> list[tuple[Any, ...]]:
        found = recorded(f"access-{version}-{form}.log")
        return [(one.method, one.path, one.status, one.size, one.router, one.server) for one in found]

    assert told("common") == told("json")
    assert {request.form for request in recorded(f"access-{version}-json.log")} == {"json"}


@pytest.mark.parametrize("form", ["common", "json"])
def test_who_made_the_errors_of_real_requests(form: str) -> None:
    stats = {router: row for (router, _), row in stats_of(recorded(f"access-3.7.15-{form}.log")).items()}
    told = {
        router: (row.status_5xx, row.traefik_5xx, row.application_5xx, row.refused) for router, row in stats.items()
    }
    assert told["down@file"] == (1, 1, 0, 0)  # refused connection: 502
    assert told["empty@file"] == (1, 1, 0, 0)  # no server: 503
    assert told["auth@file"] == (0, 0, 0, 1)  # a middleware's 401
    assert told["ok@file"] == (0, 0, 0, 0)


def test_the_applications_own_errors() -> None:
    stats = stats_of(asked(line(DownstreamStatus=502, DownstreamContentSize=512), line(DownstreamStatus=500), line()))
    (row,) = stats.values()
    assert (row.requests, row.status_5xx, row.traefik_5xx, row.application_5xx) == (3, 2, 0, 2)


def test_the_output_shared_with_the_log() -> None:
    found = recorded("provoked-3.6.6-ansi.log")
    assert [(request.status, request.router, request.path, request.probe) for request in found] == [
        (500, "up@file", "/x", True),
        (502, "down@file", "/x", False),
        (502, "down@file", "/x", False),
    ]


def test_generic_clf_does_not_name_routers() -> None:
    # Documented form: versions 3.5 and later.
    clf = '10.0.0.1 - bob [23/Nov/2026:07:50:07 +0100] "GET /a?token=x HTTP/2.0" 502 11 "-" "auditlib/0.1.0"'
    (request,) = asked(clf)
    assert (request.time, request.path, request.status, request.router) == (AT, "/a", 502, None)
    assert (request.form, request.probe, request.made_by_traefik) == ("genericCLF", True, True)
    (row,) = stats_of([request]).values()
    assert (row.router, row.p50_ms, row.traefik_5xx) == (None, None, 1)


def test_percentiles_are_measured_values() -> None:
    lines = [line(Duration=ms * 1_000_000) for ms in range(1, 101)]
    (row,) = stats_of(asked(*lines)).values()
    assert (row.p50_ms, row.p95_ms, row.max_ms) == (50, 95, 100)
    # The time that a WebSocket stays open is no latency.
    (row,) = stats_of(asked(line(DownstreamStatus=101, Duration=3_600_000_000_000))).values()
    assert (row.requests, row.status_1xx, row.max_ms) == (1, 1, None)


def test_names_that_nobody_serves_are_bounded() -> None:
    lines = [
        line(RouterName=None, ServiceName=None, ServiceURL=None, RequestHost=f"h{i}.fr") for i in range(MAX_HOSTS * 130)
    ]
    lines += [line(RouterName=None, RequestHost="Souvent.fr:443", ServiceURL=None)] * 3
    lines += [line(RouterName=None, RequestHost="<script>alert(1)</script>\n\x1b[2J", ServiceURL=None)] * 2
    _, unrouted = statistics(asked(*lines))
    assert len(unrouted) == MAX_HOSTS
    assert [(row.host, row.requests) for row in unrouted[:2]] == [("souvent.fr", 3), ("nom mal formé", 2)]


def test_nothing_of_a_path_or_a_secret_is_kept() -> None:
    lines = [
        line(RequestPath="/a?token=CANARI", RouterName="token=CANARI@file", RequestReferer="CANARI"),
        line(RequestPath="/CANARI", RouterName=None),
        '1.1.1.1 - CANARI [23/Nov/2026:06:50:07 +0000] "GET /CANARI?CANARI HTTP/1.1" 200 1 "-" "CANARI" 1 "-" "-" 0ms',
    ]
    assert "CANARI" not in repr(statistics(asked(*lines)))


def test_two_names_that_differ_by_a_secret_only() -> None:
    stats = stats_of(asked(line(RouterName="token=a1"), line(RouterName="token=b2")))
    assert [row.requests for row in stats.values()] == [2]


# Probes


def test_the_router_of_a_probe() -> None:
    found = asked(
        line(), line(RequestPath="/api/v1?x=1", RouterName="api@file"), line(RequestHost="b.fr", RouterName="b@file")
    )
    assert router_of(found, "A.fr:443", "/x?y=1", AT) == "a@file"
    assert router_of(found, "a.fr", "/api/v1", AT) == "api@file"
    assert router_of(found, "b.fr", "/x", AT + dt.timedelta(seconds=1)) == "b@file"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "nothing was logged"),
        ([line(StartUTC="2026-11-23T06:55:07Z")], "another time"),
        ([line(RequestPath="/y")], "another path"),
        ([line(RequestMethod="POST")], "another method"),
        ([line(), line(RouterName="b@file")], "two routers"),
        ([line(RouterName=None)], "no router took it"),
        ([line(**{"request_User-Agent": "curl/8"})], "another visitor's"),
        (
            ['1.1.1.1 - - [23/Nov/2026:06:50:07 +0000] "GET /x HTTP/1.1" 200 1 "-" "-" 1 "a@file" "http://x" 0ms'],
            "the form names no host",
        ),
    ],
)
def test_what_cannot_be_told_of_a_probe(lines: list[str], why: str) -> None:
    assert router_of(asked(*lines), "a.fr", "/x", AT) is None, why


def test_the_audits_own_agent_decides() -> None:
    found = asked(line(RouterName="b@file"), line(**{"request_User-Agent": "auditlib/0.1.0"}))
    assert router_of(found, "a.fr", "/x", AT) == "a@file"


# Anything at all

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
)
KEYS = (
    "DownstreamStatus",
    "Duration",
    "RequestMethod",
    "RequestHost",
    "RequestPath",
    "RouterName",
    "ServiceName",
    "StartUTC",
)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)), max_size=8))
def test_any_json_makes_rows(said: list[dict[str, Any]]) -> None:
    lines = [json.dumps({"DownstreamStatus": 200, **one}) for one in said]
    stats_of(asked(*lines))


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_makes_rows(before: str, after: str) -> None:
    head = '1.1.1.1 - - [23/Nov/2026:06:50:07 +0000] "GET / HTTP/1.1" 200 1'
    stats_of(asked(before, f"{before}{head}{after}", f"{head}{after}", f'{head} "-" "{after}" 1 "{before}" "" 3ms'))
