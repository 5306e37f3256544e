"""Snapshots: what is read from one, and how one is written and read back."""

import copy
import datetime as dt
import errno
import gzip
import hashlib
import inspect
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.facts import snapshot  # noqa: F401 - imported for what they register
from auditlib.facts.snapshot import FOLDER, MANIFEST, AbsentTable, Snapshot, SnapshotError, read, unread
from auditlib.facts.table import VIEWS, Rows, Table, asdict
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.docker import Container
from auditlib.french import typography
from auditlib.views.inventory import Stack
from tests.conftest import MOMENT, snapshot_of

FACTS: dict[str, list[dict[str, Any]]] = {
    "sources": [{"source": "engine", "status": "ok", "rows": 1}],
    "volumes": [{"name": "data", "driver": "local"}],
}


# What is absent, what is empty


def test_an_absent_table_says_why_and_is_not_an_empty_one() -> None:
    facts = snapshot_of(listeners=[])
    assert facts.listeners.empty
    with pytest.raises(AbsentTable, match=r"^Table « volumes » non évaluable : elle n’a pas été lue\.$") as caught:
        _ = facts.volumes
    assert (caught.value.table, caught.value.reason) == ("volumes", "elle n’a pas été lue")
    assert getattr(facts, "volumes", None) is None


def test_a_table_younger_than_the_snapshot_is_absent() -> None:
    facts = Snapshot("serveur", MOMENT, {})
    with pytest.raises(AbsentTable, match="cet instantané est plus ancien que cette table"):
        _ = facts.listeners


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(
        AttributeError, match=r"Aucune table ni vue « listener »\. Tables : sources, .*Vues : "
    ) as caught:
        _ = snapshot_of().listener
    assert not isinstance(caught.value, AbsentTable)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_view_without_its_first_input_is_absent_for_that_reason(name: str) -> None:
    first = next(iter(inspect.signature(VIEWS[name].compute).parameters))
    facts = snapshot_of()
    for _ in range(2):  # the second time from memory
        with pytest.raises(AbsentTable, match=r"n’(a|ont) pas été lue?|n’ont été lus") as caught:
            getattr(facts, name)
        assert caught.value.table in {first, *TABLES}


def test_a_function_is_called_with_the_tables_it_names() -> None:
    facts = snapshot_of(volumes=[])
    assert facts.call(lambda volumes: volumes) == Rows()
    assert facts.call(lambda volumes, listeners=None: (len(volumes), listeners)) == (0, None)
    with pytest.raises(AbsentTable, match="networks"):
        facts.call(lambda networks, listeners=None: (networks, listeners))
    with pytest.raises(AttributeError, match="Aucune table ni vue « volume »"):
        facts.call(lambda volume=None: volume)


def test_a_view_is_computed_once() -> None:
    facts = snapshot_of(containers=[], container_networks=[], publications=[])
    assert facts.stacks is facts.stacks


def test_a_view_is_computed_again_only_when_what_it_reads_has_changed() -> None:
    app, rows = {"name": "app", "state": "running"}, {"container_networks": [], "publications": []}
    facts = snapshot_of(containers=[app], volumes=[], **rows)
    former = facts.rows(Stack)
    same = facts.changed({"volumes": [{"name": "data"}], "containers": [dict(app)]})
    assert same.rows(Stack) is former and same.rows(Container) is facts.rows(Container)
    assert len(former) == 1 and facts.changed({"containers": []}).stacks.empty
    with pytest.raises(AbsentTable, match="parti"):
        _ = facts.changed({}, {"containers": "parti"}).stacks
    assert facts.rows(Stack) is former


def test_dir_lists_tables_that_are_there_and_views() -> None:
    listed = dir(snapshot_of(volumes=[]))
    assert {"volumes", "write", "call", *VIEWS} <= set(listed)
    assert "listeners" not in listed


def test_repr_tells_the_tables_and_groups_the_reasons() -> None:
    facts = Snapshot(
        "ser\x1bveur",
        MOMENT,
        {"volumes": TABLES["volumes"].rows(FACTS["volumes"]), "listeners": TABLES["listeners"].rows([])},
        {"networks": "moteur\nmuet", "images": "moteur\nmuet", "host": "refusée"},
    )
    assert repr(facts).splitlines() == [
        "Instantané de ser⟨1B⟩veur, 23 novembre 2026 à 8 h 15 (UTC)",
        "  volumes                1 ligne",
        "  listeners              0 ligne",
        "  Non évaluable, moteur⟨0A⟩muet : networks et images.",
        "  Non évaluable, refusée : host.",
    ]


def test_a_copy_is_a_snapshot() -> None:
    assert copy.copy(snapshot_of(**FACTS)).volumes["name"].tolist() == ["data"]


def test_sources_that_were_required() -> None:
    facts = snapshot_of(
        sources=[
            {"source": "engine", "status": "ok"},
            {"source": "listeners", "status": "refused"},
            {"source": "host", "status": "partial"},
        ]
    )
    assert unread(facts, ["engine"]) == []
    assert unread(facts, ["listeners", "host", "acme"]) == [
        "listeners (refusée)",
        "host (lue en partie)",
        "acme (inconnue de cet instantané)",
    ]


# Written and read back

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["", "\x00", "\ud800", "\ud83d\ude00", '"\\', "é\n"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "prose": TEXTS,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "bytes": st.integers(0, 2**63 - 1),
    "seconds": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "instant": st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9000, 1, 1), timezones=st.just(dt.UTC)),
    "list": st.lists(TEXTS, max_size=3),
}


def _rows(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries(
        {column.name: VALUES[column.kind] for column in table.columns if column.name in table.key},
        optional={
            column.name: st.none() | VALUES[column.kind] for column in table.columns if column.name not in table.key
        },
    )
    return st.lists(row, max_size=3, unique_by=lambda one: tuple(one[name] for name in table.key))


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A function that gives a new folder each time."""
    yield lambda: Path(tempfile.mkdtemp(dir=tmp_path)) / FOLDER


def test_a_row_of_every_table_comes_back(tmp_path: Path) -> None:
    values = {"text": '\ud800"\\\x00', "prose": "é\n", "integer": 2**63 - 1, "bytes": 0, "seconds": 0.1}
    values |= {"flag": False, "instant": MOMENT, "list": ("", "a")}
    rows = {name: [{one.name: values[one.kind] for one in table.columns}] for name, table in TABLES.items()}
    facts = snapshot_of(**rows)
    facts.write(tmp_path / FOLDER)
    found = read(tmp_path / FOLDER)
    assert found.tables == facts.tables
    assert all(value is not None for rows in found.tables.values() for row in rows for value in asdict(row).values())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(list(TABLES.values())), data=st.data())
def test_every_row_comes_back(table: Table, folders: Callable[[], Path], data: st.DataObject) -> None:
    rows = data.draw(_rows(table))
    folder = folders()
    snapshot_of(**{table.name: rows}).write(folder)
    assert read(folder).rows(table.row) == table.rows(rows)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostname=TEXTS, reason=TEXTS)
@example(hostname="\ud800", reason="\udfff")
def test_the_manifest_comes_back(folders: Callable[[], Path], hostname: str, reason: str) -> None:
    folder = folders()
    tables = {"sources": TABLES["sources"].rows([])}
    Snapshot(hostname, MOMENT, tables, {"host": reason}, duration_s=1.5, zone="Europe/Paris").write(folder)
    found = read(folder)
    assert (found.hostname, found.collected, found.absent) == (hostname, MOMENT, {"host": reason})
    assert (found.duration_s, found.zone, found.origin) == (1.5, "Europe/Paris", folder.parent.name)


def test_the_reference_server_comes_back(faulty: Snapshot, demo: Path) -> None:
    found = read(demo)
    assert found.tables == faulty.tables


def test_the_same_facts_are_the_same_bytes(faulty: Snapshot, demo: Path, tmp_path: Path) -> None:
    read(demo).write(tmp_path / "again")
    assert _bytes(tmp_path / "again") == _bytes(demo)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_folder_holds_a_manifest_and_one_file_per_table_that_was_read(tmp_path: Path) -> None:
    snapshot_of(**FACTS).write(tmp_path / "new" / FOLDER)
    assert set(_bytes(tmp_path / "new" / FOLDER)) == {MANIFEST, "sources.json.gz", "volumes.json.gz"}
    assert (tmp_path / "new" / FOLDER).stat().st_mode & 0o777 == 0o755
    # The run that holds it is as good a place to read it from.
    assert read(tmp_path / "new").origin == read(tmp_path / "new" / FOLDER).origin == "new"


def test_an_empty_folder_may_be_there_already(tmp_path: Path) -> None:
    snapshot_of(**FACTS).write(tmp_path)
    assert read(tmp_path).volumes["name"].tolist() == ["data"]


# What cannot be written


def _refusal(do: Callable[[], Any]) -> str:
    """The French sentences of the error, and nothing but that error."""
    with pytest.raises(SnapshotError) as caught:
        do()
    message = str(caught.value)
    assert message.endswith(".") and message[0].isupper() and "\n" not in message
    return message


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    message = _refusal(lambda: snapshot_of(**FACTS).write(tmp_path))
    assert message == f"Écriture de l’instantané : {tmp_path} existe déjà. Donnez un dossier vide ou nouveau."
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("file", "existe déjà. Donnez un dossier vide ou nouveau"),
        ("file/below", "ce n’est pas un dossier"),
        ("x" * 300, "nom trop long"),
    ],
)
def test_a_place_that_cannot_be_a_folder(tmp_path: Path, place: str, cause: str) -> None:
    (tmp_path / "file").write_text("mine")
    assert f"{cause}." in _refusal(lambda: snapshot_of(**FACTS).write(tmp_path / place))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("refused", "error", "cause"),
    [
        ("os.fsync", errno.ENOSPC, "disque plein"),
        ("os.fsync", errno.EDQUOT, "quota de disque atteint"),
        ("pathlib.Path.open", errno.EACCES, "permission refusée"),
        ("pathlib.Path.replace", errno.EROFS, "système de fichiers en lecture seule"),
        ("tempfile.mkdtemp", errno.EACCES, "permission refusée"),
        ("pathlib.Path.exists", errno.EACCES, "permission refusée"),
    ],
)
def test_a_refusal_of_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str, error: int, cause: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(refused, refuse)
        message = _refusal(lambda: snapshot_of(**FACTS).write(tmp_path / FOLDER))
    assert message == f"Écriture de l’instantané dans {tmp_path / FOLDER} : {cause}."
    assert list(tmp_path.iterdir()) == []


_FULL = """
import resource, sys
from pathlib import Path
from auditlib.facts.snapshot import SnapshotError, read
facts = read(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    facts.write(Path(sys.argv[2]))
except SnapshotError as error:
    print(error)
"""


def test_a_file_that_may_grow_no_further_leaves_nothing(demo: Path, tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 2000  # the limit is the child's, not ours
    command = [sys.executable, "-c", _FULL, str(demo), str(tmp_path / FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Écriture de l’instantané dans {tmp_path / FOLDER} : ")
    assert list(tmp_path.iterdir()) == []


# What cannot be read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    snapshot_of(**FACTS).write(tmp_path / FOLDER)
    return tmp_path / FOLDER


def _manifest(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8")) | changes
        (folder / MANIFEST).write_text(json.dumps({key: value for key, value in manifest.items() if value != "gone"}))

    return change


def _table(content: bytes) -> Callable[[Path], None]:
    """Another content of a table, that the manifest agrees with."""

    def change(folder: Path) -> None:
        (folder / "volumes.json.gz").write_bytes(content)
        tables = json.loads((folder / MANIFEST).read_text("utf-8"))["tables"]
        _manifest(tables=tables | {"volumes": {"rows": 1, "sha256": hashlib.sha256(content).hexdigest()}})(folder)

    return change


def _packed(content: Any) -> bytes:
    return gzip.compress(json.dumps(content).encode())


def _bytes_at(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


ALTERED = "volumes.json.gz a changé depuis son écriture"
FOREIGN = "son contenu n’est pas celui d’un instantané"


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda folder: (folder / "volumes.json.gz").unlink(), "volumes.json.gz : fichier ou dossier absent"),
        (_bytes_at("volumes.json.gz", b""), ALTERED),
        (_bytes_at("volumes.json.gz", b"\x1f\x8b"), ALTERED),
        (_bytes_at("volumes.json.gz", _packed({"columns": ["name"], "rows": []})), ALTERED),
        (_bytes_at(MANIFEST, b""), FOREIGN),
        (_bytes_at(MANIFEST, b'{"format": 1, '), FOREIGN),
        (_bytes_at(MANIFEST, b"[]"), FOREIGN),
        (_bytes_at(MANIFEST, b"null"), FOREIGN),
        (_bytes_at(MANIFEST, b"\xff\xfe"), FOREIGN),
        (_bytes_at(MANIFEST, b"[" * 100_000), FOREIGN),
        (_bytes_at(MANIFEST, b"{}"), "format manque"),
        (_manifest(format="1"), FOREIGN),
        (_manifest(host="gone"), "host manque"),
        (_manifest(tables={}), "sources manque"),
        (_manifest(tables={"volumes": {}}), "sha256 manque"),
        (_manifest(tables={"volumes": None}), FOREIGN),
        (_manifest(collected="hier"), FOREIGN),
        (_manifest(absent=5), FOREIGN),
        (_table(b"no gzip"), FOREIGN),
        (_table(_packed({"columns": [], "rows": []})[:-3]), FOREIGN),
        (_table(gzip.compress(b"x" * 100)[:12] + b"\xff" * 8), FOREIGN),
        (_table(_packed({"columns": ["name", "driver"], "rows": [["a"]]})), FOREIGN),
        (_table(_packed({"columns": ["name"], "rows": [[2**70]]})), FOREIGN),
        (_table(_packed({"columns": ["name"], "rows": [["a"], ["a"], [5]]})), FOREIGN),
        (_table(_packed({"rows": []})), "columns manque"),
    ],
)
def test_a_damaged_snapshot_is_one_french_sentence(folder: Path, damage: Callable[[Path], None], cause: str) -> None:
    damage(folder)
    assert _refusal(lambda: read(folder)) == (
        f"Lecture de l’instantané : {folder} est illisible ou tronqué ({cause}). "
        "Relancez une collecte ou donnez un autre instantané."
    )


def test_every_truncation_of_every_file_is_told(folder: Path) -> None:
    for name, content in _bytes(folder).items():
        for length in range(0, len(content) - 1, 7):
            (folder / name).write_bytes(content[:length])
            _refusal(lambda: read(folder))
        (folder / name).write_bytes(content)
    assert read(folder).volumes["name"].tolist() == ["data"]


def test_a_later_format_asks_for_a_newer_program(folder: Path) -> None:
    _manifest(format=2)(folder)
    assert _refusal(lambda: read(folder)) == (
        f"Lecture de l’instantané : {folder} est au format 2, cette version lit le format 1 au plus. "
        "Mettez auditlib à jour."
    )


def test_tables_and_columns_of_another_version(folder: Path) -> None:
    _table(_packed({"columns": ["name", "later"], "rows": [["data", {"any": "thing"}]]}))(folder)
    tables = json.loads((folder / MANIFEST).read_text("utf-8"))["tables"]
    _manifest(tables=tables | {"later_table": {"rows": 0, "sha256": ""}})(folder)
    found = read(folder)
    assert found.volumes["name"].tolist() == ["data"] and found.volumes["driver"].isna().all()
    assert "later_table" not in found.tables


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("nowhere", "n’existe pas"),
        ("", "n’est pas un instantané (aucun manifest.json)"),
        ("file", "n’est pas un instantané (aucun manifest.json)"),
        ("x" * 300, "ne peut être lu (nom trop long)"),
    ],
)
def test_what_is_no_snapshot(tmp_path: Path, place: str, cause: str) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / place
    assert _refusal(lambda: read(path)) == (
        f"Lecture de l’instantané : {path} {cause}. Donnez un dossier d’exécution ou son instantané."
    )


def test_a_moved_snapshot_is_the_same(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert read(moved).origin == "elsewhere"
    assert repr(read(moved)) == repr(read(folder))


def test_reasons_are_well_written() -> None:
    with pytest.raises(AbsentTable) as caught:
        snapshot_of().call(lambda host: host)
    assert typography(str(caught.value)) == "Table «\u00a0host\u00a0» non évaluable\u00a0: elle n’a pas été lue."
