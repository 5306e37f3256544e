"""Filesystems and what they hold; what Docker takes on them."""

import errno
import shutil
from typing import Any

import pytest

from auditlib.collect import disks, usage
from auditlib.collect.source import Unreadable
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.parameters import Parameters
from tests.conftest import payload
from tests.frames import rows

from .fake_engine import FakeEngine
from .servers import HANG, as_json


def test_this_machine_s_root() -> None:
    reading = disks.rows(disks.fetch(Parameters(), {"engine": None}))
    [row] = reading.tables["disks"]
    told = shutil.disk_usage("/")
    assert (row.mountpoint, row.holds, row.size) == ("/", ("racine",), told.total)
    assert abs(row.free - told.free) < 2**30
    assert reading.gaps == ["le moteur Docker n’a pas été lu, ses disques restent inconnus"]


def test_what_the_reference_server_keeps_where(faulty: Snapshot) -> None:
    [holds] = [holds for (holds,) in rows(faulty.disks, "holds")]
    assert {"racine", "données de Docker", "base de données postgres", "base de données redis"} <= set(holds)


def test_the_folders_that_matter() -> None:
    wanted = dict(disks._of_engine(payload("faulty", "engine")))
    assert {role for role in wanted.values() if role.startswith("base")} == {
        "base de données postgres",
        "base de données redis",
        "base de données chromadb",
    }


def filesystem(role: str, mountpoint: str = "/", **more: Any) -> dict[str, Any]:
    size = {"size": 100, "used": 60, "free": 35, "inodes": 10, "inodes_free": 4}
    place = {"path": "/x", "role": role, "mountpoint": mountpoint, "device": "/dev/sda1", "filesystem": "ext4"}
    return {**place, **size, **more}


def test_one_row_per_filesystem() -> None:
    folders = [filesystem("racine"), filesystem("données de Docker", "/srv"), filesystem("base de données db", "/srv")]
    found = disks.rows({"engine": True, "folders": [*folders, folders[2]]}).tables["disks"]
    TABLES["disks"].rows(found)
    assert [(row.mountpoint, row.holds) for row in found] == [
        ("/", ("racine",)),
        ("/srv", ("données de Docker", "base de données db")),
    ]


def test_a_folder_that_may_not_be_looked_at_is_a_gap() -> None:
    hidden = {"path": "/x", "role": "base de données db", "error": errno.EACCES}
    reading = disks.rows({"engine": True, "folders": [filesystem("racine"), hidden]})
    assert reading.gaps == ["le disque de base de données db reste inconnu"]
    with pytest.raises(Unreadable):
        disks.rows({"engine": True, "folders": [hidden]})


def test_a_folder_that_does_not_exist() -> None:
    assert disks._filesystem("/nulle/part", "x", {}) == {"path": "/nulle/part", "role": "x", "error": errno.ENOENT}


# What Docker takes

DF = {
    "LayersSize": 900,
    "Images": [
        {"Id": "sha256:a", "Size": 700, "SharedSize": 300, "Containers": 1},
        {"Id": "sha256:b", "Size": 500, "SharedSize": 300, "Containers": 0},
        {"Id": "sha256:c", "Size": 50, "SharedSize": -1, "Containers": 0},
    ],
    "Containers": [
        {"State": "running", "SizeRw": 10, "Names": ["/x"]},
        {"State": "exited", "SizeRw": 7},
        {"State": "dead"},
    ],
    "Volumes": [
        {"Name": "v", "UsageData": {"Size": 40, "RefCount": 1}},
        {"Name": "w", "UsageData": {"Size": 30, "RefCount": 0}},
        {"Name": "nfs", "UsageData": {"Size": -1, "RefCount": -1}},
    ],
    "BuildCache": [
        {"Size": 5, "InUse": False, "Shared": False},
        {"Size": 6, "InUse": True, "Shared": False},
        {"Size": 9, "InUse": False, "Shared": True},
    ],
}


def asked(engine: FakeEngine, address: str, answer: Any) -> list[tuple[Any, ...]]:
    engine.replies["/system/df"] = as_json(answer)
    found = usage.rows(usage.fetch(Parameters(docker_host=address), {})).tables["docker_usage"]
    TABLES["docker_usage"].rows(found)
    return [tuple(getattr(row, name) for name in ("kind", "count", "active", "size", "reclaimable")) for row in found]


def test_the_engine_lists_its_objects(engine: FakeEngine, address: str) -> None:
    assert asked(engine, address, DF) == [
        # Layers shared with a used image are not freed; an unknown share counts for nothing.
        ("images", 3, 1, 900, 250),
        ("containers", 3, 1, 17, 7),
        ("volumes", 3, 1, 70, 30),
        ("build_cache", 3, 1, 11, 5),
    ]


def test_the_engine_counts_by_itself(engine: FakeEngine, address: str) -> None:
    """Engine API 1.52 and later."""
    counts = {"TotalCount": 4, "ActiveCount": 1, "TotalSize": 10, "Reclaimable": 3, "Items": None}
    names = ("ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage")
    assert asked(engine, address, dict.fromkeys(names, counts)) == [
        (kind, 4, 1, 10, 3) for kind in ("images", "containers", "volumes", "build_cache")
    ]


def test_an_engine_that_says_nothing_of_a_sort(engine: FakeEngine, address: str) -> None:
    engine.replies["/system/df"] = as_json({"LayersSize": 0, "Images": None})
    reading = usage.rows(usage.fetch(Parameters(docker_host=address), {}))
    assert [row.kind for row in reading.tables["docker_usage"]] == ["images"]
    assert reading.gaps == ["le moteur Docker ne dit pas la place de toutes les sortes d’objets"]


def test_no_name_is_kept(engine: FakeEngine, address: str) -> None:
    engine.replies["/system/df"] = as_json(DF)
    assert "sha256" not in str(usage.fetch(Parameters(docker_host=address), {}))


@pytest.mark.parametrize(("reply", "state"), [(as_json({"message": "no"}, 403), "refused"), (HANG, "failed")])
def test_a_proxy_that_refuses(engine: FakeEngine, address: str, reply: Any, state: str) -> None:
    engine.replies["/system/df"] = reply
    with pytest.raises(Unreadable) as caught:
        usage.fetch(Parameters(docker_host=address, timeout_s=0.5), {})
    assert caught.value.status == state


def test_the_reference_server_s_images_take_place(faulty: Snapshot) -> None:
    [(count, active, size, reclaimable)] = [
        row[1:]
        for row in rows(faulty.docker_usage, "kind", "count", "active", "size", "reclaimable")
        if row[0] == "images"
    ]
    assert 0 < active <= count
    assert 0 <= reclaimable <= size
