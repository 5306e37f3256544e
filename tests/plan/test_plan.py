"""The plan on the faulty reference server: its steps, what the simulation says of them, and the files that carry it."""

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditlib.compose import document
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposeLine
from auditlib.facts.tables.docker import Container, ContainerNetwork, Publication
from auditlib.findings.audit import Audit
from auditlib.findings.audit import audit as judge
from auditlib.french import typography
from auditlib.plan import Plan, attached, exported, first_identity, plan
from auditlib.plan.acts.traefik import Flag
from auditlib.plan.effects import applied
from auditlib.report.markdown import report
from auditlib.report.plan import PlanShown, conclusion
from tests.conftest import derived, snapshot_of

PROJECTS = Path(__file__).parent.parent / "testbed" / "projets"


@pytest.fixture(scope="module")
def audit(faulty: Snapshot) -> Audit:
    return judge(faulty)


@pytest.fixture(scope="module")
def made(faulty: Snapshot, audit: Audit) -> Plan:
    return plan(faulty, audit)


def of(audit: Audit, *checks: str) -> Audit:
    """An audit that found these alone."""
    return Audit(audit.results, [one for one in audit.findings if one.check in checks])


def test_the_simulation_finds_all_that_is_claimed_gone_and_nothing_new(made: Plan) -> None:
    assert {one.partition("|")[0] for step in made.steps for one in step.claims} >= {
        *("PORT-004", "NET-001", "ROUTE-014", "ROUTE-009", "HTTP-003", "PORT-005", "PORT-006", "PORT-002"),
        *("COMPOSE-001", "NET-007", "DB-004", "CIS-5.14"),
    }
    for step in made.steps:
        assert (step.broken, step.lost) == ((), ())
        assert set(step.claims) <= set(step.resolved)
    assert [step.kept for step in made.steps if step.kept] == [("DB-004|database=redis",)]


def test_every_finding_is_claimed_once_or_left(made: Plan, audit: Audit) -> None:
    told = [one for step in made.steps for one in step.claims] + [one.finding.identity for one in made.left]
    assert sorted(told) == sorted(one.identity for one in audit.live)
    reasons = {one.finding.identity: one.reason for one in made.left if one.reason}
    assert list(reasons) == ["DB-004|database=redis"]


def test_the_whole_plan_on_the_tables_leaves_no_claimed_finding_and_brings_none(
    faulty: Snapshot, audit: Audit, made: Plan
) -> None:
    facts = faulty
    for step in made.steps:
        facts = applied(facts, *step.acts)
    after = {first_identity(one, made.former) for one in judge(facts).live}
    assert after == {one.finding.identity for one in made.left}
    assert made.scores[1] is not None and made.scores[0] is not None and made.scores[1] > made.scores[0]


def test_what_is_kept_from_step_to_step_changes_nothing_of_what_is_found(faulty: Snapshot, made: Plan) -> None:
    facts = faulty
    for step in made.steps:
        facts = applied(facts, *step.acts)
        assert judge(facts) == judge(Snapshot(facts.hostname, facts.collected, facts.tables, facts.absent))


def test_each_text_of_a_compose_file_is_parsed_once(
    faulty: Snapshot, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def documents(text: str, file: str) -> list[Any]:
        parsed.append(text)
        return document.documents(text, file)

    monkeypatch.setattr("auditlib.compose.written.documents", documents)
    lines = [
        dataclasses.replace(row, text=f"{row.text} ") if row.text and row.line == 1 else row
        for row in faulty.rows(ComposeLine)
    ]
    # Files that no other test has read.
    assert plan(faulty.changed({"compose_lines": lines}), audit).steps
    assert len(parsed) == len(set(parsed)) > 4


def test_the_facts_themselves_stay_as_they_were(faulty: Snapshot, audit: Audit, made: Plan) -> None:
    assert [one.identity for one in judge(faulty).findings] == [one.identity for one in audit.findings]


def test_steps_go_by_stack_safe_ones_apart_from_risky_ones(made: Plan) -> None:
    stacks = [(step.stack, step.risky) for step in made.steps]
    # One `up -d` for a stack, and another for what may hinder somebody unseen: networks left, then names.
    assert stacks == [
        ("jsr-solutions", False),
        ("unified-stack", False),
        ("ai-orchestrator", False),
        ("ai-orchestrator", False),
        ("multimedia", False),
        ("unified-stack", True),
        ("unified-stack", True),
    ]
    for step in made.steps:
        assert sum(" up -d " in command for command in step.commands) <= 1
    legacy = next(step for step in made.steps if "legacy" in step.place)
    assert legacy.safe
    assert legacy.cut.containers == ()
    assert [command.split()[0] for command in legacy.commands] == ["patch"]


def test_what_a_step_needs_is_done_by_an_earlier_one(made: Plan) -> None:
    join = next(step for step in made.steps if step.stack == "multimedia")
    leave = next(step for step in made.steps if any(one.startswith("NET-007") for one in step.claims))
    assert (join.claims, join.prepares) == ((), leave.number)
    assert join.number < leave.number
    assert join.commands[:2] == (
        "docker network create --internal postgres-net",
        "docker network create --internal redis-net",
    )
    assert "docker network create chromadb-net" in leave.commands  # its port is published: not internal
    assert join.back[-2:] == ("docker network rm postgres-net", "docker network rm redis-net")


def test_what_is_cut_and_who_is_hindered_is_said(made: Plan) -> None:
    proxy = next(step for step in made.steps if step.cut.proxy)
    assert proxy.cut.domains == ("ai.4lb.ca", "files.4lb.ca", "jsr.4lb.ca", "traefik.4lb.ca")
    assert proxy.cut.databases == ("chromadb",)
    renaming = next(step for step in made.steps if step.renames)
    assert renaming.renames == (("postgres", "unified-postgres"), ("redis", "unified-redis"))
    assert (
        "« media-api (DATABASE_URL) » l’appelle « postgres » : ce nom reste, c’est celui du service sur leurs réseaux."
        in renaming.remarks
    )


def test_the_way_that_breaks_the_least_is_chosen(made: Plan) -> None:
    # Without `api.insecure` the API would be read no more, and neither would the routes.
    acts = [act for step in made.steps for act in step.acts]
    assert not [act for act in acts if isinstance(act, Flag)]


def test_a_step_that_loses_what_is_known_says_so(faulty: Snapshot, audit: Audit) -> None:
    # Not published, the API has one way left.
    hidden = faulty.changed({"publications": [row for row in faulty.rows(Publication) if row.host_port != 8080]})
    [step] = plan(hidden, of(audit, "ROUTE-014")).steps
    assert {"ROUTE-001", "ROUTE-005", "ROUTE-014"} <= set(step.lost)
    assert step.risky
    assert "rend non évaluable" in PlanShown(plan(hidden, of(audit, "ROUTE-014"))).markdown()


def test_a_step_that_does_not_resolve_what_it_is_for_says_so(faulty: Snapshot, audit: Audit) -> None:
    # A finding that no change of tables ends: its acts are made all the same, and it stays.
    stubborn, other = (
        next(one for one in audit.live if ("container", name) in one.subjects and one.check == check)
        for check, name in (("PORT-005", "nvidia-gpu-exporter"), ("PORT-004", "chromadb"))
    )
    stubborn = dataclasses.replace(stubborn, fault=other.fault)
    lying = plan(faulty, Audit(audit.results, [stubborn]))
    [step] = lying.steps
    assert step.kept == (stubborn.identity,)
    assert step.claims == ()
    assert step.risky
    assert not step.sure
    text = PlanShown(lying).markdown()
    assert "Attention : ne suffit pas à résoudre PORT-005 (nvidia-gpu-exporter, tcp/0.0.0.0:9835)." in text.replace(
        "\u00a0", " "
    ).replace("\u202f", " ")
    [left] = lying.left
    assert left.reason == f"l’étape {step.number} ne suffit pas à le résoudre"


def test_a_step_that_breaks_something_says_so(faulty: Snapshot, audit: Audit) -> None:
    # The name that the plan gives is another's alias: whoever calls it would reach two containers.
    squatted = faulty.changed(
        {
            "container_networks": [
                dataclasses.replace(row, aliases=("unified-redis",)) if row.container == "grafana" else row
                for row in faulty.rows(ContainerNetwork)
            ],
            "containers": [
                dataclasses.replace(row, compose_project="supervision") if row.name == "grafana" else row
                for row in faulty.rows(Container)
            ],
        }
    )
    known = judge(squatted)
    steps = plan(squatted, of(known, "COMPOSE-001")).steps
    broken = [one for step in steps for one in step.broken if one.startswith("NET-004")]
    assert broken
    assert all(step.risky for step in steps if step.broken)


@pytest.mark.parametrize("tool", [["patch", "-N", "-p1"], ["git", "apply"]])
def test_the_patches_apply_one_after_the_other_to_the_real_files(made: Plan, tool: list[str], tmp_path: Path) -> None:
    if not shutil.which(tool[0]):
        pytest.skip(f"{tool[0]} is not installed")
    root = tmp_path / "projets"
    shutil.copytree(PROJECTS, root)
    for step in made.steps:
        for name, content in step.files.items():
            before = {path: path.read_bytes() for path in root.rglob("*.yml")}
            done = subprocess.run(tool, cwd=root, input=content.encode(), capture_output=True, check=False)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
            assert b"fuzz" not in done.stdout
            assert [path for path, was in before.items() if path.read_bytes() != was]
    text = (root / "infrastructure/unified-stack/docker-compose.yml").read_text("utf-8")
    assert '"127.0.0.1:8080:8080" # API' in text
    assert "container_name: unified-postgres" in text


def test_commands_run_from_the_run_folder_and_back_again(made: Plan, tmp_path: Path) -> None:
    """The commands as they are given, with the programs that touch the machine replaced by `true`."""
    root, run = tmp_path / "projets", tmp_path / "execution"
    shutil.copytree(PROJECTS, root)
    (run / "correctifs").mkdir(parents=True)
    for name, content in exported(made).items():
        (run / "correctifs" / name).write_text(content, "utf-8", newline="")
    before = {path: path.read_bytes() for path in sorted(root.rglob("*.yml"))}

    def shell(commands: tuple[str, ...]) -> None:
        script = "set -eu\ndocker() { :; }\n" + "\n".join(commands).replace("/home/lalpha/projets", str(root))
        done = subprocess.run(["bash", "-c", script], cwd=run, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), (script, done.stdout)

    for step in made.steps:
        shell(step.commands)
    assert {path for path, was in before.items() if path.read_bytes() != was}
    for step in reversed(made.steps):
        shell(step.back)
    assert {path: path.read_bytes() for path in sorted(root.rglob("*.yml"))} == before


def test_findings_name_the_file_that_mends_them(made: Plan, audit: Audit) -> None:
    patched = {one.identity: one.fix.patch for one in attached(made, audit).findings}
    assert patched["NET-001|container=jsr-dev"] == "correctifs/01-jsr-solutions.patch"
    left = {one.finding.identity for one in made.left}
    assert {identity for identity, path in patched.items() if path is None} == left


def test_without_the_lines_of_the_files_overrides_do_the_same(faulty: Snapshot, audit: Audit) -> None:
    made = plan(faulty.changed({"compose_lines": []}), audit)
    files = exported(made)
    assert files
    assert not [name for name in files if name.endswith(".patch")]
    step = next(step for step in made.steps if step.stack == "jsr-solutions")
    assert ' -f "$PWD"/correctifs/01-jsr-solutions.override.yml up -d jsr-dev' in step.commands[-1]
    assert "unified-net" in files["01-jsr-solutions.override.yml"]
    assert any("surcharge" in one for one in step.remarks)
    # What only the file can say is for a person: networks left, and the file of what does not run.
    left = {one.finding.check: one.reason for one in made.left}
    assert left["NET-007"] and left["PORT-002"]
    # What an earlier step says over the files holds when a later one calls Compose, forth and back.
    for number, step in enumerate(made.steps):
        kept = [file for one in made.steps[:number] if one.stack == step.stack for file in one.files]
        for line in [line for line in (*step.commands, *step.back) if " up -d " in line]:
            assert [file for file in kept if f'-f "$PWD"/correctifs/{file}' not in line] == []
    assert len({step.stack for step in made.steps if step.files}) < len([step for step in made.steps if step.files])
    told = [one for step in made.steps for one in step.claims] + [one.finding.identity for one in made.left]
    assert sorted(told) == sorted(one.identity for one in audit.live)


def test_nothing_wrong_needs_no_plan() -> None:
    empty = plan(snapshot_of(), Audit([], []))
    assert (empty.steps, empty.left, dict(exported(empty))) == ((), (), {})
    assert PlanShown(empty).markdown() == conclusion(empty)[0] == "Rien à corriger parmi ce qui a pu être évalué."


def test_an_audit_without_docker_leaves_all_to_a_person(faulty: Snapshot) -> None:
    absent = {name: "le moteur n’a pas été lu" for name, frame in faulty.tables.items() if name != "sources"}
    facts = faulty.changed({}, absent)
    known = judge(facts)
    made = plan(facts, known)
    assert made.steps == ()
    assert len(made.left) == len(known.live)


def test_waived_findings_are_not_planned(faulty: Snapshot, audit: Audit) -> None:
    waived = {"reason": "accepté", "author": "A", "expires": None}
    accepted = [dataclasses.replace(one, waived=waived) for one in audit.findings]
    assert plan(faulty, Audit(audit.results, accepted)).steps == ()


def test_the_report_shows_the_plan(faulty: Snapshot, audit: Audit, made: Plan) -> None:
    text = report(derived(faulty, audit, made))
    chapter = text.split("## 9. Plan de corrections")[1]
    assert PlanShown(made).markdown() in chapter
    for wanted in ("### Étape 1 : jsr-solutions", "Attacher « jsr-dev » au réseau « unified-net ».", "patch -R -p1 -d"):
        assert typography(wanted) in chapter
    html = PlanShown(made)._repr_html_()
    assert html.count('<article class="finding') == len(made.steps)
    # What is for a person is named here and told whole among the findings, once.
    assert html.count("<li><span class") == len(made.left)
    assert "Donner un mot de passe" not in chapter
    assert typography("Par où commencer : l’étape 1 du plan, « jsr-solutions », résout NET-001") in text
    assert conclusion(made)[0] == "7 étapes résolvent 18 des 30 constats, selon la simulation."
