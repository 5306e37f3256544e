"""The faulty reference server, live: what the audit must find there, and what it must not."""

import gzip
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from auditlib.collect import engine
from auditlib.collect.source import Unreadable
from auditlib.facts.tables.host import SourceStatus
from auditlib.facts.tables.web import HttpProbe
from auditlib.parameters import Parameters
from tests.live.conftest import Run, audit
from tests.testbed.canaries import CANARIES, private_keys
from tests.testbed.certificates import DOMAINS
from tests.testbed.paths import ACME_STORAGE, DOCKER_HOST, SOCKET
from tests.testbed.server import ROUTES


@pytest.fixture(scope="module", autouse=True)
def reference(bring_up: Callable[[str], None]) -> None:
    bring_up("faulty")


# The faults that `../shared/testbed.md` plants, by check, severity and first subject.
PLANTED = {
    ("PORT-004", "critical", "chromadb"),
    ("DB-004", "high", "chromadb"),
    ("DB-004", "high", "redis"),
    ("NET-001", "high", "jsr-dev"),
    ("ROUTE-014", "high", "traefik"),
    ("COMPOSE-001", "medium", "postgres"),
    ("COMPOSE-001", "medium", "redis"),
    ("NET-007", "medium", "chromadb"),
    ("NET-007", "medium", "postgres"),
    ("NET-007", "medium", "redis"),
    ("PORT-002", "medium", "ai-tools/ai-orchestrator/docker-compose.legacy.yml"),
    ("PORT-005", "medium", "nvidia-gpu-exporter"),
    ("PORT-006", "medium", "ai-orchestrator-frontend"),
    ("ROUTE-009", "medium", "jsr-dev@docker"),
    ("COMPOSE-004", "info", "Robin_IA"),
    ("COMPOSE-004", "info", "4lb-welcome"),
    ("COMPOSE-004", "info", "ai-orchestrator"),
    ("LOG-003", "info", "traefik"),
}
# What nobody planted, of medium severity, and is true: Traefik's metrics are on the published port of its API.
TRUE = {("PORT-005", "medium", "traefik")}
# What else is true, below medium.
LOWER = {
    *(("CIS-5.14", "low", one) for one in ("agent-zero", "ai-orchestrator-frontend", "chromadb")),
    *(("CIS-5.14", "low", one) for one in ("nvidia-gpu-exporter", "traefik")),
    ("CIS-5.32", "low", "traefik"),
    ("CONT-007", "low", socket.gethostname()),
    ("HTTP-003", "low", "jsr.4lb.ca"),
    ("DB-007", "info", "chromadb"),
    ("DB-007", "info", "mariadb.service"),
    ("ROUTE-012", "info", "4lb.ca"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return audit(tmp_path_factory.mktemp("outputs"))


def test_the_run_is_complete_and_every_source_was_read(run: Run) -> None:
    assert run.code == 0, run.told
    # The testbed's machine may have systemd or not.
    unread = {row.source: row.status for row in run.facts.snapshot.rows(SourceStatus) if row.status != "ok"}
    assert unread in ({}, {"systemd": "absent"})
    unknown = {one["check"] for one in run.constats["results"] if one["verdict"] == "unknown"}
    assert unknown == ({"HOST-004"} if unread else set())
    assert (run.folder.parent / "latest").resolve() == run.folder


def test_it_finds_the_planted_faults_and_nothing_else(run: Run) -> None:
    assert run.found == PLANTED | TRUE | LOWER
    sentence = next(one["message"] for one in run.constats["findings"] if one["check"] == "NET-001")
    assert "« traefik-net »".replace("« ", "«\u00a0").replace(" »", "\u00a0»") in sentence


def test_it_sees_the_host_behind_its_ports(run: Run) -> None:
    listeners = run.facts.listeners
    backend = listeners[listeners["port"] == 8001].iloc[0]
    assert backend["unit"] == "ai-orchestrator-backend.service"
    assert backend["process"].startswith("python")
    assert set(listeners[listeners["port"] == 8002]["container"]) == {"ai-orchestrator-frontend"}
    assert set(listeners[listeners["port"] == 3306]["unit"]) == {"mariadb.service"}


def test_it_sees_inside_the_containers(run: Run) -> None:
    heard = run.facts.container_listeners
    assert set(heard[heard["container"] == "traefik"]["port"]) == {80, 443, 8080}
    connections = run.facts.connections
    assert set(connections[connections["source"] == "media-api"]["target"]) == {"redis"}


def test_its_routes_are_those_that_traefik_serves(run: Run) -> None:
    routes = run.facts.routes
    served = {(row.domain, row.target) for row in routes.itertuples() if isinstance(row.domain, str)}
    assert {
        ("ai.4lb.ca", "ai-orchestrator-frontend"),
        ("ai.4lb.ca", "ai-orchestrator-backend.service"),
        ("files.4lb.ca", "multimedia-frontend"),
        ("files.4lb.ca", "media-api"),
        ("jsr.4lb.ca", "jsr-dev"),
        ("traefik.4lb.ca", "Traefik"),
    } <= served


def test_every_route_is_asked_through_the_proxy(run: Run) -> None:
    probes = run.facts.http_probes.set_index("url")
    expected = {url: status for url, status in ROUTES.items() if "traefik." not in url}
    expected["https://traefik.4lb.ca/"] = 401  # the audit was given no password of it
    assert probes.loc[list(expected), "status"].to_dict() == expected
    clear = probes[probes["entrypoint"] == "web"]
    assert {url.removeprefix("http://") for url in clear.index} == {f"{domain}/" for domain in DOMAINS}
    assert set(clear["status"]) == {301}
    assert not probes["loop"].any()
    assert probes["error"].isna().all()


def test_certificates_are_those_of_the_storage_and_those_that_are_served(run: Run) -> None:
    [storage] = run.facts.acme_storage.to_dict("records")
    assert (storage["path"], storage["host_path"]) == ("/certs/acme.json", str(ACME_STORAGE))
    assert (storage["mode"], storage["owner"], storage["certificates"]) == ("600", "root", len(DOMAINS))
    assert (storage["valid"], storage["persistent"]) == (True, True)
    certificates = run.facts.certificates
    stored, served = (certificates[certificates["origin"] == origin] for origin in ("acme", "served"))
    assert set(stored["domain"]) == set(served["domain"]) == set(DOMAINS)
    assert set(stored["fingerprint"]) == set(served["fingerprint"])
    left = (stored["not_after"] - run.facts.collected).dt.days
    assert left.between(55, 60).all()
    assert run.facts.tls_probes["covers"].all()


def test_no_secret_is_anywhere_in_what_it_wrote(run: Run) -> None:
    secrets = {**CANARIES, **{f"key {number}": key for number, key in enumerate(private_keys())}}
    assert len(secrets) > 10
    for path in (path for path in run.folder.rglob("*") if path.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert [place for place, value in secrets.items() if value.encode() in content] == [], path.name
    assert [place for place, value in secrets.items() if value in run.told] == []


def test_the_engine_is_as_it_was(tmp_path: Path) -> None:
    """An audit reads; containers, images, networks and volumes are the same after it."""

    def state() -> object:
        client = docker.APIClient(base_url=DOCKER_HOST)
        containers = [client.inspect_container(one["Id"]) for one in client.containers(all=True)]
        for one in containers:
            # The engine lists mounts in any order; health checks are executions.
            one["Mounts"].sort(key=lambda mount: mount["Destination"])
            del one["State"], one["ExecIDs"]
        # Images made in the same second come in any order.
        images, networks = sorted(client.images(), key=lambda image: image["Id"]), client.networks()
        volumes = sorted(client.volumes()["Volumes"], key=lambda volume: volume["Name"])
        return containers, images, sorted(networks, key=lambda network: network["Id"]), volumes

    before = state()
    assert audit(tmp_path).code == 0
    assert state() == before


def test_the_client_refuses_to_write_to_a_real_engine() -> None:
    client = engine.connect(engine.address(DOCKER_HOST), 5)
    with pytest.raises(PermissionError):
        client.create_container("redis", "true")
    with pytest.raises(PermissionError):
        client.remove_container("redis", force=True)
    assert "redis" in {name for one in client.containers() for name in [one["Names"][0].strip("/")]}


def test_without_root_the_audit_says_what_it_cannot_know(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        parent.chmod(parent.stat().st_mode | 0o011)
    # An ordinary user who can read this interpreter wherever it stands, which does not open the engine's socket.
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading, "env", f"HOME={tmp_path}")
    refused = audit(tmp_path, prefix=nobody)
    assert refused.code == 0, refused.told
    assert "est interdit à cet utilisateur" in refused.told
    states = dict(zip(refused.facts.sources["source"], refused.facts.sources["status"], strict=True))
    assert states == {
        "acme": "absent",
        "compose": "ok",
        "databases": "partial",
        "disks": "partial",
        "docker_access": "ok",
        "engine_usage": "refused",
        "logs": "absent",
        "namespaces": "absent",
        "network": "partial",
        "systemd": "absent",
        "traefik_files": "absent",
        "engine": "refused",
        "host": "ok",
        "listeners": "partial",
        "probes": "absent",
        "tls": "absent",
        "traefik_api": "absent",
        "traefik_static": "absent",
    }
    backend = refused.facts.listeners.query("port == 8001").iloc[0]
    assert backend["user"] == "root"
    verdicts = {one["check"]: one["verdict"] for one in refused.constats["results"]}
    # What needs neither the engine nor root: files, sockets of the daemon, the machine itself.
    judged = {check for check, verdict in verdicts.items() if verdict in ("pass", "fail")}
    alone = {"COLLECT-001", "COMPOSE-002", "COMPOSE-005", "CIS-2.7", "CIS-3.15", "CIS-3.16", "DB-005"}
    assert judged - {"HOST-001", "HOST-002", "HOST-003", "HOST-004", "HOST-005"} == alone
    assert {verdicts[one] for one in alone - {"COLLECT-001"}} == {"pass"}
    assert refused.constats["coverage"] < 0.2


def test_a_wrong_address_of_the_api_is_said_and_the_run_goes_on(tmp_path: Path, run: Run) -> None:
    wrong = audit(tmp_path, "-p", "traefik_api", "http://127.0.0.1:8002")
    assert wrong.code == 0
    said = "Ce qui répond à l’adresse http://127.0.0.1:8002 n’est pas l’API de Traefik."
    assert re.search(rf"traefik_api +en échec : {re.escape(said)}", wrong.told)
    # Labels, files and options tell what the API would have told: what is served is asked, and judged, all the same.
    assert wrong.found == PLANTED | TRUE | LOWER | {("COLLECT-001", "info", "traefik_api")}
    asked = {row.url for row in wrong.facts.snapshot.rows(HttpProbe)}
    assert asked == {row.url for row in run.facts.snapshot.rows(HttpProbe)}
    assert set(wrong.facts.tls_probes["domain"]) == set(DOMAINS)


def test_a_required_source_that_fails_makes_the_run_fail_with_its_report_kept(tmp_path: Path) -> None:
    failed = audit(tmp_path, "-p", "traefik_api", "http://127.0.0.1:1", "-p", "require", "[traefik_api]")
    assert failed.code == 2
    assert (failed.folder / "rapport.html").is_file()


def test_every_notebook_runs_by_the_plain_papermill_command(tmp_path: Path, run: Run) -> None:
    papermill = Path(sys.executable).with_name("papermill")
    for notebook in sorted(Path("notebooks").glob("[0-9]*.ipynb")):
        given = ["-p", "snapshot", str(run.folder)]
        if notebook.name.startswith("00"):
            given = ["-p", "outputs", str(tmp_path), "-p", "docker_host", DOCKER_HOST]
        command = [papermill, "--no-progress-bar", notebook, tmp_path / notebook.name, *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_silent_engine_costs_its_timeout_and_no_more(tmp_path: Path) -> None:
    quick = Parameters(docker_host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unreadable, match="n’existe pas"):
        engine.fetch(quick, {})
    assert SOCKET.exists()


def test_the_script_it_writes_finds_the_server_as_it_was(run: Run) -> None:
    checked = subprocess.run([str(run.folder / "check_global.sh")], capture_output=True, text=True, check=False)
    lines = [line.split(maxsplit=1) for line in checked.stdout.splitlines() if line.startswith("  ")]
    assert [line for line in lines if line[0] != "ok"] == [["ÉCART", "jsr-dev : non attaché à unified-net"]]
    assert len(lines) > 40
    assert checked.returncode == 1
