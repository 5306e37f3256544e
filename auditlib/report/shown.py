"""What the audit concludes, as HTML and as Markdown: findings, problems and recommendations."""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from auditlib import french
from auditlib.derived import Facts
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import Finding
from auditlib.findings.check import CONFIDENCES_FR, SEVERITIES_FR
from auditlib.findings.problems import Problem
from auditlib.recommendations import Recommendation, Section
from auditlib.report.blocks import (
    Grid,
    Notice,
    Shown,
    breakable,
    markdown_code,
    plain,
    prose,
    prose_markdown,
)


def show(facts: Facts, name: str, *columns: str, empty: str = "Aucune ligne.") -> Shown:
    """A table or a view, with the given columns (all of them by default); a notice that says why when it is absent."""
    table = TABLES[name] if name in TABLES else VIEWS[name].table
    try:
        return Grid(facts.snapshot.named(name), table, columns, facts.snapshot.zone, empty)
    except AbsentTable as absent:
        return Notice(f"{table.title} : non évaluable, {absent.reason}.")


@dataclass(frozen=True)
class FindingList:
    """Findings, each with its evidence, its fix and how to verify it."""

    findings: Sequence[Finding]
    none: str = "Aucun constat."
    brief: bool = False  # the sentences alone, where the rest is told elsewhere

    def _repr_html_(self) -> str:
        if not self.findings:
            return f'<p class="notice good">{prose(self.none)}</p>'
        if self.brief:
            items = "".join(f"<li>{_label(finding)} {prose(finding.message)}</li>" for finding in self.findings)
            return f'<ul class="evidence">{items}</ul>'
        return "".join(_finding_html(finding) for finding in self.findings)

    def markdown(self) -> str:
        """One item per finding, with its fix under it."""
        if not self.findings:
            return french.typography(self.none)
        if self.brief:
            return "\n".join(_headline(finding) for finding in self.findings)
        return "\n\n".join(_finding_markdown(finding) for finding in self.findings)

    def __repr__(self) -> str:
        return "\n".join(f"[{SEVERITIES_FR[f.severity]}] {f.check} {f.message}" for f in self.findings) or self.none


def _finding_html(finding: Finding) -> str:
    sure = "" if finding.confidence == "certain" else f" · confiance : {CONFIDENCES_FR[finding.confidence]}"
    return (
        f'<article class="finding {finding.severity}"><h4>{_label(finding)}{sure}</h4>'
        f"<p>{prose(finding.message)}</p>"
        f"<p><strong>Correctif.</strong> {prose(finding.fix.text)}</p>"
        + (f"<p><strong>Dérogation.</strong> {prose(_waiver(finding))}</p>" if finding.waived else "")
        + f'<details class="more"><summary>{_folded(finding)}</summary>{_commands_html(finding.fix.commands)}'
        + (f"<p><strong>Vérifier.</strong></p>{_commands_html(finding.fix.verify)}" if finding.fix.verify else "")
        + f"<p><strong>Preuve.</strong></p>{_evidence_html(finding)}</details></article>"
    )


def _label(finding: Finding) -> str:
    """The severity and the check of a finding."""
    badge = f'<span class="badge {finding.severity}">{SEVERITIES_FR[finding.severity]}</span>'
    return f"{badge} <code>{escape(finding.check)}</code>"


def _folded(finding: Finding) -> str:
    """What stands behind a finding, to be unfolded: a page of thirty findings must remain readable."""
    parts = {"commandes": finding.fix.commands, "vérification": finding.fix.verify, "preuve": True}
    return prose(french.listing(name for name, there in parts.items() if there).capitalize())


@dataclass(frozen=True)
class ProblemList:
    """Problems, each by its cause and what mends it, with what else the cause explains."""

    problems: Sequence[Problem]
    none: str = "Aucun problème."

    def _repr_html_(self) -> str:
        if not self.problems:
            return f'<p class="notice good">{prose(self.none)}</p>'
        return "".join(_problem_html(problem) for problem in self.problems)

    def markdown(self) -> str:
        """One item per cause, with its fix; under it what it explains, with a fix of their own for the grave ones."""
        if not self.problems:
            return french.typography(self.none)
        return "\n\n".join(_problem_markdown(problem) for problem in self.problems)

    def __repr__(self) -> str:
        lines = (
            f"[{SEVERITIES_FR[each.severity]}] {each.cause.check} {each.cause.message} {each.explains}".rstrip()
            for each in self.problems
        )
        return "\n".join(map(plain, lines)) or plain(self.none)


def _problem_html(problem: Problem) -> str:
    cause, count = problem.cause, len(problem.findings)
    items = "".join(
        f"<li>{_label(symptom.finding)} {prose(symptom.finding.message)} <small>{prose(symptom.why)}</small></li>"
        for symptom in problem.evidence
    )
    items += "".join(f"<li>{prose(line)}</li>" for line in problem.log)
    return (
        f'<article class="finding {problem.severity}"><h4>{_label(cause)}'
        + (f" · {french.plural(count, 'constat')}" if count > 1 else "")
        + f"</h4><p><strong>{prose(cause.message)}</strong></p>"
        f"<p><strong>Correctif.</strong> {prose(cause.fix.text)}</p>"
        + (f'<p>{prose("Explique aussi :")}</p><ul class="evidence">{items}</ul>' if items else "")
        + "</article>"
    )


def _problem_markdown(problem: Problem) -> str:
    blocks = [_finding_markdown(problem.cause)]
    if problem.evidence or problem.log:
        blocks.append(f"  - Explique aussi{french.NO_BREAK}:")
    for symptom in problem.evidence:
        grave = symptom.finding.severity in ("critical", "high")
        shown = _finding_markdown(symptom.finding, symptom.why) if grave else _headline(symptom.finding, symptom.why)
        blocks.append("\n".join(f"    {line}" if line else "" for line in shown.splitlines()))
    blocks += [f"    - {prose_markdown(line)}" for line in problem.log]
    return "\n".join(blocks)


def _waiver(finding: Finding) -> str:
    """Who accepted a finding, why, and until when."""
    waiver = finding.waived or {}
    last = waiver.get("expires")
    until = f", jusqu’au {french.day(dt.date.fromisoformat(last))}" if last else ""
    return f"Accepté par {waiver.get('author')}{until} : {waiver.get('reason')}"


def _commands_html(commands: Sequence[str]) -> str:
    return f"<pre><code>{escape(chr(10).join(commands))}</code></pre>" if commands else ""


# Facts of evidence that no table names, and those whose name means something else there.
_FACTS = {
    "compose_file": "Fichier compose",
    "headers": "En-têtes absents",
    "listener": "Socket",
    "others": "Autres routeurs",
    "places": "Joignable par",
    "project": "Projet",
    "proxy": "Proxy",
    "routers": "Routeurs",
    "siblings": "Voisins comparés",
    "strangers": "Conteneurs sans lien",
    "subnet": "Sous-réseau",
    "users": "Usagers",
    "variables": "Variables",
}


def fact_labels() -> dict[str, str]:
    """The French label of each fact of evidence, by its name."""
    tables = [*TABLES.values(), *(view.table for view in VIEWS.values())]
    return {column.name: column.label for table in reversed(tables) for column in table.columns} | _FACTS


def _evidence_html(finding: Finding) -> str:
    labels = fact_labels() | finding.fault.fact_labels()
    known = {name: value for name, value in finding.evidence.items() if value not in (None, "", [])}
    items = (f"<dt>{prose(labels.get(n, n))}</dt><dd>{breakable(_fact(value))}</dd>" for n, value in known.items())
    return f"<dl>{''.join(items)}</dl>"


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "oui" if value else "non"
    return ", ".join(map(_fact, value)) if isinstance(value, list) else french.visible(value)


def _headline(finding: Finding, why: str = "") -> str:
    sure = ", ".join(filter(None, [SEVERITIES_FR[finding.severity], prose_markdown(why)]))
    return f"{french.typography(f'- **{finding.check}** ({sure}) : ')}{prose_markdown(finding.message)}"


def _finding_markdown(finding: Finding, why: str = "") -> str:
    lines = [_headline(finding, why)]
    lines.append(f"  - Correctif{french.NO_BREAK}: {prose_markdown(finding.fix.text)}")
    if finding.waived:
        lines.append(f"  - Dérogation{french.NO_BREAK}: {prose_markdown(_waiver(finding))}")
    blocks = [("", finding.fix.commands), (f"  - Vérifier{french.NO_BREAK}:", finding.fix.verify)]
    for title, commands in blocks:
        if commands:
            lines += [title] if title else []
            lines += ["", *(f"    {line}" for line in markdown_code("\n".join(commands)).splitlines()), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip()


@dataclass(frozen=True)
class Advised:
    """Recommendations under their headings, with what should stay and what could not be judged."""

    sections: Sequence[Section]

    def _repr_html_(self) -> str:
        return "".join(
            f"<h3>{prose(section.heading)}</h3>"
            + (f'<p class="notice good">{prose(section.nothing)}</p>' if section.nothing else "")
            + _items(map(_advice_html, section.advised))
            + (f"<p><strong>À garder.</strong></p>{_items(map(_advice_html, section.kept))}" if section.kept else "")
            + "".join(Notice(f"Non évaluable : {reason}")._repr_html_() for reason in section.unknown)
            for section in self.sections
        )

    def markdown(self) -> str:
        """A heading and a list for each section."""
        parts = []
        for section in self.sections:
            parts.append(f"### {prose_markdown(section.heading)}")
            parts += [prose_markdown(section.nothing)] if section.nothing else []
            parts += ["\n".join(map(_advice_markdown, section.advised))] if section.advised else []
            parts += (
                [f"À garder{french.NO_BREAK}:", "\n".join(map(_advice_markdown, section.kept))] if section.kept else []
            )
            parts += [Notice(f"Non évaluable : {reason}").markdown() for reason in section.unknown]
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return "\n".join(
            plain(line)
            for section in self.sections
            for line in [
                section.heading,
                *(f"{each.title} : {each.todo}" for each in (*section.advised, *section.kept)),
            ]
        )


def _items(items: Iterable[str]) -> str:
    shown = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="sentences">{shown}</ul>' if shown else ""


def _advice_html(advice: Recommendation) -> str:
    return (
        f"<strong>{prose(advice.title)}.</strong> {prose(advice.seen)}<br>{prose(advice.why)}"
        f"<br><strong>Conseil.</strong> {prose(advice.todo)} <em>{prose(advice.rests)}</em>"
    )


def _advice_markdown(advice: Recommendation) -> str:
    lines = [f"- **{prose_markdown(advice.title)}.** {prose_markdown(advice.seen)}"]
    parts = {"Pourquoi": advice.why, "Conseil": advice.todo}
    lines += [f"  - {label}{french.NO_BREAK}: {prose_markdown(sentence)}" for label, sentence in parts.items()]
    return "\n".join([*lines, f"  - *{prose_markdown(advice.rests)}*"])
