"""Entry points of the static configuration: what it does not say has the default of the version."""

import pytest

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.facts.table import VIEWS, Rows
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.views.entrypoints import Entrypoint, entrypoints


def of(version: str | None = "3.7.15", **options: str) -> dict[str, Entrypoint]:
    """The entry points of options, whose names are written with two underscores for a dot."""
    static = [
        StaticOption(origin="flags", key=key.replace("__", "."), value=value, effective=True)
        for key, value in options.items()
    ]
    running = None if version is None else Rows([Traefik(url="http://127.0.0.1:8080", version=version)])
    return {point.entrypoint: point for point in entrypoints(Rows(static), None, running)}


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("2.11.34", ("%2F", "%5C", "%00", "%3B", "%25", "%3F")),
        ("2.11.35", ("%2F",)),
        ("3.6.4", ("%2F", "%5C", "%00", "%3B", "%25", "%3F")),
        ("3.6.6", ("%2F", "%5C", "%00", "%3B", "%25", "%3F")),
        ("3.6.7", ("%2F",)),
        ("3.7.15", ("%2F",)),
        (None, ("%2F",)),
    ],
)
def test_an_encoded_character_of_which_nothing_is_said(version: str | None, refused: tuple[str, ...]) -> None:
    characters = "entrypoints__web__http__encodedcharacters__allowencoded"
    point = of(version, **{f"{characters}slash": "false", f"{characters}hash": "true"})["web"]
    assert point.refused_characters == refused


def test_without_a_word_on_encoded_characters_the_version_decides() -> None:
    assert of(entrypoints__web__address=":80")["web"].refused_characters is None


@pytest.mark.parametrize(
    ("option", "value", "made"),
    [
        ("api__insecure", "true", True),
        ("api__dashboard", "true", False),
        ("ping", "true", True),
        ("ping__terminatingstatuscode", "503", True),
        ("ping__entrypoint", "web", False),
        ("ping__manualrouting", "true", False),
        ("metrics__prometheus", "true", True),
        ("metrics__prometheus__entrypoint", "web", False),
        ("providers__rest__insecure", "true", True),
    ],
)
def test_what_traefik_serves_itself_makes_an_entry_point(option: str, value: str, made: bool) -> None:
    points = of(entrypoints__web__address=":80", **{option: value})
    assert points.keys() == {"web", "traefik"} if made else {"web"}
    assert not made or (points["traefik"].port, points["traefik"].default) == (8080, False)


def test_the_entry_point_of_traefik_alone_does_not_replace_the_usual_one() -> None:
    points = of(entrypoints__traefik__address=":9000")
    assert {name: point.port for name, point in points.items()} == {"traefik": 9000, "http": 80}


@pytest.mark.parametrize(("value", "tls"), [("true", True), ("TRUE", True), ("", True), ("false", False), ("1", False)])
def test_tls_is_only_true_or_empty(value: str, tls: bool) -> None:
    point = of(entrypoints__web__http__tls=value, entrypoints__web__http__tls__certresolver="le")["web"]
    assert point.tls == tls


def test_a_router_of_udp_that_names_no_entry_point_is_on_all_of_them() -> None:
    points = Rows(
        [
            Entrypoint(entrypoint="web", protocol="tcp", default=True),
            Entrypoint(entrypoint="dns", protocol="udp", default=True),
            Entrypoint(entrypoint="game", protocol="udp", default=False),
        ]
    )
    labels = {"traefik.udp.services.s.loadbalancer.server.port": "53", "traefik.udp.routers.r.service": "s"}
    tables = {
        "containers": Rows([Container(name="app", id="a1", state="running", network_mode="bridge")]),
        "container_networks": Rows([ContainerNetwork(container="app", network="bridge", ipv4="172.17.0.2")]),
        "labels": Rows([ContainerLabel(container="app", label=label, value=value) for label, value in labels.items()]),
        "publications": Rows([]),
        "traefik_static": Rows([StaticOption(origin="flags", key="providers.docker", value="true", effective=True)]),
    }
    (router,) = VIEWS["predicted_routers"].compute(**tables, entrypoints=points)
    assert (router.entrypoints, router.status) == (("dns", "game"), "enabled")
