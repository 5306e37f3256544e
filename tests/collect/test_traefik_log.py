"""Traefik's log: the forms of its entries, and the kinds of what they say."""

import datetime as dt
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditlib.collect import traefik_log
from auditlib.collect.traefik_events import MAX_EVENTS, MAX_TEXT, events
from auditlib.collect.traefik_log import MAX_ENTRY, Entry, entries
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.logs import KINDS
from tests.conftest import PAYLOADS

RECORDED = PAYLOADS / "traefik_log"
VERSIONS = ("3.0.4", "3.5.3", "3.7.15")  # those that were shown the containers of docker_matrix.json
IDENTIFIER = "7430346261646e65740000000000000000000000000000000000000000000000"
AT = dt.datetime(2026, 11, 23, 6, 50, 10, tzinfo=dt.UTC)


def recorded(name: str) -> str:
    return (RECORDED / name).read_text("utf-8")


def one(text: str) -> Entry:
    (entry,) = entries(text)
    return entry


def rows_of(text: str, names: dict[str, str] | None = None) -> list[dict[str, Any]]:
    rows, left_out = events(entries(text), names or {})
    assert left_out == 0
    TABLES["log_events"].rows(rows)
    return rows


def said(text: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(row, column) for column in columns) for row in rows_of(text)]


# Forms


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T06:50:10Z ERR Router uses a nonexistent certificate resolver certificateResolver=nope "
        "routerName=res@file",
        "2026-11-23T07:50:10+01:00 ERR Router uses a nonexistent certificate resolver certificateResolver=nope "
        "routerName=res@file",
        "\x1b[90m2026-11-23T06:50:10Z\x1b[0m \x1b[31mERR\x1b[0m "
        "\x1b[1mRouter uses a nonexistent certificate resolver\x1b[0m "
        "\x1b[36mcertificateResolver=\x1b[0mnope \x1b[36mrouterName=\x1b[0mres@file",
        "2026-11-23T06:50:10Z ERR github.com/traefik/traefik/v3/pkg/x.go:12 > Router uses a nonexistent "
        "certificate resolver certificateResolver=nope routerName=res@file",
        '{"level":"error","certificateResolver":"nope","routerName":"res@file","time":"2026-11-23T06:50:10.000000001Z",'
        '"message":"Router uses a nonexistent certificate resolver"}',
        # Version 2: its documented forms, no binary of it ran here.
        '{"level":"error","certificateResolver":"nope","routerName":"res@file","time":"2026-11-23T06:50:10Z",'
        '"msg":"Router uses a nonexistent certificate resolver"}',
        'time="2026-11-23T06:50:10Z" level=error msg="Router uses a nonexistent certificate resolver" '
        "certificateResolver=nope routerName=res@file",
        "\x1b[31mERRO\x1b[0m[2026-11-23T06:50:10Z] Router uses a nonexistent certificate resolver  "
        "\x1b[31mcertificateResolver\x1b[0m=nope \x1b[31mrouterName\x1b[0m=res@file",
    ],
)
def test_every_form_says_the_same(line: str) -> None:
    entry = one(line)
    assert (entry.time, entry.level) == (AT, "error")
    assert entry.message == "Router uses a nonexistent certificate resolver"
    assert entry.fields["certificateResolver"] == "nope"
    assert entry.fields["routerName"] == "res@file"


def test_an_entry_may_hold_only_an_error() -> None:
    entry = one('2026-11-23T06:50:10Z ERR error="the service \\"nope@file\\" does not exist" routerName=bad@file')
    assert (entry.message, entry.said) == ("", 'the service "nope@file" does not exist')


def test_what_looks_like_a_field_inside_a_message_belongs_to_it() -> None:
    entry = one(
        '2026-11-23T06:50:10Z WRN set a=b and "c=d" here domains=["a.fr","b.fr"] ACME CA=http://x rule="H(`a`) && b"'
    )
    assert entry.message == 'set a=b and "c=d" here'
    assert dict(entry.fields) == {"domains": "a.fr b.fr", "ACME CA": "http://x", "rule": "H(`a`) && b"}


def test_the_banners_are_one_entry_each() -> None:
    for name in ("traefiklog-3.7.15-stdout-common-ansi.log", "traefiklog-3.7.15-file-common.log"):
        found = list(entries(recorded(name)))
        assert len([entry for entry in found if entry.message.startswith("Version check is disabled.")]) == 1
        assert all(entry.time and entry.level for entry in found)
        assert not any("\x1b" in entry.message for entry in found)


def test_colours_and_files_say_the_same() -> None:
    for version in ("3.3.6", "3.7.15"):
        colours, file = (
            [
                (entry.level, entry.message, dict(entry.fields))
                for entry in entries(recorded(f"traefiklog-{version}-{form}"))
            ]
            for form in ("stdout-common-ansi.log", "file-common.log")
        )
        assert colours == file


def test_a_line_without_a_time_keeps_the_last_one() -> None:
    first, second = entries('2026-11-23T06:50:10Z INF début\n{"level":"error","message":"sans date"}')
    assert (first.time, second.time) == (AT, AT)
    # Go's own logger tells no zone: its time is not taken for one.
    assert one("2026/11/23 06:50:05 http: TLS handshake error").time is None


def test_the_access_log_on_the_same_output_is_left_out() -> None:
    found = list(entries(recorded("provoked-3.6.6-ansi.log")))
    assert not [entry for entry in found if "HTTP/1.1" in entry.message]


@pytest.mark.parametrize("version", ["3.3.6-json", "3.6.6-ansi", "3.3.6-debug", "3.6.6-debug"])
def test_real_logs_are_wholly_understood(version: str) -> None:
    found = list(entries(recorded(f"provoked-{version}.log")))
    assert found
    assert [entry for entry in found if not entry.form or not entry.level or not entry.time] == []


# Kinds

# The 28 messages: what Traefik's documentation of failures calls for. The first element tells where the line is from.
_MATRIX, _PROVOKED = "docker_matrix", "provoked"
REAL = {  # kinds that real programs were made to write, and where
    1: ("network_missing", _MATRIX),
    2: ("address_missing", _MATRIX),
    3: ("port_missing", _MATRIX),
    4: ("field_unknown", _MATRIX),
    5: ("container_skipped", _MATRIX),
    6: ("label_invalid", _MATRIX),
    7: ("name_duplicate", _MATRIX),
    8: ("service_ambiguous", _MATRIX),
    9: ("reference_missing", _PROVOKED),
    10: ("entrypoint_missing", _PROVOKED),
    11: ("rule_invalid", _PROVOKED),
    12: ("resolver_missing", _PROVOKED),
    13: ("resolver_skipped", _PROVOKED),
    14: ("acme_obtain", _PROVOKED),
    15: ("acme_renew", _PROVOKED),
    16: ("docker_version", _PROVOKED),
    17: ("provider_failed", _PROVOKED),
    18: ("configuration_failed", _PROVOKED),
    19: ("file_duplicate", _PROVOKED),
    20: ("health_failed", _PROVOKED),
    21: ("tls_options", _PROVOKED),
    23: ("priority_excessive", _PROVOKED),
    24: ("hostsni_without_tls", _PROVOKED),
    25: ("plugins_disabled", _PROVOKED),
    26: ("static_invalid", _PROVOKED),
    27: ("upstream_tls", _PROVOKED),
    28: ("constraint_invalid", _PROVOKED),
}
NAMES = {
    container["Id"]: container["Name"].strip("/")
    for container in json.loads((PAYLOADS / "docker_matrix.json").read_text("utf-8"))["containers"]
}


def matrix_log(version: str) -> str:
    return recorded(f"docker_matrix-{version}-json.log")


@pytest.mark.parametrize("number", REAL)
def test_the_messages_of_real_programs(number: int) -> None:
    kind, where = REAL[number]
    logs = (
        [matrix_log(version) for version in VERSIONS]
        if where == _MATRIX
        else [recorded(f"provoked-{version}.log") for version in ("3.3.6-json", "3.6.6-ansi")]
    )
    for text in logs:
        assert kind in {row.kind for row in rows_of(text)}


V2 = 'time="2021-01-10T16:47:56Z" level={} msg="{}" providerName={}'
DOCUMENTED = [  # as Traefik's sources write them; version 2 puts the reason in the message
    (
        V2.format(
            "warning",
            "Could not find network named 'x' for container '/app'! Maybe you're missing the "
            "project's prefix in the label?",
            "docker",
        ),
        ("network_missing", "container", "app"),
    ),
    (
        V2.format("error", "Router whoami uses a nonexistent resolver: le", "docker"),
        ("resolver_missing", "router", "whoami"),
    ),
    (
        V2.format(
            "error",
            'The ACME resolver \\"le\\" is skipped from the resolvers list because: unable to get ACME '
            "account: permissions 644 for /acme.json are too open, please use 600",
            "x",
        ),
        ("resolver_skipped", "provider", "x"),
    ),
    (V2.format("error", "Default TLS Stores defined multiple times in [file docker]", "x"), ("other", "provider", "x")),
    (
        "2026-11-23T06:50:10Z ERR Default TLS Options defined in multiple providers: [file docker]",
        ("tls_default_duplicate", None, None),
    ),
    (
        "2026-11-23T06:50:10Z ERR Default TLS Store defined in multiple providers: [file docker]",
        ("tls_default_duplicate", None, None),
    ),
    (
        V2.format("warning", "A new release has been found: 2.5.6. Please consider updating.", "x"),
        ("update_available", None, None),
    ),
    (
        V2.format("debug", "'504 Gateway Timeout' caused by: dial tcp 172.18.0.2:80: i/o timeout", "x"),
        ("gateway_error", "provider", "x"),
    ),
    (
        V2.format("warning", "Error checking new version: Get https://update.traefik.io/: x509: certificate", "x"),
        ("other", "provider", "x"),
    ),
    ("panic: runtime error: invalid memory address\n\ngoroutine 1 [running]:\nmain.main()", ("crash", None, None)),
]


@pytest.mark.parametrize(("line", "expected"), DOCUMENTED)
def test_the_messages_as_documented(line: str, expected: tuple[Any, ...]) -> None:
    assert said(line, "kind", "subject_kind", "subject") == [expected]


def test_every_kind_has_a_line() -> None:
    texts = [recorded(path.name) for path in RECORDED.glob("*.log")]
    texts += [line for line, _ in DOCUMENTED]
    texts.append("2026-11-23T06:50:10Z INF Renewing ACME certificate: {Main:a.fr SANs:[b.fr]} providerName=le.acme")
    texts.append('2026-11-23T06:50:10Z WRN Failed to inspect container 1f, error="No such container: 1f"')
    texts.append("2026-11-23T06:50:10Z WRN A new release of Traefik has been found: 3.6.7. Please consider updating.")
    assert set(KINDS) == {row.kind for text in texts for row in rows_of(text)}


def test_what_real_logs_leave_to_the_kind_other() -> None:
    texts = [recorded(path.name) for path in RECORDED.glob("*.log")]
    left = {row.named for text in texts for row in rows_of(text) if row.kind == "other"}
    assert left == {"Empty rule", 'service "t…p" error: defining scheme or port is not allowed when URL is defined'}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_containers_of_the_matrix(version: str) -> None:
    found = {(row.kind, row.subject, row.named) for row in rows_of(matrix_log(version), NAMES)}
    fallback = "back" if version == "3.0.4" else "proxy"
    assert {
        ("network_missing", "t04badnet", "nope"),
        ("network_fallback", "t04badnet", fallback),
        ("container_skipped", "t13enabled", "enabled"),
        ("field_unknown", "t13typo", "router"),
        ("label_invalid", "t13caproot", "Traefik"),
        ("reference_missing", "t29@docker", "nofile@file"),
        ("resolver_missing", "t34@docker", "nope"),
    } <= found
    duplicate = next(row for row in rows_of(matrix_log(version), NAMES) if row.subject == "dup")
    assert (duplicate.kind, duplicate.subject_kind) == ("name_duplicate", "router")
    assert sorted(duplicate.containers) == ["t16a", "t16b"]


def test_the_name_of_a_container_is_the_engine_s() -> None:
    line = f'2026-11-23T06:50:10Z ERR error="field not found, node: foo" container=web-shop-{IDENTIFIER}'
    assert [row.subject for row in rows_of(line, {IDENTIFIER: "shop-web-1"})] == ["shop-web-1"]
    assert [row.subject for row in rows_of(line)] == ["web-shop"]


def test_a_broken_file_is_named_with_its_line() -> None:
    for version in ("3.3.6-json", "3.6.6-ansi"):
        rows = rows_of(recorded(f"provoked-{version}.log"))
        broken = {(row.file, row.line) for row in rows if row.kind == "configuration_failed"}
        # Only YAML's own errors tell a line; an option that does not exist is told by its name.
        assert broken == {
            ("/data/bad/casse.yml", 2),
            ("/data/bad/casse.yml", None),
            ("/data/bad/ok.yml", None),
            (None, None),
        }
        assert "field not found, node: rules" in {row.named for row in rows}
        (watched,) = [row for row in rows if row.kind == "configuration_failed" and not row.file]
        assert (watched.subject_kind, watched.subject) == ("provider", "file")


def test_why_a_provider_fails() -> None:
    rows = rows_of(recorded("provoked-3.6.6-ansi.log"))
    assert {row.cause for row in rows if row.kind == "provider_failed"} == {"connection", "permission"}
    (old,) = [row for row in rows if row.kind == "docker_version"]
    assert (old.subject, old.named) == ("docker", "1.24")


ACME = "2026-11-23T06:50:10Z ERR Unable to obtain ACME certificate for domains error={} domains={} providerName=le.acme"


@pytest.mark.parametrize(
    ("reason", "cause"),
    [  # as lego writes the problems of RFC 8555
        (
            "acme: error: 429 :: urn:ietf:params:acme:error:rateLimited :: too many certificates already issued",
            "rate_limited",
        ),
        (
            "acme: error: 403 :: urn:ietf:params:acme:error:unauthorized :: Invalid response from http://h/: 404",
            "challenge",
        ),
        ("acme: error: 400 :: urn:ietf:params:acme:error:dns :: DNS problem: NXDOMAIN looking up A for a.fr", "dns"),
        ("acme: error: 400 :: urn:ietf:params:acme:error:connection :: 1.2.3.4: Timeout during connect", "unreachable"),
        ("acme: error: 403 :: urn:ietf:params:acme:error:caa :: CAA record for a.fr prevents issuance", "caa"),
        ("cannot get ACME client cloudflare: some credentials information are missing: CF_API_EMAIL", "credentials"),
        ("cannot get ACME client unrecognized DNS provider: nope", "credentials"),
        (
            "cannot get ACME client get directory at 'https://127.0.0.1:1/dir': dial tcp 127.0.0.1:1: refused",
            "authority",
        ),
        ("quelque chose d’autre", "other"),
    ],
)
def test_why_an_authority_gives_nothing(reason: str, cause: str) -> None:
    line = ACME.format(json.dumps(reason, ensure_ascii=False), '["A.fr","b.fr"]')
    (row,) = rows_of(line)
    assert (row.kind, row.subject_kind, row.subject, row.cause) == ("acme_obtain", "domain", "a.fr", cause)
    assert row.domains == ("a.fr", "b.fr")


def test_acme_errors_of_several_lines() -> None:
    problem = "one or more domains had a problem:\n[a.fr] acme: error: 429 :: rateLimited :: too many certificates\n"
    quoted = json.dumps(problem)
    forms = [
        ACME.format(quoted, '["a.fr"]'),
        ACME.format(f'"{problem}"', '["a.fr"]'),  # not escaped: the entry goes over three lines
        V2.format("error", f'Unable to obtain ACME certificate for domains \\"a.fr\\": {quoted[1:-1]}', "le.acme"),
    ]
    for form in forms:
        assert said(form, "subject", "cause", "count") == [("a.fr", "rate_limited", 1)]


def test_entries_of_one_sort_are_counted_with_their_times() -> None:
    lines = [
        f'2026-11-2{day}T06:50:10Z ERR error="the service \\"x@file\\" does not exist" routerName=r@file'
        for day in (4, 3, 5)
    ]
    (row,) = rows_of("\n".join(lines))
    assert (row.count, row.first.day, row.last.day, row.level) == (3, 23, 25, "error")


def test_the_unknown_is_grouped_by_its_sense() -> None:
    text = "\n".join(f"2026-11-23T06:50:1{i}Z ERR Strange thing {i} after {i}00ms routerName=r@file" for i in range(5))
    assert said(text, "kind", "subject", "named", "count") == [("other", "r@file", "Strange thing … after …", 5)]


def test_too_many_sorts_are_counted() -> None:
    text = "\n".join(
        f"2026-11-23T06:50:10Z ERR {chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}"
        for i in range(MAX_EVENTS + 7)
    )
    rows, left_out = events(entries(text), {})
    assert (len(rows), left_out) == (MAX_EVENTS, 7)


def test_messages_that_differ_by_a_secret_only_are_one_sort() -> None:
    text = "\n".join(f"2026-11-23T06:50:1{i}Z ERR refused password=p{'x' * i} by r routerName=r@file" for i in range(5))
    assert said(text, "named", "count") == [("refused password=[secret retiré] by r", 5)]


def test_levels_that_are_no_event() -> None:
    text = '2026-11-23T06:50:10Z INF anything\n2026-11-23T06:50:10Z DBG received: middleware "x" does not exist'
    assert rows_of(text) == []


# Secrets


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T06:50:10Z ERR Cannot reach url=https://ops:CANARI-1@127.0.0.1:9001/hook",
        '2026-11-23T06:50:10Z ERR error="error while parsing rule Header(`X-Token`, `CANARI-1`" routerName=r',
        '2026-11-23T06:50:10Z ERR error="bad header Authorization: Bearer CANARI-1aaaaaa"',
        "2026-11-23T06:50:10Z ERR refused --password CANARI-1",
        f"2026-11-23T06:50:10Z ERR {'x ' * 7990}token=CANARI-1CANARI-1CANARI-1",
        "2026-11-23T06:50:10Z ERR defined multiple times with different configurations routerName=token=CANARI-1",
    ],
)
def test_nothing_of_a_secret_is_kept(line: str) -> None:
    assert "CANARI" not in repr(rows_of(line))


# Anything at all


FRAGMENTS = st.sampled_from(
    ["2026-11-23T06:50:10Z ERR ", 'time="2026-11-23T06:50:10Z" level=error msg="', "\x1b[31m", "\x00", "\n", "\r",
     "\\", '"', 'error="', "domains=[", '{"level":"error","message":"', '"}', '{"a":' * 50, "Skip container ",
     "for container \"/", "field not found, node: ", "\ud800", "é",
     "{Main:", "panic: ", " - - [23/Nov/2026:06:50:07 +0000] \""]
)  # fmt: skip


@given(st.lists(FRAGMENTS | st.text(max_size=20), max_size=40).map("".join))
@example('{"level":"error","message":"\\ud800"}')
@example("2026-11-23T06:50:10Z ERR " + "9" * 5000)
@example("9999-99-99T99:99:99Z ERR x\n0000-00-00T00:00:00+99:99 ERR y")
@example('{"level":"error","message":"x","time":"0001-01-01T00:00:00+14:00"}')
def test_any_text_makes_rows_that_can_be_stored(text: str) -> None:
    rows, _ = events(entries(text), {})
    TABLES["log_events"].rows(rows)
    json.dumps(rows, default=str, ensure_ascii=False).encode()
    assert all(len(row.example or "") <= MAX_TEXT for row in rows)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(content: bytes) -> None:
    rows, _ = events(entries(content.decode("utf-8", "replace")), {})
    TABLES["log_events"].rows(rows)


@given(st.sampled_from(["other", "crash"]), st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_fields_come_back_as_go_quoted_them(name: str, value: str) -> None:
    clean = traefik_log.clean(value)
    # What Go quotes as \u or \x is left as it is: no name that is looked for holds any.
    if re.search(r'[\\"\n\t\r]', clean) or not clean.strip():
        return
    assert one(f'2026-11-23T06:50:10Z ERR said {name}="{clean}"').fields[name] == clean


_ERR = "2026-11-23T06:50:10Z ERR "
_CLF = '1.1.1.1 - - [23/Nov/2026:06:50:07 +0000] "GET '
HOSTILE: dict[str, Callable[[int], str]] = {
    "fields": lambda size: _ERR + 'a="\\" ' * (size // 6),
    "slashes": lambda size: _ERR + "Error while building configuration " + "/" * size,
    "identifiers": lambda size: (
        _ERR + "Router defined multiple times with different configurations a=" + "0123456789abcdef" * (size // 16)
    ),
    "words": lambda size: (
        _ERR + "Router defined multiple times with different configurations configuration=" + "a-a." * (size // 4)
    ),
    "renewals": lambda size: _ERR + "Error renewing " + "{Main:" * (size // 6),
    "colours": lambda size: "\x1b[0" * (size // 3),
    "nothing": lambda size: "\x00" * size,
    "arrays": lambda size: '{"DownstreamStatus":' + "[" * size,
    "addresses": lambda size: _ERR + "http://a:" * (size // 9),
    "access": lambda size: _CLF + '/ HTTP/1.1" 200 1' + ' 1 "' * (size // 4),
    "names": lambda size: _ERR + "domains for domains " + "a." * (size // 2),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_lines_of_a_million_characters_cost_no_more_than_others(kind: str) -> None:
    from auditlib.collect.access_log import requests

    text = "\n".join([HOSTILE[kind](1_000_000), *[HOSTILE[kind](MAX_ENTRY - 200)] * 4])
    started = time.process_time()
    events(entries(text), {})
    list(requests(text))
    assert time.process_time() - started < 2
