"""The reference server: what the audit written by hand says of it, found again in the recorded answers."""

import pytest

from auditlib import checks, findings, routing  # noqa: F401 - imported for what they register
from auditlib.databases import trial_commands
from auditlib.schema import records
from auditlib.snapshot import Snapshot
from tests.frames import rows

EVERYWHERE, LOOPBACK = "toutes les interfaces", "cette machine seulement"


def _found(snapshot: Snapshot) -> list[tuple[str, tuple[str, ...], str]]:
    return [
        (one.check, tuple(f"{kind} {name}" for kind, name in one.subjects), one.severity)
        for one in findings.run(snapshot).findings
    ]


def test_the_planted_faults_are_all_that_is_found(faulty: Snapshot) -> None:
    assert _found(faulty) == [
        ("PORT-004", ("container chromadb", "port tcp/0.0.0.0:8000"), "critical"),
        ("NET-001", ("container jsr-dev",), "high"),
        ("ROUTE-014", ("entrypoint traefik", "router api@internal"), "high"),
        ("COMPOSE-001", ("container postgres",), "medium"),
        ("COMPOSE-001", ("container redis",), "medium"),
        ("HTTP-003", ("domain jsr.4lb.ca",), "low"),
        ("LOG-003", ("container traefik",), "info"),
    ]


def test_the_sentence_of_jsr_dev(faulty: Snapshot) -> None:
    jsr = next(one for one in findings.run(faulty).findings if one.check == "NET-001")
    assert jsr.message == (
        "Le conteneur «\u00a0jsr-dev\u00a0» n’est pas attaché au réseau «\u00a0unified-net\u00a0» que l’option "
        "«\u00a0providers.docker.network\u00a0» désigne\u00a0: Traefik se rabat sur «\u00a0traefik-net\u00a0»."
    )
    assert jsr.fix.commands[0] == "docker network connect unified-net jsr-dev"
    assert jsr.fix.commands[-1].startswith("docker compose -p jsr-solutions -f ")
    assert jsr.fix.commands[-1].endswith("/clients/jsr/JSR-solutions/docker-compose.yml up -d jsr-dev")


def test_the_newer_version_is_told_from_the_log(faulty: Snapshot) -> None:
    newer = next(one for one in findings.run(faulty).findings if one.check == "LOG-003")
    assert (newer.evidence["version"], newer.evidence["announced"]) == ("3.6.6", "3.6.7")
    assert "«\u00a0traefik:v3.6.6\u00a0»" in newer.fix.text


def test_every_probe_was_answered_by_the_router_that_is_predicted(faulty: Snapshot) -> None:
    answered = {row[:2]: row[2] for row in rows(faulty.http_probes, "url", "entrypoint", "router")}
    secured = [row for row in rows(faulty.probe_walks, "url", "entrypoint", "routers", "stop") if row[1] == "websecure"]
    assert len(secured) >= 8
    for url, entrypoint, routers, stop in secured:
        assert (answered[url, entrypoint] or "dashboard@file", stop) == (routers[0], None)


def test_nothing_is_found_once_repaired(healthy: Snapshot) -> None:
    audit = findings.run(healthy)
    assert _found(healthy) == []
    assert {result.verdict for result in audit.results if not result.check.startswith("WAIVER")} == {"pass"}
    assert (audit.score, audit.coverage) == (100, 1)


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_every_source_was_read(variant: str, request: pytest.FixtureRequest) -> None:
    snapshot = request.getfixturevalue(variant)
    assert snapshot.absent == {"units": "la machine n’est pas gérée par systemd"}
    states = dict(rows(snapshot.sources, "source", "status"))
    assert states.pop("systemd") == "absent"
    assert set(states.values()) == {"ok"}


# Section 2: what is active


def test_stacks(faulty: Snapshot) -> None:
    unified = ("cadvisor", "chromadb", "code-server", "crowdsec", "grafana", "node-exporter", "nvidia-gpu-exporter")
    unified += ("postgres", "prometheus", "redis", "traefik")
    assert rows(faulty.stacks, "stack", "state", "running", "total", "containers", "networks", "ports") == [
        ("agent-zero", "actif", 1, 1, ("agent-zero",), ("agent-zero_default",), ("2222→22", "8888→80")),
        ("ai-orchestrator", "actif", 1, 1, ("ai-orchestrator-frontend",), ("unified-net",), ("8002→80",)),
        ("jsr-solutions", "actif", 2, 2, ("jsr-dev", "jsr-solutions"), ("traefik-net", "unified-net"), ()),
        ("multimedia", "actif", 2, 2, ("media-api", "multimedia-frontend"), ("unified-net",), ()),
        (
            "unified-stack",
            "actif",
            11,
            11,
            unified,
            ("traefik-net", "unified-net"),
            ("80→80", "443→443", "8000→8000", "8080→8080", "9835→9835"),
        ),
    ]


def test_services_of_the_machine(faulty: Snapshot) -> None:
    assert rows(faulty.host_services, "service", "process", "user", "addresses", "exposure") == [
        ("ai-orchestrator-backend.service", "python", "root", ("0.0.0.0:8001",), EVERYWHERE),
        ("mariadb.service", "mariadbd", "mysql", ("127.0.0.1:3306",), LOOPBACK),
    ]


# Section 3: ports


def test_ports_of_the_machine(faulty: Snapshot) -> None:
    both, conteneur, unit = ("0.0.0.0", "::"), "conteneur", "unité"
    assert rows(faulty.host_ports, "port", "owner", "kind", "container_port", "addresses", "exposure") == [
        (80, "traefik", conteneur, 80, both, EVERYWHERE),
        (443, "traefik", conteneur, 443, both, EVERYWHERE),
        (2222, "agent-zero", conteneur, 22, both, EVERYWHERE),
        (3306, "mariadb.service", unit, None, ("127.0.0.1",), LOOPBACK),
        (8000, "chromadb", conteneur, 8000, both, EVERYWHERE),
        (8001, "ai-orchestrator-backend.service", unit, None, ("0.0.0.0",), EVERYWHERE),
        (8002, "ai-orchestrator-frontend", conteneur, 80, both, EVERYWHERE),
        (8080, "traefik", conteneur, 8080, both, EVERYWHERE),
        (8888, "agent-zero", conteneur, 80, both, EVERYWHERE),
        (9835, "nvidia-gpu-exporter", conteneur, 9835, both, EVERYWHERE),
    ]
    assert {protocol for (protocol,) in rows(faulty.host_ports, "protocol")} == {"tcp"}


def test_internal_ports(faulty: Snapshot) -> None:
    assert rows(faulty.internal_ports, "container", "container_port", "networks") == [
        ("cadvisor", 8080, ("unified-net",)),
        ("code-server", 8080, ("unified-net",)),
        ("crowdsec", 6060, ("unified-net",)),
        ("crowdsec", 8080, ("unified-net",)),
        ("grafana", 3000, ("unified-net",)),
        ("jsr-dev", 80, ("traefik-net",)),
        ("jsr-solutions", 80, ("unified-net",)),
        ("media-api", 8000, ("unified-net",)),
        ("multimedia-frontend", 80, ("unified-net",)),
        ("node-exporter", 9100, ("unified-net",)),
        ("postgres", 5432, ("unified-net",)),
        ("prometheus", 9090, ("unified-net",)),
        ("redis", 6379, ("unified-net",)),
    ]


def test_repaired_ports_are_open_to_this_machine_only(healthy: Snapshot) -> None:
    wide = [port for port, exposure in rows(healthy.host_ports, "port", "exposure") if exposure == EVERYWHERE]
    assert wide == [80, 443, 8001]


# Section 4: routes


def test_the_proxy(faulty: Snapshot) -> None:
    columns = ("container", "network_container", "networks", "designated", "exposed_by_default")
    assert rows(faulty.proxy, *columns) == [
        ("traefik", "traefik", ("traefik-net", "unified-net"), "unified-net", False)
    ]


def test_routed_containers(faulty: Snapshot) -> None:
    assert rows(faulty.routed, "container", "network_label", "services", "reached", "docker") == [
        ("ai-orchestrator-frontend", None, ("ai-orchestrator@docker",), ("unified-net",), True),
        ("jsr-dev", None, ("jsr-dev@docker",), ("traefik-net",), True),
        ("media-api", None, ("media-api@docker",), ("unified-net",), True),
        ("multimedia-frontend", None, ("multimedia-frontend@docker",), ("unified-net",), True),
    ]


def test_routes_of_the_domains(faulty: Snapshot) -> None:
    shield = ("crowdsec@file", "geoblock@file", "security-headers@file")
    limited, backend = (*shield, "rate-limit@file"), "ai-orchestrator-backend.service"
    every = rows(faulty.routes, "domain", "path", "router", "target", "kind", "port", "network", "middlewares")
    assert [row for row in every if row[0] and not row[0].startswith("~")] == [
        ("ai.4lb.ca", "/api", "ai-api@file", backend, "machine", 8001, None, limited),
        ("ai.4lb.ca", "/ws", "ai-ws@file", backend, "machine", 8001, None, shield),
        (
            "ai.4lb.ca",
            None,
            "ai-orchestrator@docker",
            "ai-orchestrator-frontend",
            "conteneur",
            80,
            "unified-net",
            limited,
        ),
        (
            "files.4lb.ca",
            "/api",
            "media-api@docker",
            "media-api",
            "conteneur",
            8000,
            "unified-net",
            (*shield, "media-key@docker"),
        ),
        (
            "files.4lb.ca",
            "/api/ingest",
            "media-ingest@docker",
            "media-api",
            "conteneur",
            8000,
            "unified-net",
            shield,
        ),
        (
            "files.4lb.ca",
            None,
            "multimedia-frontend@docker",
            "multimedia-frontend",
            "conteneur",
            80,
            "unified-net",
            shield,
        ),
        ("jsr.4lb.ca", None, "jsr-dev@docker", "jsr-dev", "conteneur", 80, "traefik-net", ()),
        (
            "traefik.4lb.ca",
            None,
            "dashboard@file",
            "Traefik",
            "Traefik",
            None,
            None,
            (*shield, "dashboard-auth@file"),
        ),
    ]


def test_every_domain_has_tls_and_the_resolver(faulty: Snapshot) -> None:
    served = rows(faulty.routes, "router", "tls", "cert_resolver", "entrypoints")
    assert {row[1:] for row in served if not row[0].endswith("@internal")} == {(True, "letsencrypt", ("websecure",))}


# Section 5: databases


def test_databases(faulty: Snapshot) -> None:
    columns = ("database", "product", "place", "port", "answers", "authentication", "asked_via", "found_by")
    conteneur = ("image", "programme", "port")
    assert rows(faulty.databases, *columns) == [
        ("chromadb", "ChromaDB", "container", 8000, True, "none", "container", conteneur),
        ("mariadb.service", "MariaDB", "host", 3306, True, None, "host", ("programme",)),
        ("postgres", "PostgreSQL", "container", 5432, True, "required", "container", (*conteneur, "volume")),
        ("redis", "Redis", "container", 6379, True, "none", "container", conteneur),
    ]
    versions = dict(rows(faulty.databases, "database", "version"))
    assert versions["postgres"].startswith("15.")
    assert versions["redis"].startswith("7.")
    assert "MariaDB" in versions["mariadb.service"]


def test_data_accounts_and_health_checks_of_databases(faulty: Snapshot) -> None:
    columns = ("database", "volume", "persistent", "user", "names", "healthcheck")
    heartbeat = "curl -fsS -o /dev/null http://127.0.0.1:8000/api/v2/heartbeat"
    assert rows(faulty.databases, *columns) == [
        ("chromadb", "unified-stack_chromadb_data", True, None, (), heartbeat),
        ("mariadb.service", None, None, None, (), None),
        (
            "postgres",
            "unified-stack_postgres_data",
            True,
            "lalpha",
            ("main", "postgres"),
            "pg_isready -U lalpha -d main",
        ),
        ("redis", "unified-stack_redis_data", True, None, (), "redis-cli ping"),
    ]


def test_where_databases_are_reachable_from(faulty: Snapshot) -> None:
    docker, shared = "réseaux Docker seulement", ("ai-orchestrator", "jsr-solutions", "multimedia")
    assert rows(faulty.database_reach, "database", "exposure", "networks", "projects", "references") == [
        ("chromadb", EVERYWHERE, ("unified-net",), shared, ()),
        ("mariadb.service", LOOPBACK, (), (), ()),
        ("postgres", docker, ("unified-net",), shared, ("media-api DATABASE_URL",)),
        ("redis", docker, ("unified-net",), shared, ("media-api REDIS_URL",)),
    ]


def test_connection_strings(faulty: Snapshot) -> None:
    columns = ("container", "variable", "host", "port", "database", "target", "targets", "networks")
    assert rows(faulty.connection_strings, *columns) == [
        ("media-api", "DATABASE_URL", "postgres", 5432, "main", "container", ("postgres",), ("unified-net",)),
        ("media-api", "REDIS_URL", "redis", 6379, "0", "container", ("redis",), ("unified-net",)),
    ]


def test_commands_run_inside_databases(faulty: Snapshot) -> None:
    ran = dict(rows(faulty.exec_commands, "command", "outcome"))
    assert set(ran.values()) == {"ok"}
    assert "docker exec redis redis-cli PING" in ran
    assert "docker exec postgres psql -X -w -U lalpha -d main -Atc 'SELECT now()'" in ran
    answers = dict(rows(faulty.exec_commands, "command", "output"))
    assert answers["docker exec redis redis-cli PING"] == ("PONG",)


def test_trials_of_databases_are_those_of_the_reference_with_the_right_heartbeat(faulty: Snapshot) -> None:
    assert [command for row in records(faulty.databases) for command in trial_commands(row)] == [
        "curl -sS http://127.0.0.1:8000/api/v2/heartbeat",
        "mariadb-admin -h 127.0.0.1 -P 3306 ping",
        "docker exec postgres psql -U lalpha -d main -c '\\l'",
        "docker exec postgres psql -U lalpha -d main -c 'SELECT now();'",
        "docker exec redis redis-cli PING",
    ]


def test_routers_of_traefik_s_own(faulty: Snapshot) -> None:
    own = {row for row in rows(faulty.routes, "router", "kind", "priority") if row[0].endswith("@internal")}
    assert own == {
        ("web-to-websecure@internal", "Traefik", 9223372036854775806),
        ("api@internal", "Traefik", 9223372036854775806),
        ("dashboard@internal", "Traefik", 9223372036854775805),
        ("prometheus@internal", "Traefik", 9223372036854775807),
        ("acme-http@internal", "Traefik", 9223372036854775807),
    }
