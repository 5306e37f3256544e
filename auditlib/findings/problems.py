"""Problems: findings that share a cause, joined under it, so that a report can lead with causes.

A cause explains a symptom when both are about one and the same thing, and mending the cause mends the symptom or
makes it moot. Which checks, by which thing, the table `RULES` says; nothing is joined by resemblance.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.logs import KINDS, LogEvent
from auditlib.findings.audit import Audit, Finding
from auditlib.findings.check import WEIGHTS, Kind, Subject
from auditlib.french import instant, listing, number, quoted, typography
from auditlib.parameters import Severity

# The French noun of each kind of thing that two findings share.
NOUNS: dict[Kind, str] = {
    "alias": "nom DNS",
    "attachment": "réseau d’une base",
    "claim": "port réclamé",
    "clear": "accès en clair",
    "container": "conteneur",
    "database": "base",
    "default": "réglage par défaut du démon",
    "domain": "domaine",
    "fault": "étape rompue",
    "file": "fichier",
    "mount": "montage",
    "object": "objet de Traefik",
    "option": "option statique",
    "owner": "nom",
    "pair": "paire de routeurs",
    "protection": "protection",
    "provider": "fournisseur",
    "publication": "publication",
    "resolver": "résolveur ACME",
    "router": "routeur",
    "rule": "règle",
    "service": "service",
    "start": "projet à l’arrêt",
    "state": "conteneur",
    "step": "conteneur écarté",
    "target": "conteneur",
    "url": "adresse",
}


@dataclass(frozen=True)
class Rule:
    """Findings of any of `causes` explain those of `symptoms` that are about the same thing, of the kind `shared`.

    Checks are separated by spaces. `ROUTE-001:router` means those of its findings that are about a router, and
    `ACME-002:empty` those whose fault is of that form: a storage that is there, and holds nothing.
    """

    causes: str
    shared: Kind
    symptoms: str


# In the order in which they are tried: of a symptom that several explain, the first has it, and of its causes the
# gravest. What no rule names stands for itself: a waiver, a source that was not read, an image without version…
# No chain of rules comes back to where it started; a test holds that line.
RULES = (
    # One port open to all, seen by each check from its own side. What it opens says it better than that it is open.
    Rule("PORT-004", "publication", "DB-004 PORT-005 PORT-006 CIS-5.14"),
    Rule("ROUTE-014", "publication", "PORT-005 PORT-006 CIS-5.14"),
    Rule("DB-004", "publication", "CIS-5.14"),
    Rule("PORT-005", "publication", "PORT-006 CIS-5.14"),
    Rule("PORT-006", "publication", "CIS-5.14"),
    # On the machine's own network, a container publishes nothing: it opens everything.
    Rule("CIS-5.10", "container", "PORT-005"),
    # Databases: open to whoever shares their network, and named like another.
    Rule("DB-005", "database", "DB-004"),
    Rule("DB-004", "attachment", "NET-007"),
    Rule("NET-004", "alias", "DB-006"),
    # A container that does not run as it should: what stops it, then all that it fails to do.
    Rule("PORT-001", "state", "CONT-003"),
    Rule("CONT-005", "container", "CONT-002"),
    Rule("CONT-002", "container", "DB-001 CONT-001"),
    Rule("DB-001", "container", "CONT-001"),
    Rule("PORT-001 CONT-001 CONT-002 CONT-003 CONT-005", "step", "ROUTE-002"),
    Rule("PORT-001 CONT-001 CONT-002 CONT-003 CONT-005", "state", "ROUTE-006 ROUTE-007 ROUTE-016"),
    # The networks between Traefik and a container.
    Rule("NET-002", "container", "NET-001 ROUTE-016"),
    Rule("NET-001 NET-003", "container", "ROUTE-016"),
    Rule("NET-002 NET-001", "step", "ROUTE-002"),
    # A process of the machine behind a route.
    Rule("HOST-004", "service", "ROUTE-015"),
    # What Traefik's Docker provider makes of labels.
    Rule("ROUTE-003", "step", "ROUTE-002"),
    Rule("ROUTE-021", "step", "ROUTE-002"),
    Rule("ROUTE-020", "provider", "ROUTE-002"),
    # What Traefik refuses: for an option it ignores, a provider that gives nothing, an object that is not there.
    Rule("ROUTE-019", "option", "ROUTE-001:router ACME-004"),
    Rule("ROUTE-003", "object", "ROUTE-001:router"),
    Rule("ROUTE-020 ROUTE-018", "provider", "ROUTE-001:router"),
    Rule("ROUTE-001:middleware ROUTE-001:service", "object", "ROUTE-001:router"),
    Rule("ROUTE-010", "rule", "ROUTE-001:router"),
    # A route that does not answer: where its walk breaks, else what is wrong with any server behind it.
    Rule("NET-002", "target", "HTTP-001 LOG-004 LOG-002"),
    Rule("ROUTE-006 ROUTE-007 ROUTE-015 ROUTE-016", "service", "HTTP-001 LOG-004 LOG-002"),
    Rule("ROUTE-001 ROUTE-002 ROUTE-003 ROUTE-017 ROUTE-018", "fault", "HTTP-001"),
    Rule("ROUTE-001:router", "router", "LOG-002"),
    Rule("PORT-001 CONT-001 CONT-002 CONT-003 CONT-005", "state", "HTTP-001 LOG-004 LOG-002"),
    Rule("NET-001 NET-003 ROUTE-002", "container", "LOG-002"),
    Rule("LOG-002", "service", "LOG-004"),
    Rule("HTTP-001", "router", "LOG-004"),
    # A router that answers for another.
    Rule("ROUTE-017 ROUTE-011 ROUTE-005", "pair", "HTTP-002"),
    Rule("ROUTE-017", "clear", "HTTP-004"),
    Rule("ROUTE-008", "clear", "HTTP-004"),
    # A router without what protects its neighbours.
    Rule("ROUTE-014", "protection", "HTTP-005"),
    Rule("ROUTE-009", "protection", "HTTP-005 HTTP-003"),
    # Certificates: the storage, the resolver, the authority, then what browsers see.
    Rule("ACME-003", "resolver", "ACME-002 LOG-001"),
    Rule("ACME-001 ACME-002:broken", "resolver", "ACME-004 ROUTE-001:router"),
    Rule("ACME-004", "domain", "LOG-001"),
    Rule("LOG-001", "domain", "ACME-002:empty"),
    Rule("ACME-004 LOG-001 ACME-002", "domain", "TLS-001 TLS-002 TLS-003 TLS-004"),
    Rule("LOG-001:source", "resolver", "ACME-002:empty TLS-001 TLS-002 TLS-003"),
    # Compose files: why nothing of them runs, and what they declare in vain.
    Rule("PORT-002", "claim", "PORT-003"),
    Rule("COMPOSE-002 NET-008 PORT-002", "start", "COMPOSE-004"),
    Rule("ROUTE-003:router ROUTE-001:router PORT-001 CONT-003", "domain", "ROUTE-012"),
    Rule("COMPOSE-002 COMPOSE-004", "file", "ROUTE-012"),
    Rule("ROUTE-001:router ROUTE-002 ROUTE-003:router ROUTE-012", "domain", "TLS-006"),
    # What was expected, and is not there.
    Rule("PORT-001 CONT-001 CONT-002 CONT-003 CONT-005 HOST-004", "owner", "EXPECT-001 PORT-008"),
    Rule("HTTP-001 HTTP-006", "url", "EXPECT-001:domain"),
    Rule("ROUTE-001:router ROUTE-002 ROUTE-003:router ROUTE-012", "domain", "EXPECT-001:domain"),
    Rule("ACME-004 LOG-001 ACME-002 TLS-001 TLS-003", "domain", "EXPECT-001:certificate"),
    # Privileges that contain others, and folders that contain a socket.
    Rule("CIS-5.5", "container", "CIS-5.2 CIS-5.3 CIS-5.4 CIS-5.18 CIS-5.22"),
    Rule("CIS-5.6", "mount", "CIS-5.32"),
    # What the daemon gives by default to containers that ask for nothing.
    Rule("CIS-2.8 CIS-2.14", "default", "CIS-5.19 CIS-5.26"),
    # One health check that is missing.
    Rule("DB-002", "container", "CONT-008 CIS-5.27"),
    Rule("CONT-008", "container", "CIS-5.27"),
)


@dataclass(frozen=True)
class Evidence:
    """A finding that another explains: the check of that one, and the thing they share, in French."""

    finding: Finding
    cause: str
    shared: str

    @property
    def why(self) -> str:
        """Why it is joined, as a French clause."""
        return typography(f"même {self.shared} que {self.cause}")


@dataclass(frozen=True)
class Problem:
    """One problem: the finding that causes it, and those that it explains, the gravest first."""

    cause: Finding
    evidence: tuple[Evidence, ...] = ()
    log: tuple[str, ...] = ()  # what Traefik's log says of it, in French

    @property
    def findings(self) -> list[Finding]:
        """Its findings, the cause first."""
        return [self.cause, *(one.finding for one in self.evidence)]

    @property
    def severity(self) -> Severity:
        """The worst severity of its findings."""
        return min((finding.severity for finding in self.findings), key=list(WEIGHTS).index)

    @property
    def told(self) -> str:
        """The cause, then the checks of what else it explains, as French sentences."""
        also = listing(dict.fromkeys(one.finding.check for one in self.evidence))
        return f"{self.cause.message} Explique aussi : {also}." if also else self.cause.message

    @property
    def explains(self) -> str:
        """What else it explains, as a French sentence; "" when it stands alone."""
        said = [f"{one.finding.check} {_clause(one.finding.message)}" for one in self.evidence]
        return typography(f"Explique aussi : {' ; '.join(said)}.") if said else ""


def _clause(message: str) -> str:
    """The first clause of a finding's message, without its full stop."""
    return re.split(r"\s:\s|\.(?:\s|$)", message, maxsplit=1)[0]


def problems(snapshot: Snapshot, audit: Audit) -> list[Problem]:
    """The findings of an audit that no waiver accepts, each in exactly one problem.

    The gravest problems first, then those of most findings. The order of rows and findings changes nothing.
    """
    live = sorted(audit.live, key=_order)
    links, log = dict(_links(live)), _log(live, snapshot)
    groups: dict[str, tuple[Finding, list[Evidence], list[str]]] = {}
    for finding in live:
        root = finding
        while root.identity in links:
            root, _ = links[root.identity]
        _, evidence, said = groups.setdefault(root.identity, (root, [], []))
        said += log.get(finding.identity, [])
        if finding is not root:
            cause, shared = links[finding.identity]
            evidence.append(Evidence(finding, cause.check, shared))
    made = [Problem(root, tuple(evidence), tuple(said)) for root, evidence, said in groups.values()]
    return sorted(made, key=lambda one: (_rank(one.severity), -len(one.findings), one.cause.identity))


def _order(finding: Finding) -> tuple[int, str, str]:
    return _rank(finding.severity), finding.check, finding.identity


def _rank(severity: Severity) -> int:
    return list(WEIGHTS).index(severity)


def forms(finding: Finding) -> set[str]:
    """The names under which rules know a finding: its check, alone, with each kind of subject, and with its form."""
    kinds = [kind for kind, _ in finding.subjects]
    return {finding.check, *(f"{finding.check}:{form}" for form in (*kinds, finding.fault.form) if form)}


def _links(live: Sequence[Finding]) -> Iterator[tuple[str, tuple[Finding, str]]]:
    """For each finding that another explains: its identity, that other, and the thing they share, in French.

    `live` is in the order in which causes are preferred.
    """
    by_form: dict[str, list[Finding]] = {}
    for finding in live:
        for form in forms(finding):
            by_form.setdefault(form, []).append(finding)
    explained: set[str] = set()
    for rule in RULES:
        causes = _causes(rule, by_form)
        for finding in _called(rule.symptoms, by_form):
            common = finding.about.get(rule.shared, frozenset()) & causes.keys()
            if common and finding.identity not in explained:
                thing = min(common, key=lambda thing: (_order(causes[thing]), thing))
                explained.add(finding.identity)
                yield finding.identity, (causes[thing], typography(f"{NOUNS[rule.shared]} {quoted(thing)}"))


def _causes(rule: Rule, by_form: Mapping[str, Sequence[Finding]]) -> dict[str, Finding]:
    """The things that the causes of a rule are about, each with the first of them."""
    causes: dict[str, Finding] = {}
    for finding in _called(rule.causes, by_form):
        for thing in finding.about.get(rule.shared, ()):
            causes.setdefault(thing, finding)
    return causes


def _called(names: str, by_form: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """The findings that a rule calls by one of some names, in the order in which causes are preferred."""
    return sorted((finding for name in names.split() for finding in by_form.get(name, ())), key=_order)


# What Traefik's log repeats of what checks find by themselves: kinds of events, and the checks of the same thing.
_LOGGED = {
    "network_missing": "NET-002 NET-001",
    "network_fallback": "NET-002 NET-001 NET-003",
    "address_missing": "NET-002 NET-001 ROUTE-002",
    "port_missing": "ROUTE-002",
    "service_ambiguous": "ROUTE-002",
    "container_skipped": "ROUTE-002 ROUTE-021",
    "label_invalid": "ROUTE-021 ROUTE-002",
    "field_unknown": "ROUTE-021 ROUTE-002",
    "constraint_invalid": "ROUTE-002",
    "name_duplicate": "ROUTE-003",
    "reference_missing": "ROUTE-001",
    "middleware_invalid": "ROUTE-001",
    "entrypoint_missing": "ROUTE-001",
    "rule_invalid": "ROUTE-001 ROUTE-010",
    "server_invalid": "ROUTE-001",
    "tls_options": "ROUTE-001",
    "priority_excessive": "ROUTE-001",
    "resolver_missing": "ACME-004",
    "resolver_skipped": "ACME-001 ACME-002 ACME-004",
    "health_failed": "ROUTE-007",
    "configuration_failed": "ROUTE-018",
}


def _log(live: Sequence[Finding], snapshot: Snapshot) -> dict[str, list[str]]:
    """By the identity of a finding, what Traefik's log says of it, in French; of several findings, the gravest."""
    log: dict[str, list[str]] = {}
    for event in snapshot.known(LogEvent) or ():
        checks, subjects = _LOGGED.get(event.kind, "").split(), set(_subjects(event))
        finding = next((one for one in live if one.check in checks and subjects & set(one.subjects)), None)
        if finding is not None:
            log.setdefault(finding.identity, []).append(_trace(event, snapshot.zone))
    return log


def _subjects(event: LogEvent) -> Iterator[Subject]:
    """The subjects of an event, as a finding names them."""
    if event.subject and event.subject_kind:
        yield event.subject_kind, event.subject
    yield from (("container", name) for name in event.containers or ())
    if event.router:
        yield "router", event.router
    if event.file:
        yield "source", event.file


def _trace(event: LogEvent, zone: str) -> str:
    named = f" {quoted(event.named)}" if event.named else ""
    last = f", la dernière le {instant(event.last, zone)}" if event.last is not None else ""
    return typography(f"Journal de Traefik : {KINDS[event.kind]}{named}, {number(event.count or 1)} fois{last}.")
