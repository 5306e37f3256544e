"""Where Traefik's API is asked: the doors found from the engine, or the address that is given."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from auditlib.collect import traefik_api
from auditlib.collect.source import Unreadable
from auditlib.collect.traefik_api import Door
from auditlib.parameters import Parameters
from tests.conftest import payload

from .certificates import Authority
from .fake_traefik import FakeTraefik
from .servers import HANG, Web

UNREAD = {"engine": None, "traefik_static": None}
INSECURE = {"api.insecure": "true"}
WEB = {"entrypoints.web.address": ":80", "entrypoints.websecure.address": ":443"}


def published(port: int | str, inner: str = "8080/tcp", ip: str = "127.0.0.1") -> dict[str, Any]:
    return {inner: [{"HostIp": ip, "HostPort": str(port)}]}


def container(
    name: str = "traefik",
    ports: dict[str, Any] | None = None,
    addresses: tuple[str, ...] = (),
    mode: str = "front",
    labels: dict[str, str] | None = None,
    running: bool = True,
) -> dict[str, Any]:
    return {
        "Name": f"/{name}",
        "Path": "traefik",
        "Args": [],
        "Config": {"Image": "traefik:v3", "Labels": labels},
        "HostConfig": {"NetworkMode": mode},
        "State": {"Running": running},
        "NetworkSettings": {
            "Ports": ports,
            "Networks": {f"n{i}": {"IPAddress": address} for i, address in enumerate(addresses)},
        },
    }


def dashboard(rule: str = "Host(`tr.fr`)", entrypoints: str = "websecure", **more: str) -> dict[str, str]:
    """Labels of a router to the API."""
    router = "traefik.http.routers.dash"
    told = {f"{router}.service": "api@internal", f"{router}.rule": rule, f"{router}.entrypoints": entrypoints}
    return {key: value for key, value in told.items() if value} | {f"{router}.{key}": more[key] for key in more}


def found(one: dict[str, Any], options: dict[str, str], *, local: bool = True) -> list[tuple[str, str]]:
    return [(door.url, door.host) for door in traefik_api.doors(one, options, local=local)]


@pytest.mark.parametrize(
    ("one", "options", "expected"),
    [
        # The entry point « traefik », where it is published, then at the container's own address.
        (container(ports=published(8081), addresses=("10.1.0.2",)), INSECURE,
         [("http://127.0.0.1:8081", ""), ("http://10.1.0.2:8080", "")]),
        (container(ports={"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}, {"HostIp": "::", "HostPort": "80"}]}),
         INSECURE, [("http://127.0.0.1:80", ""), ("http://[::1]:80", "")]),
        (container(ports=published(8080, ip="192.168.1.2")), INSECURE, [("http://192.168.1.2:8080", "")]),
        (container(ports=published(8080, ip="")), INSECURE, [("http://127.0.0.1:8080", "")]),
        (container(ports={"8080/tcp": None, "80/tcp": [{"HostIp": "", "HostPort": "80"}]}), INSECURE, []),
        (container(ports=published(9001, "9000/tcp")),
         {**INSECURE, "entrypoints.traefik.address": "127.0.0.1:9000/tcp"}, [("http://127.0.0.1:9001", "")]),
        (container(mode="host", addresses=("",)), INSECURE, [("http://127.0.0.1:8080", "")]),
        # Not insecure: no door. Nothing known of its options: the door may be open.
        (container(ports=published(8080)), WEB, []),
        (container(ports=published(8080)), {"api.insecure": "false"}, []),
        (container(ports=published(8080)), {}, [("http://127.0.0.1:8080", "")]),
        # A router to the API, on each published port of its entry points, for each host of its rule.
        (container(ports=published(443, "443/tcp"), labels=dashboard(tls="true")), WEB,
         [("https://127.0.0.1:443", "tr.fr")]),
        (container(ports=published(443, "443/tcp"), labels=dashboard(**{"tls.certresolver": "le"})), WEB,
         [("https://127.0.0.1:443", "tr.fr")]),
        (container(ports=published(443, "443/tcp"), labels=dashboard()),
         {**WEB, "entrypoints.websecure.http.tls": "true"}, [("https://127.0.0.1:443", "tr.fr")]),
        (container(ports=published(443, "443/tcp"), labels=dashboard(tls="false")), WEB,
         [("http://127.0.0.1:443", "tr.fr")]),
        (container(ports=published(8000, "80/tcp"), labels=dashboard("Host(`a.fr`) || Host(`b.fr`)", "web")), WEB,
         [("http://127.0.0.1:8000", "a.fr"), ("http://127.0.0.1:8000", "b.fr")]),
        (container(ports={**published(80, "80/tcp"), **published(443, "443/tcp")},
                   labels=dashboard(entrypoints="web, websecure")), WEB,
         [("http://127.0.0.1:80", "tr.fr"), ("http://127.0.0.1:443", "tr.fr")]),
        # A router that names no entry point is on all of them.
        (container(ports={**published(80, "80/tcp"), **published(443, "443/tcp")},
                   labels=dashboard(entrypoints="", tls="true")), WEB,
         [("https://127.0.0.1:80", "tr.fr"), ("https://127.0.0.1:443", "tr.fr")]),
        # Not published: at the container's address, or on the machine in host mode.
        (container(addresses=("10.1.0.2",), labels=dashboard(tls="")), WEB, [("https://10.1.0.2:443", "tr.fr")]),
        (container(mode="host", labels=dashboard(tls="true")), WEB, [("https://127.0.0.1:443", "tr.fr")]),
        # Label keys have no case; the secrets of a rule do not prevent reading its host.
        (container(ports=published(443, "443/tcp"),
                   labels={key.upper(): value for key, value in
                           dashboard("Host(`tr.fr`) && Header(`X-Token`, `abc`)", tls="true").items()}), WEB,
         [("https://127.0.0.1:443", "tr.fr")]),
        # No door: a rule without a host or that cannot be read, an unknown entry point, another service.
        (container(ports=published(443, "443/tcp"), labels=dashboard("PathPrefix(`/api`)")), WEB, []),
        (container(ports=published(443, "443/tcp"), labels=dashboard("Host(")), WEB, []),
        (container(ports=published(443, "443/tcp"), labels=dashboard(entrypoints="other")), WEB, []),
        (container(ports=published(443, "443/tcp"), labels={"traefik.http.routers.dash.service": "app"}), WEB, []),
        ({**container(), "NetworkSettings": None}, {**WEB, **INSECURE}, []),
    ],
)  # fmt: skip
def test_doors(one: dict[str, Any], options: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert found(one, options) == expected
    assert found(one, options, local=False) == []


ENGINE = {
    "local": True,
    "containers": [
        container("web", {**published(443, "443/tcp", "0.0.0.0"), **published(8080)}, ("10.1.0.2",)),
        container("interne", published(8081), ("10.1.0.3",)),
    ],
}


@pytest.mark.parametrize(
    ("address", "name", "url", "host"),
    [
        # A local Traefik publishes the port: it is asked here, under the name.
        ("https://tr.fr", "web", "https://127.0.0.1:443", "tr.fr"),
        ("https://tr.fr:443/dashboard/", "web", "https://127.0.0.1:443", "tr.fr"),
        ("http://tr.fr:8081/base/dashboard/#/http/routers", "interne", "http://127.0.0.1:8081/base", "tr.fr"),
        ("https://accentué.fr", "web", "https://127.0.0.1:443", "xn--accentu-hya.fr"),
        # The loopback and the containers' addresses need no detour.
        ("http://localhost:8081/api/", "interne", "http://localhost:8081", ""),
        ("http://127.0.0.1:8080", "web", "http://127.0.0.1:8080", ""),
        ("http://10.1.0.3:8080/dashboard", "interne", "http://10.1.0.3:8080", ""),
        ("http://localhost:9999/", "web", "http://localhost:9999", ""),
        # Elsewhere.
        ("http://tr.fr:9999/api/rawdata?x=1", None, "http://tr.fr:9999", ""),
        ("http://api/", None, "http://api", ""),
        ("http://dashboard", None, "http://dashboard", ""),
        ("http://tr.fr/outils/api", None, "http://tr.fr/outils", ""),
        ("http://tr.fr/apiculture", None, "http://tr.fr/apiculture", ""),
    ],
)
def test_a_given_address(address: str, name: str | None, url: str, host: str) -> None:
    leads_to, doors = traefik_api._given(address, ENGINE)
    assert (leads_to and leads_to["Name"]) == (name and f"/{name}")
    assert doors == [Door(url, host, verify=not host)]


@pytest.mark.parametrize("engine", [None, {**ENGINE, "local": False}], ids=["unread", "remote"])
def test_without_a_local_engine_a_given_address_is_asked_as_it_is(engine: Any) -> None:
    assert traefik_api._given("https://tr.fr", engine) == (None, [Door("https://tr.fr")])


@pytest.mark.parametrize("address", ["http://[::1", "http://tr.fr:port", "http://tr.fr:99999", "http://a..b"])
def test_a_malformed_address_is_one_sentence(address: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        ask(UNREAD, traefik_api=address)
    assert unreadable.value.status == "failed"
    assert unreadable.value.reason == f"l’adresse traefik_api est mal formée : {address}"


@pytest.mark.parametrize(
    ("door", "shown"),
    [
        (Door("http://127.0.0.1:8080"), "http://127.0.0.1:8080"),
        (Door("https://127.0.0.1:443", "tr.fr"), "https://tr.fr"),
        (Door("http://127.0.0.1:8081/base", "tr.fr"), "http://tr.fr:8081/base"),
        (Door("http://[::1]:80", "tr.fr"), "http://tr.fr"),
    ],
)
def test_a_door_is_shown_as_a_browser_would_be_given_it(door: Door, shown: str) -> None:
    assert door.shown == shown


def ask(payloads: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return traefik_api.fetch(Parameters(timeout_s=5, **parameters), payloads)


def around(one: dict[str, Any], flags: dict[str, str]) -> dict[str, Any]:
    """The payloads of the sources that the API comes after."""
    args = [f"--{key}={value}" for key, value in flags.items()]
    static = {"container": "traefik", "others": [], "args": args, "environment": [], "files": {}, "unread": []}
    return {"engine": {"local": True, "containers": [one]}, "traefik_static": static}


@pytest.fixture
def parts() -> dict[str, Any]:
    return payload("faulty", "traefik_api")


@pytest.fixture
def traefik(parts: dict[str, Any]) -> FakeTraefik:
    return FakeTraefik(parts)


def test_at_the_published_port(traefik: FakeTraefik, parts: dict[str, Any]) -> None:
    with traefik.web.over_tcp() as port:
        answers = ask(around(container(ports=published(port)), INSECURE))
    assert answers == {**parts, "url": f"http://127.0.0.1:{port}", "container": "traefik", "here": True}
    assert {request.method for request in traefik.web.requests} == {"GET"}
    assert {request.headers["user-agent"].partition("/")[0] for request in traefik.web.requests} == {"auditlib"}


@pytest.mark.parametrize(
    ("version", "known"),
    [("3.7.15", True), ("v3.10.0", True), ("4.0.0", True), ("3.6.15", False), ("2.11.53", False), ("dev", False)],
)
def test_certificates_are_asked_of_those_that_tell_them(
    traefik: FakeTraefik, parts: dict[str, Any], version: str, known: bool
) -> None:
    traefik.parts = {**parts, "version": {**parts["version"], "Version": version}, "certificates": [{"name": "ab"}]}
    with traefik.web.over_tcp() as port:
        answers = ask(around(container(ports=published(port)), INSECURE))
    assert ("/api/certificates" in {request.path for request in traefik.web.requests}) is known
    assert answers.get("certificates") == ([{"name": "ab"}] if known else None)


def test_certificates_that_are_refused_leave_the_rest(traefik: FakeTraefik, parts: dict[str, Any]) -> None:
    traefik.parts = {**parts, "version": {**parts["version"], "Version": "3.7.15"}}
    with traefik.web.over_tcp() as port:
        answers = ask(around(container(ports=published(port)), INSECURE))
    assert answers["rawdata"] == parts["rawdata"]
    said = f"l’API de Traefik à l’adresse http://127.0.0.1:{port} répond HTTP 404 à /api/certificates?per_page=10000"
    assert traefik_api.rows(answers).gaps == [said]


def test_at_the_address_of_the_container(traefik: FakeTraefik) -> None:
    with traefik.web.over_tcp("127.0.0.2") as port:
        options = {**INSECURE, "entrypoints.traefik.address": f":{port}"}
        answers = ask(around(container(addresses=("127.0.0.2",)), options))
    assert answers["url"] == f"http://127.0.0.2:{port}"


def test_in_the_network_of_the_machine(traefik: FakeTraefik) -> None:
    with traefik.web.over_tcp() as port:
        options = {**INSECURE, "entrypoints.traefik.address": f":{port}"}
        answers = ask(around(container(mode="host"), options))
    assert answers["url"] == f"http://127.0.0.1:{port}"


@pytest.fixture
def guarded(parts: dict[str, Any], authority: Authority) -> Iterator[tuple[FakeTraefik, int]]:
    """A Traefik whose API is behind a name, TLS with its own default certificate, and a password."""
    traefik = FakeTraefik(parts, authority.server("traefik.default"))
    traefik.host, traefik.credentials = "tr.fr", "admin:pâssw:rd"
    with traefik.web.over_tcp() as port:
        yield traefik, port


def test_through_a_router_by_its_name_with_tls_and_a_password(
    guarded: tuple[FakeTraefik, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    traefik, port = guarded
    monkeypatch.setenv("AUDIT_TRAEFIK", "admin:pâssw:rd")
    one = container(ports=published(port, "443/tcp"), labels=dashboard(tls="true"))
    answers = ask(around(one, WEB), traefik_auth_env="AUDIT_TRAEFIK")
    assert (answers["url"], answers["container"]) == (f"https://tr.fr:{port}", "traefik")
    assert {request.headers["host"] for request in traefik.web.requests} == {"tr.fr"}
    assert set(traefik.web.names) == {"tr.fr"}


def test_a_given_name_is_asked_at_the_local_door(
    guarded: tuple[FakeTraefik, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tr.fr resolves nowhere here."""
    traefik, port = guarded
    monkeypatch.setenv("AUDIT_TRAEFIK", traefik.credentials)
    payloads = around(container(ports=published(port, "443/tcp")), WEB)
    given = {"traefik_api": f"https://tr.fr:{port}/dashboard/", "traefik_auth_env": "AUDIT_TRAEFIK"}
    assert ask(payloads, **given)["container"] == "traefik"


def test_without_the_password_the_door_is_refused(guarded: tuple[FakeTraefik, int]) -> None:
    _, port = guarded
    one = container(ports=published(port, "443/tcp"), labels=dashboard(tls="true"))
    with pytest.raises(Unreadable) as refused:
        ask(around(one, WEB))
    assert refused.value.status == "refused"
    assert "traefik_auth_env" in refused.value.remedy


def test_a_foreign_certificate_is_refused_when_the_address_is_elsewhere(guarded: tuple[FakeTraefik, int]) -> None:
    _, port = guarded
    url = f"https://localhost:{port}"
    with pytest.raises(Unreadable) as failed:
        ask(UNREAD, traefik_api=url)
    assert failed.value.reason == (
        f"l’API de Traefik à l’adresse {url} ne répond pas (le certificat TLS n’est pas reconnu)"
    )


@pytest.mark.parametrize("first", [True, False])
def test_a_refusal_tells_more_than_a_closed_door(traefik: FakeTraefik, first: bool) -> None:
    traefik.credentials = "admin:x"
    with traefik.web.over_tcp() as port, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bindings = [*published(port)["8080/tcp"], *published(closed.getsockname()[1])["8080/tcp"]]
        with pytest.raises(Unreadable) as refused:
            ask(around(container(ports={"8080/tcp": bindings if first else bindings[::-1]}), INSECURE))
    assert refused.value.status == "refused"
    assert f"http://127.0.0.1:{port} demande un mot de passe" in refused.value.reason


def test_a_silent_door_leaves_the_time_to_the_next(traefik: FakeTraefik) -> None:
    with traefik.web.over_tcp() as port, Web(lambda request: HANG).over_tcp() as silent:
        bindings = [*published(silent)["8080/tcp"], *published(port)["8080/tcp"]]
        payloads = around(container(ports={"8080/tcp": bindings}), INSECURE)
        answers = traefik_api.fetch(Parameters(timeout_s=1), payloads)
    assert answers["url"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        (UNREAD, "le moteur Docker n’a pas été lu"),
        ({**UNREAD, "engine": {"local": True, "containers": []}}, "aucun conteneur Traefik n’a été trouvé"),
        (around(container(running=False), INSECURE), "le conteneur traefik ne tourne pas"),
        (around(container(), WEB), "Traefik n’expose son API à aucune adresse connue"),
    ],
)  # fmt: skip
def test_without_a_door_the_source_is_absent(payloads: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        ask(payloads)
    assert (unreadable.value.status, unreadable.value.reason) == ("absent", reason)


@pytest.mark.parametrize("value", [None, "", "admin", "CANARI-secret"])
def test_a_password_variable_that_cannot_be_used_is_one_sentence_without_its_value(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_TRAEFIK", raising=False)
    if value is not None:
        monkeypatch.setenv("AUDIT_TRAEFIK", value)
    with pytest.raises(Unreadable) as unreadable:
        ask(around(container(), INSECURE), traefik_auth_env="AUDIT_TRAEFIK")
    assert unreadable.value.status == "failed"
    assert unreadable.value.reason == (
        "la variable d’environnement « AUDIT_TRAEFIK » est vide ou n’a pas la forme utilisateur:mot de passe"
    )
