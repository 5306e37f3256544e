"""The whole workbook on the recorded reference server: real kernels, real papermill, and what a run leaves."""

import json
import re
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import click
import nbformat
import networkx as nx
import papermill
import pytest

import auditlib
from auditlib import folders, notebook
from auditlib.facts.snapshot import FOLDER, Snapshot
from auditlib.findings.audit import audit as judge
from auditlib.parameters import Parameters
from auditlib.run import cli, workbook
from tests.run.test_engines_fast import held
from tests.testbed.canaries import CANARIES

NOTEBOOKS = folders.project() / "notebooks"
NAMES = [
    "00_collecte",
    "10_inventaire",
    "20_ports",
    "30_routes",
    "40_graphe",
    "50_bases",
    "60_constats",
    "70_plan",
    "90_rapport",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the run tells while it runs."""
    return []


@pytest.fixture(scope="module")
def done(outputs: Path, said: list[str], demo: Path) -> workbook.Done:
    """One run of the whole workbook on the recorded snapshot."""
    asked = Parameters(outputs=str(outputs), snapshot=str(demo), severities={"COMPOSE-001": "low"})
    return workbook.run(asked, NOTEBOOKS, said.append)


def carnet(run: Path, name: str) -> nbformat.NotebookNode:
    return nbformat.read(run / folders.NOTEBOOKS / f"{name}.ipynb", as_version=4)


def shown(done: workbook.Done, name: str, cell: str) -> str:
    """The HTML that a cell shows."""
    outputs = next(one for one in carnet(done.folder, name).cells if one.id == cell).outputs
    return "".join(output.data["text/html"] for output in outputs)


def test_a_run_leaves_what_the_contract_says(done: workbook.Done, outputs: Path) -> None:
    wanted = {FOLDER, folders.NOTEBOOKS, "rapport.html", "rapport.md", "constats.json", "graphe.svg", "graphe.graphml"}
    wanted |= {"check_global.sh", "correctifs", "parametres.yaml"}
    assert {path.name for path in done.folder.iterdir()} == {*wanted, folders.JOURNAL}
    assert done.folder.parent == outputs / "serveur"
    assert (done.folder.parent / "latest").resolve() == done.folder
    assert done.failed == ()
    assert {path.name for path in outputs.iterdir()} == {"serveur"}


def test_progress_is_told_for_every_notebook_and_source(done: workbook.Done, said: list[str]) -> None:
    text = "\n".join(said)
    assert [name for name in NAMES if name not in text] == []
    assert re.search(r"engine +lue en ", text)
    assert f"[{len(NAMES)}/{len(NAMES)}]" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_ran_to_its_end_on_its_own_parameters(done: workbook.Done, name: str) -> None:
    executed = carnet(done.folder, name)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    given = executed.metadata.papermill.parameters
    assert given["snapshot"] == "../instantane" or name == "00_collecte"
    if "severities" in given:
        assert given["severities"] == {"COMPOSE-001": "low"}


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_give_the_same_outputs(done: workbook.Done, demo_run: str, name: str) -> None:
    """`auditlib run --fast` has the same parameters, those of `done`."""
    in_process, isolated = held(carnet(Path(demo_run.splitlines()[0]).parent, name)), held(carnet(done.folder, name))
    assert any(isolated)
    assert in_process == isolated


def test_executed_notebooks_tell_nothing_of_where_they_ran(done: workbook.Done) -> None:
    for path in (done.folder / folders.NOTEBOOKS).glob("1*.ipynb"):
        assert str(folders.project()) not in path.read_text("utf-8")
        assert str(done.folder) not in path.read_text("utf-8")


def test_a_run_can_be_moved_and_its_notebooks_run_again(done: workbook.Done, tmp_path: Path) -> None:
    moved = tmp_path / "ailleurs"
    subprocess.run(["cp", "-r", done.folder, moved], check=True)
    where = {"metadata": {"path": str(moved / folders.NOTEBOOKS)}}
    again = papermill.execute_notebook(
        moved / folders.NOTEBOOKS / "20_ports.ipynb",
        tmp_path / "again.ipynb",
        engine_name="audit",
        progress_bar=False,
        resources=where,
    )
    cell = next(cell for cell in again.cells if cell.id == "analyse")
    assert "chromadb" in cell.outputs[0].data["text/html"]


def test_inventory_finds_the_stacks_and_the_services_of_the_host(done: workbook.Done) -> None:
    stacks = shown(done, "10_inventaire", "analyse")
    for name in ("unified-stack", "multimedia", "ai-orchestrator", "jsr-solutions", "agent-zero"):
        assert f"<div>{name}</div>" in stacks
    services = re.sub(r"<wbr>", "", shown(done, "10_inventaire", "services"))
    assert "ai-orchestrator-backend.service" in services
    assert "127.0.0.1:3306" in services


def test_ports_finds_every_port_of_the_reference_audit(done: workbook.Done) -> None:
    table = shown(done, "20_ports", "analyse")
    ports = re.findall(r'data-label="Port"><div>(\d+)</div>', table)
    assert ports == ["80", "443", "2222", "3306", "8000", "8001", "8002", "8080", "8888", "9835"]
    assert "PORT-004" in shown(done, "20_ports", "constats")
    assert 'alt="10 ports, dont 9 sur toutes les interfaces' in shown(done, "20_ports", "figure").replace("\u00a0", " ")


def test_routes_finds_every_domain_and_the_fallback_of_jsr(done: workbook.Done) -> None:
    table = re.sub(r"<wbr>", "", shown(done, "30_routes", "analyse"))
    for domain, target in (
        ("files.4lb.ca", "media-api"),
        ("ai.4lb.ca", "ai-orchestrator-backend.service"),
        ("jsr.4lb.ca", "jsr-dev"),
    ):
        assert domain in table
        assert f"<div>{target}</div>" in table
    constats = shown(done, "30_routes", "constats")
    assert "NET-001" in constats and "ROUTE-014" in constats and "NET-002" not in constats


def test_graph_and_summary_say_what_they_see(done: workbook.Done) -> None:
    assert "Hors du réseau désigné à Traefik" in shown(done, "40_graphe", "synthese")
    summary = shown(done, "90_rapport", "synthese")
    assert "17 conteneurs en marche sur 17" in summary
    assert "« jsr-dev »".replace("« ", "«\u00a0").replace(" »", "\u00a0»") in summary


def test_findings_are_the_planted_faults_with_the_severity_asked(done: workbook.Done) -> None:
    document = json.loads((done.folder / "constats.json").read_text("utf-8"))
    found = {(finding["check"], finding["severity"]) for finding in document["findings"]}
    grave = {("PORT-004", "critical"), ("NET-001", "high"), ("ROUTE-014", "high"), ("DB-004", "high")}
    medium = {(check, "medium") for check in ("NET-007", "PORT-002", "PORT-005", "PORT-006", "ROUTE-009")}
    low = {(check, "low") for check in ("COMPOSE-001", "CIS-5.14", "CIS-5.32", "CONT-007", "HTTP-003")}
    info = {(check, "info") for check in ("COMPOSE-004", "DB-007", "LOG-003", "ROUTE-012")}
    assert found == grave | medium | low | info
    assert document["run"]["id"] == done.folder.name
    assert document["run"]["versions"]["traefik"] == "3.6.6"
    # HOST-004 needs the units, and there is no systemd there.
    assert [one["check"] for one in document["results"] if one["verdict"] == "unknown"] == ["HOST-004"]
    assert {finding.identity for finding in done.audit.findings} == {one["identity"] for one in document["findings"]}


def test_the_graph_is_on_disk_as_svg_and_graphml(done: workbook.Done) -> None:
    assert ElementTree.parse(done.folder / "graphe.svg").getroot().tag.endswith("svg")
    tree = nx.read_graphml(done.folder / "graphe.graphml")
    assert nx.has_path(tree, "domain:jsr.4lb.ca", "network:traefik-net")


class Page(HTMLParser):
    """What a page asks for, its identifiers and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if given.get("id") else []
        if tag == "a":
            self.links.append(given.get("href") or "")
        else:
            self.asked += [given[name] or "" for name in ("src", "href", "data", "action") if name in given]


def test_the_page_is_self_contained_french_and_navigable(done: workbook.Done) -> None:
    text = (done.folder / "rapport.html").read_text("utf-8")
    page = Page(text)
    assert '<html lang="fr">' in text
    assert [url for url in page.asked if not url.startswith("data:")] == []
    assert "url(" not in text and "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    assert [link for link in page.links if link.removeprefix("#") not in page.ids] == []
    assert page.tags.count("h1") == 1
    assert re.findall(r'<section id="(\w+)"', text) == [
        "rapport",
        "inventaire",
        "ports",
        "routes",
        "graphe",
        "bases",
        "constats",
        "plan",
        "collecte",
    ]
    assert "auditlib.load" not in text  # the code is hidden


def test_the_markdown_has_the_nine_headings(done: workbook.Done) -> None:
    text = (done.folder / "rapport.md").read_text("utf-8")
    heads = re.findall(r"^## (\d)\. ", text, re.MULTILINE)
    assert heads == list("123456789")
    assert "| jsr.4lb.ca | / | jsr-dev@docker | jsr-dev@docker | jsr-dev | 80 |" in text
    assert (
        text.count("non évaluable") + text.count("Non évaluable") == 2
    )  # units, and HOST-004 that needs them: no systemd there
    assert "pg_isready -U lalpha -d main" in text
    assert "curl -sS http://127.0.0.1:8000/api/v2/heartbeat" in text


def test_no_canary_is_anywhere_in_what_a_run_wrote(done: workbook.Done) -> None:
    import gzip

    for path in (path for path in done.folder.rglob("*") if path.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert [place for place, value in CANARIES.items() if value.encode() in content] == [], path.name


def test_reporting_again_writes_the_same(done: workbook.Done) -> None:
    names = ("rapport.html", "rapport.md", "constats.json", "graphe.svg", "graphe.graphml", "check_global.sh")
    patches = done.folder / "correctifs"
    before = {path: path.read_bytes() for path in [*patches.iterdir(), *(done.folder / name for name in names)]}
    (patches / "99-ancien.patch").write_text("d’un plan d’avant")
    assert cli.main(["report", str(done.folder)]) == 0
    assert {path: path.read_bytes() for path in [*patches.iterdir(), *(done.folder / name for name in names)]} == before


def test_a_run_is_judged_again_by_its_own_parameters(done: workbook.Done, capsys: pytest.CaptureFixture[str]) -> None:
    def severities(*given: str) -> set[str]:
        assert cli.main(["check", str(done.folder), "--format", "json", *given]) == 0
        told = json.loads(capsys.readouterr().out)["findings"]
        return {one["severity"] for one in told if one["check"] == "COMPOSE-001"}

    assert severities() == {"low"} != severities("-p", "severities", "{}")
    assert notebook.load(str(done.folder)).policy.severities == {"COMPOSE-001": "low"}


def test_findings_name_the_patches_that_the_run_wrote(done: workbook.Done) -> None:
    told = json.loads((done.folder / "constats.json").read_text("utf-8"))["findings"]
    named = {one["fix"]["patch"] for one in told} - {None}
    # The step that only prepares another mends nothing by itself.
    written = {f"correctifs/{path.name}" for path in (done.folder / "correctifs").iterdir()}
    assert written - named == {"correctifs/05-multimedia.patch"}
    assert named < written


def test_the_plan_is_shown_with_its_steps(done: workbook.Done) -> None:
    html = shown(done, "70_plan", "plan")
    steps = len(list((done.folder / "correctifs").iterdir()))
    assert html.count('<article class="finding') == steps
    # One for each step, and one in its way back.
    assert 0 < html.count("up -d") <= 2 * steps
    assert "127.0.0.1:8080:8080" in html
    assert "étapes" in shown(done, "70_plan", "synthese")


def test_the_snapshot_of_a_run_loads_as_frames(done: workbook.Done, faulty: Snapshot) -> None:
    facts = auditlib.load(str(done.folder))
    assert facts.containers.equals(faulty.containers)
    assert judge(facts).score == judge(faulty).score


def write_notebook(folder: Path, name: str, *code: str) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in code]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder of notebooks with the collection only."""
    folder = tmp_path / "carnets"
    folder.mkdir()
    (folder / "00_collecte.ipynb").write_bytes((NOTEBOOKS / "00_collecte.ipynb").read_bytes())
    return folder


def test_a_failing_notebook_is_kept_and_the_others_still_run(small: Path, tmp_path: Path, demo: Path) -> None:
    write_notebook(small, "10_casse", "snapshot: str = ''", "1 / 0")
    write_notebook(small, "20_entier", "snapshot: str = ''", "print(snapshot)")
    told: list[str] = []
    asked = Parameters(outputs=str(tmp_path / "o"), snapshot=str(demo))
    done = workbook.run(asked, small, told.append, fast=True)
    assert done.failed == ("10_casse",)
    assert any("10_casse : échec : ZeroDivisionError" in line for line in told)
    kept = (done.folder / folders.NOTEBOOKS / "10_casse.ipynb").read_text("utf-8")
    assert "ZeroDivisionError" in kept
    page = (done.folder / "rapport.html").read_text("utf-8")
    assert "Ce carnet s’est arrêté ici." in page
    assert "An Exception was encountered" not in page
    assert "../instantane" in page  # what the other notebook printed


def test_when_every_notebook_fails_there_is_no_run_but_they_are_kept(small: Path, tmp_path: Path) -> None:
    write_notebook(small, "00_collecte", "destination: str = ''", "raise RuntimeError('rien')")
    with pytest.raises(
        folders.RunError, match=r"La collecte n’a pas abouti : RuntimeError : rien\. Ce qui a été fait est gardé"
    ) as error:
        workbook.run(Parameters(outputs=str(tmp_path / "o")), small, lambda line: None)
    kept = Path(str(error.value).rpartition(" dans ")[2].rstrip("."))
    assert "rien" in (kept / folders.NOTEBOOKS / "00_collecte.ipynb").read_text("utf-8")
    assert list((tmp_path / "o").glob("*/latest")) == []


def test_a_folder_without_notebooks_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(folders.RunError, match=r"^Aucun carnet 00_\*\.ipynb dans .*--notebooks\.$"):
        workbook.run(Parameters(outputs=str(tmp_path)), tmp_path, lambda line: None)


STARTED = threading.Event()


def test_progress_is_told_between_two_notebooks_of_this_process(small: Path, tmp_path: Path, demo: Path) -> None:
    """What is printed while a cell runs in this process would be an output of that cell."""
    write_notebook(small, "10_avant", "snapshot: str = ''")
    starts = f"import time\nfrom {__name__} import STARTED\nSTARTED.set()\ntime.sleep(0.5)"
    write_notebook(small, "20_apres", "snapshot: str = ''", starts)

    def say(line: str) -> None:
        if "10_avant" in line:
            STARTED.wait(1)  # leaves the next notebook the time to start, if nothing keeps it from it
        click.echo(line)

    asked = Parameters(outputs=str(tmp_path / "o"), snapshot=str(demo))
    done = workbook.run(asked, small, say, fast=True)
    assert STARTED.is_set()
    assert [cell.outputs for cell in carnet(done.folder, "20_apres").cells if cell.get("outputs")] == []
