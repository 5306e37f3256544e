"""Réseaux: which networks to share and which not, which names and ports to use on them."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.audit import Finding
from auditlib.french import listing, quoted
from auditlib.recommendations import NETWORKS, Advice, facts, mended, names, of, rows, rule, told


@rule(NETWORKS, "Un seul réseau entre Traefik et ce qu’il sert", "NET-001", "NET-002")
def one_network(found: list[Finding], routed: pd.DataFrame, proxy: pd.DataFrame) -> Iterator[Advice]:
    """Routed containers that are not on the network that Traefik is told to use."""
    if not found:
        return
    outside = facts(found, "container")
    settings: Record = next(iter(records(proxy)), {})
    named, own = facts(of(found, "NET-001"), "network"), list(settings.get("networks") or ())
    # A network that a label names helps nobody where Traefik is not on it.
    wanted = [one for one in named if one in own] or own or named
    good = [row["container"] for row in records(routed) if set(row["reached"] or ()) & set(wanted)]
    yield Advice(
        told(found) + (f" Y sont déjà : {names(good)}." if good else ""),
        "Sur un autre réseau, Traefik se rabat sur une adresse qu’il choisit, ou n’en trouve aucune.",
        f"Attacher tout conteneur routé à {listing(map(quoted, wanted))}, déclaré « external: true » dans le fichier "
        f"compose de {names(outside)}."
        + (
            " Autre choix : retirer l’option « providers.docker.network », et Traefik prendra pour chaque conteneur un "
            "réseau qu’ils partagent."
            if settings.get("designated") in wanted
            else ""
        ),
    )


@rule(NETWORKS, "Un réseau désigné à Traefik", "NET-003")
def designated(found: list[Finding], proxy: pd.DataFrame) -> Iterator[Advice]:
    """Routed containers on several networks, none of which is designated."""
    if found:
        own = [name for row in records(proxy) for name in row["networks"] or ()]
        yield Advice(
            f"{names(facts(found, 'container'))} : sur plusieurs réseaux, aucun n’étant désigné.",
            "Traefik en prend un, qui peut changer à chaque lecture de sa configuration.",
            f"Régler « providers.docker.network » à l’un des réseaux de Traefik ({listing(own)}), ou l’étiquette "
            "« traefik.docker.network » sur ces conteneurs.",
        )


@rule(NETWORKS, "Un réseau à part pour les bases de données", "NET-007")
def databases_apart(
    found: list[Finding], database_reach: pd.DataFrame, connections: pd.DataFrame | None = None
) -> Iterator[Advice]:
    """Databases on a network of the proxy or of other projects, with those who are known to use them."""
    if not found:
        return
    consumers: dict[str, dict[str, None]] = {name: {} for name in facts(found, "database")}
    for row in records(database_reach):
        for reference in row["references"] or ():
            consumers.get(row["database"], {})[reference.partition(" ")[0]] = None
    for row in rows(connections):
        if row["target"] in consumers and row["source_kind"] == "container":
            consumers[row["target"]][row["source"]] = None
    proxy, strangers = facts(found, "proxy"), facts(found, "strangers")
    near = [f"le proxy {names(proxy)}"] if proxy else []
    near += [f"des conteneurs que rien ne relie à toutes ({names(strangers)})"] if strangers else []
    served: dict[tuple[str, ...], list[str]] = {}
    for database, own in consumers.items():
        served.setdefault(tuple(sorted(own)), []).append(database)
    known = [f"{names(own)} pour {names(databases)}" for own, databases in served.items() if own]
    alone = served.get((), [])
    yield Advice(
        f"{names(consumers)} : sur {names(facts(found, 'networks'))}, avec {listing(near)}.",
        "Un conteneur compromis y joint des bases dont il n’a aucun usage.",
        "Créer un réseau à part pour les bases, sans le proxy, et n’y attacher que leurs consommateurs"
        + (f" : {' ; '.join(known)}." if known else ".")
        + (f" Aucun consommateur n’a été vu pour {names(alone)}." if alone else ""),
    )


@rule(NETWORKS, "Des noms propres à chaque projet", "COMPOSE-001", "NET-004")
def own_names(found: list[Finding]) -> Iterator[Advice]:
    """Generic names of containers, and names that several projects answer to."""
    generic, shared = of(found, "COMPOSE-001"), of(found, "NET-004")
    if found:
        said = [f"Noms génériques : {names(facts(generic, 'container'))}."] if generic else []
        yield Advice(
            " ".join([*said, *([told(shared)] if shared else [])]),
            "Un second ensemble qui prendrait le même nom ne démarrerait pas, ou recevrait les requêtes de l’autre.",
            "Laisser Compose nommer les conteneurs, ou préfixer leur nom et leurs alias par le projet. "
            + mended(generic),
        )


@rule(NETWORKS, "Un port de la machine par service", "PORT-001", "PORT-002", "PORT-003")
def own_ports(found: list[Finding]) -> Iterator[Advice]:
    """Ports of the host that two declarations claim."""
    if found:
        yield Advice(told(found), "Le second à démarrer échoue, souvent à la prochaine relance.", mended(found))


@rule(NETWORKS, "Des plages d’adresses distinctes", "NET-005")
def own_subnets(found: list[Finding]) -> Iterator[Advice]:
    """Subnets that overlap."""
    if found:
        yield Advice(told(found), "Des adresses deviennent injoignables selon la route qui l’emporte.", mended(found))
