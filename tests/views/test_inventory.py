"""What runs and what does not, as stacks of containers and services of the machine."""

from typing import Any

import pytest

from auditlib.views.inventory import ACTIVE, PARTLY, PASSIVE
from tests.conftest import snapshot_of
from tests.frames import rows


def _stacks(containers: list[dict[str, Any]], *columns: str, **tables: Any) -> list[tuple[Any, ...]]:
    given = {"containers": containers, "container_networks": [], "publications": [], **tables}
    return rows(snapshot_of(**given).stacks, *columns)


def _member(name: str, state: str = "running", project: str | None = "shop") -> dict[str, Any]:
    return {"name": name, "state": state, "compose_project": project}


@pytest.mark.parametrize(
    ("states", "state", "running", "stopped"),
    [
        (["running", "running"], ACTIVE, 2, ()),
        (["running", "paused"], ACTIVE, 2, ()),
        (["restarting", "exited"], PARTLY, 1, ("c1",)),
        (["exited", "created"], PASSIVE, 0, ("c0", "c1")),
        (["dead", "removing"], PASSIVE, 0, ("c0", "c1")),
    ],
)
def test_the_state_of_a_stack(states: list[str], state: str, running: int, stopped: tuple[str, ...]) -> None:
    members = [_member(f"c{number}", one) for number, one in enumerate(states)]
    assert _stacks(members, "stack", "state", "running", "total", "stopped") == [("shop", state, running, 2, stopped)]


def test_a_container_of_no_project_is_a_stack_of_its_own() -> None:
    members = [_member("shop", project=None), _member("shop-app-1"), _member("alone", project=None)]
    assert _stacks(members, "stack", "compose", "containers") == [
        ("alone", False, ("alone",)),
        ("shop", False, ("shop",)),
        ("shop", True, ("shop-app-1",)),
    ]


def test_networks_and_ports_of_a_stack() -> None:
    publications = [
        {
            "container": "a",
            "protocol": protocol,
            "container_port": inside,
            "host_ip": ip,
            "host_port": port,
            "live": live,
        }
        for protocol, inside, ip, port, live in (
            ("tcp", 80, "0.0.0.0", 8080, True),
            ("tcp", 80, "::", 8080, True),
            ("tcp", 53, "0.0.0.0", 53, True),
            ("udp", 53, "0.0.0.0", 53, True),
            ("tcp", 81, "0.0.0.0", 8081, False),
        )
    ]
    networks = [
        {"container": name, "network": network} for name, network in (("a", "web"), ("b", "back"), ("b", "web"))
    ]
    found = _stacks(
        [_member("b"), _member("a")],
        "containers",
        "networks",
        "ports",
        publications=publications,
        container_networks=networks,
    )
    assert found == [(("a", "b"), ("back", "web"), ("53→53", "53→53/udp", "8080→80"))]


def test_the_folder_is_the_first_that_is_known() -> None:
    members = [_member("a"), {**_member("b"), "compose_dir": "/srv/shop"}]
    assert _stacks(members, "folder") == [("/srv/shop",)]


def _services(*listeners: dict[str, Any]) -> list[tuple[Any, ...]]:
    given = [
        {"protocol": "tcp", "family": "ipv4", "address": "127.0.0.1", "pid": n, **one}
        for n, one in enumerate(listeners)
    ]
    columns = ("service", "unit", "process", "user", "addresses", "exposure")
    return rows(snapshot_of(listeners=given).host_services, *columns)


def test_a_service_is_a_unit_and_its_process() -> None:
    assert _services(
        {"port": 53, "unit": "named.service", "process": "named", "user": "bind"},
        {"port": 53, "unit": "named.service", "process": "named", "user": "bind", "protocol": "udp"},
        {"port": 53, "unit": "named.service", "process": "named", "user": "root", "family": "ipv6", "address": "::"},
        {"port": 22, "process": "sshd", "user": "root"},
        {"port": 99},
        {"port": 80, "process": "docker-proxy", "container": "web"},
    ) == [
        ("inconnu", None, None, None, ("127.0.0.1:99",), "cette machine seulement"),
        (
            "named.service",
            "named.service",
            "named",
            "bind et root",
            ("127.0.0.1:53", "[::]:53", "127.0.0.1:53/udp"),
            "toutes les interfaces",
        ),
        ("sshd", None, "sshd", "root", ("127.0.0.1:22",), "cette machine seulement"),
    ]
