"""The declared tables of a snapshot: the raw facts, one declaration each.

Names and types of columns are a contract for scripts (columns may be added). Labels and descriptions are French:
they are shown to the reader of an audit.
"""

from auditlib.schema import Table
from auditlib.tables import (
    compose,
    databases,
    engine,
    logs,
    machine,
    namespaces,
    policy,
    sources,
    system,
    traefik,
    traefik_files,
    web,
)
from auditlib.tables.sources import SOURCES, STATUSES
from auditlib.tables.traefik import LOADED

__all__ = ["LOADED", "SOURCES", "STATUSES", "TABLES"]

# In the order in which they are shown.
_FAMILIES = (
    sources,
    machine,
    system,
    engine,
    namespaces,
    compose,
    databases,
    traefik,
    traefik_files,
    web,
    logs,
    policy,
)

TABLES: dict[str, Table] = {table.name: table for family in _FAMILIES for table in family.TABLES}
