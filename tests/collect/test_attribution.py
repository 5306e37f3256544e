"""What joins the sources: the container behind a listener, the container and network behind a server."""

from dataclasses import replace
from typing import Any

import pytest

from auditlib.collect.attribution import attribute
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork, Publication
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import Traefik, TraefikServer
from tests.conftest import MOMENT, replay

ID, OTHER = "3f" * 32, "9a" * 32


def listener(process: str | None = None, *, address: str = "0.0.0.0", port: int = 80, **more: Any) -> Listener:
    row = {"protocol": "tcp", "family": "ipv4", "address": address, "port": port, "process": process}
    return Listener(**{**row, **more})


def publication(container: str, address: str = "0.0.0.0", port: int | None = 80, *, live: bool = True) -> Publication:
    return Publication(
        container=container, protocol="tcp", container_port=80, host_ip=address, host_port=port, live=live
    )


def facts(*tables: list[Row]) -> Snapshot:
    """Facts of a few tables, none of them empty."""
    return Snapshot("serveur", MOMENT, {rows[0].table.name: rows[0].table.rows(rows) for rows in tables})


def behind(row: Listener, *tables: list[Row]) -> str | None:
    [joined] = attribute(facts([row], *tables)).rows(Listener)
    assert replace(joined, container=row.container) == row
    return joined.container


ENGINE: list[Row] = [Container(name="app", id=ID)]


@pytest.mark.parametrize(
    ("row", "container"),
    [
        (listener("nginx", container=ID), "app"),
        (listener("nginx", container=OTHER), OTHER[:12]),
        (listener("nginx"), None),
    ],
)
def test_an_engine_id_becomes_a_name_or_a_short_id(row: Listener, container: str | None) -> None:
    assert behind(row, ENGINE) == container


def test_without_the_engine_an_id_is_shortened() -> None:
    assert behind(listener("nginx", container=ID)) == ID[:12]


@pytest.mark.parametrize("process", ["docker-proxy", "rootlesskit", "dockerd"])
def test_a_port_held_for_a_container_belongs_to_it(process: str) -> None:
    published = [publication("app"), publication("api", port=81)]
    assert behind(listener(process, port=81), published) == "api"


@pytest.mark.parametrize(
    ("row", "published"),
    [
        (listener("nginx"), publication("app")),  # nginx holds the port, and the container does not run
        (listener(None), publication("app")),  # who holds it is not known
        (listener("docker-proxy"), publication("app", live=False)),
        (listener("docker-proxy"), publication("app", port=81)),
        (listener("docker-proxy"), publication("app", "127.0.0.1")),
        (listener("docker-proxy", protocol="udp"), publication("app")),
        (listener("docker-proxy"), publication("app", port=None)),
    ],
)
def test_a_port_is_attributed_on_proof_only(row: Listener, published: Publication) -> None:
    assert behind(row, [published]) is None


def test_a_process_inside_a_container_is_not_taken_for_the_engine_s_own() -> None:
    """Docker in Docker: its docker-proxy holds a port of the container it runs in."""
    row = listener("docker-proxy", container=ID)
    assert behind(row, ENGINE, [publication("other")]) == "app"


def end(container: str, network: str, ipv4: str | None = None, *aliases: str, ipv6: str | None = None) -> Row:
    return ContainerNetwork(container=container, network=network, ipv4=ipv4, ipv6=ipv6, aliases=aliases or None)


ENDS: list[Row] = [
    end("traefik", "front", "10.0.0.2"),
    end("app", "front", "10.0.0.3", "web", "app-1"),
    end("app", "back", "10.1.0.3", "web"),
    end("api-1", "front", "10.0.0.4", "api"),
    end("api-2", "front", "10.0.0.5", "api"),
    end("hidden", "back", "10.1.0.4", "hidden-alias"),
    end("six", "front", None, ipv6="fd00::6"),
    end("twin", "front", "10.0.0.9"),
    end("twin", "back", "10.0.0.9"),
    end("one", "front", "10.0.0.8"),
    end("other", "swarm", "10.0.0.8"),
    end("Maj", "front", "10.0.0.7", "Grand"),
    end("stopped", "front", None),
]


def proxy(container: str | None) -> Row:
    return Traefik(url="http://127.0.0.1:8080", container=container)


def server(url: str) -> Row:
    return TraefikServer(protocol="http", service="s@docker", url=url)


def served(url: str, *, traefik: str | None = "traefik", ends: list[Row] = ENDS) -> tuple[str | None, str | None]:
    [row] = attribute(facts([proxy(traefik)], [server(url)], ends)).rows(TraefikServer)
    assert row.url == url
    return row.container, row.network


@pytest.mark.parametrize(
    ("url", "attributed"),
    [
        # By address: http, IPv6, and the host:port of tcp and udp.
        ("http://10.0.0.3:80", ("app", "front")),
        ("http://10.1.0.3:80/path", ("app", "back")),
        ("https://[fd00::6]:8443", ("six", "front")),
        ("10.0.0.4:5432", ("api-1", "front")),
        ("[fd00::6]:53", ("six", "front")),
        # Even on a network that Traefik does not share: that is what the audit looks for.
        ("http://10.1.0.4:80", ("hidden", "back")),
        # By a name that Docker's DNS answers to on a network that Traefik shares, whatever the case.
        ("http://app:3000", ("app", "front")),
        ("http://web:3000", ("app", "front")),
        ("http://WEB:3000", ("app", "front")),
        ("http://maj:80", ("Maj", "front")),
        ("http://Grand:80", ("Maj", "front")),
        ("web:3000", ("app", "front")),
        # One container with one address on two networks: the network is not known.
        ("http://10.0.0.9:80", ("twin", None)),
        # Two containers: neither.
        ("http://api:80", (None, None)),
        ("http://10.0.0.8:80", (None, None)),
        # Nobody: a name of another network, of the machine, of the internet, no name at all.
        ("http://hidden:80", (None, None)),
        ("http://hidden-alias:80", (None, None)),
        ("http://host.docker.internal:8001", (None, None)),
        ("http://127.0.0.1:8001", (None, None)),
        ("http://exemple.fr", (None, None)),
        ("http://None:80", (None, None)),
        ("http://:80", (None, None)),
        ("http://[10.0.0.3:80", (None, None)),
        ("", (None, None)),
    ],
)
def test_servers(url: str, attributed: tuple[str | None, str | None]) -> None:
    assert served(url) == attributed


def test_a_traefik_that_is_no_known_container_shares_no_network() -> None:
    assert served("http://app:3000", traefik=None) == (None, None)
    assert served("http://10.0.0.3:80", traefik=None) == ("app", "front")


def test_unknown_never_joins_unknown() -> None:
    nameless = [end("a", "front"), end("traefik", "front")]
    assert served("http://:80", ends=nameless) == (None, None)


def test_tables_that_were_not_read_stay_absent_and_the_given_ones_unchanged() -> None:
    given = facts([server("http://app:80")], [proxy("traefik")], [ContainerLabel(container="app", label="a")])
    before = dict(given.tables)
    assert attribute(given).tables == given.tables == before


def test_the_reference_server_is_attributed() -> None:
    reference = replay("faulty")
    servers = {row.service: (row.container, row.network) for row in reference.rows(TraefikServer)}
    assert servers["ai-backend@file"] == (None, None)  # a process of the machine
    assert servers["jsr-dev@docker"] == ("jsr-dev", "traefik-net")
    assert servers["media-api@docker"] == ("media-api", "unified-net")
    held = {(row.address, row.port): row.container for row in reference.rows(Listener)}
    assert (held["::", 443], held["0.0.0.0", 2222], held["0.0.0.0", 8001]) == ("traefik", "agent-zero", None)
