"""Names chosen against the audit: hostile to a shell, to a template, to an identity, to the eye."""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import pytest

from auditlib.findings.audit import Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS, Check
from auditlib.french import visible
from auditlib.software import GENERIC_NAMES
from tests.checks.cases import Case, Tables, load
from tests.conftest import snapshot_of

FAILING: dict[str, list[Case]] = defaultdict(list)
for one in load():
    if one.verdict == "fail":
        FAILING[one.check].append(one)
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))

HOSTILE = (
    '--o\'ne "two" $(touch pwned)`touch pwned`;touch pwned|touch pwned&<script>alert(1)</script>{container}{0}%s*?~!#\\'
)
HIDDEN = "a\nb\x1b[2J\u202egnp.exe\x00\u061c"

# Columns that hold names which people choose; the words of the audit, of Docker and of Traefik are left alone.
NAMES = {"name", "container", "network", "compose_project", "compose_service", "process", "unit", "router", "service"}
NAMES |= {"middleware", "entrypoint"}
NAMES |= {"project", "database"}
KEPT = {"traefik", "api@internal", "dashboard@internal", "docker-proxy", "rootlesskit", "host", "bridge", "none"}
KEPT |= {"ingress", "sshd", "docker.service", "prometheus.service", "nginx_exporter"}
# The router of ROUTE-022, which labels of its cases declare too.
KEPT |= {"photos@docker"}
PLACE = re.compile(r"(?:tcp|udp)/.*:[0-9]+")  # the name of an expected port


# What the commands of findings run.
PROGRAMS = ("docker", "docker-compose", "ss", "curl", "chmod", "sudo", "stat", "df", "free", "ps", "pgrep", "getent")
PROGRAMS += ("journalctl", "systemctl")


def _renamed(case: Case, rename: Callable[[str], str]) -> tuple[Tables, dict[str, str]]:
    """The tables of a case with every name changed, and the new names by old one."""
    kept = KEPT | (GENERIC_NAMES if case.check == "COMPOSE-001" else set())
    names = {row[column] for rows in case.tables.values() for row in rows for column in NAMES & set(row)}
    new = {name: rename(name) for name in names if name.lower() not in kept and not PLACE.fullmatch(name)}

    def changed(value: Any) -> Any:
        return [changed(item) for item in value] if isinstance(value, list) else new.get(value, value)

    tables = {
        table: [{key: changed(value) for key, value in row.items()} for row in rows]
        for table, rows in case.tables.items()
    }
    return tables, new


def _found(check: Check, tables: Tables) -> list[Finding]:
    return list(judge(snapshot_of(**tables), checks=[check]).findings)


def _commands(finding: Finding) -> tuple[str, ...]:
    return finding.fix.commands + finding.fix.verify


@EVERY
def test_a_shell_reads_a_name_back_as_one_word(check: Check) -> None:
    wanted, commands = [], []
    for case in FAILING[check.id]:
        tables, new = _renamed(case, lambda name: HOSTILE + name)
        plain, hostile = case.audit.findings, _found(check, tables)
        assert len(hostile) == len(plain)
        wanted += [_words(command, new) for finding in plain for command in _commands(finding)]
        commands += [command for finding in hostile for command in _commands(finding)]
    assert sorted(_run(commands)) == sorted(wanted)


def _words(command: str, new: dict[str, str]) -> list[str]:
    """The words of a command with the old names replaced: as a whole, in a filter, at the end of an address."""
    words = []
    for word in shlex.split(command):
        head, slash, last = word.rpartition("/")
        named = new.get(unquote(last)) if slash else None
        address = f"{head}/{quote(named, safe='@')}" if named else word
        filtered = {f"name=^/{old}$": f"name=^/{name}$" for old, name in new.items()}
        words.append({**filtered, **new}.get(word, address))
    return words


def _run(commands: list[str]) -> list[list[str]]:
    """The words that bash gives to the programs of these commands, each replaced by a function that tells them."""
    tell = 'printf "%s\\0" "${FUNCNAME[0]}" "$@"; printf "\\n\\0"'
    stubs = [f"{program}() {{ {tell}; }}" for program in PROGRAMS]
    script = "\n".join([*stubs, *commands])
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-c", script], env={"PATH": "", "LC_ALL": "C.UTF-8"}, capture_output=True, check=True)
    assert not done.stderr
    return [run.split("\0")[:-1] for run in done.stdout.decode().split("\n\0")[:-1]]


@EVERY
def test_hidden_characters_are_shown_and_never_in_a_command(check: Check) -> None:
    for case in FAILING[check.id]:
        tables, _ = _renamed(case, lambda name: HIDDEN + name)
        hidden = _found(check, tables)
        assert len(hidden) == len(case.findings)
        for finding in hidden:
            assert all(text == visible(text) for text in (finding.message, finding.fix.text, *_commands(finding)))
            told = any(HIDDEN in name for _, name in finding.subjects)
            assert visible(HIDDEN) in finding.message or not told
            assert not any(visible(HIDDEN) in command for command in _commands(finding))


@EVERY
def test_an_identity_gives_its_subjects_back(check: Check) -> None:
    tables, _ = _renamed(FAILING[check.id][0], lambda name: f"{HOSTILE}{HIDDEN}a|b=c%7C\ud800é/:@{name}")
    found = _found(check, tables)
    assert found
    for finding in found:
        first, *parts = finding.identity.split("|")
        pairs = [part.partition("=")[::2] for part in parts]
        subjects = tuple((kind, unquote(name, errors="surrogatepass")) for kind, name in pairs)
        assert (first, subjects) == (check.id, finding.subjects)
        assert finding.identity.isprintable() and finding.identity.isascii()
