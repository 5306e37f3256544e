"""What the collection read, and what it could not read."""

from auditlib.facts.table import Table, integer, prose, seconds, text

STATUSES = {"ok": "lue", "partial": "lue en partie", "refused": "refusée", "absent": "absente", "failed": "en échec"}

SOURCES = Table(
    "sources",
    "Sources",
    "Ce que la collecte a lu, ou pas, et pourquoi. Toujours présente.",
    ("source",),
    (
        text("source", "Source"),
        text("status", "État", words=STATUSES),
        prose("reason", "Motif"),
        prose("remedy", "Remède"),
        seconds("duration_s", "Durée"),
        integer("rows", "Lignes", "Nombre de lignes lues, toutes tables de la source confondues."),
    ),
)

TABLES = (SOURCES,)
