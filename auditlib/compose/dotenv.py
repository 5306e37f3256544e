"""`.env` files and `env_file`, as compose-go's package `dotenv` reads them."""

import re
from collections import ChainMap
from collections.abc import Mapping

from auditlib.compose.document import Invalid, Place
from auditlib.compose.interpolate import Variables, substitute

_EXPORT = re.compile(r"export\s+")
_KEY = re.compile(r"[\w.\-\[\] \t]*")
_ESCAPE = re.compile(r"\\(?:[abcfnrtv$\"\\]|0\d{0,3})")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


def read(content: str, file: str, known: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file. Those it refers to are looked for in `known`, then above in the file.

    Raises Invalid with the line that cannot be read.
    """
    found: dict[str, str] = {}
    variables = Variables(ChainMap(dict(known), found))
    for name, value, line in _statements(content.removeprefix("\ufeff").replace("\r\n", "\n"), file):
        if value is None:
            if name in known:
                found[name] = known[name]
        elif isinstance(value, _Literal) or "$" not in value:
            found[name] = str(value)
        else:
            found[name] = substitute(value, variables, Place(file, line))
    return {name: value for name, value in found.items() if not name[:1].isdigit()}


class _Literal(str):
    """A value between single quotes: nothing in it is replaced."""


def _statements(source: str, file: str) -> "list[tuple[str, str | None, int]]":
    """Name, value (None for a name alone) and line of each assignment."""
    made: list[tuple[str, str | None, int]] = []
    position = 0
    line, counted = 1, 0
    while position < len(source):
        if source[position].isspace():
            position += 1
            continue
        if source[position] == "#":
            end = source.find("\n", position)
            position = len(source) if end < 0 else end
            continue
        line, counted = line + source.count("\n", counted, position), position
        if exported := _EXPORT.match(source, position):
            position = exported.end()
        key = _KEY.match(source, position)
        assert key is not None  # noqa: S101 - it matches the empty text too
        name, position = key.group().strip(), key.end()
        sign = source[position : position + 1]
        if not name or " " in name or sign not in ("=", ":", "\n", ""):
            raise Invalid("une ligne n’est pas de la forme NOM=valeur", Place(file, line))
        position += 1
        if sign in ("\n", ""):
            made.append((name, None, line))
            continue
        while source[position : position + 1] in (" ", "\t", "\v", "\f", "\r"):
            position += 1
        value, position = _value(source, position, Place(file, line))
        made.append((name, value, line))
    return made


def _value(source: str, position: int, place: Place) -> tuple[str, int]:
    quote = source[position : position + 1]
    if quote not in ('"', "'"):
        end = source.find("\n", position)
        end = len(source) if end < 0 else end
        return source[position:end].partition(" #")[0].rstrip(), end
    closed = re.compile(rf"(?:[^\\{quote}]|\\.)*{quote}", re.DOTALL).match(source, position + 1)
    if not closed:
        raise Invalid("un guillemet n’est pas fermé", place)
    inside = closed.group()[:-1].replace(f"\\{quote}", quote)
    return (_ESCAPE.sub(_escape, inside) if quote == '"' else _Literal(inside)), closed.end()


def _escape(found: re.Match[str]) -> str:
    code = found.group()[1:]
    if code == "$":
        return "$$"
    if code.startswith("0") and len(code) == 4:
        return chr(int(code[1:], 8) & 0xFF) if re.fullmatch("[0-7]{3}", code[1:]) else found.group()
    return _ESCAPED.get(code, found.group())
