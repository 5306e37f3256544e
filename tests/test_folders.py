"""Run folders: hidden while they are built, named when complete, put aside when they die."""

import datetime as dt
import os
from pathlib import Path

import pytest

from auditlib import folders
from auditlib.facts.snapshot import FOLDER, MANIFEST, Snapshot, SnapshotError

MOMENT = dt.datetime(2026, 11, 23, 6, 15, tzinfo=dt.UTC)
NAME = "2026-11-23T061500Z"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def build(draft: folders.Draft, *, snapshot: bool = True) -> None:
    """What a run has once its collection is done."""
    if snapshot:
        (draft.path / FOLDER).mkdir()
        (draft.path / FOLDER / MANIFEST).write_text("{}")


def finish(draft: folders.Draft) -> Path:
    draft.reserve("serveur")
    return draft.complete()


def test_a_run_is_hidden_until_it_is_complete(tmp_path: Path) -> None:
    with folders.Draft(tmp_path, MOMENT) as draft:
        build(draft)
        assert all(name.startswith(".") for name in names(tmp_path))
        run = finish(draft)
    assert run == tmp_path / "serveur" / NAME
    assert names(tmp_path) == {"serveur"}
    assert (tmp_path / "serveur/latest").readlink() == Path(NAME)
    assert draft.kept is None


def test_two_runs_of_one_second_have_two_names_and_latest_is_the_second(tmp_path: Path) -> None:
    for wanted in (NAME, f"{NAME}-2", f"{NAME}-3"):
        with folders.Draft(tmp_path, MOMENT) as draft:
            build(draft)
            assert finish(draft).name == wanted
    assert folders.last(tmp_path, "serveur").name == f"{NAME}-3"
    assert folders.last_snapshot(tmp_path, "serveur").name == f"{NAME}-3"


def test_a_run_that_dies_is_kept_aside_and_latest_stays(tmp_path: Path) -> None:
    with folders.Draft(tmp_path, MOMENT) as draft:
        build(draft)
        first = finish(draft)
    with pytest.raises(KeyboardInterrupt), folders.Draft(tmp_path, MOMENT) as draft:
        build(draft)
        raise KeyboardInterrupt
    assert draft.kept == tmp_path / f"{NAME}-incomplet"
    assert (draft.kept / FOLDER / MANIFEST).is_file()
    assert folders.last(tmp_path, "serveur") == first
    assert folders.last_snapshot(tmp_path, "serveur") == first


def test_a_run_that_dies_after_it_reserved_its_place_frees_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folders.Draft(tmp_path, MOMENT) as draft:
        build(draft)
        assert draft.reserve("serveur") == tmp_path / "serveur" / NAME
        raise KeyboardInterrupt
    assert names(tmp_path / "serveur") == set()


def test_a_run_that_dies_before_it_has_anything_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folders.Draft(tmp_path, MOMENT):
        raise KeyboardInterrupt
    assert names(tmp_path) == set()


def test_what_a_killed_run_left_is_put_aside_by_the_next_but_a_living_one_is_not_touched(tmp_path: Path) -> None:
    dead = tmp_path / f".en-cours-{NAME}_abcdef01"
    (dead / FOLDER).mkdir(parents=True)
    (dead / FOLDER / MANIFEST).write_text("{}")
    with folders.Draft(tmp_path, MOMENT) as living, folders.Draft(tmp_path, MOMENT) as other:
        build(other)
        assert living.path.is_dir()
        assert (tmp_path / f"{NAME}-incomplet").is_dir()
        assert not dead.exists()
        finish(other)


@pytest.mark.parametrize(
    ("host", "folder"),
    [
        ("serveur", "serveur"),
        ("../../etc", "_.._etc"),
        (".ssh", "ssh"),
        ("a/b\0c", "a_b_c"),
        ("..", "machine"),
        ("", "machine"),
    ],
)
def test_a_hostile_host_name_stays_inside_the_outputs(host: str, folder: str) -> None:
    assert folders.host_folder(host) == folder


def test_last_says_what_to_do_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(folders.RunError, match=r"Aucune exécution complète de serveur.*make audit"):
        folders.last(tmp_path, "serveur")
    with pytest.raises(folders.RunError, match=r"Aucun instantané de serveur.*make audit"):
        folders.last_snapshot(tmp_path, "serveur")


def test_the_last_snapshot_is_the_newest_by_date_not_by_spelling(tmp_path: Path, faulty: Snapshot) -> None:
    for name in (
        "2026-01-02T000000Z",
        "2026-01-02T000000Z-2",
        "2026-01-02T000000Z-10",
        "2025-12-31T235959Z",
        "x-incomplet",
    ):
        faulty.write(tmp_path / "serveur" / name / FOLDER)
    assert folders.last_snapshot(tmp_path, "serveur").name == "2026-01-02T000000Z-10"


def test_a_path_is_found_from_here_or_from_the_project(
    tmp_path: Path, faulty: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.write(tmp_path / "run" / FOLDER)
    monkeypatch.setattr(folders, "project", lambda: tmp_path)
    assert folders.find("run") == tmp_path / "run" / FOLDER
    assert folders.find(str(tmp_path / "run" / FOLDER)) == tmp_path / "run" / FOLDER
    with pytest.raises(SnapshotError, match="nowhere n’existe pas"):
        folders.find("nowhere")


def test_outputs_that_cannot_be_made_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(folders.RunError, match=r"^Création d’un dossier dans .*file/x : ce n’est pas un dossier\.$"):
        folders.Draft(tmp_path / "file" / "x", MOMENT).__enter__()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "rapport.md"
    folders.write(target, "first")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(folders.RunError, match=r"^Écriture de rapport.md : disque plein\.$"):
        folders.write(target, "second")
    assert target.read_text() == "first"
    assert names(tmp_path) == {"rapport.md"}


def test_under_sudo_what_is_written_belongs_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/rapport.md").write_text("")
    (tmp_path / "latest").symlink_to("nowhere")
    owned: dict[str, tuple[int, int]] = {}

    def chown(path: Path, user: int, group: int, *, follow_symlinks: bool) -> None:
        assert not follow_symlinks
        owned[Path(path).name] = (user, group)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1001")
    folders.owned_by_caller(tmp_path)
    assert owned == dict.fromkeys([tmp_path.name, "run", "rapport.md", "latest"], (1000, 1001))
    owned.clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    folders.owned_by_caller(tmp_path)
    assert owned == {}
