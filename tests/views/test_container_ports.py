"""Ports inside containers: listened to, declared, published, and what is missing of the three."""

from typing import Any

from auditlib.facts.snapshot import Snapshot
from auditlib.report import conclusions
from auditlib.views.ports import ITSELF, NETWORKS
from tests.conftest import snapshot_of
from tests.frames import rows

COLUMNS = ("container", "port", "protocol", "listening", "processes", "reach", "declared", "published")


def listener(container: str | None, port: int, address: str = "0.0.0.0", **more: Any) -> dict[str, Any]:
    where = {"network_of": container, "protocol": "tcp", "family": "ipv4", "address": address, "port": port}
    return {"container": container, **where, "process": "python", "uid": 0, **more}


def published(container: str, port: int, on: int, *, live: bool = True) -> dict[str, Any]:
    place = {"container": container, "protocol": "tcp", "container_port": port, "host_ip": "0.0.0.0", "host_port": on}
    return {**place, "live": live}


def container(name: str, *exposed: str, state: str = "running", mode: str = "web") -> dict[str, Any]:
    return {"name": name, "state": state, "exposed_ports": list(exposed), "network_mode": mode}


def facts(listeners: list[Any], *containers: dict[str, Any], publications: Any = ()) -> Snapshot:
    return snapshot_of(container_listeners=listeners, containers=list(containers), publications=list(publications))


def test_a_port_that_is_listened_to_declared_and_published() -> None:
    snapshot = facts(
        [listener("api", 80), listener("api", 80, "::")],
        container("api", "80/tcp"),
        publications=[published("api", 80, 8080), published("api", 80, 443)],
    )
    assert rows(snapshot.container_ports, *COLUMNS) == [
        ("api", 80, "tcp", True, ("python",), NETWORKS, True, ("443", "8080"))
    ]


def test_a_port_that_nobody_listens_on_is_said() -> None:
    snapshot = facts(
        [listener("api", 80)],
        container("api", "80/tcp", "8000-8001/tcp"),
        publications=[published("api", 8000, 8000), published("api", 8001, 8001, live=False)],
    )
    assert [row[:4] for row in rows(snapshot.container_ports, *COLUMNS)] == [
        ("api", 80, "tcp", True),
        ("api", 8000, "tcp", False),
        ("api", 8001, "tcp", False),
    ]
    sentences = conclusions.conclude(snapshot, conclusions.ports)
    assert sentences[-1] == "Publié, mais rien n’y écoute dans le conteneur : api 8000/tcp."


def test_a_port_for_the_container_alone() -> None:
    snapshot = facts([listener("api", 9000, "127.0.0.1"), listener("api", 9001, "::1")], container("api"))
    assert rows(snapshot.container_ports, "port", "reach") == [(9000, ITSELF), (9001, ITSELF)]


def test_a_container_that_was_not_read_is_not_accused() -> None:
    snapshot = facts([], container("api", "80/tcp"), publications=[published("api", 80, 8080)])
    assert rows(snapshot.container_ports, "port", "listening") == [(80, None)]
    assert not [one for one in conclusions.conclude(snapshot, conclusions.ports) if "n’y écoute" in one]


def test_what_other_containers_declare_is_not_theirs() -> None:
    snapshot = facts(
        [],
        container("stopped", "80/tcp", state="exited"),
        container("agent", "80/tcp", mode="host"),
        container("side", "80/tcp", mode="container:abc"),
    )
    assert len(snapshot.container_ports) == 0


def test_a_shared_network_names_all_when_who_listens_is_unknown() -> None:
    snapshot = facts([listener(None, 80, network_of="app, vpn", process=None)], container("app"), container("vpn"))
    assert rows(snapshot.container_ports, "container", "port", "processes") == [("app, vpn", 80, ())]


def test_the_reference_server_listens_where_it_publishes(faulty: Snapshot) -> None:
    found = rows(faulty.container_ports, "container", "port", "listening", "published")
    assert ("traefik", 443, True, ("443",)) in found
    assert ("ai-orchestrator-frontend", 80, True, ("8002",)) in found
    assert [row for row in found if row[3] and row[2] is not True] == []


def test_failed_units_are_said() -> None:
    snapshot = snapshot_of(
        containers=[], container_networks=[], publications=[], units=[{"unit": "a.service", "active": "failed"}]
    )
    assert conclusions.conclude(snapshot, conclusions.inventory)[-1] == "Unité systemd en échec : a.service."


def test_a_declared_port_of_a_shared_network_is_listened_to_when_who_listens_is_unknown() -> None:
    shared = listener(None, 80, network_of="app, vpn", process=None)
    told = rows(facts([shared], container("app", "80/tcp"), container("vpn", "443/tcp")).container_ports, *COLUMNS[:4])
    assert ("app", 80, "tcp", True) in told
    assert ("vpn", 443, "tcp", False) in told
