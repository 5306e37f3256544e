"""Sécurité: what is open that need not be, what lacks a protection, what is out of date, what is accepted."""

from collections import defaultdict
from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import EVERY_ADDRESS
from auditlib.facts.legacy import records
from auditlib.findings.audit import Finding
from auditlib.french import day, listing, plural, quoted
from auditlib.recommendations import SECURITY, Advice, facts, mended, names, of, rows, rule, told
from auditlib.traefik.protection import PROTECTIONS, expanded, protection

# A waiver is renewed, or what it accepts mended, before it ends.
_NOTICE_DAYS = 30


@rule(SECURITY, "Ne publier que ce que l’extérieur doit joindre", "PORT-004", "PORT-005", "PORT-006")
def unneeded(found: list[Finding]) -> Iterator[Advice]:
    """Publications that the proxy or a Docker network makes useless."""
    if found:
        places = [f"{quoted(one.subjects[0][1])} (port {one.evidence['host_port']})" for one in found]
        yield Advice(
            f"Publiés sur toutes les interfaces sans nécessité : {listing(dict.fromkeys(places))}.",
            "Qui atteint la machine les atteint, sans passer par les protections de Traefik.",
            "Retirer ces publications : Traefik et les autres conteneurs passent par les réseaux Docker. Pour un usage "
            "depuis la machine, les faire précéder de « 127.0.0.1: ».",
        )


@rule(SECURITY, "Réserver à la machine ce qui ne sert qu’à elle", "CIS-5.14", "PORT-004", "PORT-005", "PORT-006")
def perhaps_local(
    found: list[Finding], proxy: pd.DataFrame, publications: pd.DataFrame, routed: pd.DataFrame | None = None
) -> Iterator[Advice]:
    """Other publications on every interface: neither the proxy's nor judged by a check of ports."""
    known = {row["container"] for row in [*records(proxy), *rows(routed)]}
    known |= set(facts(of(found, "PORT-004", "PORT-005", "PORT-006"), "container"))
    other = [one for one in of(found, "CIS-5.14") if one.evidence["container"] not in known]
    wide = defaultdict(set)
    for row in records(publications):
        if row["live"] and row["host_ip"] in EVERY_ADDRESS:
            wide[row["container"]].add(row["host_port"])
    places = [
        f"{quoted(name)} ({listing(map(str, sorted(wide[name])))})" for name in facts(other, "container") if wide[name]
    ]
    if places:
        yield Advice(
            f"Ouverts à tous sans passer par Traefik : {listing(places)}.",
            "Rien ne dit ici qui s’en sert ; un port dont seule la machine a besoin n’a pas à être vu du réseau.",
            "Pour chacun, le faire précéder de « 127.0.0.1: », ou le router par Traefik avec ses protections, sauf si "
            "l’extérieur doit le joindre directement.",
            other,
        )


@rule(SECURITY, "Limiter les interfaces d’administration", "ROUTE-014", "HTTP-005")
def interfaces(found: list[Finding]) -> Iterator[Advice]:
    """Interfaces of administration that answer to anybody."""
    if found:
        yield Advice(told(found), "Elles montrent tout, ou laissent tout faire.", mended(found))


@rule(SECURITY, "Les mêmes protections pour tous les routeurs", "ROUTE-009", "HTTP-003")
def protections(found: list[Finding]) -> Iterator[Advice]:
    """Routers that lack what their neighbours have."""
    if not found:
        return
    lacking = of(found, "ROUTE-009")
    proposed, points = facts(lacking, "proposed"), facts(lacking, "entrypoint")
    again = (
        f" Pour que le prochain routeur n’en manque pas, déclarer une fois {names(proposed)} au point d’entrée "
        f"{listing(map(quoted, points))} (« http.middlewares »), si tous ses routeurs les supportent."
    )
    yield Advice(
        told(found),
        "Le domaine le moins protégé est celui par lequel on entre.",
        mended(lacking or found) + (again if proposed else ""),
    )


@rule(SECURITY, "Les protections en service", "ROUTE-009", keep=True)
def shields(found: list[Finding], traefik_middlewares: pd.DataFrame) -> Iterator[Advice]:
    """Protections that Traefik applies to several routers of somebody's own, chains of them included."""
    middlewares = {row["middleware"]: row for row in records(traefik_middlewares) if row["protocol"] == "http"}
    kinds = {name: protection(name, row["type"]) for name, row in middlewares.items()}
    chains = {name: row["chain"] for name, row in middlewares.items()}
    used = {
        name: [router for router in row["used_by"] or () if not router.endswith("@internal")]
        for name, row in middlewares.items()
        if row["status"] == "enabled" and {kinds.get(one) for one in expanded([name], chains)} & PROTECTIONS.keys()
    }
    shared = [f"{quoted(name)} ({plural(len(own), 'routeur')})" for name, own in used.items() if len(own) > 1]
    if shared:
        yield Advice(
            f"En service sur plusieurs routeurs : {listing(shared)}.",
            "Elles valent pour tous tant que personne ne les retire.",
            "Les garder.",
            (),
        )


@rule(SECURITY, "Un mot de passe pour chaque base", "DB-004", "DB-005")
def passwords(found: list[Finding]) -> Iterator[Advice]:
    """Databases that answer to anybody who reaches them, or listen to the whole network."""
    if found:
        yield Advice(told(found), "Le réseau est alors leur seule défense.", mended(found))


@rule(SECURITY, "Un relais devant le socket de Docker", "CIS-5.32")
def socket(found: list[Finding]) -> Iterator[Advice]:
    """Containers that hold the engine's socket."""
    if not found:
        return
    writable = facts([one for one in found if one.evidence["writable"]], "container")
    reading = facts([one for one in found if not one.evidence["writable"]], "container")
    said = [f"{names(reading)} : monté en lecture seule"] if reading else []
    said += [f"{names(writable)} : monté en écriture"] if writable else []
    yield Advice(
        f"Le socket de Docker est dans des conteneurs ; {' ; '.join(said)}.",
        "Même en lecture seule, un montage n’arrête aucun appel à l’API : qui prend ce conteneur prend la machine.",
        ("Garder la lecture seule, et mettre" if reading else "Mettre")
        + " un proxy de socket qui ne laisse passer que les GET utiles ; lui seul garde le socket.",
    )


@rule(SECURITY, "Les mêmes options TLS pour un même domaine")
def tls_options(found: list[Finding], traefik_routers: pd.DataFrame, routes: pd.DataFrame) -> Iterator[Advice]:
    """Domains whose routers name different TLS options: Traefik then serves the default ones to all."""
    options = {row["router"]: row["tls_options"] for row in records(traefik_routers) if row["tls"]}
    named: dict[str, set[str]] = defaultdict(set)
    for row in records(routes):
        if row["domain"] and options.get(row["router"]):
            named[row["domain"]].add(options[row["router"]])
    mixed = {domain: own for domain, own in named.items() if len(own) > 1}
    if mixed:
        said = [f"{quoted(domain)} ({listing(sorted(own))})" for domain, own in mixed.items()]
        yield Advice(
            f"Options TLS différentes selon le routeur d’un même domaine : {listing(said)}.",
            "Elles se négocient avant que la route soit connue : Traefik revient alors aux options par défaut.",
            "Donner les mêmes options à tous les routeurs de chaque domaine, ou les déclarer au point d’entrée.",
        )


@rule(SECURITY, "Des versions fixes et à jour", "LOG-003", "CONT-006")
def versions(found: list[Finding]) -> Iterator[Advice]:
    """Updates that programs announce, and images without a fixed version."""
    announced, floating = of(found, "LOG-003"), of(found, "CONT-006")
    if found:
        loose = [f"Sans version fixe : {names(facts(floating, 'container'))}."] if floating else []
        todo = [mended(announced)] if announced else []
        todo += ["Fixer la version de ces images, pour choisir le jour où elles changent."] if floating else []
        yield Advice(
            " ".join([*([told(announced)] if announced else []), *loose]),
            "Une mise à jour se choisit : ni oubliée, ni subie.",
            " ".join(todo),
        )


@rule(SECURITY, "Des dérogations qui ne survivent pas à leur motif", "WAIVER-001", "WAIVER-002")
def waivers_ending(found: list[Finding], waivers: pd.DataFrame) -> Iterator[Advice]:
    """Waivers that have ended or designate nothing, and those that end within a month of the snapshot."""
    near = [row for row in records(waivers) if row["days_left"] is not None and 0 <= row["days_left"] <= _NOTICE_DAYS]
    if found or near:
        said = [f"{row['check']} sur {quoted(row['subject'])}, le {day(row['expires'])}" for row in near]
        yield Advice(
            " ".join([*([told(found)] if found else []), *([f"Expirent bientôt : {listing(said)}."] if said else [])]),
            "Le jour venu, le constat revient sans que rien n’ait changé sur la machine.",
            "Corriger ce qu’elles acceptent, ou les renouveler avec une nouvelle date et un motif qui vaut encore.",
        )
