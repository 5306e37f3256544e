"""What Traefik makes of middlewares, services, TLS options and routers, against what the project says of them.

One Traefik of each version takes a random configuration, sound and unsound; its API then shows the status and the
errors of each object. AUDITLIB_FUZZ_SEED chooses other configurations.
"""

import os
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auditlib.traefik.versions import number
from tests.live import objects, programs
from tests.traefik.predictions import Entry, predicted, predicted_streams

VERSIONS = ("3.0.4", "3.3.6", "3.6.15", "3.7.15")
SEED = int(os.environ.get("AUDITLIB_FUZZ_SEED") or 20261201)
POINTS = ("traefik", "web", "websecure")
# The static configuration of `programs.traefik` has an API with its dashboard, and nothing else.
INTERNAL = {
    **dict.fromkeys(("api@internal", "dashboard@internal", "noop@internal"), ""),
    **{f"{name}@internal": f"{name} is not enabled" for name in ("ping", "rest", "prometheus")},
    "acme-http@internal": "HTTP challenge is not enabled",
}
# The project words in French, after these beginnings, why a rule is refused.
_RULE = re.compile(r"^(error while )(?:parsing|adding)( rule |.*?, error: error while parsing rule ).*", re.DOTALL)
_DOMAINS = re.compile(r"^(invalid rule ).*", re.DOTALL)

# What hangs on files of Traefik's machine.
_UNDECIDED = {"files"}
_ORDERED = ("recursion detected", "found different TLS options")


@dataclass
class Counts:
    """By family: how many objects agree, and the others. `random`: those that Traefik itself words at random."""

    agree: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    random: Counter[str] = field(default_factory=Counter)
    disagree: list[tuple[str, Entry | None, Entry | None]] = field(default_factory=list)


def _worded(entry: Entry) -> Entry:
    return entry[0], tuple(_DOMAINS.sub(r"\1", _RULE.sub(r"\1", error)) for error in entry[1])


def _family(name: str) -> str:
    name = re.sub(r"^(?:web|websecure)-conflicted-", "", name).removesuffix("@file")
    return re.sub(r"^[mso] |-[\d-]*$|-s$|-[a-z-]+$", "", name)


def _by_chance(said: Entry, seen: Entry) -> bool:
    """Whether Traefik's words depend on the order in which it builds: only the status counts then.

    A service or a middleware in a circle is told by the one that it began with; what a service says when it is used
    again holds all that was said before; of more than two routers that disagree about a host, two are told.
    """
    errors = (*said[1], *seen[1])
    told = {said[0], seen[0]} <= {"enabled", "warning"} and all(
        "found different TLS options" in error for error in errors
    )
    return told or (said[0] == seen[0] and any(word in error for word in _ORDERED for error in errors))


def compared(version: str, seed: int, folder: Path) -> Counts:
    """One configuration in one Traefik."""
    chance = random.Random(f"{seed} {version}")
    middlewares = objects.middlewares(chance, version, 12)
    services = objects.services(chance, version, 8)
    options = objects.tls_options(chance)
    routers = objects.routers(
        chance, number(version), {"middlewares": middlewares, "services": services, "options": options}
    )
    dynamic: dict[str, Any] = {
        "http": {
            "routers": routers,
            "middlewares": middlewares,
            "services": services,
            "serversTransports": {"t": {"insecureSkipVerify": True}},
        },
        "tls": {"options": options},
    }
    static = {name: {"address": f"127.0.0.1:{port}"} for name, port in zip(POINTS, programs.free_ports(3), strict=True)}
    with programs.traefik(version, {"entryPoints": static}, dynamic, folder) as address:
        shown = programs.api(address, "/api/rawdata")
    return _counted(predicted(dynamic, version, POINTS, INTERNAL), shown)


def compared_streams(version: str, seed: int, folder: Path) -> Counts:
    """The same of routers of tcp and udp."""
    chance = random.Random(f"streams {seed} {version}")
    options = {"strict": {"minVersion": "VersionTLS12"}, "bad": {"cipherSuites": ["FOO"]}}
    dynamic = {
        **objects.streams(chance, version),
        "http": {"routers": {"r": {"rule": "Host(`a`)", "service": "noop@internal"}}},
        "tls": {"options": options},
    }
    ports = zip((*POINTS, "datagrams"), programs.free_ports(4), strict=True)
    static = {name: {"address": f"127.0.0.1:{port}{'/udp' if name == 'datagrams' else ''}"} for name, port in ports}
    with programs.traefik(version, {"entryPoints": static}, dynamic, folder) as address:
        shown = programs.api(address, "/api/rawdata")
    return _counted(predicted_streams(dynamic, version, (*POINTS, "datagrams")), shown)


def _counted(said: Mapping[str, Mapping[str, Entry]], shown: Mapping[str, Any]) -> Counts:
    counts = Counts()
    for kind in said:
        seen = {
            name: (one["status"], tuple(one.get("error", ())))
            for name, one in shown.get(kind, {}).items()
            if not name.endswith("@internal")
        }
        for name in sorted({*said[kind], *seen}):
            family, mine, real = _family(name), said[kind].get(name), seen.get(name)
            if mine is None or real is None:
                counts.disagree.append((f"{kind} {name}", mine, real))
            elif mine[0] is None:
                counts.unknown[family] += 1
            elif _worded(mine) == _worded(real):
                counts.agree[family] += 1
            elif _by_chance(mine, real):
                counts.random[family] += 1
            else:
                counts.disagree.append((f"{kind} {name}", mine, real))
    return counts


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_said_of_each_object_is_what_the_api_shows(version: str, tmp_path: Path) -> None:
    done = compared(version, SEED, tmp_path)
    total, unknown, by_chance = done.agree.total(), done.unknown.total(), done.random.total()
    print(f"Traefik {version}: {total} agree, {len(done.disagree)} disagree, {unknown} unknown, {by_chance} by chance")  # noqa: T201
    for family in sorted({*done.agree, *done.unknown, *done.random}):
        print(f"  {family}: {done.agree[family]} / {done.unknown[family]} / {done.random[family]}")  # noqa: T201
    assert done.disagree == []
    assert {*done.unknown} <= _UNDECIDED
    assert total > 600 and unknown + by_chance < total / 10


@pytest.mark.parametrize("version", VERSIONS)
def test_routers_of_tcp_and_udp(version: str, tmp_path: Path) -> None:
    done = compared_streams(version, SEED, tmp_path)
    print(f"Traefik {version}, tcp and udp: {done.agree.total()} agree, {len(done.disagree)} disagree")  # noqa: T201
    assert (done.disagree, done.unknown, done.random) == ([], Counter(), Counter())
    assert done.agree.total() > 80
