"""ROUTE: domains that files of the disk declare and that nothing serves."""

from collections.abc import Iterator

from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeLabel, ComposeProject, ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import Command, Fault, Fix, check, fact, word
from auditlib.findings.commands import compose_on_disk
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.rules import RuleError, domains, parse
from auditlib.views.declarations import live_services, place, runs
from auditlib.views.routes import Route


class UnservedDomain(Fault):
    """A domain that the labels of a service at rest declare."""

    domain: str
    project: str | None = fact("Projet")
    file: str | None = fact(about="file")
    line: int | None
    place: str = word()
    owner: str = word()
    compose: Command | None = word()
    resolve: str = word()
    url: str = word()


@check(
    "ROUTE-012",
    "info",
    "Chaque domaine déclaré sur le disque a un routeur en service",
    key=("domain",),
    message="Le domaine « {domain} » est déclaré par {place} sans aucun routeur en service : le service « {owner} » du "
    "projet « {project} » ne tourne pas.",
    fix=Fix(
        "Démarrer le service si ce domaine doit répondre ; sinon, rien à faire, ou retirer ses étiquettes.",
        ("{compose} up -d {owner}",),
        ("curl -sS -k -o /dev/null -w '%{{http_code}}\\n' --resolve {resolve} {url}",),
    ),
)
def declared_domains(
    compose_projects: Rows[ComposeProject],
    compose_services: Rows[ComposeService],
    compose_labels: Rows[ComposeLabel],
    containers: Rows[Container],
    routes: Rows[Route],
) -> Iterator[UnservedDomain]:
    """Hosts of the routers that the labels of a service declare, when it does not run and no router answers to them.

    A service that is not meant for Traefik, or that starts only when its profile is asked for, declares nothing.
    """
    served = {route.domain for route in routes if route.status != "disabled"}
    projects = {(project.root, project.files): project for project in compose_projects}
    live = live_services(containers)
    labels: dict[tuple[str, str, str], list[ComposeLabel]] = {}
    for label in compose_labels:
        labels.setdefault((label.root, label.files, label.service), []).append(label)
    for service in compose_services:
        project = projects[service.root, service.files]
        declared = labels.get((service.root, service.files, service.service), [])
        if not service.active or runs(live, project, service.service) or _is_disabled(declared):
            continue
        for label in declared:
            for domain in _domains(label):
                if domain not in served:
                    yield UnservedDomain(
                        domain=domain,
                        project=project.project,
                        file=label.file,
                        line=label.line,
                        place=place(label),
                        owner=service.service,
                        compose=compose_on_disk(project),
                        resolve=f"{domain}:443:127.0.0.1",
                        url=f"https://{domain}/",
                    )


def _is_disabled(labels: list[ComposeLabel]) -> bool:
    """Whether labels keep a service from Traefik."""
    enabled = {label.value for label in labels if label.label.lower() == "traefik.enable"}
    return bool(enabled) and not enabled & {*TRUE}


def _domains(label: ComposeLabel) -> list[str]:
    """The hosts of the rule of an HTTP router that a label declares; none of a rule that cannot be read."""
    parts = label.label.lower().split(".")
    if parts[:3] != ["traefik", "http", "routers"] or parts[-1] != "rule" or not label.value:
        return []
    for syntax in ("v3", "v2"):
        try:
            return domains(parse(label.value, syntax))
        except RuleError:
            continue
    return []
