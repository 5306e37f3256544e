"""The running processes, as `/proc` lists them."""

import os
from collections.abc import Container, Iterator
from pathlib import Path


def pids(proc: Path) -> list[int]:
    """The processes that can be seen, lowest number first; none without `/proc`."""
    return sorted(int(path.name) for path in proc.iterdir() if path.name.isdecimal()) if proc.is_dir() else []


def named(proc: Path, program: str) -> list[int]:
    """The processes of this name, as the kernel keeps it: of a script, the script's; cut after 15 bytes."""
    return [pid for pid in pids(proc) if _name(proc / str(pid)) == program]


def _name(process: Path) -> str | None:
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:  # gone
        return None


def holders(inodes: Container[int], proc: Path) -> dict[int, list[int]]:
    """The processes that hold each of these sockets, lowest number first. Those of other users are not seen."""
    held: dict[int, list[int]] = {}
    for pid in pids(proc):
        for inode in {*_open_sockets(proc / str(pid) / "fd")}:
            if inode in inodes:
                held.setdefault(inode, []).append(pid)
    return held


def _open_sockets(folder: Path) -> Iterator[int]:
    try:
        descriptors = os.listdir(folder)  # noqa: PTH208 - tens of thousands: no object for each
    except OSError:  # gone, or another user's
        return
    for descriptor in descriptors:
        try:
            target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115
        except OSError:  # closed since
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])
