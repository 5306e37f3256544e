"""Sécurité: what is open that need not be, what lacks a protection, what is out of date, what is accepted."""

from collections import defaultdict
from collections.abc import Iterator

from auditlib.addresses import EVERY_ADDRESS
from auditlib.checks.cis_access import MountedSocket, OpenPorts
from auditlib.checks.containers import Moving
from auditlib.checks.exposure import BypassedProxy, OpenDatabase, OpenInterface
from auditlib.checks.route_shields import Unshielded
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Publication
from auditlib.facts.tables.policy import WaiverState
from auditlib.facts.tables.traefik import TraefikMiddleware, TraefikRouter
from auditlib.findings.audit import Finding
from auditlib.french import day, listing, plural, quoted
from auditlib.recommendations import SECURITY, Advice, faults, fixes, names, of, rule, sentences, unique
from auditlib.traefik.protection import PROTECTIONS, expanded, protection
from auditlib.views.proxy import Proxy, RoutedContainer
from auditlib.views.routes import Route

# A waiver is renewed, or what it accepts mended, before it ends.
_NOTICE_DAYS = 30


@rule(SECURITY, "Ne publier que ce que l’extérieur doit joindre", "PORT-004", "PORT-005", "PORT-006")
def unneeded(findings: list[Finding]) -> Iterator[Advice]:
    """Publications that the proxy or a Docker network makes useless."""
    if findings:
        places = [
            f"{quoted(finding.subjects[0][1])} (port {finding.fault.host_port})"
            for finding in findings
            if isinstance(finding.fault, OpenDatabase | OpenInterface | BypassedProxy)
        ]
        yield Advice(
            f"Publiés sur toutes les interfaces sans nécessité : {listing(dict.fromkeys(places))}.",
            "Qui atteint la machine les atteint, sans passer par les protections de Traefik.",
            "Retirer ces publications : Traefik et les autres conteneurs passent par les réseaux Docker. Pour un usage "
            "depuis la machine, les faire précéder de « 127.0.0.1: ».",
        )


@rule(SECURITY, "Réserver à la machine ce qui ne sert qu’à elle", "CIS-5.14", "PORT-004", "PORT-005", "PORT-006")
def perhaps_local(
    findings: list[Finding],
    proxy: Rows[Proxy],
    publications: Rows[Publication],
    routed: Rows[RoutedContainer] | None = None,
) -> Iterator[Advice]:
    """Other publications on every interface: neither the proxy's nor judged by a check of ports."""
    judged = {row.container for row in [*proxy, *(routed or ())]}
    for finding in of(findings, "PORT-004", "PORT-005", "PORT-006"):
        judged |= finding.about["container"]
    other = [finding for finding in of(findings, "CIS-5.14") if not finding.about["container"] & judged]
    wide, containers = _wide_ports(publications), [fault.container for fault in faults(other, OpenPorts)]
    places = [f"{quoted(name)} ({listing(map(str, sorted(wide[name])))})" for name in containers if name in wide]
    if places:
        yield Advice(
            f"Ouverts à tous sans passer par Traefik : {listing(places)}.",
            "Rien ne dit ici qui s’en sert ; un port dont seule la machine a besoin n’a pas à être vu du réseau.",
            "Pour chacun, le faire précéder de « 127.0.0.1: », ou le router par Traefik avec ses protections, sauf si "
            "l’extérieur doit le joindre directement.",
            other,
        )


def _wide_ports(publications: Rows[Publication]) -> dict[str, set[int]]:
    """The ports of the machine that containers publish on every address."""
    wide: dict[str, set[int]] = defaultdict(set)
    for row in publications:
        if row.live and row.host_port is not None and row.host_ip in EVERY_ADDRESS:
            wide[row.container].add(row.host_port)
    return wide


@rule(SECURITY, "Limiter les interfaces d’administration", "ROUTE-014", "HTTP-005")
def interfaces(findings: list[Finding]) -> Iterator[Advice]:
    """Interfaces of administration that answer to anybody."""
    if findings:
        yield Advice(sentences(findings), "Elles montrent tout, ou laissent tout faire.", fixes(findings))


@rule(SECURITY, "Les mêmes protections pour tous les routeurs", "ROUTE-009", "HTTP-003")
def protections(findings: list[Finding]) -> Iterator[Advice]:
    """Routers that lack what their neighbours have."""
    if not findings:
        return
    lacking, unshielded = of(findings, "ROUTE-009"), faults(findings, Unshielded)
    proposed = unique(name for fault in unshielded for name in fault.proposed)
    points = unique(fault.entrypoint for fault in unshielded)
    again = (
        f" Pour que le prochain routeur n’en manque pas, déclarer une fois {names(proposed)} au point d’entrée "
        f"{listing(map(quoted, points))} (« http.middlewares »), si tous ses routeurs les supportent."
    )
    yield Advice(
        sentences(findings),
        "Le domaine le moins protégé est celui par lequel on entre.",
        fixes(lacking or findings) + (again if proposed else ""),
    )


@rule(SECURITY, "Les protections en service", "ROUTE-009", keep=True)
def shields(findings: list[Finding], traefik_middlewares: Rows[TraefikMiddleware]) -> Iterator[Advice]:
    """Protections that Traefik applies to several routers of somebody's own, chains of them included."""
    used = {
        middleware.middleware: [router for router in middleware.used_by or () if not router.endswith("@internal")]
        for middleware in _protecting(traefik_middlewares)
    }
    shared = [f"{quoted(name)} ({plural(len(own), 'routeur')})" for name, own in used.items() if len(own) > 1]
    if shared:
        yield Advice(
            f"En service sur plusieurs routeurs : {listing(shared)}.",
            "Elles valent pour tous tant que personne ne les retire.",
            "Les garder.",
            (),
        )


def _protecting(traefik_middlewares: Rows[TraefikMiddleware]) -> list[TraefikMiddleware]:
    """The HTTP middlewares in force that protect, by themselves or by a link of their chain."""
    http = {row.middleware: row for row in traefik_middlewares if row.protocol == "http"}
    kinds = {name: protection(name, row.type) for name, row in http.items()}
    chains = {name: row.chain for name, row in http.items()}
    protecting = [name for name in http if {kinds.get(link) for link in expanded([name], chains)} & PROTECTIONS.keys()]
    return [http[name] for name in protecting if http[name].status == "enabled"]


@rule(SECURITY, "Un mot de passe pour chaque base", "DB-004", "DB-005")
def passwords(findings: list[Finding]) -> Iterator[Advice]:
    """Databases that answer to anybody who reaches them, or listen to the whole network."""
    if findings:
        yield Advice(sentences(findings), "Le réseau est alors leur seule défense.", fixes(findings))


@rule(SECURITY, "Un relais devant le socket de Docker", "CIS-5.32")
def socket(findings: list[Finding]) -> Iterator[Advice]:
    """Containers that hold the engine's socket."""
    if not findings:
        return
    mounted = faults(findings, MountedSocket)
    writable = [fault.container for fault in mounted if fault.writable]
    reading = [fault.container for fault in mounted if not fault.writable]
    clauses = [f"{names(reading)} : monté en lecture seule"] if reading else []
    clauses += [f"{names(writable)} : monté en écriture"] if writable else []
    yield Advice(
        f"Le socket de Docker est dans des conteneurs ; {' ; '.join(clauses)}.",
        "Même en lecture seule, un montage n’arrête aucun appel à l’API : qui prend ce conteneur prend la machine.",
        ("Garder la lecture seule, et mettre" if reading else "Mettre")
        + " un proxy de socket qui ne laisse passer que les GET utiles ; lui seul garde le socket.",
    )


@rule(SECURITY, "Les mêmes options TLS pour un même domaine")
def tls_options(findings: list[Finding], traefik_routers: Rows[TraefikRouter], routes: Rows[Route]) -> Iterator[Advice]:
    """Domains whose routers name different TLS options: Traefik then serves the default ones to all."""
    options = {router.router: router.tls_options for router in traefik_routers if router.tls}
    named: dict[str, set[str]] = defaultdict(set)
    for route in routes:
        if route.domain and (name := options.get(route.router)):
            named[route.domain].add(name)
    mixed = {domain: own for domain, own in named.items() if len(own) > 1}
    if mixed:
        clauses = [f"{quoted(domain)} ({listing(sorted(own))})" for domain, own in mixed.items()]
        yield Advice(
            f"Options TLS différentes selon le routeur d’un même domaine : {listing(clauses)}.",
            "Elles se négocient avant que la route soit connue : Traefik revient alors aux options par défaut.",
            "Donner les mêmes options à tous les routeurs de chaque domaine, ou les déclarer au point d’entrée.",
        )


@rule(SECURITY, "Des versions fixes et à jour", "LOG-003", "CONT-006")
def versions(findings: list[Finding]) -> Iterator[Advice]:
    """Updates that programs announce, and images without a fixed version."""
    announced, floating = of(findings, "LOG-003"), of(findings, "CONT-006")
    if findings:
        loose = (
            [f"Sans version fixe : {names(fault.container for fault in faults(floating, Moving))}."] if floating else []
        )
        todo = [fixes(announced)] if announced else []
        todo += ["Fixer la version de ces images, pour choisir le jour où elles changent."] if floating else []
        yield Advice(
            " ".join([*([sentences(announced)] if announced else []), *loose]),
            "Une mise à jour se choisit : ni oubliée, ni subie.",
            " ".join(todo),
        )


@rule(SECURITY, "Des dérogations qui ne survivent pas à leur motif", "WAIVER-001", "WAIVER-002")
def waivers_ending(findings: list[Finding], waivers: Rows[WaiverState]) -> Iterator[Advice]:
    """Waivers that have ended or designate nothing, and those that end within a month of the snapshot."""
    near = [
        f"{waiver.check} sur {quoted(waiver.subject)}, le {day(waiver.expires)}"
        for waiver in waivers
        if waiver.expires and waiver.days_left is not None and 0 <= waiver.days_left <= _NOTICE_DAYS
    ]
    if findings or near:
        clauses = [sentences(findings)] if findings else []
        clauses += [f"Expirent bientôt : {listing(near)}."] if near else []
        yield Advice(
            " ".join(clauses),
            "Le jour venu, le constat revient sans que rien n’ait changé sur la machine.",
            "Corriger ce qu’elles acceptent, ou les renouveler avec une nouvelle date et un motif qui vaut encore.",
        )
