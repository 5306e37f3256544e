"""What a person decided of the audit: what is expected, what is waived. Given with the parameters, never collected."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, prose, table, text

EXPECTED_KINDS = {
    "port": "port",
    "container": "conteneur",
    "domain": "domaine",
    "certificate": "certificat",
    "database": "base de données",
}


@table(
    "expected",
    "Attendus",
    "Ce qui doit être vrai de la machine, gelé par « auditlib expect » puis relu par une personne.",
    key=("kind", "name"),
)
class Expectation(Row):
    kind: str = text("Nature", words=EXPECTED_KINDS)
    name: str = text("Nom")
    value: str | None = text("Valeur", "Ce qui est attendu de lui : propriétaire d’un port, réponse d’un domaine…")


@table("waivers", "Dérogations", "Les constats acceptés, par qui, pourquoi et jusqu’à quand.", key=("check", "subject"))
class WaiverState(Row):
    check: str = text("Contrôle")
    subject: str = text("Sujet", "Un nom, un motif à jokers, ou « re: » et une expression régulière.")
    reason: str | None = prose("Motif")
    author: str | None = text("Auteur")
    expires: dt.datetime | None = instant("Expire")
    expired: bool | None = flag("Expirée")
    days_left: int | None = integer("Jours restants", "À la date de l’instantané ; inconnu sans date d’expiration.")
    matches: int | None = integer("Constats", "Nombre de constats qu’elle désigne.")
