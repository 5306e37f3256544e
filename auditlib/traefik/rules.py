"""The language of Traefik's rules: a rule as a tree, and the domains and paths that the tree names.

Traefik reads a rule with Go's own expression parser (`pkg/rules/parser.go`, vulcand/predicate), so the lexical rules
are Go's: raw and interpreted strings, comments, and a newline that ends an expression after an operand.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Syntax = Literal["v2", "v3", "tcp"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# How many strings each matcher takes: (least, most), None for any number.
_ARITIES: dict[Syntax, dict[str, tuple[int, int | None]]] = {
    "v3": {
        **dict.fromkeys(("Host", "HostRegexp", "Path", "PathPrefix", "PathRegexp", "Method", "ClientIP"), (1, 1)),
        **dict.fromkeys(("Header", "HeaderRegexp"), (2, 2)),
        **dict.fromkeys(("Query", "QueryRegexp"), (1, 2)),
    },
    "v2": {
        **dict.fromkeys(("Host", "HostHeader", "HostRegexp", "Path", "PathPrefix", "Method", "ClientIP"), (1, None)),
        **dict.fromkeys(("Headers", "HeadersRegexp"), (2, None)),
        "Query": (1, None),
    },
    # Both grammars of TCP have these; what each refuses in them is in `tcp_rules`.
    "tcp": dict.fromkeys(("HostSNI", "HostSNIRegexp", "ClientIP", "ALPN"), (0, None)),
}

_DOMAINS = {"Host", "HostHeader", "HostSNI"}
_DOMAIN_PATTERNS = {"HostRegexp", "HostSNIRegexp"}
_PATHS = {"Path", "PathPrefix"}
# A name and a value, and again.
_PAIRS = {"Headers", "HeadersRegexp"}

# Deeper than any rule that a person wrote, and well within Python's own stack.
_MAX_DEPTH = 100
# Domains times paths of one rule; beyond, the paths are left out, then the side of an && that names fewer domains.
_MAX_PLACES = 5_000


class RuleError(ValueError):
    """A rule that Traefik refuses. The message is French; `line` and `column` count from 1, in bytes as Go does."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} (ligne {line}, colonne {column})")
        self.line = line
        self.column = column


class UnknownMatcherError(RuleError):
    """A rule that calls `name`, which is no matcher of its syntax."""

    def __init__(self, name: str, line: int, column: int) -> None:
        super().__init__(f"matcher inconnu « {name} »", line, column)
        self.name = name


@dataclass(frozen=True)
class Matcher:
    """``Host(`a.fr`)``: the matcher under its canonical name, and its strings."""

    name: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """``!operand``."""

    operand: "Node"


@dataclass(frozen=True)
class And:
    """``left && right``."""

    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Or:
    """``left || right``."""

    left: "Node"
    right: "Node"


Node = Matcher | Not | And | Or


class _Token(NamedTuple):
    kind: str  # name, string, an operator as itself, newline, end
    text: str
    start: int


# Blanks, comments, strings, names, operators. A rune is a whole token so that it gets its own message.
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|/\*.*?\*/)|(?P<newline>\n|//[^\n]*)|(?P<string>`[^`]*`|"(?:[^"\\\n]|\\.)*")"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<operator>&&|\|\||[!(),])""",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))""", re.DOTALL
)
_ESCAPED = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


def parse(rule: str, syntax: Syntax = "v3") -> Node:
    """The tree of a rule. Raises RuleError where Traefik's parser refuses it.

    The values of an HTTP rule are judged too, except for regular expressions.
    """
    return _Parser(rule, syntax).whole()


class _Parser:
    """Recursive descent over the tokens of one rule; `!` binds more than `&&`, which binds more than `||`."""

    def __init__(self, rule: str, syntax: Syntax) -> None:
        self.rule = rule
        self.known = {spelling: name for name in _ARITIES[syntax] for spelling in _spellings(name)}
        self.arities = _ARITIES[syntax]
        self.judges_values = syntax != "tcp"
        self.tokens = _tokens(rule)
        self.current = next(self.tokens)
        self.depth = 0

    def whole(self) -> Node:
        node = self.either()
        if self.current.kind == "newline":
            self.advance()
        if self.current.kind != "end":
            raise self.unexpected("de la fin de la règle")
        return node

    def either(self) -> Node:
        node = self.both()
        while self.accept("||"):
            node = Or(node, self.both())
        return node

    def both(self) -> Node:
        node = self.operand()
        while self.accept("&&"):
            node = And(node, self.operand())
        return node

    def operand(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error("règle trop imbriquée", self.current)
        try:
            if self.accept("!"):
                return Not(self.operand())
            if self.accept("("):
                node = self.either()
                self.expect(")")
                return node
            return self.matcher()
        finally:
            self.depth -= 1

    def matcher(self) -> Matcher:
        token = self.expect("name")
        self.expect("(")
        args: list[str] = []
        while self.current.kind != ")":
            literal = self.expect("string")
            try:
                args.append(_unquote(literal.text))
            except ValueError as error:
                raise self.error(str(error), literal) from None
            if not self.accept(","):
                break
        self.expect(")")
        name = self.known.get(token.text)
        if name is None:
            raise UnknownMatcherError(token.text, *self.place(token))
        least, most = self.arities[name]
        if len(args) < least or (most is not None and len(args) > most) or (name in _PAIRS and len(args) % 2):
            raise self.error(f"{name} ne prend pas {len(args)} argument{'s' if len(args) > 1 else ''}", token)
        if self.judges_values:
            self.judge(name, args, token)
        return Matcher(name, tuple(args))

    def judge(self, name: str, args: list[str], token: _Token) -> None:
        if not all(args):
            raise self.error(f"argument vide dans {name}", token)
        for arg in args:
            if fault := _fault(name, arg):
                raise self.error(f"{fault} dans {name}", token)

    def accept(self, kind: str) -> bool:
        if self.current.kind != kind:
            return False
        self.advance()
        return True

    def expect(self, kind: str) -> _Token:
        token = self.current
        if token.kind != kind:
            raise self.unexpected({"name": "d’un matcher", "string": "d’une chaîne"}.get(kind, f"de « {kind} »"))
        self.advance()
        return token

    def advance(self) -> None:
        self.current = next(self.tokens, self.current)

    def unexpected(self, wanted: str) -> RuleError:
        token = self.current
        if token.kind == "rune":
            return self.error('les apostrophes ne délimitent pas une chaîne, utiliser ` ou "', token)
        found = {"end": "la fin de la règle", "newline": "une fin de ligne"}.get(token.kind, f"« {token.text} »")
        return self.error(f"{found} au lieu {wanted}", token)

    def error(self, message: str, token: _Token) -> RuleError:
        return RuleError(message, *self.place(token))

    def place(self, token: _Token) -> tuple[int, int]:
        """Line and column of a token."""
        before = self.rule[: token.start]
        column = len(before.rpartition("\n")[2].encode("utf-8", "surrogatepass")) + 1
        return before.count("\n") + 1, column


def _tokens(rule: str) -> Iterator[_Token]:
    """The tokens of a rule. A newline is one only after an operand, where Go ends the expression."""
    position, ended = 0, False
    while position < len(rule):
        match = _TOKEN.match(rule, position)
        kind = str(match.lastgroup) if match else "rune" if rule[position] == "'" else "unknown"
        text = match.group() if match else rule[position]
        # A comment over several lines ends an expression as the newline inside it would.
        if kind == "newline" or (kind == "blank" and "\n" in text):
            if ended:
                yield _Token("newline", text, position)
            ended = False
        elif kind != "blank":
            ended = kind in ("name", "string") or text == ")"
            yield _Token(text if kind == "operator" else kind, text, position)
        position += len(text)
    yield _Token("end", "", position)


def _spellings(name: str) -> Iterable[str]:
    """Canonical, lower, upper and title case are accepted, no other."""
    return name, name.lower(), name.upper(), name.capitalize()


def _fault(name: str, arg: str) -> str | None:
    """What Traefik refuses in the value of a matcher (regular expressions aside)."""
    if name in _PATHS and not arg.startswith("/"):
        return "un chemin doit commencer par /"
    if name in ("Host", "HostHeader", "HostRegexp") and not arg.isascii():
        return "un domaine doit être écrit en ASCII (punycode)"
    if name == "ClientIP" and network(arg) is None:
        return "adresse ou plage d’adresses mal formée"
    return None


def network(arg: str) -> Network | None:
    """The addresses of a ClientIP, None when Go's net.ParseIP and ParseCIDR both refuse it.

    An IPv4 address written inside IPv6 is that IPv4 address, as in Go.
    """
    # Python also takes masks written out, and scopes.
    if not re.fullmatch(r"[0-9a-fA-F:.]+(?:/[0-9]{1,3})?", arg):
        return None
    try:
        found = ipaddress.ip_network(arg, strict=False)
    except ValueError:
        return None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return ipaddress.ip_network(f"{mapped}/{max(found.prefixlen - 96, 0)}", strict=False) if mapped else found


def _unquote(literal: str) -> str:
    """The text of a Go string literal. Go's strings are bytes: those that are no UTF-8 are kept as lone surrogates."""
    if literal.startswith("`"):
        return literal[1:-1].replace("\r", "")
    parts, end = bytearray(), 0
    for match in _ESCAPE.finditer(literal, 1, len(literal) - 1):
        parts += literal[end or 1 : match.start()].encode("utf-8", "surrogatepass") + _escaped(match)
        end = match.end()
    parts += literal[end or 1 : -1].encode("utf-8", "surrogatepass")
    return parts.decode("utf-8", "surrogateescape")


def _escaped(match: re.Match[str]) -> bytes:
    simple, byte, short, long, octal, wrong = match.groups()
    if simple:
        return _ESCAPED[simple].encode()
    if wrong:
        raise ValueError(f"échappement inconnu \\{wrong}")
    code = int(octal, 8) if octal else int(byte or short or long, 16)
    # Go refuses octals beyond a byte, halves of a surrogate pair, and what Unicode does not have.
    if code > (0xFF if octal else 0x10FFFF) or 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"caractère impossible {match.group()}")
    return bytes([code]) if octal or byte else chr(code).encode()


def printed(node: Node) -> str:
    """A tree as a rule. Brackets stand only where precedence and grouping to the left would say otherwise."""
    # A hundred alternatives are a tree a hundred deep to the left: walked down, not recursed into.
    joints: list[And | Or] = []
    while isinstance(node, And | Or):
        joints.append(node)
        node = node.left
    text = f"!{_bracketed(node.operand, And, Or)}" if isinstance(node, Not) else _call(node)
    loose = False
    for joint in reversed(joints):
        if isinstance(joint, And):
            text = f"({text})" if loose else text
            text, loose = f"{text} && {_bracketed(joint.right, And, Or)}", False
        else:
            text, loose = f"{text} || {_bracketed(joint.right, Or)}", True
    return text


def _bracketed(node: Node, *kinds: type) -> str:
    return f"({printed(node)})" if isinstance(node, kinds) else printed(node)


def _call(matcher: Matcher) -> str:
    return f"{matcher.name}({', '.join(map(_literal, matcher.args))})"


def _literal(text: str) -> str:
    """A Go string: raw where it can be, else with escapes; its bytes that are no UTF-8 one by one."""
    if not re.search("[`\r\ud800-\udfff]", text):
        return f"`{text}`"
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    # Any other lone surrogate is no text that Go could hold.
    return f"\\U{code if not 0xD800 <= code <= 0xDFFF else 0xFFFD:08x}"


class Place(NamedTuple):
    """Where a rule answers: a domain and a path, None for any. A regular expression is written `~expression`."""

    domain: str | None
    path: str | None


def places(node: Node) -> list[Place]:
    """The domains and paths where a rule answers, in the order of the rule. What is negated names no place."""
    return list(dict.fromkeys(_places(node, positive=True)))


def domains(node: Node) -> list[str]:
    """The domains that a rule names, without the negated ones and the patterns."""
    return list(dict.fromkeys(p.domain for p in places(node) if p.domain and not p.domain.startswith("~")))


def _places(node: Node, *, positive: bool) -> list[Place]:
    # A hundred domains joined by || are a tree a hundred deep, all of it to the left: walked down, not recursed into.
    joints: list[And | Or] = []
    while isinstance(node, And | Or):
        joints.append(node)
        node = node.left
    if isinstance(node, Not):
        found = _places(node.operand, positive=not positive)
    else:
        found = [_place(node.name, arg) for arg in node.args] if positive else [Place(None, None)]
    for joint in reversed(joints):
        others = _places(joint.right, positive=positive)
        # De Morgan: a negated || is an &&.
        found = [*found, *others] if isinstance(joint, Or) is positive else _crossed(found, others)
        found = list(dict.fromkeys(found))
    return found


def _crossed(lefts: list[Place], rights: list[Place]) -> list[Place]:
    """Where one of `lefts` and one of `rights` both answer."""
    if len(lefts) * len(rights) > _MAX_PLACES:
        lefts, rights = [[*dict.fromkeys(Place(p.domain, None) for p in side)] for side in (lefts, rights)]
    if len(lefts) * len(rights) > _MAX_PLACES:
        return max(lefts, rights, key=len)
    both = (_meet(one, other) for one in lefts for other in rights)
    return [place for place in both if place]


def _place(name: str, arg: str) -> Place:
    if name in _DOMAINS:
        return Place(arg.lower().removesuffix(".") if arg != "*" else None, None)
    if name in _DOMAIN_PATTERNS:
        return Place(f"~{arg}", None)
    # Bytes that are no text name no path that could be written down.
    arg = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", arg)
    if name in _PATHS:
        return Place(None, arg)
    return Place(None, f"~{arg}") if name == "PathRegexp" else Place(None, None)


def _meet(one: Place, other: Place) -> Place | None:
    """Where both answer, or None when nothing can: two different domains, two paths apart."""
    domain, path = _narrower(one.domain, other.domain), _narrower(one.path, other.path)
    if "" in (domain, path):
        return None
    return Place(domain, path)


def _narrower(one: str | None, other: str | None) -> str | None:
    """The narrower of two names or paths, "" when they exclude each other. Patterns yield to plain text."""
    known = [value for value in dict.fromkeys((one, other)) if value is not None]
    plain = [value for value in known if not value.startswith("~")] or known
    if len(plain) < 2:
        return plain[0] if plain else None
    short, long = sorted(plain, key=len)
    if long.startswith("~") or (long.startswith(short) and short.startswith("/")):
        return long
    return ""
