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


def inventory(stacks: pd.DataFrame, host_services: pd.DataFrame | None = None) -> Iterator[str]:
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
    if host_services is not None:
        names = [row["service"] for row in records(host_services) if row["service"] != "inconnu"]
        yield f"Hors de Docker, à l’écoute sur la machine : {listing(dict.fromkeys(names)) or 'rien'}."


def ports(host_ports: pd.DataFrame, listeners: pd.DataFrame | None = None) -> Iterator[str]:
    """How many ports, how many open to all."""
    rows = records(host_ports)
    wide = [row for row in rows if row["exposure"] == EVERYWHERE]
    yield f"{plural(len(rows), 'port')} de la machine, dont {len(wide)} sur toutes les interfaces."
    if listeners is None:
        yield "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues."
    unknown = [f"{row['port']}/{row['protocol']}" for row in rows if row["kind"] == "inconnu"]
    if unknown:
        yield f"Sans propriétaire connu : {listing(unknown)}."


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


def databases(
    databases: pd.DataFrame, database_reach: pd.DataFrame, connection_strings: pd.DataFrame | None = None
) -> Iterator[str]:
    """Which databases there are, whether they answer, who can reach them without a password, and what is lost."""
    rows = records(databases)
    named = [
        f"{row['database']} ({' '.join(filter(None, [row['product'] or row['kind'], row['version']]))})" for row in rows
    ]
    alive = sum(row["answers"] is True for row in rows)
    yield (
        f"{plural(len(rows), 'base de données', 'bases de données')}{' : ' if named else ''}{listing(named)}"
        + (f" ; {plural(alive, 'répond', 'répondent')}." if rows else ".")
    )
    wide = {row["database"] for row in records(database_reach) if row["exposure"] == EVERYWHERE}
    facts = {
        "Ne répondent pas": [row["database"] for row in rows if row["answers"] is False],
        "Sans réponse connue": [row["database"] for row in rows if row["answers"] is None],
        "Répondent sans mot de passe, vues de cette machine": [
            row["database"] for row in rows if row["authentication"] == "none"
        ],
        "Ouvertes sur toutes les interfaces de la machine": sorted(wide),
        "Sans contrôle de santé": [
            row["database"] for row in rows if row["container"] and row["running"] and not row["healthcheck"]
        ],
        "Données perdues avec le conteneur": [row["database"] for row in rows if row["persistent"] is False],
    }
    yield from (f"{said} : {listing(names)}." for said, names in facts.items() if names)
    if connection_strings is not None:
        strings = records(connection_strings)
        lost = [
            f"{row['container']} {row['variable']}" for row in strings if row["target"] in ("unresolved", "several")
        ]
        said = ", toutes résolues" if all(row["target"] for row in strings) else ""
        if lost:
            said = f". Vers un nom inconnu, ou commun à plusieurs conteneurs : {listing(lost)}"
        if strings:
            count = plural(len(strings), "chaîne de connexion", "chaînes de connexion")
            yield f"{count} dans l’environnement des conteneurs{said}."


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
    for chapter in (inventory, ports, routing, databases):
        sentences += conclude(snapshot, chapter)[:1]
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
