"""Traefik's own decoder of configuration, from labels or any tree of texts to a tree of values (`traefik/paerser`).

Three stages, in paerser's order, since the first error is the one that Traefik logs: a tree of nodes, then the type
of each node (`nodes_metadata.go`), then its value (`element_fill.go`). Messages are Traefik's, in English.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from auditlib.traefik.fields import Field, Version, extra, structures

Tree = dict[str, Any]
Structures = Mapping[str, tuple[Field, ...]]
Tag = Literal["label", "file"]

# What Go's strconv.ParseBool takes for true and for false. Anything else is an error to Traefik, which then drops the
# container or does not start.
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
# A value that was not kept, since it may be a secret: it is taken to be a good one.
HIDDEN = "[secret retiré]"
# What follows it numbers a value that was not kept whole: equal numbers are equal values. It is never shown.
MARK = "\0"

_SCALARS = {"string", "bool", "int", "int64", "uint", "float64", "duration", "any"}
_ZEROS: tuple[Any, ...] = ("", False, 0, 0.0)
_BITS = {"int": 64, "int64": 64}
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)([^.0-9]*)", re.ASCII)


class DecodingError(ValueError):
    """What Traefik cannot decode; the message is the one it logs. `line` is that of a file, None when not known."""

    line: int | None = None


@dataclass
class Node:
    """One element of a configuration: a name, and a value or children."""

    name: str
    value: str = ""
    children: list["Node"] = field(default_factory=list)
    type: str = ""
    field: Field | None = None
    disabled: bool = False
    line: int | None = None
    raw: bool = False  # below a map of anything: taken as it is

    def child(self, name: str) -> "Node | None":
        """The child of this name, whatever its case."""
        return next((one for one in self.children if one.name.casefold() == name.casefold()), None)


def decode(root: Node, structure: str, structures: Structures, tag: Tag) -> Tree:
    """The values of a tree of nodes as a structure holds them. Raises DecodingError with Traefik's own message.

    Only what was said, or what a default gives, is in the result; fields have their canonical names.
    """
    if not root.children:
        raise DecodingError(f"invalid node {root.name}: no child")
    decoder = _Decoder(structures, tag)
    for child in root.children:
        decoder.type(structure, child)
    return decoder.structure(structure, root, defaults=False)


@dataclass(frozen=True)
class _Decoder:
    structures: Structures
    tag: Tag

    def type(self, owner: str, node: Node) -> None:
        """Give `node` and all below it their types, `owner` being the type that holds it."""
        try:
            self._type(owner, node)
        except DecodingError as error:
            error.line = error.line or node.line
            raise

    def _type(self, owner: str, node: Node) -> None:
        owner = owner.removeprefix("*")
        if owner == "map:any":
            node.raw = True
            return
        found = self._field(owner, node)
        tagged = found.label if self.tag == "label" else found.file
        node.field, node.type = found, found.type
        base = found.type.removeprefix("*")
        structural = base in self.structures or base.startswith("map:")
        if structural:
            if not node.children and not tagged:
                raise DecodingError(f"{node.name} cannot be a standalone element (type {_go(found.type)})")
            node.disabled = bool(node.value) and node.value.lower() != "true" and tagged == "allowEmpty"
        node.disabled = node.disabled or tagged == "-"
        if node.children:
            self._below(found, base, node)

    def _field(self, owner: str, node: Node) -> Field:
        for one in self.structures.get(owner, ()):
            name = (one.label_name if self.tag == "label" else "") or one.name
            if name.casefold() == node.name.casefold():
                return one
        raise DecodingError(f"field not found, node: {node.name}")

    def _below(self, found: Field, base: str, node: Node) -> None:
        if base in self.structures:
            self._children(base, node)
        elif base == "map:any":
            node.raw = True
        elif base.startswith("map:"):
            item = base.removeprefix("map:")
            if item.removeprefix("*") in self.structures or item.startswith("map:"):
                for child in node.children:
                    self._children(item, child)
        elif base.startswith("[]"):
            item = base.removeprefix("[]")
            if self.tag == "label" and found.label_name:
                self._children(item, node)
            else:
                for child in node.children:
                    self._children(item, child)
        elif base != "any":
            raise DecodingError(f"invalid node {node.name}: {_kind(found.type)}")

    def _children(self, owner: str, node: Node) -> None:
        for child in node.children:
            self.type(owner, child)

    def structure(self, name: str, node: Node, *, defaults: bool) -> Tree:
        """The values of one structure; `defaults` when a pointer to it is made, which sets them."""
        tree = self.defaults(name) if defaults else {}
        for child in node.children:
            if child.field is None or child.disabled:
                continue
            try:
                value = self._value(child.type, child, tree.get(child.field.name))
            except DecodingError as error:
                error.line = error.line or child.line
                raise
            if value is not None:
                tree[child.field.name] = value
            # Without a default, a zero that is said and one that is not are the same, but behind a pointer.
            if not child.field.pointer and child.field.default is None and value in _ZEROS:
                tree.pop(child.field.name, None)
        return tree

    def defaults(self, name: str) -> Tree:
        """What `SetDefaults` gives a structure."""
        tree: Tree = {}
        for one in self.structures[name]:
            if one.default == "SetDefaults":
                tree[one.name] = self.defaults(one.type.removeprefix("*"))
            elif one.default is not None:
                tree[one.name] = one.default
        return tree

    def _value(self, type_: str, node: Node, present: Any) -> Any:
        base = type_.removeprefix("*")
        if base in self.structures:
            made = self.structure(base, node, defaults=type_.startswith("*"))
            # What a default made is filled, not made again.
            return {**present, **made} if isinstance(present, dict) and present else made
        if base.startswith("map:"):
            if node.raw:
                return _raw(node)
            item = base.removeprefix("map:")
            return {child.name: self._item(item, child) for child in node.children}
        if base.startswith("[]"):
            return self._list(base.removeprefix("[]"), node)
        return _scalar(base, node.value)

    def _item(self, type_: str, node: Node) -> Any:
        if type_ == "map:any":
            return _raw(node)
        return self._value(type_, node, None)

    def _list(self, item: str, node: Node) -> list[Any] | None:
        if item.removeprefix("*") in self.structures:
            name = item.removeprefix("*")
            if self.tag == "label" and node.field and node.field.label_name:
                if not node.children:
                    raise DecodingError(f"invalid slice: node {node.name}")
                return [self.structure(name, node, defaults=True)]
            return [self.structure(name, child, defaults=True) for child in node.children]
        if self.tag == "file":
            return [_scalar(item, child.value.strip()) for child in node.children] or None
        if not node.value:
            return None
        return [_scalar(item, value.strip()) for value in node.value.split(",")]


def _raw(node: Node) -> Any:
    return {child.name: _raw(child) for child in node.children} if node.children else node.value


def _scalar(type_: str, text: str) -> Any:
    """The value of a text as a scalar type. Raises DecodingError with Go's own message."""
    if type_ in ("string", "any") or text.startswith(HIDDEN):
        return text
    if type_ == "bool":
        if text not in TRUE | FALSE:
            raise DecodingError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")
        return text in TRUE
    if type_ == "duration":
        return int(text) * 10**9 if re.fullmatch(r"[+-]?\d+", text, re.ASCII) else _duration(text)
    if type_ == "float64":
        return _float(text)
    function = "ParseUint" if type_ == "uint" else "ParseInt"
    if not re.fullmatch(r"\d+" if type_ == "uint" else r"[+-]?\d+", text, re.ASCII):
        raise DecodingError(f"strconv.{function}: parsing {quoted(text)}: invalid syntax")
    value = int(text) if len(text) < 100 else 10**30
    low, high = (0, 2**64 - 1) if type_ == "uint" else (-(2**63), 2**63 - 1)
    if not low <= value <= high:
        raise DecodingError(f"strconv.{function}: parsing {quoted(text)}: value out of range")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DecodingError(f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax") from None


def _duration(text: str) -> int:
    """Go's time.ParseDuration, in nanoseconds."""
    rest = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total, position = 0.0, 0
    while position < len(rest):
        match = _DURATION.match(rest, position)
        if match is None:
            break
        if not match[2]:
            raise DecodingError(f"time: missing unit in duration {quoted(text)}")
        if match[2] not in _UNITS:
            raise DecodingError(f"time: unknown unit {quoted(match[2])} in duration {quoted(text)}")
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if position < len(rest) or not rest:
        raise DecodingError(f"time: invalid duration {quoted(text)}")
    return round(-total if text.startswith("-") else total)


def quoted(text: str) -> str:
    """Go's %q, for what labels hold: backslashes and quotation marks escaped."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def _go(type_: str) -> str:
    """A type as Go prints it."""
    if type_.startswith("*"):
        return "*" + _go(type_[1:])
    if type_.startswith("map:"):
        return "map[string]" + ("dynamic.PluginConf" if type_ == "map:map:any" else _go(type_[4:]))
    if type_ in _SCALARS or "." in type_:
        return type_
    return f"dynamic.{type_}"


def _kind(type_: str) -> str:
    """The kind of a type as Go prints it."""
    return "ptr" if type_.startswith("*") else {"duration": "int64"}.get(type_, type_)


def json_name(field_name: str) -> str:
    """A field as the API writes it: `IPAllowList` → `ipAllowList`, `LoadBalancer` → `loadBalancer`."""
    capitals = len(field_name) - len(field_name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    lowered = max(1, capitals - 1) if capitals < len(field_name) else capitals
    return field_name[:lowered].lower() + field_name[lowered:]


def unmarked(value: Any) -> Any:
    """A value, or a tree of values, without the marks that tell apart what was not kept."""
    if isinstance(value, str):
        return re.sub(MARK + r"\d+", "", value)
    if isinstance(value, dict):
        return {key: unmarked(one) for key, one in value.items()}
    return [unmarked(one) for one in value] if isinstance(value, list) else value


# Labels (`parser/labels_decode.go`): only those under a few prefixes are read, whatever their case; the root must be
# « traefik » exactly; names compare without case, the first in the order of bytes gives its own, and the last value
# wins. One bad label, and Traefik drops the whole container.
_DYNAMIC = ("traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default")
_OPTIONS = ("traefik.docker.", "traefik.enable")


@dataclass(frozen=True)
class DockerOptions:
    """What labels say to the Docker provider itself; None: nothing."""

    enable: bool | None = None
    network: str | None = None
    allow_non_running: bool = False


def docker_options(labels: Mapping[str, str], version: Version) -> DockerOptions:
    """`traefik.enable` and `traefik.docker.*`. Raises DecodingError with the error that Traefik logs."""
    root = _label_tree(labels, _OPTIONS)
    if root is None:
        return DockerOptions()
    tree = decode(root, "Labels", extra(version.known), "label")
    docker = tree.get("Docker", {})
    # A false that is said is dropped by the decoder as a zero; here it is what matters.
    said = root.child("enable") is not None
    return DockerOptions(
        tree.get("Enable", False) if said else None, docker.get("Network"), docker.get("AllowNonRunning", False)
    )


def decode_labels(labels: Mapping[str, str], version: Version) -> Tree:
    """The dynamic configuration that labels declare: `{"HTTP": {"Routers": {name: {…}}, …}, "TCP": …}`.

    Raises DecodingError with the error that Traefik logs.
    """
    root = _label_tree(labels, _DYNAMIC)
    tree = decode(root, "Configuration", structures(version.known), "label") if root else {}
    return {protocol: tree.get(protocol, {}) for protocol in ("HTTP", "TCP", "UDP")}


def _label_tree(labels: Mapping[str, str], prefixes: tuple[str, ...]) -> Node | None:
    """The tree of the labels under these prefixes, or None when there is none."""
    keys = sorted((key for key in labels if key.lower().startswith(prefixes)), key=_bytes)
    root: Node | None = None
    for key in keys:
        parts = _elements(key)
        node = root = root or Node(parts[0])
        for part in parts[1:]:
            found = node.child(part)
            if found is None:
                found = Node(part)
                node.children.append(found)
            node = found
        node.value = labels[key]
    return root


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _elements(key: str) -> list[str]:
    """The elements of a label's name; an index is an element of its own."""
    split = key.split(".")
    if split[0] != "traefik":
        raise DecodingError(f"invalid label root {split[0]}")
    parts: list[str] = []
    for element in split:
        if not element:
            raise DecodingError(f"invalid element: {key}")
        if element.startswith("["):
            said = "invalid leading character '[' in field name (bracket is a slice delimiter)"
            raise DecodingError(f"{said}: {element}")
        left = element.find("[")
        # paerser itself fails on a « ] » that nothing opens; the field is then unknown.
        parts += [element[:left], element[left:]] if element.endswith("]") and left > 0 else [element]
    return parts
