"""The muxer against what real Traefiks answered: 16 programs of version 3, and the muxer of 2.11.53 alone."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from auditlib.traefik.building import References, sound
from auditlib.traefik.configured import Configured, configured
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint
from tests.conftest import PAYLOADS

CASES = json.loads((PAYLOADS / "http_rules.json").read_text("utf-8"))["cases"]
V2 = "2.11.53-muxer-only"
VERSIONS = [*CASES[0]["requests"][0]["winner"]]
ENTRYPOINTS = [EntryPoint("http"), EntryPoint("https")]
# The connection of a host whose TLS options are broken is closed: no answer at all.
CLOSED = "missing_tlsopt"


def _configured(case: dict[str, Any], version: str) -> list[Configured]:
    routers = {f"{name}@file": _router(router) for name, router in case["routers"].items()}
    known = References(sound(f"{name}@file" for name in (*case["routers"], "here")), {}, {})
    return configured(version, ENTRYPOINTS, routers, known)


def _router(router: dict[str, Any]) -> dict[str, Any]:
    given = {"service": "here", "entryPoints": ["http", "https"] if "tls" not in router else ["https"], **router}
    return {**given, "entryPoints": given["entryPoints"] + given.pop("entryPoints+", [])}


def _request(given: dict[str, Any]) -> Request:
    tls = given.get("tls")
    return Request(
        given.get("host", tls or "x.localhost"),
        given.get("target", "/"),
        given.get("method", "GET"),
        tuple((name, value) for name, value in given.get("headers", ())),
        tls=tls is not None,
        sni=tls,
        http=given.get("ver", "1.1"),
    )


def _answers(muxer: Muxer, given: dict[str, Any]) -> set[str]:
    request = _request(given)
    decision = muxer.decide(request, "https" if request.tls else "http")
    winners = {name.partition("@")[0].removeprefix("http-").removeprefix("https-") for name in decision.winners}
    return winners | ({str(decision.status)} if decision.status else set())


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_request_goes_where_it_went(version: str) -> None:
    wrong, asked = [], 0
    for case in CASES:
        # The muxer alone knows no bounds of priorities.
        routers = [replace(one.router, serves=one.router.serves or version == V2) for one in _configured(case, version)]
        muxer = Muxer(version, ENTRYPOINTS, routers)
        for one in case["requests"]:
            if version in one["winner"] and case["name"] != CLOSED:
                asked += 1
                answers, seen = _answers(muxer, one["request"]), one["winner"][version]
                if seen not in answers or len(answers) > (2 if case["name"] == "wild_vs_exact" else 1):
                    wrong.append((case["name"], one["label"], answers, seen))
    assert wrong == []
    assert asked >= (100 if version == V2 else 125)


def _shown() -> Iterator[tuple[str, str, str]]:
    for case in CASES:
        for name, versions in case["api"].items():
            for version in versions:
                yield case["name"], name, version


def test_every_recorded_router_has_the_status_the_priority_and_the_errors_it_had() -> None:
    wrong, compared = [], 0
    for version in VERSIONS:
        for case in CASES:
            # On several entry points, a router that was split keeps its name for those that do not exist.
            found = {one.router.name.partition("@")[0]: one for one in _configured(case, version)}
            for name, answers in case["api"].items():
                if version in answers:
                    compared += 1
                    shown = answers[version]
                    one = found[name if name in found else f"http-{name}"]
                    if not _agrees(one, shown):
                        wrong.append((version, case["name"], name, one, shown))
    assert wrong == []
    assert compared == sum(1 for _ in _shown()) >= 1_200


def _agrees(one: Configured, shown: dict[str, Any]) -> bool:
    errors = [re.sub("^error while adding rule ", "error while parsing rule ", error) for error in shown["err"] or ()]
    # Priorities are computed as routers are built: what never reaches the muxer has none of its own.
    priority = shown["prio"] in (one.router.rank or None, one.router.priority if one.status == "disabled" else -1)
    # What follows a rule that was refused is the audit's own, in French.
    refused = f"error while parsing rule {one.router.rule}"
    said = [refused if error.startswith(f"{refused}: ") else error for error in one.errors]
    starts = len(errors) == len(said) and all(map(str.startswith, errors, said))
    return one.status == shown["status"] and priority and starts
