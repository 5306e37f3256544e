"""What files and stopped containers claim, beside what runs."""

from typing import Any

from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Audit
from auditlib.report import conclusions
from auditlib.report.conclusions import conclude
from auditlib.report.markdown import _inventory, _ports
from auditlib.views.declarations import Declaration, IdlePort, Project
from tests.conftest import derived, snapshot_of

ROOT = "/srv"


def container(name: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "network_mode": "bridge", **more}


def of_compose(name: str, project: str, service: str, file: str, state: str = "running") -> dict[str, Any]:
    return container(
        name,
        state,
        compose_project=project,
        compose_service=service,
        compose_files=[f"{ROOT}/{file}"],
        compose_dir=ROOT,
    )


def project(file: str, *services: str, name: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "root": ROOT,
        "files": file,
        "file": file,
        "path": f"{ROOT}/{file}",
        "folder": ".",
        "project": name,
        "kind": "compose",
        "default": True,
        "named": False,
        "refused": False,
        "services": list(services),
        "inactive": [],
        "profiles": [],
        **more,
    }


def service(file: str, name: str, *, active: bool = True, **more: Any) -> dict[str, Any]:
    return {"root": ROOT, "files": file, "project": "p", "service": name, "active": active, "file": file, **more}


def port(file: str, name: str, number: int | None, ip: str = "0.0.0.0") -> dict[str, Any]:
    return {
        **{"root": ROOT, "files": file, "project": "p", "service": name, "protocol": "tcp", "host_ip": ip},
        **{"host_port": number, "container_port": 80, "chosen": number is None, "file": file, "line": 4},
    }


def facts(containers: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Snapshot:
    empty = ("publications", "container_networks", "mounts", "compose_projects", "compose_services")
    given: dict[str, Any] = {name: [] for name in (*empty, "compose_ports", "compose_resources", "compose_problems")}
    return snapshot_of(**{**given, "containers": containers, **tables})


def states(snapshot: Snapshot) -> dict[str, tuple[str | None, tuple[str, ...] | None, tuple[str, ...] | None]]:
    return {row.files: (row.state, row.running, row.missing) for row in snapshot.rows(Project)}


def test_a_project_is_active_partly_active_or_passive() -> None:
    running = [of_compose("a", "p", "web", "all.yml"), of_compose("b", "p", "web", "part.yml")]
    running += [of_compose("c", "p", "db", "part.yml", "exited"), of_compose("d", "other", "web", "none.yml")]
    snapshot = facts(
        running,
        compose_projects=[project("all.yml", "web"), project("part.yml", "web", "db"), project("none.yml", "web")],
    )
    assert states(snapshot) == {
        "all.yml": ("actif", ("web",), ()),
        "part.yml": ("en partie actif", ("web",), ("db",)),
        "none.yml": ("passif", (), ("web",)),
    }


def test_the_same_service_of_another_file_does_not_run() -> None:
    snapshot = facts(
        [of_compose("a", "p", "web", "compose.yml")],
        compose_projects=[project("compose.yml", "web"), project("legacy.yml", "web")],
        compose_services=[service("compose.yml", "web"), service("legacy.yml", "web")],
        compose_ports=[port("compose.yml", "web", 80), port("legacy.yml", "web", 81)],
    )
    claims = {row.files: row.running for row in snapshot.rows(Declaration)}
    assert claims == {"compose.yml": True, "legacy.yml": False}
    assert [row.place for row in snapshot.rows(IdlePort)] == ["legacy.yml:4"]


def test_a_refused_file_that_runs_all_the_same_is_active() -> None:
    snapshot = facts(
        [of_compose("a", "p", "web", "broken.yml")], compose_projects=[project("broken.yml", refused=True)]
    )
    assert states(snapshot)["broken.yml"] == ("actif", ("web",), ())


def test_a_running_project_that_lacks_variables_alone_is_not_called_refused() -> None:
    def refused(*variables: str | None, state: str = "running") -> bool:
        problems = [
            {"root": ROOT, "files": "c.yml", "kind": "invalid", "line": line, "reason": "x", "variable": variable}
            for line, variable in enumerate(variables)
        ]
        found = facts(
            [{**of_compose("a", "p", "web", "c.yml"), "state": state}],
            compose_projects=[project("c.yml", refused=True)],
            compose_problems=problems,
        )
        [row] = found.rows(Project)
        return bool(row.refused)

    assert not refused("SOCK", "TAG")
    assert refused("SOCK", None)
    assert refused("SOCK", state="exited")
    assert refused()


def test_a_service_started_by_its_profile_counts_as_running() -> None:
    snapshot = facts(
        [of_compose("a", "p", "debug", "c.yml")],
        compose_projects=[project("c.yml", inactive=["debug", "other"])],
        compose_services=[service("c.yml", "debug", active=False), service("c.yml", "other", active=False)],
        compose_ports=[port("c.yml", "debug", 1), port("c.yml", "other", 2)],
    )
    claims = {row.service: (row.active, row.running) for row in snapshot.rows(Declaration)}
    assert claims == {"debug": (False, True), "other": (False, False)}
    assert states(snapshot)["c.yml"][1] == ("debug",)


def test_stopped_containers_claim_and_running_ones_do_not() -> None:
    publication = {"protocol": "tcp", "host_ip": "0.0.0.0", "container_port": 80, "live": False}
    snapshot = snapshot_of(
        containers=[container("up"), container("down", "exited"), container("host", "created", network_mode="host")],
        publications=[
            {**publication, "container": "up", "host_port": 80, "live": True},
            {**publication, "container": "down", "host_port": 81},
            {**publication, "container": "down", "host_port": None, "container_port": 81},
            {**publication, "container": "host", "host_port": 82},
        ],
        container_networks=[{"container": "down", "network": "n"}, {"container": "up", "network": "m"}],
        mounts=[{"container": "down", "type": "volume", "volume": "v", "destination": to} for to in ("/a", "/b")],
    )
    claims = [(row.container, row.kind, row.name or row.host_port) for row in snapshot.rows(Declaration)]
    assert sorted(claims, key=repr) == [
        ("down", "container_name", "down"),
        ("down", "network", "n"),
        ("down", "port", 81),
        ("down", "port", None),
        ("down", "volume", "v"),
        ("host", "container_name", "host"),
    ]


def test_services_on_the_network_of_the_machine_publish_nothing() -> None:
    snapshot = facts(
        [],
        compose_projects=[project("c.yml", "web")],
        compose_services=[service("c.yml", "web", network_mode="host")],
        compose_ports=[port("c.yml", "web", 80)],
    )
    assert snapshot.rows(Declaration) == ()


def test_idle_ports_join_their_addresses_and_leave_out_what_the_engine_chooses() -> None:
    snapshot = facts(
        [],
        compose_projects=[project("c.yml", "web")],
        compose_services=[service("c.yml", "web")],
        compose_ports=[port("c.yml", "web", 80), port("c.yml", "web", 80, "::"), port("c.yml", "web", None)],
    )
    [row] = snapshot.rows(IdlePort)
    assert (row.host_port, row.addresses, row.claimant) == (80, ("0.0.0.0", "::"), "p / web")


def test_the_reference_server(faulty: Snapshot) -> None:
    found = {row.files: row.state for row in faulty.rows(Project)}
    assert {files for files, state in found.items() if state == "passif"} == {
        "Robin_IA/Dockerfile",
        "ai-tools/ai-orchestrator/docker-compose.legacy.yml",
        "web-apps/4lb-welcome/docker-compose.yml",
    }
    assert {files.rpartition("/")[0] for files, state in found.items() if state == "actif"} == {
        "infrastructure/unified-stack",
        "multimedia",
        "ai-tools/ai-orchestrator",
        "ai-tools/agent-zero",
        "clients/jsr/JSR-solutions",
    }
    assert [(row.host_port, row.claimant) for row in faulty.rows(IdlePort)] == [(8002, "ai-orchestrator / backend")]
    networks = {row.name: row.external for row in faulty.rows(Declaration) if row.kind == "network"}
    assert networks == {"unified-net": True, "traefik-net": True, "agent-zero_default": False}
    report = "\n".join([*_inventory(Facts(faulty)), *_ports_without_findings(faulty)])
    assert "**Robin_IA/Dockerfile**" in report
    assert "docker-compose.legacy.yml:14" in report.replace("\\", "")
    assert "concert.mp4" in report
    said = conclude(faulty, conclusions.ports)
    assert "Réclamé sans être tenu : 8002/tcp (ai-orchestrator / backend)." in said


def _ports_without_findings(snapshot: Snapshot) -> list[str]:
    return list(_ports(derived(snapshot, Audit([], []))))


def test_without_the_files_of_the_disk_the_report_says_why() -> None:
    snapshot = snapshot_of(containers=[], publications=[], container_networks=[], mounts=[])
    told = "\n".join(_inventory(Facts(snapshot)))
    assert "Fichiers compose sur le disque : non évaluable, elle n’a pas été lue." in told.replace(
        "\u202f", " "
    ).replace("\xa0", " ")
