"""What a notebook shows: tables, findings, sentences. The same objects make JupyterLab, the HTML report and Markdown.

Everything that came from the machine is hostile text: escaped in HTML, escaped in Markdown, and without invisible
characters in both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from auditlib import french
from auditlib.facts.table import Column, Row, Rows, Table


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
    if value is None:
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


# JupyterLab sets cells at the right, in their middle: sentences there are hard to read. Our page has its own style.
LAB = (
    "<style>.jp-RenderedHTMLCommon .grid :is(td, th) {text-align: left; vertical-align: top}"
    ".jp-RenderedHTMLCommon .grid :is(.integer, .bytes, .seconds) {text-align: right}"
    ".jp-RenderedHTMLCommon .grid td.prose {min-width: 16em}</style>"
)


@dataclass(frozen=True)
class Grid:
    """A table of the audit, with its French headings. Rows that are many can be filtered in the report."""

    rows: Rows[Row]
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
        if not self.rows:
            return f'<p class="empty"><strong>{prose(self.table.title)}</strong> : {prose(self.empty)}</p>'
        head = "".join(
            f'<th scope="col"{_head_class(column)}{_title(column.description)}>{prose(column.label)}</th>'
            for column in self.shown
        )
        body = "".join(f"<tr>{self._html_row(row)}</tr>" for row in self.rows)
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'{LAB}<div class="grid">{table}</div>'

    def _html_row(self, row: Row) -> str:
        """Cells that carry their heading, for screens too narrow for columns."""
        return "".join(
            f'<{_tag(i)} class="{_class(column)}" data-label="{escape(french.typography(column.label))}">'
            f"<div>{_cell_html(getattr(row, column.name), column, self.zone)}</div></{_tag(i).split()[0]}>"
            for i, column in enumerate(self.shown)
        )

    def markdown(self) -> str:
        """A pipe table; every character that Markdown or a table would read is escaped."""
        if not self.rows:
            return french.typography(self.empty)
        head = [french.typography(column.label) for column in self.shown]
        rows = ([cell(getattr(row, column.name), column, self.zone) for column in self.shown] for row in self.rows)
        lines = [head, ["---"] * len(head), *([markdown_text(text) for text in row] for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def __repr__(self) -> str:
        return f"{self.table.title} : {french.plural(len(self.rows), 'ligne')}"


def _class(column: Column) -> str:
    return "word" if column.words else column.kind


def _head_class(column: Column) -> str:
    """Headings of figures stand above them, at the right."""
    return f' class="{column.kind}"' if column.kind in ("integer", "bytes", "seconds") else ""


def _cell_html(value: Any, column: Column, zone: str) -> str:
    text = cell(value, column, zone)
    if column.kind == "prose":
        return prose(text)
    if column.kind == "list" and value:
        # Broken between items, not inside them.
        return " ".join(f"<span>{breakable(item)}</span>" for item in re.split(r"(?<=,) ", text))
    return breakable(text)


def _tag(index: int) -> str:
    return 'th scope="row"' if index == 0 else "td"


def _title(description: str) -> str:
    return f' title="{escape(french.typography(description))}"' if description else ""


def breakable(text: str) -> str:
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


def prose_markdown(sentence: str) -> str:
    """French prose as Markdown."""
    return markdown_text(plain(sentence))


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
        return f"> {prose_markdown(self.text)}"

    def __repr__(self) -> str:
        return plain(self.text)


@dataclass(frozen=True)
class Sentences:
    """A computed conclusion: a list of sentences."""

    sentences: Sequence[str]

    def _repr_html_(self) -> str:
        return f'<ul class="sentences">{"".join(f"<li>{prose(sentence)}</li>" for sentence in self.sentences)}</ul>'

    def markdown(self) -> str:
        """A list."""
        return "\n".join(f"- {prose_markdown(sentence)}" for sentence in self.sentences)

    def __repr__(self) -> str:
        return "\n".join(plain(sentence) for sentence in self.sentences)


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
        return "\n\n".join((f"### {prose_markdown(self.title)}", self.introduction.markdown(), self.part.markdown()))

    def __repr__(self) -> str:
        return "\n".join((plain(self.title), repr(self.introduction), repr(self.part)))
