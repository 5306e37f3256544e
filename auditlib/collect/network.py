"""The machine's own network: addresses of its interfaces, routes, firewalls, ports that the kernel gives to clients."""

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from auditlib.addresses import EVERY_ADDRESS, is_loopback, parsed
from auditlib.collect import firewall
from auditlib.collect.sockets import Order
from auditlib.collect.source import PATIENCE, Payloads, Reading
from auditlib.facts.table import Row, asdict
from auditlib.facts.tables.host import HostAddress, HostRoute
from auditlib.french import listing
from auditlib.parameters import Parameters

_UP, _REJECT = 0x1, 0x200  # linux/route.h
_LOCAL = 0x80000000  # linux/ipv6_route.h: one of the machine's own addresses
MAX_ROUTES = 10_000  # a router that holds the whole Internet's has a million


def interface_addresses() -> list[HostAddress]:
    """Every address of every interface, with the length of its network's prefix."""
    kinds = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
    return [
        HostAddress(
            interface=interface,
            family=kinds[one.family],
            address=one.address.partition("%")[0],
            prefix=_prefix(one.netmask),
        )
        for interface, found in psutil.net_if_addrs().items()
        for one in found
        if one.family in kinds
    ]


def is_near(host: str) -> bool:
    """Whether a host is the loopback, or an address on a network of this machine's, such as Docker's bridges."""
    if is_loopback(host):
        return True
    address = parsed(host)
    networks = (f"{one.address}/{one.prefix}" for one in interface_addresses() if one.prefix is not None)
    return address is not None and any(address in ipaddress.ip_network(one, strict=False) for one in networks)


def require_near(host: str) -> None:
    """Raise OSError, before anything leaves, for an address that this machine has no interface towards.

    That of a container of rootless Docker, say: elsewhere it may be anybody's.
    """
    if not is_near(host):
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


def _prefix(netmask: str | None) -> int | None:
    """The length of a mask: 24 for 255.255.255.0, 64 for ffff:ffff:ffff:ffff::."""
    return f"{int(ipaddress.ip_address(netmask)):b}".count("1") if netmask else None


def ephemeral_ports(proc: Path) -> list[int] | None:
    """The first and last port that the kernel gives to clients; IPv6 has no other."""
    try:
        first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
        return [int(first), int(last)]
    except (OSError, ValueError):
        return None


def routes(proc: Path) -> list[HostRoute]:
    """The routes of the main table in use, and without those to the machine's own addresses.

    Raises OSError when the kernel does not show them.
    """
    found = list(ipv4_routes((proc / "net/route").read_text("ascii")))
    with contextlib.suppress(FileNotFoundError):  # IPv6 is switched off
        found += ipv6_routes((proc / "net/ipv6_route").read_text("ascii"))
    return found[:MAX_ROUTES]


def ipv4_routes(text: str, order: Order = sys.byteorder) -> list[HostRoute]:
    """The routes of `/proc/net/route`: addresses are words in the machine's order (`net/ipv4/fib_trie.c`)."""
    found = []
    for line in text.splitlines()[1:]:
        interface, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
        if int(flags, 16) & _UP and not int(flags, 16) & _REJECT:
            network = ipaddress.ip_network(f"{_ipv4(destination, order)}/{_ipv4(mask, order)}", strict=False)
            found.append(_route("ipv4", str(network), _ipv4(gateway, order), interface, int(metric)))
    return found


def _ipv4(word: str, order: Order) -> str:
    return socket.inet_ntoa(int(word, 16).to_bytes(4, order))


def ipv6_routes(text: str) -> list[HostRoute]:
    """The routes of `/proc/net/ipv6_route`: addresses are bytes in the network's order (`net/ipv6/route.c`)."""
    found = []
    for line in text.splitlines():
        destination, length, _, _, gateway, metric, _, _, flags, interface = line.split()
        address = ipaddress.ip_address(bytes.fromhex(destination))
        # The kernel also lists what the machine keeps for itself: its own addresses, multicast, refusals (on lo).
        if int(flags, 16) & (_LOCAL | _REJECT) or address.is_multicast or interface == "lo":
            continue
        network = f"{address}/{int(length, 16)}"
        hop = str(ipaddress.ip_address(bytes.fromhex(gateway)))
        found.append(_route("ipv6", network, hop, interface, int(metric, 16)))
    return found


def _route(family: str, destination: str, gateway: str, interface: str, metric: int) -> HostRoute:
    return HostRoute(
        family=family,
        destination=destination,
        gateway=None if gateway in EVERY_ADDRESS else gateway,
        interface=interface,
        metric=metric,
    )


def fetch(parameters: Parameters, payloads: Payloads, root: Path = Path("/")) -> dict[str, Any]:
    """Addresses, routes and firewalls of this machine, whose system is below `root`."""
    try:
        found = [asdict(route) for route in routes(root / "proc")]
    except OSError:
        found = None
    return {
        "addresses": [asdict(address) for address in interface_addresses()],
        "routes": found,
        "firewalls": firewall.fetch(PATIENCE * parameters.timeout_s / 2, root),
        "root": os.geteuid() == 0,
    }


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `host_addresses`, `host_routes` and `firewalls`."""
    addresses = [HostAddress(**one) for one in payload["addresses"]]
    firewalls = list(firewall.rows(payload["firewalls"]))
    tables: dict[str, Sequence[Row]] = {
        "host_addresses": [one for one in addresses if not ipaddress.ip_address(one.address).is_link_local],
        "firewalls": firewalls,
    }
    gaps = []
    if payload["routes"] is None:
        gaps.append("le noyau ne montre pas les routes")
    else:
        # Every interface has one to its own link: they tell nothing.
        routes = [HostRoute(**one) for one in payload["routes"]]
        tables["host_routes"] = [route for route in routes if route.destination != "fe80::/64"]
    unknown = [one.name for one in firewalls if one.active is None]
    if unknown and not payload["root"]:  # root may lack the program: the table says that it is unknown
        gaps.append(f"sans root, l’état de {listing(unknown)} reste inconnu")
    return Reading(tables, gaps, "" if payload["root"] or not gaps else "Relancez avec sudo.")
