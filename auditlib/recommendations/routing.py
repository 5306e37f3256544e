"""Routage: where routes are declared, and which one wins."""

from collections.abc import Iterator

from auditlib.checks.declared_routes import UnservedDomain
from auditlib.checks.http_protection import Clear as ClearAnswer
from auditlib.checks.route_shields import Clear as ClearRouter
from auditlib.checks.route_sources import Scattered
from auditlib.facts.table import Rows
from auditlib.facts.tables.traefik import TraefikMiddleware
from auditlib.findings.audit import Finding
from auditlib.french import listing, quoted
from auditlib.recommendations import ROUTING, Advice, faults, fixes, names, rule, sentences, unique
from auditlib.views.routes import Route


@rule(ROUTING, "Les routes simples par étiquettes", "ROUTE-013")
def by_labels(findings: list[Finding]) -> Iterator[Advice]:
    """Domains whose routes are spread over labels and files without need."""
    if findings:
        domains = names(fault.domain for fault in faults(findings, Scattered))
        yield Advice(
            sentences(findings),
            "Deux endroits à tenir d’accord pour un seul domaine.",
            f"Réunir les routes de {domains} dans les étiquettes, et ne garder aux fichiers "
            "que les services de la machine et les middlewares partagés.",
        )


@rule(ROUTING, "Le fournisseur de fichiers pour ce que Docker ne porte pas", "ROUTE-013", keep=True)
def by_files(
    findings: list[Finding], routes: Rows[Route], traefik_middlewares: Rows[TraefikMiddleware]
) -> Iterator[Advice]:
    """Routes of files to the host, and middlewares of files that routers of containers share."""
    hosts = [route for route in routes if route.router.endswith("@file") and route.kind == "machine"]
    shared = [middleware.middleware for middleware in traefik_middlewares if _is_shared_file(middleware)]
    targets = names(filter(None, (route.target or route.server for route in hosts)))
    routers = names(route.router for route in hosts)
    clauses = [f"{routers} : déclarés en fichier, vers {targets}, hors de Docker."] if hosts else []
    clauses += [f"{names(shared)} : déclarés en fichier, et partagés par des routeurs de conteneurs."] if shared else []
    if clauses:
        yield Advice(
            " ".join(clauses),
            "Aucune étiquette ne peut désigner un service de la machine, et un middleware de fichier survit aux "
            "conteneurs.",
            "Les garder là, et laisser le reste aux étiquettes.",
            (),
        )


def _is_shared_file(middleware: TraefikMiddleware) -> bool:
    """Whether a middleware of a file is one of containers' routers."""
    return middleware.provider == "file" and any(user.endswith("@docker") for user in middleware.used_by or ())


@rule(ROUTING, "Des priorités explicites", "ROUTE-005", "ROUTE-011")
def priorities(findings: list[Finding]) -> Iterator[Advice]:
    """Routers that lose their own requests, or share them at random."""
    if findings:
        yield Advice(sentences(findings), "La longueur d’une règle décide sinon de qui répond.", fixes(findings))


@rule(ROUTING, "Des noms de routeurs et de services propres à chaque projet", "ROUTE-003", "ROUTE-004")
def own_names(findings: list[Finding]) -> Iterator[Advice]:
    """Names that several containers declare."""
    if findings:
        yield Advice(
            sentences(findings), "Traefik les confond : il les écarte, ou mêle leurs serveurs.", fixes(findings)
        )


@rule(ROUTING, "Des étiquettes que la version en service comprend", "ROUTE-010", "ROUTE-021", "ROUTE-019")
def understood(findings: list[Finding]) -> Iterator[Advice]:
    """Rules, labels and options that Traefik ignores, or will."""
    if findings:
        yield Advice(sentences(findings), "Ce que Traefik ignore ne se voit qu’à la panne.", fixes(findings))


@rule(ROUTING, "HTTPS pour tous les domaines publics", "ROUTE-008", "HTTP-004")
def redirected(findings: list[Finding]) -> Iterator[Advice]:
    """Domains that are served in clear."""
    if findings:
        clear = [finding.fault for finding in findings if isinstance(finding.fault, ClearAnswer | ClearRouter)]
        points = unique(fault.entrypoint for fault in clear)
        yield Advice(
            sentences(findings),
            "Mots de passe et cookies y passent en clair.",
            f"Rediriger une fois pour toutes au point d’entrée {listing(map(quoted, points))} "
            "(« http.redirections.entrypoint »), plutôt que routeur par routeur.",
        )


@rule(ROUTING, "Le sort des domaines sans service", "ROUTE-012")
def unserved(findings: list[Finding]) -> Iterator[Advice]:
    """Domains that files declare and nothing serves."""
    if findings:
        declared = faults(findings, UnservedDomain)
        files = names(fault.file for fault in declared if fault.file)
        yield Advice(
            f"{names(fault.domain for fault in declared)} : déclaré par {files}, sans routeur en service.",
            "Un visiteur y trouve une erreur 404, et une relance par mégarde le publierait.",
            "Démarrer le service s’il doit répondre ; sinon, ôter ses étiquettes ou archiver le projet.",
        )
