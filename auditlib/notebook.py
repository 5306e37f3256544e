"""What a notebook calls: load a snapshot, show its tables, draw it, judge it, conclude.

Each function returns something with a good HTML form. When the facts it needs are missing, that is a notice that says
why, and the notebook goes on.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auditlib import folders, french
from auditlib.derived import Facts
from auditlib.facts import snapshot
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.findings.audit import CheckResult
from auditlib.findings.check import SEVERITIES_FR
from auditlib.findings.policy import Policy
from auditlib.parameters import kept, read
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


def load(path: str = "", outputs: str = "outputs", **policy: Any) -> Facts:
    """The facts of the snapshot at `path` (a run or its snapshot); "" means the last one of this host under `outputs`.

    `policy` is what it is judged by: `severities`, `waivers`, `expected` and `cis`, as in the parameters of a run. What
    it does not say is as in the parameters that the run was given.
    Raises SnapshotError or RunError with a French sentence when there is none, or when it cannot be read;
    ParameterError when the policy is wrong.
    """
    folder = folders.find(path, outputs)
    return Facts(snapshot.read(folder), Policy.of(read(None, policy, kept(folder.parent))))


def record(destination: str = "", **parameters: Any) -> Facts:
    """Collect this machine's facts and write them as a snapshot into `destination`.

    `destination` "" means a new run folder under `outputs`. With the parameter `snapshot`, nothing is collected: that
    snapshot is read, and copied. Raises ParameterError, SnapshotError or RunError with a French sentence.
    """
    settings = read(None, parameters)
    if settings.snapshot:
        collected = load(settings.snapshot).snapshot
    else:
        # Only here does anything outside `auditlib.collect` reach the machine.
        from auditlib.collect import collect  # noqa: PLC0415

        collected = collect(settings)
    folder = Path(destination) if destination else _new_folder(settings.outputs, collected)
    collected.write(folder)
    folders.owned_by_caller(folder)
    return Facts(snapshot.read(folder))


def _new_folder(outputs: str, facts: Snapshot) -> Path:
    home = folders.outputs_folder(outputs) / folders.host_folder(facts.hostname)
    return home / folders.stamp(facts.collected) / snapshot.FOLDER


def draw(facts: Facts, picture: str) -> Any:
    """A picture: "stacks", "ports", "graph" or "severities"."""
    from auditlib.report import figures  # noqa: PLC0415 - matplotlib costs every notebook that draws nothing

    pictures: dict[str, Callable[[], figures.Figure]] = {
        "stacks": lambda: facts.snapshot.call(figures.stacks_figure),
        "ports": lambda: facts.snapshot.call(figures.ports_figure),
        "graph": lambda: figures.graph_figure(facts.snapshot.call(topology.graph)),
        "severities": lambda: figures.severities_figure(facts.audit.by_family),
    }
    try:
        return pictures[picture]()
    except AbsentTable as absent:
        return Notice(f"Figure non évaluable : {absent.reason}.")


def judge(facts: Facts, *families: str) -> Shown:
    """The findings of some families of checks (all by default), those that are waived apart, and what is unknown."""
    kept = facts.audit.of_families(families)
    unknown = [result for result in kept.results if result.verdict == "unknown"]
    notices = [Notice(f"{result.check}, « {result.title} » : non évaluable. {result.reason}") for result in unknown]
    nothing = "Aucun constat." if len(unknown) < len(kept.results) else "Aucun contrôle n’a pu être évalué."
    shown: list[Shown] = [] if not kept.live and nothing != "Aucun constat." else [FindingList(kept.live, nothing)]
    if kept.waived:
        count = french.plural(len(kept.waived), "constat accepté", "constats acceptés")
        shown += [Notice(f"{count} par dérogation :", "waived"), FindingList(kept.waived)]
    return Several([*shown, *notices])


def problems(facts: Facts) -> Shown:
    """The findings joined by what causes them."""
    unjudged = not any(result.verdict in ("pass", "fail") for result in facts.audit.results)
    return ProblemList(facts.problems, "Aucun contrôle n’a pu être évalué." if unjudged else "Aucun problème.")


def advise(facts: Facts) -> Shown:
    """What the findings and the facts advise, under the headings of `recommendations`."""
    return Advised(facts.advice)


def follow(facts: Facts) -> Shown:
    """A request to each domain and path that is routed: where it arrives, else where it stops."""
    from auditlib.report.explanation import Journey, journeys  # noqa: PLC0415 - its findings would make a circle

    try:
        return Grid(journeys(facts.snapshot), Journey.table, empty="Aucun domaine n’est routé.")
    except AbsentTable as absent:
        return Notice(f"{Journey.table.title} : non évaluable, {absent.reason}.")


def verdicts(facts: Facts) -> Shown:
    """Every check with its verdict."""
    return Grid(CheckResult.table.rows(map(dataclasses.asdict, facts.audit.results)), CheckResult.table)


def mend(facts: Facts) -> Shown:
    """The plan: ordered steps, simulated, with their commands; then what is left for a person."""
    return PlanShown(facts.plan)


def conclude(facts: Facts, chapter: str) -> Shown:
    """The conclusion of a chapter: "findings", "plan", or one that `_CHAPTERS` names."""
    if chapter == "findings":
        return Sentences(conclusions.findings(facts.audit))
    if chapter == "plan":
        return Sentences(conclusion(facts.plan))
    return Sentences(conclusions.conclude(facts.snapshot, _CHAPTERS[chapter]))


def summarise(facts: Facts) -> Shown:
    """The summary of the whole audit: key figures, then sentences."""
    audit = facts.audit
    counts = [
        (name, str(sum(finding.severity == severity for finding in audit.live)), severity)
        for severity, name in SEVERITIES_FR.items()
    ]
    score = "—" if audit.score is None else f"{french.number(audit.score)}/100"
    figures = [("note", score, ""), ("contrôles évalués", f"{french.number(100 * audit.coverage)} %", ""), *counts]
    return Several([Cards(figures), Sentences(conclusions.executive(facts))])
