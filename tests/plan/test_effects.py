"""What each act changes in the tables: what tells of it, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from auditlib.compose.overrides import Override
from auditlib.compose.ports import PublishedPort
from auditlib.compose.written import Unsafe
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.databases import ConnectionString
from auditlib.facts.tables.docker import ContainerNetwork, Publication
from auditlib.facts.tables.host import DockerSocket
from auditlib.facts.tables.web import AcmeStorage
from auditlib.findings.audit import audit as judge
from auditlib.plan.acts.act import Act, Edit
from auditlib.plan.acts.containers import Name, Restart
from auditlib.plan.acts.networks import Create, Join, Leave
from auditlib.plan.acts.ports import Publish
from auditlib.plan.acts.rights import Mode, Owner
from auditlib.plan.acts.traefik import Flag, Label
from auditlib.plan.effects import applied
from tests.conftest import snapshot_of


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    return {name for name in before.tables if before.tables[name] != after.tables.get(name)}


def of(facts: Snapshot, table: str, **wanted: Any) -> list[Any]:
    return [row for row in facts.named(table) if all(getattr(row, name) == value for name, value in wanted.items())]


def test_a_port_moves_to_the_loopback(faulty: Snapshot) -> None:
    after = applied(faulty, Publish("chromadb", "chromadb", PublishedPort("tcp", 8000, 8000), ("127.0.0.1", 8000)))
    assert [row.host_ip for row in of(after, "publications", container="chromadb")] == ["127.0.0.1"]
    assert [row.address for row in of(after, "listeners", container="chromadb")] == ["127.0.0.1"]
    assert [row.host_ip for row in of(after, "compose_ports", service="chromadb")] == ["127.0.0.1"]
    assert [row.ports for row in of(after, "compose_services", service="chromadb")] == [("127.0.0.1:8000:8000",)]
    assert [row.addresses for row in of(after, "databases", database="chromadb")] == [("127.0.0.1:8000",)]
    assert changed(faulty, after) == {"publications", "listeners", "databases", "compose_ports", "compose_services"}


def test_a_port_is_published_no_more(faulty: Snapshot) -> None:
    after = applied(faulty, Publish("chromadb", "chromadb", PublishedPort("tcp", 8000, 8000), None))
    assert of(after, "publications", container="chromadb") == []
    [base] = of(after, "databases", database="chromadb")
    assert (base.addresses, base.published) == ((), False)


def test_a_file_that_does_not_run_changes_alone(faulty: Snapshot) -> None:
    disk = ("/home/lalpha/projets", "ai-tools/ai-orchestrator/docker-compose.legacy.yml")
    after = applied(faulty, Publish(None, "backend", PublishedPort("tcp", 8002, 8001), ("", 8003), disk=disk))
    assert {row.host_port for row in of(after, "compose_ports", service="backend")} == {8003}
    assert changed(faulty, after) == {"compose_ports", "compose_services"}


def test_a_stopped_container_publishes_nothing_yet() -> None:
    base = {"container": "a", "protocol": "tcp", "container_port": 80, "host_ip": "0.0.0.0", "host_port": 80}
    facts = snapshot_of(publications=[{**base, "live": False}])
    after = applied(facts, Publish("a", "a", PublishedPort("tcp", 80, 80), ("", 8080)))
    assert [(row.host_ip, row.host_port, row.live) for row in after.rows(Publication)] == [
        ("0.0.0.0", 8080, False),
        ("::", 8080, False),
    ]
    assert set(after.tables) == set(facts.tables)


def test_a_network_joined_is_what_traefik_takes(faulty: Snapshot) -> None:
    after = applied(faulty, Join("jsr-dev", "jsr-dev", "unified-net"))
    [place] = of(after, "container_networks", container="jsr-dev", network="unified-net")
    assert place.ipv4 not in {row.ipv4 for row in faulty.rows(ContainerNetwork)}
    assert place.ipv4.startswith("192.168.200.")
    [server] = of(after, "traefik_servers", container="jsr-dev")
    assert (server.network, server.url) == ("unified-net", f"http://{place.ipv4}:80")
    assert changed(faulty, after) == {"container_networks", "compose_services", "traefik_servers"}


def test_a_network_left_hides_a_database_from_its_clients(faulty: Snapshot) -> None:
    alone = Leave("redis", "redis", "unified-net")
    after = applied(faulty, alone)
    [string] = of(after, "connection_strings", variable="REDIS_URL")
    assert (string.target, string.targets, string.networks) == ("unresolved", (), ())
    assert [one.identity for one in judge(after).live if one.check == "DB-006"] == ["DB-006|container=media-api"]
    # Both on another network first, nothing is lost: whatever the order in which the acts are given.
    create = Create("redis-net", internal=True)
    joins = [Join(name, name, "redis-net") for name in ("redis", "media-api")]
    together = applied(faulty, create, alone, *joins)
    [string] = of(together, "connection_strings", variable="REDIS_URL")
    assert (string.target, string.networks) == ("container", ("redis-net",))
    assert of(together, "networks", name="redis-net")[0].internal


def test_a_name_changes_wherever_the_container_is_told(faulty: Snapshot) -> None:
    after = applied(faulty, Name("redis", "redis", "unified-redis"))
    for table in ("containers", "container_networks", "labels", "databases", "container_listeners"):
        column = "name" if table == "containers" else "container"
        assert "redis" not in set(getattr(after, table)[column].dropna())
        assert "unified-redis" in set(getattr(after, table)[column].dropna())
    [place] = of(after, "container_networks", container="unified-redis")
    assert place.aliases == ("unified-redis", "redis")
    [string] = of(after, "connection_strings", variable="REDIS_URL")
    assert (string.host, string.targets) == ("redis", ("unified-redis",))
    assert of(after, "compose_services", service="redis")[0].container_name == "unified-redis"
    assert "unified-stack-redis-1" in set(applied(faulty, Name("redis", "redis", None)).containers["name"])


def test_a_client_that_used_the_name_of_the_container_loses_it(faulty: Snapshot) -> None:
    strings = [
        replace(row, host="cache", targets=("cache",)) if row.host == "redis" else row
        for row in faulty.rows(ConnectionString)
    ]
    called = applied(faulty, Name("redis", "redis", "cache")).changed({"connection_strings": strings})
    after = applied(called, Name("cache", "redis", "autre"))
    assert "DB-006" in {one.check for one in judge(after).live}


def test_a_label_changes_what_traefik_must_load(faulty: Snapshot) -> None:
    label = "traefik.http.routers.jsr-dev.middlewares"
    after = applied(faulty, Label("jsr-dev", "jsr-dev", label, "security-headers@file"))
    assert of(after, "labels", container="jsr-dev", label=label)[0].value == "security-headers@file"
    assert of(after, "compose_labels", service="jsr-dev", label=label)[0].value == "security-headers@file"
    assert of(after, "traefik_routers", router="jsr-dev@docker")[0].middlewares == ("security-headers@file",)
    [probe] = of(after, "http_probes", url="https://jsr.4lb.ca/")
    assert probe.content_type_options == "nosniff"
    # A middleware that gives no header gives none in the simulation either.
    other = applied(faulty, Label("jsr-dev", "jsr-dev", label, "geoblock@file"))
    assert of(other, "http_probes", url="https://jsr.4lb.ca/") == of(faulty, "http_probes", url="https://jsr.4lb.ca/")
    # What was not asked of the routes stays unknown.
    silent = faulty.changed({}, {"http_probes": "elle n’a pas été lue"})
    assert "http_probes" not in applied(silent, Label("jsr-dev", "jsr-dev", label, "security-headers@file")).tables
    off = applied(faulty, Label("jsr-dev", "jsr-dev", "traefik.enable", "false"))
    assert of(off, "traefik_routers", router="jsr-dev@docker") == []


def test_without_the_option_the_api_is_known_no_more(faulty: Snapshot) -> None:
    after = applied(faulty, Flag("traefik", "traefik", "api.insecure", None))
    assert "api.insecure" not in set(after.traefik_static["key"])
    assert "traefik_routers" not in after.tables
    assert "n’est plus servie" in after.absent["traefik_routers"]
    other = applied(faulty, Flag("traefik", "traefik", "log.level", "DEBUG"))
    assert of(other, "traefik_static", key="log.level")[0].value == "DEBUG"
    assert changed(faulty, other) == {"traefik_static"}


def test_rights_and_restarts(faulty: Snapshot) -> None:
    path = faulty.rows(DockerSocket)[0].path
    after = applied(faulty, Mode(path, "666", "660"), Owner(path, "a:b", "root:docker"))
    [socket] = of(after, "docker_sockets", path=path)
    assert (socket.mode, socket.owner, socket.group) == ("660", "root", "docker")
    storage = faulty.rows(AcmeStorage)[0]
    after = applied(faulty, Mode(storage.host_path, storage.mode, "640", "traefik"))
    assert after.rows(AcmeStorage)[0].mode == "640"
    assert changed(faulty, after) == {"acme_storage"}
    after = applied(faulty, Restart("redis", "redis", "always"))
    assert of(after, "containers", name="redis")[0].restart_policy == "always"
    assert changed(faulty, after) == {"containers", "compose_services"}


ACTS: list[Act] = [
    Join("a", "a", "n"),
    Leave("a", "a", "n"),
    Publish("a", "a", PublishedPort("tcp", 1, 1), None),
    Publish("a", "a", PublishedPort("tcp", 1, 1), ("", 2)),
    Publish("a", "a", PublishedPort("tcp", 1, 1), ("::1", 1)),
    Name("a", "a", None),
    Name("a", "a", "b"),
    Label("a", "a", "l", "v"),
    Label("a", "a", "l", "v", "m"),
    Flag("a", "a", "f", None),
    Flag("a", "a", "f", "v"),
    Restart("a", "a", "always"),
    Mode("/a", "666", "660"),
    Owner("/a", "a:a", "root:docker"),
    Create("n", internal=True),
]


@pytest.mark.parametrize("act", ACTS)
def test_every_act_has_its_sentence_and_its_effect_on_nothing(act: Act) -> None:
    assert act.describe().endswith(".")
    assert set(applied(snapshot_of(), act).tables) == {"sources"}
    assert act.writable


@pytest.mark.parametrize("act", [Leave("a", "a", "n"), Flag("a", "a", "f", None), Label("a", "a", "l", "v", "m")])
def test_what_takes_away_is_for_the_files_alone(act: Edit) -> None:
    with pytest.raises(Unsafe, match="n’en retire rien"):
        act.override(Override({}))
