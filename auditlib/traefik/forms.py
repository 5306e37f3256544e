"""A rule with its negations at its leaves: what everything that reads a rule's meaning works on.

Traefik's parser does the same (`rules.invert`). A chain of one operator is one node, however long, so that walking a
form never goes deeper than a rule's brackets.
"""

from dataclasses import dataclass

from auditlib.traefik.rules import And, Matcher, Node, Not, Or


@dataclass(frozen=True)
class Leaf:
    """A matcher, or its negation."""

    matcher: Matcher
    positive: bool = True


@dataclass(frozen=True)
class Every:
    """All of the parts hold."""

    parts: tuple["Form", ...]


@dataclass(frozen=True)
class Some:
    """At least one of the parts holds."""

    parts: tuple["Form", ...]


Form = Leaf | Every | Some


def form(node: Node, *, positive: bool = True) -> Form:
    """The form of a tree, or of its negation."""
    joints: list[And | Or] = []
    while isinstance(node, And | Or):
        joints.append(node)
        node = node.left
    found: Form = form(node.operand, positive=not positive) if isinstance(node, Not) else Leaf(node, positive)
    while joints:
        # De Morgan: a negated || is an &&.
        kind = Every if isinstance(joints[-1], And) is positive else Some
        parts: list[Form] = [found]
        while joints and (Every if isinstance(joints[-1], And) is positive else Some) is kind:
            parts.append(form(joints.pop().right, positive=positive))
        flat = (part.parts if isinstance(part, kind) else (part,) for part in parts)
        found = kind(tuple(one for several in flat for one in several))
    return found


def negated(form: Form) -> Form:
    """What holds when a form does not."""
    if isinstance(form, Leaf):
        return Leaf(form.matcher, not form.positive)
    kind = Some if isinstance(form, Every) else Every
    return kind(tuple(map(negated, form.parts)))
