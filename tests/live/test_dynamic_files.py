"""Files of the file provider against real Traefiks: which are refused and in which words, and what the others declare.

Each is one with every field of the version, of which most are left out, with one fault at most: a name misspelt, a
field of another version, a value of another type. AUDITLIB_FUZZ_SEED chooses other cases, AUDITLIB_FUZZ_FILES more.
"""

import collections
import copy
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlib.traefik.decoding import Tree, decode_duration
from auditlib.traefik.documents import FileError
from auditlib.traefik.fields import Field, Version, structures
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.files import decode_file
from tests.live.watched import MARKER, Watching, watching
from tests.traefik.dynamic_files import UNKNOWN, alone, every_field, leaves, toml, without

VERSIONS = ("3.0.4", "3.3.6", "3.6.15", "3.7.15")
SEED = int(os.environ.get("AUDITLIB_FUZZ_SEED") or 20261201)
FILES = int(os.environ.get("AUDITLIB_FUZZ_FILES") or 120)

Names = list[Any]  # the way down to a place of a tree

# What is written instead of a good value: of another type, of a type that YAML alone has, or nothing.
WRONG: list[Any] = [
    "text",
    "",
    "true",
    "yes",
    "5",
    "10s",
    "a,b",
    " a , b ",
    0,
    -3,
    7,
    2**63,
    1.5,
    True,
    False,
    None,
    [],
    ["a"],
    [1, 2],
    [True, "b"],
    [["a"]],
    [{}],
    [{"nothing": 1}],
    {},
    {"nothing": 1},
]
# The same, as only YAML's own words say it.
WORDS = ["0x10", "010", "0o17", "0b11", "1_000", "1e3", ".5", "+4", "~", "on", "2001-01-01", "!!str 5", ".inf", "<<"]


@dataclass
class Outcome:
    """What a comparison found: files of which the verdict, the words or the values differ, and counts by verdict."""

    differing: list[Any] = field(default_factory=list)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)


def _held(tree: Any, place: Names) -> Any:
    for name in place:
        tree = tree[name]
    return tree


def _places(tree: Any, above: Names) -> Iterator[Names]:
    """The ways to everything that a tree holds, its own objects included."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in entries:
        yield [*above, name]
        yield from _places(value, [*above, name])


def _thinned(chance: random.Random, tree: dict[str, Any]) -> dict[str, Any]:
    """A tree with a few of its fields."""
    every = [".".join(place) for place in leaves(tree)]
    kept = set(chance.sample(every, chance.randint(1, 25)))
    return without(tree, [place for place in every if place not in kept])


def _misspelt(chance: random.Random, tree: dict[str, Any]) -> None:
    *above, name = chance.choice([place for place in _places(tree, []) if isinstance(place[-1], str)])
    holder = _held(tree, above)
    value = holder.pop(name)
    holder[chance.choice([name + "s", name[:-1] or "x", name.upper(), f" {name}", "nothing"])] = value


def _mistyped(chance: random.Random, tree: dict[str, Any]) -> None:
    *above, name = chance.choice(list(_places(tree, [])))
    _held(tree, above)[name] = copy.deepcopy(chance.choice(WRONG))


def _spelled_oddly(chance: random.Random, tree: dict[str, Any]) -> None:
    """A value that is written in a word of YAML's: it stands in the text where the mark of it does."""
    places = [place for place in _places(tree, []) if not isinstance(_held(tree, place), dict | list)]
    *above, name = chance.choice(places)
    _held(tree, above)[name] = f"WORD{chance.randrange(len(WORDS))}"


def _foreign(chance: random.Random, tree: dict[str, Any]) -> None:
    """A field of another structure."""
    holders = [place for place in _places(tree, []) if isinstance(_held(tree, place), dict)]
    stranger = chance.choice([name for places in UNKNOWN.values() for name in places]).rpartition(".")[2]
    _held(tree, chance.choice(holders))[stranger] = "text"


FAULTS: list[Callable[[random.Random, dict[str, Any]], None] | None] = [
    None,
    None,
    _misspelt,
    _mistyped,
    _mistyped,
    _mistyped,
    _spelled_oddly,
    _foreign,
]


def _section(tree: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """A part of a tree under the name that it has there, whatever its case; empty for what is no part."""
    spelled = next((key for key in tree if str(key).lower() == name), name)
    return spelled, tree[spelled] if isinstance(tree.get(spelled), dict) else {}


def _text(chance: random.Random, tree: dict[str, Any], suffix: str) -> str:
    """A tree with a router that marks it, in YAML or TOML."""
    # What stands where routers do, and is none, cannot be seen beside the mark. Of two spellings of one name in a
    # file, Traefik takes any.
    http, section = _section(tree, "http")
    routers, others = _section(section, "routers")
    marker = {"rule": "Host(`marker`)", "service": "marker"}
    tree = {**tree, http: {**section, routers: {**others, MARKER: marker}}}
    if suffix == ".toml":
        return toml(tree)
    text = yaml.safe_dump(tree, allow_unicode=True, default_flow_style=chance.random() < 0.2, width=10_000)
    return re.sub(r"WORD(\d+)", lambda found: WORDS[int(found[1])], text)


def _without_nulls(tree: Any) -> Any:
    """A tree without what TOML cannot say."""
    if isinstance(tree, dict):
        return {name: _without_nulls(value) for name, value in tree.items() if value is not None}
    return [_without_nulls(value) for value in tree if value is not None] if isinstance(tree, list) else tree


# The value may be a secret: it is left out of what the audit says.
_VALUE = re.compile(r'(parsing|duration|unit) ".*"', re.DOTALL)


def _verdict(seen: dict[str, Any] | str) -> str:
    """The error that Traefik told, without the name of the file and the value; nothing when it loaded the file."""
    if isinstance(seen, dict):
        return ""
    return _VALUE.sub(r"\1 …", re.sub(r"^.*?/dynamic\.\w+: ", "", seen))


def _compared(version: str, text: str, suffix: str, watched: Watching, outcome: Outcome) -> None:
    at = version_of(version)
    assert at
    seen = watched.load(text)
    tree: Tree = {}
    foreseen = ""
    try:
        tree = decode_file(f"a{suffix}", text.replace(MARKER, f"marker-{watched.loads}"), at).tree
    except FileError as error:
        foreseen = str(error)
    told = _verdict(seen)
    outcome.counts["refused" if told else "loaded"] += 1
    if (foreseen != told) and not (told.startswith(("yaml: ", "toml: ")) and foreseen):
        outcome.differing.append((text, foreseen, told))
    elif isinstance(seen, dict):
        outcome.differing += [(text, *pair) for pair in _unlike(tree, seen, at)]


KINDS = {
    "HTTP": {"Routers": "routers", "Services": "services", "Middlewares": "middlewares"},
    "TCP": {"Routers": "tcpRouters", "Services": "tcpServices", "Middlewares": "tcpMiddlewares"},
    "UDP": {"Routers": "udpRouters", "Services": "udpServices"},
}


def _unlike(tree: Tree, seen: dict[str, Any], at: Version) -> Iterator[tuple[Any, Any]]:
    """The objects that the API shows otherwise than they were foreseen, both ways."""
    known = structures(at)
    for protocol, kinds in KINDS.items():
        for kind, shown in kinds.items():
            owner = kind[:-1] if protocol == "HTTP" else f"{protocol}{kind[:-1]}"
            ours = {name: _plain(known, owner, one) for name, one in tree.get(protocol, {}).get(kind, {}).items()}
            theirs = {
                name.removesuffix("@file"): _plain(known, owner, _named(known, owner, one))
                for name, one in seen.get(shown, {}).items()
                if name.endswith("@file")
            }
            if kind == "Routers":
                theirs = {name: _as_said(ours.get(name, {}), one) for name, one in theirs.items()}
            # A router with a parent and TLS of its own vanishes when routers are built.
            vanished = {name for name, one in ours.items() if one.keys() >= {"ParentRefs", "TLS"}} - theirs.keys()
            for name in (ours.keys() | theirs.keys()) - vanished:
                if ours.get(name) != theirs.get(name):
                    yield {name: ours.get(name)}, {name: theirs.get(name)}


def _as_said(ours: Tree, theirs: Tree) -> Tree:
    """A router of the API without what Traefik itself gives it: priority, options, middlewares' full names."""
    made = ("Middlewares", "TLS", "Observability", "ParentRefs")
    return {key: ours[key] if key in made else theirs[key] for key in ours if key in made or key in theirs}


def _base(field: Field) -> str:
    return re.sub(r"^(?:\*|\[\]|map:)+", "", field.type)


def _named(known: dict[str, tuple[Field, ...]], owner: str, shown: Any) -> Any:
    """What the API shows of a structure, by the names of its fields; what is none of them is left out."""
    tree: Tree = {}
    for one in known[owner]:
        value = next((shown[name] for name in shown if name.casefold() == one.name.casefold()), None)
        if value is None or one.file == "-":
            continue
        base = _base(one)
        if base in known and "map:" in one.type:
            value = {name: _named(known, base, each) for name, each in value.items()}
        elif base in known and "[]" in one.type:
            value = [_named(known, base, each) for each in value]
        elif base in known:
            value = _named(known, base, value)
        elif base == "duration" and isinstance(value, str):
            value = decode_duration(value)
        tree[one.name] = value
    return tree


# What the API never shows.
UNSHOWN = {("TCPServer", "Port"), ("Server", "Scheme"), ("RedirectScheme", "ForcePermanentRedirect")}


def _plain(known: dict[str, tuple[Field, ...]], owner: str, tree: Tree) -> Tree:
    """A structure without what is nothing: zeros that no pointer holds, empty lists and maps."""
    plain: Tree = {}
    for one in known[owner]:
        value, base = tree.get(one.name), _base(one)
        nothing = value is None or (not one.pointer and value in ("", 0, False, [], {}))
        if nothing or (owner, one.name) in UNSHOWN:
            continue
        if base in known and isinstance(value, list):
            value = [_plain(known, base, each) for each in value]
        elif base in known and "map:" not in one.type:
            value = _plain(known, base, value)
        plain[one.name] = value
    return plain


@pytest.mark.parametrize("version", VERSIONS)
def test_real_traefiks_load_what_is_foreseen_and_refuse_the_rest(version: str, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {version}")
    whole = without(every_field(), UNKNOWN[version])
    outcome = Outcome()
    for suffix in (".yml", ".toml"):
        folder = tmp_path / suffix
        folder.mkdir()
        with watching(version, folder, suffix) as watched:
            _compared(version, _text(chance, copy.deepcopy(whole), suffix), suffix, watched, outcome)
            assert not outcome.differing
            for _ in range(FILES):
                tree = _thinned(chance, whole)
                spoil = chance.choice([fault for fault in FAULTS if suffix == ".yml" or fault != _spelled_oddly])
                if spoil:
                    spoil(chance, tree)
                tree = _without_nulls(tree) if suffix == ".toml" else tree
                _compared(version, _text(chance, tree, suffix), suffix, watched, outcome)
    print(f"Traefik {version}, seed {SEED}: {dict(outcome.counts)}, {len(outcome.differing)} differ")  # noqa: T201
    assert outcome.differing == []
    assert min(outcome.counts["loaded"], outcome.counts["refused"]) > FILES // 4


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_traefik_knows_the_fields_that_a_version_is_said_to_have(version: str, tmp_path: Path) -> None:
    tree = every_field()
    with watching(version, tmp_path) as watched:
        unknown = {
            place
            for place in map(".".join, leaves(tree))
            if isinstance(watched.load(_text(random.Random(0), _only(tree, place), ".yml")), str)
        }
    said = UNKNOWN[version]
    assert unknown == {place for place in map(".".join, leaves(tree)) if _under(place, said)}


def _under(place: str, above: list[str]) -> bool:
    return any(place == one or place.startswith(f"{one}.") for one in above)


def _only(tree: dict[str, Any], place: str) -> dict[str, Any]:
    return json.loads(json.dumps(alone(tree, tuple(place.split(".")))))
