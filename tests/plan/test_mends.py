"""What mends what: the acts of each check, on servers where that check fails."""

import dataclasses
import shlex
from typing import Any

import pytest

from auditlib.compose.ports import PublishedPort
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows, asdict
from auditlib.facts.tables.compose import ComposeLine
from auditlib.facts.tables.docker import ContainerLabel, ContainerNetwork
from auditlib.facts.tables.host import DockerSocket
from auditlib.findings.audit import Audit, Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS, Command
from auditlib.findings.policy import Policy
from auditlib.findings.problems import Evidence, Problem
from auditlib.plan import plan
from auditlib.plan.acts.containers import Name, Restart
from auditlib.plan.acts.networks import Join
from auditlib.plan.acts.ports import Publish
from auditlib.plan.acts.rights import Mode, Owner
from auditlib.plan.acts.traefik import Label
from auditlib.plan.choice import chosen, drafts
from auditlib.plan.effects import applied
from auditlib.plan.mends import MENDS, ways
from auditlib.plan.stacks import Stack
from auditlib.plan.written import write
from auditlib.report.plan import PlanShown
from tests.checks.cases import Case, load
from tests.conftest import snapshot_of


def test_only_what_a_check_finds_is_mended() -> None:
    assert set(MENDS) <= {check.fault for check in CHECKS.values()}


def answers(row: Row, wanted: dict[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in wanted.items())


def without(facts: Snapshot, table: str, **wanted: Any) -> list[Row]:
    return [row for row in facts.named(table) if not answers(row, wanted)]


def altered(facts: Snapshot, table: str, changes: dict[str, Any], **wanted: Any) -> list[Any]:
    """The rows of a table, those that answer to `wanted` changed."""
    assert any(answers(row, wanted) for row in facts.named(table))
    rows: Rows[Any] = facts.named(table)
    return [dataclasses.replace(row, **changes) if answers(row, wanted) else row for row in rows]


def broken(facts: Snapshot, kind: str) -> Snapshot:
    """A server with one more fault."""
    match kind:
        case "CONT-004":
            return facts.changed({"containers": altered(facts, "containers", {"restart_policy": "no"}, name="redis")})
        case "ACME-001":
            path = {"host_path": "/home/a/acme.json", "mode": "644", "kind": "file"}
            return facts.changed({"acme_storage": altered(facts, "acme_storage", path)})
        case "CIS-3.16":
            [path, *_] = [row.path for row in facts.rows(DockerSocket) if row.daemon == "docker"]
            return facts.changed({"docker_sockets": altered(facts, "docker_sockets", {"mode": "666"}, path=path)})
        case "CIS-3.15":
            [path, *_] = [row.path for row in facts.rows(DockerSocket) if row.daemon == "docker"]
            return facts.changed({"docker_sockets": altered(facts, "docker_sockets", {"owner": "lalpha"}, path=path)})
        case "NET-002":
            rows = altered(facts, "container_networks", {"network": "agent-zero_default"}, container="jsr-dev")
            return facts.changed({"container_networks": rows})
        case "ROUTE-006":
            rows = altered(facts, "container_listeners", {"port": 8123}, container="media-api", port=8000)
            return facts.changed({"container_listeners": rows})
        case "ROUTE-021":
            label = {"label": "traefik.enabled", "value": "true"}
            rows = altered(facts, "labels", label, container="multimedia-frontend", label="traefik.enable")
            [(line, text), *_] = [
                (row.line, row.text.replace("enable", "enabled"))
                for row in facts.rows(ComposeLine)
                if row.file == "multimedia/docker-compose.yml" and row.text and "traefik.enable=" in row.text
            ]
            file = {"file": "multimedia/docker-compose.yml", "line": line}
            lines = altered(facts, "compose_lines", {"text": text}, **file)
            return facts.changed({"labels": rows, "compose_lines": lines})
    raise AssertionError(kind)


CASES: dict[str, Any] = {
    "CONT-004": Restart("redis", "redis", "unless-stopped"),
    "ACME-001": Mode("/home/a/acme.json", "644", "600", "traefik"),
    "CIS-3.16": Mode,
    "CIS-3.15": Owner,
    "NET-002": Join("jsr-dev", "jsr-dev", "unified-net"),
    "ROUTE-006": Label("media-api", "media-api", "traefik.http.services.media-api.loadbalancer.server.port", "8123"),
    "ROUTE-021": Label("multimedia-frontend", "multimedia-frontend", "traefik.enable", "true", "traefik.enabled"),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_fault_has_its_step_and_the_simulation_agrees(faulty: Snapshot, kind: str) -> None:
    facts = broken(faulty, kind)
    audit = judge(facts)
    found = [one for one in audit.live if one.check == kind]
    assert found
    [way, *_] = ways(facts, found[0])
    assert way[0] == CASES[kind] or type(way[0]) is CASES[kind]
    made = plan(facts, Audit(audit.results, found))
    [step] = made.steps
    assert step.claims == tuple(one.identity for one in found)
    assert (step.kept, step.lost) == ((), ())
    assert step.commands
    assert step.back


def test_a_restart_policy_interrupts_nothing(faulty: Snapshot) -> None:
    facts = broken(faulty, "CONT-004")
    audit = judge(facts)
    [step] = plan(facts, Audit(audit.results, [one for one in audit.live if one.check == "CONT-004"])).steps
    assert step.cut.containers == ()
    assert "docker update --restart unless-stopped redis" in step.commands
    assert not [command for command in step.commands if " up -d " in command]
    assert step.back[-1] == "docker update --restart no redis"


def test_the_rights_of_the_storage_restart_the_proxy(faulty: Snapshot) -> None:
    facts = broken(faulty, "ACME-001")
    audit = judge(facts)
    [step] = plan(facts, Audit(audit.results, [one for one in audit.live if one.check == "ACME-001"])).steps
    assert step.commands == ("sudo chmod 600 /home/a/acme.json", "docker restart traefik")
    assert step.cut.proxy
    assert not step.safe


def test_two_findings_that_want_one_port_elsewhere_share_an_act(faulty: Snapshot) -> None:
    audit = judge(faulty)
    both = [one for one in audit.live if one.check in ("ROUTE-014", "PORT-005") and "traefik" in one.identity]
    [step] = plan(faulty, Audit(audit.results, both)).steps
    assert len(step.acts) == 1
    assert len([one for one in step.claims if one in {f.identity for f in both}]) == 2


def test_the_gravest_wins_and_the_other_is_left_with_its_reason(faulty: Snapshot) -> None:
    audit = judge(faulty)
    grave = next(one for one in audit.live if one.check == "ROUTE-009")
    other = dataclasses.replace(
        grave,
        subjects=(("router", "jsr-dev@docker"), ("entrypoint", "web")),
        identity="ROUTE-009|router=jsr-dev@docker|entrypoint=web",
        fault=dataclasses.replace(grave.fault, proposed=("rate-limit@file",)),
    )
    made = plan(faulty, Audit(audit.results, [grave, other]))
    assert [left.reason for left in made.left] == []  # the simulation finds it gone with the first
    stays = dataclasses.replace(other, identity="CIS-5.14|container=traefik", subjects=())
    made = plan(faulty, Audit(audit.results, [grave, stays]))
    assert [left.reason for left in made.left] == ["un constat plus grave demande autre chose du même réglage"]


QUOTABLE = ["a'; rm -rf /; '", "$(reboot)"]
HOSTILE = [*QUOTABLE, "a\x1b[31m\nb", "-x", "\u202eoof"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_never_reach_a_command_unquoted(faulty: Snapshot, name: str) -> None:
    def put(facts: Snapshot) -> Snapshot:
        renamed = {
            "containers": altered(facts, "containers", {"name": name, "compose_service": name}, name="jsr-dev"),
            "container_networks": altered(facts, "container_networks", {"container": name}, container="jsr-dev"),
            "labels": altered(facts, "labels", {"container": name}, container="jsr-dev"),
            "traefik_servers": altered(facts, "traefik_servers", {"container": name}, container="jsr-dev"),
            "compose_services": altered(facts, "compose_services", {"service": name}, service="jsr-dev"),
        }
        return facts.changed(renamed)

    facts = put(faulty)
    audit = judge(facts)
    found: list[Finding] = [one for one in audit.live if one.check in ("NET-001", "ROUTE-009", "COMPOSE-001")]
    assert any(name in dict(one.subjects).get("container", "") for one in found)
    made = plan(facts, Audit(audit.results, found))
    lines = [line for step in made.steps for line in (*step.commands, *step.back, *step.relief)]
    # Quoted for the shell where it can be written at all; in no command where it hides something.
    words = [word for line in lines for word in shlex.split(line)]
    assert (name in words) == (name in QUOTABLE)
    assert not [line for line in lines if line.count(name) > line.count(shlex.quote(name))]
    shown = PlanShown(made)
    assert "\x1b" not in shown.markdown() + shown._repr_html_()
    assert "\u202e" not in shown.markdown() + shown._repr_html_()


def test_a_container_of_no_project_is_joined_by_the_engine_alone(faulty: Snapshot) -> None:
    alone = {"compose_project": None, "compose_service": None, "compose_files": None}
    facts = faulty.changed({"containers": altered(faulty, "containers", alone, name="jsr-dev")})
    audit = judge(facts)
    made = plan(facts, Audit(audit.results, [one for one in audit.live if one.check in ("NET-001", "ROUTE-009")]))
    [step] = made.steps
    assert step.commands == ("docker network connect unified-net jsr-dev", "docker restart jsr-dev")
    assert step.back == ("docker network disconnect unified-net jsr-dev",)
    assert step.files == {}
    assert [left.reason for left in made.left] == ["aucun fichier compose connu ne décrit ce conteneur"]


def test_idle_files_get_ports_that_no_other_was_given(faulty: Snapshot) -> None:
    """Two files that do not run claim one port that is taken: neither gets what the other was given."""
    file = "ai-tools/ai-orchestrator/docker-compose.legacy.yml"
    facts = faulty
    for table in ("compose_projects", "compose_services", "compose_ports", "compose_lines"):
        copies = [
            asdict(row) | {name: "copie.yml" for name in ("files", "file") if name in row.table.names}
            for row in faulty.named(table)
            if file in (getattr(row, "files", None), getattr(row, "file", None))
        ]
        assert copies
        facts = facts.changed({table: [*faulty.named(table), *copies]})
    audit = judge(facts)
    made = plan(facts, Audit(audit.results, [one for one in audit.live if one.check == "PORT-002"]))
    given = [act.wanted for step in made.steps for act in step.acts if isinstance(act, Publish)]
    assert len(given) == len(set(given)) >= 2


# The networks of a container whose label names one that is not there; what it joins, and what is designated instead.
PLACES = [
    (("traefik-net", "unified-net"), [], "unified-net"),
    (("traefik-net",), [], "traefik-net"),
    (("agent-zero_default",), [Join("jsr-dev", "jsr-dev", "unified-net")], "unified-net"),
]


@pytest.mark.parametrize(("places", "joins", "shared"), PLACES)
def test_a_network_that_is_not_there_is_designated_no_more(
    faulty: Snapshot, places: tuple[str, ...], joins: list[Join], shared: str
) -> None:
    labels = without(faulty, "labels", container="jsr-dev", label="traefik.docker.network")
    absent = ContainerLabel(container="jsr-dev", label="traefik.docker.network", value="traefik_public")
    others = without(faulty, "container_networks", container="jsr-dev")
    [own] = [row for row in faulty.rows(ContainerNetwork) if row.container == "jsr-dev"]
    attached = [*others, *(dataclasses.replace(own, network=place) for place in places)]
    facts = faulty.changed({"labels": [*labels, absent], "container_networks": attached})
    audit = judge(facts)
    made = plan(facts, Audit(audit.results, [one for one in audit.live if one.check in ("NET-001", "NET-002")]))
    [step] = made.steps
    assert [*step.acts] == [*joins, Label("jsr-dev", "jsr-dev", "traefik.docker.network", shared)]
    assert "NET-001|container=jsr-dev" in step.claims
    assert step.kept == ()


def test_a_name_that_others_call_is_for_a_person(faulty: Snapshot) -> None:
    called = {"host": "database", "targets": ("database",)}
    strings = altered(faulty, "connection_strings", called, host="redis")
    facts = applied(faulty, Name("redis", "redis", "database")).changed({"connection_strings": strings})
    audit = judge(facts)
    made = plan(
        facts, Audit(audit.results, [one for one in audit.live if one.subjects == (("container", "database"),)])
    )
    [left] = [left for left in made.left if left.finding.check == "COMPOSE-001"]
    assert "« media-api (REDIS_URL) » l’appelle par ce nom" in left.reason.replace("\u00a0", " ")
    assert "« redis »" in left.reason.replace("\u00a0", " ")
    assert [act for step in made.steps for act in step.acts if isinstance(act, Name)] == []


def test_ports_that_files_move_stay_moved_under_an_override() -> None:
    """A port of a service stands plainly in its file, another as a variable in the next: both go to the loopback."""
    base = {"container": "a", "protocol": "tcp", "host_ip": "0.0.0.0", "live": True}
    ports = [{**base, "container_port": number, "host_port": number} for number in (80, 81)]
    facts = snapshot_of(publications=ports, containers=[{"name": "a", "compose_project": "p", "compose_service": "a"}])
    files = {("/r", name): ["services:", "  a:", "    image: a", "    ports:", f'      - "{port}"']
             for name, port in (("b.yml", "${PORT}:81"), ("a.yml", "80:80"))}  # fmt: skip
    home = Stack("p", Command("docker compose -p p"), "/r", ("b.yml", "a.yml"), ("/r", "a.yml + b.yml", "a"))
    acts = [Publish("a", "a", PublishedPort("tcp", number, number), ("127.0.0.1", number)) for number in (80, 81)]
    made = write(facts, "01-p", home, acts, {key: [Line(line) for line in lines] for key, lines in files.items()})
    assert set(made.files) == {"01-p.patch", "01-p.override.yml"}
    assert made.files["01-p.override.yml"].count('"127.0.0.1:8') == made.files["01-p.override.yml"].count("- ") == 2


def test_what_only_logs_tell_waits_for_the_step_that_ends_its_cause(
    faulty: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = judge(faulty)
    cause = next(one for one in audit.live if one.check == "NET-001")
    told = next(one for one in audit.live if one.check == "LOG-003")
    port = next(one for one in audit.live if one.identity == "CIS-5.14|container=traefik")
    problem = Problem(cause, (Evidence(told, "NET-001", "conteneur"), Evidence(port, "NET-001", "conteneur")))
    monkeypatch.setattr("auditlib.plan.simulation.problems", lambda *_: [problem])
    made = plan(faulty, Audit(audit.results, [cause, told, port]))
    [step] = made.steps
    # The tables tell whether a port stays open, and it does.
    assert {left.finding.check: left.reason for left in made.left} == {
        "LOG-003": f"découle de NET-001, que l’étape {step.number} résout ; le prochain audit le confirmera",
        "CIS-5.14": "",
    }


# Servers told in part: the file that gives the name is no project's, the labels are not there to be changed.
UNTIED = {
    ("COMPOSE-001", "the file and the line of the name"),
    ("COMPOSE-001", "a container and a service of another project have one name"),
    ("ROUTE-006", "another port is"),
}
MENDED = [one for one in load() if one.verdict == "fail" and CHECKS[one.check].fault in MENDS]


@pytest.mark.parametrize("case", MENDED, ids=lambda one: f"{one.check}-{one.name}")
def test_every_case_of_a_mended_check_is_mended_or_refused_with_a_reason(case: Case) -> None:
    """The servers of the cases of checks: odd, and told in part only."""
    facts = snapshot_of(**case.tables)
    audit = judge(facts, checks=[CHECKS[case.check]])
    found, reasons = chosen(facts, Policy(), audit)
    assert {one.identity for one, _ in found}.isdisjoint(reasons)
    assert all(reasons.values())
    for finding, way in found:
        after = judge(applied(facts, *way), checks=[CHECKS[case.check]])
        assert (finding.identity in {one.identity for one in after.live}) == ((case.check, case.name) in UNTIED)
    assert [act for draft in drafts(facts, found) for act in draft.acts if not act.writable] == []
