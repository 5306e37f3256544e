"""Who may import what: the stages of the flow are modules, imports go backward, and few modules touch the world."""

import ast
import gzip
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from auditlib import folders
from tests.testbed.canaries import CANARIES

ROOT = folders.project()

LEAVES = {"version", "french", "addresses", "software"}

# What each room may import, besides itself: the stages, in their order. Imports point one way.
MAY: dict[str, set[str]] = {
    **{leaf: set() for leaf in LEAVES},
    "compose": LEAVES,
    "traefik": LEAVES,
    "facts": LEAVES,
    "parameters": LEAVES | {"facts"},
    "folders": LEAVES | {"facts"},
    "collect": LEAVES | {"compose", "traefik", "facts", "parameters"},
    "views": LEAVES | {"compose", "traefik", "facts"},
    "findings": LEAVES | {"compose", "traefik", "facts", "parameters", "views"},
    "checks": LEAVES | {"compose", "traefik", "facts", "parameters", "views", "findings"},
    "recommendations": LEAVES | {"traefik", "facts", "views", "findings", "checks"},
    "plan": LEAVES | {"compose", "traefik", "facts", "views", "findings", "checks"},
    "derived": {"facts", "views", "findings", "checks", "recommendations", "plan"},
    "report": LEAVES | {"facts", "folders", "views", "findings", "checks", "recommendations", "plan", "derived"},
    "notebook": LEAVES | {"facts", "folders", "parameters", "collect", "views", "findings", "derived", "report"},
    "run": LEAVES | {"facts", "folders", "parameters", "findings", "derived", "report", "notebook"},
    "__main__": {"run"},
    "": {"facts", "derived", "notebook", "report", "version"},
}

# Libraries that only some rooms or modules may import.
ONLY = {
    **dict.fromkeys(
        ("docker", "requests", "psutil", "httpx", "socket", "ssl", "subprocess", "cryptography"), ("collect",)
    ),
    "networkx": ("views.graph",),
    "matplotlib": ("report.figures",),
    "papermill": ("run",),
    "nbconvert": ("report",),
    "click": ("run",),
    "re2": ("traefik",),
}
# What an analysis may not import: it is a pure function of tables and parameters.
WORLD = {"os", "pathlib", "random", "time", "shutil", "tempfile", "threading", "urllib.request", "uuid"}
PURE = LEAVES | {"compose", "traefik", "facts.table", "facts.tables", "views", "findings", "checks", "recommendations",
                 "plan", "report.blocks", "report.conclusions", "report.figures", "report.catalogue",
                 "report.explanation", "report.plan", "report.shown"}  # fmt: skip


@cache
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


def within(name: str, rooms: Iterable[str]) -> bool:
    """Whether a module is one of some rooms and modules, or inside one."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def test_a_room_imports_only_what_it_may() -> None:
    more = {name: stages - {room := name.partition(".")[0]} - MAY[room] for name, (stages, _) in modules().items()}
    assert {name: stages for name, stages in more.items() if stages} == {}


def test_a_library_is_imported_by_the_stage_that_is_made_for_it() -> None:
    imported = [(name, library) for name, (_, libraries) in modules().items() for library in libraries]
    assert [
        (name, library)
        for name, library in imported
        if (root := library.partition(".")[0]) in ONLY and not within(name, ONLY[root])
    ] == []
    assert set(ONLY) <= {library.partition(".")[0] for _, library in imported}


def test_an_analysis_touches_nothing_but_tables() -> None:
    pure = {name: libraries for name, (_, libraries) in modules().items() if within(name, PURE)}
    assert {name: libraries & WORLD for name, libraries in pure.items() if libraries & WORLD} == {}
    assert all(any(within(name, [one]) for name in modules()) for one in PURE)


def test_a_leaf_and_a_language_know_no_frame() -> None:
    plain = LEAVES | {"compose", "traefik"}
    assert [name for name, (_, libraries) in modules().items() if within(name, plain) and "pandas" in libraries] == []


def test_nothing_outside_the_first_notebook_reaches_the_collection() -> None:
    reaching = {
        name for name, (stages, _) in modules().items() if "collect" in stages and not name.startswith("collect")
    }
    assert reaching == {"notebook"}


def test_the_list_of_rooms_is_that_of_the_package() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(MAY)


def test_no_room_imports_one_that_imports_it() -> None:
    order: list[str] = []
    while left := [room for room in MAY if room not in order]:
        ready = [room for room in left if MAY[room] <= set(order)]
        assert ready, f"a circle among {left}"
        order += ready


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
