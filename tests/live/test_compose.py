"""Random sets of compose files, and the real program of Docker Compose: the same project of every one, or a refusal."""

import random
import tempfile
from pathlib import Path

from auditlib.compose.agreement import disagreements
from tests.compose.oracle import asked, loaded, read
from tests.live.compose_sets import Files, a_set, shrunk

SEED = 20261201
SETS = 900


def differences(files: Files) -> tuple[list[str], bool]:
    """What Compose makes otherwise of these files, and whether it accepts them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "project"
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content.encode())
        answer = asked(folder)
        return list(disagreements(loaded(folder), answer, read)), answer is not None


def test_compose_makes_the_same_of_every_set() -> None:
    chance = random.Random(SEED)
    accepted, wrong = 0, []
    for number in range(SETS):
        files = a_set(chance)
        found, taken = differences(files)
        accepted += taken
        if found:
            small = shrunk(files, lambda one: bool(differences(one)[0])) if len(wrong) < 5 else files
            wrong.append((number, found, small))
    print(f"Compose 2.40.3, seed {SEED}: {SETS} sets, {accepted} accepted, {len(wrong)} otherwise")  # noqa: T201
    assert wrong == []
    assert SETS * 0.25 < accepted < SETS * 0.8
