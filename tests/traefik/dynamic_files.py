"""Every field of Traefik's dynamic configuration, in YAML or TOML, and the fields that a version has not.

`traefik_every_field.yml` holds one object of each type, with all fields of all versions. `traefik_unknown_fields.json`
names, by version, those that it refuses: real programs said so of each field alone, from 3.0.4 to 3.7.15; that of
2.11.53 rests on its documentation, whose reference of the file provider has all others.
"""

import copy
import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

PAYLOADS = Path(__file__).parents[1] / "payloads"
UNKNOWN: dict[str, list[str]] = json.loads((PAYLOADS / "traefik_unknown_fields.json").read_text("utf-8"))
Place = tuple[str, ...]  # the names down to a field; an item of a list has its number


@functools.cache
def every_field() -> dict[str, Any]:
    """A file with every field."""
    tree: dict[str, Any] = yaml.load((PAYLOADS / "traefik_every_field.yml").read_text("utf-8"), yaml.CSafeLoader)
    return tree


def without(tree: dict[str, Any], places: Iterable[str]) -> dict[str, Any]:
    """A file without the fields at these places, and without the objects that they leave empty."""
    tree = copy.deepcopy(tree)
    for place in places:
        holders: list[Any] = [tree]
        *names, last = place.split(".")
        for name in names:
            holders.append(_below(holders[-1], name))
        del holders[-1][last]
        for holder, name in zip(reversed(holders[:-1]), reversed(names), strict=True):
            if not _below(holder, name):
                del holder[_key(holder, name)]
    return tree


def alone(tree: dict[str, Any], place: Place) -> dict[str, Any]:
    """A file that says only the field at one place."""
    value: Any = tree
    for name in place:
        value = _below(value, name)
    for name in reversed(place):
        value = [value] if name.isdecimal() else {name: value}
    return dict(value)


def leaves(tree: Any, above: Place = ()) -> Iterator[Place]:
    """The places of all fields that hold no other."""
    if isinstance(tree, dict) and tree:
        for name, value in tree.items():
            yield from leaves(value, (*above, name))
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        yield from leaves(tree[0], (*above, "0"))
    else:
        yield above


def _key(holder: Any, name: str) -> Any:
    return int(name) if isinstance(holder, list) else name


def _below(holder: Any, name: str) -> Any:
    return holder[_key(holder, name)]


def toml(tree: dict[str, Any]) -> str:
    """A tree as TOML, tables in line."""
    return "".join(f"{json.dumps(name)} = {_inline(value)}\n" for name, value in tree.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
