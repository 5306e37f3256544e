"""YAML to data that knows its lines, within bounds."""

import math
import time
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlib.compose.document import MAX_NODES, Invalid, Map, Place, Seq, Tagged, documents, place_of, untagged


def one(text: str) -> object:
    [document] = documents(text, "f.yml")
    return document


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("22:22", "22:22"),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("True", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0755", 493),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("08", 8.0),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-1-2 03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-13-01", "2024-13-01"),
        ("-.inf", -math.inf),
        ("9" * 60, "9" * 60),
    ],
)
def test_scalars_are_read_as_go_yaml_does(written: str, meant: object) -> None:
    value = one(f"key: {written}\n")
    assert value == {"key": meant}
    assert type(value["key"]).__mro__[-2] in (type(meant), type(meant).__mro__[-2])  # type: ignore[index]


def test_every_key_and_value_knows_its_line() -> None:
    tree = one("# comment\nservices:\n  web:\n    image: nginx\n    ports:\n      - 80:80\n      - 443\n")
    assert isinstance(tree, Map)
    web = tree["services"]["web"]
    assert [place_of(key).line for key in web] == [4, 5]
    assert place_of(web["image"]) == Place("f.yml", 4)
    assert isinstance(web["ports"], Seq)
    assert [place_of(item).line for item in web["ports"]] == [6, 7]
    assert place_of(web).line == 4


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "la clé « a » est écrite deux fois", 3),
        ("a: {b: 1\nc: 2\n", "le YAML est mal formé", 2),
        ("a:\n\tb: 1\n", "le YAML est mal formé", 2),
        ("a: *nothing\n", "l’alias « nothing » ne désigne rien, ou se contient lui-même", 1),
        ("a: &a [*a]\n", "l’alias « a » ne désigne rien, ou se contient lui-même", 1),
        ("? [a]\n: 1\n", "une clé n’est pas un texte", 1),
        ("a: 1\n1: 2\n", "une clé n’est pas un texte", 2),
        ("<<: 5\n", "« << » ne fusionne que des blocs de clés", 1),
        ("a: \x01\n", "le YAML est mal formé", 0),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, reason: str, line: int) -> None:
    with pytest.raises(Invalid) as told:
        documents(text, "f.yml")
    assert (told.value.reason, told.value.place) == (reason, Place("f.yml", line))


def test_merge_keys_give_way_to_what_is_written_and_to_the_first() -> None:
    tree = one("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\n")
    assert tree == {"x": {"a": 1, "b": 1}, "y": {"b": 2, "c": 2}, "z": {"c": 3, "a": 1, "b": 1}}


def test_documents_do_not_share_anchors() -> None:
    with pytest.raises(Invalid):
        documents("a: &a 1\n---\nb: *a\n", "f.yml")
    assert documents("a: 1\n---\nb: 2\n", "f.yml") == [{"a": 1}, {"b": 2}]
    assert documents("# nothing\n", "f.yml") == []


@pytest.mark.parametrize(
    "text",
    [
        "a: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        f"a: &a {'x' * 900_000}\nb: [{','.join(['*a'] * 900)}]\n",
        "a: " + "[" * 50_000,
        "a: " + "{a: " * 20_000,
        "\n".join(" " * n + "a:" for n in range(800)),
        "a: [" + "x," * 50_000 + "]",
        "".join(f"k{n}: {n}\n" for n in range(MAX_NODES)),
    ],
    ids=["alias bomb", "repeated text", "deep lists", "deep maps", "deep blocks", "long list", "many keys"],
)
def test_hostile_sizes_are_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(Invalid):
        documents(text, "f.yml")
    assert time.process_time() - started < 3


def test_tags_of_compose_are_taken_out_and_remembered() -> None:
    tree = one("a: !reset null\nb: !override [x]\nc: {d: !reset {}, e: 1}\nf: [!reset 1, 2]\n")
    assert isinstance(tree, Map)
    assert isinstance(tree["a"], Tagged)
    assert untagged(tree) == ({"b": ["x"], "c": {"e": 1}, "f": [2]}, [("a",), ("b",), ("c", "d")])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents(text, "f.yml")
    except Invalid as told:
        assert told.place.file == "f.yml"


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_PLAIN)
@settings(max_examples=50)
def test_what_was_written_comes_back(value: object) -> None:
    # Quoted by the writer, so that YAML 1.1 and 1.2 agree on what is text.
    assert documents(yaml.safe_dump(value, default_style='"' if isinstance(value, str) else None), "f") == [value] or (
        "<<" in repr(value)
    )
