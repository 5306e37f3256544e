"""Who may import what: the stages of the flow are modules, imports go backward, and few modules touch the world."""

import ast
import gzip
import re
import subprocess
from pathlib import Path

import pytest

from auditlib import runs
from tests.testbed.canaries import CANARIES

ROOT = runs.project()

# The flow, from what everything rests on to what a person calls. A module may import what stands on an earlier line,
# and its own package or its neighbours of the same line.
FLOW = (
    ("version", "french", "software", "domains"),
    ("schema",),
    ("tables",),
    ("parameters", "rules", "compose"),
    ("policy", "patches"),
    ("overrides",),
    ("snapshot",),
    ("collect", "ports", "runs"),
    ("inventory",),
    ("declarations", "differences", "inside", "databases"),
    ("routing",),
    ("topology", "journal"),
    ("findings",),
    ("fixes",),
    ("claims", "expectations", "recommendations"),
    ("things",),
    ("causes",),
    ("checks", "conclusions", "display", "shown", "figures", "explanation"),
    ("plan",),
    ("notebook",),
    ("catalogue", "report", "engines"),
    ("workbook",),
    ("cli",),
)
RANK = {stage: rank for rank, stages in enumerate(FLOW) for stage in stages}

# Traefik's dynamic files are a language, as its rules are; what reads it stands with the rest of the routing.
LANGUAGES = {"collect.traefik_files": {"routing"}}

# Libraries that only some stages may import.
ONLY = {
    **dict.fromkeys(
        ("docker", "requests", "psutil", "httpx", "socket", "ssl", "subprocess", "cryptography"), "collect"
    ),
    "networkx": "topology",
    "matplotlib": "figures",
    "papermill": "workbook engines",
    "nbconvert": "report",
    "click": "cli",
    "re2": "routing",
}
# What an analysis may not import: it is a pure function of tables and parameters.
WORLD = {"os", "pathlib", "random", "time", "shutil", "tempfile", "threading", "urllib.request", "uuid"}
PURE = ("schema", "tables", "rules", "compose", "ports", "inventory", "declarations", "differences", "domains",
        "routing", "topology", "findings", "fixes", "claims", "expectations", "recommendations", "things", "causes",
        "checks", "patches", "overrides", "plan", "conclusions", "display", "shown", "figures",
        "catalogue")  # fmt: skip


def modules() -> dict[str, tuple[set[str], set[str]]]:
    """Every module with the stages and the libraries that it imports."""
    found = {}
    for path in (ROOT / "auditlib").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT / "auditlib").with_suffix("").parts).removesuffix("__init__").strip(".")
        stages, libraries = set(), set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                libraries |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "auditlib":
                inside = (node.module or "").split(".")[1:]
                stages |= {inside[0]} if inside else {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                libraries.add(node.module or "")
        found[name] = (stages, libraries)
    return found


MODULES = modules()
OURS = pytest.mark.parametrize("name", [name for name in MODULES if name and name != "__main__"])


@OURS
def test_imports_go_backward_along_the_flow(name: str) -> None:
    stage = name.partition(".")[0]
    later = {other for other in MODULES[name][0] if RANK[other] > RANK[stage]}
    assert later <= LANGUAGES.get(name, set())


@OURS
def test_a_library_is_imported_by_the_stage_that_is_made_for_it(name: str) -> None:
    stage = name.partition(".")[0]
    wrong = {library for library in MODULES[name][1] if stage not in ONLY.get(library.partition(".")[0], stage).split()}
    assert wrong == set()


@OURS
def test_an_analysis_touches_nothing_but_tables(name: str) -> None:
    if name.partition(".")[0] in PURE:
        assert MODULES[name][1] & WORLD == set()


def test_nothing_outside_the_first_notebook_reaches_the_collection() -> None:
    reaching = {name for name, (stages, _) in MODULES.items() if "collect" in stages and not name.startswith("collect")}
    assert reaching == {"notebook"}


def test_every_stage_has_a_place_in_the_flow() -> None:
    assert {name.partition(".")[0] for name in MODULES} - {"", "__main__"} == set(RANK)


def test_no_file_of_the_package_is_long() -> None:
    long = {path.name: len(path.read_text("utf-8").splitlines()) for path in (ROOT / "auditlib").rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 440} == {}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


# Addresses that packages are downloaded from, and private keys. In two parts: this file is searched too.
FORBIDDEN = re.compile(
    rb"python" + rb"hosted\.org|registry\.npm" + rb"js|/simple/[a-z]|deb\.debian" + rb"\.org"
    rb"|-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"
)


def test_no_tracked_file_holds_a_download_address_or_a_key() -> None:
    found = {
        str(path.relative_to(ROOT)): match[0] for path in tracked() if (match := FORBIDDEN.search(path.read_bytes()))
    }
    assert found == {}


def test_no_file_that_a_person_is_given_holds_a_planted_secret() -> None:
    """The canaries stand in tests alone: in the testbed, and in the raw answers recorded from it."""
    given = [path for path in tracked() if path.relative_to(ROOT).parts[0] != "tests"]
    values = [value.encode() for value in CANARIES.values()]
    contents = {path: unpacked(path) for path in given}
    assert [str(path) for path, content in contents.items() if any(value in content for value in values)] == []


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
