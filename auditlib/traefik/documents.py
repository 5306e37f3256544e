"""YAML and TOML as the nodes that Traefik decodes (`traefik/paerser` package file; gopkg.in/yaml.v3).

Values become text again, as Go prints them: `0x10` is « 16 », `1.5` is « 1.500000 », a list of scalars one text.
"""

import datetime as dt
import math
import re
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import yaml

from auditlib.traefik.decoding import SEPARATOR, DecodingError, Node

_MAX_NODES = 200_000  # aliases of aliases may make any number of them
_MAX_DEPTH = 60


class FileError(ValueError):
    """A file that Traefik refuses. The message is French; `line` counts from 1, None when it is not known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def toml_tree(text: str, sections: Container[str]) -> Node:
    """The nodes of these root sections of a TOML document. Raises FileError, or DecodingError in Traefik's words."""
    try:
        whole = tomllib.loads(text)
        if not all(-(2**63) <= number < 2**63 for number in _integers(whole)):
            raise FileError("TOML mal formé")
        return _filled(Node("traefik"), {key: whole[key] for key in whole if key.casefold() in sections}, 0)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise FileError("TOML mal formé", int(line[1]) if line else None) from None
    except RecursionError:
        raise FileError("fichier trop imbriqué") from None


def _integers(value: Any) -> Iterator[int]:
    """The integers of a TOML value, which Go holds in 64 bits."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _integers(item)


def _filled(node: Node, value: Any, depth: int) -> Node:
    """A node with what a TOML value gives it."""
    if depth > _MAX_DEPTH:
        raise FileError("fichier trop imbriqué")
    if isinstance(value, Mapping):
        node.children = [_filled(Node(key), value[key], depth + 1) for key in sorted(value)]
    elif isinstance(value, list):
        tables = [(index, item) for index, item in enumerate(value) if isinstance(item, Mapping)]
        node.children = [_filled(Node(f"[{index}]"), item, depth + 1) for index, item in tables]
        node.value = _joined(node.name, [item for item in value if not isinstance(item, Mapping)], _TOML_KINDS)
    else:
        node.value = _text(node.name, value)
    return node


# Go's reflect.Kind of what a list may hold, as either library gives it: the highest one stands before the items.
_YAML_KINDS: dict[type, int] = {bool: 1, int: 2, float: 14, str: 24}
_TOML_KINDS = _YAML_KINDS | {int: 6}


def _joined(name: str, values: list[Any], kinds: dict[type, int]) -> str:
    """The scalars of a list as one text, which is how they are handed over."""
    texts = [_text(name, value, "simple value") for value in values]
    kind = max((kinds[type(value)] for value in values), default=0)
    return SEPARATOR.join(["", str(kind), *texts]) if values else ""


def _text(name: str, value: Any, what: str = "") -> str:
    """A scalar as Go prints it. Raises DecodingError for what paerser does not take: a date, a list in a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return f"{value:.6f}".removesuffix(".000000")
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    kind = "slice" if isinstance(value, list) else "struct" if isinstance(value, dt.date | dt.time) else "invalid"
    raise DecodingError(f"unsupported {what} type: {kind}" if what else f"field {name} uses unsupported type: {kind}")


class _Loader(yaml.CSafeLoader):
    """Plain scalars are left for yaml.v3's rules, which are not PyYAML's: they get a tag of their own."""

    yaml_implicit_resolvers = {None: [("plain", re.compile(""))]}  # noqa: RUF012 - PyYAML's own


def yaml_tree(text: str, sections: Container[str]) -> Node:
    """The same of the first YAML document of a text."""
    try:
        first = next(iter(yaml.compose_all(text, _Loader)), None)
        _refuse_cycles(first, set(), set())
    except FileError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise FileError("YAML mal formé", mark.line + 1 if mark else None) from None
    except (RecursionError, ValueError):
        raise FileError("YAML mal formé") from None
    if first is None or (isinstance(first, yaml.ScalarNode) and _resolved(first) is None):
        return Node("traefik")
    if not isinstance(first, yaml.MappingNode):
        raise FileError("le fichier n’est pas une liste de clés et de valeurs", 1)
    return _Yaml().root(first, sections)


def _refuse_cycles(node: yaml.Node | None, above: set[int], seen: set[int]) -> None:
    """Raise FileError for an anchor whose value contains itself."""
    if node is None or isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    if id(node) in above:
        raise FileError("une ancre se contient elle-même", node.start_mark.line + 1)
    above.add(id(node))
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    for child in [part for pair in pairs for part in pair] or node.value:
        _refuse_cycles(child, above, seen)
    above.remove(id(node))
    seen.add(id(node))


class _Yaml:
    """Nodes of a YAML document, with their lines. A key that stands twice is an error, as to Go's yaml.v3."""

    def __init__(self) -> None:
        self.made = 0

    def root(self, source: yaml.MappingNode, sections: Container[str]) -> Node:
        """The root, with those of its children that Traefik reads."""
        entries = self.entries(source, 0).items()
        return self.filled(Node("traefik"), [(name, *pair) for name, pair in entries if name.casefold() in sections], 0)

    def mapping(self, name: str, source: yaml.MappingNode, depth: int) -> Node:
        entries = self.entries(source, depth).values()
        # A map with a key that is no text is another one to Go, and its keys are named after their types.
        named = all(isinstance(_resolved(key), str) for key, _ in entries)
        children = [(str(key.value) if named else _named(key), key, value) for key, value in entries]
        return self.filled(Node(name, line=source.start_mark.line + 1), children, depth)

    def filled(self, node: Node, entries: Iterable[tuple[str, yaml.ScalarNode, yaml.Node]], depth: int) -> Node:
        """A node with the children that a mapping gives it, by name; null is nothing."""
        for name, key, value in sorted(entries, key=lambda entry: entry[0]):
            if not _is_null(value):
                child = self.any(name, value, depth + 1)
                child.line = key.start_mark.line + 1
                node.children.append(child)
        return node

    def entries(self, source: yaml.MappingNode, depth: int) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        """The entries of a mapping by key, with those that `<<` brings: its own win, then the first of several."""
        if depth > _MAX_DEPTH:
            raise FileError("fichier trop imbriqué", source.start_mark.line + 1)
        own: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in source.value:
            if not isinstance(key, yaml.ScalarNode):
                raise FileError("une clé n’est pas un texte", key.start_mark.line + 1)
            if key.value in own:
                raise FileError(f"la clé « {key.value} » est écrite deux fois", key.start_mark.line + 1)
            own[key.value] = (key, value)
        if "<<" in own and own["<<"][0].tag == "plain":
            for bringing in self.brought(own.pop("<<")[1]):
                merged = self.entries(bringing, depth + 1) | merged
        return merged | own

    def brought(self, value: yaml.Node) -> Iterable[yaml.MappingNode]:
        """The mappings that `<<` names."""
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, yaml.MappingNode):
                raise FileError("« << » ne désigne pas une liste de clés", value.start_mark.line + 1)
            yield source

    def any(self, name: str, source: yaml.Node, depth: int) -> Node:
        self.made += 1
        line = source.start_mark.line + 1
        if depth > _MAX_DEPTH or self.made > _MAX_NODES:
            raise FileError("fichier trop gros ou trop imbriqué", line)
        if isinstance(source, yaml.MappingNode):
            return self.mapping(name, source, depth)
        node = Node(name, line=line)
        try:
            if isinstance(source, yaml.SequenceNode):
                self.sequence(node, source, depth)
            elif isinstance(source, yaml.ScalarNode):
                node.value = _text(name, _resolved(source))
        except DecodingError as error:
            error.line = line
            raise
        return node

    def sequence(self, node: Node, source: yaml.SequenceNode, depth: int) -> None:
        """Give a node what a list holds: children for its mappings, one value for its scalars."""
        scalars: list[Any] = []
        for index, item in enumerate(source.value):
            if isinstance(item, yaml.MappingNode):
                node.children.append(self.any(f"[{index}]", item, depth + 1))
            else:
                scalars.append(_resolved(item) if isinstance(item, yaml.ScalarNode) else [])
        node.value = _joined(node.name, scalars, _YAML_KINDS)


def _is_null(source: yaml.Node) -> bool:
    return isinstance(source, yaml.ScalarNode) and _resolved(source) is None


def _named(key: yaml.ScalarNode) -> str:
    """The name that reflect.Value.String gives a key of a map of anything."""
    value = _resolved(key)
    kinds = {bool: "bool", int: "int", float: "float64", type(None): "invalid"}
    return value if isinstance(value, str) else f"<{kinds.get(type(value), 'time.Time')} Value>"


_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{f"-{word}": -math.inf for word in (".inf", ".Inf", ".INF")},
}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[Tt]\d{1,2}:.*|[ ]+\d{1,2}:.*)?")


def _resolved(source: yaml.ScalarNode) -> Any:
    """The value of a scalar by yaml.v3's rules: what is quoted is text, `yes` and `on` are too."""
    text = str(source.value)
    if source.tag == "tag:yaml.org,2002:str" or source.tag.startswith("!"):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if source.tag == "plain" and _DATE.fullmatch(text):
        return dt.date.min
    plain = text.replace("_", "")
    if found := _INTEGER.fullmatch(plain):
        digits = next((base, part) for base, part in zip((16, 2, 8, 10), found.groups()[1:], strict=True) if part)
        value = int(digits[1], digits[0]) * (-1 if found[1] == "-" else 1)
        if -(2**63) <= value < 2**64:
            return value
    return float(plain) if _FLOAT.fullmatch(plain) else text
