"""The certificates that are served: read under the right name, then judged."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from auditlib.collect import tls
from auditlib.collect.dial import dial
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import HostAddress
from auditlib.parameters import Parameters
from tests.conftest import payload

from .certificates import Authority
from .proxies import payloads
from .servers import HTML, Web


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port where connections are never taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def read(ports: dict[str, int], *rules: Any, timeout_s: float = 5) -> tuple[list[dict[str, Any]], tls.Reading]:
    reading = tls.rows(tls.fetch(Parameters(timeout_s=timeout_s), payloads(ports, *rules)))
    for name, rows in reading.tables.items():
        TABLES[name].rows(rows)
    return reading.tables["tls_probes"], reading


def test_a_certificate_that_this_machine_trusts(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    web = Web(lambda request: HTML, authority.server("a.fr", "*.b.fr"))
    with web.over_tcp() as port:
        probes, reading = read({"s": port}, ("Host(`a.fr`) || Host(`x.b.fr`) || Host(`c.fr`)", "s", True))
    told = {row.domain: (row.answered, row.covers, row.trusted, row.default) for row in probes}
    assert told == {
        "a.fr": (True, True, True, False),
        "x.b.fr": (True, True, True, False),
        "c.fr": (True, False, True, False),
    }
    # One handshake for each name, under that name, and nothing asked.
    assert sorted(map(str, web.names)) == ["a.fr", "c.fr", "x.b.fr"]
    assert web.requests == []
    assert {row.fingerprint for row in probes} == {row.fingerprint for row in reading.tables["certificates"]}
    assert {row.domain for row in reading.tables["certificates"]} == {"a.fr", "x.b.fr", "c.fr"}
    assert (reading.gaps, reading.note) == ([], "")


def test_an_unknown_authority_and_the_default_certificate(authority: Authority) -> None:
    ordinary = Web(lambda request: HTML, authority.server("a.fr"))
    default = Web(lambda request: HTML, authority.server("TRAEFIK DEFAULT CERT"))
    with ordinary.over_tcp() as one, default.over_tcp() as other:
        probes, _ = read({"s": one, "t": other}, ("Host(`a.fr`)", "s", True), ("Host(`b.fr`)", "t", True))
    told = {row.domain: (row.covers, row.default, row.trusted, row.untrusted) for row in probes}
    unknown = "son autorité est inconnue de cette machine"
    assert told == {"a.fr": (True, False, False, unknown), "b.fr": (False, True, False, unknown)}


def test_a_name_that_the_server_refuses(authority: Authority) -> None:
    context = authority.server("a.fr")
    web = Web(lambda request: HTML, context)
    context.sni_callback = lambda *given: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # what Traefik's sniStrict answers
    with web.over_tcp() as port:
        [probe], reading = read({"s": port}, ("Host(`a.fr`)", "s", True))
    assert (probe.answered, probe.trusted, probe.covers) == (False, None, None)
    assert probe.error == "aucun certificat pour ce nom, et le serveur refuse les autres (sniStrict)"
    assert reading.tables["certificates"] == []


def test_a_port_that_does_not_speak_tls_or_is_closed() -> None:
    with Web(lambda request: HTML).over_tcp() as port:
        [probe], _ = read({"s": port}, ("Host(`a.fr`)", "s", True))
    assert (probe.answered, probe.error) == (False, "ce port ne parle pas TLS")
    told = payloads({"s": port}, ("Host(`a.fr`)", "s", True))
    told["engine"]["containers"][0]["NetworkSettings"]["Networks"] = {}
    [probe] = tls.rows(tls.fetch(Parameters(), told)).tables["tls_probes"]
    assert (probe.answered, probe.error) == (False, "connexion refusée")


def test_a_silent_port_costs_its_share_and_what_was_read_is_kept(authority: Authority) -> None:
    silent = [(f"Host(`n{number}.fr`)", "silent", True) for number in range(40)]
    web = Web(lambda request: HTML, authority.server("a.fr"))
    started = time.monotonic()
    with listening() as mute, web.over_tcp() as port:
        probes, reading = read({"s": port, "silent": mute}, ("Host(`a.fr`)", "s", True), *silent, timeout_s=1)
    assert time.monotonic() - started < 1
    assert {row.error for row in probes} == {None, "délai dépassé"}
    assert 4 < len(probes) < 41
    assert reading.gaps == [f"questions au proxy non posées, faute de temps : {41 - len(probes)}"]


def test_no_more_names_than_the_bound(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "MAX_NAMES", 2)
    with Web(lambda request: HTML, authority.server("a.fr")).over_tcp() as port:
        probes, reading = read({"s": port}, *[(f"Host(`n{number}.fr`)", "s", True) for number in range(5)])
    assert len(probes) == 2
    assert reading.gaps == ["questions au proxy non posées, au-delà du nombre permis : 3"]


def test_routers_without_a_name_are_told() -> None:
    _, reading = read({"s": 9}, *[(f"HostRegexp(`x{number}`)", "s", True) for number in range(7)])
    said = "Non interrogés, faute d’un nom et d’un chemin précis dans leur règle : "
    assert reading.note == f"{said}r0@file, r1@file, r2@file, r3@file, r4@file et 2 autres."


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "::2"])
def test_nothing_is_ever_sent_off_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *given: pytest.fail("connected"))
    with pytest.raises(PermissionError), dial((host, 443), {"10.0.0.2"}, 1):
        pass


def test_an_address_on_no_network_of_this_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's address that no bridge of this machine has may be anybody's: the packet would go to the router."""
    monkeypatch.setattr(socket, "create_connection", lambda *given: pytest.fail("something left the machine"))
    near = [HostAddress(interface="docker0", family="ipv4", address="172.17.0.1", prefix=16)]
    monkeypatch.setattr("auditlib.collect.network.interface_addresses", lambda: near)
    with pytest.raises(OSError, match="unreachable"), dial(("172.18.0.2", 443), {"172.18.0.2"}, 1):
        pass
    monkeypatch.setattr(socket, "create_connection", lambda *given: (_ for _ in ()).throw(ConnectionRefusedError()))
    with pytest.raises(ConnectionRefusedError), dial(("172.17.0.2", 443), {"172.17.0.2"}, 1):
        pass


def test_a_connection_is_cut_in_time_however_slowly_the_other_side_speaks() -> None:
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            line, _ = server.accept()
            with line:
                while not over.wait(0.02):
                    line.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(TimeoutError), dial(server.getsockname(), (), 0.3) as line:
            while line.recv(1):
                pass
            raise ConnectionResetError
        over.set()
    assert 0.25 < time.monotonic() - started < 0.6


@pytest.mark.parametrize(
    ("domain", "names", "covered"),
    [
        ("a.fr", ["a.fr"], True),
        ("a.fr", ["b.fr"], False),
        ("x.a.fr", ["*.a.fr"], True),
        ("a.fr", ["*.a.fr"], False),
        ("y.x.a.fr", ["*.a.fr"], False),
        ("fr", ["*."], False),
        ("10.0.0.1", ["*.0.0.1"], False),
        ("10.0.0.1", ["10.0.0.1"], True),
        ("a.fr", [], False),
    ],
)
def test_which_names_a_certificate_covers(domain: str, names: list[str], covered: bool) -> None:
    assert tls.covers(domain, names) is covered


def test_recorded_on_the_reference_server() -> None:
    reading = tls.rows(payload("faulty", "tls"))
    probes = TABLES["tls_probes"].rows(reading.tables["tls_probes"])
    assert {probe.domain for probe in probes} == {"ai.4lb.ca", "files.4lb.ca", "jsr.4lb.ca", "traefik.4lb.ca"}
    # Of a test authority.
    assert {(probe.answered, probe.covers, probe.default, probe.trusted) for probe in probes} == {
        (True, True, False, False)
    }
    assert {row.issuer for row in TABLES["certificates"].rows(reading.tables["certificates"])} == {"4LB Test R1"}
