"""WAIVER: the waivers themselves, which must not outlive their reason."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.french import day

_WHERE = "Dans le paramètre « waivers », ou le fichier qu’il nomme : "


@check(
    "WAIVER-001",
    "medium",
    "Aucune dérogation n’a expiré",
    key=("source",),
    message="La dérogation de {author} pour {check} sur « {subject} » a expiré le {day} : {effect}.",
    fix=Fix(_WHERE + "retirer la dérogation si le constat est corrigé, sinon la renouveler avec une nouvelle date."),
)
def waivers_in_force(waivers: pd.DataFrame) -> Iterator[Record]:
    """Waivers whose last day is past at the time of the snapshot."""
    for row in _given(waivers):
        if row["expired"]:
            yield {
                **_named(row),
                "expires": row["expires"].date().isoformat(),
                "wording": {
                    "author": row["author"],
                    "day": day(row["expires"]),
                    "effect": "ses constats sont revenus" if row["matches"] else "elle ne désigne plus rien",
                },
            }


@check(
    "WAIVER-002",
    "info",
    "Chaque dérogation désigne un constat",
    key=("source",),
    message="La dérogation pour {check} sur « {subject} » ne désigne aucun constat.",
    fix=Fix(_WHERE + "la retirer si le constat est corrigé, ou corriger le contrôle ou le sujet qu’elle nomme."),
)
def waivers_of_use(waivers: pd.DataFrame) -> Iterator[Record]:
    """Waivers in force that match no finding."""
    for row in _given(waivers):
        if not row["matches"] and not row["expired"]:
            yield _named(row)


def _given(waivers: pd.DataFrame) -> list[Record]:
    rows = records(waivers)
    if not rows:
        raise NotApplicable("aucune dérogation n’est donnée")
    return rows


def _named(row: Record) -> Record:
    return {"source": f"waivers {row['check']} {row['subject']}", "check": row["check"], "subject": row["subject"]}
