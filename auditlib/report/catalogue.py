"""All that the audit can say: every check, every table and every view, listed from their declarations."""

import dataclasses
from collections.abc import Sequence

from auditlib import checks as _checks  # noqa: F401 - registers every check, and every view that they read
from auditlib import views as _views  # noqa: F401
from auditlib.facts.table import VIEWS, Row, Table, flag, inputs, integer, prose, several, table, text
from auditlib.facts.tables import TABLES
from auditlib.findings.check import CHECKS, CONFIDENCES_FR, SEVERITIES_FR, Check, family
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


@table("declared", "Contrôles déclarés", "Ce que chaque contrôle vérifie, lit et propose.", key=("rank",))
class DeclaredCheck(Row):
    """A check, as it is declared."""

    rank: int = integer("Rang")
    check: str | None = text("Contrôle")
    title: str | None = prose("Ce qui est vérifié")
    severity: str | None = text(
        "Gravité", "Par défaut ; le paramètre « severities » en impose une autre.", words=SEVERITIES_FR
    )
    fix: str | None = prose("Correctif", "Les mots entre accolades viennent du constat.")
    needs: tuple[str, ...] | None = several("Tables nécessaires", "Sans l’une d’elles, le contrôle est non évaluable.")
    uses: tuple[str, ...] | None = several("Tables utiles", "Lues si elles sont là.")
    key: tuple[str, ...] | None = several("Clé", "Ce qui identifie un constat d’une exécution à l’autre.")
    confidence: str | None = text("Confiance", words=CONFIDENCES_FR)
    extra: bool | None = flag("Sur demande", "Seulement avec le paramètre « cis » à « complet ».")


@table("columns", "Colonnes", "Les colonnes d’une table.", key=("rank",))
class DeclaredColumn(Row):
    """A column of a table, as it is declared."""

    rank: int = integer("Rang")
    name: str | None = text("Colonne")
    kind: str | None = text(
        "Sorte",
        words={
            "text": "texte",
            "prose": "phrase",
            "integer": "entier",
            "bytes": "taille en octets",
            "seconds": "durée en secondes",
            "flag": "oui ou non",
            "instant": "instant UTC",
            "list": "liste de textes",
        },
    )
    label: str | None = prose("Titre")
    description: str | None = prose("Description")
    words: tuple[str, ...] | None = several("Codes", "Ce que disent les codes qu’elle contient.")


def list_checks() -> Several:
    """Every declared check, family by family."""
    families: dict[str, list[Check]] = {}
    for check in CHECKS.values():
        families.setdefault(family(check.id), []).append(check)
    order = [*FAMILIES, *(name for name in families if name not in FAMILIES)]
    return Several([_family(name, families[name]) for name in order if name in families])


def _family(name: str, checks: list[Check]) -> Titled:
    title = f"{name} : {FAMILIES.get(name, name)}"
    rows = [_check(rank, check) for rank, check in enumerate(sorted(checks, key=_number))]
    return Titled(title, Sentences([f"{plural(len(rows), 'contrôle')}."]), _grid(DeclaredCheck.table, title, rows))


def _number(check: Check) -> tuple[list[int], str]:
    """CIS-5.2 comes before CIS-5.10."""
    return [int(number) for number in check.id.partition("-")[2].split(".") if number.isdecimal()], check.id


def _check(rank: int, check: Check) -> DeclaredCheck:
    """A check as a row; templates are shown with the spaces of French, their fields as they are written."""
    tables = inputs(check.function)
    return DeclaredCheck(
        rank=rank,
        check=check.id,
        title=check.title,
        severity=check.severity,
        fix=check.fix.text.replace("{{", "{").replace("}}", "}"),
        needs=tuple(name for name, optional in tables.items() if not optional),
        uses=tuple(name for name, optional in tables.items() if optional),
        key=check.key,
        confidence=check.confidence,
        extra=check.extra,
    )


def list_tables() -> Several:
    """Every table of a snapshot by the source that reads it, then every view, each with its columns."""
    sources: dict[str, list[Table]] = {}
    for declared in TABLES.values():
        source = f"Source {quoted(declared.source)}" if declared.source else "Sans source"
        sources.setdefault(source, []).append(declared)
    sources["Vues, calculées à partir d’autres tables"] = [view.table for view in VIEWS.values()]
    return Several([_table(source, declared) for source, tables in sources.items() for declared in tables])


def _table(source: str, declared: Table) -> Titled:
    sentences = [f"{declared.description.rstrip('.')}.", f"{source}."]
    sentences.append(f"Clé : {listing(declared.key)}." if declared.key else "Une seule ligne.")
    if declared.name in VIEWS:
        sentences.append(f"Lit {listing(inputs(VIEWS[declared.name].compute))}.")
    columns = [
        DeclaredColumn(
            rank=rank,
            name=column.name,
            kind=column.kind,
            label=column.label,
            description=column.description or None,
            words=tuple(f"{code} : {word}" for code, word in column.words.items()),
        )
        for rank, column in enumerate(declared.columns)
    ]
    grid = _grid(DeclaredColumn.table, f"Colonnes de {declared.name}", columns)
    return Titled(f"{declared.name} : {declared.title}", Sentences(sentences), grid)


def _grid(declared: Table, title: str, rows: Sequence[Row]) -> Grid:
    """Ranked rows under a title of their own, without their rank."""
    return Grid(declared.rows(rows), dataclasses.replace(declared, title=title), tuple(declared.names[1:]))
