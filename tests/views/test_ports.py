"""Claims on ports: when two collide, who holds what, and who can reach it."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlib.facts import tables
from auditlib.facts.tables.docker import Publication
from auditlib.facts.tables.host import Listener
from auditlib.views import ports
from auditlib.views.declarations import Declaration
from auditlib.views.ports import (
    EVERYWHERE,
    LOOPBACK,
    SPECIFIC,
    Claim,
    Claimant,
    claim,
    exposure,
    free_port,
    used_ports,
    v6only_ports,
)
from tests.conftest import snapshot_of
from tests.frames import rows

# A machine of a few addresses, of which a socket takes some: what the kernel would say of two binds.
OWN = ("127.0.0.1", "127.0.0.2", "192.168.1.5", "::1", "fd00::5")
ADDRESSES = st.sampled_from(["0.0.0.0", "::", *OWN])
CLAIMS = st.builds(
    lambda protocol, address, first, more: Claim(protocol, address, first, first + more),
    st.sampled_from(["tcp", "udp"]),
    ADDRESSES,
    st.integers(1, 8),
    st.integers(0, 3),
)


def _sockets(one: Claim, *, v6only: bool) -> set[tuple[str, str, int]]:
    """Everything that a claim takes: one (protocol, address, port) each."""
    version_6 = {address for address in OWN if ":" in address}
    taken = {"0.0.0.0": set(OWN) - version_6, "::": version_6 if v6only else set(OWN)}
    addresses = taken.get(one.address, {one.address})
    return {(one.protocol, address, port) for address in addresses for port in range(one.first, one.last + 1)}


@given(one=CLAIMS, other=CLAIMS, v6only=st.booleans())
def test_two_claims_overlap_when_they_take_a_socket_in_common(one: Claim, other: Claim, v6only: bool) -> None:
    common = _sockets(one, v6only=v6only) & _sockets(other, v6only=v6only)
    assert one.overlaps(other, v6only=v6only) == bool(common)
    assert other.overlaps(one, v6only=v6only) == bool(common)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "0.0.0.0"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("::ffff:0.0.0.0", "10.0.0.1"),
    ],
)
def test_spellings_of_one_address(one: str, other: str) -> None:
    assert Claim("tcp", one, 80, 80).overlaps(Claim("tcp", other, 80, 80), v6only=True)


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (Claim("tcp", "0.0.0.0", 80, 80), "tcp/0.0.0.0:80"),
        (Claim("udp", "fd00::5", 53, 53), "udp/[fd00::5]:53"),
        (Claim("tcp", "::", 8000, 8010), "tcp/[::]:8000-8010"),
    ],
)
def test_names(one: Claim, name: str) -> None:
    assert one.name == name


def _publication(**given_: Any) -> dict[str, Any]:
    place = {"protocol": "tcp", "container_port": 80, "host_ip": "0.0.0.0", "host_port_last": None, "live": True}
    return {"container": "app", **place, **given_}


@pytest.mark.parametrize(
    ("row", "claimed"),
    [
        (Listener(protocol="udp", family="ipv6", address="::", port=53), Claim("udp", "::", 53, 53)),
        (Publication(**_publication(host_port=8080)), Claim("tcp", "0.0.0.0", 8080, 8080)),
        (Publication(**_publication(host_port=8080, host_port_last=8090)), Claim("tcp", "0.0.0.0", 8080, 8090)),
        (Publication(**_publication(host_port=None)), None),
        (
            Declaration(origin="file", kind="port", protocol="tcp", host_ip="::", host_port=80),
            Claim("tcp", "::", 80, 80),
        ),
        (Declaration(origin="file", kind="network", name="web"), None),
    ],
)
def test_what_a_row_claims(row: Listener | Claimant, claimed: Claim | None) -> None:
    assert claim(row) == claimed


def test_a_separate_ipv4_wildcard_proves_that_ipv6_is_alone() -> None:
    listening = [
        Listener(protocol=protocol, family="", port=port, address=address)
        for protocol, port, address in (
            ("tcp", 80, "::"),
            ("tcp", 80, "0.0.0.0"),
            ("tcp", 81, "::"),
            ("tcp", 81, "127.0.0.1"),
            ("udp", 82, "::"),
            ("tcp", 82, "0.0.0.0"),
        )
    ]
    assert v6only_ports(listening) == {("tcp", 80)}


@pytest.mark.parametrize(
    ("wanted", "used", "free"),
    [
        (8002, set(), 8003),
        (8002, {8003, 8004}, 8005),
        (80, set(), 8080),
        (443, {8443}, 8444),
        (1024, set(), 1025),
        (65535, set(), None),
        (65533, {65534, 65535}, None),
    ],
)
def test_free_port(wanted: int, used: set[int], free: int | None) -> None:
    assert free_port(wanted, used) == free


def test_used_ports_are_heard_published_and_configured() -> None:
    snapshot = snapshot_of(
        listeners=[{"protocol": "udp", "family": "ipv4", "address": "127.0.0.1", "port": 53}],
        publications=[
            _publication(host_port=80),
            _publication(host_port=8000, host_port_last=8002, live=False),
            _publication(host_port=None, live=False),
        ],
    )
    publications = snapshot.rows(Publication)
    assert used_ports(snapshot.rows(Listener), publications) == {53, 80, 8000, 8001, 8002}
    assert used_ports(None, publications) == {80, 8000, 8001, 8002}
    asked = [Declaration(origin="file", kind="port", protocol="tcp", host_ip="::", host_port=81)]
    assert used_ports(None, publications, asked) == {80, 81, 8000, 8001, 8002}


@pytest.mark.parametrize(
    ("addresses", "reach"),
    [
        (["0.0.0.0"], EVERYWHERE),
        (["::"], EVERYWHERE),
        (["127.0.0.1", "::"], EVERYWHERE),
        (["127.0.0.1", "::1", "127.8.9.10"], LOOPBACK),
        (["::ffff:127.0.0.1"], LOOPBACK),
        (["127.0.0.1", "192.168.1.5"], SPECIFIC),
        (["fe80::1%eth0"], SPECIFIC),
    ],
)
def test_exposure(addresses: list[str], reach: str) -> None:
    for order in itertools.permutations(addresses):
        assert exposure(order) == reach


# The view host_ports


def _listener(port: int, address: str = "0.0.0.0", **given_: Any) -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "family": "ipv6" if ":" in address else "ipv4",
        "address": address,
        "port": port,
        **given_,
    }


COLUMNS = ("port", "protocol", "owner", "kind", "container_port", "addresses", "exposure", "process", "user")


def _host_ports(publications: list[dict[str, Any]], listeners: list[dict[str, Any]] | None) -> list[tuple[Any, ...]]:
    given_ = {"publications": publications} | ({} if listeners is None else {"listeners": listeners})
    return rows(snapshot_of(**given_).host_ports, *COLUMNS)


def test_both_families_and_docker_proxy_are_one_row() -> None:
    publications = [_publication(host_port=8002, host_ip=address) for address in ("0.0.0.0", "::")]
    proxies = [
        _listener(8002, address, pid=pid, process="docker-proxy", user="root", unit="docker.service", container="app")
        for pid, address in enumerate(["0.0.0.0", "::"])
    ]
    row = (8002, "tcp", "app", "conteneur", 80, ("0.0.0.0", "::"), EVERYWHERE, None, None)
    assert _host_ports(publications, proxies) == [row]
    # The same without docker-proxy (userland-proxy off), and when listeners were not read.
    assert _host_ports(publications, []) == [row]
    assert _host_ports(publications, None) == [row]


def test_two_owners_of_one_port_are_two_rows() -> None:
    publications = [_publication(host_port=8002, host_ip="192.168.1.5")]
    listeners = [_listener(8002, "127.0.0.1", process="python", user="dev", unit="api.service")]
    assert _host_ports(publications, listeners) == [
        (8002, "tcp", "api.service", "unité", None, ("127.0.0.1",), LOOPBACK, "python", "dev"),
        (8002, "tcp", "app", "conteneur", 80, ("192.168.1.5",), SPECIFIC, None, None),
    ]


def test_protocols_are_apart() -> None:
    publications = [_publication(host_port=53, container_port=53, protocol=protocol) for protocol in ("tcp", "udp")]
    assert [row[:2] for row in _host_ports(publications, None)] == [(53, "tcp"), (53, "udp")]


def test_a_container_of_the_machine_s_network_tells_its_process() -> None:
    listeners = [_listener(8123, process="python3", user="root", container="hass")]
    assert _host_ports([], listeners) == [
        (8123, "tcp", "hass", "conteneur", None, ("0.0.0.0",), EVERYWHERE, "python3", "root")
    ]


@pytest.mark.parametrize(
    ("known", "owner", "kind"),
    [
        ({"unit": "ssh.service", "process": "sshd"}, "ssh.service", "unité"),
        ({"process": "sshd"}, "sshd", "processus"),
        ({}, "inconnu", "inconnu"),
    ],
)
def test_the_owner_is_the_best_name_there_is(known: dict[str, str], owner: str, kind: str) -> None:
    assert [row[2:4] for row in _host_ports([], [_listener(22, **known)])] == [(owner, kind)]


def test_what_is_only_configured_holds_nothing() -> None:
    assert _host_ports([_publication(host_port=8002, live=False)], []) == []


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([80, 81]), ADDRESSES, st.sampled_from(["sshd", "docker-proxy", None])), max_size=6
    )
)
def test_every_listener_is_somewhere(listening: list[tuple[int, str, str | None]]) -> None:
    """No odd mixture of rows makes the view fail or forget an address."""
    publications = [_publication(host_port=port, host_ip=address) for port in (80, 82) for address in ("0.0.0.0", "::")]
    listeners = [
        _listener(port, address, pid=pid, process=process) for pid, (port, address, process) in enumerate(listening)
    ]
    found = _host_ports(publications, listeners)
    assert {(row[0], address) for row in found for address in row[5]} >= {one[:2] for one in listening}
    assert len({row[:5] for row in found}) == len(found)


# The view internal_ports


def _internal(containers: list[dict[str, Any]], publications: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    networks = [{"container": "app", "network": name} for name in ("back", "web")]
    snapshot = snapshot_of(containers=containers, container_networks=networks, publications=publications)
    return rows(snapshot.internal_ports, "container", "container_port", "protocol", "networks")


def test_internal_ports_are_exposed_and_not_published() -> None:
    app = {"name": "app", "state": "running", "exposed_ports": ["80/tcp", "53/udp", "8000-8001/tcp", "9000"]}
    assert _internal([app], [_publication(host_port=8080)]) == [
        ("app", 53, "udp", ("back", "web")),
        ("app", 8000, "tcp", ("back", "web")),
        ("app", 8001, "tcp", ("back", "web")),
        ("app", 9000, "tcp", ("back", "web")),
    ]


def test_a_publication_that_is_not_in_force_leaves_the_port_internal() -> None:
    app = {"name": "app", "state": "running", "exposed_ports": ["80/tcp"]}
    assert len(_internal([app], [_publication(host_port=8080, live=False)])) == 1


@pytest.mark.parametrize("given_", [{"state": "exited"}, {"state": "running", "network_mode": "host"}])
def test_no_internal_port(given_: dict[str, str]) -> None:
    assert _internal([{"name": "app", "exposed_ports": ["80/tcp"], **given_}], []) == []


def test_a_range_and_its_port_are_one_row_each() -> None:
    app = {"name": "app", "state": "running", "exposed_ports": ["80-81/tcp", "80/tcp"]}
    assert [row[1] for row in _internal([app], [])] == [80, 81]


def test_the_views_are_documented_as_tables_are() -> None:
    for table in (ports.HostPort.table, ports.InternalPort.table, ports.ContainerPort.table, *tables.TABLES.values()):
        assert table.title and table.description.endswith(".")
