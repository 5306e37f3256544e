"""YAML text to plain data that remembers its lines: maps, lists, texts and whole numbers know where they were written.

YAML as compose-go reads it (go-yaml v3): `on`, `yes` and `22:22` are texts, a key written twice is an error. Sizes
are bounded here, before anything is built: an alias costs what it stands for.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import yaml

MAX_DEPTH = 60
MAX_NODES = 30_000
MAX_ITEMS = 1_000  # of one list


class Place(NamedTuple):
    """A line of a file; lines count from 1."""

    file: str
    line: int


NOWHERE = Place("", 0)


class Invalid(Exception):  # noqa: N818 - a state of the file, not a programming error
    """A file that Compose would refuse. `reason` is a French clause that quotes no value; `place` is where.

    `name` is that of a variable whose value is wanted.
    """

    def __init__(self, reason: str, place: Place = NOWHERE, name: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.name = name


class Text(str):
    """A text and where it was written; `raw` is what was written, before variables were replaced."""

    place: Place = NOWHERE
    raw: str = ""


class Whole(int):
    """A whole number and where it was written."""

    place: Place = NOWHERE


class Map(dict[str, Any]):
    """A mapping and where it starts; its keys are Texts."""

    place: Place = NOWHERE


class Seq(list[Any]):
    """A list and where it starts."""

    place: Place = NOWHERE


class Tagged:
    """A value under `!reset` or `!override`."""

    def __init__(self, tag: str, value: Any) -> None:
        self.tag = tag
        self.value = value


def text(value: str, place: Place, raw: str | None = None) -> Text:
    """A Text at `place`."""
    made = Text(value)
    made.place, made.raw = place, value if raw is None else raw
    return made


def place_of(value: Any, default: Place = NOWHERE) -> Place:
    """Where a value was written; true, false and null do not know."""
    found = getattr(value, "place", NOWHERE)
    return found if found.line else default


def mapping(pairs: Any, place: Place) -> Map:
    """A Map of `pairs` at `place`."""
    made = Map(pairs)
    made.place = place
    return made


def sequence(items: Any, place: Place) -> Seq:
    """A Seq of `items` at `place`."""
    made = Seq(items)
    made.place = place
    return made


def documents(content: str, file: str) -> list[Any]:
    """The documents of a YAML text. Raises Invalid when it is not YAML, or is too deep or too large once expanded."""
    builder = _Builder(file)
    try:
        return list(builder.stream(iter(yaml.parse(content.removeprefix("\ufeff"), Loader=yaml.CSafeLoader))))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Invalid("le YAML est mal formé", Place(file, mark.line + 1 if mark else 0)) from None
    except (yaml.YAMLError, ValueError):
        raise Invalid("le YAML est mal formé", Place(file, 0)) from None


class _Builder:
    """Builds values from the events of the parser, which does not recurse."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}

    def stream(self, events: Iterator[Any]) -> Iterator[Any]:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                yield self._value(next(events), events, 0)

    def _value(self, event: Any, events: Iterator[Any], depth: int) -> Any:
        place = Place(self.file, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in self.anchors:
                raise Invalid(f"l’alias « {name[:40]} » ne désigne rien, ou se contient lui-même", place)
            value, size = self.anchors[name]
            self._count(size, place)
            return value
        if depth > MAX_DEPTH:
            raise Invalid(f"plus de {MAX_DEPTH} niveaux imbriqués", place)
        before = self.nodes
        # A long text costs more than one value: aliases would repeat it.
        self._count(1 + (len(event.value) // 64 if isinstance(event, yaml.ScalarEvent) else 0), place)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = sequence([], place)
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                if len(value) >= MAX_ITEMS:
                    raise Invalid(f"une liste de plus de {MAX_ITEMS} éléments", place)
                value.append(self._value(inner, events, depth + 1))
        else:
            value = self._mapping(events, place, depth)
        if event.tag in ("!reset", "!override"):
            value = Tagged(str(event.tag), value)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def _count(self, size: int, place: Place) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise Invalid(f"plus de {MAX_NODES} valeurs une fois les alias développés", place)

    def _mapping(self, events: Iterator[Any], place: Place, depth: int) -> Map:
        own, merged = mapping({}, place), []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            key = self._value(event, events, depth + 1)
            line = event.start_mark.line + 1
            value = self._value(next(events), events, depth + 1)
            if key == "<<" and plain:
                merged.append(value)
                continue
            if not isinstance(key, str):
                raise Invalid("une clé n’est pas un texte", Place(self.file, line))
            if key in own:
                raise Invalid(f"la clé « {key[:80]} » est écrite deux fois", Place(self.file, line))
            own[key] = value
        for source in merged:
            for one in source if isinstance(source, list) else [source]:
                if not isinstance(one, dict):
                    raise Invalid("« << » ne fusionne que des blocs de clés", place)
                for key, value in one.items():
                    own.setdefault(key, value)
        return own

    def _scalar(self, event: Any, place: Place) -> Any:
        value: Any = event.value
        tag = event.tag or ""
        # An unquoted scalar has no style; one with a tag of ours is read as if it had none.
        bare = (event.implicit[0] or tag in ("!reset", "!override")) and not event.style
        if bare or (tag.startswith("tag:yaml.org,2002:") and not tag.endswith(":str")):
            value = _plain(event.value)
        if isinstance(value, str):
            return text(value, place)
        if isinstance(value, int) and not isinstance(value, bool):
            number = Whole(value)
            number.place = place
            return number
        return value


_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((f"{sign}{word}" for sign in ("", "+") for word in (".inf", ".Inf", ".INF")), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[0-9][0-9_]*)")
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


# A date, and a time of day if any: no text for Compose, which takes it nowhere but in an extension.
_MOMENT = re.compile(
    r"\d{4}-\d\d?-\d\d?(?:[Tt]\d\d?:\d\d?:\d\d?(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)| \d\d?:\d\d?:\d\d?(?:\.\d+)?)?"
)


def _moment(value: str) -> Any:
    """A datetime, or the text itself when there is no such day or hour."""
    try:
        year, month, day, hour, minute, second = [*map(int, re.findall(r"\d+", value)), 0, 0, 0][:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return value


def _plain(value: str) -> Any:
    """What an unquoted scalar means: null, true or false, a number, else the text itself."""
    if value in _WORDS:
        return _WORDS[value]
    if len(value) > 40:
        return value
    if _MOMENT.fullmatch(value):
        return _moment(value)
    if _WHOLE.fullmatch(value):
        digits = value.replace("_", "")
        try:
            # A leading 0 is octal, in YAML 1.1's way too.
            return int(digits, 8 if re.fullmatch(r"[-+]?0[0-7]+", digits) else 0)
        except ValueError:
            pass
    return float(value) if _REAL.fullmatch(value) else value


def untagged(value: Any, path: tuple[str, ...] = ()) -> tuple[Any, list[tuple[str, ...]]]:
    """The value without its tags, and the paths whose earlier value is dropped: compose-go's ResetProcessor."""
    if isinstance(value, Tagged):
        # What is under !override stands as it is; what is under !reset is gone.
        return (untagged(value.value, path)[0] if value.tag == "!override" else value), [path]
    paths: list[tuple[str, ...]] = []
    if isinstance(value, Map):
        made = mapping({}, value.place)
        for key, item in value.items():
            inner, found = untagged(item, (*path, key))
            paths += found
            if not isinstance(inner, Tagged):
                made[key] = inner
        return made, paths
    if isinstance(value, Seq):
        kept = [inner for item in value if not isinstance(inner := untagged(item, path)[0], Tagged)]
        return sequence(kept, value.place), paths
    return value, paths
