"""ROUTE: domains that files of the disk declare and that nothing serves."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose_on_disk
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.rules import RuleError, domains, parse
from auditlib.views.declarations import live_services, place, runs


@check(
    "ROUTE-012",
    "info",
    "Chaque domaine déclaré sur le disque a un routeur en service",
    key=("domain",),
    message="Le domaine « {domain} » est déclaré par {where} sans aucun routeur en service : le service « {owner} » du "
    "projet « {project} » ne tourne pas.",
    fix=Fix(
        "Démarrer le service si ce domaine doit répondre ; sinon, rien à faire, ou retirer ses étiquettes.",
        ("{compose} up -d {owner}",),
        ("curl -sS -k -o /dev/null -w '%{{http_code}}\\n' --resolve {resolve} {url}",),
    ),
)
def declared_domains(
    compose_projects: pd.DataFrame,
    compose_services: pd.DataFrame,
    compose_labels: pd.DataFrame,
    containers: pd.DataFrame,
    routes: pd.DataFrame,
) -> Iterator[Record]:
    """Hosts of the routers that the labels of a service declare, when it does not run and no router answers to them.

    A service that is not meant for Traefik, or that starts only when its profile is asked for, declares nothing.
    """
    served = {row["domain"] for row in records(routes) if row["status"] != "disabled"}
    projects = {(row["root"], row["files"]): row for row in records(compose_projects)}
    live = live_services(containers)
    labels: dict[tuple[str, str, str], list[Record]] = {}
    for row in records(compose_labels):
        labels.setdefault((row["root"], row["files"], row["service"]), []).append(row)
    for service in records(compose_services):
        project = projects[service["root"], service["files"]]
        declared = labels.get((service["root"], service["files"], service["service"]), [])
        enabled = {row["value"] for row in declared if row["label"].lower() == "traefik.enable"}
        if not service["active"] or runs(live, project, service["service"]) or (enabled and not enabled & {*TRUE}):
            continue
        for row in declared:
            for domain in _domains(row):
                if domain not in served:
                    yield {
                        "domain": domain,
                        "project": project["project"],
                        "file": row["file"],
                        "line": row["line"],
                        "wording": {
                            "where": place(row),
                            "owner": service["service"],
                            "compose": compose_on_disk(project),
                            "resolve": f"{domain}:443:127.0.0.1",
                            "url": f"https://{domain}/",
                        },
                    }


def _domains(label: Record) -> list[str]:
    """The hosts of the rule of an HTTP router that a label declares; none of a rule that cannot be read."""
    parts = label["label"].lower().split(".")
    if parts[:3] != ["traefik", "http", "routers"] or parts[-1] != "rule" or not label["value"]:
        return []
    for syntax in ("v3", "v2"):
        try:
            return domains(parse(label["value"], syntax))
        except RuleError:
            continue
    return []
