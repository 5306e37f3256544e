"""A compose file as it is written: its lines, and the nodes of its YAML, which know where they stand.

Some lines are unknown, since they may hold secrets: they read as blank, and nothing is written beside what may go on
in one. An edit is a few changes of whole lines; `Unsafe` says why one cannot be made surely.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import yaml

from auditlib.compose.document import Invalid, Map, documents
from auditlib.french import visible

# Names that need no quotation marks, and that YAML takes for nothing else.
PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)\Z)[A-Za-z][\w.-]*", re.IGNORECASE)


class Unsafe(Exception):  # noqa: N818 - the file cannot be edited by a program; not a programming error
    """An edit that cannot be made surely. The message is a French clause that says why."""


class Line(NamedTuple):
    """A line of a file: its text without its end, None when unknown; `ending` is lf, crlf or none."""

    text: str | None
    ending: str = "lf"


class Change(NamedTuple):
    """Lines `first` to `last` (excluded), counted from 0, become `texts`."""

    first: int
    last: int
    texts: tuple[str, ...]


# A block that has a name for others to take up, and starts on the line below.
_NAMED = re.compile(r"( *)[\w.-]+: +&[\w.-]+ *")


def content(lines: Sequence[Line]) -> str:
    """The text of a file, blank where it is unknown; a named block that is unknown is a mapping, as `<<` wants it."""
    texts = [line.text or "" for line in lines]
    for at, (line, below) in enumerate(pairwise(lines), start=1):
        named = _NAMED.fullmatch(line.text or "")
        if named and below.text is None:
            after = next((text for text in texts[at:] if text.strip()), "")
            # Nothing that is known goes on with the block.
            if len(after) - len(after.lstrip()) <= len(named[1]) and not after.lstrip().startswith("-"):
                texts[at] = f"{named[1]}  …: …"
    return "".join(f"{text}\n" for text in texts)


class _Read(NamedTuple):
    """A text of YAML: what it says, its nodes, and those that aliases repeat, by `id`."""

    tree: Map
    root: yaml.MappingNode
    shared: frozenset[int]


@functools.lru_cache(maxsize=128)
def _read(text: str) -> _Read:
    """One block of keys, read. Raises Unsafe. A plan tries many edits of few texts: each is parsed once."""
    try:
        trees = documents(text, "")
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (Invalid, yaml.YAMLError, RecursionError):
        raise Unsafe("le fichier n’est pas lisible sans ses lignes secrètes") from None
    if not isinstance(root, yaml.MappingNode) or not isinstance(trees[0], Map):
        raise Unsafe("le fichier n’est pas un bloc de clés")
    return _Read(trees[0], root, frozenset(_repeated(root, set())))


def _repeated(node: yaml.Node, seen: set[int]) -> Iterator[int]:
    """The nodes that aliases repeat, by `id`: editing one would edit the others."""
    if id(node) in seen:
        yield id(node)
        return
    seen.add(id(node))
    for child in node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else ():
        for inner in child if isinstance(child, tuple) else (child,):
            yield from _repeated(inner, seen)


class File:
    """A compose file as it is written: its lines, what they say, and the nodes of its YAML, which know their place."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = list(lines)
        # A line that is unknown reads as blank: whatever it held is missing, and the rest stands.
        self.tree, self.root, self.shared = _read(content(lines))

    def own(self, node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
        """The key and the value of a mapping, None without it. Raises Unsafe where they come from elsewhere."""
        if not isinstance(node, yaml.MappingNode):
            raise Unsafe("un bloc n’a pas la forme attendue")
        found = next(((key, value) for key, value in node.value if key.value == name), None)
        if found and id(found[1]) in self.shared:
            raise Unsafe(f"« {visible(name)} » est partagé par un alias")
        if not found and any(key.value == "<<" for key, _ in node.value):
            raise Unsafe("le service reprend les clés d’un bloc commun")
        if found and found[1].tag in ("!reset", "!override"):
            raise Unsafe("le fichier en surcharge un autre")
        return found

    def service(self, name: str) -> yaml.MappingNode:
        """The block of a service. Raises Unsafe when it is not whole in this file."""
        services = self.own(self.root, "services")
        service = services and self.own(services[1], name)
        if not service or not isinstance(service[1], yaml.MappingNode) or not service[1].value:
            raise Unsafe(f"le service « {visible(name)} » n’est pas décrit par ce fichier")
        if self.own_or_none(service[1], "extends"):
            raise Unsafe("le service en étend un autre")
        return service[1]

    @staticmethod
    def own_or_none(node: yaml.MappingNode, name: str) -> yaml.Node | None:
        """The value of a key, however it is written; None without it."""
        return next((value for key, value in node.value if key.value == name), None)

    def line(self, node: yaml.Node) -> str:
        """The line where a node starts. Raises Unsafe when it is unknown."""
        text = self.lines[node.start_mark.line].text
        if text is None:
            raise Unsafe("la ligne à corriger peut tenir un secret")
        return text

    def single(self, node: yaml.Node) -> bool:
        """Whether a node stands on one line."""
        return bool(node.start_mark.line == node.end_mark.line)

    def replaced(self, node: yaml.Node, text: str) -> Change:
        """A scalar or a flow collection of one line becomes another text."""
        line = self.line(node)
        if not self.single(node) or id(node) in self.shared:
            raise Unsafe("une valeur tient plusieurs lignes, ou est partagée par un alias")
        made = line[: node.start_mark.column] + text + line[node.end_mark.column :]
        return Change(node.start_mark.line, node.start_mark.line + 1, (made,))

    def inserted(self, before: yaml.Node, *texts: str) -> Change:
        """Lines in front of a node that starts its line, at its column."""
        line = self.line(before)
        if line[: before.start_mark.column].strip():
            raise Unsafe("le bloc n’est pas écrit à raison d’une clé par ligne")
        margin = line[: before.start_mark.column]
        at = before.start_mark.line
        return Change(at, at, tuple(margin + text for text in texts))

    def after(self, node: yaml.Node, *texts: str) -> Change:
        """Lines behind the line of a node of one line."""
        self.line(node)
        at = node.end_mark.line + 1
        return Change(at, at, texts)

    def removed(self, node: yaml.Node, whole: yaml.Node) -> Change:
        """The line of a scalar of one line goes; `whole` is what must start the line, after a dash perhaps."""
        before = self.line(whole)[: whole.start_mark.column]
        after = self.line(node)[node.end_mark.column :]
        alone = before.strip() in ("", "-") and self.single(node) and id(node) not in self.shared
        if not alone or not re.fullmatch(r"\s*(?:#.*)?", after):
            raise Unsafe("la ligne à retirer dit autre chose aussi")
        if whole.start_mark.line != node.end_mark.line:
            raise Unsafe("une valeur tient plusieurs lignes")
        return Change(node.start_mark.line, node.start_mark.line + 1, ())

    def new_key(self, service: yaml.MappingNode, *texts: str) -> Change:
        """A new key of a service: behind the image or its like, where nothing unknown can follow on; else first."""
        if service.flow_style:
            raise Unsafe("le service est écrit sur une ligne")
        first = service.value[0][0]
        margin = " " * first.start_mark.column
        for name in ("restart", "container_name", "image"):
            value = self.own_or_none(service, name)
            if isinstance(value, yaml.ScalarNode) and self.single(value) and id(value) not in self.shared:
                return self.after(value, *(margin + text for text in texts))
        return self.inserted(first, *texts)

    def changed(self, changes: Sequence[Change]) -> list[Line]:
        """The lines after the changes, which do not overlap."""
        made = list(self.lines)
        for change in sorted(changes, reverse=True):
            near = self.lines[min(change.first, len(self.lines) - 1)].ending
            ending = next((line.ending for line in self.lines if line.ending != "none"), near)
            if change.first == len(made) and made and made[-1].ending == "none":
                made[-1] = Line(made[-1].text, ending if ending != "none" else "lf")
            old = made[change.first : change.last]
            fresh = [Line(text, ending if ending != "none" else "lf") for text in change.texts]
            if fresh and old and old[-1].ending == "none":
                fresh[-1] = Line(fresh[-1].text, "none")
            made[change.first : change.last] = fresh
        return made


def scalar(text: str, like: yaml.Node | None = None) -> str:
    """A text as a YAML scalar; between the quotation marks of the one it replaces, where these can hold it."""
    if visible(text) != text:
        raise Unsafe("la valeur voulue tient un caractère invisible")
    style = getattr(like, "style", '"') if like is not None else '"'
    if style == "'" and "'" not in text:
        return f"'{text}'"
    if not style and PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
