"""Réseaux: which networks to share and which not, which names and ports to use on them."""

from collections.abc import Iterator

from auditlib.checks.compose import GenericName
from auditlib.checks.docker_networks import SharedNetwork
from auditlib.checks.networks import Detached, NetworkFault, Unchosen
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Connection
from auditlib.findings.audit import Finding
from auditlib.french import listing, quoted
from auditlib.recommendations import NETWORKS, Advice, faults, fixes, names, of, rule, sentences, unique
from auditlib.views.databases import DatabaseReach
from auditlib.views.proxy import Proxy, RoutedContainer


@rule(NETWORKS, "Un seul réseau entre Traefik et ce qu’il sert", "NET-001", "NET-002")
def one_network(findings: list[Finding], routed: Rows[RoutedContainer], proxy: Rows[Proxy]) -> Iterator[Advice]:
    """Routed containers that are not on the network that Traefik is told to use."""
    if not findings:
        return
    outside = [fault.container for fault in faults(findings, NetworkFault)]
    named, own = unique(fault.network for fault in faults(findings, Detached)), _networks(proxy)
    # A network that a label names helps nobody where Traefik is not on it.
    proposed = [network for network in named if network in own] or own or named
    good = [container.container for container in routed if {*(container.reached or ())} & {*proposed}]
    yield Advice(
        sentences(findings) + (f" Y sont déjà : {names(good)}." if good else ""),
        "Sur un autre réseau, Traefik se rabat sur une adresse qu’il choisit, ou n’en trouve aucune.",
        f"Attacher tout conteneur routé à {listing(map(quoted, proposed))}, déclaré « external: true » dans le fichier "
        f"compose de {names(outside)}."
        + (
            " Autre choix : retirer l’option « providers.docker.network », et Traefik prendra pour chaque conteneur un "
            "réseau qu’ils partagent."
            if any(settings.designated in proposed for settings in proxy)
            else ""
        ),
    )


def _networks(proxy: Rows[Proxy]) -> list[str]:
    """The networks of Traefik."""
    return [network for settings in proxy for network in settings.networks or ()]


@rule(NETWORKS, "Un réseau désigné à Traefik", "NET-003")
def designated(findings: list[Finding], proxy: Rows[Proxy]) -> Iterator[Advice]:
    """Routed containers on several networks, none of which is designated."""
    if findings:
        containers = names(fault.container for fault in faults(findings, Unchosen))
        yield Advice(
            f"{containers} : sur plusieurs réseaux, aucun n’étant désigné.",
            "Traefik en prend un, qui peut changer à chaque lecture de sa configuration.",
            f"Régler « providers.docker.network » à l’un des réseaux de Traefik ({listing(_networks(proxy))}), ou "
            "l’étiquette « traefik.docker.network » sur ces conteneurs.",
        )


@rule(NETWORKS, "Un réseau à part pour les bases de données", "NET-007")
def databases_apart(
    findings: list[Finding], database_reach: Rows[DatabaseReach], connections: Rows[Connection] | None = None
) -> Iterator[Advice]:
    """Databases on a network of the proxy or of other projects, with those who are known to use them."""
    if not findings:
        return
    shared = faults(findings, SharedNetwork)
    consumers = {
        fault.database: tuple(sorted(_consumers(fault.database, database_reach, connections or Rows())))
        for fault in shared
    }
    networks = [network for fault in shared for network in fault.networks]
    served: dict[tuple[str, ...], list[str]] = {}
    for database, own in consumers.items():
        served.setdefault(own, []).append(database)
    uses = [f"{names(own)} pour {names(databases)}" for own, databases in served.items() if own]
    alone = served.get((), [])
    yield Advice(
        f"{names(consumers)} : sur {names(networks)}, avec {_neighbours(shared)}.",
        "Un conteneur compromis y joint des bases dont il n’a aucun usage.",
        "Créer un réseau à part pour les bases, sans le proxy, et n’y attacher que leurs consommateurs"
        + (f" : {' ; '.join(uses)}." if uses else ".")
        + (f" Aucun consommateur n’a été vu pour {names(alone)}." if alone else ""),
    )


def _neighbours(shared: list[SharedNetwork]) -> str:
    """Who is on the networks of databases without a use of them, in French."""
    proxies = [fault.proxy for fault in shared if fault.proxy]
    strangers = [stranger for fault in shared for stranger in fault.strangers]
    near = [f"le proxy {names(proxies)}"] if proxies else []
    near += [f"des conteneurs que rien ne relie à toutes ({names(strangers)})"] if strangers else []
    return listing(near)


def _consumers(database: str, reaches: Rows[DatabaseReach], connections: Rows[Connection]) -> set[str]:
    """Who is known to use a database: by a connection string, or by a connection that was observed."""
    strings = {
        reference.partition(" ")[0]
        for reach in reaches.grouped(DatabaseReach.database).get(database, ())
        for reference in reach.references or ()
    }
    observed = connections.grouped(Connection.target).get(database, ())
    return strings | {seen.source for seen in observed if seen.source and seen.source_kind == "container"}


@rule(NETWORKS, "Des noms propres à chaque projet", "COMPOSE-001", "NET-004")
def own_names(findings: list[Finding]) -> Iterator[Advice]:
    """Generic names of containers, and names that several projects answer to."""
    generic, shared = faults(findings, GenericName), of(findings, "NET-004")
    if findings:
        clauses = [f"Noms génériques : {names(fault.container for fault in generic)}."] if generic else []
        yield Advice(
            " ".join([*clauses, *([sentences(shared)] if shared else [])]),
            "Un second ensemble qui prendrait le même nom ne démarrerait pas, ou recevrait les requêtes de l’autre.",
            "Laisser Compose nommer les conteneurs, ou préfixer leur nom et leurs alias par le projet. "
            + fixes(of(findings, "COMPOSE-001")),
        )


@rule(NETWORKS, "Un port de la machine par service", "PORT-001", "PORT-002", "PORT-003")
def own_ports(findings: list[Finding]) -> Iterator[Advice]:
    """Ports of the host that two declarations claim."""
    if findings:
        yield Advice(
            sentences(findings), "Le second à démarrer échoue, souvent à la prochaine relance.", fixes(findings)
        )


@rule(NETWORKS, "Des plages d’adresses distinctes", "NET-005")
def own_subnets(findings: list[Finding]) -> Iterator[Advice]:
    """Subnets that overlap."""
    if findings:
        yield Advice(
            sentences(findings), "Des adresses deviennent injoignables selon la route qui l’emporte.", fixes(findings)
        )
