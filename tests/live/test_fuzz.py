"""The muxer against real Traefiks: random routers, random requests, and not one wrong winner.

Every router redirects to its own name, so that no server is needed behind. AUDITLIB_FUZZ_SEED chooses other cases.
"""

import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auditlib.traefik.building import References, sound
from auditlib.traefik.configured import Configured, configured
from auditlib.traefik.muxer import Decision, Muxer
from auditlib.traefik.requests import Handling
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.versions import features, number
from tests.live import grammar, programs

VERSIONS = ("3.0.4", "3.5.3", "3.7.15")
SEED = int(os.environ.get("AUDITLIB_FUZZ_SEED") or 20261125)
CLEAR, ROUTERS, REQUESTS = 10, 22, 230


@dataclass(frozen=True)
class Case:
    """The routers of a Traefik, by name, as its configuration says them; the TCP ones; its entry points."""

    entrypoints: list[EntryPoint]
    static: dict[str, Any]
    http: dict[str, dict[str, Any]]
    tcp: dict[str, dict[str, Any]]


def _case(chance: random.Random, version: str) -> Case:
    """Entry points of every kind: e0 to e9 in the clear, s0 with routers of both kinds, s1 with TLS of its own."""
    names = [*(f"e{number}" for number in range(CLEAR)), "s0", "s1"]
    handlings = {"e1": Handling(sanitizes=False), "e3": Handling(trusted=("127.0.0.2/32",))}
    static: dict[str, Any] = {name: {} for name in names}
    static["e3"] = {"forwardedHeaders": {"trustedIPs": ["127.0.0.2/32"]}}
    static["s1"] = {"http": {"tls": {}}}
    if number(version) >= (3, 3, 6):
        static["e1"] = {"http": {"sanitizePath": False}}
    if number(version) >= (3, 2, 0):
        static["e2"] = {"http": {"encodeQuerySemicolons": True}}
        handlings["e2"] = Handling(encodes_semicolons=True)
    if number(version) >= (3, 6, 7):
        static["e4"] = {"http": {"encodedCharacters": {"allowEncodedSlash": False, "allowEncodedSemicolon": False}}}
        handlings["e4"] = Handling(refused=frozenset({"%2F", "%3B"}))
    points = [EntryPoint(name, handlings.get(name, Handling()), tls=name == "s1") for name in names]
    http: dict[str, dict[str, Any]] = {}
    for name in names:
        rules: list[str] = []
        for at in range(ROUTERS):
            given = {**grammar.router(chance, rules), "entryPoints": [name], "service": "nobody"}
            if name == "s0" and chance.random() < 0.7:
                given["tls"] = chance.choice([{}, {}, {"options": "strict"}])
            http[f"{name}-r{at}"] = given
    if features(version).parents:
        _add_children(chance, http)
    tcp = {
        "t9": {"rule": "HostSNI(`*`)", "entryPoints": ["e9"], "service": "answer"},
        "t8": {"rule": "ClientIP(`127.0.0.2`)", "entryPoints": ["e8"], "service": "answer"},
        "t-sni": {"rule": "HostSNI(`z.fr`)", "entryPoints": ["s0"], "service": "answer", "tls": {}},
        "t-wrong": {"rule": "HostSNI(`b.fr`)", "entryPoints": ["e7"], "service": "answer"},
    }
    return Case(points, static, http, tcp)


def _add_children(chance: random.Random, http: dict[str, dict[str, Any]]) -> None:
    """On e5 and e6, a few routers become parents; one has a service too, which disables it and changes nothing."""
    for name in ("e5-r1", "e5-r2", "e6-r3", "e6-r4"):
        http[name]["rule"] = chance.choice(["PathPrefix(`/`)", "HostRegexp(`.+`)", "!Host(`b.fr`)"])
        http[name]["priority"] = chance.choice([5, 200])
        if name != "e6-r4":
            del http[name]["service"]
        for at in range(3):
            given = {**grammar.router(chance, []), "service": "nobody", "parentRefs": [name]}
            http[f"{name}-c{at}"] = given


def _dynamic(case: Case, port: int) -> dict[str, Any]:
    parents = {parent for given in case.http.values() for parent in given.get("parentRefs", ())}
    redirections = {
        f"to-{name}": {"redirectRegex": {"regex": "(?s)^.*$", "replacement": f"http://{name}/"}} for name in case.http
    }
    routers = {
        name: given if name in parents else {**given, "middlewares": [f"to-{name}"]}
        for name, given in case.http.items()
    }
    nobody = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}
    answer = {"loadBalancer": {"servers": [{"address": f"127.0.0.1:{port}"}]}}
    return {
        "http": {"routers": routers, "middlewares": redirections, "services": {"nobody": nobody}},
        "tcp": {"routers": case.tcp, "services": {"answer": answer}},
        "tls": {"options": {"strict": {"minVersion": "VersionTLS12"}}},
    }


def _answers(decision: Decision) -> set[str]:
    names = {name.partition("@")[0] for name in decision.winners}
    return ({programs.TAKEN_BY_TCP} if decision.layer == "tcp" else names) | (
        {str(decision.status)} if decision.status else set()
    )


@dataclass
class Outcome:
    """What a comparison found: routers whose status differs, requests that went elsewhere, and counts."""

    differing: list[Any]
    wrong: list[Any]
    asked: int = 0
    redirected: int = 0
    tied: int = 0


def compared(version: str, seed: int, folder: Path) -> Outcome:
    """One Traefik of a version, its routers and REQUESTS requests to each of its entry points."""
    chance = random.Random(f"{seed} {version}")
    case = _case(chance, version)
    known = References(sound({"nobody@file"}), sound(f"to-{name}@file" for name in case.http), sound({"strict@file"}))
    routers = {f"{name}@file": given for name, given in case.http.items()}
    found = configured(version, case.entrypoints, routers, known)
    tcp = [
        Router(f"{name}@file", one["rule"], tuple(one["entryPoints"]), "tls" in one, protocol="tcp")
        for name, one in case.tcp.items()
    ]
    muxer = Muxer(version, case.entrypoints, [*(one.router for one in found), *tcp])
    ports = dict(zip([*case.static, "traefik"], programs.free_ports(len(case.static) + 1), strict=True))
    static = {name: {"address": f"127.0.0.1:{port}", **case.static.get(name, {})} for name, port in ports.items()}
    with (
        programs.backend() as port,
        programs.traefik(version, {"entryPoints": static}, _dynamic(case, port), folder) as address,
    ):
        shown = programs.api(address, "/api/rawdata")["routers"]
        outcome = Outcome([pair for one in found if (pair := _differing(one, shown))], [])
        for name in case.static:
            for _ in range(REQUESTS):
                request = grammar.request(chance, tls=name.startswith("s") and chance.random() < 0.8)
                said, seen = _answers(muxer.decide(request, name)), programs.answered(request, ports[name])
                outcome.asked += 1
                outcome.tied += len(said) > 1
                outcome.redirected += not seen.isdecimal()
                if seen not in said:
                    outcome.wrong.append((name, request, said, seen))
    return outcome


# Routers that disagree about the TLS options of a host: a warning, and in new versions a name of their own.
_CONFLICT = re.compile("different TLS options|TLSOptions configuration is conflicting|TLS option .* cannot be applied")


def _differing(one: Configured, shown: dict[str, Any]) -> tuple[Configured, Any] | None:
    """A router that the API shows otherwise than it was foreseen."""
    seen = shown.get(one.router.name) or shown.get(f"s0-conflicted-{one.router.name}") or {}
    warned = seen.get("status") == "warning" and all(map(_CONFLICT.search, seen["error"]))
    return None if one.status == seen.get("status") or (warned and one.status == "enabled") else (one, seen)


@pytest.mark.parametrize("version", VERSIONS)
def test_real_traefiks_send_every_request_where_the_muxer_says(version: str, tmp_path: Path) -> None:
    done = compared(version, SEED, tmp_path)
    counts = f"{done.asked} requests, {done.redirected} to a router, {done.tied} ties"
    print(f"Traefik {version}, seed {SEED}: {counts}")  # noqa: T201
    assert done.differing == []
    assert done.wrong == []
    assert done.asked >= 2_000 and 500 < done.redirected < done.asked - 200
