"""What the local proxy answers: one connection for each question, never off this machine, each within its time."""

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import probes
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.tables.web import HttpProbe
from auditlib.parameters import Parameters
from auditlib.version import __version__
from tests.conftest import payload

from .certificates import Authority
from .proxies import payloads
from .servers import GARBAGE, HANG, HTML, SILENT, TRUNCATED, Reply, Request, Web

Probe = HttpProbe


def read(ports: dict[str, int], *rules: Any, timeout_s: float = 4) -> tuple[dict[str, Probe], Reading]:
    """The probes by path and entry point, and the whole reading."""
    raw = probes.fetch(Parameters(timeout_s=timeout_s), payloads(ports, *rules))
    reading = probes.rows(json.loads(json.dumps(raw)))
    HttpProbe.table.rows(reading.tables["http_probes"])
    return {f"{row.domain}{row.path}": row for row in reading.tables["http_probes"]}, reading


def one(respond: Callable[[Request], Reply] | Reply, rule: str = "Host(`a.fr`)", timeout_s: float = 4) -> Probe:
    """The probe of one route of a proxy that answers so."""
    web = Web((lambda request: respond) if isinstance(respond, Reply) else respond)
    with web.over_tcp() as port:
        told, _ = read({"web": port}, (rule, "web"), timeout_s=timeout_s)
    [probe] = told.values()
    return probe


@contextlib.contextmanager
def raw(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server whose connections are given to `serve`, with an event that ends it."""
    over = threading.Event()

    def accept(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                threading.Thread(target=speak, args=(line,), daemon=True).start()

    def speak(line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            serve(line, over)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        over.set()


def test_what_is_asked() -> None:
    web = Web(lambda request: HTML)
    with web.over_tcp() as port:
        told, _ = read({"web": port}, ("Host(`a.fr`) && PathPrefix(`/é t`)", "web"), ("Host(`b.fr`)", "web"))
    asked = {(request.headers["host"], request.target): request for request in web.requests}
    assert set(asked) == {(f"a.fr:{port}", "/%C3%A9%20t"), (f"b.fr:{port}", "/")}
    for request in asked.values():
        assert request.method == "GET"
        assert request.headers["user-agent"] == f"auditlib/{__version__}"
        assert request.headers["connection"] == "close"
        assert "cookie" not in request.headers
    assert told["b.fr/"].url == f"http://b.fr:{port}/"
    assert told["b.fr/"].address == f"127.0.0.1:{port}"


def test_what_is_told_of_an_answer() -> None:
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Strict-Transport-Security": "max-age=63072000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Content-Security-Policy": "default-src 'self';" * 60,
        "Set-Cookie": "session=S3CR3T",
        "X-Other": "S3CR3T",
    }
    probe = one(Reply(200, b"bonjour", headers))
    assert (probe.status, probe.final_status, probe.error) == (200, 200, None)
    assert probe.server.startswith("BaseHTTP/")  # the server's own
    assert probe.content_type == "text/html; charset=utf-8"
    assert (probe.hsts, probe.content_type_options, probe.frame_options) == (
        "max-age=63072000",
        "nosniff",
        "DENY",
    )
    assert len(probe.csp) == 300
    assert (probe.body_bytes, probe.own_answer, probe.authentication) == (7, False, None)
    assert (probe.redirects, probe.loop, probe.tls_version) == ((), False, None)
    assert 0 <= probe.latency_ms < 2000
    assert "S3CR3T" not in str(probe)


@pytest.mark.parametrize(
    ("status", "body", "own"),
    [
        (404, b"404 page not found\n", True),
        (502, b"Bad Gateway", True),
        (503, b"no available server\n", True),
        (504, b"Gateway Timeout", True),
        (404, b"<h1>404</h1>", False),
        (502, b"no available server", False),
        (200, b"404 page not found\n", False),
        (404, b"", False),
    ],
)
def test_answers_of_traefik_itself(status: int, body: bytes, own: bool) -> None:
    probe = one(Reply(status, body))
    assert (probe.status, probe.own_answer, probe.error) == (status, own, None)


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Basic realm="traefik"', "Basic"),
        ("Negotiate, Basic", "Negotiate Basic"),
        ('Digest username="S3CR3T", realm="x", nonce="S3CR3T"', "Digest"),
        ("Bearer", "Bearer"),
        ("???", None),
    ],
)
def test_authentication_is_told_by_its_scheme(header: str, schemes: str | None) -> None:
    probe = one(Reply(401, b"401 Unauthorized\n", {"WWW-Authenticate": header}))
    assert (probe.status, probe.authentication) == (401, schemes)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (GARBAGE, "la réponse n’est pas du HTTP"),
        (SILENT, "connexion fermée sans réponse"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000), "la réponse n’est pas du HTTP"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), "la réponse n’est pas du HTTP"),
    ],
    ids=["garbage", "silent", "long header", "many headers"],
)
def test_what_is_no_answer(reply: Reply, error: str) -> None:
    probe = one(reply)
    assert (probe.status, probe.error, probe.final_status) == (None, error, None)


def test_an_answer_that_is_cut_keeps_its_status() -> None:
    probe = one(TRUNCATED)
    assert (probe.status, probe.error, probe.body_bytes) == (200, "réponse coupée", None)


def test_a_huge_body_is_read_no_further_than_the_bound() -> None:
    probe = one(Reply(200, b"x" * 5_000_000))
    assert (probe.status, probe.body_bytes, probe.error) == (200, 65_536, None)


def test_a_backend_that_does_not_answer_is_told_with_its_latency() -> None:
    probe = one(HANG, timeout_s=1)
    assert (probe.status, probe.error) == (None, "délai dépassé")
    assert 240 <= probe.latency_ms < 600


def test_headers_that_drip_for_ever_are_cut() -> None:
    def drip(line: socket.socket, over: threading.Event) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            line.sendall(b"y")

    started = time.monotonic()
    with raw(drip) as port:
        told, _ = read({"web": port}, ("Host(`a.fr`)", "web"), timeout_s=1)
    assert told["a.fr/"].error == "délai dépassé"
    assert time.monotonic() - started < 0.8


def test_a_stream_that_never_ends_is_no_fault() -> None:
    def stream(line: socket.socket, over: threading.Event) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.wait(0.05):
            line.sendall(b"3\r\n:\n\n\r\n")

    with raw(stream) as port:
        told, _ = read({"web": port}, ("Host(`a.fr`)", "web"), timeout_s=1)
    probe = told["a.fr/"]
    assert (probe.status, probe.error, probe.content_type) == (200, None, "text/event-stream")
    assert probe.latency_ms < 200


def test_what_was_read_before_the_end_is_kept() -> None:
    web = Web(lambda request: HTML if request.headers["host"].startswith("vif") else HANG)
    rules = [("Host(`vif.fr`)", "web"), *((f"Host(`n{number}.fr`)", "web") for number in range(40))]
    started = time.monotonic()
    with web.over_tcp() as port:
        told, reading = read({"web": port}, *rules, timeout_s=1)
    assert time.monotonic() - started < 1
    assert told["vif.fr/"].status == 200
    assert 4 < len(told) < 41
    assert reading.gaps == [f"questions au proxy non posées, faute de temps : {41 - len(told)}"]


def test_no_more_probes_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_PROBES", 2)
    with Web(lambda request: HTML).over_tcp() as port:
        told, reading = read({"web": port}, *[(f"Host(`n{number}.fr`)", "web") for number in range(5)])
    assert len(told) == 2
    assert reading.gaps == ["questions au proxy non posées, au-delà du nombre permis : 3"]


def test_tls_under_the_right_name_with_any_certificate(authority: Authority) -> None:
    web = Web(lambda request: HTML, authority.server("autre.fr"))
    with web.over_tcp() as port:
        told, _ = read({"s": port}, ("Host(`a.fr`) || Host(`b.fr`)", "s", True))
    assert sorted(map(str, web.names)) == ["a.fr", "b.fr"]  # one connection for each
    assert {request.headers["host"] for request in web.requests} == {f"a.fr:{port}", f"b.fr:{port}"}
    certificate = ssl.PEM_cert_to_DER_cert((authority.folder / "cert.pem").read_text())
    for probe in told.values():
        assert (probe.status, probe.tls_version) == (200, "TLSv1.3")
        assert probe.fingerprint == hashlib.sha256(certificate).hexdigest()


def test_a_port_that_is_closed_or_does_not_speak_tls() -> None:
    with Web(lambda request: HTML).over_tcp() as port:
        told, _ = read({"s": port}, ("Host(`a.fr`)", "s", True))
    assert (told["a.fr/"].status, told["a.fr/"].error) == (None, "ce port ne parle pas TLS")
    closed = payloads({"s": port}, ("Host(`a.fr`)", "s", True))
    closed["engine"]["containers"][0]["NetworkSettings"]["Networks"] = {}
    [probe] = probes.rows(probes.fetch(Parameters(), closed)).tables["http_probes"]
    assert (probe.status, probe.error) == (None, "connexion refusée")


def to(location: str, status: int = 302, **headers: str) -> Reply:
    return Reply(status, b"", {"Location": location, **headers})


def test_a_redirection_to_tls_is_followed(authority: Authority) -> None:
    clear = Web(lambda request: to(f"https://a.fr:{secure_port}{request.target}?jeton=S3CR3T#x", 301))
    secure = Web(lambda request: HTML, authority.server("a.fr"))
    with clear.over_tcp() as port, secure.over_tcp() as secure_port:
        told, _ = read({"web": port, "s": secure_port}, ("Host(`a.fr`) && PathPrefix(`/x`)", "web"))
    probe = told["a.fr/x"]
    assert (probe.status, probe.final_status, probe.loop) == (301, 200, False)
    assert probe.redirects == (f"https://a.fr:{secure_port}/x",)
    assert [request.target for request in secure.requests] == ["/x?jeton=S3CR3T"]


@pytest.mark.parametrize(
    "location",
    [
        "https://ailleurs.example/",
        "//ailleurs.example/x",
        "http://a.fr:9/",
        "ftp://a.fr/",
        "javascript:alert(1)",
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_a_redirection_elsewhere_is_told_and_not_followed(location: str) -> None:
    asked: list[str] = []

    def respond(request: Request) -> Reply:
        asked.append(request.target)
        return to(location)

    probe = one(respond)
    assert (probe.status, probe.final_status, probe.loop, probe.error) == (302, 302, False, None)
    assert len(probe.redirects) == 1
    assert asked == ["/"]


@pytest.mark.parametrize("location", ["http://[", "http://a.fr:port/", ""])
def test_a_redirection_to_nowhere(location: str) -> None:
    probe = one(to(location))
    assert (probe.status, probe.redirects, probe.loop) == (302, (), False)


def test_redirections_in_a_circle() -> None:
    probe = one(lambda request: to({"/": "/a", "/a": "/b", "/b": "/a"}[request.path]))
    assert probe.loop
    assert [url.rpartition("/")[2] for url in probe.redirects] == ["a", "b", "a"]
    assert one(lambda request: to(request.target)).loop
    assert one(lambda request: to(f"{request.target}x")).loop  # longer and longer


def test_a_first_visit_that_sets_a_cookie_is_no_circle() -> None:
    def respond(request: Request) -> Reply:
        known = request.headers.get("cookie") == "vu=oui"
        return HTML if known else to("/", **{"Set-Cookie": "vu=oui; Path=/; HttpOnly"})

    probe = one(respond)
    assert (probe.status, probe.final_status, probe.loop) == (302, 200, False)


def test_an_error_after_a_redirection_is_told() -> None:
    probe = one(lambda request: to("/x") if request.path == "/" else GARBAGE)
    assert (probe.status, probe.final_status) == (302, None)
    assert probe.error == "après redirection : la réponse n’est pas du HTTP"


def test_secrets_of_a_redirection_are_not_kept() -> None:
    probe = one(to("https://bob:S3CR3T@ailleurs.example/x?token=S3CR3T#access_token=S3CR3T"))
    assert probe.redirects == ("https://ailleurs.example/x",)


@given(st.text(max_size=60))
def test_any_location_is_read_without_an_error(location: str) -> None:
    said = location.encode("utf-8", "replace").decode("latin-1")
    found = probes._location("http://a.fr/x", {"status": 302, "location": said})
    assert found is None or "#" not in found
    if found is not None:
        assert probes._Visitor(_FOUND, {"a.fr"}, 1)._onward(found) is None or "//a.fr" in found


_FOUND = probes.proxy.find(payloads({"web": 80}, ("Host(`a.fr`)", "web")))


def test_switched_off() -> None:
    with pytest.raises(Unreadable) as unreadable:
        probes.fetch(Parameters(probe_http=False), payloads({"web": 1}, ("Host(`a.fr`)", "web")))
    assert (unreadable.value.status, unreadable.value.remedy) == ("absent", "mettre probe_http à true")


def test_recorded_on_the_reference_server() -> None:
    reading = probes.rows(payload("faulty", "probes"))
    found = HttpProbe.table.rows(reading.tables["http_probes"]).by(HttpProbe.url)
    expected = {
        "https://files.4lb.ca/": 200,
        "https://files.4lb.ca/api": 200,
        "https://ai.4lb.ca/": 200,
        "https://ai.4lb.ca/api": 200,
        "https://ai.4lb.ca/ws": 426,
        "https://jsr.4lb.ca/": 200,
        "https://traefik.4lb.ca/": 401,
    }
    assert {url: found[url].status for url in expected} == expected
    assert found["https://traefik.4lb.ca/"].authentication == "Basic"
    assert found["http://ai.4lb.ca/"].redirects == ("https://ai.4lb.ca/",)
    assert found["http://ai.4lb.ca/"].final_status == 200
    assert {(probe.loop, probe.error, probe.router) for probe in found.values()} == {(False, None, None)}
