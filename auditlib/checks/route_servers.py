"""ROUTE: the servers behind Traefik's services: whether something answers where they point."""

from collections.abc import Iterable, Iterator

import pandas as pd

from auditlib.addresses import host_and_port, is_address, is_everywhere, is_loopback, joined, parsed
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Network
from auditlib.facts.tables.machine import Listener
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.findings.commands import asked, compose
from auditlib.french import listing, plural, quoted
from auditlib.software import is_running
from auditlib.views.proxy import Proxy
from auditlib.views.routes import leaves, machine_of, network_of_address, target_of


def _served(
    routers: pd.DataFrame | None,
    services: pd.DataFrame | None,
    servers: pd.DataFrame | None,
    predicted: tuple[pd.DataFrame | None, pd.DataFrame | None, pd.DataFrame | None],
) -> list[Record]:
    """The servers of the services that a router in force leads to: of the API, else those that Traefik must have.

    Of those that must be, one among several possible addresses is left out.
    """
    if routers is None or services is None or servers is None:
        routers, services, servers = predicted
    if routers is None or services is None or servers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    known = {(row["protocol"], row["service"]): row for row in records(services)}
    used = {
        (row["protocol"], name)
        for row in records(routers)
        if row["status"] != "disabled"
        for name in leaves(row["service"], row["protocol"], known)
    }
    return [row for row in records(servers) if (row["protocol"], row["service"]) in used and row.get("certain", True)]


def _members(listener: Record) -> list[str]:
    """The containers in whose network a socket listens."""
    told: str = listener.get("network_of") or listener["container"] or ""
    return told.split(", ")


def _transport(row: Record) -> str:
    return "udp" if row["protocol"] == "udp" else "tcp"


@check(
    "ROUTE-006",
    "critical",
    "Le port que Traefik utilise est écouté dans chaque conteneur routé",
    key=("container", "service"),
    message="Le port {port}/{transport} du conteneur « {container} », où Traefik envoie les requêtes du service "
    "« {service} », {fault} : {effect}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d {compose_service}",),
        ("curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",),
    ),
)
def heard_ports(
    container_listeners: pd.DataFrame,
    containers: pd.DataFrame,
    sources: pd.DataFrame,
    traefik_routers: pd.DataFrame | None = None,
    traefik_services: pd.DataFrame | None = None,
    traefik_servers: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    predicted_services: pd.DataFrame | None = None,
    predicted_servers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Servers whose container does not listen to their port, or on its own loopback only.

    A container that just starts may not listen yet. One of which no socket at all was seen listens to nothing, or was
    not read: the source's own state tells which.
    """
    predicted = (predicted_routers, predicted_services, predicted_servers)
    heard: dict[str, list[Record]] = {}
    for row in records(container_listeners):
        for name in _members(row):
            heard.setdefault(name, []).append(row)
    whole = any(row["source"] == "namespaces" and row["status"] == "ok" for row in records(sources))
    known = {row["name"]: row for row in records(containers)}
    for server in _served(traefik_routers, traefik_services, traefik_servers, predicted):
        container = known.get(server["container"] or "")
        _, port = host_and_port(server["url"])
        if container is None or port is None or not _judgeable(container, heard, whole=whole):
            continue
        transport = _transport(server)
        rows = [row for row in heard.get(container["name"], []) if row["protocol"] == transport]
        here = [row for row in rows if row["port"] == port]
        if any(not is_loopback(row["address"]) for row in here):
            continue
        others = sorted({row["port"] for row in rows if not is_loopback(row["address"])})
        yield {
            "container": container["name"],
            "service": server["service"],
            "port": port,
            "transport": transport,
            "listened": [str(other) for other in others],
            "loopback": bool(here),
            "wording": {
                "fault": "n’est écouté que sur sa propre boucle locale"
                if here
                else f"n’est écouté par aucun programme ({_ports(others)})",
                "effect": "les paquets s’y perdent" if transport == "udp" else "toute requête y finit en erreur 502",
                "remedy": _port_remedy(server, port, others, here=bool(here)),
                "url": server["url"] if server["protocol"] == "http" else None,
                **_applied(server, container, here=bool(here)),
            },
        }


def _applied(server: Record, container: Record, *, here: bool) -> Record:
    """How to apply a label; what a file or the program says is applied otherwise."""
    applied = compose(container)
    labels = server["service"].endswith("@docker") and not here
    return {"compose": applied["compose"] if labels else None, "compose_service": applied["service"]}


def _judgeable(container: Record, heard: dict[str, list[Record]], *, whole: bool) -> bool:
    running = is_running(container["state"]) and container["health"] != "starting"
    return running and container["network_mode"] != "host" and (whole or container["name"] in heard)


def _ports(ports: list[int]) -> str:
    return f"ports écoutés : {listing(map(str, ports))}" if ports else "aucun port n’y est écouté"


def _port_remedy(server: Record, port: int, others: list[int], *, here: bool) -> str:
    if here:
        return f"Faire écouter le programme sur 0.0.0.0:{port} (ou [::]:{port}) plutôt que sur 127.0.0.1."
    own, _, provider = server["service"].rpartition("@")
    wanted = str(others[0]) if len(others) == 1 else "<port>"
    if provider == "docker":
        option = f"traefik.{server['protocol']}.services.{own}.loadbalancer.server.port={wanted}"
        give = f"Donner à Traefik le port écouté, par l’étiquette {quoted(option)}"
        return f"{give}, ou faire écouter le programme sur {port}."
    return f"Corriger le port dans l’adresse {quoted(server['url'])} du service {quoted(own)}, ou celui du programme."


@check(
    "ROUTE-007",
    "high",
    "Aucun serveur n’est en panne aux yeux de Traefik",
    key=("service",),
    message="Traefik voit en panne {count} du service « {service} » : {shown}. {effect}",
    fix=Fix(
        "Lire pourquoi le contrôle de santé de ce service échoue (chemin, port, code attendu), puis corriger le "
        "programme ou ce contrôle.",
        ("docker logs --tail 50 {container}",),
        ("curl -sS {api}",),
    ),
)
def live_servers(traefik_servers: pd.DataFrame, traefik: pd.DataFrame | None = None) -> Iterator[Record]:
    """Services with servers whose health check fails; without a health check, Traefik knows nothing of them."""
    services: dict[tuple[str, str], list[Record]] = {}
    for row in records(traefik_servers):
        services.setdefault((row["protocol"], row["service"]), []).append(row)
    for (protocol, service), rows in services.items():
        down = [row for row in rows if row["status"] == "DOWN"]
        if not down:
            continue
        owners = sorted({row["container"] for row in down if row["container"]})
        yield {
            "service": service,
            "servers": [row["url"] for row in down],
            "containers": owners,
            "total": len(rows),
            "wording": {
                "count": plural(len(down), "serveur") + f" sur {len(rows)}",
                "shown": [f"{row['url']} ({row['container']})" if row["container"] else row["url"] for row in down],
                "effect": "Toute requête y finit en erreur 503."
                if len(down) == len(rows)
                else "Les autres portent toute la charge.",
                "container": owners[0] if owners else None,
                "api": asked(traefik, protocol, "service", service),
            },
        }


@check(
    "ROUTE-015",
    "high",
    "Quelque chose répond à l’adresse de chaque serveur de la machine",
    key=("service", "port"),
    message="Le service « {service} » envoie à {url}, où rien ne peut répondre : {why}.",
    fix=Fix("{remedy}", (), ("ss -Hltnp sport = :{number}", "ss -Hlunp sport = :{udp}")),
)
def answered_addresses(
    proxy: Rows[Proxy],
    listeners: Rows[Listener],
    publications: pd.DataFrame,
    networks: Rows[Network],
    containers: pd.DataFrame,
    container_listeners: pd.DataFrame | None = None,
    entrypoints: pd.DataFrame | None = None,
    host_addresses: pd.DataFrame | None = None,
    traefik_routers: pd.DataFrame | None = None,
    traefik_services: pd.DataFrame | None = None,
    traefik_servers: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    predicted_services: pd.DataFrame | None = None,
    predicted_servers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Servers that are no container's, on this machine or on Traefik's own loopback, with nothing to answer there.

    A publication of Docker answers with or without a listener of its own (userland proxy off).
    """
    predicted = (predicted_routers, predicted_services, predicted_servers)
    machine = machine_of(networks, listeners, proxy)
    own = {row["address"] for row in records(host_addresses)} if host_addresses is not None else set()
    traefik = records(proxy)[0]
    inside = bool(traefik["container"]) and traefik["network_mode"] != "host"
    for server in _served(traefik_routers, traefik_services, traefik_servers, predicted):
        target = target_of(server, machine)
        host, port = host_and_port(server["url"])
        here = target.kind == "machine" or (target.kind == "autre" and host in own)
        if server["container"] or port is None:
            continue
        transport = _transport(server)
        why = remedy = None
        if target.kind == "Traefik":
            if _answers_itself(port, transport, traefik, containers, container_listeners, entrypoints):
                continue
            why = "vue du conteneur de Traefik, cette adresse est Traefik lui-même, pas la machine"
            docker = server["service"].endswith("@docker")
            remedy = _NAME_THE_MACHINE if docker else _outside(host, port, networks, traefik)
        elif here:
            bound = _bound(records(listeners), records(publications), transport, port)
            why, remedy = _unanswered(host, port, bound, inside=inside)
        if why and remedy:
            yield {
                "service": server["service"],
                "port": f"{transport}/{joined(host, port)}",
                "url": server["url"],
                "why": why,
                "wording": {
                    "remedy": remedy,
                    "number": str(port) if transport == "tcp" else None,
                    "udp": str(port) if transport == "udp" else None,
                },
            }


def _answers_itself(
    port: int,
    transport: str,
    traefik: Record,
    containers: pd.DataFrame,
    container_listeners: pd.DataFrame | None,
    entrypoints: pd.DataFrame | None,
) -> bool:
    """Whether Traefik's own network answers on a port of its loopback, as far as that is known; doubt is a yes."""
    if entrypoints is None or any(row["port"] == port for row in records(entrypoints)):
        return True
    if container_listeners is not None:
        own = [row for row in records(container_listeners) if traefik["container"] in _members(row)]
        return any((row["protocol"], row["port"]) == (transport, port) for row in own)
    # A container that joined Traefik's network may listen there.
    return any(str(row["network_mode"]).startswith("container:") for row in records(containers))


# The address of a container on the machine's network is Traefik's own choice: nobody wrote it.
_NAME_THE_MACHINE = (
    "Donner à Traefik un nom pour la machine (« extra_hosts: host.docker.internal:host-gateway », ou « --add-host ») "
    "et le recréer : il y cherchera de lui-même les conteneurs du réseau de la machine. Autre remède : mettre ce "
    "conteneur sur un réseau de Traefik."
)


def _outside(host: str, port: int, networks: Rows[Network], traefik: Record) -> str:
    """How Traefik reaches the machine from its container."""
    mine = [row for row in records(networks) if row["name"] in (traefik["networks"] or ())]
    gateway = next((one for row in mine for one in row["gateways"] or () if ":" not in one), None)
    other = f", ou « {gateway}:{port} », la passerelle de son réseau" if gateway else ""
    return (
        f"Remplacer « {host}:{port} » par « host.docker.internal:{port} » (avec « extra_hosts: "
        f"host.docker.internal:host-gateway » au service de Traefik){other} ; ou par le nom du conteneur visé."
    )


def _bound(listeners: Iterable[Record], publications: Iterable[Record], transport: str, port: int) -> list[str]:
    """The addresses of this machine where a port is answered."""
    heard = [row["address"] for row in listeners if (row["protocol"], row["port"]) == (transport, port)]
    return heard + [
        row["host_ip"]
        for row in publications
        if row["live"] and row["protocol"] == transport and row["host_port"] == port and row["host_ip"]
    ]


def _unanswered(host: str, port: int, bound: list[str], *, inside: bool) -> tuple[str | None, str | None]:
    """Why nothing answers on this machine where a server points, and what to do; None when something may."""
    if not bound:
        start = f"Démarrer le programme qui doit écouter sur le port {port}, ou corriger l’adresse du service."
        return f"rien n’écoute sur le port {port} de la machine", start
    if inside and all(is_loopback(address) for address in bound):
        widen = f"Le faire écouter sur l’adresse que Traefik appelle ({host}), plutôt que sur la boucle locale."
        return "le programme n’écoute que sur la boucle locale de la machine, que le conteneur n’atteint pas", widen
    near, wanted = is_loopback(host), parsed(host)
    answers = (is_everywhere(one) or parsed(one) == wanted or (near and is_loopback(one)) for one in bound)
    if wanted is None or any(answers):
        return None, None
    where = listing(bound)
    return f"le programme n’écoute que sur {where}", f"Le faire écouter aussi sur {host}, ou appeler {bound[0]}:{port}."


_REREAD = (
    "Redémarrer un conteneur de ce service, ou Traefik : il ne relit les adresses qu’à un démarrage, un arrêt ou un "
    "changement de santé."
)


@check(
    "ROUTE-016",
    "high",
    "Chaque adresse que Traefik utilise est celle d’un conteneur qu’il peut atteindre",
    key=("service",),
    message="Le service « {service} » envoie à {url}, {why} : les requêtes n’y aboutissent pas.",
    fix=Fix(
        "{remedy}",
        ("docker restart {restarted}", "docker network connect {network} {proxy}"),
        ("curl -sS {api}",),
    ),
)
def current_addresses(
    proxy: pd.DataFrame,
    container_networks: pd.DataFrame,
    traefik_servers: pd.DataFrame,
    traefik: pd.DataFrame | None = None,
    networks: pd.DataFrame | None = None,
    predicted_servers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Addresses of the Docker provider that no container has any more, or that are on a network Traefik is not on.

    Elsewhere than in labels, an address of a Docker network that no container has was one's that had another since.
    Containers that share no network with Traefik are told by NET-002, and Traefik's own loopback by ROUTE-015.
    """
    mine = records(proxy)[0] if len(proxy) else None
    if mine is None:
        raise NotApplicable("aucun Traefik n’a été trouvé")
    attached: dict[str, set[str]] = {}
    held: set[str] = set()
    for row in records(container_networks):
        attached.setdefault(row["container"], set()).add(row["network"])
        held |= {end for end in (row["ipv4"], row["ipv6"]) if end}
    known = records(networks) if networks is not None else []
    held |= {gateway for row in known for gateway in row["gateways"] or ()}
    meant = {row["url"] for row in records(predicted_servers)} if predicted_servers is not None else None
    inside = bool(mine["container"]) and mine["network_mode"] != "host"
    for row in records(traefik_servers):
        if not row["service"].endswith("@docker"):
            host = host_and_port(row["url"])[0]
            network = network_of_address(host, known)
            if network and host not in held:
                yield {
                    "service": row["service"],
                    "url": row["url"],
                    "container": None,
                    "network": network,
                    "wording": {
                        "why": f"une adresse du réseau {quoted(network)} qu’aucun conteneur n’a",
                        "remedy": _BY_NAME if inside else _BY_PORT,
                        "restarted": None,
                        "proxy": None,
                        "api": asked(traefik, row["protocol"], "service", row["service"]),
                    },
                }
            continue
        shared = sorted(attached.get(row["container"] or "", set()) & set(mine["networks"] or ()))
        apart = inside and row["network"] and row["network"] not in (mine["networks"] or ()) and shared
        stale = meant is not None and row["url"] not in meant and _nobodys(host_and_port(row["url"])[0], held)
        if apart or stale:
            yield {
                "service": row["service"],
                "url": row["url"],
                "container": row["container"],
                "network": row["network"],
                "wording": {
                    "why": f"sur le réseau {quoted(row['network'])}, où Traefik n’est pas"
                    if apart
                    else "une adresse qu’aucun conteneur n’a plus",
                    "remedy": _joining(row["network"], shared) if apart else _REREAD,
                    "restarted": None if apart else mine["container"],
                    "proxy": mine["container"] if apart else None,
                    "api": asked(traefik, row["protocol"], "service", row["service"]),
                },
            }


# Docker gives addresses anew at each start.
_BY_NAME = "Appeler le conteneur par son nom, sur un réseau qu’il partage avec Traefik, plutôt que par une adresse."
_BY_PORT = "Publier le port du conteneur sur 127.0.0.1, et l’appeler là : son adresse change quand il redémarre."


def _joining(network: str, shared: list[str]) -> str:
    other = f"désigner à Traefik un réseau qu’il partage ({listing(map(quoted, shared), 'ou')})"
    return f"Attacher Traefik au réseau {quoted(network)}, ou {other} par l’étiquette « traefik.docker.network »."


def _nobodys(host: str, held: set[str]) -> bool:
    """Whether a host is an address that nobody has; a name is somebody's."""
    return is_address(host) and not is_loopback(host) and host not in held
