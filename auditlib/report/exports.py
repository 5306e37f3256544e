"""The exports of a run: HTML, French Markdown, JSON, the graph, and the files of the plan."""

from pathlib import Path

from auditlib.derived import Facts
from auditlib.facts import snapshot
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.findings.audit import Audit
from auditlib.findings.policy import Policy
from auditlib.folders import NOTEBOOKS, replace_folder, write
from auditlib.plan import FOLDER, exported
from auditlib.report import figures
from auditlib.report.check_global import script
from auditlib.report.constats import constats
from auditlib.report.html import page
from auditlib.report.markdown import report
from auditlib.views import graph as topology

HTML, MARKDOWN, JSON, SVG, GRAPHML = "rapport.html", "rapport.md", "constats.json", "graphe.svg", "graphe.graphml"
SCRIPT = "check_global.sh"


def export(run: Path, policy: Policy, name: str = "") -> Audit:
    """Write every export of a run from its snapshot and its executed notebooks, and return its findings.

    `policy` is what it is judged by, `name` is the run's own when its folder does not have it yet.
    Raises SnapshotError when the snapshot cannot be read, RunError when a file cannot be written.
    """
    read = snapshot.read(run)
    read.origin = name or read.origin
    facts = Facts(read, policy)
    picture, graphml = _graph(facts.snapshot)
    write(run / SVG, picture)
    write(run / GRAPHML, graphml)
    write(run / SCRIPT, script(facts.snapshot), executable=True)
    replace_folder(run / FOLDER, exported(facts.plan))
    write(run / MARKDOWN, report(facts))
    write(run / JSON, constats(facts, facts.plan))
    # The page last: a reader who finds it finds the rest.
    write(run / HTML, page(facts.snapshot, (run / NOTEBOOKS).glob("*.ipynb")))
    return facts.audit


def _graph(facts: Snapshot) -> tuple[str, str]:
    """The graph as SVG and GraphML; without routes, a picture that says so and an empty graph."""
    try:
        tree = facts.call(topology.graph)
    except AbsentTable as absent:
        return figures.absent_figure(f"Graphe non évaluable : {absent.reason}.").svg, topology.graphml(None)
    return figures.graph_figure(tree).svg, topology.graphml(tree)
