"""The search of folders for compose files and Dockerfiles: bounded, and it says what it left aside."""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from auditlib.compose.names import looks_compose

MAX_DEPTH = 12
MAX_ENTRIES = 200_000
MAX_FOUND = 500  # compose files, or Dockerfiles, or folders left aside
MAX_SIZE = 1024 * 1024  # of one file that is read

_DOCKERFILE = re.compile(r"(?:Dockerfile|Containerfile)(?:\..+)?|.+\.Dockerfile", re.IGNORECASE)
_FOLDERS = (
    (
        "dependencies",
        re.compile(r"node_modules|\.git|\.hg|\.svn|\.?venv|__pycache__|site-packages|\.cache|\.tox|\.npm"),
    ),
    ("backup", re.compile(r"\.?(?:backups?|sauvegardes?|\.snapshots?|lost\+found|\.?trash(?:-\d+)?)", re.IGNORECASE)),
    ("dump", re.compile(r"\.?dumps?", re.IGNORECASE)),
)
_FILES = (
    ("backup", re.compile(r".+\.(?:backup|bak|old|orig|save)(?:[.\-_~]?.*)|.+~", re.IGNORECASE)),
    (
        "dump",
        re.compile(r".+\.(?:sql|dump|rdb|tar|tgz|zip|7z|rar)|.+\.(?:sql|tar|dump)\.(?:gz|xz|zst|bz2)", re.IGNORECASE),
    ),
    (
        "media",
        re.compile(
            r".+\.(?:mp4|mkv|avi|mov|webm|m4v|mp3|flac|wav|ogg|m4a|jpe?g|png|gif|webp|heic|tiff?|svg|psd|raw|pdf|epub)",
            re.IGNORECASE,
        ),
    ),
)


class Search:
    """What a search found; its lists are bounded, and `gaps` are French clauses."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.names: dict[tuple[str, str], list[str]] = {}  # (root, folder): every file's name, where one looks compose
        self.dockerfiles: list[dict[str, str]] = []
        self.excluded: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.gaps: list[str] = []
        self.entries = 0

    def root(self, root: str) -> None:
        """Search one folder, given by its absolute path, without following links."""
        waiting = [(root, 0)]
        while waiting:
            folder, depth = waiting.pop()
            if depth > MAX_DEPTH:
                self._gap(f"au-delà de {MAX_DEPTH} niveaux sous {root}, rien n’a été cherché")
                continue
            try:
                entries = sorted(self._entries(folder), key=lambda entry: entry.name)
            except OSError as error:
                reason = (
                    "n’existe pas" if isinstance(error, FileNotFoundError) else f"ne s’ouvre pas ({error.strerror})"
                )
                self._gap(f"le dossier {folder} {reason}")
                continue
            except _Enough:
                self._gap(f"la recherche dans {root} a été arrêtée avant la fin (taille ou délai)")
                return
            waiting += [(inner, depth + 1) for inner in self._folder(root, folder, entries)]

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                self.entries += 1
                if self.entries > MAX_ENTRIES or time.monotonic() > self.deadline:
                    raise _Enough
                yield entry

    def _folder(self, root: str, folder: str, entries: list[os.DirEntry[str]]) -> list[str]:
        """Note what a folder holds; the folders to search next, the last first."""
        inner, names = [], []
        for entry in entries:
            try:
                is_folder, is_link = entry.is_dir(follow_symlinks=False), entry.is_symlink()
            except OSError:
                continue
            if is_folder and (kind := _kind(_FOLDERS, entry.name)):
                self._exclude(root, entry.path, kind, None, "")
            elif is_folder:
                inner.append(entry.path)
            elif is_link and os.path.isdir(entry.path):  # noqa: PTH112
                self._exclude(root, folder, "link", 1, entry.name)
            elif kind := _kind(_FILES, entry.name):
                self._exclude(root, folder, kind, 1, entry.name)
            else:
                names.append(entry.name)
        self._note(root, folder, names)
        return inner[::-1]

    def _note(self, root: str, folder: str, names: list[str]) -> None:
        """Note which files of a folder make projects."""
        if any(looks_compose(name) for name in names):
            if len(self.names) < MAX_FOUND:
                self.names[root, folder] = [name for name in names if looks_compose(name)]
            else:
                self._gap(f"plus de {MAX_FOUND} dossiers de projets : les suivants ne sont pas lus")
        for name in names:
            if _DOCKERFILE.fullmatch(name) and len(self.dockerfiles) < MAX_FOUND:
                self.dockerfiles.append({"root": root, "folder": folder, "name": name})

    def _exclude(self, root: str, folder: str, kind: str, count: int | None, example: str) -> None:
        key = (root, folder, kind)
        if key not in self.excluded and len(self.excluded) >= MAX_FOUND:
            key = (root, root, kind)
        row = {"root": root, "folder": key[1], "kind": kind, "count": count, "example": example}
        known = self.excluded.setdefault(key, row)
        if known is not row and count:
            known["count"] = (known["count"] or 0) + count

    def _gap(self, clause: str) -> None:
        if clause not in self.gaps and len(self.gaps) < 20:
            self.gaps.append(clause)


def _kind(patterns: Iterable[tuple[str, re.Pattern[str]]], name: str) -> str | None:
    """What a name of a file or folder says that it is, when that is no project."""
    return next((kind for kind, pattern in patterns if pattern.fullmatch(name)), None)


class _Enough(Exception):  # noqa: N818
    pass


def read_text(path: str) -> str:
    """The text of an ordinary file. Raises OSError, with a French reason for what is no text of reasonable size."""
    # Without waiting for the writer of a pipe, nor taking a terminal.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "ce n’est pas un fichier ordinaire", path)
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise OSError(0, "plus de 1 Mio", path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise OSError(0, "ce n’est pas du texte UTF-8", path) from None


def owner(folder: str) -> dict[str, str]:
    """The variables that the owner of a folder would have in a shell there: HOME, USER, PWD."""
    known = {"PWD": folder}
    try:
        import pwd  # noqa: PLC0415 - not on every system

        entry = pwd.getpwuid(Path(folder).stat().st_uid)
        known |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    except (ImportError, KeyError, OSError):
        pass
    return known
