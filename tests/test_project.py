"""The project's own files agree with one another, and hold nothing that must not be shared."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from auditlib import folders
from auditlib.parameters import Parameters
from auditlib.version import __version__

ROOT = folders.project()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# On conda-forge docker is docker-py, and its ssh extra is a package of its own.
CONDA = {"docker[ssh]>=7.1,<8": ["docker-py>=7.1,<8", "paramiko"]}


def test_the_version_is_one() -> None:
    assert PROJECT["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_conda_environment_is_in_step() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    told = [line for line in environment["dependencies"] if isinstance(line, str)]
    wanted = [name for line in PROJECT["dependencies"] for name in CONDA.get(line, [line])]
    assert set(wanted) <= set(told)
    assert f"python{PROJECT['requires-python']}" in told
    assert {re.split(r"[<>=]", line)[0] for line in set(told) - set(wanted)} == {"python", "pip", "flit-core"}


@pytest.mark.parametrize("name", [".pins.txt", ".pins-dev.txt"])
def test_pins_are_versions_and_hashes_without_addresses(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 100
    assert [entry.splitlines()[0] for entry in entries if not re.match(r"[\w.-]+==\S+", entry)] == []
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|--index|--find-links|@ ", text)


def test_pins_cover_what_the_project_asks_for() -> None:
    def names(file: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+)==", (ROOT / file).read_text("utf-8"), re.MULTILINE))

    def asked(lines: list[str]) -> set[str]:
        return {re.sub(r"[._]", "-", re.split(r"[\[<>=]", line)[0].lower()) for line in lines}

    extras = PROJECT["optional-dependencies"]
    assert asked(PROJECT["dependencies"]) <= names(".pins.txt")
    assert asked([*PROJECT["dependencies"], *extras["dev"], *extras["live"]]) <= names(".pins-dev.txt")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.splitlines()] or [
        path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts and ".git" not in path.parts
    ]


def test_the_top_level_is_the_given_one() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if len(path.relative_to(ROOT).parts) > 1}
    assert folders == {"notebooks", "auditlib", "parameters", "outputs", "tests", ".ci"}


def test_the_parameters_of_this_machine_are_valid_and_documented() -> None:
    text = (ROOT / "parameters/local.yaml").read_text("utf-8")
    given = yaml.safe_load(text)
    assert Parameters(**given) == Parameters()
    assert set(given) == set(Parameters.model_fields) - {"snapshot"}
    assert [line for line in text.splitlines() if ":" in line and "#" not in line] == []


def test_the_readme_tells_every_exit_code_and_every_parameter() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert re.findall(r"^\| `?(\d+)`? \|", text, re.MULTILINE) == ["0", "1", "2", "64", "130"]
    assert [name for name in Parameters.model_fields if f"`{name}`" not in text] == []
    assert [target for target in re.findall(r"`make ([a-z-]+)`", text) if not _has_target(target)] == []


def _has_target(target: str) -> bool:
    return bool(re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
