"""The declared tables of a snapshot: the raw facts, one declaration each.

Names and types of columns are a contract for scripts (columns may be added). Labels and descriptions are French:
they are shown to the reader of an audit.
"""

from auditlib.facts.table import Table
from auditlib.facts.tables import (
    compose,
    databases,
    docker,
    host,
    logs,
    machine,
    namespaces,
    policy,
    sources,
    traefik,
    traefik_files,
    web,
)
from auditlib.facts.tables.sources import SOURCES, STATUSES
from auditlib.facts.tables.traefik import LOADED

__all__ = ["LOADED", "SOURCES", "STATUSES", "TABLES"]

# In the order in which they are shown.
_FAMILIES = (
    sources,
    machine,
    host,
    docker,
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
