"""A Traefik that runs on the machine itself: its process, and its files, which are the machine's.

It is told in the shape in which the engine tells of a container, so that what reads Traefik's configuration, logs,
storages and API reads it alike: its network is the machine's, and its one mount is the machine's root on itself. It has
neither id nor name.
"""

import errno
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from auditlib.collect.listeners import owner
from auditlib.collect.processes import named

PROC = Path("/proc")
READ = ("TRAEFIK_", "HOME=", "XDG_CONFIG_HOME=")  # no other variable leaves the process


def running() -> dict[str, Any] | None:
    """The first Traefik of the machine that no container holds, or None.

    `hidden` tells what another user's process did not show.
    """
    for pid in named(PROC, "traefik"):
        process = PROC / str(pid)
        try:
            group, words = (process / "cgroup").read_text("utf-8", "replace"), _words(process / "cmdline")
            user = process.stat().st_uid
        except OSError:  # gone
            continue
        if words and not owner(group)[1]:
            return _told(process, words, user)
    return None


def _told(process: Path, words: list[str], user: int) -> dict[str, Any]:
    hidden = []
    try:
        environment = [line for line in _words(process / "environ") if line.startswith(READ)]
    except OSError:
        environment = []
        hidden.append("environnement")
    try:
        folder = os.readlink(process / "cwd")  # noqa: PTH115 - the path as it is told, even if it is gone
    except OSError:
        folder = "/"
        hidden.append("dossier de travail")
    try:
        account = pwd.getpwuid(user).pw_name
    except KeyError:
        account = str(user)
    return {
        "Path": words[0],
        "Args": words[1:],
        "Config": {"Env": environment, "WorkingDir": folder, "User": account},
        "HostConfig": {"NetworkMode": "host"},
        "Mounts": [{"Type": "bind", "Source": "/", "Destination": "/"}],
        "NetworkSettings": {},
        "State": {"Running": True},
        "hidden": hidden,
    }


def _words(path: Path) -> list[str]:
    """The words of a process's command line or environment."""
    return [word for word in path.read_text("utf-8", "replace").split("\0") if word]


def content(path: str, most: int, refusal: str) -> tuple[os.stat_result, bytes | None]:
    """What is known of a file of the machine, and its bytes, or None for what is no file.

    Raises OSError, with `refusal` beyond `most` bytes.
    """
    # O_NONBLOCK: the path may be a pipe, which would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            return told, None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            read = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(read) > most:
        raise OSError(errno.EFBIG, refusal)
    return told, read


def text(path: str, most: int) -> str | None:
    """A file of the machine as text, or None when there is none. Raises OSError for what is no file, or too big."""
    try:
        _, read = content(path, most, "fichier trop gros")
    except FileNotFoundError:
        return None
    if read is None:
        raise IsADirectoryError(errno.EISDIR, path)
    return read.decode("utf-8", "replace")
