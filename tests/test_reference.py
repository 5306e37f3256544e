"""The reference server: what the audit written by hand says of it, found again in the recorded answers."""

from collections import Counter

import pytest

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.databases import Database
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS
from auditlib.findings.expectations import freeze
from auditlib.findings.policy import Policy
from auditlib.views.databases import trial_commands
from tests.frames import rows
from tests.testbed.host import PUBLISHED, SERVICES

OURS = {*PUBLISHED, *SERVICES.values()}
EVERYWHERE, LOOPBACK = "toutes les interfaces", "cette machine seulement"


def _found(snapshot: Snapshot) -> list[tuple[str, tuple[str, ...], str]]:
    return [
        (one.check, tuple(f"{kind} {name}" for kind, name in one.subjects), one.severity)
        for one in judge(snapshot).findings
    ]


# What both variants have, and is no fault: what is on the disk and does not run, databases that nothing names.
IDLE = [
    (
        "COMPOSE-004",
        ("compose_project 4lb-welcome", "compose_file web-apps/4lb-welcome/docker-compose.yml"),
        "info",
    ),
    ("COMPOSE-004", ("compose_project Robin_IA", "compose_file Robin_IA/Dockerfile"), "info"),
    (
        "COMPOSE-004",
        ("compose_project ai-orchestrator", "compose_file ai-tools/ai-orchestrator/docker-compose.legacy.yml"),
        "info",
    ),
    ("DB-007", ("database chromadb",), "info"),
    ("DB-007", ("database mariadb.service",), "info"),
    ("ROUTE-012", ("domain 4lb.ca",), "info"),
]


# What stays once all is repaired: ports 80 and 443 are open on purpose, the provider of Traefik needs the socket.
LASTING = [("CIS-5.14", ("container traefik",), "low"), ("CIS-5.32", ("container traefik",), "low")]


def test_the_planted_faults_are_all_that_is_found(faulty: Snapshot) -> None:
    assert sorted(_found(faulty)) == sorted(
        [
            ("PORT-004", ("container chromadb", "port tcp/0.0.0.0:8000"), "critical"),
            ("DB-004", ("database chromadb",), "high"),
            ("DB-004", ("database redis",), "high"),
            ("NET-001", ("container jsr-dev",), "high"),
            ("ROUTE-014", ("entrypoint traefik", "router api@internal"), "high"),
            ("COMPOSE-001", ("container postgres",), "medium"),
            ("COMPOSE-001", ("container redis",), "medium"),
            ("NET-007", ("database chromadb",), "medium"),
            ("NET-007", ("database postgres",), "medium"),
            ("NET-007", ("database redis",), "medium"),
            (
                "PORT-002",
                ("compose_file ai-tools/ai-orchestrator/docker-compose.legacy.yml", "port tcp/0.0.0.0:8002"),
                "medium",
            ),
            ("PORT-005", ("container nvidia-gpu-exporter", "port tcp/0.0.0.0:9835"), "medium"),
            # Not planted, but true: the metrics of Traefik are on the same published port as its API.
            ("PORT-005", ("container traefik", "port tcp/0.0.0.0:8080"), "medium"),
            ("PORT-006", ("container ai-orchestrator-frontend", "port tcp/0.0.0.0:8002"), "medium"),
            ("ROUTE-009", ("router jsr-dev@docker", "entrypoint websecure"), "medium"),
            ("CIS-5.14", ("container agent-zero",), "low"),
            ("CIS-5.14", ("container ai-orchestrator-frontend",), "low"),
            ("CIS-5.14", ("container chromadb",), "low"),
            ("CIS-5.14", ("container nvidia-gpu-exporter",), "low"),
            ("CONT-007", ("host serveur",), "low"),
            ("HTTP-003", ("domain jsr.4lb.ca",), "low"),
            ("LOG-003", ("container traefik",), "info"),
            *LASTING,
            *IDLE,
        ]
    )


# What docker-bench-security 1.6 (of October 2024) said of the same containers on the same engine, by number of them. It
# says 5.2 and 5.3 of all, though this engine has neither AppArmor nor SELinux, and 5.9 of every published port.
BENCH = {
    "5.8": 1,
    "5.11": 17,
    "5.12": 17,
    "5.13": 17,
    "5.14": 5,
    "5.19": 17,
    "5.26": 17,
    "5.27": 9,
    "5.29": 17,
    "5.32": 1,
}


def test_the_benchmark_agrees_with_docker_bench_security(faulty: Snapshot) -> None:
    told = judge(faulty, Policy(cis="complet")).findings
    ours = Counter(one.check.removeprefix("CIS-") for one in told if one.check.startswith("CIS-5"))
    assert ours == BENCH


def test_the_sentence_of_jsr_dev(faulty: Snapshot) -> None:
    jsr = next(one for one in judge(faulty).findings if one.check == "NET-001")
    assert jsr.message == (
        "Le conteneur «\u00a0jsr-dev\u00a0» n’est pas attaché au réseau «\u00a0unified-net\u00a0» que l’option "
        "«\u00a0providers.docker.network\u00a0» désigne\u00a0: Traefik se rabat sur «\u00a0traefik-net\u00a0»."
    )
    assert jsr.fix.commands[0] == "docker network connect unified-net jsr-dev"
    assert jsr.fix.commands[-1].startswith("docker compose -p jsr-solutions -f ")
    assert jsr.fix.commands[-1].endswith("/clients/jsr/JSR-solutions/docker-compose.yml up -d jsr-dev")


def test_the_free_port_for_the_legacy_backend(faulty: Snapshot) -> None:
    legacy = next(one for one in judge(faulty).findings if one.check == "PORT-002")
    assert "(8003 est libre)" in legacy.fix.text
    assert "docker-compose.legacy.yml\u00a0» (ligne " in legacy.message
    assert legacy.fix.commands[0].endswith("/ai-orchestrator/docker-compose.legacy.yml up -d backend")


def test_whom_the_databases_share_their_network_with(faulty: Snapshot) -> None:
    redis = next(one for one in judge(faulty).findings if one.identity == "NET-007|database=redis")
    assert redis.evidence["proxy"] == "traefik"
    assert redis.evidence["users"] == ["media-api"]
    assert redis.evidence["strangers"] == ["ai-orchestrator-frontend", "jsr-solutions", "multimedia-frontend"]
    assert "infrastructure/unified-stack/docker-compose.yml\u00a0», ligne " in redis.fix.text


def test_what_is_frozen_is_what_is_true_of_it(faulty: Snapshot, healthy: Snapshot) -> None:
    expected, unread = freeze(faulty)
    assert unread == {}
    assert expected["port"]["tcp/0.0.0.0:8002"] == "ai-orchestrator-frontend"
    assert expected["port"]["tcp/127.0.0.1:3306"] == "mariadb.service"
    assert expected["container"]["redis"] == "healthy"
    assert expected["domain"]["https://ai.4lb.ca/ws"] == "426"
    assert expected["certificate"]["jsr.4lb.ca"] == expected["certificate"]["ai.4lb.ca"] != ""
    assert expected["database"]["mariadb.service"] == "MySQL"
    judged = [CHECKS["PORT-008"], CHECKS["EXPECT-001"]]
    again = judge(faulty, Policy(expected=expected), judged)
    assert [result.verdict for result in again.results] == ["pass", "pass"]
    other = {one.identity for one in judge(healthy, Policy(expected=expected), judged).findings}
    assert {"EXPECT-001|container=redis", "PORT-008|port=tcp/0.0.0.0:9835"} <= other


def test_the_newer_version_is_told_from_the_log(faulty: Snapshot) -> None:
    newer = next(one for one in judge(faulty).findings if one.check == "LOG-003")
    assert (newer.evidence["version"], newer.evidence["announced"]) == ("3.6.6", "3.6.7")
    assert "«\u00a0traefik:v3.6.6\u00a0»" in newer.fix.text


def test_every_probe_was_answered_by_the_router_that_is_predicted(faulty: Snapshot) -> None:
    answered = {row[:2]: row[2] for row in rows(faulty.http_probes, "url", "entrypoint", "router")}
    secured = [row for row in rows(faulty.probe_walks, "url", "entrypoint", "routers", "stop") if row[1] == "websecure"]
    assert len(secured) >= 8
    for url, entrypoint, routers, stop in secured:
        assert (answered[url, entrypoint] or "dashboard@file", stop) == (routers[0], None)


def test_nothing_is_found_once_repaired(healthy: Snapshot) -> None:
    audit = judge(healthy)
    assert _found(healthy) == [*LASTING, *IDLE]
    # No unit is known without systemd, no AppArmor and no active firewall are there; nothing is expected or waived.
    apart = {result.check: result.verdict for result in audit.results if result.verdict not in ("pass", "fail")}
    given = dict.fromkeys(("EXPECT-001", "PORT-008", "WAIVER-001", "WAIVER-002"), "na")
    assert apart == {"CIS-5.2": "na", "HOST-004": "unknown", "HOST-005": "na", "ROUTE-024": "na", **given}


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
    found = rows(faulty.host_services, "service", "process", "user", "addresses", "exposure")
    # A machine that runs the live tests may listen to more; the recorded one does not.
    assert [row for row in found if OURS & {int(one.rpartition(":")[2]) for one in row[3]}] == [
        ("ai-orchestrator-backend.service", "python", "root", ("0.0.0.0:8001",), EVERYWHERE),
        ("mariadb.service", "mariadbd", "mysql", ("127.0.0.1:3306",), LOOPBACK),
    ]


# Section 3: ports


def test_ports_of_the_machine(faulty: Snapshot) -> None:
    both, conteneur, unit = ("0.0.0.0", "::"), "conteneur", "unité"
    found = rows(faulty.host_ports, "port", "owner", "kind", "container_port", "addresses", "exposure")
    assert [row for row in found if row[0] in OURS] == [
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


def test_the_recorded_machine_listens_to_nothing_else(faulty: Snapshot) -> None:
    assert {(port, protocol) for port, protocol in rows(faulty.host_ports, "port", "protocol")} == {
        (port, "tcp") for port in OURS
    }


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
    assert [command for row in faulty.rows(Database) for command in trial_commands(row)] == [
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
