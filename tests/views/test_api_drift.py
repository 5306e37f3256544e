"""What Traefik has and its sources do not say, and the other way round, with the reason."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

import pytest

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork
from auditlib.facts.tables.traefik import TraefikFile, TraefikRouter, TraefikServer, TraefikService
from auditlib.views.api_drift import ProviderDifference

R = TypeVar("R", bound=Row)
Tables = dict[str, Iterable[Row]]


def changed(facts: Snapshot, row: type[R], change: Callable[[R], R]) -> Snapshot:
    """The same snapshot, with every row of one table changed."""
    return facts.changed({row.table.name: map(change, facts.rows(row))})


def told(facts: Snapshot) -> list[tuple[str, str, str | None, str | None]]:
    return [(row.kind, row.name, row.side, row.cause) for row in facts.rows(ProviderDifference)]


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_on_the_reference_server_traefik_has_what_its_sources_say(variant: str, request: pytest.FixtureRequest) -> None:
    assert told(request.getfixturevalue(variant)) == []


def test_an_address_that_nobody_has_any_more(faulty: Snapshot) -> None:
    def moved(row: ContainerNetwork) -> ContainerNetwork:
        return replace(row, ipv4="192.168.202.77") if row.container == "jsr-dev" else row

    assert told(changed(faulty, ContainerNetwork, moved)) == [
        ("server", "jsr-dev@docker", "api", "stale_address"),
        ("server", "jsr-dev@docker", "predicted", "missed_event"),
    ]


def test_a_container_that_traefik_did_not_see_start(faulty: Snapshot) -> None:
    unseen: Tables = {
        "traefik_routers": [row for row in faulty.rows(TraefikRouter) if row.router != "jsr-dev@docker"],
        "traefik_services": [row for row in faulty.rows(TraefikService) if row.service != "jsr-dev@docker"],
        "traefik_servers": [row for row in faulty.rows(TraefikServer) if row.service != "jsr-dev@docker"],
    }
    assert told(faulty.changed(unseen)) == [
        ("router", "jsr-dev@docker", "predicted", "missed_event"),
        ("service", "jsr-dev@docker", "predicted", "missed_event"),
    ]


def test_a_container_that_stopped_without_traefik_knowing(faulty: Snapshot) -> None:
    def stopped(row: Container) -> Container:
        return replace(row, state="exited") if row.name == "jsr-dev" else row

    assert ("router", "jsr-dev@docker", "api", "missed_event") in told(changed(faulty, Container, stopped))


def test_labels_that_say_another_rule(faulty: Snapshot) -> None:
    def other(row: ContainerLabel) -> ContainerLabel:
        mine = "traefik.http.routers.jsr-dev.rule"
        return replace(row, value="Host(`new.fr`)") if row.label == mine else row

    rows = changed(faulty, ContainerLabel, other).rows(ProviderDifference)
    assert [(row.name, row.detail, row.side) for row in rows] == [("jsr-dev@docker", "rule", "changed")]


def test_a_file_that_is_broken_is_named(faulty: Snapshot) -> None:
    def broken(row: TraefikFile) -> TraefikFile:
        return replace(row, status="broken", line=4)

    rows = changed(faulty, TraefikFile, broken).rows(ProviderDifference)
    assert {row.cause for row in rows} == {"file_broken"}
    assert {row.name for row in rows} == {"ai-api@file", "ai-ws@file", "dashboard@file", "ai-backend@file"}
    assert all("ligne 4" in (row.reason or "") for row in rows)


def test_a_traefik_that_cannot_talk_to_docker(faulty: Snapshot) -> None:
    silent: Tables = {
        "traefik_routers": [row for row in faulty.rows(TraefikRouter) if row.provider != "docker"],
        "traefik_services": [row for row in faulty.rows(TraefikService) if row.provider != "docker"],
    }
    assert {row.cause for row in faulty.changed(silent).rows(ProviderDifference)} == {"provider_silent"}
