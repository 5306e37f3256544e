"""What Traefik 3.0.4, 3.5.3 and 3.7.15 made of 62 containers full of traps, and what the audit predicts of them."""

import functools
import json
from collections import Counter
from typing import Any

import pytest

from auditlib.collect import containers
from auditlib.facts.snapshot import Snapshot
from auditlib.views.decisions import DockerDecision
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter, PredictedServer, PredictedService
from tests.conftest import PAYLOADS, snapshot_of

MATRIX = json.loads((PAYLOADS / "docker_matrix.json").read_text("utf-8"))
VERSIONS = [*MATRIX["versions"]]
KINDS = (("http", ""), ("tcp", "tcp"), ("udp", "udp"))
TABLES = ("containers", "container_networks", "labels", "publications")


@functools.cache
def facts(version: str) -> Snapshot:
    engine = {
        "containers": MATRIX["containers"],
        "gaps": [],
        "version": {"Version": "29.0.0", "ApiVersion": "1.52"},
        "endpoint": "unix:///docker.sock",
        "local": True,
    }
    tables = containers.rows(engine).tables
    static = {"origin": "flags", "container": None, "effective": True}
    return snapshot_of(
        **{name: tables[name] for name in TABLES},
        traefik=[{"url": "http://127.0.0.1:8080", "version": version}],
        traefik_static=[
            {**static, "key": "providers.docker", "value": "true"},
            {**static, "key": "entrypoints.web.address", "value": ":80"},
            {**static, "key": "api.insecure", "value": "true"},
        ],
    )


def raw(version: str, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of the Docker provider in Traefik's own raw data."""
    data = MATRIX["versions"][version]["rawdata"]
    named = [(protocol, prefix + kind.capitalize() if prefix else kind) for protocol, prefix in KINDS]
    found = {(protocol, name): one for protocol, key in named for name, one in data.get(key, {}).items()}
    return {key: one for key, one in found.items() if key[1].endswith("@docker")}


def decisions(version: str) -> dict[str, DockerDecision]:
    return {decision.container: decision for decision in facts(version).rows(DockerDecision)}


def logged(version: str) -> list[tuple[str, str]]:
    """What the Docker provider logged of the containers, as one text with its error."""
    lines = [line for line in MATRIX["versions"][version]["log"] if line.get("providerName") == "docker"]
    texts = [(line["level"], ": ".join(filter(None, (line.get("message"), line.get("error"))))) for line in lines]
    return [(level, text) for level, text in texts if not text.startswith(("Defaulting to", "Unable to get IP"))]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_names_are_those_that_traefik_gave(version: str) -> None:
    routers, services = facts(version).rows(PredictedRouter), facts(version).rows(PredictedService)
    middlewares = facts(version).rows(PredictedMiddleware)
    assert {(row.protocol, row.router) for row in routers} == set(raw(version, "routers"))
    assert {(row.protocol, row.service) for row in services} == set(raw(version, "services"))
    assert {(row.protocol, row.middleware) for row in middlewares} == set(raw(version, "middlewares"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_routers_are_those_that_traefik_made(version: str) -> None:
    predicted = {(router.protocol, router.router): router for router in facts(version).rows(PredictedRouter)}
    for key, made in raw(version, "routers").items():
        router = predicted[key]
        assert (router.rule, router.priority) == (made["rule"], made["priority"])
        assert router.service == f"{made['service']}@docker"
        assert list(router.entrypoints or ()) == made["using"]
        assert router.tls == ("tls" in made)
        assert router.cert_resolver == made.get("tls", {}).get("certResolver")
        assert list(router.middlewares or ()) == made.get("middlewares", [])
        assert (router.status, list(router.errors or ())) == (made["status"], made.get("error", []))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_services_are_those_that_traefik_made(version: str) -> None:
    predicted = {(service.protocol, service.service): service for service in facts(version).rows(PredictedService)}
    for key, made in raw(version, "services").items():
        service = predicted[key]
        assert (service.status, list(service.errors or ())) == (made["status"], made.get("error", []))
        assert sorted(service.used_by or ()) == sorted(made.get("usedBy", []))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_server_is_one_of_the_possible_ones(version: str) -> None:
    rows = facts(version).rows(PredictedServer)
    for key, made in raw(version, "services").items():
        possible = [row for row in rows if (row.protocol, row.service) == key]
        real = {server.get("url") or server["address"] for server in made["loadBalancer"].get("servers", [])}
        assert real <= {row.url for row in possible}
        assert {row.url for row in possible if row.certain} <= real
        assert len({row.container for row in possible}) == len(real)
    doubtful = {row.service for row in rows if not row.certain}
    assert doubtful == {"t04nolabel2nets@docker", "t04badnet@docker"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_decisions_say_what_traefik_logged(version: str) -> None:
    rows = decisions(version).values()
    assert len(rows) == 62
    predicted = {(row.level, row.log) for row in rows if row.log and row.step not in ("conflict", "services")}
    real = {line for line in logged(version) if "multiple times" not in line[1] and "Services" not in line[1]}
    assert predicted == {line for line in real if "too many services" not in line[1]}


@pytest.mark.parametrize("version", VERSIONS)
def test_names_declared_twice_are_dropped_with_the_words_of_the_version(version: str) -> None:
    rows = decisions(version)
    real = [text for _, text in logged(version) if "multiple times" in text]
    assert {rows[name].log for name in ("t16a", "t16b", "t16c", "t16d")} <= set(real)
    assert {rows[name].step for name in ("t16a", "t16d")} == {"conflict"}
    assert rows["t16a"].lost == ("dup@docker",)
    assert "t16a, t16b" in (rows["t16a"].reason or "")


def test_each_step_filters_what_it_must() -> None:
    rows = decisions("3.7.15").values()
    assert Counter(row.step for row in rows if row.decision != "routed") == {
        "options": 3,
        "disabled": 2,
        "stopped": 3,
        "health": 3,
        "labels": 4,
        "address": 4,
        "port": 3,
        "url": 1,
        "services": 2,
        "rule": 1,
        "conflict": 4,
    }


def test_paused_containers_are_routed_before_3_6_only() -> None:
    paused = [decisions(version)["t12paused"].decision for version in VERSIONS]
    assert paused == ["routed", "routed", "filtered"]
    allowed = [decisions(version)["t12exitedallow"].decision for version in VERSIONS]
    assert allowed == ["filtered", "filtered", "routed"]
