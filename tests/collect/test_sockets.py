"""The kernel's lists of sockets: addresses in both byte orders, what is kept, what is passed over."""

import ipaddress
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import sockets
from auditlib.collect.processes import holders, named, pids
from auditlib.collect.sockets import Order, Socket, endpoint, parse, plain

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 67678 1 0000000015 100 0 0 10 0
   1: 0B00007F:85A3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 64492 1 00000000bc 100 0 0 10 0
   2: 0100007F:8A94 0100007F:18EB 06 00000000:00000000 03:000002CC 00000000     0        0 0 3 00000000de372ae2
  14: 0CC8A8C0:18EB 04C8A8C0:8D46 01 00000000:00000000 02:000060C2 00000000   101        0 66932 2 00000000f3 20 4 31 46 -1
"""  # noqa: E501 - as the kernel writes it
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 240111 1 00000000aba0971a 100 0 0 10 0
   3: 0000000000000000FFFF000010C8A8C0:1F90 0000000000000000FFFF000005C8A8C0:8920 01 00000000:00000000 02:0000441D 00000000     0        0 249383 2 00000000efabd804 20 4 31 13 -1
"""  # noqa: E501
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 9371: 0B00007F:88FD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 237298 2 0000000024c182d2 0
 9400: 04C8A8C0:D431 08080808:0035 01 00000000:00000000 00:00000000 00000000    33        0 99 2 0000000024c182d2 0
"""


def test_tcp_as_the_kernel_writes_it() -> None:
    assert list(parse(TCP.splitlines(), "tcp", "little")) == [
        Socket("tcp", "ipv4", "0.0.0.0", 6379, None, None, 101, 67678),
        Socket("tcp", "ipv4", "127.0.0.11", 34211, None, None, 0, 64492),
        Socket("tcp", "ipv4", "192.168.200.12", 6379, "192.168.200.4", 36166, 101, 66932),
    ]


def test_tcp_of_both_families() -> None:
    assert list(parse(TCP6.splitlines(), "tcp6", "little")) == [
        Socket("tcp", "ipv6", "::", 8080, None, None, 0, 240111),
        Socket("tcp", "ipv6", "::ffff:192.168.200.16", 8080, "::ffff:192.168.200.5", 35104, 0, 249383),
    ]


def test_a_udp_socket_that_is_connected_to_nobody_listens() -> None:
    assert list(parse(UDP.splitlines(), "udp", "little")) == [
        Socket("udp", "ipv4", "127.0.0.11", 35069, None, None, 0, 237298),
        Socket("udp", "ipv4", "192.168.200.4", 54321, "8.8.8.8", 53, 33, 99),
    ]


@pytest.mark.parametrize(
    ("text", "order", "address", "port"),
    [
        ("0100007F:1F90", "little", "127.0.0.1", 8080),
        ("7F000001:1F90", "big", "127.0.0.1", 8080),
        ("00000000000000000000000001000000:0050", "little", "::1", 80),
        ("00000000000000000000000000000001:0050", "big", "::1", 80),
        ("B80D0120000000000000000001000000:FFFF", "little", "2001:db8::1", 65535),
        ("20010DB8000000000000000000000001:FFFF", "big", "2001:db8::1", 65535),
    ],
)
def test_an_address_in_both_orders(text: str, order: Order, address: str, port: int) -> None:
    assert endpoint(text, order) == (address, port)


@given(st.ip_addresses(), st.integers(0, 65535), st.sampled_from(["little", "big"]))
def test_every_address_comes_back(address: ipaddress.IPv4Address, port: int, order: Order) -> None:
    """Written as the kernel does: each word of memory printed as a number of the machine."""
    words = [address.packed[start : start + 4] for start in range(0, len(address.packed), 4)]
    text = "".join(f"{int.from_bytes(word, order):08X}" for word in words)
    found, found_port = endpoint(f"{text}:{port:04X}", order)
    assert (ipaddress.ip_address(found), found_port) == (address, port)


@given(st.text(max_size=60) | st.from_regex(r"[0-9A-Fa-f]{8}([0-9A-Fa-f]{24})?:[0-9A-Fa-f]{1,6}", fullmatch=True))
def test_what_is_no_address_is_refused_as_such(text: str) -> None:
    try:
        address, port = endpoint(text)
    except ValueError:
        return
    ipaddress.ip_address(address)
    assert 0 <= port <= 65535


@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(TCP.splitlines() + TCP6.splitlines()))))
def test_lines_of_another_form_are_passed_over(lines: list[str]) -> None:
    known = sum(line in TCP.splitlines() and line.split()[3] in ("01", "0A") for line in lines)
    assert len([one for one in parse(lines, "tcp") if one.family == "ipv4"]) >= known


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:0:0:1", "::ffff:0:0:1"),  # not the prefix ::ffff:0:0/96
        ("::1", "::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_without_its_form(address: str, shown: str) -> None:
    assert plain(address) == shown


def _proc(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_a_namespace_without_ipv6(tmp_path: Path) -> None:
    read, cut = sockets.read(_proc(tmp_path / "net", tcp=TCP, udp=UDP), 100)
    assert ([one.port for one in read], cut) == ([6379, 34211, 6379, 35069, 54321], False)


def test_a_namespace_of_too_many_sockets(tmp_path: Path) -> None:
    read, cut = sockets.read(_proc(tmp_path / "net", tcp=TCP, udp=UDP), 2)
    assert ([one.port for one in read], cut) == ([6379, 34211], True)
    assert sockets.read(tmp_path / "net", 5)[1] is False


def test_a_list_that_the_counters_call_empty_is_not_asked_for(tmp_path: Path) -> None:
    counters = "sockets: used 9\nTCP: inuse 3 orphan 0 tw 1 alloc 4 mem 1\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\n"
    folder = _proc(tmp_path / "net", tcp=TCP, udp=UDP, tcp6=TCP6, sockstat=counters)
    assert {(one.protocol, one.family) for one in sockets.read(folder, 100)[0]} == {("tcp", "ipv4"), ("tcp", "ipv6")}
    _proc(folder, sockstat6="TCP6: inuse 0\nUDP6: inuse 0\n")
    assert {(one.protocol, one.family) for one in sockets.read(folder, 100)[0]} == {("tcp", "ipv4")}


def test_a_namespace_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sockets.read(tmp_path / "net", 100)


def test_who_holds_a_socket(tmp_path: Path) -> None:
    for pid, targets in {"20": ["socket:[5]", "/dev/null"], "3": ["socket:[5]", "socket:[5]", "socket:[6]"]}.items():
        folder = tmp_path / pid / "fd"
        folder.mkdir(parents=True)
        for number, target in enumerate(targets):
            (folder / str(number)).symlink_to(target)
    (tmp_path / "4").mkdir()  # its descriptors cannot be seen
    (tmp_path / "self").mkdir()
    assert holders({5}, tmp_path) == {5: [3, 20]}


def test_processes_by_name(tmp_path: Path) -> None:
    for pid, name in {"10": "dockerd", "9": "dockerd", "11": "docker-proxy"}.items():
        _proc(tmp_path / pid, comm=f"{name}\n")
    (tmp_path / "12").mkdir()  # gone since it was listed
    assert (named(tmp_path, "dockerd"), pids(tmp_path)) == ([9, 10], [9, 10, 11, 12])
    assert pids(tmp_path / "absent") == []


def test_this_machine_says_what_python_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        inode = int(Path(f"/proc/self/fd/{client.fileno()}").readlink().name[8:-1])
        [found] = [one for one in sockets.read(Path("/proc/self/net"), 100_000)[0] if one.inode == inode]
        assert (found.address, found.port) == client.getsockname()
        assert (found.peer, found.peer_port) == server.getsockname()
        assert sys.byteorder in ("little", "big")
        assert inode in holders({inode}, Path("/proc"))
