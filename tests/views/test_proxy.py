"""Which container is Traefik, what its provider's options say, and which containers it routes to."""

from typing import Any

import pytest

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.facts.snapshot import AbsentTable, Snapshot
from tests.conftest import snapshot_of
from tests.frames import rows


def _option(key: str, value: str, *, effective: bool | None = True) -> dict[str, Any]:
    return {"container": "traefik", "origin": "flags", "key": key, "value": value, "effective": effective}


def _facts(**tables: Any) -> Snapshot:
    given = {
        "containers": [
            {"name": "app", "state": "running"},
            {"name": "traefik", "id": "f00d", "state": "running", "network_mode": "web"},
        ],
        "container_networks": [
            {"container": "traefik", "network": "web"},
            {"container": "traefik", "network": "admin"},
        ],
        "traefik_static": [_option("api", "true")],
        "labels": [],
    }
    return snapshot_of(**{**given, **tables})


# The proxy


def test_the_proxy_and_its_options() -> None:
    facts = _facts(traefik_static=[_option("providers.docker.network", "web"), _option("api", "true")])
    assert rows(facts.proxy, "container", "network_mode", "networks", "designated", "exposed_by_default") == [
        ("traefik", "web", ("admin", "web"), "web", True)
    ]


@pytest.mark.parametrize(
    ("value", "exposed"),
    [("true", True), ("1", True), ("T", True), ("false", False), ("False", False), ("0", False), ("oui", False)],
)
def test_exposed_by_default_is_read_as_go_does(value: str, *, exposed: bool) -> None:
    facts = _facts(traefik_static=[_option("providers.docker.exposedbydefault", value)])
    assert rows(facts.proxy, "exposed_by_default") == [(exposed,)]


def test_options_that_traefik_ignores_say_nothing() -> None:
    static = [
        _option("api", "true"),
        {**_option("providers.docker.network", "web", effective=False), "origin": "environment"},
    ]
    assert rows(_facts(traefik_static=static).proxy, "designated") == [(None,)]


def test_the_container_that_the_api_names_is_the_proxy() -> None:
    facts = _facts(traefik=[{"url": "http://127.0.0.1:8080", "container": "app"}])
    assert rows(facts.proxy, "container") == [("app",)]


def test_traefik_outside_of_any_container() -> None:
    facts = _facts(traefik=[{"url": "http://127.0.0.1:8080"}], traefik_static=[])
    assert rows(facts.proxy, "container", "network_mode", "networks") == [(None, None, ())]


@pytest.mark.parametrize("joined", ["container:beef", "container:vpn"])
def test_a_proxy_that_joined_the_network_of_another(joined: str) -> None:
    containers = [
        {"name": "traefik", "state": "running", "network_mode": joined},
        {"name": "vpn", "id": "beef", "state": "running", "network_mode": "out"},
    ]
    facts = _facts(containers=containers, container_networks=[{"container": "vpn", "network": "out"}])
    assert rows(facts.proxy, "container", "network_container", "network_mode", "networks") == [
        ("traefik", "vpn", "out", ("out",))
    ]


def test_a_proxy_whose_network_is_gone() -> None:
    facts = _facts(containers=[{"name": "traefik", "state": "exited", "network_mode": "container:gone"}])
    assert rows(facts.proxy, "network_container", "network_mode", "networks") == [(None, None, ())]


def test_nothing_is_guessed_when_the_options_in_force_are_not_known() -> None:
    facts = _facts(traefik_static=[_option("providers.docker.network", "web", effective=None)])
    for view in ("proxy", "routed"):
        with pytest.raises(AbsentTable, match="n’est pas connue avec certitude"):
            getattr(facts, view)


# The containers that are routed


def _label(label: str, value: str | None = "true") -> dict[str, Any]:
    return {"container": "app", "label": label, "value": value}


CLOSED = [_option("providers.docker.exposedbydefault", "false")]


@pytest.mark.parametrize(
    ("labels", "by_default", "when_closed"),
    [
        ([], False, False),
        ([_label("traefik.enable")], True, True),
        ([_label("Traefik.Enable", "1")], True, True),
        ([_label("traefik.enable", "false")], False, False),
        ([_label("traefik.enable", "yes")], False, False),
        ([_label("traefik.enable", "")], False, False),
        ([_label("traefik.http.routers.a.rule", "Host(`a.fr`)")], True, False),
        ([_label("traefik.tcp.routers.a.rule", "HostSNI(`*`)")], True, False),
        ([_label("traefik.http.routers.a.rule", "Host(`a.fr`)"), _label("traefik.enable", "0")], False, False),
        ([_label("traefik.docker.network", "web")], False, False),
        ([_label("com.example.traefik.enable")], False, False),
    ],
)
def test_what_labels_ask(labels: list[dict[str, Any]], *, by_default: bool, when_closed: bool) -> None:
    assert bool(rows(_facts(labels=labels).routed, "container")) == by_default
    assert bool(rows(_facts(labels=labels, traefik_static=CLOSED).routed, "container")) == when_closed


@pytest.mark.parametrize(
    ("state", "asks"), [("running", True), ("paused", True), ("exited", False), ("created", False), ("dead", False)]
)
def test_only_a_container_that_runs_asks(state: str, *, asks: bool) -> None:
    facts = _facts(containers=[{"name": "app", "state": state}], labels=[_label("traefik.enable")])
    assert bool(len(facts.routed)) == asks


def _server(service: str, container: str | None, network: str | None, url: str = "http://172.20.0.2") -> dict[str, Any]:
    return {"service": service, "protocol": "http", "url": url, "container": container, "network": network}


def test_servers_of_the_api_tell_the_services_and_the_networks() -> None:
    servers = [
        _server("b@docker", "app", "web", "http://172.20.0.2"),
        _server("a@file", "app", None, "http://app"),
        _server("c@file", None, None, "http://192.168.1.1"),
    ]
    facts = _facts(traefik_servers=servers, labels=[_label("traefik.docker.network", "")])
    assert rows(facts.routed, "container", "network_label", "services", "reached", "docker") == [
        ("app", "", ("a@file", "b@docker"), ("web",), True)
    ]


def test_a_container_of_the_file_provider_asks_nothing_of_docker_s() -> None:
    facts = _facts(traefik_servers=[_server("a@file", "app", "web")])
    assert rows(facts.routed, "container", "docker") == [("app", False)]


def test_traefik_does_not_route_to_itself() -> None:
    itself = {"container": "traefik", "label": "traefik.enable", "value": "true"}
    assert (
        rows(_facts(labels=[itself], traefik_servers=[_server("a@docker", "traefik", "web")]).routed, "container") == []
    )


def test_without_the_api_labels_alone_tell() -> None:
    facts = _facts(labels=[_label("traefik.enable")])
    assert rows(facts.routed, "container", "services", "docker") == [("app", (), True)]
