"""Constraint expressions of the Docker provider: ``Label(`env`, `prod`) && !LabelRegex(`tier`, `test.*`)``.

The language is Go's own expressions (`pkg/provider/constraints/constraints_labels.go`, vulcand/predicate). A label
that a container lacks is empty; one whose value was not kept makes the answer unknown, unless it does not matter.
"""

import re
from collections.abc import Iterator, Mapping

import re2

from auditlib.traefik.decoding import MARK

_TOKEN = re.compile(r"""\s*(?:(`[^`]*`|"(?:[^"\\\n]|\\.)*")|(\w+)|(&&|\|\||[!(),]))\s*""", re.DOTALL)
_MAX_DEPTH = 100


class ConstraintError(ValueError):
    """An expression that Traefik refuses: it then drops every container."""


def matches(expression: str, labels: Mapping[str, str | None]) -> bool | None:
    """Whether a container's labels satisfy an expression; None when a value that matters is not known.

    Raises ConstraintError for an expression that Traefik refuses.
    """
    if not expression:
        return True
    parser = _Parser(expression, labels)
    answer = parser.either(0)
    if parser.current:
        raise ConstraintError(f"« {parser.current} » au lieu de la fin de l’expression")
    return answer


class _Parser:
    """Recursive descent that evaluates as it reads, in Kleene's logic: None is unknown."""

    def __init__(self, expression: str, labels: Mapping[str, str | None]) -> None:
        self.tokens = _tokens(expression)
        self.current = next(self.tokens)
        self.labels = labels

    def either(self, depth: int) -> bool | None:
        answers = [self.both(depth)]
        while self.accept("||"):
            answers.append(self.both(depth))
        return True if True in answers else None if None in answers else False

    def both(self, depth: int) -> bool | None:
        answers = [self.operand(depth)]
        while self.accept("&&"):
            answers.append(self.operand(depth))
        return False if False in answers else None if None in answers else True

    def operand(self, depth: int) -> bool | None:
        if depth > _MAX_DEPTH:
            raise ConstraintError("expression trop imbriquée")
        if self.accept("!"):
            answer = self.operand(depth + 1)
            return None if answer is None else not answer
        if self.accept("("):
            answer = self.either(depth + 1)
            self.expect(")")
            return answer
        function = self.current
        if function not in ("Label", "LabelRegex"):
            raise ConstraintError(f"fonction inconnue « {function} »")
        self.advance()
        self.expect("(")
        name = self.string()
        self.expect(",")
        wanted = self.string()
        self.accept(",")
        self.expect(")")
        value = self.labels.get(name, "")
        if value is None or MARK in value:
            return None
        return value == wanted if function == "Label" else _search(wanted, value)

    def string(self) -> str:
        literal = self.current
        if literal[:1] not in ("`", '"'):
            raise ConstraintError(f"« {literal} » au lieu d’une chaîne")
        self.advance()
        return literal[1:-1] if literal[0] == "`" else re.sub(r"\\(.)", r"\1", literal[1:-1])

    def accept(self, token: str) -> bool:
        if self.current != token:
            return False
        self.advance()
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ConstraintError(f"« {self.current} » au lieu de « {token} »")

    def advance(self) -> None:
        self.current = next(self.tokens, "")


def _tokens(expression: str) -> Iterator[str]:
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise ConstraintError(f"« {expression[position]} » inattendu")
        yield match[1] or match[2] or match[3]
        position = match.end()
    yield ""


def _search(pattern: str, text: str) -> bool:
    """Go's regexp.MatchString; a pattern that Go refuses matches nothing."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).search(text) is not None
    except re2.error:
        return False
