"""The default rule of the Docker provider: a Go template over the name and the labels of a container.

The usual forms are evaluated (``Host(`{{ normalize .Name }}.example.org`)``, `index .Labels "k"`, `if`/`else`, pipes
and a few functions of sprig). What Go cannot parse or execute is said so; anything else raises Unsupported: the rule is
then not known, rather than guessed.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditlib.traefik.decoding import HIDDEN, quoted

DEFAULT_RULE = "Host(`{{ normalize .Name }}`)"


class Unsupported(ValueError):  # noqa: N818 - a limit of this module, not a fault of the template
    """A template, or a value, that is not known well enough to be evaluated."""


class ExecutionError(ValueError):
    """A template that Go cannot execute for a container: its router is dropped."""


@dataclass(frozen=True)
class Model:
    """What a default rule is made from: `Labels` values that were not kept are None."""

    name: str
    container_name: str
    labels: Mapping[str, str | None]


def normalize(name: str) -> str:
    """Traefik's `Normalize`: letters and numbers of any script are kept, all else is one dash between them."""
    words: list[str] = []
    word = ""
    for character in name:
        if character.isalpha() or character.isnumeric():
            word += character
        elif word:
            words, word = [*words, word], ""
    return "-".join([*words, word] if word else words)


def _replace(old: Any, new: Any, text: Any) -> str:
    return _text(text).replace(_text(old), _text(new))


def _suffix(suffix: Any, text: Any) -> str:
    return _text(text).removesuffix(_text(suffix))


def _prefix(prefix: Any, text: Any) -> str:
    return _text(text).removeprefix(_text(prefix))


def _trunc(length: Any, text: Any) -> str:
    if not isinstance(length, int):
        raise ExecutionError("wrong type for value; expected int; got string")
    return _text(text)[:length] if length >= 0 else _text(text)[length:]


_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_WORD = re.compile(r"""\s*(?:("(?:[^"\\\n]|\\.)*"|`[^`]*`)|(-?\d+)(?![\w.])|([.\w]+)|([()|]))""")


_LITERAL = re.compile(r"""`[^`]*`|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_IDENTIFIER = re.compile(r"(?<![.$\w])[A-Za-z_]\w*")
_KEYWORDS = {"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"}
_CONSTANTS = {"true", "false", "nil"}
# Go's own functions, those of sprig in Traefik 3 (each asked of 3.0.4 and 3.7.15), and Traefik's `normalize`.
_EXISTING = frozenset(
    """
    abbrev abbrevboth add add1 add1f addf adler32sum ago all and any append atoi b32dec b32enc b64dec b64enc base
    bcrypt biggest buildCustomCert call camelcase cat ceil chunk clean coalesce compact concat contains date
    dateInZone dateModify date_in_zone date_modify decryptAES deepCopy deepEqual default derivePassword dict dig dir
    div divf duration durationRound empty encryptAES env eq expandenv ext fail first float64 floor fromJson ge genCA
    genCAWithKey genPrivateKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey get
    getHostByName gt has hasKey hasPrefix hasSuffix hello html htmlDate htmlDateInZone htpasswd indent index initial
    initials int int64 isAbs join js kebabcase keys kindIs kindOf last le len list lower lt max maxf merge
    mergeOverwrite min minf mod mul mulf mustAppend mustChunk mustCompact mustDateModify mustDeepCopy mustFirst
    mustFromJson mustHas mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend mustPush mustRegexFind
    mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit mustRest
    mustReverse mustSlice mustToDate mustToJson mustToPrettyJson mustToRawJson mustUniq mustWithout must_date_modify
    ne nindent normalize nospace not now omit or osBase osClean osDir osExt osIsAbs pick pluck plural prepend print
    printf println push quote randAlpha randAlphaNum randAscii randBytes randInt randNumeric regexFind regexFindAll
    regexMatch regexQuoteMeta regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round
    semver semverCompare seq set sha1sum sha256sum shuffle slice snakecase sortAlpha split splitList splitn squote
    sub subf substr swapcase ternary title toDate toDecimal toJson toPrettyJson toRawJson toString toStrings trim
    trimAll trimPrefix trimSuffix trimall trunc tuple typeIs typeIsLike typeOf uniq unixEpoch unset until untilStep
    untitle upper urlJoin urlParse urlquery uuidv4 values without wrap wrapWith
    """.split()  # noqa: SIM905 - as a list it takes 230 lines
)


def malformed(template: str) -> str | None:
    """Why Go cannot parse a template, as it says it; None for one that it can, as far as is seen here.

    Traefik then does without the whole provider.
    """
    if HIDDEN in template:
        return None
    opened, end = 0, 0
    for match in _ACTION.finditer(template):
        end = match.end()
        fault, change = _parsed(match[2], opened)
        if fault:
            return _located(template, match.start(), fault)
        opened += change
    if "{{" in template[end:]:
        return _located(template, template.index("{{", end), "unclosed action")
    return _located(template, len(template), "unexpected EOF") if opened else None


def _parsed(action: str, opened: int) -> tuple[str | None, int]:
    """Why Go cannot parse an action, if so; and how many blocks are open more after it."""
    if action.startswith("/*"):
        return None, 0
    words = _IDENTIFIER.findall(_LITERAL.sub(" ", action))
    if not action:
        return "missing value for command", 0
    if words[:1] in (["else"], ["end"]) and not opened:
        return f"unexpected {{{{{words[0]}}}}}", 0
    unknown = [word for word in words if word not in _EXISTING | _KEYWORDS | _CONSTANTS]
    if unknown:
        return f"function {quoted(unknown[0])} not defined", 0
    return None, -1 if words[:1] == ["end"] else int(words[:1] in (["if"], ["range"], ["with"], ["define"], ["block"]))


def _located(template: str, position: int, fault: str) -> str:
    line = template[:position].count("\n") + 1
    return f"template: defaultRule:{line}: {fault}"


def render(template: str, model: Model) -> str:
    """The rule that a template makes. Raises ExecutionError as Go does, Unsupported for what is not known here."""
    try:
        return _block(_pieces(template), model, ending=()).output
    except (Unsupported, ExecutionError):
        raise
    except (TypeError, ValueError, IndexError, AttributeError, RecursionError, KeyError) as error:
        raise Unsupported(str(error)) from error


@dataclass(frozen=True)
class _Piece:
    text: str
    action: bool


@dataclass(frozen=True)
class _Done:
    output: str
    end: str  # the action that ended the block, "" at the end of the template


def _pieces(template: str) -> Iterator[_Piece]:
    position, trim = 0, False
    for match in _ACTION.finditer(template):
        before = template[position : match.start()]
        before = before.lstrip() if trim else before
        yield _Piece(before.rstrip() if match[1] else before, action=False)
        yield _Piece(match[2], action=True)
        position, trim = match.end(), bool(match[3])
    rest = template[position:]
    if "{{" in rest:
        raise Unsupported("action inachevée")
    yield _Piece(rest.lstrip() if trim else rest, action=False)


def _block(pieces: Iterator[_Piece], model: Model, *, ending: tuple[str, ...]) -> _Done:
    """What the pieces give up to an action of `ending`."""
    output = ""
    for piece in pieces:
        if not piece.action:
            output += piece.text
            continue
        word = piece.text.partition(" ")[0]
        if word in ("else", "end"):
            if word not in ending:
                raise Unsupported(piece.text)
            return _Done(output, piece.text)
        if word == "if":
            output += _conditional(piece.text.removeprefix("if"), pieces, model)
        elif piece.text.startswith("/*"):
            continue
        elif word in ("range", "with", "define", "template", "block") or ":=" in piece.text:
            raise Unsupported(word)
        else:
            value = _pipeline(piece.text, model)
            output += "<no value>" if value is ABSENT else _text(value)
    if ending:
        raise Unsupported("if sans end")
    return _Done(output, "")


def _conditional(condition: str, pieces: Iterator[_Piece], model: Model) -> str:
    chosen = bool(_pipeline(condition, model))
    # Both branches are read, so that the pieces are consumed; only the chosen one must be known.
    then = _branch(pieces, model, chosen=chosen)
    if then.end == "end":
        return then.output if chosen else ""
    rest = then.end.removeprefix("else").strip()
    if rest.startswith("if"):
        if chosen:
            raise Unsupported("else if après une condition vraie")
        return _conditional(rest.removeprefix("if"), pieces, model)
    otherwise = _branch(pieces, model, chosen=not chosen)
    return then.output if chosen else otherwise.output


def _branch(pieces: Iterator[_Piece], model: Model, *, chosen: bool) -> _Done:
    if chosen:
        return _block(pieces, model, ending=("else", "end"))
    depth = 0
    for piece in pieces:
        word = piece.text.partition(" ")[0] if piece.action else ""
        if word == "if":
            depth += 1
        elif word == "end" and depth:
            depth -= 1
        elif word in ("else", "end") and not depth:
            return _Done("", piece.text)
    raise Unsupported("if sans end")


def _pipeline(text: str, model: Model) -> Any:
    words: list[str] = []
    position = 0
    while position < len(text.rstrip()):
        match = _WORD.match(text, position)
        if match is None:
            raise Unsupported(text)
        words.append(match.group().strip())
        position = match.end()
    value, rest = _chain(words, model)
    if rest:
        raise Unsupported(text)
    return value


def _chain(words: list[str], model: Model) -> tuple[Any, list[str]]:
    """The value of commands joined by pipes, each given the last one's value as its last argument."""
    value, first = None, True
    while True:
        call: list[Any] = []
        name = None
        while words and words[0] not in ("|", ")"):
            word, words = words[0], words[1:]
            if word == "(":
                inner, words = _chain(words, model)
                if not words or words[0] != ")":
                    raise Unsupported("parenthèse")
                words = words[1:]
                call.append(inner)
            elif not call and name is None and word in _FUNCTIONS:
                name = word
            else:
                call.append(_operand(word, model))
        if not first:
            call.append(value)
        if name is not None:
            value = _called(name, call)
        elif len(call) == 1:
            value = call[0]
        else:
            raise Unsupported(" ".join(map(str, call)) or "action vide")
        first = False
        if not words or words[0] == ")":
            return value, words
        words = words[1:]


class _Absent:
    """What a field of the labels is when there is no such label."""

    def __bool__(self) -> bool:
        return False


ABSENT = _Absent()


def _called(name: str, arguments: list[Any]) -> Any:
    function = _FUNCTIONS[name]
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        raise ExecutionError(f"wrong number of args for {name}") from None
    return function(*arguments)


def _operand(word: str, model: Model) -> Any:
    if word[0] == '"':
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    if word[0] == "`":
        return word[1:-1]
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    if word in ("true", "false"):
        return word == "true"
    known: dict[str, Any] = {".Name": model.name, ".ContainerName": model.container_name, ".Labels": model.labels}
    if word in known:
        return known[word]
    if found := re.fullmatch(r"\.Labels\.(\w+)((?:\.\w+)*)", word):
        if found[1] not in model.labels:
            return ABSENT
        if not found[2]:
            return _index(model.labels, found[1])
    if re.fullmatch(r"(?:\.\w+)+", word):
        raise ExecutionError(f"can't evaluate field {word.rpartition('.')[2]}")
    raise Unsupported(word)


def _index(mapping: Any, key: Any) -> Any:
    if isinstance(mapping, list):
        return mapping[key]
    value = mapping.get(key, "")
    if value is None:
        raise Unsupported(f"la valeur de l’étiquette {key} n’est pas gardée")
    return value


def _text(value: Any) -> str:
    if value is ABSENT:
        raise ExecutionError("invalid value; expected string")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise Unsupported("valeur composée")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "normalize": lambda text: normalize(_text(text)),
    "index": _index,
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "trim": lambda text: _text(text).strip(),
    "trimPrefix": _prefix,
    "trimSuffix": _suffix,
    "replace": _replace,
    "trunc": _trunc,
    "default": lambda fallback, value=None: value or fallback,
    "coalesce": lambda *values: next((value for value in values if value), ""),
    "contains": lambda part, text: _text(part) in _text(text),
    "hasPrefix": lambda part, text: _text(text).startswith(_text(part)),
    "hasSuffix": lambda part, text: _text(text).endswith(_text(part)),
    "hasKey": lambda mapping, key: key in mapping,
    "eq": lambda one, *others: one in others,
    "ne": lambda one, other: one != other,
    "not": lambda value: not value,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "quote": lambda text: f'"{_text(text)}"',
    "splitList": lambda separator, text: _text(text).split(_text(separator)),
    "first": lambda items: items[0],
    "last": lambda items: items[-1],
    "join": lambda separator, items: _text(separator).join(_text(item) for item in items),
    "print": lambda *values: "".join(_text(value) for value in values),
}
