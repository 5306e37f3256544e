"""The machine's network: routes in both byte orders, addresses, client ports, firewalls."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import firewall, network
from auditlib.collect.sockets import Order
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import HostAddress, HostRoute
from auditlib.parameters import Parameters
from tests.frames import rows

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROUTES = (
    HEAD + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0  \n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0  \n"
    "br-e0b985151816\t00CCA8C0\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0  \n"
    "*\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0  \n"
)
ROUTES6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n"
    "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "fd000000000000000000000000000002 80 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0\n"
    "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000004 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)


def told(found: list[HostRoute]) -> list[tuple[Any, ...]]:
    return [(row.destination, row.gateway, row.interface, row.metric) for row in found]


def test_ipv4_routes() -> None:
    assert told(network.ipv4_routes(ROUTES, "little")) == [
        ("0.0.0.0/0", "192.0.2.1", "eth0", 100),
        ("192.0.2.0/24", None, "eth0", 0),
        ("192.168.204.0/26", None, "br-e0b985151816", 0),
    ]


@given(st.ip_addresses(v=4), st.integers(0, 32), st.sampled_from(["little", "big"]))
def test_every_ipv4_route_comes_back(address: ipaddress.IPv4Address, length: int, order: Order) -> None:
    wanted = ipaddress.ip_network((int(address), length), strict=False)
    words = [f"{int.from_bytes(one.packed, order):08X}" for one in (wanted.network_address, wanted.netmask)]
    line = f"eth0\t{words[0]}\t00000000\t0001\t0\t0\t0\t{words[1]}\t0\t0\t0\n"
    [row] = network.ipv4_routes(HEAD + line, order)
    assert row.destination == str(wanted)


def test_ipv6_routes_are_those_that_lead_somewhere() -> None:
    assert told(network.ipv6_routes(ROUTES6)) == [
        ("::/0", "fd00::1", "eth0", 1024),
        ("fd00::/64", None, "eth0", 256),
        ("fe80::/64", None, "eth0", 256),
    ]


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_ipv6(tmp_path: Path) -> None:
    assert len(network.routes(machine(tmp_path, net__route=HEAD))) == 0


def test_a_machine_that_hides_its_routes(tmp_path: Path) -> None:
    reading = network.rows({**network.fetch(Parameters(), {}, tmp_path), "root": True})
    assert set(reading.tables) == {"host_addresses", "firewalls"}
    assert reading.gaps == ["le noyau ne montre pas les routes"]


@pytest.mark.parametrize(
    ("text", "ports"), [("32768\t60999\n", [32768, 60999]), ("1024 65535", [1024, 65535]), ("x", None), (None, None)]
)
def test_the_ports_of_clients(tmp_path: Path, text: str | None, ports: list[int] | None) -> None:
    if text is not None:
        machine(tmp_path, sys__net__ipv4__ip_local_port_range=text)
    assert network.ephemeral_ports(tmp_path) == ports


def test_this_machine_as_it_is() -> None:
    reading = network.rows(network.fetch(Parameters(), {}))
    for name, found in reading.tables.items():
        TABLES[name].rows(found)
    assert ("lo", "ipv4", "127.0.0.1", 8) in [
        (a.interface, a.family, a.address, a.prefix) for a in reading.of(HostAddress)
    ]
    for route in reading.of(HostRoute):
        assert ipaddress.ip_network(route.destination).version == (4 if route.family == "ipv4" else 6)


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("[::1]", True), ("localhost", True), ("172.20.3.4", True), ("172.21.0.1", False),
     ("fd00::7%br0", True), ("nas.lan", False), ("", False)],
)  # fmt: skip
def test_what_is_on_a_network_of_the_machine(monkeypatch: pytest.MonkeyPatch, host: str, near: bool) -> None:
    own = [
        HostAddress(interface="br0", address="172.20.0.1", prefix=16),
        HostAddress(interface="br0", address="fd00::1", prefix=64),
        HostAddress(interface="wg0", address="10.8.0.1", prefix=None),
    ]
    monkeypatch.setattr(network, "interface_addresses", lambda: own)
    assert network.is_near(host) is near


def test_the_reference_server_has_its_bridges(faulty: Snapshot) -> None:
    destinations = {destination for (destination,) in rows(faulty.host_routes, "destination")}
    assert "192.168.200.0/24" in destinations
    assert "192.168.200.1" in {address for (address,) in rows(faulty.host_addresses, "address")}


# Firewalls


def walls(root: Path, **more: Any) -> dict[str, tuple[Any, Any]]:
    """`(active, policy)` of each firewall of the system below `root`."""
    payload = {**firewall.fetch(1, root, commands=False), **more}
    found = list(firewall.rows(payload))
    TABLES["firewalls"].rows(found)
    return {row.name: (row.active, row.input_policy) for row in found}


def test_a_machine_without_a_firewall(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__modules="overlay 1 0 - Live\n")
    assert walls(root) == dict.fromkeys(["ufw", "firewalld", "nftables", "iptables"], (False, None))


def test_what_cannot_be_seen_is_unknown(tmp_path: Path) -> None:
    root = machine(tmp_path, usr__sbin__ufw="", proc__net__ip_tables_names="filter\n")
    assert walls(root) == {
        "ufw": (None, None),
        "firewalld": (False, None),
        "nftables": (None, None),  # no list of the kernel's modules
        "iptables": (None, None),  # there are rules, which were not read
    }


@pytest.mark.parametrize(("enabled", "active"), [("yes", True), ("no", False), ('"yes"', True)])
def test_ufw(tmp_path: Path, enabled: str, active: bool) -> None:
    conf = f"# ENABLED=no\nENABLED={enabled}\nLOGLEVEL=low\n"
    root = machine(tmp_path, etc__ufw__ufw="x", etc__default__ufw='DEFAULT_INPUT_POLICY="DROP"\n')
    (root / "etc/ufw/ufw.conf").write_text(conf)
    assert walls(root)["ufw"] == (active, "drop")


def test_firewalld_runs(tmp_path: Path) -> None:
    assert walls(machine(tmp_path, proc__77__comm="firewalld\n"))["firewalld"] == (True, None)


def chain(name: str, hook: str | None, policy: str = "accept") -> dict[str, Any]:
    based = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return {"chain": {"family": "inet", "table": "filter", "name": name, "handle": 1, **based}}


def rule(name: str, *expressions: dict[str, Any]) -> dict[str, Any]:
    return {"rule": {"family": "inet", "table": "filter", "chain": name, "handle": 2, "expr": [*expressions]}}


@pytest.mark.parametrize(
    ("objects", "wall"),
    [
        ([], (False, None)),
        ([chain("input", "input", "drop")], (True, "drop")),
        ([chain("input", "input")], (False, "accept")),
        ([chain("input", "input"), rule("input", {"counter": {}}, {"drop": None})], (True, "accept")),
        ([chain("INPUT", "input"), chain("ufw-user-input", None), rule("ufw-user-input", {"reject": {}})],
         (True, "accept")),
        # Docker's own rules are about what is forwarded.
        ([chain("FORWARD", "forward", "drop"), chain("DOCKER", None), rule("DOCKER", {"drop": None})], (False, None)),
    ],
)  # fmt: skip
def test_nftables(tmp_path: Path, objects: list[dict[str, Any]], wall: tuple[bool, str | None]) -> None:
    output = json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *objects]})
    assert walls(tmp_path, nft=output, nft_loaded=True)["nftables"] == wall


@pytest.mark.parametrize("output", ["", "{", "[]", '{"nftables": 3}', '{"nftables": [{"chain": {"hook": "input"}}]}'])
def test_an_answer_of_nft_that_is_none_is_unknown(tmp_path: Path, output: str) -> None:
    active, _ = walls(tmp_path, nft=output, nft_loaded=True)["nftables"]
    assert active is not True


@pytest.mark.parametrize(
    ("saved", "wall"),
    [
        ("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n-A DOCKER -j DROP\nCOMMIT\n",
         (False, "accept")),
        ("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", (True, "drop")),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j DROP\nCOMMIT\n", (True, "accept")),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A ufw-user-input -p tcp -j REJECT\n", (True, "accept")),
        (None, (None, None)),
    ],
)  # fmt: skip
def test_iptables(tmp_path: Path, saved: str | None, wall: tuple[bool | None, str | None]) -> None:
    assert walls(tmp_path, iptables=saved, iptables_loaded=True)["iptables"] == wall


def test_without_root_what_is_unknown_is_a_gap(tmp_path: Path) -> None:
    reading = network.rows({**network.fetch(Parameters(), {}, machine(tmp_path, proc__net__route=HEAD)), "root": False})
    assert (reading.gaps, reading.remedy) == (["sans root, l’état de nftables reste inconnu"], "Relancez avec sudo.")
