"""The units of systemd that matter to the audit: behind the machine's listeners, Docker's own, and all that failed."""

import datetime as dt
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditlib.addresses import joined
from auditlib.collect import listeners
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable
from auditlib.facts.tables.host import Listener, Unit
from auditlib.french import number
from auditlib.parameters import Parameters

BOOTED = Path("/run/systemd/system")  # sd_booted(3)
PATH = "/usr/bin:/bin:/run/current-system/sw/bin"  # where distributions have systemctl
ALWAYS = ("docker.service", "docker.socket", "containerd.service")
MAX_UNITS = 500

_PROPERTIES = (
    "Id", "Description", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "Result",
    "ExecMainStatus", "MainPID", "Restart", "NRestarts", "StateChangeTimestamp",
)  # fmt: skip
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(?:service|socket|scope|mount|timer|target|path|swap|automount|slice|device)")


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """What `systemctl show` says of the units, and of which of them listen where.

    Raises Unreadable on a machine that systemd does not run, or where it does not answer.
    """
    if not BOOTED.is_dir():
        raise Unreadable("absent", "la machine n’est pas gérée par systemd")
    patience = PATIENCE * parameters.timeout_s / 2
    options = ["--failed", "--all", "--plain", "--full", "--no-legend", "--no-pager"]
    failed = [*_failed(_systemctl(patience, "list-units", *options))]
    listening = _listening(payloads["listeners"])
    wanted = [*dict.fromkeys([*failed, *ALWAYS, *listening])]
    asked = wanted[:MAX_UNITS]
    shown = _systemctl(patience, "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", "--", *asked)
    return {
        "show": shown,
        "listening": listening,
        "listeners": payloads["listeners"] is not None,
        "left": len(wanted) - len(asked),
    }


def _systemctl(timeout_s: float, *arguments: str) -> str:
    """The output of a `systemctl` command that only reads."""
    program = shutil.which("systemctl", path=PATH)
    if not program:
        raise Unreadable("absent", "la commande systemctl n’existe pas", "installer systemctl")
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, and unit names behind "--"
            [program, *arguments],
            capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s, check=False,
            env={"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": PATH, "SYSTEMD_COLORS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        raise Unreadable("failed", "systemctl ne répond pas à temps", "augmenter timeout_s") from None
    if done.returncode and not done.stdout:
        said = redact(" ".join(done.stderr.split()))[:200]
        raise Unreadable("failed", f"systemctl échoue (code {done.returncode} : {said})", "relancer avec sudo")
    return done.stdout


def _failed(output: str) -> Iterator[str]:
    """The units of `systemctl list-units`: the first word of each line, after the mark that old versions keep."""
    for line in output.splitlines():
        words = line.replace("●", " ").replace("*", " ").split()
        if words and _UNIT.fullmatch(words[0]):
            yield words[0]


def _listening(payload: Any) -> dict[str, list[str]]:
    """The addresses that each unit listens on, as the source « listeners » knows them."""
    found: dict[str, list[str]] = {}
    for one in listeners.rows(payload).of(Listener) if payload else ():
        if one.unit and _UNIT.fullmatch(one.unit):
            place = joined(one.address, one.port) + ("" if one.protocol == "tcp" else f"/{one.protocol}")
            if place not in found.setdefault(one.unit, []):
                found[one.unit].append(place)
    return found


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `units`; a unit that systemd does not know, and that does nothing, is none."""
    found: dict[str, Unit] = {}
    for properties in parse(payload["show"]):
        # The cgroup of a user's own service names a unit of that user's manager, not of this one.
        if properties.get("LoadState") == "not-found" and properties.get("ActiveState") == "inactive":
            continue
        unit = _unit(properties, payload["listening"])
        found[unit.unit] = unit  # an alias and its unit have one Id
    gaps = [f"il y a trop d’unités : {number(payload['left'])} n’ont pas été lues"] if payload["left"] else []
    if not payload["listeners"]:
        gaps.append("les écoutes de la machine n’ont pas été lues, ni les unités qui sont derrière")
    return Reading({"units": list(found.values())}, gaps)


def parse(output: str) -> Iterator[dict[str, str]]:
    """The properties of each unit that `systemctl show` writes: `Name=value` lines, an empty line between units."""
    for block in re.split(r"\n[ \t]*\n", output.strip("\n")):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if properties.get("Id"):
            yield properties


def _unit(told: dict[str, str], listening: dict[str, list[str]]) -> Unit:
    return Unit(
        unit=told["Id"],
        active=told.get("ActiveState") or None,
        sub=told.get("SubState") or None,
        # Empty: there is no file to enable (a scope, a transient unit).
        enabled=told.get("UnitFileState") or None,
        load=told.get("LoadState") or None,
        result=told.get("Result") or None,
        exit_status=_number(told.get("ExecMainStatus")),
        # 0: it has none.
        main_pid=_number(told.get("MainPID")) or None,
        restart=told.get("Restart") or None,
        restarts=_number(told.get("NRestarts")),
        since=_moment(told.get("StateChangeTimestamp")),
        fragment=told.get("FragmentPath") or None,
        listens=tuple(listening.get(told["Id"], ())),
        description=redact(told["Description"]) if told.get("Description") else None,
    )


def _number(text: str | None) -> int | None:
    """A count; "[not set]" and a unit that is no service have none."""
    return int(text) if text and text.isdecimal() else None


def _moment(text: str | None) -> dt.datetime | None:
    """An instant as systemd writes it in UTC: `Mon 2022-07-04 18:56:33 UTC`. Other zones' names are not read."""
    match = re.fullmatch(r"\w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", text or "")
    return dt.datetime.fromisoformat(match[1]).replace(tzinfo=dt.UTC) if match else None
