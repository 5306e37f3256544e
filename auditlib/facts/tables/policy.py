"""What a person decided of the audit: what is expected, what is waived. Given with the parameters, never collected."""

from auditlib.facts.table import Table, flag, instant, integer, prose, text

EXPECTED_KINDS = {
    "port": "port",
    "container": "conteneur",
    "domain": "domaine",
    "certificate": "certificat",
    "database": "base de données",
}

EXPECTED = Table(
    "expected",
    "Attendus",
    "Ce qui doit être vrai de la machine, gelé par « auditlib expect » puis relu par une personne.",
    ("kind", "name"),
    (
        text("kind", "Nature", words=EXPECTED_KINDS),
        text("name", "Nom"),
        text("value", "Valeur", "Ce qui est attendu de lui : propriétaire d’un port, réponse d’un domaine…"),
    ),
)

WAIVERS = Table(
    "waivers",
    "Dérogations",
    "Les constats acceptés, par qui, pourquoi et jusqu’à quand.",
    ("check", "subject"),
    (
        text("check", "Contrôle"),
        text("subject", "Sujet", "Un nom, un motif à jokers, ou « re: » et une expression régulière."),
        prose("reason", "Motif"),
        text("author", "Auteur"),
        instant("expires", "Expire"),
        flag("expired", "Expirée"),
        integer("days_left", "Jours restants", "À la date de l’instantané ; inconnu sans date d’expiration."),
        integer("matches", "Constats", "Nombre de constats qu’elle désigne."),
    ),
)

TABLES = (EXPECTED, WAIVERS)
