"""Unified diffs of files that are known in part: the context is made of known lines only."""

import difflib
from collections.abc import Hashable, Iterator, Sequence

from auditlib.compose.written import Line, Unsafe

CONTEXT = 3


def diff(old: list[Line], new: list[Line], path: str) -> str:
    """The unified diff. The context is as long on both sides, as `patch` wants it, and never shows an unknown line."""
    # A line that is unknown is equal to itself only.
    keys: list[list[Hashable]] = [[id(line) if line.text is None else line for line in lines] for lines in (old, new)]
    codes = difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes()
    groups = _grouped([code[1:] for code in codes if code[0] != "equal"], old)
    if not groups:
        raise Unsafe("il n’y a rien à changer")
    # With a space in it, a name ends at a tab: `patch` looks for another file otherwise.
    tab = "\t" if " " in path else ""
    text = [f"--- a/{path}{tab}\n", f"+++ b/{path}{tab}\n"]
    floor = 0
    for rank, (first, last, start, end) in enumerate(groups):
        roof = groups[rank + 1][0] if rank + 1 < len(groups) else len(old)
        before, after = _known(old[floor:first][::-1]), _known(old[last:roof])
        at_start, at_end = first == before, last + after == len(old)
        # Shorter on one side means, for `patch` and `git apply`, that the hunk stands at that end of the file.
        lead = min(before, after) if after < before and not at_end else before
        trail = min(before, after) if before < after and not at_start else after
        if (not trail and not at_end) or not (lead or trail):
            raise Unsafe("les lignes voisines peuvent tenir un secret")
        shift = start - first
        a, b, c, d = first - lead, last + trail, first - lead + shift, end + trail
        text.append(f"@@ -{_span(a, b)} +{_span(c, d)} @@\n")
        at = a
        for i, j, k, m in _inside(codes, first, last):
            text += [_shown(" ", line) for line in old[at:i]]
            text += [_shown("-", line) for line in old[i:j]]
            text += [_shown("+", line) for line in new[k:m]]
            at = j
        text += [_shown(" ", line) for line in old[at:b]]
        floor = b
    return "".join(text)


def _grouped(changes: list[tuple[int, int, int, int]], old: list[Line]) -> list[tuple[int, int, int, int]]:
    """Changes that are near each other, with nothing unknown between, as one."""
    groups: list[tuple[int, int, int, int]] = []
    for first, last, start, end in changes:
        if (
            groups
            and first - groups[-1][1] <= 2 * CONTEXT
            and all(line.text is not None for line in old[groups[-1][1] : first])
        ):
            groups[-1] = (groups[-1][0], last, groups[-1][2], end)
        else:
            groups.append((first, last, start, end))
    return groups


def _inside(codes: Sequence[tuple[str, int, int, int, int]], first: int, last: int) -> Iterator[tuple[int, ...]]:
    return (code[1:] for code in codes if code[0] != "equal" and first <= code[1] and code[2] <= last)


def _known(lines: Sequence[Line]) -> int:
    """How many lines are known from the first on, three at most."""
    return next((at for at, line in enumerate(lines[:CONTEXT]) if line.text is None), min(len(lines), CONTEXT))


def _span(first: int, last: int) -> str:
    # An empty side is told by the line before it.
    return f"{first + 1 if last > first else first},{last - first}"


def _shown(sign: str, line: Line) -> str:
    if line.ending == "none":
        return f"{sign}{line.text}\n\\ No newline at end of file\n"
    return f"{sign}{line.text}" + ("\r\n" if line.ending == "crlf" else "\n")
