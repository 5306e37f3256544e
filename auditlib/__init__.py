"""Runtime audit of a self-hosted server: Docker, Traefik and the services of the host.

What a notebook or a script may import is here, and nothing else is public:

>>> import auditlib
>>> facts = auditlib.load("outputs/server/latest")
>>> facts.listeners  # a pandas frame; a table that was not read raises AbsentTable, which says why
"""

# Imported for what they register: the checks, and the views computed from tables.
from auditlib import checks as _checks  # noqa: F401
from auditlib.notebook import conclude, draw, judge, load, record, show, summarise, verdicts
from auditlib.routing import provider as _provider  # noqa: F401
from auditlib.routing import routes as _routes  # noqa: F401
from auditlib.snapshot import AbsentTable, Snapshot, SnapshotError
from auditlib.version import __version__

__all__ = [
    "AbsentTable",
    "Snapshot",
    "SnapshotError",
    "__version__",
    "conclude",
    "draw",
    "judge",
    "load",
    "record",
    "show",
    "summarise",
    "verdicts",
]
