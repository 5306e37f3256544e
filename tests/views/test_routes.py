"""Where each domain leads, as Traefik's API holds it."""

import time
from typing import Any

import pytest

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.facts.snapshot import Snapshot
from tests.conftest import snapshot_of
from tests.frames import rows

APP = {"protocol": "http", "container": "app", "network": "web"}


def _router(router: str = "app@docker", rule: str | None = "Host(`a.fr`)", **given: Any) -> dict[str, Any]:
    return {"router": router, "protocol": "http", "rule": rule, "service": "app@docker", "status": "enabled", **given}


def _service(service: str = "app@docker", *children: str, protocol: str = "http") -> dict[str, Any]:
    return {"service": service, "protocol": protocol, "children": [*children]}


def _facts(**tables: Any) -> Snapshot:
    given = {
        "traefik_routers": [_router()],
        "traefik_services": [_service()],
        "traefik_servers": [{"service": "app@docker", "url": "http://172.20.0.2:80", **APP}],
    }
    return snapshot_of(**{**given, **tables})


def _targets(facts: Snapshot) -> list[tuple[Any, ...]]:
    return rows(facts.routes, "server", "kind", "target", "port")


def test_a_domain_to_its_container() -> None:
    columns = ("domain", "path", "router", "service", "server", "kind", "target", "container", "network", "port")
    assert rows(_facts().routes, *columns) == [
        ("a.fr", None, "app@docker", "app@docker", "http://172.20.0.2:80", "conteneur", "app", "app", "web", 80)
    ]


def test_one_row_per_domain_path_and_server() -> None:
    rule = "(Host(`a.fr`) || Host(`b.fr`)) && (PathPrefix(`/x`) || PathPrefix(`/y`))"
    servers = [{"service": "app@docker", "url": f"http://172.20.0.{n}:80", **APP} for n in (2, 3)]
    facts = _facts(traefik_routers=[_router(rule=rule)], traefik_servers=servers)
    assert rows(facts.routes, "domain", "path", "server") == [
        (domain, path, f"http://172.20.0.{n}:80")
        for domain in ("a.fr", "b.fr")
        for path in ("/x", "/y")
        for n in (2, 3)
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"rule": "Hosts(`a.fr`)"},
        {"rule": None},
        {"rule": "Method(`GET`)"},
        {"rule": "Host(`a.fr`, `b.fr`)"},
        {"rule": "HostSNI(`a.fr`)"},
    ],
)
def test_a_rule_that_names_no_place_or_cannot_be_read_is_still_a_route(given: dict[str, Any]) -> None:
    assert rows(_facts(traefik_routers=[_router(**given)]).routes, "domain", "path") == [(None, None)]


@pytest.mark.parametrize(
    ("given", "domains"),
    [
        ({"rule": "Host(`a.fr`, `b.fr`)", "rule_syntax": "v2"}, ["a.fr", "b.fr"]),
        ({"rule": "Host(`a.fr`)", "rule_syntax": "default"}, ["a.fr"]),
        ({"rule": "HostSNI(`a.fr`)", "protocol": "tcp"}, ["a.fr"]),
        ({"rule": "HostSNI(`*`)", "protocol": "tcp"}, [None]),
        ({"rule": None, "protocol": "udp"}, [None]),
    ],
)
def test_each_protocol_has_its_rules(given: dict[str, Any], domains: list[str | None]) -> None:
    assert rows(_facts(traefik_routers=[_router(**given)]).routes, "domain") == [(domain,) for domain in domains]


def test_http_and_tcp_of_one_name_are_apart() -> None:
    facts = _facts(
        traefik_routers=[_router(), _router(rule="HostSNI(`a.fr`)", protocol="tcp")],
        traefik_services=[_service(), _service(protocol="tcp")],
        traefik_servers=[
            {"service": "app@docker", "protocol": "http", "url": "http://10.0.0.1:80"},
            {"service": "app@docker", "protocol": "tcp", "url": "10.0.0.1:5432"},
        ],
    )
    assert rows(facts.routes, "protocol", "server", "port") == [
        ("http", "http://10.0.0.1:80", 80),
        ("tcp", "10.0.0.1:5432", 5432),
    ]


# Services of services


def _composed(*services: dict[str, Any], first: str) -> list[str | None]:
    servers = [{"service": f"{name}@file", "protocol": "http", "url": f"http://{name}:80"} for name in "abcd"]
    facts = _facts(traefik_routers=[_router(service=first)], traefik_services=list(services), traefik_servers=servers)
    return [server for (server,) in rows(facts.routes, "server")]


def test_weighted_services_lead_to_the_servers_of_their_members() -> None:
    leaves = [_service(f"{name}@file") for name in "abc"]
    inner, outer = _service("in@file", "b@file", "c@file"), _service("out@file", "a@file", "in@file")
    assert _composed(*leaves, inner, outer, first="out@file") == ["http://a:80", "http://b:80", "http://c:80"]


def test_a_member_named_twice_counts_once() -> None:
    assert _composed(_service("a@file"), _service("out@file", "a@file", "a@file"), first="out@file") == ["http://a:80"]


def test_services_that_lead_to_each_other_end_somewhere() -> None:
    """Every one of these services names every other: followed without memory, they would never end."""
    names = [f"s{number}@file" for number in range(30)]
    ring = [_service(name, *names) for name in names]
    started = time.monotonic()
    assert _composed(*ring, first=names[0]) == [None]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("service", "kind", "target"),
    [("gone@file", "aucune", None), (None, "aucune", None), ("api@internal", "Traefik", "Traefik")],
)
def test_a_router_without_any_server(service: str | None, kind: str, target: str | None) -> None:
    facts = _facts(traefik_routers=[_router(service=service)], traefik_servers=[])
    assert _targets(facts) == [(None, kind, target, None)]


# Servers that are no container


def _server_of(url: str, **tables: Any) -> tuple[Any, ...]:
    facts = _facts(traefik_servers=[{"service": "app@docker", "protocol": "http", "url": url}], **tables)
    (target,) = _targets(facts)
    return target


NETWORKS = [{"name": "web", "id": "1", "gateways": ["172.20.0.1", "fd00::1"]}]
HEARD = [
    {
        "protocol": "tcp",
        "family": "ipv4",
        "address": "0.0.0.0",
        "port": 8001,
        "process": "python",
        "unit": "api.service",
    },
    {"protocol": "udp", "family": "ipv4", "address": "0.0.0.0", "port": 8002, "process": "syslogd"},
    {
        "protocol": "tcp",
        "family": "ipv4",
        "address": "0.0.0.0",
        "port": 8003,
        "process": "docker-proxy",
        "unit": "docker.service",
        "container": "other",
    },
    {"protocol": "tcp", "family": "ipv4", "address": "0.0.0.0", "port": 443},
]


@pytest.mark.parametrize(
    ("url", "kind", "target", "port"),
    [
        ("http://172.20.0.1:8001", "machine", "api.service", 8001),
        ("http://[fd00::1]:8001", "machine", "api.service", 8001),
        ("http://Host.Docker.Internal:8001", "machine", "api.service", 8001),
        ("http://172.20.0.1:8003", "machine", "other", 8003),
        ("https://172.20.0.1", "machine", "inconnu", 443),
        # A listener of another protocol, and none at all.
        ("http://172.20.0.1:8002", "machine", None, 8002),
        ("http://172.20.0.1", "machine", None, 80),
        ("http://192.168.1.9:8001", "autre", "192.168.1.9", 8001),
        ("h2c://backend", "autre", "backend", 80),
        ("https://backend", "autre", "backend", 443),
        ("backend:5432", "autre", "backend", 5432),
        # What Traefik refuses to parse must not stop the audit.
        ("http://backend:abc", "autre", "backend", None),
        ("http://backend:99999", "autre", "backend", None),
        ("http://[::1", "autre", "http://[::1", None),
        ("http://\u2100.fr", "autre", "http://\u2100.fr", None),
        ("://", "autre", "", None),
    ],
)
def test_servers_of_the_machine_and_of_others(url: str, kind: str, target: str | None, port: int | None) -> None:
    assert _server_of(url, networks=NETWORKS, listeners=HEARD) == (url, kind, target, port)


def test_what_listens_is_unknown_when_listeners_were_not_read() -> None:
    assert _server_of("http://172.20.0.1:8001", networks=NETWORKS)[1:3] == ("machine", None)


def _proxy(network_mode: str | None) -> dict[str, Any]:
    """The tables that make Traefik a container with this network, or a process of the machine."""
    container = {"name": "traefik", "state": "running", "network_mode": network_mode}
    option = {"container": "traefik", "origin": "flags", "key": "api", "value": "true", "effective": True}
    inside = network_mode is not None
    return {
        "containers": [container] if inside else [],
        "container_networks": [],
        "traefik_static": [option] if inside else [],
    }


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"])
@pytest.mark.parametrize(
    ("network_mode", "kind", "target"),
    [("web", "Traefik", None), ("host", "machine", "api.service"), (None, "machine", "api.service")],
)
def test_the_loopback_is_traefik_s_own(url: str, network_mode: str | None, kind: str, target: str | None) -> None:
    found = _server_of(url, networks=NETWORKS, listeners=HEARD, **_proxy(network_mode))
    host = url.removeprefix("http://").removesuffix(":8001").strip("[]")
    assert found[1:] == (kind, target or host, 8001)


def test_whose_loopback_it_is_may_be_unknown() -> None:
    assert _server_of("http://127.0.0.1:8001", listeners=HEARD)[1:3] == ("autre", "127.0.0.1")
