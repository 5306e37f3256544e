"""COLLECT: what the audit could not read."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.tables.host import STATUSES
from auditlib.findings.check import Fix, NotApplicable, check


@check(
    "COLLECT-001",
    "info",
    "Chaque source a été lue en entier",
    key=("source",),
    message="La source « {source} » a été {told} : {why}.",
    fix=Fix("{remedy}.", (), ()),
)
def read(sources: pd.DataFrame) -> Iterator[Record]:
    """Sources that were refused, failed or were read in part; and absent ones, when something can be done about it.

    What the machine simply does not have needs no remedy, and is told by the coverage.
    """
    rows = records(sources)
    if not rows:
        raise NotApplicable("cet instantané ne dit rien de ses sources")
    for row in rows:
        if row["status"] in ("partial", "refused", "failed") or (row["status"] == "absent" and row["remedy"]):
            reason, remedy = row["reason"], row["remedy"]
            yield {
                "source": row["source"],
                "status": row["status"],
                "reason": reason,
                "remedy": remedy,
                "wording": {
                    "told": {"failed": "lue sans succès", "absent": "cherchée en vain"}.get(
                        row["status"], STATUSES[row["status"]]
                    ),
                    "why": _clause(reason) if reason else "aucun motif n’a été donné",
                    "remedy": remedy.rstrip(".") if remedy else "Relancer la collecte avec sudo, puis lire son journal",
                },
            }


def _clause(sentence: str) -> str:
    proper = sentence.startswith(("Traefik", "Docker", "Compose"))
    return (sentence if proper else sentence[:1].lower() + sentence[1:]).rstrip(".")
