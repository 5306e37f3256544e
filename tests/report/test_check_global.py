"""The script that checks a server again: what it holds, how it runs, and names that attack it."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows, asdict
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.docker import DockerEngine
from auditlib.folders import write
from auditlib.report.check_global import script
from tests.conftest import MOMENT, snapshot_of
from tests.hostile import ATTACKS, hostile_names

SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
# Programs that stand for the machine's: they tell what they were asked, and answer as told.
DOCKER = """#!/bin/sh
printf 'docker' >> asked; for one in "$@"; do printf '<%s>' "$one" >> asked; done; echo >> asked
case "$*" in
*State*) echo running/healthy ;;
*Networks*) echo '{"unified-net":{},"traefik-net":{}}' ;;
port*) echo "0.0.0.0:80" ;;
*stat*) echo 600 ;;
esac
"""
TOOLS = ("sh", "dash", "grep", "cat")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script where only these programs are, in a folder of its own."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (programs / tool).symlink_to(found)

    def run(text: str, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
        for name, content in given.items():
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        (tmp_path / "check_global.sh").write_text(text, "utf-8")
        command = [str(programs / "sh"), "check_global.sh", *words]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True, check=False
        )

    return run


def lines(done: subprocess.CompletedProcess[str], word: str) -> list[str]:
    return [line.strip() for line in done.stdout.splitlines() if line.startswith(f"  {word} ")]


def attacked(facts: Snapshot) -> Snapshot:
    """A server whose every text is an attack, the names that hold facts together included."""
    tables = {}
    for name, rows in hostile_names(facts).tables.items():
        changed = []
        for i, row in enumerate(rows):
            values = asdict(row)
            for column in ("container", "database", "domain", "url", "host_path", "path", "network", "unit", "user"):
                if isinstance(values.get(column), str):
                    values[column] += ATTACKS[i % len(ATTACKS)]
            changed.append(values)
        tables[name] = TABLES[name].rows(changed)
    return Snapshot("serveur\n$(touch pwned)", MOMENT, tables, facts.absent)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("variant", ["faulty", "healthy", "attacked", "empty"])
def test_shells_read_it(shell: str, variant: str, faulty: Snapshot, healthy: Snapshot, tmp_path: Path) -> None:
    facts = {"faulty": faulty, "healthy": healthy, "attacked": attacked(faulty), "empty": snapshot_of()}[variant]
    path = tmp_path / "check_global.sh"
    path.write_text(script(facts), "utf-8")
    assert subprocess.run([shell, "-n", path], capture_output=True, check=False).stderr == b""


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("variant", ["faulty", "attacked", "empty"])
def test_shellcheck_has_nothing_to_say(variant: str, faulty: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "check_global.sh"
    path.write_text(script({"faulty": faulty, "attacked": attacked(faulty), "empty": snapshot_of()}[variant]), "utf-8")
    done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_names_that_attack_are_only_words(faulty: Snapshot, tmp_path: Path, machine: Any) -> None:
    done = machine(script(attacked(faulty)), docker=DOCKER, curl=DOCKER, ss=DOCKER)
    assert not list(tmp_path.rglob("pwned"))
    assert done.stderr == ""
    assert "nom illisible" in done.stdout.replace("\u00a0", " ")
    # What the attack hides in is one word, as it is; no control character goes to the terminal.
    assert "$(touch pwned); `touch pwned` && touch pwned #>" in (tmp_path / "asked").read_text("utf-8")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_a_name_like_a_place_of_the_template_is_only_a_name() -> None:
    facts = snapshot_of(containers=[])
    facts.hostname = "@agent@"
    assert script(facts).startswith("#!/bin/sh\n# Contrôle de @agent@, ")


def test_only_fixed_commands_that_read_are_run(faulty: Snapshot, tmp_path: Path, machine: Any) -> None:
    machine(script(faulty), docker=DOCKER, curl=DOCKER)
    asked = (tmp_path / "asked").read_text("utf-8").splitlines()
    assert {line.split(">")[0] for line in asked if "<exec>" not in line} >= {"docker<inspect", "docker<port"}
    assert {line.split(">")[0] for line in asked} <= {
        "docker<version",
        "docker<inspect",
        "docker<port",
        "docker<exec",
        "docker<-gksS",  # curl
        "docker<-f",
    }
    assert [line for line in asked if "<exec>" in line] == [
        "docker<exec><postgres><psql><-U><lalpha><-d><main><-c><SELECT now();>",
        "docker<exec><redis><redis-cli><PING>",
        "docker<exec><traefik><stat><-Lc><%a><--></certs/acme.json>",
    ]


def test_tools_that_are_missing_are_told_and_never_ok(faulty: Snapshot, machine: Any) -> None:
    done = machine(script(faulty), docker=DOCKER)
    unseen = lines(done, "non vérifié")
    assert any("https://ai.4lb.ca/ (commande curl absente)" in line for line in unseen)
    assert any("3306/tcp" in line and "commande ss absente" in line for line in unseen)
    assert not any("4lb.ca" in line or "3306" in line for line in lines(done, "ok"))


@pytest.mark.parametrize(
    ("status", "own", "answer", "word"),
    [
        (200, False, "200", "ok"),
        (200, False, "404", "ÉCART"),
        (401, False, "401", "ok"),
        (404, False, "404", "ok"),
        (404, True, "404", "ÉCART"),
        (502, True, "200", "ok"),
        (None, None, "503", "ÉCART"),
        (None, None, "204", "ok"),
        (200, False, "", "ÉCART"),
        (None, None, "000", "ÉCART"),
    ],
)
def test_a_domain_answers_as_it_did(status: Any, own: Any, answer: str, word: str, machine: Any) -> None:
    probe = {"url": "https://a.example/x", "domain": "a.example", "path": "/x", "entrypoint": "websecure"}
    told = {"address": "127.0.0.1:8443", "status": status, "own_answer": own}
    facts = snapshot_of(traefik_routers=[], traefik_services=[], traefik_servers=[], http_probes=[{**probe, **told}])
    facts.tables["routes"] = Rows()
    done = machine(script(facts), docker=DOCKER, curl=f"#!/bin/sh\nprintf '%s' '{answer}'\necho \"$@\" >> asked\n")
    assert [line for line in lines(done, word) if "a.example" in line], done.stdout


def test_it_cannot_run_without_docker(faulty: Snapshot, machine: Any) -> None:
    text = script(faulty)
    assert machine(text).returncode == 2
    refused = machine(text, docker="#!/bin/sh\nexit 1\n")
    assert refused.returncode == 2
    assert "ne répond pas" in refused.stderr


def test_its_help_and_its_wrong_options(faulty: Snapshot, machine: Any) -> None:
    told = machine(script(faulty), "--help")
    assert told.returncode == 0
    assert "Code de sortie" in told.stdout
    wrong = machine(script(faulty), "--faux")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_exit_codes_tell_the_result(machine: Any) -> None:
    container = {"name": "a", "id": "1", "image": "i", "state": "running", "healthcheck": False}
    facts = snapshot_of(containers=[container])
    assert machine(script(facts), docker=DOCKER).returncode == 0
    assert machine(script(facts), docker=DOCKER.replace("running/", "exited/")).returncode == 1
    # Nothing at all could be verified.
    assert machine(script(snapshot_of()), docker=DOCKER).returncode == 2


def test_what_is_stopped_on_purpose_is_not_expected(machine: Any) -> None:
    rows = [
        {"name": name, "id": name, "image": "i", "state": state, "restart_policy": policy, "healthcheck": False}
        for name, state, policy in [
            ("marche", "running", "no"),
            ("fini", "exited", "no"),
            ("tombe", "exited", "always"),
        ]
    ]
    done = machine(script(snapshot_of(containers=rows)), docker=DOCKER)
    assert [line.split()[1] for line in lines(done, "ok")] == ["marche", "tombe"]


@pytest.mark.parametrize(
    ("endpoint", "line"),
    [
        ("unix:///var/run/docker.sock", None),
        ("unix:///run/user/1000/docker.sock", "DOCKER_HOST=unix:///run/user/1000/docker.sock"),
        ("tcp://10.0.0.2:2375", "DOCKER_HOST=tcp://10.0.0.2:2375"),
        ("tcp://[secret retiré]@h:1", None),
    ],
)
def test_the_engine_is_the_one_audited(endpoint: str, line: str | None) -> None:
    text = script(snapshot_of(docker_engine=[{"name": "m", "endpoint": endpoint, "local": True}]))
    found = [one for one in text.splitlines() if one.startswith("DOCKER_HOST=")]
    assert found == ([line] if line else [])


def test_another_machine_is_not_asked_for_what_this_one_has(faulty: Snapshot) -> None:
    engine = [dataclasses.replace(engine, local=False) for engine in faulty.rows(DockerEngine)]
    text = script(faulty.changed({"docker_engine": engine}))
    assert "domaine http" not in text
    assert "mode traefik /certs/acme.json ''" in text


def test_the_report_shows_the_script(faulty: Snapshot, faulty_report: str) -> None:
    chapter = faulty_report.split("## 8.")[1].split("\n## ")[0]
    assert script(faulty) in chapter


def test_each_part_of_the_server_has_its_line(faulty: Snapshot) -> None:
    text = script(faulty)
    for wanted in (
        "conteneur traefik ''",
        "conteneur redis sain",
        "attache jsr-dev unified-net",
        "publie chromadb 8000/tcp 8000",
        "ecoute 3306 tcp mariadbd 'mariadb.service (mariadbd)'",
        "domaine https://ai.4lb.ca/ 200 --resolve ai.4lb.ca:443:127.0.0.1",
        "base redis docker exec redis redis-cli PING",
    ):
        assert f"\n{wanted}\n" in text


def test_the_file_can_be_run(faulty: Snapshot, tmp_path: Path) -> None:
    write(tmp_path / "check_global.sh", script(faulty), executable=True)
    assert os.access(tmp_path / "check_global.sh", os.X_OK)
