"""Rules that the running version of Traefik 3 deprecates, refuses for their old syntax, or takes without meaning them.

With how they are written in the syntax of version 3 (`migrate/v2-to-v3-details`, « Rule Syntax »), when that is known.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from auditlib.traefik.rules import And, Matcher, Node, Not, Or, RuleError, parse, printed
from auditlib.traefik.versions import Version, number

_DEPRECATED: Version = (3, 4, 0)
# A variable of Traefik 2 in a host or a path: « {name} », « {name:expression} »; « {3} » repeats in an expression.
_VARIABLE = re.compile(r"\{[A-Za-z_]\w*(?::|\})")


@dataclass(frozen=True)
class Outdated:
    """What is wrong with a rule, as a French verb and its object; and the rule as it should be, None if not known."""

    why: str
    proposal: str | None


def outdated(rule: str, syntax: str | None, version: str) -> Outdated | None:
    """What the running version says of a rule's syntax; None when there is nothing to say, or it is merely broken."""
    at = number(version)
    if at < (3, 0, 0):
        return None
    if syntax == "v2":
        why = "est de la syntaxe v2, dépréciée depuis Traefik 3.4"
        return Outdated(why, _modern(rule)) if at >= _DEPRECATED else None
    try:
        tree = parse(rule, "v3")
    except RuleError:
        try:
            parse(rule, "v2")
        except RuleError:
            return None
        return Outdated(f"est de la syntaxe de Traefik 2, que Traefik {version} refuse", _modern(rule))
    matchers = list(_matchers(tree))
    templated = (matcher.args[0] for matcher in matchers if matcher.name in ("HostRegexp", "Path", "PathPrefix"))
    if any(map(_VARIABLE.search, templated)):
        why = f"a une variable de Traefik 2, que Traefik {version} prend à la lettre : rien ne la remplace"
        return Outdated(why, _modern(rule))
    hosts = [matcher.args[0] for matcher in matchers if matcher.name == "Host"]
    stars = [host for host in hosts if host.startswith("*")]
    if any(at < ((3, 7, 7) if star == "*" else (3, 7, 0)) for star in stars):
        why = f"a une étoile, que Traefik {version} prend à la lettre : aucun sous-domaine n’y répond"
        return Outdated(why, printed(_changed(tree, _star)))
    return None


def _matchers(node: Node) -> list[Matcher]:
    waiting, matchers = [node], []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Matcher):
            matchers.append(part)
        else:
            waiting += [part.operand] if isinstance(part, Not) else [part.left, part.right]
    return matchers


def _changed(node: Node, change: Callable[[Matcher], Node]) -> Node:
    """The tree with each matcher changed."""
    if isinstance(node, Matcher):
        return change(node)
    if isinstance(node, Not):
        return Not(_changed(node.operand, change))
    joints: list[And | Or] = []
    first: Node = node
    while isinstance(first, And | Or):
        joints.append(first)
        first = first.left
    made = _changed(first, change)
    for joint in reversed(joints):
        made = type(joint)(made, _changed(joint.right, change))
    return made


def _star(matcher: Matcher) -> Node:
    if matcher.name != "Host" or not matcher.args[0].startswith("*"):
        return matcher
    rest = matcher.args[0].removeprefix("*").lower()
    return Matcher("HostRegexp", (f"^[^.]+{re.escape(rest)}$" if rest else "^.+$",))


def _modern(rule: str) -> str | None:
    """A rule of version 2 in the syntax of version 3; None where that is not known."""
    try:
        text = printed(_changed(parse(rule, "v2"), _matcher))
        parse(text, "v3")
    except (RuleError, ValueError):
        return None
    return text


def _matcher(matcher: Matcher) -> Node:
    """One matcher of version 2; several values are alternatives, pairs and queries hold together."""
    name, args = matcher.name, matcher.args
    if name in ("Headers", "HeadersRegexp"):
        header = "Header" if name == "Headers" else "HeaderRegexp"
        return _joined(And, [Matcher(header, args[at : at + 2]) for at in range(0, len(args), 2)])
    if name == "Query":
        return _joined(And, [_query(arg) for arg in args])
    return _joined(Or, [_single("Host" if name == "HostHeader" else name, arg) for arg in args])


def _joined(joint: type[And] | type[Or], parts: list[Matcher]) -> Node:
    made: Node = parts[0]
    for part in parts[1:]:
        made = joint(made, part)
    return made


def _query(arg: str) -> Matcher:
    name, _, value = arg.partition("=")
    return Matcher("Query", (name, value)) if value else Matcher("QueryRegexp", (name, ".*"))


def _single(name: str, arg: str) -> Matcher:
    if name == "HostRegexp":
        return Matcher(name, (f"^{_expression(arg, '[^.]+')}$",))
    if name in ("Path", "PathPrefix") and _VARIABLE.search(arg):
        return Matcher("PathRegexp", (f"^{_expression(arg, '[^/]+')}{'$' if name == 'Path' else ''}",))
    return Matcher(name, (arg,))


def _expression(template: str, anything: str) -> str:
    """A template of version 2 as a regular expression. Raises ValueError for braces that do not match."""
    made, at = "", 0
    while (start := template.find("{", at)) >= 0:
        depth, end = 1, start + 1
        while depth:
            if end == len(template):
                raise ValueError("unbalanced braces")
            depth += {"{": 1, "}": -1}.get(template[end], 0)
            end += 1
        expression = template[start + 1 : end - 1].partition(":")[2]
        made += re.escape(template[at:start]) + (f"(?:{expression})" if expression else anything)
        at = end
    return made + re.escape(template[at:])
