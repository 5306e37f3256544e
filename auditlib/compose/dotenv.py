"""`.env` files and `env_file`, as compose-go's package `dotenv` reads them."""

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping

from auditlib.compose.document import Invalid, Place
from auditlib.compose.interpolate import Variables, required, substitute

_EXPORT = re.compile(r"export\s+")
_SPACES = " \t\v\f\r\x85\xa0"
_KEY = re.compile(rf"[\w.\-\[\]{_SPACES}]*")
_ESCAPE = re.compile(r"\\(?:[abcfnrtv$\"\\]|0\d{0,3})")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


def read(content: str, file: str, known: Mapping[str, str], form: str | None = None) -> dict[str, str]:
    """The variables of a file. Those it refers to are looked for in `known`, then above in the file.

    `form` is that of an `env_file`; raw is the one of `docker run`. Raises Invalid with the line that cannot be read.
    """
    if form == "raw":
        return dict(_raw(content, file, known))
    if form:
        raise Invalid("« env_file » a un format inconnu", Place(file, 0))
    found: dict[str, str] = {}
    variables = Variables(ChainMap(dict(known), found))
    for name, value, line in _statements(content.removeprefix("\ufeff"), file):
        if value is None:
            if name in variables.values:
                found[name] = variables.values[name]
        elif isinstance(value, _Literal) or "$" not in value:
            found[name] = str(value)
        else:
            found[name] = substitute(value, variables, Place(file, line))
        for wanted, place in variables.required:
            raise Invalid(required(wanted), place, wanted)
    return found


def _raw(content: str, file: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Lines as they are, but for comments and blank ones."""
    for number, line in enumerate(content.removeprefix("\ufeff").split("\n"), start=1):
        written = line.removesuffix("\r").lstrip()
        name, equals, value = written.partition("=")
        if not written or written.startswith("#"):
            continue
        if not name or re.search(r"\s", name):
            raise Invalid("une ligne n’est pas de la forme NOM=valeur", Place(file, number))
        if equals or name in known:
            yield name, value if equals else known[name]


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
        if sign not in ("=", ":", "\n", "") or (sign and " " in name):
            raise Invalid("une ligne n’est pas de la forme NOM=valeur", Place(file, line))
        if not sign:
            # Without an end of line, what is written is a value that has no name.
            name, position = "", key.start()
        position += 1 if sign else 0
        if sign == "\n":
            made.append((name, None, line))
            continue
        while source[position : position + 1] and source[position] in _SPACES:
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
    if code.startswith("0"):
        # What is no octal number of a byte loses its 0.
        return chr(int(code[1:], 8)) if re.fullmatch("[0-3][0-7]{2}", code[1:]) else f"\\{code[1:]}"
    return _ESCAPED.get(code, found.group())
