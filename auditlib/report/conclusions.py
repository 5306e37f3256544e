"""What each chapter of the audit concludes, in French sentences computed from the facts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pandas as pd

from auditlib.derived import Facts
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.tables.logs import CAUSES, KINDS
from auditlib.findings.audit import Audit
from auditlib.findings.check import SEVERITIES_FR, WEIGHTS
from auditlib.french import day, listing, number, plural, quoted
from auditlib.views import graph as topology
from auditlib.views import logs as journal
from auditlib.views.inventory import ACTIVE, PARTLY, PASSIVE
from auditlib.views.ports import EVERYWHERE, silent_ports

Chapter = Callable[..., Iterator[str]]


def conclude(snapshot: Snapshot, chapter: Chapter) -> list[str]:
    """The sentences of a chapter; when its facts are missing, the one that says why."""
    try:
        return list(snapshot.call(chapter))
    except AbsentTable as absent:
        return [f"Non évaluable : {absent.reason}."]


def _count(count: int, singular: str, several: str | None = None, none: str = "aucun") -> str:
    """« aucun port », « 1 port », « 2 ports »."""
    return f"{none} {singular}" if count == 0 else plural(count, singular, several)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _among(total: int, part: int, which: str, none: str = "aucun") -> str:
    """« , dont 2 … » of several, « , qui est … » of one, nothing of none."""
    if total < 2:
        return f", qui {'est' if part else 'n’est pas'} {which}" if total else ""
    return f", dont {part or none} {which}"


def _told(names: Iterable[str], one: str, several: str) -> Iterator[str]:
    """A sentence that names things under the words for one or for several; nothing when there are none."""
    found = list(names)
    if found:
        yield f"{one if len(found) == 1 else several} : {listing(found)}."


def collection(sources: pd.DataFrame) -> Iterator[str]:
    """What could be read, and what would mend the rest."""
    rows = records(sources)
    read = [row for row in rows if row["status"] == "ok"]
    yield _capital(f"{_count(len(read), 'source lue', 'sources lues', 'aucune')} entièrement sur {len(rows)}.")
    for row in rows:
        if row["status"] != "ok":
            yield " ".join(filter(None, [row["reason"], row["remedy"]]))


def inventory(
    stacks: pd.DataFrame,
    host_services: pd.DataFrame | None = None,
    units: pd.DataFrame | None = None,
    projects: pd.DataFrame | None = None,
) -> Iterator[str]:
    """What is active and what is not."""
    rows = records(stacks)
    by_state = {state: [row for row in rows if row["state"] == state] for state in (ACTIVE, PARTLY, PASSIVE)}
    running, total = sum(row["running"] for row in rows), sum(row["total"] for row in rows)
    held = f" en marche sur {total}, dans {plural(len(rows), 'ensemble')}" if total else ""
    yield _capital(f"{_count(running, 'conteneur')}{held}.")
    stopped = (f"{row['stack']} ({listing(row['stopped'])})" for row in by_state[PARTLY])
    yield from _told(stopped, "En partie arrêté", "En partie arrêtés")
    yield from _told((row["stack"] for row in by_state[PASSIVE]), "Arrêté", "Arrêtés")
    if projects is not None:
        found = records(projects)
        passive = [row["files"] for row in found if row["state"] == PASSIVE]
        which = _among(len(found), len(passive), "passif" if len(passive) < 2 else "passifs")
        yield _capital(f"{_count(len(found), 'projet')} sur le disque{which}{_said(passive)}.")
        refused = (row["files"] for row in found if row["refused"])
        yield from _told(refused, "Refusé par Compose", "Refusés par Compose")
    if host_services is not None:
        names = [row["service"] for row in records(host_services) if row["service"] != "inconnu"]
        yield f"Hors de Docker, à l’écoute sur la machine : {listing(dict.fromkeys(names)) or 'rien'}."
    failed = (row["unit"] for row in (records(units) if units is not None else []) if row["active"] == "failed")
    yield from _told(failed, "Unité systemd en échec", "Unités systemd en échec")


def _said(names: list[str]) -> str:
    return f" : {listing(names)}" if names else ""


def ports(
    host_ports: pd.DataFrame,
    listeners: pd.DataFrame | None = None,
    publications: pd.DataFrame | None = None,
    container_ports: pd.DataFrame | None = None,
    idle_ports: pd.DataFrame | None = None,
) -> Iterator[str]:
    """How many ports, how many open to all."""
    rows = records(host_ports)
    wide = [row for row in rows if row["exposure"] == EVERYWHERE]
    yield _capital(
        f"{_count(len(rows), 'port')} de la machine{_among(len(rows), len(wide), 'sur toutes les interfaces')}."
    )
    if listeners is None:
        yield "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues."
    if publications is None:
        yield "Seules les écoutes de la machine sont connues : les ports publiés par Docker n’ont pas été lus."
    unknown = [f"{row['port']}/{row['protocol']}" for row in rows if row["kind"] == "inconnu"]
    if unknown:
        yield f"Sans propriétaire connu : {listing(unknown)}."
    silent = [] if container_ports is None else silent_ports(records(container_ports))
    nobody = "mais rien n’y écoute dans le conteneur"
    yield from _told(silent, f"Publié, {nobody}", f"Publiés, {nobody}")
    idle = [] if idle_ports is None else records(idle_ports)
    claims = (f"{row['host_port']}/{row['protocol']} ({row['claimant']})" for row in idle)
    yield from _told(claims, "Réclamé sans être tenu", "Réclamés sans être tenus")


def routing(routes: pd.DataFrame) -> Iterator[str]:
    """Which domains are served, and by what."""
    rows = [row for row in records(routes) if not row["router"].endswith("@internal")]
    domains = sorted({row["domain"] for row in rows if row["domain"]})
    yield f"{plural(len(domains), 'domaine')} : {listing(domains)}." if domains else "Aucun domaine."
    disabled = sorted({row["router"] for row in rows if row["status"] == "disabled"})
    yield from _told(disabled, "Routeur désactivé", "Routeurs désactivés")
    clear = sorted({row["domain"] for row in rows if row["domain"] and not row["tls"] and row["protocol"] == "http"})
    yield from _told(clear, "Servi aussi, ou seulement, sans TLS", "Servis aussi, ou seulement, sans TLS")
    machine = sorted(
        {f"{row['domain']}{row['path'] or ''}" for row in rows if row["kind"] == "machine" and row["domain"]}
    )
    yield from _told(machine, "Servi par un processus de la machine", "Servis par un processus de la machine")


def journals(
    log_events: pd.DataFrame, traefik: pd.DataFrame | None = None, access_stats: pd.DataFrame | None = None
) -> Iterator[str]:
    """What Traefik's own log complains of, whether certificates are renewed, and how requests end."""
    events = records(log_events)
    errors = journal.errors(events)
    if errors:
        total = sum(row["count"] for row in errors)
        yield f"{plural(total, 'erreur')} dans le journal de Traefik : {_sorts(errors)}."
    else:
        yield "Aucune erreur dans le journal de Traefik."
    warnings = [row for row in events if row["level"] == "warning" and row["kind"] not in journal.TOLD]
    if warnings:
        several = sum(row["count"] for row in warnings) > 1
        yield f"{'Avertissements' if several else 'Avertissement'} : {_sorts(warnings)}."
    acme = [row for row in errors if row["kind"] in journal.ACME]
    if acme:
        said = (f"{row['subject']} ({CAUSES.get(row['cause']) or KINDS[row['kind']]})" for row in acme)
        yield from _told(dict.fromkeys(said), "ACME, échec", "ACME, échecs")
    elif any(row["kind"] == "acme_check" for row in events):
        yield "ACME : les échéances des certificats sont vérifiées, sans erreur."
    version = records(traefik)[0]["version"] if traefik is not None and len(traefik) else None
    if newer := journal.newer_version(events, version):
        yield f"Version plus récente de Traefik annoncée : {newer}."
    if access_stats is not None:
        stats = records(access_stats)
        asked = sum(row["requests"] for row in stats)
        share = 100 * (journal.share_of_5xx(stats) or 0)
        failed = f", dont {number(share, 1)} % de 5xx" if asked else ""
        counted = _count(asked, "requête routée", "requêtes routées", "aucune")
        yield _capital(f"{counted} au journal d’accès{failed}.")


def _sorts(events: list[Record]) -> str:
    """Kinds of events with what they are about, the first few of each."""
    about: dict[str, dict[str, None]] = {}
    for row in events:
        about.setdefault(row["kind"], {}).update({row["subject"]: None} if row["subject"] else {})
    return listing(
        f"{KINDS[kind]} ({listing([*names][:5])}{'…' if len(names) > 5 else ''})" if names else KINDS[kind]
        for kind, names in about.items()
    )


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


def certificates(
    certificates: pd.DataFrame, acme_storage: pd.DataFrame | None = None, tls_probes: pd.DataFrame | None = None
) -> Iterator[str]:
    """Where certificates are kept, which one ends first, and which domains are not served the right one."""
    for row in records(acme_storage) if acme_storage is not None else []:
        yield _storage(row)
    known = [row for row in records(certificates) if row["not_after"] is not None and row["origin"] != "traefik_api"]
    if known:
        first = min(known, key=lambda row: row["not_after"])
        yield f"Premier certificat à expirer : {first['domain'] or first['common_name']}, le {day(first['not_after'])}."
    if tls_probes is None:
        return
    rows = records(tls_probes)
    named = {
        "Sans connexion TLS": [row for row in rows if not row["answered"]],
        "Certificat par défaut de Traefik pour": [row for row in rows if row["default"]],
        "Certificat d’un autre nom pour": [row for row in rows if row["covers"] is False and not row["default"]],
        "Certificat que cette machine ne reconnaît pas pour": [
            row for row in rows if row["trusted"] is False and row["covers"] and not row["default"]
        ],
    }
    fit, every = {row["domain"] for row in rows if row["covers"]}, {row["domain"] for row in rows}
    if every:
        served = _count(len(fit), "domaine servi", "domaines servis")
        yield _capital(f"{served} avec un certificat à {'leur' if len(fit) > 1 else 'son'} nom, sur {len(every)}.")
    else:
        yield "Aucun domaine à servir en TLS."
    for words, concerned in named.items():
        if concerned:
            yield f"{words} : {listing(sorted({row['domain'] for row in concerned}))}."


def _storage(row: Record) -> str:
    where = f"Stockage ACME du résolveur {quoted(row['resolver'])} : {row['path']}"
    if not row["persistent"]:
        where += ", qui n’est pas sur un montage persistant"
    if row["exists"] is None:
        return f"{where}, qui n’a pas pu être lu."
    if not row["exists"]:
        return f"{where}, absent."
    held = _count(row["certificates"], "certificat") if row["certificates"] is not None else "illisible"
    cause = f" ({row['cause']})" if row["cause"] else ""
    return f"{where}, droits {row['mode']}, propriétaire {row['owner']}, {held}{cause}."


def probes(http_probes: pd.DataFrame) -> Iterator[str]:
    """What the local proxy answered, and where it did not."""
    rows = records(http_probes)
    statuses = Counter(str(row["status"]) for row in rows if row["status"] is not None)
    told = listing(f"{count} fois {status}" for status, count in sorted(statuses.items())) or "aucune réponse"
    asked = f"{_count(len(rows), 'sonde', none='aucune')} à travers le proxy local"
    yield _capital(f"{asked}{f' : {told}' if rows else ''}.")
    down = [f"{row['url']} ({row['error'] or row['status']})" for row in rows if _down(row)]
    if down:
        yield f"Sans réponse utile : {listing(down)}."
    loops = (row["url"] for row in rows if row["loop"])
    yield from _told(loops, "Redirection qui tourne en rond", "Redirections qui tournent en rond")


def _down(row: Record) -> bool:
    return row["status"] is None or row["status"] in (502, 503, 504) or row["error"] is not None


def databases(
    databases: pd.DataFrame, database_reach: pd.DataFrame, connection_strings: pd.DataFrame | None = None
) -> Iterator[str]:
    """Which databases there are, whether they answer, who can reach them without a password, and what is lost."""
    rows = records(databases)
    named = [
        f"{row['database']} ({' '.join(filter(None, [row['product'] or row['kind'], row['version']]))})" for row in rows
    ]
    alive = sum(row["answers"] is True for row in rows)
    if len(rows) < 2:
        answers = "elle répond" if alive else "elle n’a pas répondu"
    else:
        answers = plural(alive, "répond", "répondent") if alive else "aucune n’a répondu"
    count = plural(len(rows), "base de données", "bases de données")
    yield f"{count} : {listing(named)} ; {answers}." if rows else "Aucune base de données."
    wide = {row["database"] for row in records(database_reach) if row["exposure"] == EVERYWHERE}
    facts = {
        ("Ne répond pas", "Ne répondent pas"): [row["database"] for row in rows if row["answers"] is False],
        ("Sans réponse connue",) * 2: [row["database"] for row in rows if row["answers"] is None],
        ("Répond sans mot de passe, vue de cette machine", "Répondent sans mot de passe, vues de cette machine"): [
            row["database"] for row in rows if row["authentication"] == "none"
        ],
        ("Ouverte sur toutes les interfaces de la machine", "Ouvertes sur toutes les interfaces de la machine"): sorted(
            wide
        ),
        ("Sans contrôle de santé",) * 2: [
            row["database"] for row in rows if row["container"] and row["running"] and not row["healthcheck"]
        ],
        ("Données perdues avec le conteneur",) * 2: [row["database"] for row in rows if row["persistent"] is False],
    }
    for (one, several), names in facts.items():
        yield from _told(names, one, several)
    if connection_strings is not None:
        strings = records(connection_strings)
        lost = [
            f"{row['container']} {row['variable']}" for row in strings if row["target"] in ("unresolved", "several")
        ]
        resolved = ", résolue" if len(strings) == 1 else ", toutes résolues"
        said = resolved if all(row["target"] for row in strings) else ""
        if lost:
            said = f". Vers un nom inconnu, ou commun à plusieurs conteneurs : {listing(lost)}"
        if strings:
            count = plural(len(strings), "chaîne de connexion", "chaînes de connexion")
            yield f"{count} dans l’environnement des conteneurs{said}."


def findings(audit: Audit) -> list[str]:
    """How many findings of each severity, and how far the verdict can be trusted."""
    counts = {severity: sum(finding.severity == severity for finding in audit.live) for severity in WEIGHTS}
    said = [f"{count} de gravité {SEVERITIES_FR[severity]}" for severity, count in counts.items() if count]
    judged = [result for result in audit.results if result.verdict in ("pass", "fail")]
    passing = sum(result.verdict == "pass" for result in judged)
    sentences = [
        _capital(f"{_count(len(audit.live), 'constat')}{' : ' if said else ''}{listing(said)}."),
        _capital(f"{_count(passing, 'contrôle conforme', 'contrôles conformes')} sur {plural(len(judged), 'évalué')}."),
    ]
    if audit.waived:
        sentences.append(f"{plural(len(audit.waived), 'constat accepté', 'constats acceptés')} par dérogation.")
    unknown = (result.check for result in audit.results if result.verdict == "unknown")
    return [*sentences, *_told(unknown, "Non évaluable", "Non évaluables")]


def verdict(audit: Audit) -> str:
    """The score with its coverage and the worst finding, which it never goes without."""
    if audit.score is None:
        return "Aucun contrôle n’a pu être évalué : l’audit ne donne pas de note."
    worst = f"le plus grave est de gravité {SEVERITIES_FR[audit.worst]}" if audit.worst else "aucun constat"
    return f"Note {number(audit.score)} sur 100, pour {number(100 * audit.coverage)} % des contrôles évalués ; {worst}."


def executive(facts: Facts) -> list[str]:
    """The summary: what runs, what is served, what is wrong, what was not seen."""
    snapshot, audit = facts.snapshot, facts.audit
    sentences = [verdict(audit)]
    # One reason often keeps several chapters silent; it is said once.
    sentences += dict.fromkeys(conclude(snapshot, chapter)[0] for chapter in (inventory, ports, routing, databases))
    sentences += _collisions(audit)
    for told in (certificates, probes):
        # What was not read is listed at the end.
        with suppress(AbsentTable):
            sentences += list(snapshot.call(told))[:1]
    grave = [one for one in facts.problems if one.severity in ("critical", "high")]
    sentences += [problem.told for problem in grave[:5]]
    if len(grave) > 5:
        sentences.append(f"Et {plural(len(grave) - 5, 'autre problème grave', 'autres problèmes graves')}.")
    unread = [row for row in records(snapshot.sources) if row["status"] != "ok"]
    if unread:
        sentences.append(f"Non lu, ou en partie : {listing(_source(row) for row in unread)}.")
    return sentences


def _collisions(audit: Audit) -> Iterator[str]:
    """The ports that are fought over now, and those that will be when what is stopped starts."""
    if not any(result.check == "PORT-001" and result.verdict in ("pass", "fail") for result in audit.results):
        return
    now = dict.fromkeys(dict(one.subjects)["port"] for one in audit.live if one.check == "PORT-001")
    later = dict.fromkeys(dict(one.subjects)["port"] for one in audit.live if one.check in ("PORT-002", "PORT-003"))
    told = f"Ports en collision : {listing(now)}" if now else "Aucune collision de ports en cours"
    yield f"{told}{f' ; collision au prochain démarrage : {listing(later)}' if later else ''}."


def _source(row: Record) -> str:
    return f"{row['source']} ({(row['reason'] or '').rstrip('.')})"
