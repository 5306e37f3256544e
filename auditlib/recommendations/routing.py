"""Routage: where routes are declared, and which one wins."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import records
from auditlib.findings.audit import Finding
from auditlib.french import listing, quoted
from auditlib.recommendations import ROUTING, Advice, facts, mended, names, rule, told


@rule(ROUTING, "Les routes simples par étiquettes", "ROUTE-013")
def by_labels(found: list[Finding]) -> Iterator[Advice]:
    """Domains whose routes are spread over labels and files without need."""
    if found:
        yield Advice(
            told(found),
            "Deux endroits à tenir d’accord pour un seul domaine.",
            f"Réunir les routes de {names(facts(found, 'domain'))} dans les étiquettes, et ne garder aux fichiers que "
            "les services de la machine et les middlewares partagés.",
        )


@rule(ROUTING, "Le fournisseur de fichiers pour ce que Docker ne porte pas", "ROUTE-013", keep=True)
def by_files(found: list[Finding], routes: pd.DataFrame, traefik_middlewares: pd.DataFrame) -> Iterator[Advice]:
    """Routes of files to the host, and middlewares of files that routers of containers share."""
    hosts = [row for row in records(routes) if row["router"].endswith("@file") and row["kind"] == "machine"]
    shared = [
        row["middleware"]
        for row in records(traefik_middlewares)
        if row["provider"] == "file" and any(router.endswith("@docker") for router in row["used_by"] or ())
    ]
    routers, targets = names(row["router"] for row in hosts), names(row["target"] or row["server"] for row in hosts)
    said = [f"{routers} : déclarés en fichier, vers {targets}, hors de Docker."] if hosts else []
    said += [f"{names(shared)} : déclarés en fichier, et partagés par des routeurs de conteneurs."] if shared else []
    if said:
        yield Advice(
            " ".join(said),
            "Aucune étiquette ne peut désigner un service de la machine, et un middleware de fichier survit aux "
            "conteneurs.",
            "Les garder là, et laisser le reste aux étiquettes.",
            (),
        )


@rule(ROUTING, "Des priorités explicites", "ROUTE-005", "ROUTE-011")
def priorities(found: list[Finding]) -> Iterator[Advice]:
    """Routers that lose their own requests, or share them at random."""
    if found:
        yield Advice(told(found), "La longueur d’une règle décide sinon de qui répond.", mended(found))


@rule(ROUTING, "Des noms de routeurs et de services propres à chaque projet", "ROUTE-003", "ROUTE-004")
def own_names(found: list[Finding]) -> Iterator[Advice]:
    """Names that several containers declare."""
    if found:
        yield Advice(told(found), "Traefik les confond : il les écarte, ou mêle leurs serveurs.", mended(found))


@rule(ROUTING, "Des étiquettes que la version en service comprend", "ROUTE-010", "ROUTE-021", "ROUTE-019")
def understood(found: list[Finding]) -> Iterator[Advice]:
    """Rules, labels and options that Traefik ignores, or will."""
    if found:
        yield Advice(told(found), "Ce que Traefik ignore ne se voit qu’à la panne.", mended(found))


@rule(ROUTING, "HTTPS pour tous les domaines publics", "ROUTE-008", "HTTP-004")
def redirected(found: list[Finding]) -> Iterator[Advice]:
    """Domains that are served in clear."""
    if found:
        points = facts(found, "entrypoint")
        yield Advice(
            told(found),
            "Mots de passe et cookies y passent en clair.",
            f"Rediriger une fois pour toutes au point d’entrée {listing(map(quoted, points))} "
            "(« http.redirections.entrypoint »), plutôt que routeur par routeur.",
        )


@rule(ROUTING, "Le sort des domaines sans service", "ROUTE-012")
def unserved(found: list[Finding]) -> Iterator[Advice]:
    """Domains that files declare and nothing serves."""
    if found:
        yield Advice(
            f"{names(facts(found, 'domain'))} : déclaré par {names(facts(found, 'file'))}, sans routeur en service.",
            "Un visiteur y trouve une erreur 404, et une relance par mégarde le publierait.",
            "Démarrer le service s’il doit répondre ; sinon, ôter ses étiquettes ou archiver le projet.",
        )
