"""Runtime audit of a self-hosted server: Docker, Traefik and the services of the host.

What a notebook or a script may import is here, and nothing else is public:

>>> import auditlib
>>> facts = auditlib.load("outputs/server/latest")
>>> facts.listeners  # a pandas frame; a table that was not read raises AbsentTable, which says why
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from auditlib.version import __version__

if TYPE_CHECKING:
    from auditlib.derived import Facts
    from auditlib.facts.snapshot import AbsentTable, Snapshot, SnapshotError
    from auditlib.notebook import (
        advise,
        conclude,
        draw,
        follow,
        judge,
        load,
        mend,
        problems,
        record,
        summarise,
        verdicts,
    )
    from auditlib.report.catalogue import list_checks, list_tables
    from auditlib.report.explanation import Explanation, RequestError, explain
    from auditlib.report.shown import show

__all__ = [
    "AbsentTable",
    "Explanation",
    "Facts",
    "RequestError",
    "Snapshot",
    "SnapshotError",
    "__version__",
    "advise",
    "conclude",
    "draw",
    "explain",
    "follow",
    "judge",
    "list_checks",
    "list_tables",
    "load",
    "mend",
    "problems",
    "record",
    "show",
    "summarise",
    "verdicts",
]

_ELSEWHERE = dict.fromkeys(("AbsentTable", "Snapshot", "SnapshotError"), "auditlib.facts.snapshot") | dict.fromkeys(
    ("Explanation", "RequestError", "explain"), "auditlib.report.explanation"
)
_ELSEWHERE |= {"Facts": "auditlib.derived", "show": "auditlib.report.shown"}
_ELSEWHERE |= dict.fromkeys(("list_checks", "list_tables"), "auditlib.report.catalogue")


def __getattr__(name: str) -> Any:
    # Loaded when asked for: pandas takes a second, during which the command line could not answer Ctrl-C.
    if name not in __all__:
        raise AttributeError(f"module 'auditlib' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "auditlib.notebook")), name)


def __dir__() -> list[str]:
    return __all__
