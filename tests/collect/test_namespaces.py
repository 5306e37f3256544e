"""The sockets inside containers: which process may be believed, whose a namespace is, and who depends on whom."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from auditlib.collect import dependencies, namespaces, processes
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.docker import Connection, Container, ContainerListener
from auditlib.parameters import Parameters
from tests.conftest import payload
from tests.frames import rows

A, B, C, D = (digit * 64 for digit in "abcd")

# A line of /proc/net/tcp of a little-endian machine; tests that read such lines put their own order.
_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def _word(address: str) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def _line(local: str, remote: str = "0.0.0.0:0", inode: int = 0) -> str:
    ends = [f"{_word(end.split(':')[0])}:{int(end.split(':')[1]):04X}" for end in (local, remote)]
    state = "0A" if remote == "0.0.0.0:0" else "01"
    return f"   0: {ends[0]} {ends[1]} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100\n"


class FakeProc:
    """A `/proc` of a few processes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(root))
        monkeypatch.setattr(namespaces, "own_processes", lambda: {999})
        (root / "sys/net/ipv4").mkdir(parents=True)
        (root / "sys/net/ipv4/ip_local_port_range").write_text("32768\t60999\n")

    def process(
        self, pid: int | str, container: str | None, net: str, *lines: str, holds: tuple[int, ...] = ()
    ) -> None:
        folder = self.root / str(pid)
        for name in ("ns", "fd", "net"):
            (folder / name).mkdir(parents=True)
        # A hard link has the same number: the same namespace.
        namespace = self.root / f"namespace-{net}"
        namespace.touch()
        os.link(namespace, folder / "ns/net")
        (folder / "net/tcp").write_text(_HEAD + "".join(lines))
        (folder / "cgroup").write_text(f"0::/system.slice/docker-{container}.scope\n" if container else "0::/\n")
        for number, inode in enumerate(holds):
            (folder / f"fd/{number}").symlink_to(f"socket:[{inode}]")

    def hide_namespaces(self) -> None:
        for link in self.root.glob("*/ns/net"):
            link.unlink()


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    return FakeProc(tmp_path / "proc", monkeypatch)


def container(name: str, identifier: str, pid: int, mode: str = "reseau", ip: str | None = None) -> dict[str, Any]:
    networks = {"reseau": {"IPAddress": ip}} if ip else {}
    return {
        "Id": identifier,
        "Name": f"/{name}",
        "State": {"Status": "running", "Running": True, "Pid": pid},
        "Config": {"Image": f"{name}:1"},
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks, "Ports": {}},
    }


def fetch(*containers: dict[str, Any]) -> dict[str, Any]:
    engine = {
        "endpoint": "unix:///x",
        "version": {"Version": "1", "ApiVersion": "1"},
        "local": True,
        "gaps": [],
        "networks": [],
        "containers": [*containers],
    }
    return namespaces.fetch(Parameters(), {"engine": engine})


def read(*containers: dict[str, Any]) -> Reading:
    return dependencies.rows(fetch(*containers))


def listens(reading: Reading) -> list[tuple[Any, ...]]:
    return [(row.container, row.network_of, row.port, row.pid) for row in reading.tables["container_listeners"]]


def test_a_namespace_is_read_through_the_container_s_first_process(proc: FakeProc) -> None:
    proc.process("self", None, "machine")
    proc.process(10, A, "a", _line("0.0.0.0:80", inode=7), holds=(7,))
    assert listens(read(container("web", A, 10))) == [("web", "web", 80, 10)]


def test_a_number_used_again_is_not_believed(proc: FakeProc) -> None:
    proc.process("self", None, "machine")
    proc.process(10, B, "b", _line("0.0.0.0:80"))
    proc.process(11, C, "c", _line("0.0.0.0:81"))
    reading = read(container("gone", A, 10), container("here", C, 11))
    assert listens(reading) == [("here", "here", 81, None)]
    assert reading.gaps[0] == "les sockets de gone n’ont pas été lus : le processus est arrêté, remplacé ou caché"


def test_a_process_gone_since_is_a_gap(proc: FakeProc) -> None:
    proc.process("self", None, "machine")
    proc.process(11, C, "c", _line("0.0.0.0:81"))
    (proc.root / "11/net/tcp").unlink()
    with pytest.raises(Unreadable) as caught:
        read(container("here", C, 11))
    assert caught.value.reason == "les sockets de here n’ont pas été lus : le processus est arrêté, remplacé ou caché"


@pytest.mark.parametrize("hidden", [False, True], ids=["by its number", "by the network mode"])
def test_the_network_of_the_machine_is_not_read_as_a_container_s(proc: FakeProc, hidden: bool) -> None:
    proc.process("self", None, "machine", _line("0.0.0.0:22"))
    proc.process(10, A, "machine", _line("0.0.0.0:22"))
    proc.process(11, B, "b", _line("0.0.0.0:81"))
    if hidden:
        proc.hide_namespaces()
    assert listens(read(container("agent", A, 10, "host"), container("here", B, 11))) == [("here", "here", 81, None)]


@pytest.mark.parametrize("hidden", [False, True], ids=["by its number", "by the network mode"])
@pytest.mark.parametrize("mode", [f"container:{A}", "container:vpn", f"container:{A[:12]}"])
def test_a_shared_namespace_is_read_once_and_attributed_by_process(proc: FakeProc, mode: str, hidden: bool) -> None:
    lines = (_line("0.0.0.0:80", inode=7), _line("0.0.0.0:81", inode=8), _line("0.0.0.0:82", inode=9))
    proc.process("self", None, "machine")
    proc.process(10, A, "a", *lines, holds=(7,))
    proc.process(11, B, "a", *lines, holds=(8,))
    if hidden:
        proc.hide_namespaces()
    shared = "app, vpn"
    assert listens(read(container("vpn", A, 10), container("app", B, 11, mode))) == [
        ("vpn", shared, 80, 10),
        ("app", shared, 81, 11),
        (None, shared, 82, None),
    ]


def test_a_chain_and_a_loop_of_network_modes_end() -> None:
    def row(name: str, identifier: str, mode: str) -> Container:
        return Container(name=name, id=identifier, network_mode=mode)

    chain = [row("a", A, f"container:{B}"), row("b", B, f"container:{C}"), row("c", C, "host")]
    assert [namespaces._owner_by_mode(one, chain) for one in chain] == ["host"] * 3
    loop = [row("a", A, f"container:{B}"), row("b", B, f"container:{A}")]
    assert namespaces._owner_by_mode(loop[0], loop) == A
    assert namespaces._owner_by_mode(row("d", D, "container:gone"), []) == "gone"


def test_docker_s_dns_and_the_audit_are_left_out(proc: FakeProc) -> None:
    lines = (_line("127.0.0.11:4000", inode=1), _line("0.0.0.0:80", inode=2), _line("0.0.0.0:81", inode=3))
    proc.process("self", None, "machine")
    proc.process(10, A, "a", *lines, holds=(2,))
    proc.process(999, None, "machine", holds=(3,))
    assert listens(read(container("web", A, 10))) == [("web", "web", 80, 10)]


def test_a_question_that_ended_while_its_holder_was_looked_for_is_left_out(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = _line("127.0.0.1:41000", "127.0.0.1:3306", inode=5)
    proc.process("self", None, "machine", kept, _line("127.0.0.1:41001", "127.0.0.1:3306", inode=6))
    holders = processes.holders

    def slowly(inodes: set[int], root: Path) -> dict[int, list[int]]:
        (proc.root / "self/net/tcp").write_text(_HEAD + kept)
        return holders(inodes, root)

    monkeypatch.setattr(processes, "holders", slowly)
    [machine] = fetch()["namespaces"]
    assert [one[3] for one in machine["sockets"]] == [41000]


def test_too_many_sockets(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "MAX_SOCKETS", 3)
    proc.process("self", None, "machine", _line("0.0.0.0:22"), _line("0.0.0.0:23"))
    proc.process(10, A, "a", _line("0.0.0.0:80"), _line("0.0.0.0:81"))
    reading = read(container("web", A, 10))
    assert listens(reading) == [("web", "web", 80, None)]
    assert "il y a trop de sockets : seuls les 3 premiers ont été lus" in reading.gaps


def test_without_an_engine_of_this_machine() -> None:
    with pytest.raises(Unreadable, match="n’a pas été lu"):
        namespaces.fetch(Parameters(), {"engine": None})
    with pytest.raises(Unreadable, match="autre machine"):
        namespaces.fetch(Parameters(), {"engine": {"local": False}})


# Who depends on whom


def listening(address: str, port: int, pid: int | None = None, protocol: str = "tcp") -> list[Any]:
    return [protocol, "ipv6" if ":" in address else "ipv4", address, port, None, None, 0, pid]


def connected(local: str, port: int, peer: str, peer_port: int, pid: int | None = None) -> list[Any]:
    return ["tcp", "ipv6" if ":" in local else "ipv4", local, port, peer, peer_port, 0, pid]


PROCESSES = [
    {"pid": 1, "name": "python", "cgroup": f"0::/system.slice/docker-{A}.scope"},
    {"pid": 2, "name": "redis-server", "cgroup": f"0::/docker/{B}"},
    {"pid": 3, "name": "uvicorn", "cgroup": "0::/system.slice/backend.service"},
    {"pid": 4, "name": "docker-proxy", "cgroup": "0::/system.slice/docker.service"},
    {"pid": 5, "name": "curl", "cgroup": "0::/user.slice/user-1000.slice"},
    {"pid": 6, "name": "agent", "cgroup": f"0::/docker/{C}"},
]
ENGINE = {
    "containers": [
        {"id": A, "name": "api", "image": "acme/api:1"},
        {"id": B, "name": "redis", "image": "redis:7"},
        {"id": C, "name": "agent", "image": "acme/agent:1"},
    ],
    "container_networks": [
        {"container": "api", "ipv4": "172.18.0.2", "ipv6": "fd00::2"},
        {"container": "redis", "ipv4": "172.18.0.3", "ipv6": None},
        {"container": "agent", "ipv4": None, "ipv6": None},
    ],
    "publications": [
        {"container": "redis", "protocol": "tcp", "container_port": 6379, "host_ip": "0.0.0.0", "host_port": 16379}
    ],
    "gateways": ["172.18.0.1"],
}
REDIS = [listening("0.0.0.0", 6379, 2)]


def told(api: list[list[Any]], machine: list[list[Any]], redis: list[list[Any]] | None = None, **more: Any) -> Any:
    """`(source kind, source, process, target kind, target, database, port)` of each dependency."""
    found = dependencies.rows(
        {
            "engine": ENGINE,
            "addresses": ["192.0.2.10", "127.0.0.1", "::1"],
            "ephemeral": [32768, 60999],
            "root": True,
            "processes": PROCESSES,
            "lost": [],
            "truncated": False,
            "namespaces": [
                {"containers": [], "sockets": machine},
                {"containers": ["api"], "sockets": api},
                {"containers": ["redis"], "sockets": REDIS if redis is None else redis},
            ],
            **more,
        }
    ).tables["connections"]
    Connection.table.rows(found)
    columns = ("source_kind", "source", "process", "target_kind", "target", "database", "port")
    return [tuple(getattr(row, column) for column in columns) for row in found]


API = ("container", "api", "python")


@pytest.mark.parametrize(
    ("peer", "port", "machine", "target"),
    [
        ("172.18.0.3", 6379, [], ("container", "redis", "Redis")),
        ("::ffff:172.18.0.3", 6379, [], ("container", "redis", "Redis")),
        # The machine, by a bridge's gateway or by its own address.
        ("172.18.0.1", 8001, [listening("0.0.0.0", 8001, 3)], ("unit", "backend.service", None)),
        ("192.0.2.10", 8001, [listening("::", 8001, 3)], ("unit", "backend.service", None)),
        ("172.18.0.1", 9000, [listening("172.18.0.1", 9000, 5)], ("process", "curl", None)),
        ("172.18.0.1", 5432, [listening("0.0.0.0", 5432)], ("host", None, "PostgreSQL")),
        # A port of the machine that a container publishes: held by Docker's proxy, by nobody, by somebody unseen.
        ("172.18.0.1", 16379, [listening("0.0.0.0", 16379, 4)], ("container", "redis", "Redis")),
        ("172.18.0.1", 16379, [], ("container", "redis", "Redis")),
        ("172.18.0.1", 16379, [listening("0.0.0.0", 16379)], ("container", "redis", "Redis")),
        # A container on the machine's own network.
        ("172.18.0.1", 9001, [listening("0.0.0.0", 9001, 6)], ("container", "agent", None)),
        # Outside.
        ("203.0.113.5", 443, [], ("outside", "203.0.113.5", None)),
        ("2001:db8::5", 5432, [], ("outside", "2001:db8::5", "PostgreSQL")),
    ],
)
def test_where_a_container_calls(peer: str, port: int, machine: list[Any], target: tuple[Any, ...]) -> None:
    call = connected("172.18.0.2", 40000, peer, port, 1)
    assert told([call], machine) == [(*API, *target, port)]


def test_only_who_calls_depends() -> None:
    redis = [*REDIS, connected("172.18.0.3", 6379, "172.18.0.2", 40000, 2)]
    assert told([connected("172.18.0.2", 40000, "172.18.0.3", 6379, 1)], [], redis) == [
        (*API, "container", "redis", "Redis", 6379)
    ]


def test_a_client_from_outside_is_no_dependency() -> None:
    served = [listening("0.0.0.0", 80, 1), connected("172.18.0.2", 80, "203.0.113.5", 443, 1)]
    assert told(served, []) == []


@pytest.mark.parametrize(
    ("local", "peer", "counted"),
    [
        (40000, 7000, 1),  # our port is one that the kernel gives to clients
        (7000, 40000, 0),
        (7000, 7001, 1),  # neither is: this end called
        (40000, 40001, 1),
    ],
)
def test_when_nobody_listens_any_more_the_client_s_port_tells(local: int, peer: int, counted: int) -> None:
    assert len(told([connected("172.18.0.2", local, "172.18.0.3", peer, 1)], [], [])) == counted


def test_a_listener_on_a_client_s_port_is_believed_before_its_number() -> None:
    redis = [listening("0.0.0.0", 45000, 2)]
    assert len(told([connected("172.18.0.2", 7000, "172.18.0.3", 45000, 1)], [], redis)) == 1


def test_what_a_container_says_to_itself_is_its_own() -> None:
    inside = [
        listening("0.0.0.0", 80, 1),
        connected("127.0.0.1", 40000, "127.0.0.1", 80, 1),
        connected("172.18.0.2", 40001, "172.18.0.2", 80, 1),
        connected("127.0.0.1", 40002, "127.0.0.1", 81, 1),
        connected("::1", 40003, "::1", 80, 1),
    ]
    assert told(inside, []) == []


def test_the_machine_s_own_calls() -> None:
    machine = [
        listening("127.0.0.1", 3306, 3),
        connected("127.0.0.1", 40000, "127.0.0.1", 3306, 5),
        connected("172.18.0.1", 40001, "172.18.0.3", 6379, 5),
        connected("172.18.0.1", 40002, "172.18.0.3", 6379, 5),
        # The proxy of a published port only relays.
        connected("172.18.0.1", 40003, "172.18.0.3", 6379, 4),
        connected("172.18.0.1", 40004, "172.18.0.3", 6379, 6),
        connected("172.18.0.1", 40005, "172.18.0.3", 6379, None),
    ]
    assert told([], machine) == [
        ("process", "curl", "curl", "unit", "backend.service", "MySQL", 3306),
        ("process", "curl", "curl", "container", "redis", "Redis", 6379),
        ("container", "agent", "agent", "container", "redis", "Redis", 6379),
        ("host", None, None, "container", "redis", "Redis", 6379),
    ]


def test_containers_that_share_a_namespace_may_depend_on_one_another() -> None:
    shared = [
        {"containers": [], "sockets": []},
        {"containers": ["api", "redis"], "sockets": [*REDIS, connected("127.0.0.1", 40000, "127.0.0.1", 6379, 1)]},
    ]
    assert told([], [], namespaces=shared) == [(*API, "container", "redis", "Redis", 6379)]


def test_a_container_whose_namespace_was_not_read_is_still_named() -> None:
    lost = [{"container": "redis", "reason": "process"}]
    api = {"containers": ["api"], "sockets": [connected("172.18.0.2", 40000, "172.18.0.3", 6379, 1)]}
    assert told([], [], lost=lost, namespaces=[api]) == [(*API, "container", "redis", "Redis", 6379)]


def test_an_address_of_two_containers_names_neither() -> None:
    twice = [{"container": name, "ipv4": "172.18.0.9", "ipv6": None} for name in ("redis", "agent")]
    call = [connected("172.18.0.2", 40000, "172.18.0.9", 80, 1)]
    assert told(call, [], engine={**ENGINE, "container_networks": twice}) == [(*API, "container", None, None, 80)]


def test_two_sockets_of_one_dependency_are_counted() -> None:
    calls = [connected("172.18.0.2", port, "172.18.0.3", 6379, 1) for port in (40000, 40001)]
    space = {"containers": ["api"], "sockets": calls}
    base = {"engine": ENGINE, "addresses": [], "ephemeral": None, "root": True, "processes": PROCESSES}
    reading = dependencies.rows({**base, "lost": [], "truncated": False, "namespaces": [space]})
    assert [row.sockets for row in reading.tables["connections"]] == [2]


def test_without_root_processes_are_unknown_and_said_so() -> None:
    space = {"containers": ["api", "redis"], "sockets": [listening("0.0.0.0", 80), listening("0.0.0.0", 81)]}
    base = {"engine": ENGINE, "addresses": [], "ephemeral": None, "root": False, "processes": []}
    reading = dependencies.rows({**base, "lost": [], "truncated": False, "namespaces": [space]})
    assert (reading.gaps, reading.remedy) == (
        ["sans root, le processus de 2 sockets reste inconnu"],
        "Relancez avec sudo.",
    )
    assert listens(reading) == [(None, "api, redis", 80, None), (None, "api, redis", 81, None)]
    ContainerListener.table.rows(reading.tables["container_listeners"])


# The reference server


def test_the_listeners_of_the_reference_server(faulty: Snapshot) -> None:
    found = rows(faulty.container_listeners, "container", "port", "process")
    assert [(port, process) for name, port, process in found if name == "traefik"] == [
        (80, "traefik"),
        (443, "traefik"),
        (8080, "traefik"),
    ]
    assert ("redis", 6379, "redis-server") in found
    assert ("postgres", 5432, "postgres") in found
    # A name that the kernel cuts at 15 bytes.
    assert ("node-exporter", 9100, "prometheus-node-exporter") in found
    assert {name for name, _, _ in found} == {container.name for container in faulty.rows(Container)}
    assert "127.0.0.11" not in set(faulty.container_listeners["address"])


def test_the_dependencies_of_the_reference_server(faulty: Snapshot) -> None:
    found = rows(faulty.connections, "source", "target_kind", "target", "database", "port")
    assert ("media-api", "container", "redis", "Redis", 6379) in found


def test_a_recorded_payload_survives_json_and_says_nothing_missing() -> None:
    reading = dependencies.rows(payload("faulty", "namespaces"))
    assert reading.gaps == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the processes")
def test_this_machine_s_own_sockets() -> None:
    engine = {
        "containers": [],
        "networks": [],
        "endpoint": "",
        "version": {"Version": "", "ApiVersion": ""},
        "gaps": [],
    }
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = namespaces.fetch(Parameters(), {"engine": {**engine, "local": True}})
        [machine] = found["namespaces"]
        # The audit's own processes are left out; this test is one of them.
        assert server.getsockname()[1] not in {one[3] for one in machine["sockets"]}
    assert found["ephemeral"][0] < found["ephemeral"][1]
    assert "127.0.0.1" in found["addresses"]
