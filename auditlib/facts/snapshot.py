"""A snapshot: the facts of one machine at one moment, as a folder of typed tables and a manifest.

The folder holds `manifest.json` and one `<table>.json.gz` per table that was read. A table that was not read has
no file, and the manifest says why: an absent table is never shown as an empty one.
"""

import contextlib
import copy
import datetime as dt
import functools
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from auditlib.facts.frames import frame
from auditlib.facts.table import VIEWS, R, Row, Rows, Table, inputs
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.host import STATUSES, SourceStatus
from auditlib.french import instant, listing, os_error, plural, visible

FORMAT = 1
MANIFEST = "manifest.json"
FOLDER = "instantane"  # where a run keeps its snapshot

T = TypeVar("T")


class SnapshotError(Exception):
    """A snapshot that cannot be read or written. The message is French."""


class AbsentTable(AttributeError):  # noqa: N818 - a state of the facts, not a programming error
    """A table that this snapshot does not hold. `table` is its name, `reason` a French clause without full stop."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"Table « {table} » non évaluable : {reason}.")
        self.table = table
        self.reason = reason


class Snapshot:
    """The tables of one machine at one moment, and the views computed from them, each when it is first asked for.

    `snapshot.rows(Listener)` are the rows of a table or a view; `snapshot.listeners` is the same as a pandas frame, to
    be read and never changed. A table that was not read raises `AbsentTable`, which is an `AttributeError`:
    `getattr(snapshot, "listeners", None)` gives None, and so does `snapshot.known(Listener)`.
    """

    def __init__(
        self,
        hostname: str,
        collected: dt.datetime,
        tables: Mapping[str, Rows[Row]],
        absent: Mapping[str, str] | None = None,
        *,
        duration_s: float = 0.0,
        zone: str = "UTC",
        origin: str = "",
    ) -> None:
        self.hostname = hostname
        self.collected = collected
        self.duration_s = duration_s
        self.zone = zone
        self.origin = origin
        self.tables = dict(tables)
        self.absent = dict(absent or {})
        self._views: dict[str, Rows[Row] | AbsentTable] = {}
        self._frames: dict[str, pd.DataFrame] = {}

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        rows = self.named(name)
        if name not in self._frames:
            self._frames[name] = frame(TABLES[name] if name in TABLES else VIEWS[name].table, rows)
        return self._frames[name]

    def rows(self, row: type[R]) -> Rows[R]:
        """The rows of a table or a view. Raises AbsentTable."""
        return cast(Rows[R], self.named(row.table.name))

    def known(self, row: type[R]) -> Rows[R] | None:
        """The rows of a table or a view; None when it is absent."""
        try:
            return self.rows(row)
        except AbsentTable:
            return None

    def named(self, name: str) -> Rows[Row]:
        """The rows of the table or view of this name. Raises AbsentTable, or AttributeError for no name of theirs."""
        if name in TABLES:
            return self._table(name)
        if name in VIEWS:
            return self._view(name)
        raise AttributeError(f"Aucune table ni vue « {name} ». Tables : {listing(TABLES)}. Vues : {listing(VIEWS)}.")

    def _table(self, name: str) -> Rows[Row]:
        if name not in self.tables:
            raise AbsentTable(name, self.absent.get(name, "cet instantané est plus ancien que cette table"))
        return self.tables[name]

    def _view(self, name: str) -> Rows[Row]:
        if name not in self._views:
            try:
                self._views[name] = VIEWS[name].table.rows(self.call(VIEWS[name].compute))
            except AbsentTable as absent:
                # A view that could do with one of several tables does not know why the one it names is absent.
                self._views[name] = AbsentTable(absent.table, self.absent.get(absent.table, absent.reason))
        known = self._views[name]
        if isinstance(known, AbsentTable):
            raise AbsentTable(known.table, known.reason)
        return known

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables, *VIEWS})

    def changed(
        self, tables: Mapping[str, Iterable[Row | Mapping[str, Any]]], absent: Mapping[str, str] | None = None
    ) -> "Snapshot":
        """The facts as they would be with other rows in some tables, and without those of `absent` (name to reason).

        Tables that stay as they are keep their rows, and views that read nothing else are not computed again.
        """
        made = {name: TABLES[name].rows(rows) for name, rows in tables.items()}
        made = {name: rows for name, rows in made.items() if self.tables.get(name) != rows}
        other = copy.copy(self)
        other.tables = {name: rows for name, rows in {**self.tables, **made}.items() if name not in (absent or {})}
        other.absent = {**self.absent, **(absent or {})}
        touched = {*made, *(absent or {})}
        other._views = {
            name: known
            for name, known in self._views.items()
            if isinstance(known, Rows) and touched.isdisjoint(_read_by(VIEWS[name].compute))
        }
        other._frames = {}
        return other

    def call(self, function: Callable[..., T]) -> T:
        """Call `function` with the rows of the tables and views that its parameters name.

        A parameter with a default keeps it when its table is absent; otherwise `AbsentTable` is raised.
        """
        tables: dict[str, Rows[Row]] = {}
        for name, optional in inputs(function).items():
            try:
                tables[name] = self.named(name)
            except AbsentTable:
                if not optional:
                    raise
        return function(**tables)

    def __repr__(self) -> str:
        lines = [f"Instantané de {visible(self.hostname)}, {instant(self.collected, self.zone)}"]
        lines += [f"  {name:<22} {plural(len(rows), 'ligne')}" for name, rows in self.tables.items()]
        return "\n".join([*lines, *self._unread()])

    def _unread(self) -> list[str]:
        """One line for each reason that keeps tables absent."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.absent.items():
            reasons.setdefault(reason, []).append(name)
        return [f"  Non évaluable, {visible(reason)} : {listing(names)}." for reason, names in reasons.items()]

    def write(self, folder: Path) -> None:
        """Write the snapshot as `folder`, all at once: nothing half-written ever stands there.

        Raises SnapshotError if `folder` exists and is not empty, or if the disk refuses.
        """
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise SnapshotError(
                    f"Écriture de l’instantané : {folder} existe déjà. Donnez un dossier vide ou nouveau."
                )
            with _beside(folder) as draft:
                manifest = {
                    "format": FORMAT,
                    "host": self.hostname,
                    "collected": self.collected.isoformat(),
                    "duration_s": round(self.duration_s, 3),
                    "zone": self.zone,
                    "tables": {name: _write_table(draft, TABLES[name], rows) for name, rows in self.tables.items()},
                    "absent": self.absent,
                }
                _write_file(draft / MANIFEST, _encoded(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"))
                draft.chmod(0o755)
                draft.replace(folder)
        except OSError as error:
            raise SnapshotError(f"Écriture de l’instantané dans {folder} : {os_error(error)}.") from error


@functools.lru_cache(maxsize=512)
def _read_by(function: Callable[..., Any]) -> set[str]:
    """The tables and views that a function reads, those of its views included."""
    names = {*inputs(function)}
    return names.union(*(_read_by(VIEWS[name].compute) for name in names if name in VIEWS))


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A hidden folder next to `folder`, removed unless it was renamed."""
    # A file in the parent's place: the next line tells it better.
    with contextlib.suppress(FileExistsError):
        folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_table(folder: Path, table: Table, rows: Rows[Row]) -> dict[str, Any]:
    """Write one table; returns its entry in the manifest."""
    values = [[_plain(getattr(row, name)) for name in table.names] for row in rows]
    content = json.dumps({"columns": table.names, "rows": values}, ensure_ascii=False, separators=(",", ":"))
    # mtime=0: the same facts give the same bytes.
    packed = gzip.compress(_encoded(content), mtime=0)
    _write_file(folder / f"{table.name}.json.gz", packed)
    return {"rows": len(rows), "sha256": hashlib.sha256(packed).hexdigest()}


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _encoded(text: str) -> bytes:
    """UTF-8; what the machine said may hold half a character, which stays as it is."""
    return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def unread(facts: Snapshot, required: Iterable[str]) -> list[str]:
    """Of the required sources, those that were not read wholly: « listeners (refusée) »."""
    states = {source.source: source.status for source in facts.rows(SourceStatus)}
    return [
        f"{name} ({STATUSES.get(states[name] or '') if name in states else 'inconnue de cet instantané'})"
        for name in required
        if states.get(name) != "ok"
    ]


def locate(path: Path) -> Path:
    """The folder of the snapshot that `path` means: itself, or the snapshot of a run folder.

    Raises SnapshotError when there is none.
    """
    try:
        for folder in (path, path / FOLDER):
            if (folder / MANIFEST).is_file():
                return folder
        found = "n’est pas un instantané (aucun manifest.json)" if path.exists() else "n’existe pas"
    except OSError as error:
        found = f"ne peut être lu ({os_error(error)})"
    raise SnapshotError(f"Lecture de l’instantané : {path} {found}. Donnez un dossier d’exécution ou son instantané.")


def read(path: Path) -> Snapshot:
    """Read a snapshot from its folder or from its run folder.

    Raises SnapshotError when it is missing, truncated, altered, or of a later format than this version reads.
    """
    folder = locate(path)
    try:
        manifest = json.loads(_decoded((folder / MANIFEST).read_bytes()))
        if manifest["format"] > FORMAT:
            raise SnapshotError(
                f"Lecture de l’instantané : {folder} est au format {manifest['format']}, cette version lit le format "
                f"{FORMAT} au plus. Mettez auditlib à jour."
            )
        tables = {
            name: _read_table(folder, TABLES[name], entry["sha256"])
            for name, entry in manifest["tables"].items()
            if name in TABLES
        }
        return Snapshot(
            manifest["host"],
            dt.datetime.fromisoformat(manifest["collected"]),
            {SourceStatus.table.name: tables[SourceStatus.table.name], **tables},
            manifest["absent"],
            duration_s=manifest["duration_s"],
            zone=manifest["zone"],
            origin=(folder.resolve().parent if folder.name == FOLDER else folder.resolve()).name,
        )
    except (OSError, EOFError, zlib.error, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(
            f"Lecture de l’instantané : {folder} est illisible ou tronqué ({_cause(error)}). "
            "Relancez une collecte ou donnez un autre instantané."
        ) from error


def _read_table(folder: Path, table: Table, digest: str) -> Rows[Row]:
    file = folder / f"{table.name}.json.gz"
    packed = file.read_bytes()
    if hashlib.sha256(packed).hexdigest() != digest:
        raise _AlteredError(f"{file.name} a changé depuis son écriture")
    content = json.loads(_decoded(gzip.decompress(packed)))
    columns, known = content["columns"], {*table.names}
    return table.rows(
        {name: value for name, value in zip(columns, row, strict=True) if name in known} for row in content["rows"]
    )


class _AlteredError(ValueError):
    """A file that is not what was written. The message is a French clause."""


def _cause(error: Exception) -> str:
    """Why a snapshot cannot be read, as a French clause."""
    if isinstance(error, _AlteredError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return f"{Path(error.filename).name if error.filename else 'fichier'} : {os_error(error)}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} manque"
    return "son contenu n’est pas celui d’un instantané"
