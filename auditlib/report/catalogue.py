"""All that the audit can say: every check, every table and every view, listed from their declarations."""

import dataclasses
import inspect

from auditlib import notebook  # noqa: F401 - registers every check and every view
from auditlib.facts import table
from auditlib.facts.table import VIEWS, Row, Table
from auditlib.facts.tables import TABLES
from auditlib.findings import findings
from auditlib.findings.findings import CHECKS, CONFIDENCES_FR, SEVERITIES_FR, Check
from auditlib.french import listing, plural, quoted
from auditlib.report.blocks import Grid, Sentences, Several, Titled

FAMILIES = {
    "PORT": "Ports de la machine",
    "NET": "Réseaux Docker",
    "ROUTE": "Routage par Traefik",
    "TLS": "Certificats",
    "ACME": "Émission des certificats",
    "LOG": "Journaux de Traefik",
    "DB": "Bases de données",
    "COMPOSE": "Fichiers compose et noms",
    "CONT": "État des conteneurs",
    "CIS": "CIS Docker Benchmark 1.6",
    "HTTP": "Réponses du proxy",
    "HOST": "La machine",
    "EXPECT": "Attendus",
    "WAIVER": "Dérogations",
    "COLLECT": "La collecte",
}

DECLARED = Table(
    "declared",
    "Contrôles déclarés",
    "Ce que chaque contrôle vérifie, lit et propose.",
    ("rank",),
    (
        table.integer("rank", "Rang"),
        table.text("check", "Contrôle"),
        table.prose("title", "Ce qui est vérifié"),
        table.text("severity", "Gravité", "Par défaut ; le paramètre « severities » en impose une autre.",
                    words=SEVERITIES_FR),
        table.prose("fix", "Correctif", "Les mots entre accolades viennent du constat."),
        table.several("needs", "Tables nécessaires", "Sans l’une d’elles, le contrôle est non évaluable."),
        table.several("uses", "Tables utiles", "Lues si elles sont là."),
        table.several("key", "Clé", "Ce qui identifie un constat d’une exécution à l’autre."),
        table.text("confidence", "Confiance", words=CONFIDENCES_FR),
        table.flag("extra", "Sur demande", "Seulement avec le paramètre « cis » à « complet »."),
    ),
)  # fmt: skip

COLUMNS = Table(
    "columns",
    "Colonnes",
    "Les colonnes d’une table.",
    ("rank",),
    (
        table.integer("rank", "Rang"),
        table.text("name", "Colonne"),
        table.text("kind", "Sorte", words={
            "text": "texte", "prose": "phrase", "integer": "entier", "bytes": "taille en octets",
            "seconds": "durée en secondes", "flag": "oui ou non", "instant": "instant UTC", "list": "liste de textes",
        }),
        table.prose("label", "Titre"),
        table.prose("description", "Description"),
        table.several("words", "Codes", "Ce que disent les codes qu’elle contient."),
    ),
)  # fmt: skip


def list_checks() -> Several:
    """Every declared check, family by family."""
    families: dict[str, list[Check]] = {}
    for one in CHECKS.values():
        families.setdefault(findings.family(one.id), []).append(one)
    order = [*FAMILIES, *(name for name in families if name not in FAMILIES)]
    return Several([_family(name, families[name]) for name in order if name in families])


def _family(name: str, checks: list[Check]) -> Titled:
    rows = [_check(one) for one in sorted(checks, key=lambda one: _natural(one.id))]
    title = f"{name} : {FAMILIES.get(name, name)}"
    return Titled(title, Sentences([f"{plural(len(rows), 'contrôle')}."]), _grid(DECLARED, title, rows))


def _natural(id_: str) -> tuple[list[int], str]:
    """CIS-5.2 comes before CIS-5.10."""
    return [int(number) for number in id_.partition("-")[2].split(".") if number.isdecimal()], id_


def _check(one: Check) -> Row:
    """A check as a row; templates are shown with the spaces of French, their fields as they are written."""
    reads = inspect.signature(one.function).parameters.values()
    return {
        "check": one.id,
        "title": one.title,
        "severity": one.severity,
        "confidence": one.confidence,
        "needs": [each.name for each in reads if each.default is each.empty],
        "uses": [each.name for each in reads if each.default is not each.empty],
        "key": one.key,
        "fix": one.fix.text.replace("{{", "{").replace("}}", "}"),
        "extra": one.extra,
    }


def list_tables() -> Several:
    """Every table of a snapshot by the source that reads it, then every view, each with its columns."""
    sources: dict[str, list[Table]] = {}
    for one in TABLES.values():
        sources.setdefault(f"Source {quoted(one.source)}" if one.source else "Sans source", []).append(one)
    sources["Vues, calculées à partir d’autres tables"] = [view.table for view in VIEWS.values()]
    return Several([_table(source, one) for source, tables in sources.items() for one in tables])


def _table(source: str, table: Table) -> Titled:
    said = [f"{table.description.rstrip('.')}.", f"{source}."]
    said += [f"Clé : {listing(table.key)}."] if table.key else ["Une seule ligne."]
    if table.name in VIEWS:
        said.append(f"Lit {listing(inspect.signature(VIEWS[table.name].compute).parameters)}.")
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "label": column.label,
            "description": column.description or None,
            "words": [f"{code} : {word}" for code, word in column.words.items()],
        }
        for column in table.columns
    ]
    return Titled(
        f"{table.name} : {table.title}", Sentences(said), _grid(COLUMNS, f"Colonnes de {table.name}", columns)
    )


def _grid(table: Table, title: str, rows: list[Row]) -> Grid:
    """Rows in the order that they are given, under their own title."""
    titled = dataclasses.replace(table, title=title)
    frame = titled.frame({"rank": rank, **row} for rank, row in enumerate(rows))
    return Grid(frame, titled, tuple(table.names[1:]))
