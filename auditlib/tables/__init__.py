"""The declared tables of a snapshot: the raw facts, one declaration each.

Names and types of columns are a contract for scripts (columns may be added). Labels and descriptions are French:
they are shown to the reader of an audit.
"""

from auditlib.schema import Table
from auditlib.tables import engine, machine, sources, traefik, traefik_files
from auditlib.tables.sources import SOURCES, STATUSES
from auditlib.tables.traefik import LOADED

__all__ = ["LOADED", "SOURCES", "STATUSES", "TABLES"]

TABLES: dict[str, Table] = {
    table.name: table for family in (sources, machine, engine, traefik, traefik_files) for table in family.TABLES
}
