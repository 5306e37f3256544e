"""Units of systemd: which are asked for, and what `systemctl show` says, in the form it has (systemd 245 to 257)."""

import datetime as dt
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import systemd
from auditlib.collect.source import Unreadable
from auditlib.facts.tables.host import Unit
from auditlib.parameters import Parameters

# Properties come in an order of systemd's own, a blank line between units; what a kind of unit lacks is not there.
SHOW = """\
Restart=on-failure
MainPID=812
NRestarts=0
ExecMainStatus=0
Result=success
Id=ai-orchestrator-backend.service
Description=AI Orchestrator backend --api-key=CANARI-unit
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/etc/systemd/system/ai-orchestrator-backend.service
UnitFileState=enabled
StateChangeTimestamp=Mon 2026-11-23 06:15:02 UTC

Restart=always
MainPID=0
NRestarts=5
ExecMainStatus=203
Result=exit-code
Id=worker.service
Description=Worker
LoadState=loaded
ActiveState=failed
SubState=failed
FragmentPath=/etc/systemd/system/worker.service
UnitFileState=enabled
StateChangeTimestamp=Mon 2026-11-23 06:14:00 CET

Result=success
Id=docker.socket
Description=Docker Socket for the API
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/usr/lib/systemd/system/docker.socket
UnitFileState=enabled
StateChangeTimestamp=

Id=session-3.scope
Description=Session 3 of User alpha
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/run/systemd/transient/session-3.scope
UnitFileState=transient
StateChangeTimestamp=Mon 2026-11-23 06:15:02 UTC

MainPID=0
Id=web.service
Description=web.service
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
UnitFileState=

MainPID=31
Id=erased.service
Description=erased.service
LoadState=not-found
ActiveState=active
SubState=running
FragmentPath=
UnitFileState=
"""


def units(**more: Any) -> dict[str, Unit]:
    listening = {"ai-orchestrator-backend.service": ["0.0.0.0:8001"]}
    payload = {"show": SHOW, "listening": listening, "listeners": True, "left": 0, **more}
    found = systemd.rows(payload).of(Unit)
    Unit.table.rows(found)
    return {row.unit: row for row in found}


def test_a_unit_that_runs() -> None:
    assert units()["ai-orchestrator-backend.service"] == Unit(
        unit="ai-orchestrator-backend.service",
        active="active",
        sub="running",
        enabled="enabled",
        load="loaded",
        result="success",
        exit_status=0,
        main_pid=812,
        restart="on-failure",
        restarts=0,
        since=dt.datetime(2026, 11, 23, 6, 15, 2, tzinfo=dt.UTC),
        fragment="/etc/systemd/system/ai-orchestrator-backend.service",
        listens=("0.0.0.0:8001",),
        description="AI Orchestrator backend --api-key=[secret retiré]",
    )


def test_a_unit_that_failed() -> None:
    row = units()["worker.service"]
    assert (row.active, row.result, row.exit_status, row.main_pid) == ("failed", "exit-code", 203, None)
    # Another zone's name does not tell the instant.
    assert row.since is None


def test_what_a_kind_of_unit_lacks_is_unknown() -> None:
    row = units()["docker.socket"]
    assert (row.main_pid, row.restart, row.exit_status, row.since) == (None, None, None, None)


def test_a_unit_of_another_manager_is_none_and_one_without_its_file_is() -> None:
    assert set(units()) == {
        "ai-orchestrator-backend.service",
        "worker.service",
        "docker.socket",
        "session-3.scope",
        "erased.service",
    }


@pytest.mark.parametrize(
    ("more", "gap"),
    [
        ({"left": 12}, "il y a trop d’unités : 12 n’ont pas été lues"),
        ({"listeners": False}, "les écoutes de la machine n’ont pas été lues, ni les unités qui sont derrière"),
    ],
)
def test_what_was_left_out_is_said(more: dict[str, Any], gap: str) -> None:
    assert systemd.rows({"show": "", "listening": {}, "listeners": True, "left": 0, **more}).gaps == [gap]


@given(st.lists(st.sampled_from(["Id=", "a.service", "\n", "\n\n", "ActiveState=", "="]) | st.text(max_size=5)))
def test_whatever_it_writes_makes_units_or_nothing(pieces: list[str]) -> None:
    for properties in systemd.parse("".join(pieces)):
        assert properties["Id"]


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("worker.service loaded failed failed Worker", ["worker.service"]),
        ("● worker.service loaded failed failed Worker", ["worker.service"]),  # before version 246, in spite of --plain
        ("dev-disk\\x2dx.swap loaded failed failed Swap", ["dev-disk\\x2dx.swap"]),
        ("-h.service;reboot loaded", []),
        ("0 loaded units listed.", []),
        ("", []),
    ],
)
def test_failed_units_are_the_first_word_of_each_line(line: str, unit: list[str]) -> None:
    assert list(systemd._failed(line)) == unit


def test_a_machine_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "BOOTED", tmp_path / "absent")
    with pytest.raises(Unreadable) as caught:
        systemd.fetch(Parameters(), {"listeners": None})
    assert (caught.value.status, caught.value.reason) == ("absent", "la machine n’est pas gérée par systemd")


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a `systemctl` that is a shell script."""
    monkeypatch.setattr(systemd, "BOOTED", tmp_path)

    def install(script: str) -> Path:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(systemd, "PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
        return tmp_path / "asked"

    return install


LISTENERS = {
    "sockets": [
        {"protocol": "tcp", "family": "ipv4", "address": "0.0.0.0", "port": 8001, "pid": 5},
        {"protocol": "udp", "family": "ipv6", "address": "::", "port": 53, "pid": 5},
        {"protocol": "tcp", "family": "ipv4", "address": "0.0.0.0", "port": 22, "pid": 6},
    ],
    "processes": [
        {"pid": 5, "name": "python", "user": "root", "cgroup": "0::/system.slice/backend.service"},
        {"pid": 6, "name": "sshd", "user": "root", "cgroup": "0::/"},
    ],
    "root": True,
    "ss": None,
}


def test_the_units_that_are_asked_for(systemctl: Any, tmp_path: Path) -> None:
    asked = systemctl(
        f'echo "$@" >> {tmp_path}/asked\n'
        '[ "$1" = list-units ] && echo "worker.service loaded failed failed Worker" || echo "Id=worker.service"'
    )
    payload = systemd.fetch(Parameters(), {"listeners": LISTENERS})
    assert payload["listening"] == {"backend.service": ["0.0.0.0:8001", "[::]:53/udp"]}
    assert [row.unit for row in systemd.rows(payload).tables["units"]] == ["worker.service"]
    listed, shown = asked.read_text().splitlines()
    assert listed.startswith("list-units --failed")
    assert shown.endswith("-- worker.service docker.service docker.socket containerd.service backend.service")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Failed to connect to bus: Permission denied' >&2; exit 1",
         "systemctl échoue (code 1 : Failed to connect to bus: Permission denied)"),
        ("sleep 5", "systemctl ne répond pas à temps"),
    ],
)  # fmt: skip
def test_a_systemctl_that_does_not_answer(systemctl: Any, script: str, reason: str) -> None:
    systemctl(script)
    with pytest.raises(Unreadable) as caught:
        systemd.fetch(Parameters(timeout_s=0.6), {"listeners": None})
    assert (caught.value.status, caught.value.reason) == ("failed", reason)


def test_a_machine_without_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "BOOTED", tmp_path)
    monkeypatch.setattr(systemd, "PATH", str(tmp_path))
    with pytest.raises(Unreadable, match="n’existe pas"):
        systemd.fetch(Parameters(), {"listeners": None})
