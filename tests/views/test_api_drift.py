"""What Traefik has and its sources do not say, and the other way round, with the reason."""

from typing import Any

import pytest

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.facts.legacy import records
from auditlib.facts.snapshot import Snapshot
from tests.conftest import MOMENT


def changed(facts: Snapshot, table: str, **values: Any) -> Snapshot:
    """The same snapshot, with the rows of one table filtered or changed: `rows` makes them of the old ones."""
    frame = facts.tables[table]
    rows = values["rows"](records(frame))
    from auditlib.facts.tables import TABLES

    return Snapshot(facts.hostname, MOMENT, {**facts.tables, table: TABLES[table].rows(rows)}, facts.absent)


def told(facts: Snapshot) -> list[tuple[str, str, str, str]]:
    return [(row["kind"], row["name"], row["side"], row["cause"]) for row in records(facts.provider_differences)]


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_on_the_reference_server_traefik_has_what_its_sources_say(variant: str, request: pytest.FixtureRequest) -> None:
    assert told(request.getfixturevalue(variant)) == []


def test_an_address_that_nobody_has_any_more(faulty: Snapshot) -> None:
    def moved(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "ipv4": "192.168.202.77"} if row["container"] == "jsr-dev" else row for row in rows]

    assert told(changed(faulty, "container_networks", rows=moved)) == [
        ("server", "jsr-dev@docker", "api", "stale_address"),
        ("server", "jsr-dev@docker", "predicted", "missed_event"),
    ]


def test_a_container_that_traefik_did_not_see_start(faulty: Snapshot) -> None:
    facts = faulty
    for table, column in (
        ("traefik_routers", "router"),
        ("traefik_services", "service"),
        ("traefik_servers", "service"),
    ):
        facts = changed(facts, table, rows=lambda rows, c=column: [row for row in rows if row[c] != "jsr-dev@docker"])
    assert told(facts) == [
        ("router", "jsr-dev@docker", "predicted", "missed_event"),
        ("service", "jsr-dev@docker", "predicted", "missed_event"),
    ]


def test_a_container_that_stopped_without_traefik_knowing(faulty: Snapshot) -> None:
    def stopped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "state": "exited"} if row["name"] == "jsr-dev" else row for row in rows]

    assert ("router", "jsr-dev@docker", "api", "missed_event") in told(changed(faulty, "containers", rows=stopped))


def test_labels_that_say_another_rule(faulty: Snapshot) -> None:
    def other(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        mine = "traefik.http.routers.jsr-dev.rule"
        return [{**row, "value": "Host(`new.fr`)"} if row["label"] == mine else row for row in rows]

    rows = records(changed(faulty, "labels", rows=other).provider_differences)
    assert [(row["name"], row["detail"], row["side"]) for row in rows] == [("jsr-dev@docker", "rule", "changed")]


def test_a_file_that_is_broken_is_named(faulty: Snapshot) -> None:
    def broken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "status": "broken", "line": 4} for row in rows]

    rows = records(changed(faulty, "traefik_files", rows=broken).provider_differences)
    assert {row["cause"] for row in rows} == {"file_broken"}
    assert {row["name"] for row in rows} == {*("ai-api@file", "ai-ws@file", "dashboard@file", "ai-backend@file")}
    assert "ligne 4" in rows[0]["reason"]


def test_a_traefik_that_cannot_talk_to_docker(faulty: Snapshot) -> None:
    facts = faulty
    for table in ("traefik_routers", "traefik_services"):
        facts = changed(facts, table, rows=lambda rows: [row for row in rows if row["provider"] != "docker"])
    causes = {row["cause"] for row in records(facts.provider_differences)}
    assert causes == {"provider_silent"}
