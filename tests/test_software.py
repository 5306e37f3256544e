"""Which images are databases, and the names that say nothing."""

from typing import Any

import pytest

from auditlib.facts.tables.docker import Container
from auditlib.findings.commands import container_words
from auditlib.software import (
    DATABASES,
    GENERIC_NAMES,
    Database,
    answers_anyone,
    command,
    database,
    database_of,
    image_words,
    interface,
    is_attached,
    is_running,
    is_traefik,
    is_up,
)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("redis:7", ["redis"]),
        ("ghcr.io/acme/my-redis_cache:7@sha256:0a", ["my", "redis", "cache"]),
        ("localhost:5000/Postgres", ["postgres"]),
        ("sha256:0a1b", ["sha256"]),
        (None, [""]),
    ],
)
def test_words_of_an_image(image: str | None, words: list[str]) -> None:
    assert image_words(image) == words


@pytest.mark.parametrize(
    ("image", "port", "kind"),
    [
        ("postgres:16", 5432, "PostgreSQL"),
        ("timescale/timescaledb-ha:pg16", 5432, "PostgreSQL"),
        ("mysql:8", 33060, "MySQL"),
        ("bitnami/mariadb", 3306, "MySQL"),
        ("docker.dragonflydb.io/dragonflydb/dragonfly", 6379, "Redis"),
        ("chromadb/chroma", 8000, "ChromaDB"),
        ("acme/app", 27017, "MongoDB"),
        (None, 5432, "PostgreSQL"),
        ("acme/app", 8000, None),
        ("postgres:16", 80, None),
        ("oliver006/redis_exporter", 9121, None),
        ("rediscommander/redis-commander", 8081, None),
        ("acme/backup", 5432, None),
        ("postgrest/postgrest", 3000, None),
    ],
)
def test_databases(image: str | None, port: int, kind: str | None) -> None:
    assert database(image, port) == kind


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", (True, True, True)),
        ("paused", (True, True, False)),
        ("restarting", (True, False, False)),
        ("created", (False, False, False)),
        ("exited", (False, False, False)),
        ("dead", (False, False, False)),
        (None, (False, False, False)),
    ],
)
def test_what_the_state_of_a_container_means(state: str | None, expected: tuple[bool, bool, bool]) -> None:
    assert (is_up(state), is_attached(state), is_running(state)) == expected


@pytest.mark.parametrize(
    ("image", "programs", "traefik"),
    [
        ("traefik", [], True),
        ("docker.io/library/traefik:v3.6@sha256:00", [], True),
        ("rancher/mirrored-library-traefik:3", [], True),
        ("edge_traefik", [], True),
        ("acme/edge:3", ["/usr/local/bin/traefik"], True),
        ("acme/edge:3", ["nginx", "traefik"], True),
        ("acme/edge:3", ["traefik-certs-dumper"], False),
        ("thomseddon/traefik-forward-auth", [], False),
        ("ldez/traefik-certs-dumper", [], False),
        ("hhftechnology/traefik-log-dashboard", [], False),
        ("fbonalair/traefik-crowdsec-bouncer", [], False),
        ("tiredofit/traefik-cloudflare-companion", [], False),
        ("traefik/whoami", [], False),
        (None, [], False),
    ],
)
def test_traefik_is_not_what_helps_it(image: str | None, programs: list[str], traefik: bool) -> None:
    assert is_traefik(image, programs) is traefik


@pytest.mark.parametrize("field", ["images", "ports", "programs", "schemes", "words", "users", "names", "data"])
def test_what_tells_a_database_tells_one_kind(field: str) -> None:
    told = [one for known in DATABASES.values() for one in getattr(known, field)]
    assert sorted(set(told)) == sorted(told)


@pytest.mark.parametrize("kind", DATABASES)
def test_a_kind_of_database_is_told_in_whole(kind: str) -> None:
    """What every check and every command takes for granted, with the facts that they give to the templates."""
    known = DATABASES[kind]
    assert known.images and known.ports and known.programs and known.folders and known.port_options and known.health
    assert known.outside and (known.inside or known.over_http)
    health = command(known.health, client="c", user="u", name="n", port=1)
    facts = {"client": "c", "user": "u", "name": "a b", "host": "h", "port": 1, "place": "h:1", "api": "v2"}
    trials = [command(one, **facts) for one in (*known.inside, *known.outside)]
    proof = command(known.proof, client="c", container="x; y", data_dir="/d", place="h:1")
    assert not any(mark in word for words in (health, *trials) for word in words for mark in "{}")
    assert proof == [] or any(word in ("x; y", "http://h:1/api/v2/heartbeat") for word in proof)


def test_nothing_is_known_of_a_kind_that_a_newer_audit_tells() -> None:
    assert database_of("Cassandra") == Database()
    assert Database().program("Scylla") == "" and command(Database().health) == []


@pytest.mark.parametrize(
    ("image", "open_to_all"),
    [
        ("adminer:4.8", True),
        ("oliver006/redis_exporter", True),
        ("rediscommander/redis-commander", True),
        ("docker.elastic.co/kibana/kibana:8.15.0", True),
        ("grafana/grafana", False),
        ("phpmyadmin:5", False),
        ("redis:7", False),
        (None, False),
    ],
)
def test_tools_that_may_give_their_pages_to_anyone(image: str | None, open_to_all: bool) -> None:
    assert answers_anyone(image) is open_to_all


def test_what_is_published_without_a_password_is_told_behind_the_proxy_too() -> None:
    kinds = {interface(image, port) for image, port in (("adminer", 8080), ("sosedoff/pgweb", 8081), ("loki", 3100))}
    assert kinds == {("Adminer", False), ("pgweb", False), ("Loki", False)}


def test_generic_names_are_those_of_the_catalogue() -> None:
    assert " ".join(sorted(GENERIC_NAMES)) == (
        "api app backend cache database db frontend mariadb mongo mongodb mysql nginx postgres postgresql proxy redis "
        "server web worker"
    )


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({}, "docker compose -p shop"),
        ({"compose_version": "2.40.3", "compose_files": ("/srv/a.yml",)}, "docker compose -p shop -f /srv/a.yml"),
        ({"compose_version": "1.29.2", "compose_files": ("/a", "/b c")}, "docker-compose -p shop -f /a -f '/b c'"),
        ({"compose_project": "a b;c"}, "docker compose -p 'a b;c'"),
        ({"compose_project": None}, None),
    ],
)
def test_compose_is_called_the_way_the_server_does(given: dict[str, Any], command: str | None) -> None:
    words = container_words(
        Container(**{"name": "a", "compose_project": "shop", "compose_service": "app", **given}), ()
    )
    declared = "le fichier compose" if command else "la commande qui le crée"
    assert (words.compose, words.service, words.declared) == (command, "app" if command else None, declared)
