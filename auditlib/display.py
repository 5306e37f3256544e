"""What a notebook shows: tables, findings, sentences. The same objects make JupyterLab, the HTML report and Markdown.

Everything that came from the machine is hostile text: escaped in HTML, escaped in Markdown, and without invisible
characters in both.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import pandas as pd

from auditlib import french
from auditlib.causes import Problem
from auditlib.findings import CONFIDENCES_FR, SEVERITIES_FR, Finding
from auditlib.recommendations import Recommendation, Section
from auditlib.schema import VIEWS, Column, Row, Table, is_unknown, records
from auditlib.tables import TABLES


class Shown(Protocol):
    """Anything that can be shown in a notebook, in the HTML report and in Markdown."""

    def _repr_html_(self) -> str: ...

    def markdown(self) -> str:
        """The same thing as Markdown, without a trailing newline."""
        ...


def plain(sentence: str) -> str:
    """French prose as plain text; what the machine wrote into it is made visible."""
    return french.typography(french.visible(sentence))


def prose(sentence: str) -> str:
    """French prose as HTML."""
    return escape(plain(sentence))


def cell(value: Any, column: Column, zone: str = "UTC") -> str:
    """One value as plain text, in the words of its column."""
    if is_unknown(value):
        return column.missing
    match column.kind:
        case "flag":
            return "oui" if value else "non"
        case "bytes":
            return french.size(value)
        case "seconds":
            return french.duration(value)
        case "instant":
            return french.instant(value, zone)
        case "list":
            return ", ".join(french.visible(item) for item in value) or column.missing
        case "prose":
            return french.visible(value)
        case _:
            return column.words.get(value) or french.visible(value)


@dataclass(frozen=True)
class Grid:
    """A table of the audit, with its French headings. Rows that are many can be filtered in the report."""

    frame: pd.DataFrame
    table: Table
    columns: tuple[str, ...] = ()
    zone: str = "UTC"
    empty: str = "Aucune ligne."

    @property
    def shown(self) -> list[Column]:
        """The declarations of the columns that are shown."""
        return [self.table.column(name) for name in self.columns or self.table.names]

    def _repr_html_(self) -> str:
        caption = f"<caption>{prose(self.table.title)}</caption>"
        if not len(self.frame):
            return f'<p class="empty"><strong>{prose(self.table.title)}</strong> : {prose(self.empty)}</p>'
        head = "".join(
            f'<th scope="col"{_title(column.description)}>{prose(column.label)}</th>' for column in self.shown
        )
        body = "".join(f"<tr>{self._html_row(row)}</tr>" for row in records(self.frame))
        return f'<div class="grid"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

    def _html_row(self, row: Row) -> str:
        """Cells that carry their heading, for screens too narrow for columns."""
        return "".join(
            f'<{_tag(i)} class="{_class(column)}" data-label="{escape(french.typography(column.label))}">'
            f"<div>{_cell_html(row[column.name], column, self.zone)}</div></{_tag(i).split()[0]}>"
            for i, column in enumerate(self.shown)
        )

    def markdown(self) -> str:
        """A pipe table; every character that Markdown or a table would read is escaped."""
        if not len(self.frame):
            return french.typography(self.empty)
        head = [french.typography(column.label) for column in self.shown]
        rows = [[cell(row[column.name], column, self.zone) for column in self.shown] for row in records(self.frame)]
        lines = [head, ["---"] * len(head), *([markdown_text(text) for text in row] for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def __repr__(self) -> str:
        return f"{self.table.title} : {french.plural(len(self.frame), 'ligne')}"


def _class(column: Column) -> str:
    return "word" if column.words else column.kind


def _cell_html(value: Any, column: Column, zone: str) -> str:
    text = cell(value, column, zone)
    if column.kind == "prose":
        return prose(text)
    if column.kind == "list" and value:
        # Broken between items, not inside them.
        return " ".join(f"<span>{_breakable(item)}</span>" for item in re.split(r"(?<=,) ", text))
    return _breakable(text)


def _tag(index: int) -> str:
    return 'th scope="row"' if index == 0 else "td"


def _title(description: str) -> str:
    return f' title="{escape(french.typography(description))}"' if description else ""


def _breakable(text: str) -> str:
    """Escaped text whose long words may break, after a mark or in their middle, so that no column is too wide."""
    return " ".join(_broken(word) if len(word) >= _LONG else escape(word) for word in text.split(" "))


_LONG = 24


def _broken(word: str) -> str:
    pieces = re.findall(rf"(?:[^/.@:,_-]{{1,{_LONG}}}|[/.@:,_-])[/.@:,_-]*", word)
    return "<wbr>".join(map(escape, pieces))


# What CommonMark, GitHub's tables and mathematics, or raw HTML would read; list and heading marks only where they
# would start a line, underscores only where they would emphasise: not between two letters or digits.
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~$&]|^[#+-]|(?<![^\W_])_|_(?![^\W_]))")
_NUMBERED = re.compile(r"^(\d+)([.)])(?= |$)")


def markdown_text(text: str) -> str:
    """Plain text as Markdown that shows exactly it, on one line."""
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", french.visible(text)))


def markdown_code(code: str, language: str = "bash") -> str:
    """A fenced block whose fence is longer than any inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", code)), default=0))
    return f"{fence}{language}\n{code}\n{fence}"


@dataclass(frozen=True)
class Notice:
    """A sentence set apart: what could not be evaluated, and why."""

    text: str
    level: str = "unknown"

    def _repr_html_(self) -> str:
        return f'<p class="notice {escape(self.level)}">{prose(self.text)}</p>'

    def markdown(self) -> str:
        """A block quote."""
        return f"> {_prose_markdown(self.text)}"

    def __repr__(self) -> str:
        return plain(self.text)


@dataclass(frozen=True)
class Sentences:
    """A computed conclusion: a list of sentences."""

    sentences: Sequence[str]

    def _repr_html_(self) -> str:
        return f'<ul class="sentences">{"".join(f"<li>{prose(one)}</li>" for one in self.sentences)}</ul>'

    def markdown(self) -> str:
        """A list."""
        return "\n".join(f"- {_prose_markdown(one)}" for one in self.sentences)

    def __repr__(self) -> str:
        return "\n".join(plain(one) for one in self.sentences)


@dataclass(frozen=True)
class Cards:
    """Key figures: a large value and its label each."""

    figures: Sequence[tuple[str, str, str]]  # label, value, level (a severity, "good" or "")

    def _repr_html_(self) -> str:
        cards = "".join(
            f'<li class="{escape(level)}"><strong>{prose(value)}</strong><span>{prose(label)}</span></li>'
            for label, value, level in self.figures
        )
        return f'<ul class="cards">{cards}</ul>'

    def markdown(self) -> str:
        """One line."""
        return french.typography(" · ".join(f"{label} : **{value}**" for label, value, _ in self.figures))

    def __repr__(self) -> str:
        return french.typography(" · ".join(f"{label} : {value}" for label, value, _ in self.figures))


@dataclass(frozen=True)
class Several:
    """Several things shown one under the other."""

    parts: Sequence[Shown]

    def _repr_html_(self) -> str:
        return "".join(part._repr_html_() for part in self.parts)

    def markdown(self) -> str:
        """The parts, apart."""
        return "\n\n".join(part.markdown() for part in self.parts)

    def __repr__(self) -> str:
        return "\n\n".join(repr(part) for part in self.parts)


@dataclass(frozen=True)
class Titled:
    """Something under a heading of its own, with the sentences that introduce it."""

    title: str
    introduction: Sentences
    part: Shown

    def _repr_html_(self) -> str:
        return f"<h3>{prose(self.title)}</h3>{self.introduction._repr_html_()}{self.part._repr_html_()}"

    def markdown(self) -> str:
        """A heading, then both."""
        return "\n\n".join((f"### {_prose_markdown(self.title)}", self.introduction.markdown(), self.part.markdown()))

    def __repr__(self) -> str:
        return "\n".join((plain(self.title), repr(self.introduction), repr(self.part)))


@dataclass(frozen=True)
class FindingList:
    """Findings, each with its evidence, its fix and how to verify it."""

    findings: Sequence[Finding]
    none: str = "Aucun constat."
    brief: bool = False  # in Markdown, the sentences alone

    def _repr_html_(self) -> str:
        if not self.findings:
            return f'<p class="notice good">{prose(self.none)}</p>'
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
        f'<article class="finding {finding.severity}"><h4><span class="badge {finding.severity}">'
        f"{SEVERITIES_FR[finding.severity]}</span> <code>{escape(finding.check)}</code>{sure}</h4>"
        f"<p>{prose(finding.message)}</p>"
        f"<p><strong>Correctif.</strong> {prose(finding.fix.text)}</p>{_commands_html(finding.fix.commands)}"
        + (f"<p><strong>Vérifier.</strong></p>{_commands_html(finding.fix.verify)}" if finding.fix.verify else "")
        + (f"<p><strong>Dérogation.</strong> {prose(_waiver(finding))}</p>" if finding.waived else "")
        + f"<details><summary>Preuve</summary>{_evidence_html(finding.evidence)}</details></article>"
    )


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
            f"[{SEVERITIES_FR[one.severity]}] {one.cause.check} {one.cause.message} {one.explains}".rstrip()
            for one in self.problems
        )
        return "\n".join(map(plain, lines)) or plain(self.none)


def _problem_html(problem: Problem) -> str:
    cause, count = problem.cause, len(problem.findings)
    items = "".join(
        f'<li><span class="badge {one.finding.severity}">{SEVERITIES_FR[one.finding.severity]}</span> '
        f"<code>{escape(one.finding.check)}</code> {prose(one.finding.message)} <small>{prose(one.why)}</small></li>"
        for one in problem.evidence
    )
    items += "".join(f"<li>{prose(line)}</li>" for line in problem.log)
    return (
        f'<article class="finding {problem.severity}"><h4><span class="badge {problem.severity}">'
        f"{SEVERITIES_FR[problem.severity]}</span> <code>{escape(cause.check)}</code>"
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
    for one in problem.evidence:
        grave = one.finding.severity in ("critical", "high")
        told = _finding_markdown(one.finding, one.why) if grave else _headline(one.finding, one.why)
        blocks.append("\n".join(f"    {line}" if line else "" for line in told.splitlines()))
    blocks += [f"    - {_prose_markdown(line)}" for line in problem.log]
    return "\n".join(blocks)


def _waiver(finding: Finding) -> str:
    """Who accepted a finding, why, and until when."""
    told = finding.waived or {}
    last = told.get("expires")
    until = f", jusqu’au {french.day(dt.date.fromisoformat(last))}" if last else ""
    return f"Accepté par {told.get('author')}{until} : {told.get('reason')}"


def _commands_html(commands: Sequence[str]) -> str:
    return f"<pre><code>{escape(chr(10).join(commands))}</code></pre>" if commands else ""


# Facts of evidence that no table names.
_FACTS = {"held": "Déjà tenu", "proxy_networks": "Réseaux de Traefik", "places": "Joignable par", "project": "Projet"}
_FACTS |= {
    "urls": "URL",
    "headers": "En-têtes absents",
    "predicted": "Routeurs prévus",
    "announced": "Version annoncée",
}
_FACTS |= {"causes": "Causes", "routers": "Routeurs", "known": "Résolveurs déclarés"}


def _evidence_html(evidence: Mapping[str, Any]) -> str:
    tables = [*TABLES.values(), *(view.table for view in VIEWS.values())]
    labels = {column.name: column.label for table in reversed(tables) for column in table.columns} | _FACTS
    known = {name: value for name, value in evidence.items() if value not in (None, "", [])}
    items = (f"<dt>{prose(labels.get(n, n))}</dt><dd>{_breakable(_fact(value))}</dd>" for n, value in known.items())
    return f"<dl>{''.join(items)}</dl>"


def _fact(value: Any) -> str:
    return ", ".join(map(_fact, value)) if isinstance(value, list) else french.visible(value)


def _headline(finding: Finding, why: str = "") -> str:
    sure = ", ".join(filter(None, [SEVERITIES_FR[finding.severity], _prose_markdown(why)]))
    return f"{french.typography(f'- **{finding.check}** ({sure}) : ')}{_prose_markdown(finding.message)}"


def _finding_markdown(finding: Finding, why: str = "") -> str:
    lines = [_headline(finding, why)]
    lines.append(f"  - Correctif{french.NO_BREAK}: {_prose_markdown(finding.fix.text)}")
    if finding.waived:
        lines.append(f"  - Dérogation{french.NO_BREAK}: {_prose_markdown(_waiver(finding))}")
    blocks = [("", finding.fix.commands), (f"  - Vérifier{french.NO_BREAK}:", finding.fix.verify)]
    for title, commands in blocks:
        if commands:
            lines += [title] if title else []
            lines += ["", *(f"    {line}" for line in markdown_code("\n".join(commands)).splitlines()), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip()


def _prose_markdown(sentence: str) -> str:
    """French prose as Markdown."""
    return markdown_text(plain(sentence))


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
            parts.append(f"### {_prose_markdown(section.heading)}")
            parts += [_prose_markdown(section.nothing)] if section.nothing else []
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
            for line in [section.heading, *(f"{one.title} : {one.todo}" for one in [*section.advised, *section.kept])]
        )


def _items(items: Iterable[str]) -> str:
    shown = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="sentences">{shown}</ul>' if shown else ""


def _advice_html(one: Recommendation) -> str:
    return (
        f"<strong>{prose(one.title)}.</strong> {prose(one.seen)}<br>{prose(one.why)}"
        f"<br><strong>Conseil.</strong> {prose(one.todo)} <em>{prose(one.rests)}</em>"
    )


def _advice_markdown(one: Recommendation) -> str:
    lines = [f"- **{_prose_markdown(one.title)}.** {_prose_markdown(one.seen)}"]
    parts = {"Pourquoi": one.why, "Conseil": one.todo}
    lines += [f"  - {label}{french.NO_BREAK}: {_prose_markdown(said)}" for label, said in parts.items()]
    return "\n".join([*lines, f"  - *{_prose_markdown(one.rests)}*"])
