"""What the tests expect where it is long: generated files, whose change is read as a diff. `make attendus` writes them.

A file that is not what the code says fails `test_expected.py`; one that is written again says what a change changed.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

from auditlib import checks, views  # noqa: F401 - imported for what they register
from auditlib.findings.check import CHECKS, Check

FOLDER = Path(__file__).parent


def catalogue() -> str:
    """One line for each check: what it says, and of what; the tables that it can do without stand in parentheses."""
    return "".join(f"{_line(check)}\n" for check in sorted(CHECKS.values(), key=_number))


def _line(check: Check) -> str:
    parameters = inspect.signature(check.function).parameters.values()
    reads = [one.name if one.default is inspect.Parameter.empty else f"({one.name})" for one in parameters]
    kind = f"{check.severity}, {check.confidence}{', complet' if check.extra else ''}"
    return f"{check.id} | {kind} | {check.title} | {' '.join(check.key)} | {' '.join(reads)}"


def _number(check: Check) -> list[tuple[str, int]]:
    """CIS-2.9 comes before CIS-2.10."""
    return [(part, 0) if not part.isdigit() else ("", int(part)) for part in check.id.replace("-", ".").split(".")]


FILES: Mapping[str, Callable[[], str]] = {"checks.txt": catalogue}
