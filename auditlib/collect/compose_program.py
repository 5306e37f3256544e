"""Docker Compose itself, when it is on this machine: what it makes of files, and the hashes it would give.

Only `config` is asked, which reads files and speaks to nobody: neither an engine nor a registry.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from typing import Any

MAX_SIZE = 4 * 1024 * 1024  # characters of one answer
_LIMIT_S = 5.0  # of one question
_HASH = re.compile(r"^(\S+) ([0-9a-f]{64})$", re.MULTILINE)

# Where packages put the plugin, and the program alone. Never in a home: root would run what another user put there.
PLACES: tuple[str, ...] = (
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/libexec/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
    "docker-compose",
)


def find() -> dict[str, str] | None:
    """The program and its version, from 2.0 on: version 1 is another program, which prints no JSON."""
    for place in PLACES:
        if path := shutil.which(place):
            version = _run([path, "version", "--short"], "/", {}, _LIMIT_S)
            if version and version[0] == 0 and re.match(r"v?([2-9]|\d\d)\.", version[1]):
                return {"path": path, "version": version[1].strip().removeprefix("v")}
    return None


def ask(path: str, one: Mapping[str, Any], shell: Mapping[str, str], deadline: float) -> dict[str, Any] | None:
    """What the program answers to a set of files: its exit code and text, and hashes; None when it says nothing."""
    words = [path, "--project-directory", one["folder"]]
    words += ["-p", one["project"]] if one["project"] else []
    words += [word for file in one["env_files"] for word in ("--env-file", file)]
    words += [word for file in one["files"] for word in ("-f", file)]
    left = min(_LIMIT_S, deadline - time.monotonic())
    asked = _run([*words, "config", "--format", "json"], one["folder"], shell, left)
    if asked is None:
        return None
    code, text = asked
    told: dict[str, Any] = {"code": code, "text": text if code == 0 else "", "hashes": {}}
    left = min(_LIMIT_S, deadline - time.monotonic())
    # Only what a container was started from has a hash to be compared with.
    if code == 0 and one["named"] and (hashes := _run([*words, "config", "--hash", "*"], one["folder"], shell, left)):
        told["hashes"] = dict(_HASH.findall(hashes[1]))
    return told


def _run(words: list[str], folder: str, shell: Mapping[str, str], limit_s: float) -> tuple[int, str] | None:
    """The exit code and the output of a command; None when it cannot be run, takes too long or says too much."""
    if limit_s <= 0:
        return None
    # Nothing of the audit's own environment, nor of the Docker settings of a home; and files of other machines are left
    # where they are.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        **shell,
        "DOCKER_CONFIG": "/nonexistent",
        "COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false",
        "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false",
    }
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system, and names of files behind their options
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
        text = done.stdout.decode("utf-8")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return (done.returncode, text) if len(text) <= MAX_SIZE else None
