"""Who listens: the kernel's sockets, what `ss` adds without root, and which unit or container a cgroup names."""

import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from auditlib.collect import listeners
from auditlib.collect.source import Reading
from auditlib.facts.tables.host import Listener
from auditlib.parameters import Parameters
from tests.conftest import payload

ID = "3f" * 32

V1_SYSTEMD = f"""12:pids:/system.slice/docker-{ID}.scope
2:cpu,cpuacct:/system.slice/docker-{ID}.scope
1:name=systemd:/system.slice/docker-{ID}.scope
"""
V1_CGROUPFS = f"12:pids:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"
HYBRID_CGROUPFS = f"12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n"


@pytest.mark.parametrize(
    ("cgroup", "unit", "container"),
    [
        # systemd, on v2, v1 and hybrid systems.
        ("0::/system.slice/ssh.service\n", "ssh.service", None),
        ("12:pids:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n", "ssh.service", None),
        ("9:name=systemd:/system.slice/mariadb.service\n8:pids:/\n0::/\n", "mariadb.service", None),
        ("8:pids:/\n0::/system.slice/mariadb.service\n", "mariadb.service", None),
        ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n", "postgresql@15-main.service", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n", "web.service", None),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", None),
        ("0::/system.slice/cups.socket\n", "cups.socket", None),
        ("0::/system.slice/docker.service\n", "docker.service", None),
        ("0::/system.slice/nginx.service/worker\n", "nginx.service", None),
        ("0::/system.slice/dev-hugepages\\x2dx.service", "dev-hugepages\\x2dx.service", None),
        # Only systemd's own hierarchy tells a unit.
        ("4:memory:/limited.service\n1:name=systemd:/\n0::/\n", None, None),
        ("0::/\n", None, None),
        ("0::/init.scope\n", "init.scope", None),
        ("", None, None),
        ("unreadable", None, None),
        # Containers of Docker.
        (f"0::/system.slice/docker-{ID}.scope\n", None, ID),
        (f"0::/docker/{ID}\n", None, ID),
        (f"0::/system.slice/docker-{ID}.scope/init.scope\n", None, ID),
        (f"0::/docker/{ID}/system.slice/nginx.service\n", None, ID),
        (V1_SYSTEMD, None, ID),
        (V1_CGROUPFS, None, ID),
        (HYBRID_CGROUPFS, None, ID),
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope\n", None, ID),
        (f"0::/custom.slice/docker-{ID}.scope", None, ID),
        # Podman, containerd, Kubernetes.
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", None, ID),
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n", None, ID),
        (f"0::/default/{ID}\n", None, ID),
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a2b.slice/cri-containerd-{ID}.scope\n",
         None, ID),
        (f"11:pids:/kubepods/besteffort/pod1a2b/{ID}\n1:name=systemd:/kubepods/besteffort/pod1a2b/{ID}\n", None, ID),
        (f"0::/kubepods.slice/crio-{ID}.scope\n", None, ID),
        # Sixty-four digits inside a longer word are no identifier.
        (f"0::/system.slice/x{ID}9.service\n", f"x{ID}9.service", None),
    ],
)  # fmt: skip
def test_owner(cgroup: str, unit: str | None, container: str | None) -> None:
    assert listeners.owner(cgroup) == (unit, container)


def sock(address: str, port: int, *, pid: int | None = None, protocol: str = "tcp") -> dict[str, Any]:
    family = "ipv6" if ":" in address else "ipv4"
    return {"protocol": protocol, "family": family, "address": address, "port": port, "pid": pid}


def reading(*sockets: dict[str, Any], ss: str | None = None, root: bool = False, processes: Any = ()) -> Reading:
    return listeners.rows({"sockets": [*sockets], "processes": [*processes], "root": root, "ss": ss})


# What ss 6.1 and 5.15 print: columns padded or not, an interface, a socket of both families, root without "uid:".
SS = f"""\
udp UNCONN 0      0      127.0.0.53%lo:53    0.0.0.0:* uid:101 ino:17 sk:1 cgroup:/system.slice/systemd-resolved.service <->
udp UNCONN 0 0 [fe80::5054:ff:fe12:3456]%br-1a2b3c4d5e6f:546 [::]:* uid:998 ino:19 sk:5 cgroup:/system.slice/systemd-networkd.service v6only:1 <->
udp UNCONN 0      0          172.18.0.1%br-1a2b3c4d5e6f:67 0.0.0.0:* uid:65534 ino:20 sk:6 cgroup:/ <-> cgroup:/
tcp LISTEN 0      128          0.0.0.0:22    0.0.0.0:* ino:632 sk:1 cgroup:/system.slice/ssh.service <-> cgroup:/
tcp LISTEN 0      4096            [::]:443      [::]:* ino:643854 sk:1025 cgroup:/ v6only:1 <-> cgroup:/
tcp LISTEN 0      511                *:80          *:* uid:33 ino:9 sk:f cgroup:/system.slice/apache2.service v6only:0 <->
tcp LISTEN 0      80         127.0.0.1:3306  0.0.0.0:* uid:4294967 ino:5 sk:2 cgroup:/system.slice/docker-{ID}.scope <->
tcp LISTEN 0 128 [::ffff:127.0.0.1]:8080 *:* uid:0 ino:7 sk:9 cgroup:unreachable:1a2 <->
Cannot open netlink socket
"""  # noqa: E501 - as they are printed


@pytest.mark.parametrize(
    ("asked", "uid", "unit", "container"),
    [
        (sock("127.0.0.53", 53, protocol="udp"), 101, "systemd-resolved.service", None),
        (sock("fe80::5054:ff:fe12:3456", 546, protocol="udp"), 998, "systemd-networkd.service", None),
        (sock("172.18.0.1", 67, protocol="udp"), 65534, None, None),
        (sock("0.0.0.0", 22), 0, "ssh.service", None),
        (sock("::", 443), 0, None, None),
        (sock("::", 80), 33, "apache2.service", None),
        (sock("127.0.0.1", 3306), 4294967, None, ID),
        (sock("::ffff:127.0.0.1", 8080), 0, None, None),
    ],
)
def test_ss_tells_the_user_and_the_unit_of_hidden_sockets(
    asked: dict[str, Any], uid: int, unit: str | None, container: str | None
) -> None:
    [row] = reading(asked, ss=SS).tables["listeners"]
    assert (row.pid, row.process, row.unit, row.container) == (None, None, unit, container)
    names = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    assert row.user == names.get(uid, str(uid))


def test_what_ss_does_not_know_stays_unknown() -> None:
    [row] = reading(sock("0.0.0.0", 23), ss=SS).tables["listeners"]
    assert (row.user, row.unit, row.container) == (None, None, None)


@pytest.mark.parametrize(
    ("sockets", "ss", "gap"),
    [
        ([sock("0.0.0.0", 22)], SS,
         "sans root, le processus de 1 écoute reste inconnu, l’utilisateur et l’unité sont connus par ss"),
        ([sock("0.0.0.0", 22), sock("::", 443)], None,
         "sans root, le processus de 2 écoutes reste inconnu, et ss n’est pas utilisable"),
    ],
)  # fmt: skip
def test_without_root_the_reading_is_partial(sockets: list[dict[str, Any]], ss: str | None, gap: str) -> None:
    read = reading(*sockets, ss=ss)
    assert (read.gaps, read.remedy) == ([gap], "Relancez avec sudo.")
    assert len(read.tables["listeners"]) == len(sockets)


def test_without_root_nothing_lacks_when_every_process_is_known() -> None:
    assert reading(sock("127.0.0.1", 80, pid=1)).gaps == []


def test_root_sees_a_socket_of_the_kernel_as_it_is() -> None:
    read = reading(sock("0.0.0.0", 51820, protocol="udp"), root=True)
    [row] = read.tables["listeners"]
    assert (read.gaps, row.process, row.user) == ([], None, None)


def test_a_process_that_ended_leaves_its_socket() -> None:
    [row] = reading(sock("0.0.0.0", 80, pid=7), processes=[{"pid": 7}]).tables["listeners"]
    assert (row.pid, row.process, row.unit) == (7, None, None)


def test_sockets_that_share_a_port_are_one_listener_per_process() -> None:
    rows = reading(sock("::", 80, pid=7), sock("::", 80, pid=7), sock("::", 80, pid=8)).tables["listeners"]
    assert [row.pid for row in rows] == [7, 8]
    assert len(Listener.table.rows(rows)) == 2


def test_recorded_listeners_make_the_table() -> None:
    rows = listeners.rows(payload("faulty", "listeners")).tables["listeners"]
    told = {(row.address, row.port): (row.process, row.unit) for row in rows}
    assert len(Listener.table.rows(rows)) == len(rows) == 18
    assert told["0.0.0.0", 8001] == ("python", "ai-orchestrator-backend.service")
    assert told["127.0.0.1", 3306] == ("mariadbd", "mariadb.service")
    assert told["::", 443] == ("docker-proxy", None)


# A process that listens on four sockets, detached from the tests as the services of a machine are. It ends with the
# pipe that it reads. A connected socket listens to nobody.
SERVICE = """
import json, os, socket, sys
sockets = []
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"), (socket.AF_INET6, socket.SOCK_STREAM, "::"),
    (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"), (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
):
    one = socket.socket(family, kind)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        one.listen()
    sockets.append(one)
sockets[3].connect(("127.0.0.1", sockets[2].getsockname()[1]))
if os.fork():
    os._exit(0)
os.setsid()
print(json.dumps({"pid": os.getpid(), "ports": [one.getsockname()[1] for one in sockets]}), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def detached() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-c", SERVICE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as launcher:
        launcher.wait()
        yield json.loads(launcher.stdout.readline())  # closing its input ends the service


def found(fetched: dict[str, Any]) -> dict[tuple[str, str, int], Listener]:
    rows = listeners.rows(fetched).of(Listener)
    return {(row.protocol, row.address, row.port): row for row in rows}


def test_a_service_of_the_machine_is_found() -> None:
    with detached() as service:
        seen = found(listeners.fetch(Parameters(), {}))
        name = psutil.Process(service["pid"]).name()
    four, six, datagrams, connected = service["ports"]
    expected = {("tcp", "127.0.0.1", four): "ipv4", ("tcp", "::", six): "ipv6", ("udp", "127.0.0.1", datagrams): "ipv4"}
    for key, family in expected.items():
        row = seen[key]
        assert (row.pid, row.process, row.family) == (service["pid"], name, family)
        assert row.user == pwd.getpwuid(os.getuid()).pw_name
    assert ("udp", "127.0.0.1", connected) not in seen


def test_the_sockets_of_the_audit_and_of_what_it_starts_are_left_out() -> None:
    child = (
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1]); input()"
    )
    with (
        socket.socket() as own,
        subprocess.Popen(
            [sys.executable, "-uc", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as started,
    ):
        own.bind(("127.0.0.1", 0))
        own.listen()
        ports = {own.getsockname()[1], int(started.stdout.readline())}
        seen = {port for _, _, port in found(listeners.fetch(Parameters(), {}))}
        started.communicate("\n")
    assert len(ports) == 2
    assert not ports & seen


class Program:
    """A process as psutil shows it."""

    def __init__(self, pid: int, *command: str, children: tuple["Program", ...] = ()) -> None:
        self.pid, self.command, self.below = pid, command, children

    def cmdline(self) -> list[str]:
        return [*self.command]

    def children(self, recursive: bool) -> list["Program"]:
        assert recursive
        return [*self.below]


@pytest.mark.parametrize(
    ("parents", "own"),
    [
        # In a kernel that JupyterLab started, under a shell: the server, and every kernel it started.
        ([Program(2, "python", "/x/bin/jupyter-lab", "notebooks", children=(
            Program(3, "python", "-m", "ipykernel_launcher", "-f", "k.json"), Program(4, "bash"))),
          Program(5, "bash"), Program(6, "python", "-m", "auditlib")], {2, 3}),
        # A scheduled run.
        ([Program(2, "/x/bin/python", "/x/bin/papermill", "00.ipynb"), Program(3, "python", "-m", "auditlib", "run"),
          Program(1, "/sbin/init")], {2, 3}),
        # Whatever only names the audit further on its line is no part of it.
        ([Program(2, "vim", "-O", "-p", "auditlib")], set()),
    ],
)  # fmt: skip
def test_the_programs_of_the_audit(parents: list[Program], own: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Program):
        def parents(self) -> list[Program]:
            return parents

    monkeypatch.setattr(psutil, "Process", lambda: Own(os.getpid(), children=(Program(9, "ssh"),)))
    assert listeners.own_processes() == own | {os.getpid(), 9}


def test_ss_that_is_missing_or_fails_gives_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert listeners._ss(1) is None
    program = tmp_path / "ss"
    program.write_text("#!/bin/sh\necho 'ss: unrecognized option --cgroup' >&2\nexit 255\n")
    program.chmod(0o755)
    assert listeners._ss(1) is None
    program.write_text("#!/bin/sh\nexec /bin/sleep 5\n")
    assert listeners._ss(0.1) is None
