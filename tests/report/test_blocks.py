"""What notebooks and reports show: exactly the text, whatever the machine wrote into it, in HTML and in Markdown."""

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import mistune
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditlib.facts.table import Column, Row, integer, prose, several, table, text
from auditlib.findings.audit import Finding
from auditlib.findings.check import Fault, Fix, fact
from auditlib.findings.problems import Evidence, Problem
from auditlib.french import visible
from auditlib.report.blocks import (
    LAB,
    Cards,
    Grid,
    Notice,
    Sentences,
    Several,
    cell,
    markdown_code,
    markdown_text,
    plain,
)
from auditlib.report.shown import FindingList, ProblemList

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a|b\\|c\\",
    "**gras** _em_ __init__ *x* ~~non~~ `code` [lien](http://x) ![i](j) $a$ &lt; &copy; <http://x>",
    "# titre",
    "- puce",
    "1. un",
    "12) douze",
    "1986\\. A",
    "[^1] [ref]: http://x",
    "http://x.fr/a_b_c/_d_ ; `x`",
    "a\nb\r\n\n# c\x1b[0m\u202e",
    "--- | --- | ---",
    "> cite",
    "+++",
    "\\\\* \\",
    "{{ x }} {% x %}",
    "snake_case_name _private trailing_ _",
)
TEXTS = (
    st.sampled_from(HOSTILE)
    | st.text(st.sampled_from("\\`*_[]<>|~$&#+-!().:1a \n"), max_size=16)
    | st.text(st.characters(), max_size=16)
)


@table("texts", "Titre", "Des textes.", key=())
class Texts(Row):
    one: str | None = text("Un")
    two: tuple[str, ...] | None = several("Deux")
    three: str | None = prose("Trois")


@table("numbered", "T", "T.", key=("number",))
class Numbered(Row):
    number: int = integer("N")
    one: str | None = text("Un")
    three: str | None = text("Trois")


TABLE = Texts.table


# A page, parsed back


class _Page(HTMLParser):
    """The texts of a piece of HTML with the tags around each, and every tag and attribute met."""

    VOID = ("wbr", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def _blocks(html: str, tag: str) -> list[str]:
    """The text of each element of this name."""
    return [_shown(inner) for inner in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.DOTALL)]


def _shown(html: str) -> str:
    return "".join(data for _, data in _Page(html).texts)


@settings(max_examples=80)
@given(one=TEXTS, two=st.lists(TEXTS, min_size=1, max_size=3), three=TEXTS)
def test_html_cells_show_the_text(one: str, two: list[str], three: str) -> None:
    html = Grid(TABLE.rows([{"one": one, "two": two, "three": three}]), TABLE)._repr_html_()
    assert html.startswith(LAB)
    html = html.removeprefix(LAB)
    page = _Page(html)
    assert page.tags <= {"div", "table", "caption", "thead", "tr", "th", "tbody", "td", "span", "wbr"}
    assert page.attributes <= {"class", "scope", "data-label"}
    first, second, third = _blocks(re.sub(r'^<div class="grid">', "", html), "div")
    assert (first, third) == (visible(one), plain(three))
    assert second == (", ".join(map(visible, two)) or "—")


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_html_sentences_show_the_text(sentences: list[str]) -> None:
    html = Sentences(sentences)._repr_html_()
    assert _Page(html).tags <= {"ul", "li"}
    assert _blocks(html, "li") == [plain(one) for one in sentences]


@given(TEXTS, TEXTS)
def test_html_notices_show_the_text(said: str, level: str) -> None:
    html = Notice(said, level)._repr_html_()
    page = _Page(html)
    assert (page.tags, page.attributes) == ({"p"}, {"class"})
    assert _shown(html) == plain(said)


def _finding(message: str, fix: str = "Corriger.", commands: tuple[str, ...] = (), evidence: Any = None) -> Finding:
    held = {} if evidence is None else {"container": evidence}
    return Finding("X-001|a=b", "X-001", "high", "probable", (), message, held, Fix(fix, commands, commands))


COMMANDS = TEXTS.map(visible)


@settings(max_examples=80)
@given(TEXTS, TEXTS, st.lists(COMMANDS, min_size=1, max_size=2), TEXTS.filter(bool))
def test_html_findings_show_the_text(message: str, fix: str, commands: list[str], evidence: str) -> None:
    html = FindingList([_finding(message, fix, tuple(commands), evidence)])._repr_html_()
    page = _Page(html)
    own = {"article", "h4", "span", "code", "p", "strong", "pre", "details", "summary", "dl", "dt", "dd", "wbr"}
    assert page.tags <= own and page.attributes <= {"class"}
    assert _blocks(html, "p")[:2] == [plain(message), f"Correctif. {plain(fix)}"]
    assert _blocks(html, "pre") == ["\n".join(commands)] * 2
    assert _blocks(html, "dd") == [visible(evidence)]


def _problem(cause: str, other: str, shared: str, line: str) -> Problem:
    return Problem(_finding(cause), (Evidence(_finding(other), "X-001", shared),), (line,))


@settings(max_examples=80)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_html_problems_show_the_text(cause: str, other: str, shared: str, line: str) -> None:
    html = ProblemList([_problem(cause, other, shared, line)])._repr_html_()
    page = _Page(html)
    assert page.tags <= {"article", "h4", "span", "code", "p", "strong", "ul", "li", "small"}
    assert page.attributes <= {"class"}
    assert _blocks(html, "p")[0] == plain(cause)
    assert _blocks(html, "small") == [plain(f"même {shared} que X-001")]
    told = _blocks(html, "li")
    assert told == [f"élevée X-001 {plain(other)} {plain(f'même {shared} que X-001')}", plain(line)]


@given(TEXTS)
def test_html_cards_show_the_text(value: str) -> None:
    html = Cards([("note", value, "good")])._repr_html_()
    assert _Page(html).tags == {"ul", "li", "strong", "span"}
    assert _blocks(html, "strong") == [plain(value)]


def test_a_long_word_may_break_and_loses_nothing() -> None:
    name = "registry.example.org/équipe/un-nom-vraiment-très-long@sha256:" + "0" * 64
    html = Grid(TABLE.rows([{"one": name}]), TABLE, ("one",))._repr_html_().removeprefix(LAB)
    assert "<wbr>" in html and name in _shown(html)
    longest = max(re.sub(r"<(?!wbr)[^>]*>", "<wbr>", html).split("<wbr>"), key=len)
    assert len(longest) <= 48


# Markdown, parsed back

_markdown = mistune.create_markdown(
    renderer="ast", plugins=["table", "strikethrough", "footnotes", "task_lists", "math"]
)


def _tokens(markdown: str) -> list[dict[str, Any]]:
    parsed: Any = _markdown(markdown)
    return [token for token in parsed if token["type"] != "blank_line"]


def _all(tokens: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for token in tokens:
        yield token
        yield from _all(token.get("children", []))


def _text(token: dict[str, Any]) -> str:
    return _folded("".join(one.get("raw", "") for one in _all([token])))


def _types(tokens: list[dict[str, Any]]) -> set[str]:
    return {token["type"] for token in _all(tokens)}


def _folded(shown: str) -> str:
    """Markdown folds the spaces around a text and those that follow each other."""
    return re.sub(r"\s+", " ", shown).strip()


@settings(max_examples=80)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
@example([("a\\", "|"), ("|", "\\|"), ("--- | ---", "")])
def test_a_markdown_table_keeps_its_columns_and_shows_the_text(rows: list[tuple[str, str]]) -> None:
    numbered = Numbered.table.rows({"number": n, "one": one, "three": three} for n, (one, three) in enumerate(rows))
    (parsed,) = _tokens(Grid(numbered, Numbered.table).markdown())
    assert parsed["type"] == "table"
    assert _types([parsed]) <= {"table", "table_head", "table_body", "table_row", "table_cell", "text"}
    lines = [line["children"] for line in parsed["children"][1]["children"]]
    assert [[_text(one) for one in line] for line in lines] == [
        [str(n), *(_folded(visible(value)) for value in row)] for n, row in enumerate(rows)
    ]


@given(TEXTS.filter(lambda one: visible(one).strip() != ""))
def test_markdown_sentences_show_the_text(sentence: str) -> None:
    sentence = sentence.strip(" ")
    (parsed,) = _tokens(Sentences([sentence, "Fin."]).markdown())
    assert _types([parsed]) <= {"list", "list_item", "block_text", "text"}
    assert [_text(one) for one in parsed["children"]] == [_folded(plain(sentence)), "Fin."]


@given(TEXTS.filter(lambda one: visible(one).strip() != ""))
def test_markdown_notices_show_the_text(said: str) -> None:
    said = said.strip(" ")
    (parsed,) = _tokens(Notice(said).markdown())
    assert _types([parsed]) <= {"block_quote", "paragraph", "text"}
    assert _text(parsed) == _folded(plain(said))


@settings(max_examples=80)
@given(TEXTS, TEXTS, st.lists(COMMANDS, min_size=1, max_size=2))
def test_markdown_findings_show_the_text_and_the_commands(message: str, fix: str, commands: list[str]) -> None:
    (parsed,) = _tokens(FindingList([_finding(message, fix, tuple(commands))]).markdown())
    own = {"list", "list_item", "block_text", "paragraph", "strong", "text", "block_code", "blank_line"}
    assert _types([parsed]) <= own
    said = [_text(one) for one in _all([parsed]) if one["type"] in ("block_text", "paragraph")]
    assert said == [
        _folded(f"X-001 (élevée)\u00a0: {plain(message)}"),
        _folded(f"Correctif\u00a0: {plain(fix)}"),
        "Vérifier :",
    ]
    blocks = [one["raw"] for one in _all([parsed]) if one["type"] == "block_code"]
    assert blocks == ["\n".join(commands) + "\n"] * 2


@settings(max_examples=80)
@given(TEXTS, TEXTS, TEXTS, TEXTS.filter(lambda one: visible(one).strip() != ""))
def test_markdown_problems_show_the_text(cause: str, other: str, shared: str, line: str) -> None:
    line = line.strip(" ")
    (parsed,) = _tokens(ProblemList([_problem(cause, other, shared, line)]).markdown())
    assert _types([parsed]) <= {"list", "list_item", "block_text", "paragraph", "strong", "text", "blank_line"}
    said = [_text(one) for one in _all([parsed]) if one["type"] in ("block_text", "paragraph")]
    assert said == [
        _folded(f"X-001 (élevée)\u00a0: {plain(cause)}"),
        "Correctif : Corriger.",
        "Explique aussi :",
        _folded(f"X-001 (élevée, {plain(f'même {shared} que X-001')})\u00a0: {plain(other)}"),
        "Correctif : Corriger.",
        _folded(plain(line)),
    ]


def test_the_fix_of_what_a_cause_explains_is_told_when_it_is_grave() -> None:
    light = dataclasses.replace(_finding("Léger."), severity="low")
    lines = ProblemList([Problem(light, (Evidence(light, "X-001", "nom « a »"),))]).markdown().splitlines()
    assert [line for line in lines if "Correctif" in line] == ["  - Correctif\u00a0: Corriger."]


@given(TEXTS)
def test_brief_findings_are_one_line_each(message: str) -> None:
    listed = FindingList([_finding(message), _finding("Autre.")], brief=True).markdown()
    assert len(listed.splitlines()) == 2
    assert _types(_tokens(listed)) <= {"list", "list_item", "block_text", "strong", "text"}


@given(TEXTS)
def test_markdown_text_is_one_line(hostile: str) -> None:
    assert len(f"x{markdown_text(hostile)}x".splitlines()) == 1


@given(st.lists(COMMANDS, max_size=3).map("\n".join))
@example("```\nrm\n```")
@example("````")
def test_a_code_block_shows_its_code(code: str) -> None:
    (parsed,) = _tokens(markdown_code(code))
    assert (parsed["type"], parsed["attrs"]["info"]) == ("block_code", "bash")
    assert parsed["raw"].rstrip("\n") == code.rstrip("\n")


# Words of the values


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (Column("x", "text", "X"), None, "—"),
        (Column("x", "text", "X", missing="aucun"), None, "aucun"),
        (Column("x", "text", "X", words={"ok": "lue"}), "ok", "lue"),
        (Column("x", "text", "X", words={"ok": "lue"}), "odd\x1b", "odd⟨1B⟩"),
        (Column("x", "integer", "X"), 12345, "12345"),
        (Column("x", "integer", "X"), 0, "0"),
        (Column("x", "integer", "X"), 9223372036854775807, "9223372036854775807"),
        (Column("x", "bytes", "X"), 1536, "1,5 Kio"),
        (Column("x", "bytes", "X"), 0, "0 o"),
        (Column("x", "seconds", "X"), 0.5, "0,5 s"),
        (Column("x", "flag", "X"), True, "oui"),
        (Column("x", "flag", "X"), False, "non"),
        (Column("x", "instant", "X"), dt.datetime(2026, 1, 1, 14, 5, tzinfo=dt.UTC), "1er janvier 2026 à 15 h 05"),
        (Column("x", "list", "X"), ("a", "b\n"), "a, b⟨0A⟩"),
        (Column("x", "list", "X", missing="aucun"), (), "aucun"),
        (Column("x", "prose", "X"), "Rien.", "Rien."),
    ],
)
def test_cells(column: Column, value: Any, shown: str) -> None:
    assert cell(value, column, "Europe/Paris") == shown


def test_the_declared_columns_of_a_grid() -> None:
    rows = TABLE.rows([{"one": "a", "two": ["b"], "three": "c"}])
    grid = Grid(rows, TABLE, ("three", "one"))
    assert grid.markdown().splitlines() == ["| Trois | Un |", "| --- | --- |", "| c | a |"]
    assert re.findall(r'<th scope="col">(.*?)</th>', grid._repr_html_()) == ["Trois", "Un"]
    assert repr(grid) == "Titre : 1 ligne"


def test_an_empty_grid_says_so() -> None:
    grid = Grid(TABLE.rows([]), TABLE, empty="Rien à l’écoute.")
    assert grid.markdown() == "Rien à l’écoute."
    assert _shown(grid._repr_html_()) == "Titre : Rien à l’écoute."


def test_no_finding_is_good_news() -> None:
    assert FindingList([]).markdown() == "Aucun constat."
    assert FindingList([], "Rien.")._repr_html_() == '<p class="notice good">Rien.</p>'
    assert repr(FindingList([])) == "Aucun constat."
    assert ProblemList([]).markdown() == repr(ProblemList([])) == "Aucun problème."
    assert ProblemList([], "Rien.")._repr_html_() == '<p class="notice good">Rien.</p>'


def test_several_things_one_under_the_other() -> None:
    both = Several([Sentences(["Un."]), Notice("Deux : trois.")])
    assert both.markdown() == "- Un.\n\n> Deux\u00a0: trois."
    assert (
        both._repr_html_() == '<ul class="sentences"><li>Un.</li></ul><p class="notice unknown">Deux\u00a0: trois.</p>'
    )
    assert repr(both) == "Un.\n\nDeux\u00a0: trois."
    assert (
        Cards([("note", "65/100", ""), ("critique", "1", "critical")]).markdown()
        == "note\u00a0: **65/100** · critique\u00a0: **1**"
    )


class Named(Fault):
    """A fault whose fact has the name of a column, and a label of its own."""

    container: str = fact("Le sien")


def test_a_fact_is_labelled_by_its_fault_else_by_a_column_of_its_name() -> None:
    finding = _finding("x", evidence="web")
    labels = [
        re.findall("<dt>(.*?)</dt>", FindingList([one])._repr_html_())
        for one in (finding, dataclasses.replace(finding, fault=Named(container="web")))
    ]
    assert labels == [["Conteneur"], ["Le sien"]]


def test_confidence_is_told_unless_it_is_certain() -> None:
    assert "confiance : probable" in FindingList([_finding("x")])._repr_html_()
