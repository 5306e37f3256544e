"""Whether two checkouts say the same of the same snapshots: `python -m tests.replay OTHER SNAPSHOT…`.

Each checkout has its own `.venv`. Both replay every snapshot as a whole run; what they write is compared, but for what
is theirs: durations, dates of the run, versions of programs. Differences are printed; the exit code is 1 if there are
any. OTHER is, for instance, `git worktree add ../before REVISION` with `make .venv/.dev` in it.
"""

import difflib
import gzip
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from auditlib import parameters

HERE = Path(__file__).resolve().parent.parent
SHOWN = 40  # lines of difference a file

# What one run does not share with another of the same snapshot.
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(?:-\d+)?"), "RUN"),
    (re.compile(r'"(duration_s|id|python|auditlib|[a-z_-]+)": ("\d+\.\d[\w.+-]*"|\d+\.\d+)'), r'"\1": VALUE'),
    (re.compile(r"auditlib/? ?\d+\.\d+\.\d+"), "auditlib VERSION"),
    (re.compile(r"version \d+\.\d+\.\d+ du programme"), "VERSION"),
    (re.compile(r"<(metadata|style)\b.*?</\1>", re.DOTALL), ""),
)


def run(checkout: Path, snapshot: str, outputs: Path) -> Path:
    """The folder of a run of `checkout` on `snapshot`."""
    command = [checkout / ".venv/bin/python", "-m", "auditlib", "run", "--fast", "-p", "snapshot", snapshot]
    done = subprocess.run(
        [*command, "-p", "outputs", outputs], cwd=checkout, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    return Path(done.stdout.splitlines()[0]).parent


def texts(folder: Path) -> dict[str, str]:
    """What a run wrote, by its name in the run, masked; its parameters left out, and its notebooks, which it shows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith("carnets/") or path.suffix == ".log" or name == parameters.FILE:
            continue
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8")
        if path.suffix in (".json", ".gz"):
            text = json.dumps(json.loads(text), ensure_ascii=False, indent=1)
        for mask, instead in MASKS:
            text = mask.sub(instead, text)
        found[name] = text
    return found


def main(other: str, *snapshots: str) -> int:
    """Compare, and print; the exit code."""
    different = 0
    for snapshot in snapshots:
        with tempfile.TemporaryDirectory() as outputs:
            old, new = (
                texts(run(checkout, snapshot, Path(outputs) / name))
                for checkout, name in ((Path(other).resolve(), "old"), (HERE, "new"))
            )
        for name in sorted({*old, *new}):
            lines = [
                *difflib.unified_diff(old.get(name, "").splitlines(), new.get(name, "").splitlines(), lineterm="", n=0)
            ]
            different += bool(lines)
            if lines:
                print(f"== {snapshot}: {name}: {len(lines)} lines", *(one[:300] for one in lines[:SHOWN]), sep="\n")
        print(f"{snapshot}: {len(new)} files compared")
    return int(bool(different))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
