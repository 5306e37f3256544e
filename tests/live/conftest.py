"""Audits of the running reference server: a private engine, real programs, the real command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import auditlib
from auditlib.derived import Facts
from tests.testbed import server
from tests.testbed.canaries import TRAEFIK_AUTH
from tests.testbed.host import PUBLISHED, SERVICES
from tests.testbed.paths import DOCKER_HOST, PROJECTS

AUTH = "AUDITLIB_TESTBED_AUTH"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.timeout(900))


def of_the_machine(check: str, subject: str) -> bool:
    """Whether a finding is about the machine that runs the tests: its disk, its memory, a listener of its own."""
    own = check == "PORT-007" and int(subject.rpartition(":")[2]) not in {*PUBLISHED, *SERVICES.values()}
    return own or check.startswith("HOST-")


@dataclass(frozen=True)
class Run:
    """One finished `auditlib run`."""

    code: int
    folder: Path
    told: str

    @property
    def constats(self) -> Any:
        return json.loads((self.folder / "constats.json").read_text("utf-8"))

    @property
    def facts(self) -> Facts:
        return auditlib.load(str(self.folder))

    @property
    def found(self) -> set[tuple[str, str, str]]:
        """Findings as (check, severity, first subject), but for those of the machine that runs the tests."""
        told = [(one["check"], one["severity"], one["subjects"][0]["name"]) for one in self.constats["findings"]]
        return {one for one in told if not of_the_machine(one[0], one[2])}


def audit(outputs: Path, *parameters: str, prefix: tuple[str, ...] = (), **environment: str) -> Run:
    """Run the whole workbook on the private engine, as a person would."""
    asked = {"docker_host": DOCKER_HOST, "project_roots": f"[{PROJECTS}]", "outputs": str(outputs)}
    command = [sys.executable, "-m", "auditlib", "run", *(word for one in asked.items() for word in ("-p", *one))]
    given = {**os.environ, AUTH: TRAEFIK_AUTH, **environment}
    done = subprocess.run([*prefix, *command, *parameters], env=given, capture_output=True, text=True, check=False)
    folder = Path(done.stdout.splitlines()[0]).parent if done.stdout else outputs
    return Run(done.returncode, folder, done.stderr.replace("\u00a0", " ").replace("\u202f", " "))


@pytest.fixture(scope="session")
def bring_up() -> Iterator[Callable[[str], None]]:
    """Start a variant of the reference server; what was down before the tests is down after them."""
    assert os.geteuid() == 0, "the reference server starts a Docker engine of its own: run make test-live as root"
    before = server.VARIANT.read_text() if server.VARIANT.exists() else None
    yield server.up
    if before is None:
        server.down()
    else:
        server.up(before)
