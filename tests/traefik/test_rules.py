"""The language of Traefik's rules: against what real Traefiks answered, against itself, and where a rule answers."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.traefik.rules import (
    And,
    Matcher,
    Node,
    Not,
    Or,
    Place,
    RuleError,
    Syntax,
    domains,
    parse,
    places,
    printed,
)
from tests.conftest import PAYLOADS

# The API's words for a rule that the parser refused; other errors are about what the rule is attached to.
_OF_THE_RULE = re.compile(r"^error while (?:adding|parsing) rule ")
_POSITION = re.compile(r": (\d+):(\d+): ")


def _recorded() -> Iterator[tuple[str, str, Syntax, list[str]]]:
    """Every recorded router: where, its rule, its syntax, and the errors of all versions that concern the rule."""
    for case in json.loads((PAYLOADS / "http_rules.json").read_text("utf-8"))["cases"]:
        for name, versions in case["api"].items():
            router = case["routers"][name]
            syntax: Syntax = "v2" if router.get("ruleSyntax") == "v2" else "v3"
            errors = [_text(answer["err"]) for answer in versions.values()]
            yield f"{case['name']}/{name}", router.get("rule", ""), syntax, [e for e in errors if _OF_THE_RULE.match(e)]


def _text(error: Any) -> str:
    return error if isinstance(error, str) else " ".join(error or [])


RECORDED = list(_recorded())


def _error(rule: str, syntax: Syntax = "v3") -> RuleError | None:
    try:
        parse(rule, syntax)
    except RuleError as error:
        return error
    return None


@pytest.mark.parametrize(("rule", "syntax", "errors"), [one[1:] for one in RECORDED], ids=[one[0] for one in RECORDED])
def test_the_parser_refuses_what_every_version_refused(rule: str, syntax: Syntax, errors: list[str]) -> None:
    error = _error(rule, syntax)
    assert (error is not None) == bool(errors)
    for position in {found.groups() for one in errors if (found := _POSITION.search(one))}:
        assert error and (str(error.line), str(error.column)) == position


def test_the_recordings_hold_both_kinds() -> None:
    refused = [bool(errors) for *_, errors in RECORDED]
    assert sum(refused) >= 12 and len(refused) - sum(refused) >= 70


# The grammar

HOST, PATH, ROOT = Matcher("Host", ("a.fr",)), Matcher("PathPrefix", ("/x",)), Matcher("Path", ("/",))


@pytest.mark.parametrize(
    ("rule", "tree"),
    [
        ("Host(`a.fr`) || PathPrefix(`/x`) && Path(`/`)", Or(HOST, And(PATH, ROOT))),
        ("(Host(`a.fr`) || PathPrefix(`/x`)) && Path(`/`)", And(Or(HOST, PATH), ROOT)),
        ("Host(`a.fr`) && PathPrefix(`/x`) && Path(`/`)", And(And(HOST, PATH), ROOT)),
        ("!Host(`a.fr`) && PathPrefix(`/x`)", And(Not(HOST), PATH)),
        ("!!Host(`a.fr`)", Not(Not(HOST))),
        ("!(Host(`a.fr`))", Not(HOST)),
        ("host(`a.fr`)&&PATHPREFIX(`/x`)", And(HOST, PATH)),
        ("Pathprefix(`/x`)", PATH),
        ('Host("a.fr",)', HOST),
        (r'Host("\x61\u002e\U00000066\162")', HOST),
        (r'PathPrefix("/\"\\\t")', Matcher("PathPrefix", ('/"\\\t',))),
        # Go's strings are bytes: some are text together, and what is none stays a byte.
        (r'PathPrefix("/\303\xA9")', Matcher("PathPrefix", ("/é",))),
        (r'PathPrefix("/\377")', Matcher("PathPrefix", ("/\udcff",))),
        ("PathPrefix(`/\\x`)", Matcher("PathPrefix", ("/\\x",))),
        ("PathPrefix(`/a\r\nb`)", Matcher("PathPrefix", ("/a\nb",))),
        ("/* both */ Host(`a.fr`) && // and\n PathPrefix(`/x`) // end", And(HOST, PATH)),
        ("Host(\n`a.fr`,\n) ||\nPath(`/`)\n\n", Or(HOST, ROOT)),
        ("Query(`a`)", Matcher("Query", ("a",))),
        ("Query(`a`, `1`)", Matcher("Query", ("a", "1"))),
        ("ClientIP(`10.0.0.1/8`)", Matcher("ClientIP", ("10.0.0.1/8",))),
    ],
)
def test_trees(rule: str, tree: Node) -> None:
    assert parse(rule) == tree


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "la fin de la règle au lieu d’un matcher (ligne 1, colonne 1)"),
        ("Host(a)", "« a » au lieu d’une chaîne (ligne 1, colonne 6)"),
        ("Host(`a`", "la fin de la règle au lieu de « ) » (ligne 1, colonne 9)"),
        ("Host(`a`\n)", "une fin de ligne au lieu de « ) » (ligne 1, colonne 9)"),
        ("Host(`a`)\n|| Host(`b`)", "« || » au lieu de la fin de la règle (ligne 2, colonne 1)"),
        ("Host(`a`) /* \n */ || Host(`b`)", "« || » au lieu de la fin de la règle (ligne 2, colonne 5)"),
        ("Host(`é`) Host", "un domaine doit être écrit en ASCII (punycode) dans Host (ligne 1, colonne 1)"),
        ("Path(`/é`) Host", "« Host » au lieu de la fin de la règle (ligne 1, colonne 13)"),
        ("Host('a')", 'les apostrophes ne délimitent pas une chaîne, utiliser ` ou " (ligne 1, colonne 6)'),
        ("Hosts(`a`)", "matcher inconnu « Hosts » (ligne 1, colonne 1)"),
        ("pathPrefix(`/a`)", "matcher inconnu « pathPrefix » (ligne 1, colonne 1)"),
        ("Host()", "Host ne prend pas 0 argument (ligne 1, colonne 1)"),
        ("Host(`a`, `b`)", "Host ne prend pas 2 arguments (ligne 1, colonne 1)"),
        ("Header(`a`)", "Header ne prend pas 1 argument (ligne 1, colonne 1)"),
        ("Header(`a`, `b`, `c`)", "Header ne prend pas 3 arguments (ligne 1, colonne 1)"),
        ("Query(`a`, `b`, `c`)", "Query ne prend pas 3 arguments (ligne 1, colonne 1)"),
        ("Path(`/\ud800`) x", "« x » au lieu de la fin de la règle (ligne 1, colonne 14)"),
        ("Host(``)", "argument vide dans Host (ligne 1, colonne 1)"),
        ("Path(`a`)", "un chemin doit commencer par / dans Path (ligne 1, colonne 1)"),
        ("ClientIP(`10.0.0.0/255.0.0.0`)", "adresse ou plage d’adresses mal formée dans ClientIP (ligne 1, colonne 1)"),
        ("ClientIP(`fe80::1%eth0`)", "adresse ou plage d’adresses mal formée dans ClientIP (ligne 1, colonne 1)"),
        ("HostRegexp(`é`)", "un domaine doit être écrit en ASCII (punycode) dans HostRegexp (ligne 1, colonne 1)"),
        ("ClientIP(`localhost`)", "adresse ou plage d’adresses mal formée dans ClientIP (ligne 1, colonne 1)"),
        (r'Host("\q")', "échappement inconnu \\q (ligne 1, colonne 6)"),
        (r'Host("\400")', "caractère impossible \\400 (ligne 1, colonne 6)"),
        (r'Host("\ud800")', "caractère impossible \\ud800 (ligne 1, colonne 6)"),
        (r'Host("\U00110000")', "caractère impossible \\U00110000 (ligne 1, colonne 6)"),
        ("Host(`a`) and Path(`/`)", "« and » au lieu de la fin de la règle (ligne 1, colonne 11)"),
    ],
)
def test_refusals(rule: str, message: str) -> None:
    assert str(_error(rule)) == message


@pytest.mark.parametrize(
    ("rule", "syntaxes"),
    [
        ("Host(`a`, `b`)", {"v2"}),
        ("HostHeader(`a`)", {"v2"}),
        ("Headers(`X-A`, `1`)", {"v2"}),
        ("Headers(`X-A`, `1`, `X-B`, `2`)", {"v2"}),
        ("Headers(`X-A`, `1`, `X-B`)", set()),
        ("HeadersRegexp(`X-A`, `1`)", {"v2"}),
        ("Header(`X-A`, `1`)", {"v3"}),
        ("PathRegexp(`/a`)", {"v3"}),
        ("QueryRegexp(`a`, `b`)", {"v3"}),
        ("Path(`/a`)", {"v2", "v3"}),
        ("ClientIP(`::1`)", {"v2", "v3", "tcp"}),
        ("HostSNI(`*`)", {"tcp"}),
        ("HostSNIRegexp(`.+`) && ALPN(`h2`)", {"tcp"}),
    ],
)
def test_each_syntax_has_its_matchers(rule: str, syntaxes: set[Syntax]) -> None:
    every: tuple[Syntax, ...] = ("v2", "v3", "tcp")
    assert {syntax for syntax in every if _error(rule, syntax) is None} == syntaxes


@given(st.text() | st.text("Hostah().,`\"'|&!/*\n\\x0 "))
def test_any_text_is_a_tree_or_a_rule_error(rule: str) -> None:
    error = _error(rule)
    if error:
        assert error.line >= 1 and error.column >= 1
        assert re.fullmatch(r".+ \(ligne \d+, colonne \d+\)", str(error), re.DOTALL)


@pytest.mark.parametrize(
    "rule",
    [
        "(" * 50_000,
        "!" * 50_000,
        "Host(`a`" * 20_000,
        "/*" * 50_000,
        '"' * 50_001,
        "Host(`a`) || " * 20_000,
        "\n" * 99_999,
    ],
    ids=["brackets", "negations", "unclosed", "comments", "quotes", "alternatives", "newlines"],
)
def test_long_nonsense_is_refused_at_once(rule: str) -> None:
    started = time.process_time()
    assert _error(rule)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(("depth", "accepted"), [(90, True), (110, False)])
@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("!", "")])
def test_nesting_is_bounded(before: str, after: str, depth: int, *, accepted: bool) -> None:
    assert (_error(f"{before * depth}Host(`a`){after * depth}") is None) == accepted


# A tree printed is read back

_ARGUMENTS = {
    "Host": st.from_regex(r"[a-zA-Z0-9*.-]{1,12}", fullmatch=True),
    "PathPrefix": st.text(max_size=8).map(lambda tail: f"/{tail}"),
    "Method": st.text(min_size=1, max_size=8),
}
_MATCHERS = st.one_of(
    [st.builds(Matcher, st.just(name), st.tuples(argument)) for name, argument in _ARGUMENTS.items()]
    + [st.builds(Matcher, st.just("Header"), st.tuples(*[st.text(min_size=1, max_size=8)] * 2))]
)
TREES = st.recursive(
    _MATCHERS, lambda node: st.builds(Not, node) | st.builds(And, node, node) | st.builds(Or, node, node), max_leaves=12
)


@given(TREES)
def test_a_printed_tree_is_the_same_tree(tree: Node) -> None:
    assert parse(printed(tree)) == tree


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`a`) && (Path(`/b`) || Path(`/c`)) && !Method(`GET`)",
        "(Host(`a`) || Host(`b`)) && Path(`/c`) || Host(`d`)",
        "!(Host(`a`) && Host(`b`)) || !!Host(`c`)",
        "Host(`a`) || (Host(`b`) || Host(`c`))",
        r'Path("/\U00000060\xff")',
        " || ".join(f"Host(`h{number}`)" for number in range(3000)),
    ],
    ids=["and or not", "brackets to the left", "negated brackets", "brackets to the right", "bytes", "long"],
)
def test_printing_is_stable(rule: str) -> None:
    once = printed(parse(rule))
    assert parse(once) == parse(rule) if len(rule) < 1000 else once == rule
    assert printed(parse(once)) == once


# Where a rule answers


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("Host(`A.fr.`)", [("a.fr", None)]),
        ("Host(`a.fr`) || Host(`b.fr`)", [("a.fr", None), ("b.fr", None)]),
        ("Host(`a.fr`) && PathPrefix(`/x`)", [("a.fr", "/x")]),
        (
            "(Host(`a.fr`) || Host(`b.fr`)) && (Path(`/x`) || PathPrefix(`/y`))",
            [("a.fr", "/x"), ("a.fr", "/y"), ("b.fr", "/x"), ("b.fr", "/y")],
        ),
        ("Host(`a.fr`) || Host(`b.fr`) && Path(`/x`)", [("a.fr", None), ("b.fr", "/x")]),
        ("PathPrefix(`/x`)", [(None, "/x")]),
        ("Method(`GET`)", [(None, None)]),
        ("Host(`a.fr`) && Header(`X`, `1`) && ClientIP(`10.0.0.0/8`)", [("a.fr", None)]),
        # Negations name no place, wherever they are pushed.
        ("!Host(`a.fr`)", [(None, None)]),
        ("!!Host(`a.fr`)", [("a.fr", None)]),
        ("Host(`a.fr`) && !PathPrefix(`/admin`)", [("a.fr", None)]),
        ("!(Host(`a.fr`) || !PathPrefix(`/x`))", [(None, "/x")]),
        ("!(!Host(`a.fr`) && !Host(`b.fr`))", [("a.fr", None), ("b.fr", None)]),
        ("!(!Host(`a.fr`) || !Path(`/x`))", [("a.fr", "/x")]),
        # Two that exclude each other leave nothing.
        ("Host(`a.fr`) && Host(`b.fr`)", []),
        ("Host(`a.fr`) && PathPrefix(`/x`) && PathPrefix(`/y`)", []),
        ("(Host(`a.fr`) || Host(`b.fr`)) && Host(`b.fr`)", [("b.fr", None)]),
        # The longer of two prefixes is where both answer.
        ("PathPrefix(`/api`) && PathPrefix(`/api/v1`)", [(None, "/api/v1")]),
        ("Host(`a.fr`) && Host(`a.fr`)", [("a.fr", None)]),
        # Patterns are shown as such, and yield to plain text.
        ("HostRegexp(`.+`)", [("~.+", None)]),
        ("HostRegexp(`.+`) && Host(`a.fr`)", [("a.fr", None)]),
        ("PathRegexp(`^/[a-z]`) && PathPrefix(`/x`)", [(None, "/x")]),
        ("PathRegexp(`^/[a-z]`)", [(None, "~^/[a-z]")]),
        ("Host(`*`)", [(None, None)]),
    ],
)
def test_places(rule: str, found: list[tuple[str | None, str | None]]) -> None:
    assert places(parse(rule)) == [Place(*one) for one in found]


def test_places_of_the_other_syntaxes() -> None:
    assert places(parse("Host(`a.fr`, `b.fr`) && Path(`/x`, `/y`)", "v2")) == [
        Place(domain, path) for domain in ("a.fr", "b.fr") for path in ("/x", "/y")
    ]
    assert places(parse("HostSNI(`*`)", "tcp")) == [Place(None, None)]
    assert places(parse("HostSNI(`db.fr`)", "tcp")) == [Place("db.fr", None)]


def test_domains_are_the_plain_ones() -> None:
    rule = "(Host(`b.fr`) || HostRegexp(`.+`) || Host(`a.fr`)) && !Host(`c.fr`) && Path(`/`)"
    assert domains(parse(rule)) == ["b.fr", "a.fr"]


def _alternatives(matcher: str, prefix: str, count: int) -> str:
    return "(" + " || ".join(f"{matcher}(`{prefix}{number}`)" for number in range(count)) + ")"


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (_alternatives("Host", "h", 3000), 3000),
        (f"{_alternatives('Host', 'h', 50)} && {_alternatives('Path', '/p', 100)}", 5000),
        # Beyond the bound the paths are left out; then the side that names fewer domains.
        (f"{_alternatives('Host', 'h', 51)} && {_alternatives('Path', '/p', 100)}", 51),
        (f"{_alternatives('Host', 'h', 1500)} && {_alternatives('Host', 'h', 1400)}", 1500),
    ],
    ids=["many domains", "product within bound", "product beyond bound", "two sides of domains"],
)
def test_places_are_bounded(rule: str, count: int) -> None:
    started = time.process_time()
    assert len(places(parse(rule))) == count
    assert time.process_time() - started < 5


@given(TREES)
def test_places_of_any_tree(tree: Node) -> None:
    found = places(tree)
    assert len(set(found)) == len(found)
    named = {place.domain for place in found if place.domain}
    assert named <= {arg.lower().removesuffix(".") for arg in _hosts(tree)}


def _hosts(node: Node) -> set[str]:
    match node:
        case Matcher(name, args):
            return set(args) if name == "Host" else set()
        case Not(operand):
            return _hosts(operand)
        case And(left, right) | Or(left, right):
            return _hosts(left) | _hosts(right)
