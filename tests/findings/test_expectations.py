"""What is true of a machine, frozen into a file that a person edits, and read back with the parameters."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib import parameters
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS
from auditlib.findings.expectations import Expectations, document, freeze
from auditlib.findings.policy import Policy
from auditlib.run import cli
from tests.conftest import snapshot_of

BOTH = [CHECKS["PORT-008"], CHECKS["EXPECT-001"]]


def _machine(**changed: list[dict[str, Any]] | None) -> Snapshot:
    tables: dict[str, Any] = {
        "host": [{"name": "serveur", "root": True, "ephemeral_first": 32768, "ephemeral_last": 60999}],
        "containers": [
            {"name": "web", "state": "running", "health": "starting"},
            {"name": "api", "state": "running"},
            {"name": "job", "state": "exited", "health": "unhealthy"},
        ],
        "publications": [
            {"container": "web", "protocol": "tcp", "container_port": 80, "host_ip": ip, "host_port": 80, "live": True}
            for ip in ("0.0.0.0", "::")
        ],
        "listeners": [
            {"protocol": "tcp", "family": "ipv4", "address": "127.0.0.1", "port": 631},
            {"protocol": "udp", "family": "ipv4", "address": "0.0.0.0", "port": 40000, "process": "ntpd"},
        ],
        "http_probes": [
            {"url": "https://b.fr/", "domain": "b.fr", "entrypoint": "websecure", "error": "délai dépassé"},
            {"url": "https://a.fr/", "domain": "a.fr", "entrypoint": "websecure", "status": 200},
        ],
        "certificates": [
            {"origin": "served", "domain": "a.fr", "issuer": "R11", "fingerprint": "1", "default": False},
            {"origin": "acme", "domain": "a.fr", "issuer": "R10", "fingerprint": "2", "valid": True},
            {"origin": "served", "domain": "b.fr", "issuer": "x", "fingerprint": "3", "default": True},
            {"origin": "traefik_api", "issuer": "R12", "fingerprint": "4", "valid": True},
        ],
        "databases": [
            {"database": "pg", "kind": "PostgreSQL", "running": True},
            {"database": "old", "kind": "MySQL", "running": False},
        ],
    }
    return snapshot_of(**{name: rows for name, rows in {**tables, **changed}.items() if rows is not None})


def _read(text: str, folder: Path) -> Expectations:
    (folder / "attendus.yaml").write_text(text, "utf-8")
    return parameters.read(None, {"expected": str(folder / "attendus.yaml")}).expected


def test_what_is_frozen() -> None:
    assert freeze(_machine()) == (
        {
            "port": {"tcp/0.0.0.0:80": "web", "tcp/[::]:80": "web", "tcp/127.0.0.1:631": ""},
            "container": {"api": "running", "job": "exited", "web": "healthy"},
            "domain": {"https://a.fr/": "200"},
            "certificate": {"a.fr": "R11"},
            "database": {"pg": "PostgreSQL"},
        },
        {},
    )


def test_what_was_not_read_is_left_out_with_its_reason(tmp_path: Path) -> None:
    facts = _machine(http_probes=None, databases=[])
    expected, unread = freeze(facts)
    assert "domain" not in expected and unread == {"domain": "elle n’a pas été lue"}
    text = document(facts)
    assert "# Rien n’est figé ici : elle n’a pas été lue." in text and "# Il n’y en a pas." in text
    assert set(_read(text, tmp_path)) == {"port", "container", "certificate"}


def test_the_file_is_french_and_says_how_to_use_it() -> None:
    lines = document(_machine()).splitlines()
    assert lines[0] == "# Ce qui doit être vrai de serveur, tel que constaté le 23 novembre 2026 à 8 h 15 (UTC)."
    assert "# Pour que les audits suivants le vérifient, nommez ce fichier dans le paramètre « expected »." in lines
    assert max(map(len, lines)) <= 120
    assert "  'https://a.fr/': 200" in lines and "  web: healthy" in lines


def test_what_is_frozen_is_then_conforming(tmp_path: Path) -> None:
    facts = _machine()
    audit = judge(facts, Policy(expected=_read(document(facts), tmp_path)), BOTH)
    assert [result.verdict for result in audit.results] == ["pass", "pass"]


HOSTILE = st.text(st.characters(codec=None), min_size=1, max_size=20)


@given(name=HOSTILE, owner=HOSTILE)
def test_any_name_is_read_back(name: str, owner: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    facts = _machine(
        containers=[{"name": name, "state": "running"}],
        databases=[{"database": name, "kind": owner, "running": True}],
        http_probes=None,
        certificates=None,
        publications=[],
        listeners=[{"protocol": "tcp", "family": "ipv4", "address": "10.0.0.1", "port": 80, "process": owner}],
    )
    expected, _ = freeze(facts)
    assert _read(document(facts), tmp_path_factory.getbasetemp()) == expected


# The command


def test_the_command_writes_the_file_and_says_what_to_do(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "attendus.yaml"
    assert cli.main(["expect", str(demo), "--output", str(file)]) == cli.DONE
    said = capsys.readouterr()
    assert said.out == f"{file}\n" and f"expected: {file}" in said.err
    assert cli.main(["check", str(demo), "-p", "expected", str(file)]) == cli.DONE
    assert "PORT-008" not in capsys.readouterr().out


def test_a_file_that_exists_is_not_touched_without_saying_so(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "attendus.yaml"
    file.write_text("port: {}\n")
    assert cli.main(["expect", str(demo), "--output", str(file)]) == cli.NOT_DONE
    assert "existe déjà" in capsys.readouterr().err and file.read_text() == "port: {}\n"
    assert cli.main(["expect", str(demo), "--output", str(file), "--force"]) == cli.DONE
    assert "container:" in file.read_text()


def test_a_file_that_cannot_be_written(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["expect", str(demo), "--output", str(tmp_path / "absent" / "a.yaml")]) == cli.NOT_DONE
    assert "fichier ou dossier absent" in capsys.readouterr().err
