"""What each chapter of the audit concludes, in French sentences computed from the facts."""

from collections.abc import Callable, Iterator

import pandas as pd

from auditlib import topology
from auditlib.findings import SEVERITIES_FR, WEIGHTS, Audit
from auditlib.french import listing, number, plural, quoted
from auditlib.inventory import ACTIVE, PARTLY, PASSIVE
from auditlib.ports import EVERYWHERE
from auditlib.schema import Row, records
from auditlib.snapshot import AbsentTable, Snapshot

Chapter = Callable[..., Iterator[str]]


def conclude(snapshot: Snapshot, chapter: Chapter) -> list[str]:
    """The sentences of a chapter; when its facts are missing, the one that says why."""
    try:
        return list(snapshot.call(chapter))
    except AbsentTable as absent:
        return [f"Non évaluable : {absent.reason}."]


def collection(sources: pd.DataFrame) -> Iterator[str]:
    """What could be read, and what would mend the rest."""
    rows = records(sources)
    read = [row for row in rows if row["status"] == "ok"]
    yield f"{plural(len(read), 'source lue', 'sources lues')} entièrement sur {len(rows)}."
    for row in rows:
        if row["status"] != "ok":
            yield " ".join(filter(None, [row["reason"], row["remedy"]]))


def inventory(
    stacks: pd.DataFrame, host_services: pd.DataFrame | None = None, projects: pd.DataFrame | None = None
) -> Iterator[str]:
    """What is active and what is not."""
    rows = records(stacks)
    by_state = {state: [row for row in rows if row["state"] == state] for state in (ACTIVE, PARTLY, PASSIVE)}
    running = sum(row["running"] for row in rows)
    yield (
        f"{plural(running, 'conteneur')} en marche sur {sum(row['total'] for row in rows)}, dans "
        f"{plural(len(rows), 'ensemble')}."
    )
    if by_state[PARTLY]:
        stopped = [f"{row['stack']} ({listing(row['stopped'])})" for row in by_state[PARTLY]]
        yield f"En partie arrêtés : {listing(stopped)}."
    if by_state[PASSIVE]:
        yield f"Arrêtés : {listing(row['stack'] for row in by_state[PASSIVE])}."
    if projects is not None:
        found = records(projects)
        passive = [row["files"] for row in found if row["state"] == PASSIVE]
        yield f"{plural(len(found), 'projet')} sur le disque, dont {plural(len(passive), 'passif')}{_said(passive)}."
        refused = [row["files"] for row in found if row["refused"]]
        if refused:
            yield f"Refusés par Compose : {listing(refused)}."
    if host_services is not None:
        names = [row["service"] for row in records(host_services) if row["service"] != "inconnu"]
        yield f"Hors de Docker, à l’écoute sur la machine : {listing(dict.fromkeys(names)) or 'rien'}."


def _said(names: list[str]) -> str:
    return f" : {listing(names)}" if names else ""


def ports(
    host_ports: pd.DataFrame,
    listeners: pd.DataFrame | None = None,
    publications: pd.DataFrame | None = None,
    idle_ports: pd.DataFrame | None = None,
) -> Iterator[str]:
    """How many ports, how many open to all."""
    rows = records(host_ports)
    wide = [row for row in rows if row["exposure"] == EVERYWHERE]
    yield f"{plural(len(rows), 'port')} de la machine, dont {len(wide)} sur toutes les interfaces."
    if listeners is None:
        yield "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues."
    if publications is None:
        yield "Seules les écoutes de la machine sont connues : les ports publiés par Docker n’ont pas été lus."
    unknown = [f"{row['port']}/{row['protocol']}" for row in rows if row["kind"] == "inconnu"]
    if unknown:
        yield f"Sans propriétaire connu : {listing(unknown)}."
    if idle_ports is not None and len(idle_ports):
        claims = [f"{row['host_port']}/{row['protocol']} ({row['claimant']})" for row in records(idle_ports)]
        yield f"Réclamés sans être tenus : {listing(claims)}."


def routing(routes: pd.DataFrame) -> Iterator[str]:
    """Which domains are served, and by what."""
    rows = [row for row in records(routes) if not row["router"].endswith("@internal")]
    domains = sorted({row["domain"] for row in rows if row["domain"]})
    yield f"{plural(len(domains), 'domaine')} : {listing(domains) or 'aucun'}."
    disabled = sorted({row["router"] for row in rows if row["status"] == "disabled"})
    if disabled:
        yield f"Routeurs désactivés : {listing(disabled)}."
    clear = sorted({row["domain"] for row in rows if row["domain"] and not row["tls"] and row["protocol"] == "http"})
    if clear:
        yield f"Servis aussi, ou seulement, sans TLS : {listing(clear)}."
    machine = sorted(
        {f"{row['domain']}{row['path'] or ''}" for row in rows if row["kind"] == "machine" and row["domain"]}
    )
    if machine:
        yield f"Servis par un processus de la machine : {listing(machine)}."


def graph(
    routes: pd.DataFrame,
    container_networks: pd.DataFrame | None = None,
    proxy: pd.DataFrame | None = None,
    routed: pd.DataFrame | None = None,
) -> Iterator[str]:
    """Whether every domain reaches its network."""
    tree = topology.graph(routes, container_networks, proxy, routed)
    broken = topology.broken(tree)
    yield f"Chemin rompu pour : {listing(broken)}." if broken else "Aucun chemin rompu entre un domaine et son réseau."
    watched = sorted(
        f"{tree.nodes[one]['label']} sur {quoted(tree.nodes[other]['label'])}"
        for one, other in tree.edges
        if tree.edges[one, other]["state"] == "warning" and tree.nodes[other]["kind"] == "network"
    )
    if watched:
        yield f"Hors du réseau désigné à Traefik : {listing(watched)}."


def findings(audit: Audit) -> list[str]:
    """How many findings of each severity, and how far the verdict can be trusted."""
    counts = {severity: sum(finding.severity == severity for finding in audit.findings) for severity in WEIGHTS}
    said = [f"{count} de gravité {SEVERITIES_FR[severity]}" for severity, count in counts.items() if count]
    judged = [result for result in audit.results if result.verdict in ("pass", "fail")]
    passing = sum(result.verdict == "pass" for result in judged)
    sentences = [
        f"{plural(len(audit.findings), 'constat')}{' : ' if said else ''}{listing(said)}.",
        f"{plural(passing, 'contrôle conforme', 'contrôles conformes')} sur {plural(len(judged), 'évalué')}.",
    ]
    unknown = [result for result in audit.results if result.verdict == "unknown"]
    if unknown:
        sentences.append(f"Non évaluables : {listing(result.check for result in unknown)}.")
    return sentences


def verdict(audit: Audit) -> str:
    """The score with its coverage and the worst finding, which it never goes without."""
    if audit.score is None:
        return "Aucun contrôle n’a pu être évalué : l’audit ne donne pas de note."
    worst = f"le plus grave est de gravité {SEVERITIES_FR[audit.worst]}" if audit.worst else "aucun constat"
    return f"Note {number(audit.score)} sur 100, pour {number(100 * audit.coverage)} % des contrôles évalués ; {worst}."


def executive(snapshot: Snapshot, audit: Audit) -> list[str]:
    """The summary: what runs, what is served, what is wrong, what was not seen."""
    sentences = [verdict(audit)]
    # One reason often keeps several chapters silent; it is said once.
    sentences += dict.fromkeys(conclude(snapshot, chapter)[0] for chapter in (inventory, ports, routing))
    grave = audit.at_least("high")
    sentences += [f"{finding.message}" for finding in grave[:5]]
    if len(grave) > 5:
        sentences.append(f"Et {plural(len(grave) - 5, 'autre constat grave', 'autres constats graves')}.")
    unread = [row for row in records(snapshot.sources) if row["status"] != "ok"]
    if unread:
        sentences.append(f"Non lu, ou en partie : {listing(_source(row) for row in unread)}.")
    return sentences


def _source(row: Row) -> str:
    return f"{row['source']} ({(row['reason'] or '').rstrip('.')})"
