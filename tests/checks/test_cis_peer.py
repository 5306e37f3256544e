"""The checks of the CIS benchmark against docker-bench-security: what each says of one engine, container by container.

Both looked at the same engine, whose containers are traps (`tests/testbed/record_cis.sh`). Where they differ, the table
says why, and the facts show it. A difference that disappears, on either side, fails.
"""

import datetime as dt
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from auditlib.collect import ALL, assemble
from auditlib.collect.source import Outcome, interpret
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import asdict
from auditlib.facts.tables.docker import Container
from auditlib.findings.audit import Audit
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS
from auditlib.findings.policy import Policy
from tests.conftest import PAYLOADS, payload

PEER = payload("cis", "peer")
RESULTS: dict[str, dict[str, Any]] = PEER["results"]
OURS = [check for check in CHECKS.values() if check.id.startswith("CIS-")]

# The subject of a check that judges the engine as a whole.
ENGINE = "engine"
# What the peer's INFO means, for its checks that do not pass by a warning: « manual » ones, and no TCP at all in 2.7.
INFO_FAILS = {"2.8", "5.18", "5.19", "5.30"}
INFO_PASSES = {"2.7"}

NOT_COMPARED = {
    "2.18": "the peer gives no verdict: experimental features are no option of a daemon of today",
    "4.6": "the engine was recorded before its images were asked for their health checks",
    "5.2": "without AppArmor on the machine, ours does not apply; the peer counts every container",
    "5.3": "without SELinux on the machine, ours does not apply; the peer counts every container without any option",
    "5.28": "the peer gives no verdict: it only reminds of it",
    "6.1": "the peer gives no verdict: it counts images",
    "6.2": "the peer gives no verdict: it counts containers",
    **dict.fromkeys(("7.1", "7.2", "7.3", "7.5", "7.7"), "outside a swarm, ours do not apply; the peer lets them pass"),
}
# Compared, but nothing at fault could be recorded.
UNTRAPPED = {"5.5": "the engine that was recorded could start no privileged container"}


@dataclass(frozen=True)
class Difference:
    """One subject that only one of the two holds at fault, why, and the fact that shows it: table, column, value."""

    check: str
    subject: str
    found_by: Literal["ours", "peer"]
    reason: str
    fact: tuple[str, str, object]


PUBLISHED = "the peer lists the ports published on IPv4, heard or not; ours, those where nothing listens"
DIFFERENCES = [
    Difference("2.3", ENGINE, "ours", "the peer reads no option of the command line here once it has a file to read",
               ("docker_daemon", "log_level", "warn")),
    Difference("2.7", ENGINE, "ours", "a no-break space in the peer's condition keeps it from ever seeing the option",
               ("docker_daemon", "hosts", "tcp://127.0.0.1:2375")),
    Difference("3.16", ENGINE, "ours", "606 is a smaller number than 660, and opens the socket to all",
               ("docker_sockets", "mode", "606")),
    Difference("4.1", "user-zeroes", "ours", "the peer knows root by « root » and « 0 », not with a group",
               ("containers", "user", "0:0")),
    Difference("5.4", "cap-bind", "ours", "ours tells it at a low severity: ports below 1024 are free in a container",
               ("containers", "cap_add", "CAP_NET_BIND_SERVICE")),
    Difference("5.6", "mount-below", "ours", "a folder below a sensitive one is as sensitive; the peer wants its name",
               ("mounts", "source", "/etc/ssl")),
    Difference("5.6", "mount-docker", "ours", "Docker's own data give the machine as well",
               ("mounts", "source", "/var/lib/docker")),
    Difference("5.6", "mount-mixed", "peer", "the peer takes the « true » of another mount for that of a read-only one",
               ("mounts", "writable", False)),
    Difference("5.6", "mount-volume", "peer", "the peer takes the place in the container for one of the machine",
               ("mounts", "type", "volume")),
    Difference("5.7", "sshd-alone", "ours", "the peer asks `ps` of the image, which has none; ours asks the kernel",
               ("container_listeners", "process", "sshd")),
    Difference("5.7", "host-pid", "peer", "in the machine's process space, `ps` sees the servers of all others",
               ("containers", "pid_mode", "host")),
    Difference("5.8", "port-low-six", "ours", "the peer cuts addresses at their first colon: no IPv6 port is seen",
               ("publications", "host_ip", "::1")),
    Difference("5.8", "port-1024", "peer", "1024 is not a privileged port",
               ("publications", "host_port", 1024)),
    *(
        Difference("5.9", subject, "ours", PUBLISHED, ("publications", "host_ip", address))
        for subject, address in (("port-low-six", "::1"), ("port-six", "::"))
    ),
    Difference("5.9", "port-both", "peer", PUBLISHED, ("container_listeners", "port", 80)),
    Difference("5.12", "cpu-quota", "peer", "a quota is a limit too",
               ("containers", "cpu_quota", 50000)),
    Difference("5.14", "port-six", "ours", "the peer knows « 0.0.0.0 » alone; « :: » is every interface as well",
               ("publications", "host_ip", "::")),
    Difference("5.26", "privileges-gained", "ours", "the peer looks for the option's name, whatever its value",
               ("containers", "security_options", "no-new-privileges:false")),
    Difference("5.32", "socket-parent", "ours", "the folder that holds the socket gives it",
               ("mounts", "source", "/run")),
    Difference("5.32", "mount-root", "ours", "so does the root of the machine",
               ("mounts", "source", "/")),
    Difference("5.32", "socket-namesake", "peer", "a volume whose name merely contains docker.sock",
               ("mounts", "volume", "docker.sock.backup")),
]  # fmt: skip


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """What the audit's sources read of the engine; the others were not asked."""
    outcomes = {}
    for source in ALL:
        if (PAYLOADS / "cis" / f"{source.name}.json").exists():
            outcomes[source.name] = interpret(source, payload("cis", source.name))
        else:
            outcomes[source.name] = Outcome(source, "absent", "Non demandée.", "")
    return assemble(outcomes, None, dt.datetime.fromisoformat(PEER["moment"]), duration_s=1, zone="UTC")


@pytest.fixture(scope="module")
def audit(snapshot: Snapshot) -> Audit:
    return judge(snapshot, Policy(cis="complet"), OURS)


def number(check: str) -> str:
    return check.removeprefix("CIS-")


COMPARED = [number(one.id) for one in OURS if number(one.id) not in NOT_COMPARED]
EVERY = pytest.mark.parametrize("check", COMPARED)


def ours(audit: Audit, check: str) -> set[str]:
    """The subjects that our check holds at fault."""
    subjects = [finding.subjects[0] for finding in audit.findings if finding.check == f"CIS-{check}"]
    return {name if kind == "container" else ENGINE for kind, name in subjects}


def theirs(check: str) -> set[str]:
    """The subjects that the peer holds at fault: containers, else the engine."""
    told = RESULTS[check]
    if told["result"] == "PASS" or (told["result"] == "INFO" and check in INFO_PASSES):
        return set()
    assert told["result"] == "WARN" or check in INFO_FAILS
    # An item is a container, with what is wrong after a colon; in 5.30, its identifier before one.
    place = 1 if check == "5.30" else 0
    return {item.split(":")[place] for item in told["items"]} or {ENGINE}


def test_every_check_of_ours_is_compared_or_said_not_to_be() -> None:
    assert {*COMPARED, *NOT_COMPARED} == {number(one.id) for one in OURS}
    assert set(UNTRAPPED) <= set(COMPARED)
    assert {one.check for one in DIFFERENCES} <= set(COMPARED)


def test_both_looked_at_the_same_containers(snapshot: Snapshot) -> None:
    """Without AppArmor, the peer's 5.2 names every container that it looked at."""
    running = {row.name for row in snapshot.rows(Container) if row.state == "running"}
    assert theirs("5.2") == running
    assert "stopped" in {row.name for row in snapshot.rows(Container)} - running


@EVERY
def test_both_say_the_same_but_for_the_declared_differences(audit: Audit, check: str) -> None:
    declared: dict[str, set[str]] = defaultdict(set)
    for one in DIFFERENCES:
        if one.check == check:
            declared[one.found_by].add(one.subject)
    assert ours(audit, check) - theirs(check) == declared["ours"]
    assert theirs(check) - ours(audit, check) == declared["peer"]


@pytest.mark.parametrize("one", DIFFERENCES, ids=[f"{one.check} {one.subject}" for one in DIFFERENCES])
def test_facts_show_each_difference(snapshot: Snapshot, one: Difference) -> None:
    table, column, wanted = one.fact
    rows = map(asdict, snapshot.named(table))
    own = [row for row in rows if one.subject in (ENGINE, row.get("container", row.get("name")))]
    assert any(
        wanted == row[column] or wanted in (row[column] if isinstance(row[column], tuple) else ()) for row in own
    )


@pytest.mark.parametrize("check", [one for one in COMPARED if CHECKS[f"CIS-{one}"].key == ("container",)])
def test_every_check_of_containers_has_traps_on_both_sides(audit: Audit, snapshot: Snapshot, check: str) -> None:
    """So that agreement says something: some containers are at fault, and some are not."""
    every = {row.name for row in snapshot.rows(Container)}
    if check in UNTRAPPED:
        assert (ours(audit, check), theirs(check)) == (set(), set())
    else:
        assert set() < ours(audit, check) < every


def test_what_is_not_compared_could_not_be(audit: Audit) -> None:
    verdicts = {number(result.check): result.verdict for result in audit.results}
    silent = {check for check in NOT_COMPARED if RESULTS[check]["result"] in ("INFO", "NOTE")}
    assert set(NOT_COMPARED) - silent == {check for check in NOT_COMPARED if verdicts[check] in ("na", "unknown")}


def test_nothing_else_of_ours_is_left_unjudged(audit: Audit) -> None:
    unjudged = {number(result.check) for result in audit.results if result.verdict in ("na", "unknown")}
    assert unjudged <= set(NOT_COMPARED)


def test_the_recorded_verdicts_say_where_they_come_from() -> None:
    assert PEER["version"] == "1.6.0"
    assert len(PEER["commit"]) == 40
    assert json.dumps(PEER["results"]).isascii()
