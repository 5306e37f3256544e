"""The whole collection: whatever the sources do, a snapshot comes out, and it says what was read."""

import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

import auditlib.collect
from auditlib.collect import ALL, assemble, collect, host
from auditlib.collect.source import Outcome, Unreadable, interpret
from auditlib.facts import snapshot
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import Host, SourceStatus
from auditlib.facts.tables.web import HttpProbe
from auditlib.parameters import Parameters
from tests.conftest import MOMENT, PAYLOADS, payload

from .fake_engine import FakeEngine
from .servers import GARBAGE, HANG, HTML, TRUNCATED, Reply, as_json

OF_THE_PROXY = {"tls", "probes"}  # local, and silent without the routes of Traefik
OF_THE_MACHINE = {
    "host",
    "listeners",
    "tls",
    "probes",
    "namespaces",
    "network",
    "disks",
    "docker_access",
    "systemd",
    "compose",
}
OF_THE_ENGINE = {"engine", "traefik_static", "traefik_api", "engine_usage", "acme", "logs", "traefik_files"}
# What these give depends on the machine that runs the tests: an engine of answers has no containers on it.
OF_LUCK = {"namespaces", "systemd", "compose"}
RECORDED = [source for source in ALL if (PAYLOADS / "faulty" / f"{source.name}.json").exists()]
# What the engine alone tells of databases: those of the machine are known without it.
IN_CONTAINERS = {"connection_strings", "exec_commands"}


def states(facts: Snapshot) -> dict[str, str]:
    return {row.source: row.status for row in facts.rows(SourceStatus)}


def reasons(facts: Snapshot) -> dict[str, str]:
    return {row.source: row.reason for row in facts.rows(SourceStatus)}


def assert_absent(facts: Snapshot, sources: set[str], tables: frozenset[str] | set[str] = frozenset()) -> None:
    """The tables that only these sources tell, these tables, and no others, are absent, with a reason."""
    for name, table in ((n, t) for n, t in TABLES.items() if t.source or n == "sources"):
        told_by = {source.name for source in ALL if name in source.tables}
        if table.source and (told_by <= sources or name in tables):
            with pytest.raises(AbsentTable) as absent:
                getattr(facts, name)
            assert absent.value.reason[0].islower()
            assert not absent.value.reason.endswith(".")
        elif table.source not in OF_LUCK:
            assert getattr(facts, name).columns.tolist() == table.names


def assert_kept(facts: Snapshot, folder: Path) -> None:
    """What is written can be read again, and says the same."""
    facts.write(folder)
    again = snapshot.read(folder)
    assert again.rows(SourceStatus) == facts.rows(SourceStatus)
    assert again.absent == facts.absent


@pytest.fixture
def every_fetch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Makes every source fetch by one function."""

    def install(fetch: Callable[..., Any]) -> None:
        monkeypatch.setattr(auditlib.collect, "ALL", tuple(replace(source, fetch=fetch) for source in ALL))

    return install


def refuse(*given: Any) -> Any:
    raise Unreadable("refused", "la lecture est interdite", "la permettre")


def test_every_source_refused(every_fetch: Any, tmp_path: Path) -> None:
    every_fetch(refuse)
    facts = collect(Parameters())
    assert states(facts) == dict.fromkeys((source.name for source in ALL), "refused")
    assert set(facts.absent.values()) == {"la lecture est interdite"}
    assert [row.rows for row in facts.rows(SourceStatus)] == [None] * len(ALL)
    assert_absent(facts, {source.name for source in ALL})
    assert_kept(facts, tmp_path / "instantane")


def test_every_source_hung(every_fetch: Any, tmp_path: Path) -> None:
    released = threading.Event()
    every_fetch(lambda *given: released.wait(30))
    facts = collect(Parameters(timeout_s=0.2))
    released.set()
    # The engine, then the file, then the API, then the proxy: each costs its timeout.
    assert 0.8 <= facts.duration_s < 2
    assert states(facts) == dict.fromkeys((source.name for source in ALL), "failed")
    assert set(reasons(facts).values()) == {"Aucune réponse complète en 0,2 s."}
    assert_absent(facts, {source.name for source in ALL})
    assert_kept(facts, tmp_path / "instantane")


@pytest.mark.parametrize("garbage", [None, [], {}, "texte", 3, {"containers": 3, "sockets": 3, "args": 3}, b"\x00"])
def test_every_source_returning_garbage(every_fetch: Any, tmp_path: Path, garbage: object) -> None:
    every_fetch(lambda *given: garbage)
    facts = collect(Parameters())
    assert states(facts) == dict.fromkeys((source.name for source in ALL), "failed")
    assert all(reason.startswith("La réponse n’a pas la forme attendue (") for reason in reasons(facts).values())
    assert_absent(facts, {source.name for source in ALL})
    assert_kept(facts, tmp_path / "instantane")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {one.name: interpret(one, payload("faulty", one.name)) for one in RECORDED}


@pytest.mark.parametrize("source", [source.name for source in RECORDED])
def test_one_source_fails_and_the_others_go_on(outcomes: dict[str, Outcome], source: str) -> None:
    broken = outcomes[source].source
    failed = Outcome(broken, "failed", "Elle a échoué.", "La réparer.", duration_s=1.23456)
    facts = assemble({**outcomes, source: failed}, None, MOMENT, duration_s=2, zone="UTC")
    assert_absent(facts, {source})
    alone = [name for name in broken.tables if not any(name in one.tables for one in ALL if one is not broken)]
    assert facts.absent == dict.fromkeys(alone, "elle a échoué")
    [row] = [row for row in facts.rows(SourceStatus) if row.source == source]
    assert (row.status, row.reason, row.remedy) == ("failed", "Elle a échoué.", "La réparer.")
    assert (row.duration_s, row.rows) == (1.235, None)


def test_a_source_that_was_read_counts_its_rows(outcomes: dict[str, Outcome]) -> None:
    facts = assemble(outcomes, None, MOMENT, duration_s=2, zone="UTC")
    for row in facts.rows(SourceStatus):
        made = sum(len(rows) for rows in outcomes[row.source].tables.values())
        assert (row.status, row.reason, row.rows) == ("ok", None, made)
    made = sum(len(rows) for outcome in outcomes.values() for rows in outcome.tables.values())
    assert made == sum(len(frame) for name, frame in facts.tables.items() if name != "sources")
    assert (facts.hostname, facts.collected, facts.duration_s) == ("serveur", MOMENT, 2)


@pytest.fixture
def on_this_machine(engine: FakeEngine) -> FakeEngine:
    engine.payload["info"]["Name"] = socket.gethostname()
    return engine


def test_an_engine_of_this_machine(on_this_machine: FakeEngine, address: str, tmp_path: Path) -> None:
    told: list[str] = []
    facts = collect(
        Parameters(docker_host=address, traefik_api="http://127.0.0.1:9"), lambda one: told.append(one.source.name)
    )
    assert sorted(told) == sorted(source.name for source in ALL)
    found = states(facts)
    assert (found["host"], found["engine"], found["traefik_static"], found["traefik_api"]) == (
        "ok",
        "ok",
        "ok",
        "failed",
    )
    assert facts.hostname == facts.rows(Host)[0].name
    assert abs(dt.datetime.now(dt.UTC) - facts.collected) < dt.timedelta(minutes=1)
    # What labels declare is asked of the proxy even so, and nothing answers there.
    assert_absent(facts, {"traefik_api", "logs"})
    assert {row.status for row in facts.rows(HttpProbe)} == {None}
    assert_kept(facts, tmp_path / "instantane")


def test_of_an_engine_elsewhere_the_facts_of_this_machine_are_left_out(address: str) -> None:
    facts = collect(Parameters(docker_host=address, traefik_api="http://127.0.0.1:9"))
    assert facts.hostname == "serveur"
    assert_absent(facts, OF_THE_MACHINE | {"traefik_api", "logs"})
    for source in OF_THE_MACHINE:
        assert states(facts)[source] == "absent"
        assert reasons(facts)[source] == "Le moteur Docker audité est sur une autre machine, serveur."


def test_an_engine_elsewhere_without_description_is_named_by_its_address(engine: FakeEngine, address: str) -> None:
    engine.replies["/info"] = as_json({"message": "no"}, 403)
    facts = collect(Parameters(docker_host=address, traefik_api="http://127.0.0.1:9"))
    assert facts.hostname == address
    assert states(facts)["engine"] == "partial"


@pytest.mark.parametrize("url", ["tcp://nulle-part.invalid:2375", "ssh://audit@nulle-part.invalid"])
def test_an_engine_elsewhere_that_does_not_answer(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = collect(Parameters(docker_host=url))
    assert facts.hostname == "nulle-part.invalid"
    assert_absent(facts, {source.name for source in ALL})


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (as_json({"message": "no"}, 403), "refused"),
        (as_json({"message": "no"}, 500), "failed"),
        (GARBAGE, "failed"),
        (HTML, "failed"),
        (TRUNCATED, "failed"),
        (HANG, "failed"),
        (as_json({}), "failed"),
    ],
    ids=["403", "500", "garbage", "html", "truncated", "hang", "empty"],
)
@pytest.mark.parametrize("route", ["/version", "/containers/json"])
def test_whatever_the_engine_answers(
    engine: FakeEngine, address: str, tmp_path: Path, route: str, reply: Reply, state: str
) -> None:
    engine.replies[route] = reply
    facts = collect(Parameters(docker_host=address, timeout_s=1.5 if reply is HANG else 5))
    assert states(facts)["engine"] == state
    assert {states(facts)[name] for name in ("traefik_static", "traefik_api")} == {"absent"}
    assert states(facts)["host"] == "ok"
    # What Docker takes on the disk is a question of its own.
    own = {"engine_usage"} if route == "/containers/json" else set()
    assert_absent(facts, (OF_THE_ENGINE | OF_THE_PROXY) - own, IN_CONTAINERS)
    assert_kept(facts, tmp_path / "instantane")


@pytest.mark.parametrize("url", ["tcp://[::1", "n'importe quoi", "tcp://serveur:port"])
def test_a_malformed_address_does_not_prevent_the_rest(url: str) -> None:
    facts = collect(Parameters(docker_host=url))
    assert states(facts)["engine"] == "failed"
    assert_absent(facts, OF_THE_ENGINE | OF_THE_PROXY, IN_CONTAINERS)


@pytest.fixture
def localtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets what /etc/localtime points to."""
    resolve = Path.resolve

    def install(target: str) -> None:
        monkeypatch.setattr(
            Path, "resolve", lambda self, *more: Path(target) if str(self) == "/etc/localtime" else resolve(self, *more)
        )

    return install


@pytest.mark.parametrize(
    ("target", "zone"),
    [
        ("/usr/share/zoneinfo/America/Toronto", "America/Toronto"),
        ("/usr/share/zoneinfo/Etc/UTC", "Etc/UTC"),
        ("/usr/share/zoneinfo/Nulle/Part", "UTC"),
        ("/usr/share/zoneinfo/../../etc/passwd", "UTC"),
        ("/etc/localtime", "UTC"),
    ],
)
def test_the_time_zone_of_the_machine(localtime: Callable[[str], None], target: str, zone: str) -> None:
    localtime(target)
    assert auditlib.collect._zone() == zone
    assert ZoneInfo(zone).key == zone


def test_the_host_as_it_is() -> None:
    [row] = host.rows(host.fetch(Parameters(), {})).tables["host"]
    [typed] = TABLES["host"].rows([row])
    assert row.name == socket.gethostname()
    assert row.memory == psutil.virtual_memory().total
    assert abs(typed.booted.timestamp() - psutil.boot_time()) <= 1


def test_a_host_without_a_distribution_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, str]:
        raise FileNotFoundError

    monkeypatch.setattr(host.platform, "freedesktop_os_release", absent)
    assert host.fetch(Parameters(), {})["os"] == "Linux"
