"""The command line: what it prints, where, and its exit codes. Every error is one French sentence."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auditlib import folders
from auditlib.run import cli
from auditlib.version import __version__
from tests.conftest import unprivileged


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["nimporte"],
            64,
            "Commande inconnue : « nimporte ». Commandes : run, collect, check, report, explain, expect. "
            "Aide : auditlib --help.",
        ),
        (["run", "--rien"], 64, "Option inconnue : --rien. Aide : auditlib --help."),
        (["run", "-p", "timeout_s"], 64, "L’option -p n’a pas les valeurs qu’elle attend. Aide : auditlib --help."),
        (
            ["check", "--format", "xml"],
            64,
            "Valeur refusée pour --format. Valeurs possibles : table, json. Aide : auditlib --help.",
        ),
        (["check", "a", "b"], 64, "Argument en trop : b. Aide : auditlib --help."),
        (["collect"], 64, "Il manque --output. Aide : auditlib --help."),
        (
            ["run", "-f", "absent.yaml"],
            64,
            "Fichier introuvable : absent.yaml. Vérifiez le chemin donné.",
        ),
        (
            ["run", "-p", "timeout_s", "vite"],
            64,
            "Paramètre « timeout_s » : valeur « vite » refusée, attendu : un nombre.",
        ),
        (["run", "-p", "require", "[rien]"], 64, "(« rien » n’en est pas une)"),
        (["run", "-p", "inconnu", "1"], 64, "Paramètre inconnu : « inconnu ». Paramètres possibles : docker_host,"),
        (
            ["check", "absent"],
            2,
            "Lecture de l’instantané : absent n’existe pas. Donnez un dossier d’exécution ou son instantané.",
        ),
        (
            ["report", "absent"],
            2,
            "Lecture de l’instantané : absent n’existe pas. Donnez un dossier d’exécution ou son instantané.",
        ),
        (
            ["run", "--notebooks", "absent"],
            2,
            "Aucun carnet 00_*.ipynb dans absent. Donnez le dossier des carnets avec --notebooks.",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_a_code(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    returned, out, err = call(capsys, *arguments)
    assert (returned, out) == (code, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [[], ["run"], ["collect"], ["check"], ["report"]])
def test_every_command_has_its_help_in_french(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    for flag in ("--help", "-h"):
        code, out, err = call(capsys, *command, flag)
        assert (code, err) == (0, "")
        assert "Affiche cette aide." in out
        assert not re.search(r"Show this message|Commands:|\[default|required", out)


def test_without_a_command_the_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys)
    assert (code, out) == (64, "")
    assert re.findall(r"^ +(\d+) ", err, re.MULTILINE) == ["0", "1", "2", "64", "130"]


def test_the_script_is_the_command_that_the_module_is() -> None:
    """`python -m auditlib` is what the other tests run."""
    script = Path(sys.executable).with_name("auditlib")
    told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"auditlib {__version__}\n"


def test_a_service_manager_stops_it_as_a_person_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, object] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    call(capsys, "--version")
    assert handlers == {signal.SIGTERM: signal.default_int_handler}  # the one of Python for Control-C


def test_check_prints_the_findings_as_json(capsys: pytest.CaptureFixture[str], demo: Path) -> None:
    code, out, err = call(capsys, "check", str(demo), "--format", "json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    planted = {"PORT-002", "PORT-004", "PORT-005", "PORT-006", "NET-001", "NET-007", "DB-004", "COMPOSE-001"}
    planted |= {"ROUTE-009", "ROUTE-014", "LOG-003", "COMPOSE-004"}
    others = {"CIS-5.14", "CIS-5.32", "CONT-007", "DB-007", "HTTP-003", "ROUTE-012"}
    assert {finding["check"] for finding in document["findings"]} == planted | others


def test_check_prints_the_findings_as_a_table(capsys: pytest.CaptureFixture[str], demo: Path) -> None:
    _, out, _ = call(capsys, "check", str(demo))
    lines = out.splitlines()
    assert len(lines) == 31
    assert lines[0].startswith("critique     PORT-004     ChromaDB")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ([], 0),
        (["-p", "fail_on", "critical"], 1),
        (["-p", "fail_on", "critical", "-p", "severities", "{PORT-004: low}"], 0),
        (["-p", "fail_on", "medium", "-p", "severities", "{PORT-004: low}"], 1),
        (["-p", "require", "[engine, listeners]"], 0),
    ],
)
def test_the_exit_code_is_what_was_asked(
    capsys: pytest.CaptureFixture[str], demo: Path, parameters: list[str], code: int
) -> None:
    assert call(capsys, "check", str(demo), *parameters)[0] == code


@pytest.fixture
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("no_docker")
def test_collect_without_docker_writes_what_it_can_and_says_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "ici"
    code, out, err = call(capsys, "collect", "--output", str(folder))
    assert (code, out) == (0, f"{folder}\n")
    assert "n’existe pas (fichier absent)" in err
    assert {"manifest.json", "listeners.json.gz", "sources.json.gz"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "containers.json.gz").exists()


@pytest.mark.usefixtures("no_docker")
def test_a_required_source_that_is_not_read_is_a_failure_but_nothing_is_lost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = call(capsys, "collect", "--output", str(tmp_path / "ici"), "-p", "require", "[engine]")
    assert code == 2
    assert "sources exigées et non lues entièrement : engine (absente)" in err
    assert call(capsys, "check", str(tmp_path / "ici"))[0] == 0


@pytest.mark.usefixtures("no_docker")
def test_collect_never_writes_into_a_folder_that_holds_something(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("précieux")
    code, _, err = call(capsys, "collect", "--output", str(tmp_path))
    assert code == 2
    assert "existe déjà. Donnez un dossier vide ou nouveau." in err
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("damage", ["truncated", "altered", "absent", "later", "garbage"])
def test_a_damaged_snapshot_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, demo: Path, damage: str
) -> None:
    folder = tmp_path / "instantane"
    subprocess.run(["cp", "-r", demo, folder], check=True)
    table, manifest = folder / "containers.json.gz", folder / "manifest.json"
    content = table.read_bytes()
    {
        "truncated": lambda: table.write_bytes(content[: len(content) // 2]),
        "altered": lambda: table.write_bytes(content[:-8] + bytes(8)),
        "absent": table.unlink,
        "later": lambda: manifest.write_text(
            manifest.read_text("utf-8").replace('"format": 1', '"format": 9'), "utf-8"
        ),
        "garbage": lambda: manifest.write_text("[]"),
    }[damage]()
    code, out, err = call(capsys, "check", str(folder))
    assert (code, out) == (2, "")
    assert err.startswith("Lecture de l’instantané : ") and len(err.splitlines()) == 1
    assert ("Mettez auditlib à jour" if damage == "later" else "est illisible ou tronqué") in err


def test_a_reader_that_leaves_is_no_error(demo: Path) -> None:
    command = f"{sys.executable} -m auditlib check {demo} --format json | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_of_jupyter_is_imported_by_quick_commands(demo: Path) -> None:
    code = (
        "import sys; from auditlib.run.cli import main; main(['check', sys.argv[1]]);"
        "sys.exit(bool({'papermill', 'nbconvert', 'docker', 'matplotlib', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(demo)], capture_output=True, check=False)
    assert done.returncode == 0


def test_a_snapshot_that_may_not_be_read_is_one_sentence(capsys: pytest.CaptureFixture[str], public: Path) -> None:
    (public / "manifest.json").write_text("{}")
    (public / "manifest.json").chmod(0)
    with unprivileged():
        code, _, err = call(capsys, "check", str(public))
    assert code == 2 and "permission refusée" in err


def test_report_without_a_run_says_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "report", "--outputs", str(tmp_path))
    assert code == 2
    assert re.match(r"Aucune exécution complète de .* dans .*\. Lancez d’abord « make audit »\.$", err)


def test_the_project_is_found_from_the_package() -> None:
    assert (folders.project() / "notebooks" / "00_collecte.ipynb").is_file()
