"""The declared tables of a snapshot: the raw facts, one declaration each.

Names and types of columns are a contract for scripts (columns may be added). Labels and descriptions are French:
they are shown to the reader of an audit.
"""

from auditlib.facts.table import Table
from auditlib.facts.tables import compose, databases, docker, host, logs, policy, traefik, web

# In the order in which they are shown.
_FAMILIES = (host, docker, compose, databases, traefik, web, logs, policy)

TABLES: dict[str, Table] = {
    row.table.name: row.table
    for family in _FAMILIES
    for row in vars(family).values()
    if isinstance(row, type) and hasattr(row, "table") and row.__module__ == family.__name__
}
