"""What a notebook calls: load a snapshot, show its tables, draw it, judge it, conclude.

Each function returns something with a good HTML form. When the facts it needs are missing, that is a notice that says
why, and the notebook goes on.
"""

import dataclasses
import functools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auditlib import (
    checks,  # noqa: F401 - imported for what they register: checks, and views computed from tables
    folders,
    french,
    plan,
    recommendations,
    views,  # noqa: F401
)
from auditlib.facts import snapshot
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.findings import findings
from auditlib.findings import problems as causes
from auditlib.findings.policy import Policy
from auditlib.parameters import read
from auditlib.report import conclusions
from auditlib.report.blocks import Cards, Grid, Notice, Sentences, Several, Shown
from auditlib.report.plan import PlanShown, conclusion
from auditlib.report.shown import Advised, FindingList, ProblemList
from auditlib.views import graph as topology

_CHAPTERS: dict[str, conclusions.Chapter] = {
    "collection": conclusions.collection,
    "inventory": conclusions.inventory,
    "ports": conclusions.ports,
    "routing": conclusions.routing,
    "journals": conclusions.journals,
    "graph": conclusions.graph,
    "certificates": conclusions.certificates,
    "probes": conclusions.probes,
    "databases": conclusions.databases,
}


def load(path: str = "", outputs: str = "outputs", **policy: Any) -> Snapshot:
    """The snapshot at `path` (a run or its snapshot); "" means the last one of this host under `outputs`.

    `policy` is what it is judged by: `severities`, `waivers`, `expected` and `cis`, as in the parameters of a run.
    Raises SnapshotError or RunError with a French sentence when there is none, or when it cannot be read;
    ParameterError when the policy is wrong.
    """
    judged_by = Policy.of(read(None, policy))
    folder = folders.find(path) if path else folders.last_snapshot(folders.outputs_folder(outputs), platform.node())
    return snapshot.read(folder).judged_by(judged_by)


def record(destination: str = "", **parameters: Any) -> Snapshot:
    """Collect this machine's facts and write them as a snapshot into `destination`.

    `destination` "" means a new run folder under `outputs`. With the parameter `snapshot`, nothing is collected: that
    snapshot is read, and copied. Raises ParameterError, SnapshotError or RunError with a French sentence.
    """
    wanted = read(None, parameters)
    if wanted.snapshot:
        facts = load(wanted.snapshot)
    else:
        # Only here does anything outside `auditlib.collect` reach the machine.
        from auditlib.collect import collect  # noqa: PLC0415

        facts = collect(wanted)
    folder = Path(destination) if destination else _new_folder(wanted.outputs, facts)
    facts.write(folder)
    folders.owned_by_caller(folder)
    return snapshot.read(folder)


def _new_folder(outputs: str, facts: Snapshot) -> Path:
    home = folders.outputs_folder(outputs) / folders.host_folder(facts.hostname)
    return home / folders.stamp(facts.collected) / snapshot.FOLDER


def show(facts: Snapshot, name: str, *columns: str, empty: str = "Aucune ligne.") -> Shown:
    """A table or a view, with the given columns (all of them by default)."""
    table = TABLES[name] if name in TABLES else VIEWS[name].table
    try:
        return Grid(getattr(facts, name), table, columns, facts.zone, empty)
    except AbsentTable as absent:
        return Notice(f"{table.title} : non évaluable, {absent.reason}.")


def draw(facts: Snapshot, picture: str) -> Any:
    """A picture: "stacks", "ports", "graph" or "severities"."""
    from auditlib.report import figures  # noqa: PLC0415 - matplotlib costs every notebook that draws nothing

    pictures: dict[str, Callable[[], figures.Figure]] = {
        "stacks": lambda: facts.call(figures.stacks_figure),
        "ports": lambda: facts.call(figures.ports_figure),
        "graph": lambda: figures.graph_figure(facts.call(topology.graph)),
        "severities": lambda: figures.severities_figure(findings.by_family(findings.run(facts))),
    }
    try:
        return pictures[picture]()
    except AbsentTable as absent:
        return Notice(f"Figure non évaluable : {absent.reason}.")


def judge(facts: Snapshot, *families: str) -> Shown:
    """The findings of some families of checks (all by default), those that are waived apart, and what is unknown."""
    audit = findings.run(facts)
    kept = findings.of_families(audit, families)
    unknown = [result for result in kept.results if result.verdict == "unknown"]
    notices = [Notice(f"{one.check}, « {one.title} » : non évaluable. {one.reason}") for one in unknown]
    nothing = "Aucun constat." if len(unknown) < len(kept.results) else "Aucun contrôle n’a pu être évalué."
    shown: list[Shown] = [] if not kept.live and nothing != "Aucun constat." else [FindingList(kept.live, nothing)]
    if kept.waived:
        count = french.plural(len(kept.waived), "constat accepté", "constats acceptés")
        shown += [Notice(f"{count} par dérogation :", "waived"), FindingList(kept.waived)]
    return Several([*shown, *notices])


def problems(facts: Snapshot) -> Shown:
    """The findings joined by what causes them."""
    audit = findings.run(facts)
    unjudged = not any(result.verdict in ("pass", "fail") for result in audit.results)
    return ProblemList(
        causes.problems(facts, audit), "Aucun contrôle n’a pu être évalué." if unjudged else "Aucun problème."
    )


def advise(facts: Snapshot) -> Shown:
    """What the findings and the facts advise, under the headings of `recommendations`."""
    return Advised(recommendations.recommend(facts, findings.run(facts)))


def follow(facts: Snapshot) -> Shown:
    """A request to each domain and path that is routed: where it arrives, else where it stops."""
    from auditlib.report import explanation  # noqa: PLC0415 - its findings would make a circle

    try:
        rows = explanation.journeys(facts)
        return Grid(explanation.Journey.table.rows(rows), explanation.Journey.table, empty="Aucun domaine n’est routé.")
    except AbsentTable as absent:
        return Notice(f"{explanation.Journey.table.title} : non évaluable, {absent.reason}.")


def verdicts(facts: Snapshot) -> Shown:
    """Every check with its verdict."""
    rows = [dataclasses.asdict(result) for result in findings.run(facts).results]
    return Grid(findings.CheckResult.table.rows(rows), findings.CheckResult.table)


def mend(facts: Snapshot) -> Shown:
    """The plan: ordered steps, simulated, with their commands; then what is left for a person."""
    return PlanShown(_plan(facts))


@functools.lru_cache(maxsize=1)
def _plan(facts: Snapshot) -> plan.Plan:
    # Several cells tell of it, and it takes seconds.
    return plan.plan(facts, findings.run(facts))


def conclude(facts: Snapshot, chapter: str) -> Shown:
    """The conclusion of a chapter: "findings", "plan", or one that `_CHAPTERS` names."""
    if chapter == "findings":
        return Sentences(conclusions.findings(findings.run(facts)))
    if chapter == "plan":
        return Sentences(conclusion(_plan(facts)))
    return Sentences(conclusions.conclude(facts, _CHAPTERS[chapter]))


def summarise(facts: Snapshot) -> Shown:
    """The summary of the whole audit: key figures, then sentences."""
    audit = findings.run(facts)
    counts = [
        (name, str(sum(finding.severity == severity for finding in audit.live)), severity)
        for severity, name in findings.SEVERITIES_FR.items()
    ]
    score = "—" if audit.score is None else f"{french.number(audit.score)}/100"
    figures = [("note", score, ""), ("contrôles évalués", f"{french.number(100 * audit.coverage)} %", ""), *counts]
    return Several([Cards(figures), Sentences(conclusions.executive(facts, audit))])
