"""The folders of runs: `outputs/<host>/<time>/`, and `latest`, which points to the last complete one.

A run is built in a hidden folder and takes its name when it is complete, so that nothing half-written ever stands
where a reader looks.
"""

import contextlib
import datetime as dt
import fcntl
import os
import platform
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from auditlib.facts.snapshot import FOLDER, MANIFEST, locate
from auditlib.french import os_error

LATEST = "latest"
INCOMPLETE = "-incomplet"
NOTEBOOKS = "carnets"
JOURNAL = "journal.log"
_DRAFT = ".en-cours-"
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(?:-\d+)?")


class RunError(Exception):
    """A run folder that cannot be made or found. The message is French."""


def project() -> Path:
    """The folder of the project: where `notebooks/` stands beside the package (editable installation)."""
    return Path(__file__).resolve().parent.parent


def outputs_folder(outputs: str) -> Path:
    """The folder of all runs; a relative one is relative to the project."""
    return project() / Path(outputs).expanduser()


def host_folder(host: str) -> str:
    """A host's name as the name of a folder: no separator, no hidden or special name."""
    return re.sub(r"[^\w.-]", "_", host).strip(".") or "machine"


def stamp(moment: dt.datetime) -> str:
    """The name of a run that started at `moment`: `2026-11-23T061500Z`."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H%M%SZ")


class Draft:
    """A run being built, in a hidden folder `path`.

    When the block ends without `complete`, what was built is kept under a name that says `incomplet` if it holds a
    snapshot or a notebook, and `kept` is its place; else it is removed. Raises RunError when the disk refuses.
    """

    def __init__(self, outputs: Path, moment: dt.datetime) -> None:
        self.name = stamp(moment)
        self.path = outputs / f"{_DRAFT}{self.name}_{uuid.uuid4().hex[:8]}"
        self.home: Path | None = None
        self.kept: Path | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for left in self.path.parent.glob(f"{_DRAFT}*"):
                _put_aside(left)
            self.path.mkdir()
            # The lock tells the next run that this one is alive; the system drops it with the process.
            self._lock = (self.path / JOURNAL).open("a", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise RunError(f"Création d’un dossier dans {self.path.parent} : {os_error(error)}.") from error
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()
        if self.path.exists():
            with contextlib.suppress(OSError):
                if self.home:
                    self.home.rmdir()
            self.kept = _put_aside(self.path)

    def reserve(self, host: str) -> Path:
        """Take the place of the run under its host: an empty folder, which `complete` fills. Raises RunError."""
        try:
            self.home = _reserve(self.path.parent / host_folder(host) / self.name)
        except OSError as error:
            raise RunError(f"Création d’un dossier pour {host} dans {self.path.parent} : {os_error(error)}.") from error
        return self.home

    def complete(self) -> Path:
        """Put the run at its reserved place, and point `latest` to it. Returns its place; raises RunError."""
        assert self.home is not None, "the place is reserved first: what the run writes names it"  # noqa: S101
        try:
            run = self.path.replace(self.home)
            # A link cannot be changed, only replaced: made beside, then renamed over the old one.
            fresh = run.with_name(f".{LATEST}-{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(run.name)
            fresh.replace(run.with_name(LATEST))
            for path in (run.parent, run.with_name(LATEST)):
                _give(path)
        except OSError as error:
            raise RunError(f"Rangement de l’exécution dans {self.home.parent} : {os_error(error)}.") from error
        return run


def _put_aside(folder: Path) -> Path | None:
    """Name a run that died, and return its new place; None if it is alive, held nothing, or cannot be touched."""
    with contextlib.suppress(OSError):
        with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if any(folder.glob(f"{FOLDER}/{MANIFEST}")) or any(folder.glob(f"{NOTEBOOKS}/*.ipynb")):
            name = _RUN.search(folder.name)
            # A rename replaces an empty folder.
            return folder.replace(_reserve(folder.parent / f"{name[0] if name else folder.name}{INCOMPLETE}"))
        shutil.rmtree(folder)
    return None


def _reserve(wanted: Path) -> Path:
    """Make an empty folder: `wanted`, or the first free of `wanted-2`, `wanted-3` and so on."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    number, folder = 1, wanted
    while True:
        # mkdir refuses a name that is taken: two runs cannot have the same.
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
            continue
        return folder


def last(outputs: Path, host: str) -> Path:
    """The last complete run of a host. Raises RunError when there is none."""
    run = outputs / host_folder(host) / LATEST
    if not run.exists():
        raise RunError(f"Aucune exécution complète de {host} dans {outputs}. Lancez d’abord « make audit ».")
    return run.resolve()


def last_snapshot(outputs: Path, host: str) -> Path:
    """The last snapshot of a host: of a complete run, or of the first notebook alone. Raises RunError without one."""
    home = outputs / host_folder(host)
    found = [run for run in home.glob("*Z*") if _RUN.fullmatch(run.name) and (run / FOLDER / MANIFEST).is_file()]
    if not found:
        raise RunError(f"Aucun instantané de {host} dans {outputs}. Lancez d’abord « make audit ».")
    return max(found, key=lambda run: (run.name[:18], len(run.name), run.name))


def find(path: str, outputs: str = "outputs") -> Path:
    """The snapshot that a person means: a path from here, else from the project; "" is the last one of this host.

    Raises SnapshotError when there is no snapshot, RunError when there is none of this host below `outputs`.
    """
    if not path:
        return last_snapshot(outputs_folder(outputs), platform.node())
    given = Path(path).expanduser()
    if not given.exists() and not given.is_absolute() and (project() / given).exists():
        given = project() / given
    return locate(given)


def write(path: Path, content: str, *, executable: bool = False) -> None:
    """Write a text file all at once, one to run if `executable`. Raises RunError when the disk refuses."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(content, "utf-8")
        if executable:
            # Whoever may read it may run it.
            mode = fresh.stat().st_mode
            fresh.chmod(mode | (mode & 0o444) >> 2)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(f"Écriture de {path.name} : {os_error(error)}.") from error


def replace_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write a folder of text files in place of the one that stands there. Raises RunError when the disk refuses."""
    fresh, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
        for name, content in files.items():
            # A patch keeps the line endings of its file.
            (fresh / name).write_text(content, "utf-8", newline="")
        if folder.exists():
            folder.replace(old)
        fresh.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RunError(f"Écriture de {folder.name} : {os_error(error)}.") from error


def owned_by_caller(folder: Path) -> None:
    """Under sudo, give a folder and what it holds to the person who called sudo."""
    for path in (folder, *folder.rglob("*")):
        _give(path)


def _give(path: Path) -> None:
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdigit() and group.isdigit():
        os.chown(path, int(user), int(group), follow_symlinks=False)
