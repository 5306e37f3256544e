"""A file of Traefik's file provider as Traefik decodes it (`pkg/provider/file`, `traefik/paerser` package file).

YAML or TOML, root sections http, tcp, udp and tls; what else stands at the root is ignored. A Go template is said as
such: what it evaluates to is not known here.
"""

import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from auditlib.traefik.decoding import DecodingError, Node, Tree, decode
from auditlib.traefik.fields import Version, structures

EXTENSIONS = (".toml", ".yaml", ".yml")
SECTIONS = ("http", "tcp", "udp", "tls")
_MAX_NODES = 200_000  # aliases of aliases may make any number of them
_MAX_DEPTH = 60


class FileError(ValueError):
    """A file that Traefik refuses. The message is French; `line` counts from 1, None when it is not known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Declared:
    """What a file declares; `templated` when it is a Go template, whose declarations are not known."""

    tree: Tree
    templated: bool = False


def supported(path: str) -> bool:
    """Whether Traefik reads a file of this name."""
    return posixpath.splitext(path)[1].lower() in EXTENSIONS


def decode_file(path: str, text: str, version: Version) -> Declared:
    """What a file declares, as `{"HTTP": {"Routers": …}, …}`. Raises FileError when Traefik refuses it."""
    if "{{" in text:
        return Declared({}, templated=True)
    root = _toml(text) if path.lower().endswith(".toml") else _yaml(text)
    root.children = [child for child in root.children if child.name.casefold() in SECTIONS]
    if not root.children:
        return Declared({})
    try:
        return Declared(decode(root, "Configuration", structures(version.known), "file"))
    except DecodingError as error:
        # Go quotes the value that is wrong, which may be a secret.
        message = re.sub(r'(parsing|duration|unit) ".*"', r"\1 …", str(error), flags=re.DOTALL)
        raise FileError(message, error.line) from None


def _toml(text: str) -> Node:
    try:
        return _node("traefik", tomllib.loads(text), 0)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise FileError("TOML mal formé", int(line[1]) if line else None) from None
    except RecursionError:
        raise FileError("fichier trop imbriqué") from None


def _node(name: str, value: Any, depth: int) -> Node:
    """A node of a TOML value."""
    if depth > _MAX_DEPTH:
        raise FileError("fichier trop imbriqué")
    node = Node(name)
    if isinstance(value, Mapping):
        node.children = [_node(key, value[key], depth + 1) for key in sorted(value)]
    elif isinstance(value, list):
        node.children = [_node(f"[{index}]", item, depth + 1) for index, item in enumerate(value)]
    else:
        node.value = str(value).lower() if isinstance(value, bool) else str(value)
    return node


def _yaml(text: str) -> Node:
    try:
        documents = yaml.compose_all(text, yaml.CSafeLoader)
        first = next(iter(documents), None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise FileError("YAML mal formé", mark.line + 1 if mark else None) from None
    except (RecursionError, ValueError):
        raise FileError("YAML mal formé") from None
    if first is None or first.tag.endswith(":null"):
        return Node("traefik")
    if not isinstance(first, yaml.MappingNode):
        raise FileError("le fichier n’est pas une liste de clés et de valeurs", 1)
    return _Yaml().mapping("traefik", first, 0)


class _Yaml:
    """Nodes of a YAML document, with their lines. A key that stands twice is an error, as to Go's yaml.v3."""

    def __init__(self) -> None:
        self.made = 0

    def mapping(self, name: str, source: yaml.MappingNode, depth: int) -> Node:
        node = Node(name, line=source.start_mark.line + 1)
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in source.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self.merged(value, depth) | merged
            elif str(key.value) in entries:
                raise FileError(f"la clé « {key.value} » est écrite deux fois", key.start_mark.line + 1)
            else:
                entries[str(key.value)] = (key, value)
        for text, (key, value) in sorted((merged | entries).items()):
            if value.tag != "tag:yaml.org,2002:null":
                child = self.any(text, value, depth + 1)
                child.line = key.start_mark.line + 1
                node.children.append(child)
        return node

    def merged(self, value: yaml.Node, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries that `<<` brings: the first of several mappings wins."""
        if depth > _MAX_DEPTH:
            raise FileError("fichier trop imbriqué", value.start_mark.line + 1)
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in [value] if isinstance(value, yaml.MappingNode) else value.value:
            if not isinstance(source, yaml.MappingNode):
                raise FileError("« << » ne désigne pas une liste de clés", value.start_mark.line + 1)
            for key, inner in source.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    found = self.merged(inner, depth + 1) | found
                else:
                    found.setdefault(str(key.value), (key, inner))
        return found

    def any(self, name: str, source: yaml.Node, depth: int) -> Node:
        self.made += 1
        if depth > _MAX_DEPTH or self.made > _MAX_NODES:
            raise FileError("fichier trop gros ou trop imbriqué", source.start_mark.line + 1)
        if isinstance(source, yaml.MappingNode):
            return self.mapping(name, source, depth)
        node = Node(name, line=source.start_mark.line + 1)
        if isinstance(source, yaml.SequenceNode):
            node.children = [self.any(f"[{i}]", item, depth + 1) for i, item in enumerate(source.value)]
        else:
            node.value = _scalar(source)
        return node


def _scalar(source: yaml.Node) -> str:
    """The text of a scalar. Of YAML 1.1's booleans, Go's yaml.v3 reads only true and false as such."""
    text = str(source.value)
    if source.tag.endswith(":bool") and text.lower() in ("true", "false"):
        return text.lower()
    return text
