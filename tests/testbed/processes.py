"""Processes of the host: started apart from us, found again by pid and start time, stopped only when they are ours."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from .paths import LOGS, RUN

CGROUP = Path("/sys/fs/cgroup")


class TestbedError(Exception):
    """Something the person at the keyboard can mend; its text is all they see."""


def start(name: str, command: Sequence[str | Path], *, unit: str | None = None, cwd: Path | None = None) -> None:
    """Start a process that outlives us, unless it runs already; `unit` puts it in the cgroup of a systemd service."""
    if running(name):
        return
    RUN.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd or "/",
            start_new_session=True,
        )
    if unit:
        _enter_cgroups(child.pid, unit)
    _record(name).write_text(json.dumps({"pid": child.pid, "started": psutil.Process(child.pid).create_time()}))


def running(name: str) -> psutil.Process | None:
    """Return the process we recorded under this name, if it is still that very process."""
    try:
        record = json.loads(_record(name).read_text())
        process = psutil.Process(record["pid"])
        # A pid is reused sooner or later: the start time tells our process from a stranger.
        same = abs(process.create_time() - record["started"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def stop(name: str, *, timeout: float = 20) -> None:
    """Ask our process to end, then insist; a record whose process is gone is only forgotten."""
    if process := running(name):
        terminate([process], timeout=timeout)
    _record(name).unlink(missing_ok=True)


def terminate(processes: list[psutil.Process], *, timeout: float = 20) -> None:
    """End processes already known to be ours."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=timeout)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)


def log_tail(name: str, lines: int = 5) -> str:
    """Return the end of a process's log, for an error message."""
    with suppress(OSError):
        return "\n".join((LOGS / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"


def wait_for(what: str, missing: Callable[[], list[str]], *, timeout: float, process: str | None = None) -> None:
    """Poll until nothing is missing; a process that died meanwhile, or the time-out, is an error that says what is."""
    deadline = time.monotonic() + timeout
    while still := missing():
        died = process is not None and not running(process)
        if died or time.monotonic() > deadline:
            reason = "its process ended" if died else f"not ready after {timeout:.0f} s: {', '.join(still)}"
            raise TestbedError(f"{what}: {reason}\n{log_tail(process) if process else ''}".rstrip())
        time.sleep(0.1)


def unit_cgroups(unit: str) -> list[Path]:
    """Where systemd would put a service: its own hierarchies on cgroup v1 and hybrid, the only one on v2."""
    v1 = [root for root in (CGROUP / "systemd", CGROUP / "unified") if (root / "cgroup.procs").exists()]
    return [root / "system.slice" / unit for root in v1 or [CGROUP]]


def _enter_cgroups(pid: int, unit: str) -> None:
    for group in unit_cgroups(unit):
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(str(pid))


def remove_cgroups(*groups: Path) -> None:
    """Remove groups (and their parent) when nothing is left in them; the kernel refuses the others."""
    for group in groups:
        for folder in (group, group.parent):
            with suppress(OSError):
                folder.rmdir()


def _record(name: str) -> Path:
    return RUN / f"{name}.json"
