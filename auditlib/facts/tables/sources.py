"""What the collection read, and what it could not read."""

from auditlib.facts.table import Row, integer, prose, seconds, table, text

STATUSES = {"ok": "lue", "partial": "lue en partie", "refused": "refusée", "absent": "absente", "failed": "en échec"}


@table("sources", "Sources", "Ce que la collecte a lu, ou pas, et pourquoi. Toujours présente.", key=("source",))
class SourceStatus(Row):
    source: str = text("Source")
    status: str | None = text("État", words=STATUSES)
    reason: str | None = prose("Motif")
    remedy: str | None = prose("Remède")
    duration_s: float | None = seconds("Durée")
    rows: int | None = integer("Lignes", "Nombre de lignes lues, toutes tables de la source confondues.")
