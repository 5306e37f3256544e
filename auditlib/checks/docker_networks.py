"""NET: the Docker networks themselves: their addresses, what is on them, who declares them."""

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from posixpath import join

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.software import is_attached
from auditlib.views.proxy import traefiks

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Networks that an engine makes by itself: Docker's, Docker's for swarm, Podman's.
_BUILT_IN = frozenset({"bridge", "host", "none", "ingress", "docker_gwbridge", "podman"})
# Drivers whose networks are, on purpose, on the subnet of one of the machine's own interfaces.
_OUTSIDE = frozenset({"macvlan", "ipvlan"})


def _parsed(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _is_default(route: Network) -> bool:
    """Whether a route is the default one, or one of the halves that a VPN puts before it."""
    return route.prefixlen <= (1 if route.version == 4 else 3)


@check(
    "NET-005",
    "medium",
    "Aucun réseau Docker ne recouvre un autre réseau",
    key=("network",),
    message="Le sous-réseau {subnet} du réseau « {network} » recouvre {other} : {effect}.",
    fix=Fix(
        "Donner au réseau « {network} » un sous-réseau libre (« ipam: » dans le fichier compose, ou « docker network "
        "create --subnet »), et recréer ses conteneurs. Pour les réseaux à venir : régler « default-address-pools » "
        "dans la configuration du démon.",
        (),
        ("docker network inspect --format '{{{{json .IPAM.Config}}}}' {network}",),
    ),
)
def subnets_distinct(
    networks: pd.DataFrame, host_routes: pd.DataFrame | None = None, host_addresses: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Subnets that overlap those of another network, or a route of the machine that is not Docker's own.

    Docker's own routes lead to the bridge of a network: the interface that holds its gateway's address.
    """
    known = records(networks)
    subnets = [(row, net) for row in known for text in row["subnets"] or () if (net := _parsed(text))]
    for (one, first), (other, second) in combinations(subnets, 2):
        if one["id"] != other["id"] and _overlap(first, second):
            yield {
                "network": one["name"],
                "subnet": str(first),
                "other": other["name"],
                "other_subnet": str(second),
                "subjects": (("network", one["name"]), ("network", other["name"])),
                "wording": {
                    "other": f"{second} du réseau {quoted(other['name'])}",
                    "effect": "des paquets destinés à l’un partent vers l’autre",
                },
            }
    if host_routes is None or host_addresses is None:
        raise AbsentTable("host_routes", "les routes de la machine n’ont pas été lues")
    bridges = _bridges(known, records(host_addresses))
    for route in records(host_routes):
        destination = _parsed(route["destination"])
        if destination is None or _is_default(destination):
            continue
        own = bridges.get(route["interface"], [])
        if any(_within(destination, net) for net in own):
            continue
        for row, net in subnets:
            if row["driver"] not in _OUTSIDE and _overlap(net, destination):
                yield {
                    "network": row["name"],
                    "subnet": str(net),
                    "route": str(destination),
                    "interface": route["interface"],
                    "gateway": route["gateway"],
                    "subjects": (("network", row["name"]), ("network", str(destination))),
                    "wording": {
                        "other": f"la route {destination} de la machine (interface {quoted(route['interface'])})",
                        "effect": "des machines de l’un des deux ne sont pas joignables",
                    },
                }


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def _bridges(networks: list[Record], addresses: list[Record]) -> dict[str, list[Network]]:
    """The subnets that Docker itself routes, by interface."""
    found: dict[str, list[Network]] = {}
    held: dict[str, set[str]] = {}
    for row in addresses:
        held.setdefault(row["address"], set()).add(row["interface"])
    for row in networks:
        if row["driver"] not in _OUTSIDE:
            interfaces = {f"br-{row['id'][:12]}"} if row["id"] else set()
            interfaces |= {one for gateway in row["gateways"] or () for one in held.get(gateway, ())}
            interfaces |= {"docker0"} if row["name"] == "bridge" else set()
            nets = [net for text in row["subnets"] or () if (net := _parsed(text))]
            for interface in interfaces:
                found.setdefault(interface, []).extend(nets)
    return found


@check(
    "NET-006",
    "info",
    "Chaque réseau Docker sert à un conteneur",
    key=("network",),
    confidence="probable",
    message="Le réseau « {network} » n’a aucun conteneur, et aucun fichier compose lu ne le déclare.",
    fix=Fix(
        "Le supprimer s’il ne sert plus : le moteur refuse tant qu’un conteneur y est attaché.",
        ("docker network rm {network}",),
        ("docker network inspect --format '{{{{json .Containers}}}}' {network}",),
    ),
)
def networks_used(
    networks: pd.DataFrame, container_networks: pd.DataFrame, compose_resources: pd.DataFrame
) -> Iterator[Record]:
    """Networks without a container, stopped ones included, that no file declares.

    Swarm's are left out: the tasks that use them may run elsewhere.
    """
    used = {row["network"] for row in records(container_networks)}
    used |= {row["name"] for row in records(compose_resources) if row["kind"] == "network"}
    for row in records(networks):
        if row["name"] not in used | _BUILT_IN and row["scope"] != "swarm":
            project = row["compose_project"]
            yield {"network": row["name"], "driver": row["driver"], "project": project, "subnets": row["subnets"]}


@check(
    "NET-007",
    "medium",
    "Aucune base ne partage de réseau avec qui ne s’en sert pas",
    key=("database",),
    confidence="probable",
    message="La base « {database} » ({kind}) partage le réseau {networks} avec {others}, sans que rien ne les relie à "
    "elle : ni chaîne de connexion, ni connexion observée, ni route.",
    fix=Fix(
        "Mettre « {database} » sur un réseau à part, y attacher {users}, et retirer la base de {networks}{place}, puis "
        "recréer ces services.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",),
    ),
)
def databases_apart(
    databases: pd.DataFrame,
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    connection_strings: pd.DataFrame,
    connections: pd.DataFrame,
    proxy: pd.DataFrame | None = None,
    routed: pd.DataFrame | None = None,
    compose_services: pd.DataFrame | None = None,
    container_listeners: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Databases on a network with the proxy, or with other projects, when nobody of them refers to the database.

    To refer: a connection string, a connection that was observed, for the proxy a route. A configuration file may
    hold an address that the audit does not see: hence only probable.
    """
    known = {row["name"]: row for row in records(containers)}
    attached = {name for name, row in known.items() if is_attached(row["state"])}
    settings = records(proxy)[0] if proxy is not None else {}
    traefik = settings.get("network_container")
    routes = {row["container"] for row in records(routed)} if routed is not None else set()
    members: dict[str, set[str]] = {}
    for row in records(container_networks):
        if row["container"] in attached and row["network"] not in ("host", "none"):
            members.setdefault(row["network"], set()).add(row["container"])
    for row in records(databases):
        name = row["container"]
        if name not in attached:
            continue
        users = {one["container"] for one in records(connection_strings) if name in (one["targets"] or ())}
        users |= {one["source"] for one in records(connections) if one["target"] == name and _container(one)}
        users |= {traefik} if name in routes else set()
        own = known[name]["compose_project"] or name
        found: dict[str, tuple[bool, set[str]]] = {}
        for network, ends in members.items():
            if name in ends:
                strangers = {one for one in ends - {name, traefik} if (known[one]["compose_project"] or one) != own}
                exposed = traefik in ends and traefik not in users
                # One of them that refers to it is a reason to share the network, which the proxy takes away.
                if exposed or (strangers and not strangers & users):
                    found[network] = exposed, strangers - users
        if found:
            proxied = any(exposed for exposed, _ in found.values())
            strangers = {one for _, idle in found.values() for one in idle}
            yield {
                "database": row["database"],
                "kind": row["kind"],
                "container": name,
                "networks": sorted(found),
                "proxy": traefik if proxied else None,
                "strangers": sorted(strangers),
                "users": sorted(users),
                "wording": _apart(found, traefik if proxied else None, strangers, users, known)
                | {"place": _networks_place(compose_services, known[name]), **compose(known[name])},
            }
    heard = records(container_listeners) if container_listeners is not None else None
    if proxy is None and traefiks(known.values(), heard):
        raise AbsentTable("traefik_static", "la configuration de Traefik n’a pas été lue")


def _container(connection: Record) -> bool:
    return bool(connection["source_kind"] == connection["target_kind"] == "container")


def _apart(
    found: dict[str, tuple[bool, set[str]]],
    traefik: str | None,
    strangers: set[str],
    users: set[str],
    known: dict[str, Record],
) -> Record:
    projects = sorted({known[one]["compose_project"] or one for one in strangers})
    word = "le projet" if len(projects) == 1 else "les projets"
    others = [f"le proxy {quoted(traefik)}"] if traefik else []
    others += [f"{word} {listing(map(quoted, projects))}"] if projects else []
    return {
        "networks": listing(map(quoted, sorted(found))),
        "others": listing(others),
        "users": listing(map(quoted, sorted(users))) or "les conteneurs qui s’en servent",
    }


def _networks_place(compose_services: pd.DataFrame | None, container: Record) -> str:
    """Where the file of a container writes its networks, as the end of a clause; "" when it is not known."""
    for row in records(compose_services) if compose_services is not None else []:
        same = (row["project"], row["service"]) == (container["compose_project"], container["compose_service"])
        path = join(row["root"], row["files"].partition(" + ")[0])
        if same and row["networks_line"] is not None and path in (container["compose_files"] or ()):
            return f" dans {quoted(row['file'])}, ligne {row['networks_line']}"
    return ""


@check(
    "NET-008",
    "medium",
    "Chaque réseau externe d’un fichier compose existe",
    key=("compose_file", "network"),
    message="Le fichier « {compose_file} » déclare{line} le réseau externe « {network} », qui n’existe pas : "
    "{effect}.{hint}",
    fix=Fix(
        "Créer le réseau « {network} », ou corriger son nom{place}.",
        ("docker network create {network}",),
        ("docker network inspect --format '{{{{.Name}}}}' {network}",),
    ),
)
def external_networks_exist(compose_resources: pd.DataFrame, networks: pd.DataFrame) -> Iterator[Record]:
    """External networks that the engine does not have; `info` when no service that starts asks for them.

    Compose refuses to start a project for a missing one that a service uses, and does not look at the others.
    """
    there = {row["name"] for row in records(networks)} | {row["id"] for row in records(networks)}
    missing: dict[tuple[str, str], list[Record]] = {}
    for row in records(compose_resources):
        if row["kind"] == "network" and row["external"] and row["name"] and row["name"] not in there:
            missing.setdefault((row["file"] or row["files"], row["name"]), []).append(row)
    for (file, name), rows in missing.items():
        used, line = any(row["used"] for row in rows), rows[0]["line"]
        # Compose prefixes the name of a network that is not external by its project.
        near = sorted(one for one in there if one.endswith(f"_{name}"))
        yield {
            "compose_file": file,
            "network": name,
            "line": line,
            "project": rows[0]["project"],
            "root": rows[0]["root"],
            "severity": None if used else "info",
            "wording": {
                "line": f", ligne {line}," if line is not None else "",
                "effect": "le projet ne pourra pas démarrer" if used else "aucun service qui démarre ne le demande",
                "hint": f" Le moteur a {listing(map(quoted, near))}." if near else "",
                "place": f" dans {quoted(file)}{f', ligne {line}' if line is not None else ''}",
            },
        }
