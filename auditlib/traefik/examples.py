"""Texts that match a regular expression, for witnesses. They are guesses: whoever uses one tries it with RE2 first."""

import functools
import itertools
import re
import string
from collections.abc import Iterator

# Python's own reading of an expression: close enough to RE2's for guessing.
from re import _parser as parser  # type: ignore[attr-defined]  # the stubs leave it out
from typing import Any

_MANY = 6
_LIKELY = "a0b1.-/_" + string.ascii_letters + string.digits + " :@"
_CATEGORIES = {"CATEGORY_DIGIT": string.digits, "CATEGORY_WORD": string.ascii_letters + "_0", "CATEGORY_SPACE": " "}


@functools.lru_cache(maxsize=1024)
def examples(expression: str) -> tuple[str, ...]:
    """A few texts that the expression may match, the shortest first; none when it cannot be read."""
    try:
        parsed = parser.parse(expression)
        found = list(itertools.islice(_texts(list(parsed), 0), 4 * _MANY))
    except (re.error, RecursionError, OverflowError, ValueError):
        return ()
    return tuple(sorted(dict.fromkeys(found), key=len))[:_MANY]


def _texts(items: list[Any], depth: int) -> Iterator[str]:
    """Texts for a sequence: the first choices of every item, then one item at a time on its other choices."""
    if depth > 20:
        raise RecursionError
    choices = [list(itertools.islice(_choices(item, depth), _MANY)) for item in items]
    if not all(choices):
        return
    first = [several[0] for several in choices]
    yield "".join(first)
    for at, several in enumerate(choices):
        for other in several[1:]:
            yield "".join([*first[:at], other, *first[at + 1 :]])


def _choices(item: Any, depth: int) -> Iterator[str]:
    kind, value = str(item[0]), item[1]
    if kind == "LITERAL":
        yield chr(value)
    elif kind == "NOT_LITERAL":
        yield next(one for one in _LIKELY if ord(one) != value)
    elif kind == "ANY":
        yield from "a0"
    elif kind == "IN":
        yield from itertools.islice((one for one in _LIKELY + _named(value) if _within(one, value)), 3)
    elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, body = value
        for count in dict.fromkeys((least, min(most, least + 1), min(most, least + 3))):
            if count > 200:
                return
            for text in itertools.islice(_texts(list(body), depth + 1), _MANY) if count else [""]:
                yield text * count
    elif kind == "SUBPATTERN":
        yield from _texts(list(value[-1]), depth + 1)
    elif kind == "BRANCH":
        for branch in value[1]:
            yield from itertools.islice(_texts(list(branch), depth + 1), 2)
    elif kind == "AT":
        yield ""


def _named(several: Any) -> str:
    """The characters that a class names itself."""
    return "".join(chr(one[1] if str(one[0]) == "LITERAL" else one[1][0]) for one in several if _names(one))


def _names(one: Any) -> bool:
    return str(one[0]) in ("LITERAL", "RANGE")


def _within(character: str, several: Any) -> bool:
    """Whether a character belongs to a class."""
    code, found, negated = ord(character), False, False
    for kind, value in several:
        match str(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found = found or code == value
            case "RANGE":
                found = found or value[0] <= code <= value[1]
            case "CATEGORY":
                name = str(value).replace("NOT_", "")
                inside = character in _CATEGORIES.get(name, "")
                found = found or inside == (name == str(value))
    return found != negated
