"""Static options of entry points against real Traefiks: what their API shows of each, and the headers rules then see.

Each Traefik gets random options of entry points by its file, its flags or its environment. AUDITLIB_FUZZ_SEED chooses
other ones.
"""

import collections
import contextlib
import http.client
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.collect import traefik_files, traefik_objects, traefik_static
from auditlib.facts.table import VIEWS, Rows
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.traefik.building import References, sound
from auditlib.traefik.configured import configured
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request, refused
from auditlib.traefik.versions import features, number
from auditlib.views.entrypoints import Entrypoint, entrypoints
from auditlib.views.known import entry_points
from tests.live import programs

VERSIONS = ("3.0.4", "3.3.6", "3.6.4", "3.6.6", "3.6.15", "3.7.9", "3.7.15")
SEED = int(os.environ.get("AUDITLIB_FUZZ_SEED") or 20261201)
POINTS, REQUESTS = 9, 60

CHARACTERS = ("Slash", "BackSlash", "NullCharacter", "Semicolon", "Percent", "QuestionMark", "Hash")
NAMES = ["X-A", "X_A", "X.A", "X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-Port", "X-Forwarded-Prefix"]
NAMES += ["X-Forwarded-For", "X-Real-Ip", "X_real_ip", "X-Forwarded-Host", "Upgrade"]
VALUES = ["1", "http", "https", "wss", "443", "80", "websocket", "/a", ""]
CONNECTIONS = ["Upgrade", "x-a", "X-A, X_A", "x-forwarded-port", "X-Forwarded-Port, keep-alive", "x-forwarded-prefix"]
HOSTS = ["a.fr", "a.fr:8080", "[::1]:81", "[::1]", "A.fr."]
PATHS = ["/", "/a%2Fb", "/a%5Cb", "/a%3Bb", "/a%25b", "/a%3Fb", "/a%23b", "/a%00b"]


def _options(chance: random.Random, version: str) -> dict[str, Any]:
    """The options of one entry point, without its address."""
    at = number(version)
    http_options: dict[str, Any] = {}
    point: dict[str, Any] = {}
    if chance.random() < 0.5:
        trusted: list[dict[str, Any]] = [{"insecure": True}, {"trustedIPs": ["127.0.0.2/32", "10.0.0.0/8"]}]
        point["forwardedHeaders"] = chance.choice([*trusted, {"trustedIPs": ["127.0.0.1"]}])
    if chance.random() < 0.2:
        point["asDefault"] = chance.choice([True, False])
    if chance.random() < 0.2:
        http_options["tls"] = chance.choice([True, False, {"certResolver": "none"}])
    if chance.random() < 0.2:
        http_options["middlewares"] = ["one@file", "two@file"]
    if at >= (3, 3, 6) and chance.random() < 0.4:
        http_options["sanitizePath"] = chance.choice([True, False])
    if at >= (3, 2, 0) and chance.random() < 0.3:
        http_options["encodeQuerySemicolons"] = chance.choice([True, False])
    if at >= (3, 6, 4) and chance.random() < 0.6:
        said = chance.sample(CHARACTERS, chance.choice([1, 2, 7]))
        allowed = {f"allowEncoded{name}": chance.choice([True, False]) for name in said}
        http_options["encodedCharacters"] = allowed
    if at >= (3, 7, 6) and chance.random() < 0.5:
        strategy = "aliasHeadersStrategy" if at >= (3, 7, 12) and chance.random() < 0.6 else "underscoreHeadersStrategy"
        http_options[strategy] = chance.choice(["keep", "delete", "reject"])
    return {**point, **({"http": http_options} if http_options else {})}


def _flat(tree: Any, above: str) -> Iterator[tuple[str, str]]:
    """A tree as flags have it."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _flat(value, f"{above}.{name}" if above else str(name))
    elif isinstance(tree, list):
        yield above, ",".join(map(str, tree))
    else:
        yield above, str(tree).lower() if isinstance(tree, bool) else str(tree)


@contextlib.contextmanager
def _running(version: str, static: dict[str, Any], origin: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A Traefik whose options come from one origin: these as the audit collects them."""
    payload: dict[str, Any] = {"container": "traefik", "others": [], "unread": []}
    payload |= {"args": [], "environment": [], "files": {}}
    if origin == "file":
        (folder / "traefik.yml").write_text(yaml.safe_dump(static), "utf-8")
        payload["files"] = {"/traefik.yml": (folder / "traefik.yml").read_text("utf-8")}
    elif origin == "flags":
        payload["args"] = [f"--{name}={value}" for name, value in _flat(static, "")]
    else:
        flat = {name.replace(".", "_").upper(): value for name, value in _flat(static, "")}
        payload["environment"] = [f"TRAEFIK_{name}={value}" for name, value in flat.items()]
    words = [f"--configFile={folder / 'traefik.yml'}"] if origin == "file" else payload["args"]
    environment = dict(line.split("=", 1) for line in payload["environment"])
    with (folder / "output").open("wb") as output:
        command = [programs.program(version), *words]
        running = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env={"HOME": "/", **environment})
    try:
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                routers = programs.api(static["entryPoints"]["traefik"]["address"], "/api/rawdata").get("routers", {})
                if any(name.endswith("@file") for name in routers):
                    break
            assert running.poll() is None, (folder / "output").read_text("utf-8", "replace")[-2000:]
            time.sleep(0.1)
        yield payload
    finally:
        running.terminate()
        running.wait(20)


def _of_api(address: str) -> list[Entrypoint]:
    shown = traefik_objects.entrypoints(programs.api(address, "/api/entrypoints"))
    return sorted(entrypoints(None, TABLES["traefik_entrypoints"].rows(shown)), key=lambda point: point.entrypoint)


def _of_static(payload: dict[str, Any], version: str) -> list[Entrypoint]:
    options = TABLES["traefik_static"].rows(traefik_static.rows(payload).tables["traefik_static"])
    running = Rows([Traefik(url="", version=version)])
    return sorted(entrypoints(options, None, running), key=lambda point: point.entrypoint)


def _handled(points: list[Entrypoint], version: str) -> dict[str, Any]:
    """What entry points do, by name: what they do not say is what their version does."""
    what, told = features(version), {}
    for row, point in zip(points, entry_points(points), strict=True):
        handling = point.handling
        sanitizes = what.sanitizes and handling.sanitizes is not False
        characters = sorted(refused(what, handling))
        trusted = sorted(handling.trusted)
        strategies = (handling.underscores, handling.aliases)
        own = (row.protocol, row.port, row.default, row.tls, row.redirect_to, row.middlewares)
        told[row.entrypoint] = (*own, sanitizes, characters, handling.encodes_semicolons, trusted, strategies)
    return told


def _routers(chance: random.Random, names: list[str]) -> dict[str, dict[str, Any]]:
    """Routers by which one sees the headers that their rules see; no two of an entry point have the same priority."""
    routers = {}
    for name in names:
        for at in range(14):
            header, value = chance.choice(NAMES), chance.choice(VALUES)
            rule = (
                f"Header(`{header}`, `{value}`)"
                if value and chance.random() < 0.7
                else f"HeaderRegexp(`{header}`, `.`)"
            )
            rule = f"!{rule}" if chance.random() < 0.1 else rule
            routers[f"{name}-r{at}"] = {"rule": rule, "priority": 100 - at, "entryPoints": [name], "service": "nobody"}
        routers[f"{name}-all"] = {"rule": "PathPrefix(`/`)", "priority": 1, "entryPoints": [name], "service": "nobody"}
    return routers


def _request(chance: random.Random) -> Request:
    count = chance.choice([1, 1, 2, 3])
    given = [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(count)]
    if chance.random() < 0.3:
        given.append(("Connection", chance.choice(CONNECTIONS)))
    client = chance.choice(["127.0.0.1", "127.0.0.2"])
    return Request(chance.choice(HOSTS), chance.choice(PATHS), headers=tuple(given), client_ip=client)


@pytest.mark.parametrize("origin", ["file", "flags", "environment"])
@pytest.mark.parametrize("version", VERSIONS)
def test_entry_points_and_headers_as_real_traefiks_have_them(version: str, origin: str, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {version} {origin}")
    names = [f"e{at}" for at in range(POINTS)]
    *ports, own = programs.free_ports(POINTS + 1)
    points = {
        name: {"address": f"127.0.0.1:{port}"} | _options(chance, version)
        for name, port in zip(names, ports, strict=True)
    }
    api = f"127.0.0.1:{own}"
    static = {
        "entryPoints": {**points, "traefik": {"address": api}},
        "api": {"insecure": True},
        "providers": {"file": {"filename": str(tmp_path / "dynamic.yml"), "watch": False}},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    routers = _routers(chance, names)
    (tmp_path / "dynamic.yml").write_text(yaml.safe_dump(_dynamic(routers)), "utf-8")
    with _running(version, static, origin, tmp_path) as payload:
        told = _of_static(payload, version)
        assert _handled(told, version) == _handled(_of_api(api), version)
        known = References(sound({"nobody@file"}), None, {})
        declared = {f"{name}@file": router for name, router in routers.items()}
        found = configured(version, list(entry_points(told)), declared, known)
        muxer = Muxer(version, list(entry_points(told)), [one.router for one in found])
        wrong, answers = [], collections.Counter[str]()
        for name, port in zip(names, ports, strict=True):
            # A router with TLS is for connections in TLS.
            for _ in range(0 if "tls" in points[name].get("http", {}) else REQUESTS):
                request = _request(chance)
                decision = muxer.decide(request, name)
                said = {winner.partition("@")[0] for winner in decision.winners} | {str(decision.status)}
                seen = programs.answered(request, port)
                answers["a router" if not seen.isdecimal() else seen] += 1
                if seen not in said:
                    wrong.append((name, points[name], request, said, seen))
    print(f"Traefik {version}, {origin}: {POINTS} entry points, {dict(answers)}, {len(wrong)} differ")  # noqa: T201
    assert wrong == []
    assert answers["a router"] > REQUESTS


def _dynamic(routers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Routers that redirect to their own names, and the middlewares of entry points."""
    middlewares: dict[str, Any] = {
        f"to-{name}": {"redirectRegex": {"regex": "(?s)^.*$", "replacement": f"http://{name}/"}} for name in routers
    }
    middlewares |= {"one": {"addPrefix": {"prefix": "/x"}}, "two": {"addPrefix": {"prefix": "/y"}}}
    nobody = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}
    made = {name: {**router, "middlewares": [f"to-{name}"]} for name, router in routers.items()}
    return {"http": {"routers": made, "middlewares": middlewares, "services": {"nobody": nobody}}}


UDP_ROUTERS: dict[str, dict[str, Any]] = {
    "everywhere": {"service": "there"},
    "named": {"service": "there", "entryPoints": ["dns"]},
    "of-tcp": {"service": "there", "entryPoints": ["web"]},
    "of-both": {"service": "there", "entryPoints": ["web", "dns"]},
    "lost": {},
}


@pytest.mark.parametrize("points", [{"web": "", "dns": "/udp", "game": "/UDP"}, {"web": ""}], ids=["udp", "tcp alone"])
@pytest.mark.parametrize("version", VERSIONS)
def test_routers_of_udp_are_on_the_entry_points_of_udp(version: str, points: dict[str, str], tmp_path: Path) -> None:
    *ports, own = programs.free_ports(len(points) + 1)
    addresses = {name: f"127.0.0.1:{port}{points[name]}" for name, port in zip(points, ports, strict=True)}
    addresses["traefik"] = f"127.0.0.1:{own}"
    balancer = {"there": {"loadBalancer": {"servers": [{"address": "127.0.0.1:1"}]}}}
    site = {"rule": "Host(`a.fr`)", "entryPoints": list(points), "service": "site"}
    dynamic = {
        "http": {"routers": {"site": site}, "services": {"site": {"loadBalancer": {"servers": [{"url": "http://a"}]}}}},
        "tcp": {"routers": {"all": {**site, "rule": "HostSNI(`*`)", "service": "there"}}, "services": balancer},
        "udp": {"routers": UDP_ROUTERS, "services": balancer},
    }
    static = {"entryPoints": {name: {"address": address} for name, address in addresses.items()}}
    with programs.traefik(version, static, dynamic, tmp_path) as address:
        shown = programs.api(address, "/api/rawdata")
    text = (tmp_path / "dynamic.yml").read_text("utf-8")
    files = {"container": "t", "version": version, "path": "/d.yml", "mounts": {}, "gaps": []}
    read = traefik_files.rows({**files, "files": {"/d.yml": {"text": text}}}).tables
    options = {f"entrypoints.{name}.address": address for name, address in addresses.items()}
    options["providers.file.filename"] = "/d.yml"
    rows = [StaticOption(origin="file", key=key, value=value, effective=True) for key, value in options.items()]
    running = Rows([Traefik(url="", version=version)])
    empty = dict.fromkeys(("containers", "container_networks", "labels", "publications"), Rows([]))
    tables = {name: TABLES[name].rows(found) for name, found in read.items()}
    known = {"traefik": running, "traefik_static": Rows(rows), "entrypoints": Rows([*entrypoints(Rows(rows))])}
    found = [*VIEWS["predicted_routers"].compute(**empty, **tables, **known)]
    told = {(row.protocol, row.router): (row.status, set(row.errors or ())) for row in found}
    real = {
        (protocol, name): (one["status"], set(one.get("error") or ()))
        for protocol, kind in (("http", "routers"), ("tcp", "tcpRouters"), ("udp", "udpRouters"))
        for name, one in shown.get(kind, {}).items()
        if name.endswith("@file")
    }
    assert told == real
    of_udp = [row for row in found if row.protocol == "udp"]
    using = {row.router: [name for name in row.entrypoints or () if points.get(name)] for row in of_udp}
    assert using == {name: sorted(one.get("using") or []) for name, one in shown["udpRouters"].items()}
