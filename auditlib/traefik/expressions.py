"""The expressions of a circuit breaker and of a buffer: whether Traefik takes them (vulcand/oxy, vulcand/predicate).

They are Go's: functions, numbers, strings, comparisons, && and ||. Each operator asks for what it compares.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from auditlib.traefik.golang import integer_fault

# What a function asks for, and what it gives.
Function = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class Language:
    """One of the two languages: its Go package, its functions, and how it words a comparison that it does not know.

    `named`: the operator's name comes first in these words.
    """

    package: str
    functions: Mapping[str, Function]
    named: bool


CIRCUIT_BREAKER = Language(
    "cbreaker",
    {
        "LatencyAtQuantileMS": (("float64",), "toInt"),
        "NetworkErrorRatio": ((), "toFloat64"),
        "ResponseCodeRatio": (("int", "int", "int", "int"), "toFloat64"),
    },
    named=True,
)
RETRY = Language(
    "buffer",
    {
        "RequestMethod": ((), "toString"),
        "IsNetworkError": ((), "hpredicate"),
        "Attempts": ((), "toInt"),
        "ResponseCode": ((), "toInt"),
    },
    named=False,
)


class ExpressionError(ValueError):
    """An expression that Traefik refuses, in its own words."""


def expression_fault(expression: str, language: Language) -> str | None:
    """Why Traefik refuses an expression."""
    try:
        kind = _Parser(expression, language).whole()
    except ExpressionError as error:
        return str(error)
    return None if kind == "hpredicate" else f"expected predicate, got {_go(kind, language)}"


def _go(kind: str, language: Language) -> str:
    return f"{language.package}.{kind}" if kind in ("hpredicate", "toInt", "toFloat64", "toString") else kind


class _Token(NamedTuple):
    kind: str  # name, number, string, operator, end
    text: str
    line: int
    column: int


_TOKENS = re.compile(
    r"""(?P<blank>[ \t\r]+)|(?P<newline>\n)|(?P<string>`[^`]*`|"(?:[^"\\\n]|\\.)*")"""
    r"""|(?P<number>\d+\.\d*|\.\d+|\d+)|(?P<name>[^\W\d]\w*)|(?P<operator>&&|\|\||[<>=!]=|[-+*/%<>!(),.])"""
)
_OPERATORS = {"==": "eq", "!=": "neq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_ENDS_LINE = ("name", "number", "string")


def _tokens(text: str) -> Iterator[_Token]:
    position, line, start, last = 0, 1, 0, ""
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise ExpressionError(
                f"{line}:{position - start + 1}: illegal character U+{ord(text[position]):04X} '{text[position]}'"
            )
        kind = match.lastgroup or ""
        if kind == "newline":
            if last in _ENDS_LINE or last == ")":
                yield _Token("end", "newline", line, position - start + 1)
            line, start = line + 1, match.end()
        elif kind != "blank":
            yield _Token(kind, match[0], line, position - start + 1)
            last = match[0] if kind == "operator" else kind
        position = match.end()
    # Go ends a line that ends with an operand, the last one too.
    if last in _ENDS_LINE or last == ")":
        yield _Token("end", "newline", line, position - start + 1)
    yield _Token("end", "'EOF'", line, position - start + 1)


class _Parser:
    """Recursive descent: || binds less than &&, which binds less than comparisons. Gives the kind of each part."""

    def __init__(self, text: str, language: Language) -> None:
        self.tokens = iter([*_tokens(text)])
        self.current = next(self.tokens)
        self.language = language

    def whole(self) -> str:
        kind = self.joined("||")
        if self.current.text == "newline":
            self.take()
        if self.current.kind != "end" or self.current.text == "newline":
            raise self.expected("'EOF'")
        return kind

    def take(self) -> _Token:
        taken = self.current
        self.current = next(self.tokens, taken)
        return taken

    def expected(self, what: str) -> ExpressionError:
        token = self.current
        found = f"'{token.text}'" if token.kind == "operator" else token.text
        return ExpressionError(f"{token.line}:{token.column}: expected {what}, found {found}")

    def joined(self, operator: str) -> str:
        """Parts joined by || or by &&."""
        kind = self.joined("&&") if operator == "||" else self.compared()
        while self.current.text == operator and self.current.kind == "operator":
            self.take()
            other = self.joined("&&") if operator == "||" else self.compared()
            for side in (kind, other):
                if side != "hpredicate":
                    asked = f"{self.language.package}.hpredicate"
                    raise ExpressionError(f"reflect: cannot use {_go(side, self.language)} as type {asked} in Call")
            kind = "hpredicate"
        return kind

    def compared(self) -> str:
        kind = self.operand()
        while self.current.text in _OPERATORS and self.current.kind == "operator":
            kind = self.comparison(_OPERATORS[self.take().text], kind, self.operand())
        return kind

    def comparison(self, operator: str, kind: str, value: str) -> str:
        # « Not equal » is said in the words of « equal », and « or equal » in those of the first test.
        word = {"neq": "eq", "le": "lt", "ge": "gt"}.get(operator, operator)
        takes = {"toInt": "int", "toFloat64": "float64"} if self.language.named else {"toInt": "int"}
        if word == "eq" and not self.language.named:
            takes["toString"] = "string"
        if kind not in takes:
            prefix = f"{word}: " if self.language.named else ""
            raise ExpressionError(f"{prefix}unsupported argument: {_go(kind, self.language)}")
        if value != takes[kind]:
            # oxy says « int » of a float that it compares.
            asked = takes[kind] if word == "eq" or kind == "toInt" else "int"
            raise ExpressionError(f"expected {asked}, got {_go(value, self.language)}")
        return "hpredicate"

    def operand(self) -> str:
        token = self.current
        if token.kind == "operator" and token.text in ("!", "-", "+"):
            self.take()
            self.operand()
            raise ExpressionError(f"{token.text} is not supported")
        if token.kind == "operator" and token.text == "(":
            self.take()
            kind = self.joined("||")
            self.close()
            return kind
        if token.kind == "name":
            self.take()
            return self.call(token.text)
        return self.literal()

    def close(self) -> None:
        if self.current.text != ")" or self.current.kind != "operator":
            raise self.expected("')'")
        self.take()

    def literal(self) -> str:
        token = self.current
        if token.kind == "string":
            self.take()
            return "string"
        if token.kind != "number":
            raise self.expected("operand")
        self.take()
        if "." in token.text:
            return "float64"
        if fault := integer_fault(token.text):
            raise ExpressionError(f"failed to parse argument: {token.text}, error: {fault}")
        return "int"

    def call(self, name: str) -> str:
        if self.current.text != "(" or self.current.kind != "operator":
            raise ExpressionError(f"{name} is not defined")
        self.take()
        arguments: list[str] = []
        while self.current.text != ")" or self.current.kind != "operator":
            arguments.append(self.argument())
            if self.current.text != "," or self.current.kind != "operator":
                break
            self.take()
        self.close()
        if name not in self.language.functions:
            raise ExpressionError(f"unsupported function: {name}")
        asked, given = self.language.functions[name]
        if len(arguments) != len(asked):
            raise ExpressionError(
                f"reflect: Call with too {'few' if len(arguments) < len(asked) else 'many'} input arguments"
            )
        for argument, wanted in zip(arguments, asked, strict=True):
            if argument != wanted:
                raise ExpressionError(f"reflect: Call using {_go(argument, self.language)} as type {wanted}")
        return given

    def argument(self) -> str:
        if self.current.kind == "name":
            return self.call(self.take().text)
        return self.literal()
