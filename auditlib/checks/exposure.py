"""PORT: what the ports of the machine open to the network."""

import re
from collections.abc import Container, Iterator, Mapping

import pandas as pd

from auditlib.addresses import host_and_port, is_loopback
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.host import Listener
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.software import interface
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.protection import expanded, protection
from auditlib.views.ports import EVERYWHERE, Claim, claim, exposure
from auditlib.views.proxy import traefiks


def written(declarations: pd.DataFrame | None, container: Record, publication: Record) -> str:
    """Where a file asks for a publication, as the end of a clause: « dans « fichier », ligne 14 »; "" when unknown."""
    for row in records(declarations) if declarations is not None else []:
        asked = row["kind"] == "port" and row["file"] and row["line"] is not None and row["running"]
        own = (row["project"], row["service"]) == (container.get("compose_project"), container.get("compose_service"))
        same = (row["container_port"], row["host_port"]) == (publication["container_port"], publication["host_port"])
        if asked and own and same:
            return f" dans {quoted(row['file'])}, ligne {row['line']}"
    return ""


def _binding(container: Record, binding: str) -> str:
    """How a publication is written where the container is declared."""
    return f"{quoted(binding)} sous « ports: »" if container["compose_project"] else quoted(f"-p {binding}")


def _again(container: Record) -> str:
    return "le service" if container["compose_project"] else "le conteneur"


def _everywhere(publications: pd.DataFrame) -> list[Record]:
    """The TCP publications in force on every address of a family, those of both families once."""
    found: dict[tuple[str, int, int], Record] = {}
    for row in records(publications):
        if row["live"] and row["protocol"] == "tcp" and exposure([row["host_ip"]]) == EVERYWHERE:
            found.setdefault((row["container"], row["container_port"], row["host_port"]), row)
    return list(found.values())


def _name(row: Record) -> str:
    one = claim(row)
    return one.name if one else ""


@check(
    "PORT-005",
    "medium",
    "Aucune interface interne n’est ouverte sur toutes les interfaces",
    key=("container", "port"),
    message="L’interface {of} ({holder}) est ouverte à tout le réseau par le port {host_port} de la machine, "
    "{protection}.",
    fix=Fix(
        "{mend}",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlntup sport = :{host_port}"),
    ),
)
def interfaces_private(
    publications: pd.DataFrame,
    containers: pd.DataFrame,
    listeners: Rows[Listener] | None = None,
    traefik_static: pd.DataFrame | None = None,
    declarations: pd.DataFrame | None = None,
    entrypoints: pd.DataFrame | None = None,
    traefik_middlewares: pd.DataFrame | None = None,
    container_listeners: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Interfaces of the list of `software.interface` on every address, and Traefik's metrics and ping.

    They are published, or listened to by a process or a container that is on the machine's own network. Traefik's
    API and Docker's own socket have their own checks.
    """
    known = {row["name"]: row for row in records(containers)}
    traefik = _entrances(traefik_static, _screened(entrypoints, traefik_middlewares))
    for row in _everywhere(publications):
        container = known[row["container"]]
        own = traefik.get(row["container"], {}).get(row["container_port"])
        found = (own, False) if own else interface(container["image"], row["container_port"])
        if found:
            local = f"127.0.0.1:{row['host_port']}:{row['container_port']}"
            yield {
                "container": row["container"],
                "port": _name(row),
                "host_port": row["host_port"],
                "container_port": row["container_port"],
                "image": container["image"],
                **_judged(*found),
                "wording": {
                    **_worded(*found, f"conteneur {quoted(row['container'])}"),
                    "mend": "Ne pas publier ce port : ce qui le lit le joint par un réseau Docker. S’il faut y accéder "
                    f"depuis la machine, le publier sur 127.0.0.1 ({_binding(container, local)})"
                    f"{written(declarations, container, row)}, puis recréer {_again(container)}.",
                    **compose(container),
                },
            }
    yield from _listened(listeners, known, traefik)
    if listeners is None:
        raise AbsentTable("listeners", "les écoutes de la machine n’ont pas été lues")
    heard = records(container_listeners) if container_listeners is not None else None
    if traefik_static is None and traefiks(known.values(), heard):
        raise AbsentTable("traefik_static", "la configuration statique de Traefik n’a pas été lue")


def _judged(kind: str, authenticates: bool) -> Record:
    return {"interface": kind, "severity": "info" if authenticates else None}


def _worded(kind: str, authenticates: bool, holder: str) -> Record:
    return {
        "of": kind if kind.startswith("de ") else f"d’{kind}" if kind[0].lower() in "aeiou" else f"de {kind}",
        "holder": holder,
        "protection": "et n’a que son mot de passe pour la protéger" if authenticates else "sans mot de passe",
    }


def _listened(
    listeners: Rows[Listener] | None, containers: Mapping[str, Record], traefik: Mapping[str, Mapping[int, str]]
) -> Iterator[Record]:
    """Interfaces that are heard on the machine's own network, without a publication."""
    told = set()
    for row in listeners or ():
        container = containers.get(row["container"] or "", {})
        published = row["container"] and container.get("network_mode") != "host"
        if published or row["protocol"] != "tcp" or exposure([row["address"]]) != EVERYWHERE:
            continue
        program = container["image"] if container else row["unit"] or row["process"]
        own = traefik.get(row["container"] or "", {}).get(row["port"])
        found = (own, False) if own else interface((program or "").removesuffix(".service"), row["port"])
        name = row["container"] or row["unit"] or row["process"]
        if not found or (name, row["port"]) in told:
            continue
        told.add((name, row["port"]))
        holder = f"{'conteneur' if container else 'unité' if row['unit'] else 'processus'} {quoted(name)}"
        one = _name(row)
        yield {
            "port": one,
            "host_port": row["port"],
            "process": row["process"],
            **_judged(*found),
            "subjects": (("container" if container else "unit" if row["unit"] else "listener", name), ("port", one)),
            "wording": {
                **_worded(*found, holder),
                "mend": "Le faire écouter sur 127.0.0.1, ou sur l’adresse du réseau Docker de ce qui le lit, puis le "
                "redémarrer.",
                **(compose(container) if container else {}),
            },
        }


def _screened(entrypoints: pd.DataFrame | None, traefik_middlewares: pd.DataFrame | None) -> set[str]:
    """The entry points whose middlewares let only some pass, or may: Traefik's API did not tell what each one is."""
    rows = records(traefik_middlewares) if traefik_middlewares is not None else []
    types = {row["middleware"]: row["type"] for row in rows if row["protocol"] == "http"}
    chains = {row["middleware"]: row["chain"] for row in rows if row["protocol"] == "http"}

    def screens(name: str) -> bool:
        return name not in types or protection(name, types[name]) in ("authentication", "filter", "unknown")

    return {
        row["entrypoint"].lower()
        for row in (records(entrypoints) if entrypoints is not None else [])
        if any(map(screens, expanded(row["middlewares"] or (), chains)))
    }


def _entrances(traefik_static: pd.DataFrame | None, screened: Container[str]) -> dict[str, dict[int, str]]:
    """By Traefik container, the ports of the entry points that serve its metrics or its ping to anybody.

    Both are on the entry point « traefik » unless `entryPoint` says otherwise, and on none with `manualRouting`
    (`pkg/provider/traefik/internal.go`). The middlewares of an entry point apply to them.
    """
    found: dict[str, dict[int, list[str]]] = {}
    rows = [row for row in records(traefik_static) if row["effective"]] if traefik_static is not None else []
    options = {row["key"]: row["value"] or "" for row in rows}
    container = next((row["container"] for row in rows if row["container"]), None)
    for option, what in (("metrics.prometheus", "de métriques"), ("ping", "de ping")):
        on = options.get(option, "true") in TRUE and any(re.match(rf"{option}(\.|$)", key) for key in options)
        entrypoint = (options.get(f"{option}.entrypoint") or "traefik").lower()
        if not container or not on or entrypoint in screened or options.get(f"{option}.manualrouting") in TRUE:
            continue
        address = options.get(f"entrypoints.{entrypoint}.address") or (":8080" if entrypoint == "traefik" else "")
        place, port = host_and_port(address)
        if port is not None and not is_loopback(place):
            found.setdefault(container, {}).setdefault(port, []).append(what)
    return {
        name: {port: f"{listing(what)} de Traefik" for port, what in ports.items()} for name, ports in found.items()
    }


@check(
    "PORT-006",
    "medium",
    "Aucun conteneur routé n’est joignable sans passer par Traefik",
    key=("container", "port"),
    message="Le conteneur « {container} » reçoit les requêtes de Traefik sur son port {container_port}, et publie ce "
    "port sur toutes les interfaces, port {host_port} de la machine : {bypassed}.",
    fix=Fix(
        "{mend} Puis recréer {again}.",
        ("{compose} up -d {service}",),
        ("docker port {container}", "ss -Hlntup sport = :{host_port}"),
    ),
)
def proxy_not_bypassed(
    publications: pd.DataFrame,
    containers: pd.DataFrame,
    routes: pd.DataFrame | None = None,
    predicted_servers: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    declarations: pd.DataFrame | None = None,
    proxy: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Publications on every address of the very port that a route of Traefik leads to.

    Without Traefik's API, the routes are those that it must have made. Traefik's own ports are its entry points, even
    where it routes to itself. A Traefik that calls the publication itself needs it, on one address.
    """
    if routes is not None:
        ways = records(routes)
    elif predicted_servers is not None and predicted_routers is not None:
        ways = list(_predicted(records(predicted_servers), records(predicted_routers)))
    else:
        raise AbsentTable("traefik_routers", "les routes de Traefik n’ont pas été lues")
    known = {row["name"]: row for row in records(containers)}
    own = {row["network_container"] or row["container"] for row in records(proxy)} if proxy is not None else set()
    leading: dict[tuple[str, str, int], list[Record]] = {}
    for route in ways:
        kind, holder = ("machine", route["target"]) if route["kind"] == "machine" else ("", route["container"])
        if holder and route["port"] is not None and route["protocol"] != "udp":
            leading.setdefault((kind, holder, route["port"]), []).append(route)
    for row in _everywhere(publications):
        inside = leading.get(("", row["container"], row["container_port"]), [])
        found = inside or leading.get(("machine", row["container"], row["host_port"]), [])
        if found and row["container"] not in own:
            container = known[row["container"]]
            middlewares = sorted({name for route in found for name in route["middlewares"] or ()})
            yield {
                "container": row["container"],
                "port": _name(row),
                "host_port": row["host_port"],
                "container_port": row["container_port"],
                "routers": sorted({route["router"] for route in found}),
                "middlewares": middlewares,
                "wording": {
                    "bypassed": f"ce chemin contourne {listing(map(quoted, middlewares))}"
                    if middlewares
                    else "ce chemin contourne Traefik, son TLS et son journal",
                    "mend": _private(container, row, declarations, None if inside else found[0]),
                    "again": _again(container),
                    **compose(container),
                },
            }


def _private(container: Record, publication: Record, declarations: pd.DataFrame | None, route: Record | None) -> str:
    """How to publish no more than Traefik needs: nothing, unless a route calls the publication itself."""
    place = written(declarations, container, publication)
    ports = f"{publication['host_port']}:{publication['container_port']}"
    if route is None:
        return (
            f"Retirer cette publication{place} : Traefik joint le conteneur par leur réseau Docker. S’il faut y "
            f"accéder depuis la machine, publier sur 127.0.0.1 ({_binding(container, f'127.0.0.1:{ports}')})."
        )
    called = host_and_port(route["server"])[0]
    address = "127.0.0.1" if called == "localhost" else f"[{called}]" if ":" in called else called
    written_so = f" ({_binding(container, f'{address}:{ports}')})" if re.fullmatch(r"[\d.]+|\[.*\]", address) else ""
    return f"Ne publier ce port{place} que sur l’adresse que Traefik appelle, {called}{written_so}."


def _predicted(servers: list[Record], routers: list[Record]) -> Iterator[Record]:
    """The routes of a prediction, as far as one router leads straight to one server."""
    for server in servers:
        for router in routers:
            if (router["service"], router["protocol"]) == (server["service"], server["protocol"]):
                yield {
                    **router,
                    "kind": None,
                    "container": server["container"],
                    "port": host_and_port(server["url"] or "")[1],
                }


@check(
    "PORT-009",
    "low",
    "Aucun port publié n’est pris dans ceux que le noyau donne aux clients",
    key=("container", "port"),
    message="Le port {port} {claimed} est dans la plage {first}-{last} que le noyau donne aux connexions sortantes : "
    "l’une d’elles peut le tenir au moment où le conteneur démarre.",
    fix=Fix(
        "Publier sur un port inférieur à {first}{place}. Autre remède : réserver le port au noyau, en l’ajoutant à "
        "ceux que « net.ipv4.ip_local_reserved_ports » réserve déjà.",
        ("{compose} up -d {service}",),
        ("docker port {container}",),
    ),
)
def ports_not_ephemeral(
    publications: pd.DataFrame,
    containers: pd.DataFrame,
    host: pd.DataFrame,
    declarations: pd.DataFrame | None = None,
    compose_ports: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Ports asked for by their number in the kernel's ephemeral range; those that the engine chose are its own."""
    machine: Record = next(iter(records(host)), {})
    first, last = machine.get("ephemeral_first"), machine.get("ephemeral_last")
    if machine and (first is None or last is None):
        raise AbsentTable("host", "la plage des ports éphémères n’a pas été lue")
    known = {row["name"]: row for row in records(containers)}
    told = set()

    def finding(one: Claim, own: Record, subject: tuple[str, str], wording: Record) -> Iterator[Record]:
        key = (subject, one.protocol, one.first)
        if first is not None and last is not None and one.first <= last and one.last >= first and key not in told:
            told.add(key)
            bounds = {"first": first, "last": last}
            yield {**own, "port": one.name, **bounds, "subjects": (subject, ("port", one.name)), "wording": wording}

    for row in records(publications):
        # Unknown in snapshots that are older than this column: then who chose is not known either.
        if row["chosen"] is False and (one := claim(row)):
            container = known[row["container"]]
            yield from finding(
                one,
                {"container": row["container"]},
                ("container", row["container"]),
                {
                    "claimed": f"du conteneur {quoted(row['container'])}",
                    "place": written(declarations, container, row),
                    **compose(container),
                },
            )
    for row in records(declarations) if declarations is not None else []:
        asked = row["kind"] == "port" and row["origin"] == "file" and not row["running"] and not row["chosen"]
        if asked and row["file"] and (one := claim(row)):
            line = f", ligne {row['line']}" if row["line"] is not None else ""
            claimed = f"que réclame le service {quoted(row['service'])} de {quoted(row['file'])}{line},"
            yield from finding(
                one,
                {"compose_file": row["file"], "service": row["service"]},
                ("compose_file", row["file"]),
                {"claimed": claimed, "place": f" dans {quoted(row['file'])}{line}", "service": None},
            )
    if compose_ports is None:
        raise AbsentTable("compose_ports", "les fichiers compose du disque n’ont pas été lus")


@check(
    "PORT-010",
    "info",
    "Chaque service est publié sur les mêmes familles d’adresses que ses voisins",
    key=("container", "port"),
    message="Le conteneur « {container} » n’est publié qu’en {family} sur le port {host_port}, quand {siblings} le "
    "sont en IPv4 et en IPv6 : qui l’appelle en {other} n’a pas de réponse.",
    fix=Fix(
        "Si ce n’est pas voulu, retirer l’adresse devant le port ({binding}){place}, puis recréer {again}.",
        ("{compose} up -d {service}",),
        ("docker port {container}",),
    ),
)
def both_families(
    publications: pd.DataFrame, containers: pd.DataFrame, declarations: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Publications on every address of one family, while all others of the project are on both.

    A precise address is a choice, and tells nothing of the other family.
    """
    known = {row["name"]: row for row in records(containers)}
    served: dict[tuple[str, str, int, int], list[Record]] = {}
    for row in records(publications):
        if row["live"] and exposure([row["host_ip"]]) == EVERYWHERE:
            key = (row["container"], row["protocol"], row["container_port"], row["host_port"])
            served.setdefault(key, []).append(row)
    both = {key for key, rows in served.items() if len({row["host_ip"] for row in rows}) > 1}
    for key, rows in served.items():
        container = known[key[0]]
        project = container["compose_project"]
        siblings = [other for other in served if other != key and known[other[0]]["compose_project"] == project]
        if key in both or not siblings or not set(siblings) <= both:
            continue
        ipv6 = ":" in rows[0]["host_ip"]
        names = sorted({name for name, *_ in siblings})
        yield {
            "container": key[0],
            "port": _name(rows[0]),
            "host_port": key[3],
            "siblings": names,
            "wording": {
                "family": "IPv6" if ipv6 else "IPv4",
                "other": "IPv4" if ipv6 else "IPv6",
                "siblings": "ses autres ports" if names == [key[0]] else f"les ports de {listing(map(quoted, names))}",
                "binding": _binding(container, f"{key[3]}:{key[2]}" + ("" if key[1] == "tcp" else f"/{key[1]}")),
                "again": _again(container),
                "place": written(declarations, container, rows[0]),
                **compose(container),
            },
        }
