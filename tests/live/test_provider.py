"""Containers full of traps on a real engine, a real Traefik, and the prediction: the same for every one.

The containers are named `tmp-provider-…` and removed afterwards. Their Traefik is a process of the host with
`exposedByDefault`, which the reference server's own Traefik has not: it leaves them alone but for those it must see.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.collect import containers, engine, traefik_api, traefik_static
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.traefik import TraefikServer
from auditlib.parameters import Parameters
from auditlib.views.decisions import DockerDecision
from auditlib.views.predicted import PredictedServer
from tests.conftest import snapshot_of
from tests.testbed.paths import DOCKER_HOST, SOCKET

PREFIX = "tmp-provider-"
# An engine may keep a network whose last container went too fast: each run has its own.
ONE, TWO = (f"{PREFIX}{name}-{os.getpid()}" for name in ("one", "two"))
HTTP = "traefik.http"
TRAEFIK = Path(sys.executable).parent / "traefik"
SICK = ("--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1")


def rule(name: str, host: str = "") -> str:
    return f"{HTTP}.routers.{name}.rule=Host(`{host or name}.test`)"


def port(name: str, number: object) -> str:
    return f"{HTTP}.services.{name}.loadbalancer.server.port={number}"


# Each: labels, then options of `docker run`. The image exposes 6379/tcp; « bare » has none.
TRAPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), ()),
    "compose": (("com.docker.compose.project=mine", "com.docker.compose.service=web"), ()),
    "dotted_name.1": ((), ()),
    "disabled": (("traefik.enable=false", rule("disabled")), ()),
    "enabled-typo": (("traefik.enabled=true",), ()),
    "enable-yes": (("traefik.enable=yes",), ()),
    "docker-typo": ((f"traefik.docker.networks={ONE}",), ()),
    "unknown-field": ((rule("fine"), f"{HTTP}.routers.fine.foo=1"), ()),
    "router-typo": ((f"{HTTP}.router.typo.rule=Host(`typo`)",), ()),
    "root-case": (("Traefik.http.routers.rootcase.rule=Host(`rootcase`)",), ()),
    "field-case": (("traefik.HTTP.Routers.Case.Rule=Host(`case`)", f"{HTTP}.routers.case.EntryPoints=web"), ()),
    "dots": ((f"{HTTP}.routers.my.app.rule=Host(`dots`)",), ()),
    "empty-element": ((f"{HTTP}.routers..rule=Host(`empty`)",), ()),
    "standalone": ((f"{HTTP}.routers=true",), ()),
    "bad-priority": ((rule("badprio"), f"{HTTP}.routers.badprio.priority=high"), ()),
    "priority": ((rule("prio"), f"{HTTP}.routers.prio.priority=-42"), ()),
    "tls-one": ((rule("tlsone"), f"{HTTP}.routers.tlsone.tls=1"), ()),
    "tls-true": ((rule("tlstrue"), f"{HTTP}.routers.tlstrue.tls=TRUE"), ()),
    "tls-false": ((rule("tlsfalse"), f"{HTTP}.routers.tlsfalse.tls=false"), ()),
    "resolver": ((rule("resolver"), f"{HTTP}.routers.resolver.tls.certresolver=nope"), ()),
    "two-networks": ((), ("--network", TWO)),
    "wanted-network": ((f"traefik.docker.network={TWO}",), ("--network", TWO)),
    "missing-network": (("traefik.docker.network=nowhere",), ()),
    "no-network": ((port("none", 80),), ("--net", "none")),
    "host": ((port("host", 8123),), ("--net", "host")),
    "host-no-port": ((), ("--net", "host")),
    "joined": ((port("joined", 9090),), ("--net", f"container:{PREFIX}plain")),
    "no-port": ((rule("noport"),), ("bare",)),
    "bad-port": ((port("badport", "abc"),), ("bare",)),
    "many-ports": ((), ("--expose", "443", "--expose", "1900/udp", "--expose", "53/udp")),
    "url": ((f"{HTTP}.services.url.loadbalancer.server.url=http://10.9.9.9:99",), ("bare",)),
    "url-and-port": ((f"{HTTP}.services.urlport.loadbalancer.server.url=http://10.9.9.9", port("urlport", 80)), ()),
    "scheme": ((f"{HTTP}.services.scheme.loadbalancer.server.scheme=https",), ()),
    "two-services": ((rule("two"), port("first", 1), port("second", 2)), ()),
    "two-services-no-router": ((port("third", 1), port("fourth", 2)), ()),
    "two-services-named": (
        (rule("named"), f"{HTTP}.routers.named.service=fifth", port("fifth", 5), port("sixth", 6)),
        (),
    ),
    "twice-a": ((rule("twice", "a"),), ()),
    "twice-b": ((rule("twice", "b"),), ()),
    "merged-a": ((rule("mergeda"), port("merged", 1)), ()),
    "merged-b": ((rule("mergedb"), port("merged", 2)), ()),
    "clash-a": ((rule("clasha"), port("clash", 1)), ()),
    "clash-b": ((rule("clashb"), port("clash", 1), f"{HTTP}.services.clash.loadbalancer.passhostheader=false"), ()),
    "default-said": ((rule("defa"), port("same", 1), f"{HTTP}.services.same.loadbalancer.passhostheader=true"), ()),
    "default-kept": ((rule("defb"), port("same", 1)), ()),
    "users-a": ((rule("usersa"), f"{HTTP}.middlewares.users.basicauth.users=a:$$apr1$$x"), ()),
    "users-b": ((rule("usersb"), f"{HTTP}.middlewares.users.basicauth.users=b:$$apr1$$y"), ()),
    "sticky": ((rule("sticky"), f"{HTTP}.services.sticky.loadbalancer.sticky.cookie=true", port("sticky", 1)), ()),
    "middleware-only": ((f"{HTTP}.middlewares.shared.headers.customrequestheaders.X-A=1",), ()),
    "middleware-used": ((rule("used"), f"{HTTP}.routers.used.middlewares=nofile@file, shared"), ()),
    "service-missing": ((rule("missing"), f"{HTTP}.routers.missing.service=nothing"), ()),
    "entrypoint-missing": ((rule("nowhere"), f"{HTTP}.routers.nowhere.entrypoints=Web"), ()),
    "entrypoint-both": ((rule("both"), f"{HTTP}.routers.both.entrypoints=web, nope"), ()),
    "rule-broken": ((f"{HTTP}.routers.broken.rule=Host(`broken`",), ()),
    "rule-empty": ((f"{HTTP}.routers.norule.entrypoints=web",), ()),
    "tcp": (("traefik.tcp.routers.tcp.rule=HostSNI(`*`)", "traefik.tcp.services.tcp.loadbalancer.server.port=5"), ()),
    "tcp-no-rule": (("traefik.tcp.routers.tcpnorule.entrypoints=web",), ()),
    "udp": (("traefik.udp.routers.udp.entrypoints=dns", "traefik.udp.services.udp.loadbalancer.server.port=53"), ()),
    "sick": ((rule("sick"),), SICK),
    "starting": ((rule("starting"),), ("--health-cmd", "true", "--health-interval", "1h")),
    "plugin": ((rule("plugin"), f"{HTTP}.middlewares.plug.plugin.demo.token=x"), ()),
    "other-prefix": (("traefik.frontend.rule=Host:old", "traefik.port=80"), ()),
    "left-out": (("traefik.tier=left-out", rule("leftout")), ()),
    "stopped": ((rule("stopped"),), ()),
    "paused": ((rule("paused"),), ()),
    "allowed": ((rule("allowed"), "traefik.docker.allownonrunning=true"), ()),
}

OPTIONS = (
    "--log.level=DEBUG",
    "--api.insecure=true",
    f"--providers.docker.endpoint={DOCKER_HOST}",
    # Those of the reference server, and the one left out, are not ours.
    "--providers.docker.constraints=Label(`traefik.tier`, ``) && LabelRegex(`com.docker.compose.project`, `^(mine)?$`)",
    "--providers.docker.defaultrule=Host(`{{ normalize .Name }}.{{ index .Labels "
    '"com.docker.compose.project" }}.test`)',
)


def docker(*words: str, check: bool = True) -> str:
    command = ["docker", "-H", DOCKER_HOST, *words]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout.strip()


def image(name: str) -> str:
    return docker("images", "--format", "{{.Repository}}:{{.Tag}}", name).splitlines()[0]


def start(name: str, labels: tuple[str, ...], options: tuple[str, ...]) -> None:
    bare = "bare" in options
    given = [word for word in options if word != "bare"]
    network = [] if "--net" in given or "--network" in given else ["--network", ONE]
    if given[:1] == ["--network"]:
        given, network = given[2:], ["--network", ONE]
    marks = [word for label in labels for word in ("--label", label.replace("$$", "$"))]
    words = ["create", "--init", "--name", PREFIX + name, *network, *given, *marks, "--stop-timeout", "0"]
    docker(*words, "--entrypoint", "sleep", image("testbed/base" if bare else "redis"), "900")
    if "--network" in options:
        docker("network", "connect", TWO, PREFIX + name)
    docker("start", PREFIX + name)


def remove() -> None:
    for name in docker("ps", "-aq", "--filter", f"name=^/?{PREFIX}").split():
        docker("rm", "-f", name, check=False)
    for network in docker("network", "ls", "-q", "--filter", f"name=^{PREFIX}").split():
        docker("network", "rm", network, check=False)


@pytest.fixture(scope="module")
def traps(request: pytest.FixtureRequest) -> Iterator[None]:
    """All the containers, in the state they are meant to be in."""
    if not SOCKET.exists():
        bring_up: Callable[[str], None] = request.getfixturevalue("bring_up")
        bring_up("faulty")
    remove()
    try:
        for network in (ONE, TWO):
            docker("network", "create", network)
        start("plain", *TRAPS["plain"])
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda one: start(one, *TRAPS[one]), [name for name in TRAPS if name != "plain"]))
        docker("stop", "-t", "0", f"{PREFIX}stopped", f"{PREFIX}allowed")
        docker("pause", f"{PREFIX}paused")
        until(lambda: docker("inspect", "-f", "{{.State.Health.Status}}", f"{PREFIX}sick") == "unhealthy")
        yield
    finally:
        docker("unpause", f"{PREFIX}paused", check=False)
        remove()


def until(answer: Callable[[], bool], patience_s: float = 30) -> None:
    end = time.monotonic() + patience_s
    while not answer():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def facts(traps: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """What the sources say of these containers and of their Traefik, and Traefik's log as the table `log`."""
    api = free_port()
    points = (
        f"--entrypoints.web.address=127.0.0.1:{free_port()}",
        f"--entrypoints.dns.address=127.0.0.1:{free_port()}/udp",
        f"--entrypoints.traefik.address=127.0.0.1:{api}",
    )
    log = tmp_path_factory.mktemp("traefik") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([TRAEFIK, *OPTIONS, *points], stdout=output, stderr=output, cwd=log.parent)
        try:
            until(lambda: loaded(api))
            yield snapshot(api, [*OPTIONS, *points])
        finally:
            process.terminate()
            process.wait(10)


def loaded(api: int) -> bool:
    with contextlib.suppress(httpx.HTTPError, ValueError):
        services = httpx.get(f"http://127.0.0.1:{api}/api/rawdata").json().get("services", {})
        return any(name.endswith("@docker") for name in services)
    return False


def snapshot(api: int, flags: list[str]) -> Snapshot:
    parameters = Parameters(docker_host=DOCKER_HOST, traefik_api=f"http://127.0.0.1:{api}")
    payload = engine.fetch(parameters, {})
    tables = containers.rows(payload).tables
    payload_api = traefik_api.fetch(parameters, {"engine": None, "traefik_static": None})
    tables |= traefik_api.rows(payload_api).tables
    static = {"container": None, "origin": "flags", "effective": True}
    options = dict(traefik_static.parse_flags(flags))
    return snapshot_of(**tables, traefik_static=[{**static, "key": k, "value": v} for k, v in options.items()])


def by_name(facts: Snapshot, table: str, kind: str) -> dict[tuple[str, str], Any]:
    """The rows of a table whose names, in the column `kind`, are of the Docker provider, by protocol and name."""
    rows: Iterable[Any] = facts.named(table)
    return {(row.protocol, getattr(row, kind)): row for row in rows if getattr(row, kind).endswith("@docker")}


@pytest.mark.parametrize("kind", ["router", "service", "middleware"])
def test_the_names_are_those_of_the_api(facts: Snapshot, kind: str) -> None:
    assert set(by_name(facts, f"predicted_{kind}s", kind)) == set(by_name(facts, f"traefik_{kind}s", kind))


def test_the_routers_are_those_of_the_api(facts: Snapshot) -> None:
    made, real = by_name(facts, "predicted_routers", "router"), by_name(facts, "traefik_routers", "router")
    assert len(real) > 30
    for key, row in real.items():
        for column in ("rule", "service", "middlewares", "tls", "cert_resolver", "status"):
            assert getattr(made[key], column) == getattr(row, column), (key, column)
        if row.status != "disabled":
            assert made[key].priority == row.priority, key
            assert [*made[key].entrypoints][:1] == [*row.entrypoints][:1], key
        if "rule" not in str(row.errors):
            assert made[key].errors == row.errors, key


def test_the_servers_are_possible_ones(facts: Snapshot) -> None:
    made = facts.rows(PredictedServer)
    for key in by_name(facts, "traefik_services", "service"):
        mine = [row for row in made if (row.protocol, row.service) == key]
        real = {row.url for row in facts.rows(TraefikServer) if (row.protocol, row.service) == key}
        assert real <= {row.url for row in mine}, key
        assert {row.url for row in mine if row.certain} <= real, key


def test_each_trap_catches_what_it_must(facts: Snapshot) -> None:
    rows = {row.container.removeprefix(PREFIX): row for row in facts.rows(DockerDecision)}
    told = {name: (rows[name].decision, rows[name].step) for name in TRAPS}
    assert told["plain"] == told["tls-one"] == told["host"] == told["joined"] == ("routed", "routed")
    assert told["twice-a"] == told["twice-b"] == ("dropped", "conflict")
    assert told["sick"] == told["starting"] == ("filtered", "health")
    assert told["stopped"] == told["paused"] == ("filtered", "stopped")
    assert told["enable-yes"] == ("dropped", "options")
    assert told["dots"] == told["standalone"] == ("dropped", "labels")
    assert told["no-network"] == ("dropped", "address")
    assert told["no-port"] == told["host-no-port"] == ("dropped", "port")
    assert "unknown" not in {outcome for outcome, _ in told.values()}
