"""What each chapter of the audit concludes, in French sentences computed from the facts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

from auditlib.derived import Facts
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.databases import ConnectionString, Database
from auditlib.facts.tables.docker import ContainerNetwork, Publication
from auditlib.facts.tables.host import Listener, SourceStatus, Unit
from auditlib.facts.tables.logs import CAUSES, KINDS, AccessStat, LogEvent
from auditlib.facts.tables.traefik import Traefik
from auditlib.facts.tables.web import GATEWAY_ERRORS, AcmeStorage, Certificate, HttpProbe, TlsProbe
from auditlib.findings.audit import LEAST_COVERAGE, Audit
from auditlib.findings.check import SEVERITIES_FR
from auditlib.findings.problems import Problem
from auditlib.french import day, listing, number, plural, quoted
from auditlib.views import graph as topology
from auditlib.views import logs as journal
from auditlib.views.databases import DatabaseReach
from auditlib.views.declarations import IdlePort, Project
from auditlib.views.inventory import PARTLY, PASSIVE, HostService, Stack
from auditlib.views.ports import EVERYWHERE, ContainerPort, HostPort, silent_ports
from auditlib.views.proxy import Proxy, RoutedContainer
from auditlib.views.routes import Route

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


def _named(names: Iterable[str], singular: str, several: str | None = None) -> Iterator[str]:
    """A sentence that names things under the words for one or for several; nothing when there are none."""
    named = list(names)
    if named:
        yield f"{singular if len(named) == 1 or several is None else several} : {listing(named)}."


def collection(sources: Rows[SourceStatus]) -> Iterator[str]:
    """What could be read, and what would mend the rest."""
    unread = [source for source in sources if source.status != "ok"]
    read = _count(len(sources) - len(unread), "source lue", "sources lues", "aucune")
    yield _capital(f"{read} entièrement sur {len(sources)}.")
    for source in unread:
        yield " ".join(filter(None, [source.reason, source.remedy]))


def inventory(
    stacks: Rows[Stack],
    host_services: Rows[HostService] | None = None,
    units: Rows[Unit] | None = None,
    projects: Rows[Project] | None = None,
) -> Iterator[str]:
    """What is active and what is not."""
    yield from _stacks(stacks)
    if projects is not None:
        yield from _projects(projects)
    if host_services is not None:
        names = (service.service for service in host_services if service.service != "inconnu")
        yield f"Hors de Docker, à l’écoute sur la machine : {listing(dict.fromkeys(names)) or 'rien'}."
    failed = (unit.unit for unit in units or () if unit.active == "failed")
    yield from _named(failed, "Unité systemd en échec", "Unités systemd en échec")


def _stacks(stacks: Rows[Stack]) -> Iterator[str]:
    running, total = sum(stack.running or 0 for stack in stacks), sum(stack.total or 0 for stack in stacks)
    held = f" en marche sur {total}, dans {plural(len(stacks), 'ensemble')}" if total else ""
    yield _capital(f"{_count(running, 'conteneur')}{held}.")
    states = stacks.grouped(Stack.state)
    partly = (f"{stack.stack} ({listing(stack.stopped or ())})" for stack in states.get(PARTLY, ()))
    yield from _named(partly, "En partie arrêté", "En partie arrêtés")
    yield from _named((stack.stack for stack in states.get(PASSIVE, ())), "Arrêté", "Arrêtés")


def _projects(projects: Rows[Project]) -> Iterator[str]:
    passive = [project.files for project in projects if project.state == PASSIVE]
    which = _among(len(projects), len(passive), "passif" if len(passive) < 2 else "passifs")
    names = f" : {listing(passive)}" if passive else ""
    yield _capital(f"{_count(len(projects), 'projet')} sur le disque{which}{names}.")
    refused = (project.files for project in projects if project.refused)
    yield from _named(refused, "Refusé par Compose", "Refusés par Compose")


def ports(
    host_ports: Rows[HostPort],
    listeners: Rows[Listener] | None = None,
    publications: Rows[Publication] | None = None,
    container_ports: Rows[ContainerPort] | None = None,
    idle_ports: Rows[IdlePort] | None = None,
) -> Iterator[str]:
    """How many ports, how many open to all."""
    wide = sum(port.exposure == EVERYWHERE for port in host_ports)
    which = _among(len(host_ports), wide, "sur toutes les interfaces")
    yield _capital(f"{_count(len(host_ports), 'port')} de la machine{which}.")
    if listeners is None:
        yield "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues."
    if publications is None:
        yield "Seules les écoutes de la machine sont connues : les ports publiés par Docker n’ont pas été lus."
    unknown = (f"{port.port}/{port.protocol}" for port in host_ports if port.kind == "inconnu")
    yield from _named(unknown, "Sans propriétaire connu")
    nobody = "mais rien n’y écoute dans le conteneur"
    yield from _named(silent_ports(container_ports or Rows()), f"Publié, {nobody}", f"Publiés, {nobody}")
    claims = (f"{port.host_port}/{port.protocol} ({port.claimant})" for port in idle_ports or ())
    yield from _named(claims, "Réclamé sans être tenu", "Réclamés sans être tenus")


def routing(routes: Rows[Route]) -> Iterator[str]:
    """Which domains are served, and by what."""
    public = [route for route in routes if not route.router.endswith("@internal")]
    domains = sorted({route.domain for route in public if route.domain})
    yield f"{plural(len(domains), 'domaine')} : {listing(domains)}." if domains else "Aucun domaine."
    disabled = {route.router for route in public if route.status == "disabled"}
    yield from _named(sorted(disabled), "Routeur désactivé", "Routeurs désactivés")
    served = [(route.domain, route) for route in public if route.domain]
    clear = {domain for domain, route in served if not route.tls and route.protocol == "http"}
    yield from _named(sorted(clear), "Servi aussi, ou seulement, sans TLS", "Servis aussi, ou seulement, sans TLS")
    machine = {f"{domain}{route.path or ''}" for domain, route in served if route.kind == "machine"}
    yield from _named(sorted(machine), "Servi par un processus de la machine", "Servis par un processus de la machine")


def journals(
    log_events: Rows[LogEvent],
    traefik: Rows[Traefik] | None = None,
    access_stats: Rows[AccessStat] | None = None,
) -> Iterator[str]:
    """What Traefik's own log complains of, whether certificates are renewed, and how requests end."""
    errors = journal.errors(log_events)
    if errors:
        yield f"{plural(_total(errors), 'erreur')} dans le journal de Traefik : {_sorts(errors)}."
    else:
        yield "Aucune erreur dans le journal de Traefik."
    warnings = [event for event in log_events if event.level == "warning" and event.kind not in journal.TOLD]
    if warnings:
        yield f"{'Avertissements' if _total(warnings) > 1 else 'Avertissement'} : {_sorts(warnings)}."
    yield from _renewals(log_events, [event for event in errors if event.kind in journal.ACME])
    if newer := journal.newer_version(log_events, traefik[0].version if traefik else None):
        yield f"Version plus récente de Traefik annoncée : {newer}."
    if access_stats is not None:
        yield _requests(access_stats)


def _requests(stats: Rows[AccessStat]) -> str:
    """How many requests the access log has, and how they end."""
    requests = sum(stat.requests or 0 for stat in stats)
    share = 100 * (journal.share_of_5xx(stats) or 0)
    failed = f", dont {number(share, 1)} % de 5xx" if requests else ""
    return _capital(f"{_count(requests, 'requête routée', 'requêtes routées', 'aucune')} au journal d’accès{failed}.")


def _total(events: Iterable[LogEvent]) -> int:
    """How many times events happened."""
    return sum(event.count or 0 for event in events)


def _renewals(events: Rows[LogEvent], failures: Sequence[LogEvent]) -> Iterator[str]:
    """Whether certificates are renewed: what failed, else that nothing did, when it is known."""
    named = (f"{event.subject} ({CAUSES.get(event.cause or '') or KINDS[event.kind]})" for event in failures)
    yield from _named(dict.fromkeys(named), "ACME, échec", "ACME, échecs")
    if not failures and any(event.kind == "acme_check" for event in events):
        yield "ACME : les échéances des certificats sont vérifiées, sans erreur."


def _sorts(events: Iterable[LogEvent]) -> str:
    """Kinds of events with what they are about, the first few of each."""
    about: dict[str, dict[str, None]] = {}
    for event in events:
        about.setdefault(event.kind, {}).update({event.subject: None} if event.subject else {})
    return listing(
        f"{KINDS[kind]} ({listing([*names][:5])}{'…' if len(names) > 5 else ''})" if names else KINDS[kind]
        for kind, names in about.items()
    )


def graph(
    routes: Rows[Route],
    container_networks: Rows[ContainerNetwork] | None = None,
    proxy: Rows[Proxy] | None = None,
    routed: Rows[RoutedContainer] | None = None,
) -> Iterator[str]:
    """Whether every domain reaches its network."""
    tree = topology.graph(routes, container_networks, proxy, routed)
    broken = topology.broken(tree)
    yield f"Chemin rompu pour : {listing(broken)}." if broken else "Aucun chemin rompu entre un domaine et son réseau."
    aside = sorted(
        f"{tree.nodes[end]['label']} sur {quoted(tree.nodes[network]['label'])}"
        for end, network in tree.edges
        if tree.edges[end, network]["state"] == "warning" and tree.nodes[network]["kind"] == "network"
    )
    yield from _named(aside, "Hors du réseau désigné à Traefik")


def certificates(
    certificates: Rows[Certificate],
    acme_storage: Rows[AcmeStorage] | None = None,
    tls_probes: Rows[TlsProbe] | None = None,
) -> Iterator[str]:
    """Where certificates are kept, which one ends first, and which domains are not served the right one."""
    yield from map(_storage, acme_storage or ())
    ends = [
        (certificate.not_after, certificate.domain or certificate.common_name)
        for certificate in certificates
        if certificate.not_after is not None and certificate.origin != "traefik_api"
    ]
    if ends:
        end, name = min(ends, key=itemgetter(0))
        yield f"Premier certificat à expirer : {name}, le {day(end)}."
    if tls_probes is not None:
        yield from _served(tls_probes)


def _storage(storage: AcmeStorage) -> str:
    where = f"Stockage ACME du résolveur {quoted(storage.resolver)} : {storage.path}"
    if not storage.persistent:
        where += ", qui n’est pas sur un montage persistant"
    if storage.exists is None:
        return f"{where}, qui n’a pas pu être lu."
    if not storage.exists:
        return f"{where}, absent."
    held = _count(storage.certificates, "certificat") if storage.certificates is not None else "illisible"
    cause = f" ({storage.cause})" if storage.cause else ""
    return f"{where}, droits {storage.mode}, propriétaire {storage.owner}, {held}{cause}."


# What may be wrong with the certificate that is served for a domain.
_WRONG: dict[str, Callable[[TlsProbe], bool | None]] = {
    "Sans connexion TLS": lambda probe: not probe.answered,
    "Certificat par défaut de Traefik pour": lambda probe: probe.default,
    "Certificat d’un autre nom pour": lambda probe: probe.covers is False and not probe.default,
    "Certificat que cette machine ne reconnaît pas pour": lambda probe: (
        probe.trusted is False and probe.covers and not probe.default
    ),
}


def _served(probes: Rows[TlsProbe]) -> Iterator[str]:
    """How many domains are served a certificate of their own, and what is wrong with those of the others."""
    domains = {probe.domain for probe in probes}
    if not domains:
        yield "Aucun domaine à servir en TLS."
        return
    fit = len({probe.domain for probe in probes if probe.covers})
    served = _count(fit, "domaine servi", "domaines servis")
    yield _capital(f"{served} avec un certificat à {'leur' if fit > 1 else 'son'} nom, sur {len(domains)}.")
    for words, is_wrong in _WRONG.items():
        yield from _named(sorted({probe.domain for probe in probes if is_wrong(probe)}), words)


def probes(http_probes: Rows[HttpProbe]) -> Iterator[str]:
    """What the local proxy answered, and where it did not."""
    statuses = Counter(str(probe.status) for probe in http_probes if probe.status is not None)
    answers = listing(f"{count} fois {status}" for status, count in sorted(statuses.items())) or "aucune réponse"
    count = f"{_count(len(http_probes), 'sonde', none='aucune')} à travers le proxy local"
    yield _capital(f"{count} : {answers}." if http_probes else f"{count}.")
    down = (f"{probe.url} ({probe.error or probe.status})" for probe in http_probes if _is_down(probe))
    yield from _named(down, "Sans réponse utile")
    loops = (probe.url for probe in http_probes if probe.loop)
    yield from _named(loops, "Redirection qui tourne en rond", "Redirections qui tournent en rond")


def _is_down(probe: HttpProbe) -> bool:
    return probe.status in (None, *GATEWAY_ERRORS) or probe.error is not None


def databases(
    databases: Rows[Database],
    database_reach: Rows[DatabaseReach],
    connection_strings: Rows[ConnectionString] | None = None,
) -> Iterator[str]:
    """Which databases there are, whether they answer, who can reach them without a password, and what is lost."""
    named = [
        f"{base.database} ({' '.join(filter(None, [base.product or base.kind, base.version]))})" for base in databases
    ]
    count = plural(len(databases), "base de données", "bases de données")
    yield f"{count} : {listing(named)} ; {_answers(databases)}." if named else "Aucune base de données."
    yield from _remarks(databases, database_reach)
    if connection_strings:
        yield _strings(connection_strings)


def _remarks(databases: Rows[Database], reach: Rows[DatabaseReach]) -> Iterator[str]:
    """What is wrong with some of the databases."""
    answers = databases.grouped(Database.answers)
    yield from _named(_names(answers.get(False, ())), "Ne répond pas", "Ne répondent pas")
    yield from _named(_names(answers.get(None, ())), "Sans réponse connue")
    unlocked, where = databases.grouped(Database.authentication).get("none", ()), "de cette machine"
    yield from _named(
        _names(unlocked), f"Répond sans mot de passe, vue {where}", f"Répondent sans mot de passe, vues {where}"
    )
    wide, where = reach.grouped(DatabaseReach.exposure).get(EVERYWHERE, ()), "sur toutes les interfaces de la machine"
    yield from _named(_names(wide), f"Ouverte {where}", f"Ouvertes {where}")
    unwatched = [base for base in databases if base.container and base.running and not base.healthcheck]
    yield from _named(_names(unwatched), "Sans contrôle de santé")
    yield from _named(
        _names(databases.grouped(Database.persistent).get(False, ())), "Données perdues avec le conteneur"
    )


def _names(databases: Iterable[Database | DatabaseReach]) -> list[str]:
    return [base.database for base in databases]


def _answers(databases: Rows[Database]) -> str:
    """How many databases answer, as a clause about them."""
    alive = sum(base.answers is True for base in databases)
    if len(databases) < 2:
        return "elle répond" if alive else "elle n’a pas répondu"
    return plural(alive, "répond", "répondent") if alive else "aucune n’a répondu"


def _strings(strings: Rows[ConnectionString]) -> str:
    """How many connection strings there are, and which lead to no container that is known."""
    astray = [
        f"{string.container} {string.variable}" for string in strings if string.target in ("unresolved", "several")
    ]
    end = ""
    if astray:
        end = f". Vers un nom inconnu, ou commun à plusieurs conteneurs : {listing(astray)}"
    elif all(string.target for string in strings):
        end = ", résolue" if len(strings) == 1 else ", toutes résolues"
    count = plural(len(strings), "chaîne de connexion", "chaînes de connexion")
    return f"{count} dans l’environnement des conteneurs{end}."


def findings(audit: Audit) -> list[str]:
    """How many findings of each severity, and how far the verdict can be trusted."""
    counts = Counter(finding.severity for finding in audit.live)
    severities = [
        f"{counts[severity]} de gravité {word}" for severity, word in SEVERITIES_FR.items() if counts[severity]
    ]
    verdicts = Counter(result.verdict for result in audit.results)
    judged = plural(verdicts["pass"] + verdicts["fail"], "évalué")
    sentences = [
        _capital(f"{_count(len(audit.live), 'constat')}{' : ' if severities else ''}{listing(severities)}."),
        _capital(f"{_count(verdicts['pass'], 'contrôle conforme', 'contrôles conformes')} sur {judged}."),
    ]
    if audit.waived:
        sentences.append(f"{plural(len(audit.waived), 'constat accepté', 'constats acceptés')} par dérogation.")
    unknown = (result.check for result in audit.results if result.verdict == "unknown")
    return [*sentences, *_named(unknown, "Non évaluable", "Non évaluables")]


def verdict(audit: Audit) -> str:
    """The score with its coverage and the worst finding, which it never goes without."""
    if audit.score is None and 0 < audit.coverage < LEAST_COVERAGE:
        judged, least = number(100 * audit.coverage), number(100 * LEAST_COVERAGE)
        return f"Pas de note : {judged} % des contrôles ont pu être évalués, et il en faut {least} %."
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
    for chapter in (certificates, probes):
        # What was not read is listed at the end.
        with suppress(AbsentTable):
            sentences += list(snapshot.call(chapter))[:1]
    return [*sentences, *_gravest(facts.problems), *_unread(snapshot.rows(SourceStatus))]


def _collisions(audit: Audit) -> Iterator[str]:
    """The ports that are fought over now, and those that will be when what is stopped starts."""
    if not any(result.check == "PORT-001" and result.verdict in ("pass", "fail") for result in audit.results):
        return
    now, later = _ports_of(audit, "PORT-001"), _ports_of(audit, "PORT-002", "PORT-003")
    current = f"Ports en collision : {listing(now)}" if now else "Aucune collision de ports en cours"
    yield f"{current}{f' ; collision au prochain démarrage : {listing(later)}' if later else ''}."


def _ports_of(audit: Audit, *checks: str) -> list[str]:
    """The ports that the live findings of some checks are about, each once."""
    return list(dict.fromkeys(dict(finding.subjects)["port"] for finding in audit.live if finding.check in checks))


def _gravest(problems: Sequence[Problem], most: int = 5) -> Iterator[str]:
    """The grave problems, the first few, and how many others there are."""
    grave = [problem for problem in problems if problem.severity in ("critical", "high")]
    yield from (problem.told for problem in grave[:most])
    if rest := grave[most:]:
        yield f"Et {plural(len(rest), 'autre problème grave', 'autres problèmes graves')}."


def _unread(sources: Rows[SourceStatus]) -> Iterator[str]:
    unread = [f"{source.source} ({(source.reason or '').rstrip('.')})" for source in sources if source.status != "ok"]
    yield from _named(unread, "Non lu, ou en partie")
