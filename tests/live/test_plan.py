"""The plan on the real thing: its steps done one after the other on the faulty server, audited again, then undone."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditlib import plan
from auditlib.findings.audit import Audit
from auditlib.findings.audit import audit as judge
from tests.live.conftest import Run, audit, of_the_machine
from tests.testbed import server
from tests.testbed.paths import DOCKER_HOST


@dataclass(frozen=True)
class Proof:
    """The plan of a first audit, and what a second one finds once all its steps are done."""

    before: Run
    made: plan.Plan
    after: Run


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], str]:
    """Run a command of the plan as its reader would, from the folder of the run; what it says."""
    client = shutil.which("docker")
    assert client, "the plan calls the client of Docker: install docker.io"
    plugins = tmp_path_factory.mktemp("docker") / "cli-plugins"
    plugins.mkdir()
    (plugins / "docker-compose").symlink_to(server.COMPOSE)
    # Nothing of the caller's environment: its variables would win over the project's .env.
    given = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST": DOCKER_HOST, "DOCKER_CONFIG": str(plugins.parent)}

    def run(command: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-euc", command], cwd=folder, env=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def proof(
    bring_up: Callable[[str], None], shell: Callable[[str, Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proof]:
    bring_up("faulty")
    before = audit(tmp_path_factory.mktemp("before"))
    made = plan.plan(before.facts.snapshot, judge(before.facts.snapshot))
    for step in made.steps:
        for command in step.commands:
            shell(command, before.folder)
        server.settle()
        assert step.verify
        for command in step.verify:
            shell(command, before.folder)
    yield Proof(before, made, audit(tmp_path_factory.mktemp("after")))
    # What was patched is no variant of the server any more: the next one starts from its own files.
    server.clear()


def _told(run: Run, former: dict[str, str]) -> set[str]:
    """The identities of the findings of a run, of containers under their first names."""
    judged: Audit = judge(run.facts.snapshot)
    ours = [one for one in judged.live if not of_the_machine(one.check, one.subjects[0][1])]
    return {plan.first_identity(one, former) for one in ours}


def test_each_step_does_what_it_says_and_no_finding_is_new(proof: Proof) -> None:
    claimed = {one for step in proof.made.steps for one in step.claims}
    first, last = _told(proof.before, {}), _told(proof.after, proof.made.former)
    assert last - first == set()
    assert last & claimed == set()
    assert first - last == claimed


def test_what_is_of_medium_severity_or_more_and_stays_is_left_to_a_person(proof: Proof) -> None:
    found = judge(proof.after.facts.snapshot).at_least("medium")
    graver = [one for one in found if not of_the_machine(one.check, one.subjects[0][1])]
    left = {one.finding.identity for one in proof.made.left}
    assert {plan.first_identity(one, proof.made.former) for one in graver} <= left
    assert len(graver) <= 1


def test_every_step_has_its_way_back(proof: Proof, shell: Callable[[str, Path], str], tmp_path: Path) -> None:
    for step in reversed(proof.made.steps):
        for command in step.back:
            shell(command, proof.before.folder)
    server.settle()
    assert _told(audit(tmp_path), {}) == _told(proof.before, {})
