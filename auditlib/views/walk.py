"""How one request travels: port of the machine, entry point, router, middlewares, service, server, container, network.

The walk stops at the first hop that is broken, and says why. What the snapshot does not tell is unknown, never sound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from auditlib.addresses import WEB_PORTS, host_and_port, is_loopback
from auditlib.facts.tables.docker import Container, ContainerListener, ContainerNetwork, Network, Publication
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import TraefikRouter
from auditlib.facts.tables.web import GATEWAY_ERRORS, HttpProbe
from auditlib.french import listing, plural, quoted
from auditlib.software import is_running
from auditlib.traefik.muxer import Candidate, Decision
from auditlib.traefik.requests import Request, request
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.known import Known
from auditlib.views.predicted import PredictedServer, Server
from auditlib.views.proxy import RoutedContainer, traefiks
from auditlib.views.routes import Target, leaves, network_of_address, target_of
from auditlib.views.why_not import Fault, reasons

State = Literal["ok", "broken", "unknown"]
Verdict = Literal["ok", "broken", "unrouted", "unknown"]

_UNDECIDED = "Sans l’API de Traefik, on ne peut pas dire s’il l’a construit."
# What it answers, other than 404, to a request that no router takes.
_REFUSALS = {
    400: "Traefik refuse cette requête telle quelle (400).",
    405: "Aucun routeur ne prend cette méthode (405).",
    421: "Les options TLS du nom demandé ne sont pas celles du routeur (421).",
}


@dataclass(frozen=True)
class Hop:
    """One step of a request: what it is, its name, and its state with the reason, in French."""

    hop: str
    name: str
    state: State
    reason: str = ""


@dataclass
class Trace:
    """How a request travels. `faults` name the checks that say more of what is broken; `observed` is its probe."""

    url: str
    verdict: Verdict = "unknown"
    entrypoint: str | None = None
    router: str | None = None
    ties: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    middlewares: tuple[str, ...] = ()
    service: str | None = None
    server: str | None = None
    container: str | None = None
    network: str | None = None
    hops: list[Hop] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    observed: HttpProbe | None = None

    def add(self, hop: str, name: str, state: State, reason: str = "", *faults: Fault) -> bool:
        """Add a hop; returns whether the walk goes on."""
        self.hops.append(Hop(hop, name, state, reason))
        self.faults += faults
        return state != "broken"


class RequestError(ValueError):
    """A URL that is none; the message is French."""


def trace(
    known: Known,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    client_ip: str = "127.0.0.1",
) -> Trace:
    """How a request travels through what is known of a server. Raises RequestError for what is no web address."""
    shown = url if "://" in url else f"http://{url}"
    try:
        sent = request(shown, method, tuple((headers or {}).items()), client_ip)
        port = urlsplit(shown).port or WEB_PORTS[urlsplit(shown).scheme]
    except (ValueError, KeyError, UnicodeError) as error:
        raise RequestError(
            f"« {url} » n’est pas une adresse web : donnez par exemple https://exemple.fr/chemin"
        ) from error
    walk = Trace(shown, observed=_probe_of(sent, port, known))
    inner = _port(walk, known, port)
    if inner is not None and _entrypoint(walk, known, inner):
        router = _router(walk, known, sent)
        if router is not None and _middlewares(walk, known, router) and _service(walk, known, router):
            _probe(walk)
    walk.verdict = _verdict(walk)
    return walk


def _verdict(walk: Trace) -> Verdict:
    states = {hop.hop: hop.state for hop in walk.hops}
    unsure = {hop for hop, state in states.items() if state == "unknown"} - {"listening", "middleware"}
    if states.get("router") == "broken":
        return "unrouted"
    if "broken" in states.values():
        return "broken"
    if walk.entrypoint is None:
        return "unrouted" if states["port"] == "ok" else "unknown"
    return "unknown" if walk.ties or unsure else "ok"


def _port(walk: Trace, known: Known, port: int) -> int | None:
    """Add a port of the machine. The port of Traefik that it leads to; None when it leads elsewhere, or nowhere."""
    proxy, publications = known.proxy, known.snapshot.known(Publication)
    if proxy is None or publications is None:
        walk.add("port", str(port), "unknown", "Le conteneur de Traefik ou les ports publiés ne sont pas connus.")
        return None
    owners = {
        publication.container: publication.container_port
        for publication in publications.grouped(Publication.host_port).get(port, ())
        if publication.live and publication.protocol == "tcp"
    }
    bearer = proxy.network_container
    if bearer in owners:
        walk.add("port", str(port), "ok", f"Publié par {quoted(bearer)}, vers son port {owners[bearer]}.")
        return owners[bearer]
    if owners:
        _other_container(walk, known, port, next(iter(owners)))
        return None
    if bearer is None or proxy.network_mode == "host":
        walk.add("port", str(port), "ok", "Traefik est sur le réseau de la machine.")
        return port
    _process(walk, known, port)
    return None


def _other_container(walk: Trace, known: Known, port: int, container: str) -> None:
    """Add a port that a container other than Traefik's publishes."""
    walk.container = container
    if container in traefiks(known.snapshot.known(Container) or (), known.snapshot.known(ContainerListener)):
        reason = f"Publié par {quoted(container)}, un autre Traefik : ses routes n’ont pas été lues."
        walk.add("port", str(port), "unknown", reason)
    else:
        reason = f"Le conteneur {quoted(container)} publie ce port lui-même : la requête ne passe pas par Traefik."
        walk.add("port", str(port), "ok", reason)


def _process(walk: Trace, known: Known, port: int) -> None:
    """Add a port that no container publishes."""
    sockets = _listeners(known, port)
    if sockets is None:
        reason = "Aucun conteneur ne le publie ; les écoutes de la machine sont inconnues."
        walk.add("port", str(port), "unknown", reason)
    elif sockets:
        holder = sockets[0].unit or sockets[0].process or "un processus inconnu"
        reason = f"{holder} y écoute sur la machine : la requête ne passe pas par Traefik."
        walk.add("port", str(port), "ok", reason)
    else:
        walk.add("port", str(port), "broken", "Rien n’écoute sur ce port de la machine.")


def _listeners(known: Known, port: int | None) -> list[Listener] | None:
    """What listens to a TCP port of the machine; None: not read."""
    listeners = known.snapshot.known(Listener)
    if listeners is None:
        return None
    return [listener for listener in listeners if listener.protocol == "tcp" and listener.port == port]


def _entrypoint(walk: Trace, known: Known, port: int) -> bool:
    """Add the entry point that listens to a port of Traefik."""
    if known.entrypoints is None:
        walk.add("entrypoint", "", "unknown", "Les points d’entrée de Traefik ne sont pas connus.")
        return False
    points = known.entrypoints.grouped(Entrypoint.port).get(port, ())
    walk.entrypoint = next((point.entrypoint for point in points if point.protocol == "tcp"), None)
    if walk.entrypoint is None:
        return walk.add("entrypoint", "", "broken", f"Aucun point d’entrée de Traefik n’écoute sur son port {port}.")
    return walk.add("entrypoint", walk.entrypoint, "ok", f"Il écoute sur le port {port} de Traefik.")


def _router(walk: Trace, known: Known, sent: Request) -> TraefikRouter | None:
    """Add the router that answers; None when the walk ends here."""
    muxer, entrypoint = known.muxer, walk.entrypoint or ""
    if muxer is None:
        walk.add("router", "", "unknown", "Ni l’API de Traefik ni sa configuration n’ont été lues.")
        return None
    decision = muxer.decide(sent, entrypoint)
    walk.candidates = tuple(muxer.candidates(sent, entrypoint))
    if not decision.winners:
        _unserved(walk, known, sent, decision)
        return None
    walk.router, *ties = decision.winners
    walk.ties = tuple(ties)
    key = (decision.layer, walk.router)
    router = next((row for row in known.routers or () if (row.protocol, row.router) == key), None)
    if router is None:
        points = known.entrypoints or ()
        target = next((point.redirect_to for point in points if point.entrypoint == entrypoint), None)
        walk.add("router", walk.router, "ok", f"Le point d’entrée redirige tout vers {quoted(target)}.")
        return None
    rule = f"Règle {router.rule}, priorité {router.priority}." if router.rule else ""
    if not known.live:
        rule += " D’après les étiquettes et les fichiers : l’API de Traefik n’a pas été lue."
    if walk.ties:
        reason = f"À égalité avec {listing(map(quoted, walk.ties))} : Traefik choisit au hasard. {rule}"
        walk.add("router", walk.router, "unknown", reason, Fault("ROUTE-011", "router", walk.router))
    elif decision.layer == "tcp":
        reason = f"Ce routeur TCP prend toute la connexion avant HTTP. {rule}"
        walk.add("router", walk.router, "ok", reason, Fault("ROUTE-017", "router", walk.router))
    elif not known.live and router.status is None:
        walk.add("router", walk.router, "unknown", f"{rule} {_UNDECIDED}".strip())
    else:
        walk.add("router", walk.router, "ok", rule.strip())
    return router


def _unserved(walk: Trace, known: Known, sent: Request, decision: Decision) -> None:
    """Add what Traefik answers when no router does, and for want of one, who should have been it."""
    if decision.status != 404:
        refusal = _REFUSALS.get(decision.status or 0, f"Traefik répond lui-même ({decision.status}).")
        walk.add("router", "", "broken", refusal)
        return
    walk.add("router", "", "broken", "Aucun routeur actif ne répond à cette requête : Traefik répond 404.")
    for reason in reasons(known, sent, walk.entrypoint or ""):
        walk.add(reason.hop, reason.name, "broken", reason.text, *reason.faults)
        walk.container = walk.container or reason.container


def _middlewares(walk: Trace, known: Known, router: TraefikRouter) -> bool:
    """Add the middlewares of a router."""
    rows = {(row.protocol, row.middleware): row for row in known.middlewares or ()}
    walk.middlewares = router.middlewares or ()
    for name in walk.middlewares:
        row = rows.get((router.protocol, name))
        if row is None or (not known.live and row.status is None):
            walk.add("middleware", name, "unknown", _UNDECIDED if row else "")
        elif row.status == "disabled":
            reason = f"Désactivé par Traefik : {listing(row.errors or ('sans motif donné',))}."
            return walk.add("middleware", name, "broken", reason, Fault("ROUTE-001", "middleware", name))
        else:
            walk.add("middleware", name, "ok", row.type or "")
    return True


def _service(walk: Trace, known: Known, router: TraefikRouter) -> bool:
    """Add the service of a router, its server, and what is behind it."""
    name, protocol = router.service or "", router.protocol
    walk.service = router.service
    if name.endswith("@internal"):
        reason = "Traefik redirige." if name == "noop@internal" else "Traefik répond lui-même."
        return walk.add("service", name, "ok", reason)
    service = next((row for row in known.services or () if (row.protocol, row.service) == (protocol, name)), None)
    if service is None and not known.live and router.status is None:
        return walk.add("service", name, "unknown", _UNDECIDED)
    if service is None or service.status == "disabled":
        errors = (service and service.errors) or ("ce service n’existe pas",)
        fault = Fault("ROUTE-001", "router", router.router)
        return walk.add("service", name, "broken", f"Traefik ne peut le servir : {listing(errors)}.", fault)
    servers = _servers(known, name, protocol)
    if not servers:
        return walk.add("service", name, "broken", "Il n’a aucun serveur : Traefik répond 503.")
    walk.add("service", name, "ok", f"{plural(len({server.url for server in servers}), 'serveur')}.")
    alive = [server for server in servers if server.status != "DOWN"]
    return _server(walk, known, (alive or servers)[0], several=len(servers) > 1)


def _servers(known: Known, service: str, protocol: str) -> list[Server]:
    """The servers of a service, or of those that it is made of."""
    services = {(row.protocol, row.service): row for row in known.services or ()}
    below = {*leaves(service, protocol, services)}
    return [row for row in known.servers or () if row.protocol == protocol and row.service in below]


def _server(walk: Trace, known: Known, server: Server, *, several: bool) -> bool:
    """Add a server, the container or the process behind it, and whether Traefik reaches it."""
    walk.server, walk.container, walk.network = server.url, server.container, server.network
    if server.status == "DOWN":
        fault = Fault("ROUTE-007", "service", server.service)
        return walk.add("server", server.url, "broken", "Son contrôle de santé échoue : Traefik répond 503.", fault)
    target = target_of(server, known.machine)
    if server.container:
        if isinstance(server, PredictedServer) and not server.certain:
            note = "Traefik choisit au hasard entre plusieurs adresses du conteneur."
            walk.add("server", server.url, "unknown", note)
        else:
            walk.add("server", server.url, "ok", "Un serveur parmi plusieurs." if several else "")
        return (
            _container(walk, known, server.container)
            and _network(walk, known, server.container)
            and _listening(walk, known, server.container, target.port)
        )
    if target.kind == "machine":
        return _machine(walk, known, server, target)
    if target.kind == "Traefik":
        reason = "Vue de Traefik, cette adresse est Traefik lui-même, pas la machine."
        return walk.add("server", server.url, "broken", reason, Fault("ROUTE-015", "service", server.service))
    return _elsewhere(walk, known, server, target.name or "")


def _elsewhere(walk: Trace, known: Known, server: Server, host: str) -> bool:
    """Add a server that is neither a container nor this machine."""
    attached = known.snapshot.known(ContainerNetwork) or ()
    held = any(host in (attachment.ipv4, attachment.ipv6) for attachment in attached)
    network = network_of_address(host, known.snapshot.known(Network) or ())
    if not held and (network or (known.live and (walk.service or "").endswith("@docker"))):
        inside = f" du réseau {quoted(network)}" if network else ""
        reason = f"Aucun conteneur n’a cette adresse{inside} : elle est périmée."
        return walk.add("server", server.url, "broken", reason, Fault("ROUTE-016", "service", server.service))
    return walk.add("server", server.url, "unknown", "Cette adresse n’est ni un conteneur ni la machine.")


def _machine(walk: Trace, known: Known, server: Server, target: Target) -> bool:
    """Add a server that is a process of the machine."""
    sockets = _listeners(known, target.port)
    if sockets is None:
        reason = "Un processus de la machine ; ses écoutes n’ont pas été lues."
        return walk.add("server", server.url, "unknown", reason)
    fault = Fault("ROUTE-015", "service", server.service)
    if not sockets:
        reason = f"Rien n’écoute sur le port {target.port} de la machine."
        return walk.add("server", server.url, "broken", reason, fault)
    if known.proxy and known.proxy.apart and all(is_loopback(socket.address) for socket in sockets):
        reason = f"{target.name} n’écoute que sur la boucle locale : Traefik, dans un conteneur, ne l’atteint pas."
        return walk.add("server", server.url, "broken", reason, fault)
    return walk.add("server", server.url, "ok", f"{target.name}, sur la machine.")


def _container(walk: Trace, known: Known, name: str) -> bool:
    """Add the container of a server."""
    containers = known.snapshot.known(Container)
    container = containers.by(Container.name).get(name) if containers else None
    if container and not is_running(container.state):
        fault = Fault("ROUTE-016", "service", walk.service or "")
        return walk.add("container", name, "broken", "Il ne tourne pas.", fault)
    if container and container.health == "unhealthy":
        reason = "En marche, mais en mauvaise santé."
        return walk.add("container", name, "ok", reason, Fault("CONT-001", "container", name))
    return walk.add("container", name, "ok", "En marche.")


def _network(walk: Trace, known: Known, container: str) -> bool:
    """Add the network between Traefik and a container."""
    proxy, network = known.proxy, walk.network
    if proxy is None or not proxy.apart or network is None:
        return walk.add("network", network or "", "ok", "Joignable depuis la machine." if network else "")
    if network not in (proxy.networks or ()):
        own = listing(map(quoted, proxy.networks or ())) or "aucun"
        reason = f"Traefik n’est pas sur ce réseau (il est sur {own}) : 504."
        return walk.add("network", network, "broken", reason, Fault("NET-002", "container", container))
    labels = {row.container: row.network_label for row in known.snapshot.known(RoutedContainer) or ()}
    label = labels.get(container)
    designated = proxy.designated if label is None else label
    if designated and designated != network:
        reason = f"Traefik devait prendre {quoted(designated)}, où le conteneur n’est pas : il se rabat sur celui-ci."
        return walk.add("network", network, "ok", reason, Fault("NET-001", "container", container))
    return walk.add("network", network, "ok", "Commun à Traefik et au conteneur.")


def _listening(walk: Trace, known: Known, container: str, port: int | None) -> bool:
    """Add the port of the container: whether a process listens to it, beyond its own loopback."""
    listeners = known.snapshot.known(ContainerListener)
    if listeners is None or port is None:
        return walk.add("listening", str(port or ""), "unknown", "Les écoutes dans les conteneurs n’ont pas été lues.")
    # Containers that share a network share its ports, whichever of them listens.
    own = [row for row in listeners if row.protocol == "tcp" and container in row.network_of.split(", ")]
    sockets = [socket for socket in own if socket.port == port]
    fault = Fault("ROUTE-006", "container", container)
    if not sockets:
        others = listing(str(number) for number in sorted({socket.port for socket in own})) or "aucun"
        reason = f"Rien n’y écoute dans le conteneur (ports écoutés : {others}) : 502."
        return walk.add("listening", str(port), "broken", reason, fault)
    if all(is_loopback(socket.address) for socket in sockets):
        reason = "Le processus n’écoute que sur la boucle locale du conteneur : 502."
        return walk.add("listening", str(port), "broken", reason, fault)
    return walk.add("listening", str(port), "ok", f"{sockets[0].process or 'Un processus'} y écoute.")


def _probe_of(sent: Request, port: int, known: Known) -> HttpProbe | None:
    """The probe that was made of this request, or None."""
    host = sent.host or ""
    host = host.rpartition(":")[0] if host.count(":") == 1 else host
    place = (host, sent.target.partition("?")[0])
    scheme = "https://" if sent.tls else "http://"
    for probe in known.snapshot.known(HttpProbe) or ():
        same = probe.url.startswith(scheme) and host_and_port(probe.url)[1] == port
        if same and (probe.domain, probe.path or "/") == place:
            return probe
    return None


def _probe(walk: Trace) -> None:
    """Add what the probe saw."""
    probe = walk.observed
    if probe and probe.status is None:
        error = f" : {probe.error}" if probe.error else ""
        walk.add("probe", "", "broken", f"La sonde n’a pas eu de réponse{error}.")
    elif probe:
        state: State = "broken" if probe.status in GATEWAY_ERRORS else "ok"
        walk.add("probe", str(probe.status), state, f"La sonde a reçu {probe.status} en {probe.latency_ms} ms.")
