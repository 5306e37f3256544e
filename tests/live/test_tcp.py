"""TCP rules against real Traefiks: random routers of both grammars, what the API says of them, and who really answers.

AUDITLIB_FUZZ_SEED chooses other cases.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auditlib.traefik.building import References, sound
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.statuses import State, states
from auditlib.traefik.versions import features
from tests.live import programs, tcp_grammar
from tests.traefik.test_tcp import CASES, COLUMNS, WORLD, expected

VERSIONS = ("3.0.4", "3.3.6", "3.6.15", "3.7.15")
SEED = int(os.environ.get("AUDITLIB_FUZZ_SEED") or 20261201)
ROUTERS, CONNECTIONS = 40, 150
# c: TCP routers in clear alone. t: with and without TLS. h: beside HTTPS routers, of a host, of none, of both.
POINTS = ("c0", "c1", "t0", "t1", "t2", "t3", "h0", "h1", "h2")
HTTPS = {"h0": ["Host(`a.fr`)", "Host(`x.A.fr`)"], "h1": ["PathPrefix(`/`)"], "h2": ["Host(`b.fr`)", "Path(`/`)"]}


def _tcp(chance: random.Random) -> dict[str, dict[str, Any]]:
    routers: dict[str, dict[str, Any]] = {}
    for point in POINTS:
        for at in range(ROUTERS):
            tls = not point.startswith("c") and chance.random() < 0.75
            given = {**tcp_grammar.router(chance, tls=tls), "entryPoints": [point], "service": f"s{len(routers)}"}
            wrong = chance.random()
            if wrong < 0.03:
                given["entryPoints"].append("nowhere")
            elif wrong < 0.05:
                given["service"] = "nobody"
            elif wrong < 0.07:
                given["middlewares"] = ["nobody"]
            routers[f"{point}-r{at}"] = given
    # A connection that these take is closed: they have an entry point to themselves, and nobody connects to it.
    for at, rule in enumerate(["HostSNI(`a.fr`)", "HostSNI(`é.fr`)", "HostSNI(`a`,`b`)"]):
        routers[f"o-r{at}"] = {"rule": rule, "entryPoints": ["o"], "service": "s0", "tls": {"options": "nobody"}}
    return routers


def _dynamic(tcp: dict[str, dict[str, Any]], port: int) -> dict[str, Any]:
    https = {
        f"{point}-https{at}": {"rule": rule, "entryPoints": [point], "service": "noop@internal", "tls": {}}
        for point, rules in HTTPS.items()
        for at, rule in enumerate(rules)
    }
    services = {
        f"s{number}": {"loadBalancer": {"servers": [{"address": f"127.1.{number // 256}.{number % 256}:{port}"}]}}
        for number in range(len(tcp))
    }
    return {
        "http": {"routers": https},
        "tcp": {"routers": tcp, "services": services},
        "tls": {"options": {"default": {"alpnProtocols": tcp_grammar.ACCEPTED}}},
    }


def _linked(name: str, given: dict[str, Any]) -> Linked:
    options = given.get("tls", {}).get("options")
    router = Router(
        f"{name}@file",
        given["rule"],
        tuple(given["entryPoints"]),
        "tls" in given,
        given.get("priority"),
        given.get("ruleSyntax"),
        options=f"{options}@file" if options else "default",
        protocol="tcp",
    )
    return Linked(router, f"{given['service']}@file", [f"{one}@file" for one in given.get("middlewares", ())])


@dataclass
class Outcome:
    """What a comparison found: routers and connections that differ, and counts."""

    differing: list[Any]
    wrong: list[Any]
    disabled: int = 0
    foreign: int = 0
    taken: int = 0
    tied: int = 0


def compared(version: str, seed: int, folder: Path) -> Outcome:
    """One Traefik of a version: its TCP routers, and CONNECTIONS to each of its entry points."""
    chance = random.Random(f"{seed} {version}")
    tcp = _tcp(chance)
    links = [_linked(name, given) for name, given in tcp.items()]
    services = {f"s{number}@file" for number in range(len(tcp))}
    known = References(sound(services), {}, {})
    found = list(states(links, {"tcp": {*POINTS, "o"}}, {"tcp": known}, features(version)))
    serving = [link.router for link, state in zip(links, found, strict=True) if state.serves]
    https = [
        Router(f"{point}-https{at}@file", rule, (point,), tls=True)
        for point, rules in HTTPS.items()
        for at, rule in enumerate(rules)
    ]
    muxer = Muxer(version, [EntryPoint(name) for name in POINTS], [*serving, *https])
    ports = dict(zip([*POINTS, "o", "traefik"], programs.free_ports(len(POINTS) + 2), strict=True))
    static = {"entryPoints": {name: {"address": f"127.0.0.1:{port}"} for name, port in ports.items()}}
    names = list(tcp)
    outcome = Outcome([], [])
    with (
        programs.numbered_backends() as port,
        programs.traefik(version, static, _dynamic(tcp, port), folder) as address,
    ):
        shown = programs.api(address, "/api/rawdata")["tcpRouters"]
        for link, state in zip(links, found, strict=True):
            seen = shown[link.router.name]
            outcome.disabled += state.status == "disabled"
            outcome.foreign += any(map(_foreign, state.errors))
            if not _agrees(link.router, state, seen):
                outcome.differing.append((link.router, state, seen))
        for point in POINTS:
            for _ in range(CONNECTIONS):
                request = tcp_grammar.connection(chance, tls=chance.random() < (0.3 if point[0] == "c" else 0.85))
                decision = muxer.decide(request, point)
                said = {name.partition("@")[0] for name in decision.winners} if decision.layer == "tcp" else {None}
                number = programs.tcp_backend(request, ports[point])
                answered = None if number is None else names[number]
                outcome.taken += answered is not None
                outcome.tied += len(said) > 1
                if answered not in said:
                    outcome.wrong.append((point, request, said, answered))
    return outcome


def _foreign(error: str) -> bool:
    """Whether an error tells Go's words for a bad syntax, which the audit says in French."""
    return error.startswith("invalid rule: ") and "colonne" in error


def _agrees(router: Router, state: State, shown: dict[str, Any]) -> bool:
    """Whether the API shows a router as foreseen."""
    errors = shown.get("error", [])
    same = len(errors) == len(state.errors) and all(
        error.startswith(said[: said.rindex('" , ') + 4]) if _foreign(said) else error == said
        for error, said in zip(errors, state.errors, strict=True)
    )
    return same and state.status == shown["status"] and shown.get("priority", 0) == router.rank


@pytest.mark.parametrize("version", VERSIONS)
def test_tcp_routers_are_what_real_traefiks_make_of_them(version: str, tmp_path: Path) -> None:
    done = compared(version, SEED, tmp_path)
    routers = len(POINTS) * ROUTERS + 3
    counts = f"{routers} routers, {done.disabled} of them disabled, {done.foreign} in Go's own words"
    answers = f"{len(POINTS) * CONNECTIONS} connections, {done.taken} taken by TCP, {done.tied} ties"
    print(f"Traefik {version}, seed {SEED}: {counts}; {answers}")  # noqa: T201
    assert done.differing == []
    assert done.wrong == []
    assert done.disabled > 50 and done.taken > 300


@pytest.mark.parametrize("column", ["3.7", "3.0", "v2"])
def test_the_recorded_cases_are_what_real_traefiks_do(column: str, tmp_path: Path) -> None:
    version, syntax, _ = COLUMNS[column]
    points = [f"e{at}" for at in range(len(CASES))]
    ports = dict(zip([*points, "traefik"], programs.free_ports(len(points) + 1), strict=True))
    static = {"entryPoints": {name: {"address": f"127.0.0.1:{port}"} for name, port in ports.items()}}
    routers = {
        point: {"rule": case["rule"], "entryPoints": [point], "service": f"s{at}", "ruleSyntax": syntax or "v3"}
        | ({"tls": {}} if case.get("tls", True) else {})
        for at, (point, case) in enumerate(zip(points, CASES, strict=True))
    }
    with (
        programs.numbered_backends() as port,
        programs.traefik(version, static, _dynamic(routers, port), tmp_path) as address,
    ):
        shown = programs.api(address, "/api/rawdata")["tcpRouters"]
        for at, (point, case) in enumerate(zip(points, CASES, strict=True)):
            errors, names = expected(case, column)
            takes = [
                name for name in WORLD if programs.tcp_backend(Request("", tls=True, sni=name), ports[point]) == at
            ]
            assert (case["rule"], shown[f"{point}@file"].get("error", []), takes) == (case["rule"], errors, names)
