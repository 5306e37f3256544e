"""ROUTE: the servers behind Traefik's services: whether something answers where they point."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from auditlib.addresses import host_and_port, is_everywhere, is_loopback, joined, parsed
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, ContainerListener, Network, Publication
from auditlib.facts.tables.host import HostAddress, Listener, SourceStatus
from auditlib.facts.tables.traefik import Traefik, TraefikRouter, TraefikServer, TraefikService
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.findings.commands import api_object
from auditlib.french import listing, plural, quoted
from auditlib.software import is_running, joined_container
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.predicted import PredictedRouter, PredictedServer, PredictedService
from auditlib.views.proxy import Proxy
from auditlib.views.routes import leaves, machine_of

AnyServer = TraefikServer | PredictedServer


class _Loaded(NamedTuple):
    """The routers, services and servers of one source, as far as it was read."""

    routers: Rows[TraefikRouter | PredictedRouter] | None
    services: Rows[TraefikService | PredictedService] | None
    servers: Rows[TraefikServer | PredictedServer] | None


def _served(live: _Loaded, predicted: _Loaded) -> list[AnyServer]:
    """The servers of the services that a router in force leads to: of the API, else those that Traefik must have.

    Of those that must be, one among several possible addresses is left out.
    """
    routers, services, servers = predicted if None in live else live
    if routers is None or services is None or servers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    by_name = {(service.protocol, service.service): service for service in services}
    used = {
        (router.protocol, name)
        for router in routers
        if router.status != "disabled"
        for name in leaves(router.service, router.protocol, by_name)
    }
    return [server for server in servers if (server.protocol, server.service) in used and _is_certain(server)]


def _is_certain(server: AnyServer) -> bool:
    return isinstance(server, TraefikServer) or bool(server.certain)


def _shares(listener: ContainerListener) -> list[str]:
    """The containers in whose network a socket listens."""
    return listener.network_of.split(", ")


def _transport(server: AnyServer) -> str:
    return "udp" if server.protocol == "udp" else "tcp"


class Unheard(Fault):
    """A port of a container that Traefik uses, and to which the container does not listen."""

    container: str
    service: str
    port: int
    transport: str = fact("Transport")
    listened: tuple[str, ...] = fact("Ports écoutés")
    loopback: bool = fact("Sur la boucle locale seulement")
    state: str = word()
    effect: str = word()
    remedy: str = word()
    url: str | None = word()
    recreated: str | None = word()  # its compose service, where another label mends it


@check(
    "ROUTE-006",
    "critical",
    "Le port que Traefik utilise est écouté dans chaque conteneur routé",
    key=("container", "service"),
    message="Le port {port}/{transport} du conteneur « {container} », où Traefik envoie les requêtes du service "
    "« {service} », {state} : {effect}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d {recreated}",),
        ("curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",),
    ),
)
def heard_ports(
    container_listeners: Rows[ContainerListener],
    containers: Rows[Container],
    sources: Rows[SourceStatus],
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_services: Rows[PredictedService] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
) -> Iterator[Unheard]:
    """Servers whose container does not listen to their port, or on its own loopback only.

    A container that just starts may not listen yet. One of which no socket at all was seen listens to nothing, or was
    not read: the source's own state tells which.
    """
    live = _Loaded(traefik_routers, traefik_services, traefik_servers)
    listeners: dict[str, list[ContainerListener]] = {}
    for listener in container_listeners:
        for name in _shares(listener):
            listeners.setdefault(name, []).append(listener)
    whole = any(source.source == "namespaces" and source.status == "ok" for source in sources)
    for server in _served(live, _Loaded(predicted_routers, predicted_services, predicted_servers)):
        container = containers.by(Container.name).get(server.container or "")
        port = host_and_port(server.url)[1]
        if container is None or port is None or not _listens_by_itself(container):
            continue
        if whole or container.name in listeners:
            yield from _unheard(server, port, container, listeners.get(container.name, []))


def _listens_by_itself(container: Container) -> bool:
    """Whether a container has its own sockets, and had the time to open them."""
    return is_running(container.state) and container.health != "starting" and container.network_mode != "host"


def _unheard(
    server: AnyServer, port: int, container: Container, listeners: Iterable[ContainerListener]
) -> Iterator[Unheard]:
    """The fault of a server, if nothing answers on its port; `listeners` are those of its container."""
    transport = _transport(server)
    ports: dict[bool, set[int]] = {True: set(), False: set()}  # by whether they are on the loopback
    for listener in listeners:
        if listener.protocol == transport:
            ports[is_loopback(listener.address)].add(listener.port)
    if port in ports[False]:
        return
    here, others = port in ports[True], sorted(ports[False])
    labels = server.service.endswith("@docker") and not here
    yield Unheard(
        container=container.name,
        service=server.service,
        port=port,
        transport=transport,
        listened=tuple(map(str, others)),
        loopback=here,
        state="n’est écouté que sur sa propre boucle locale"
        if here
        else f"n’est écouté par aucun programme ({_ports(others)})",
        effect="les paquets s’y perdent" if transport == "udp" else "toute requête y finit en erreur 502",
        remedy=_port_remedy(server, port, others, here=here),
        url=server.url if server.protocol == "http" else None,
        recreated=container.compose_service if labels else None,
    )


def _ports(ports: Sequence[int]) -> str:
    return f"ports écoutés : {listing(map(str, ports))}" if ports else "aucun port n’y est écouté"


def _port_remedy(server: AnyServer, port: int, others: Sequence[int], *, here: bool) -> str:
    if here:
        return f"Faire écouter le programme sur 0.0.0.0:{port} (ou [::]:{port}) plutôt que sur 127.0.0.1."
    own, _, provider = server.service.rpartition("@")
    if provider != "docker":
        return f"Corriger le port dans l’adresse {quoted(server.url)} du service {quoted(own)}, ou celui du programme."
    heard = str(others[0]) if len(others) == 1 else "<port>"
    label = quoted(f"traefik.{server.protocol}.services.{own}.loadbalancer.server.port={heard}")
    return f"Donner à Traefik le port écouté, par l’étiquette {label}, ou faire écouter le programme sur {port}."


class Down(Fault):
    """A service with servers whose health check fails."""

    service: str
    servers: tuple[str, ...] = fact("Serveurs")
    containers: tuple[str, ...]
    total: int
    count: str = word()
    shown: tuple[str, ...] = word()
    effect: str = word()
    container: str | None = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The service, unless it has other servers: it goes on without the one that is down."""
        return {"service": (self.service,) if len(self.servers) == self.total else ()}


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
def live_servers(traefik_servers: Rows[TraefikServer], traefik: Rows[Traefik] | None = None) -> Iterator[Down]:
    """Services with servers whose health check fails; without a health check, Traefik knows nothing of them."""
    services: dict[tuple[str, str], list[TraefikServer]] = {}
    for server in traefik_servers:
        services.setdefault((server.protocol, server.service), []).append(server)
    for (protocol, service), servers in services.items():
        down = [server for server in servers if server.status == "DOWN"]
        if not down:
            continue
        owners = sorted({server.container for server in down if server.container})
        yield Down(
            service=service,
            servers=tuple(server.url for server in down),
            containers=tuple(owners),
            total=len(servers),
            count=f"{plural(len(down), 'serveur')} sur {len(servers)}",
            shown=tuple(f"{server.url} ({server.container})" if server.container else server.url for server in down),
            effect="Toute requête y finit en erreur 503."
            if len(down) == len(servers)
            else "Les autres portent toute la charge.",
            container=owners[0] if owners else None,
            api=api_object(traefik, protocol, "service", service),
        )


class Unanswered(Fault):
    """A server that is no container's, at whose address nothing answers."""

    service: str
    port: str
    url: str
    why: str = fact("Motif")
    remedy: str = word()
    number: str | None = word()
    udp: str | None = word()


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
    publications: Rows[Publication],
    networks: Rows[Network],
    containers: Rows[Container],
    container_listeners: Rows[ContainerListener] | None = None,
    entrypoints: Rows[Entrypoint] | None = None,
    host_addresses: Rows[HostAddress] | None = None,
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    predicted_services: Rows[PredictedService] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
) -> Iterator[Unanswered]:
    """Servers that are no container's, on this machine or on Traefik's own loopback, with nothing to answer there.

    A publication of Docker answers with or without a listener of its own (userland proxy off).
    """
    live = _Loaded(traefik_routers, traefik_services, traefik_servers)
    machine = machine_of(networks, listeners, proxy)
    own = host_addresses.by(HostAddress.address) if host_addresses else {}
    for server in _served(live, _Loaded(predicted_routers, predicted_services, predicted_servers)):
        host, port = host_and_port(server.url)
        if server.container or port is None:
            continue
        transport, kind = _transport(server), machine.kind(host)
        silence = None
        if kind == "Traefik":
            if not _answers_itself(port, transport, proxy[0], containers, container_listeners, entrypoints):
                docker = server.service.endswith("@docker")
                remedy = _NAME_THE_MACHINE if docker else _outside(host, port, networks, proxy[0])
                silence = _Silence(_ITSELF, remedy)
        elif kind == "machine" or host in own:
            silence = _silence(host, port, _bound(listeners, publications, transport, port), proxy[0])
        if silence:
            yield Unanswered(
                service=server.service,
                port=f"{transport}/{joined(host, port)}",
                url=server.url,
                why=silence.why,
                remedy=silence.remedy,
                number=str(port) if transport == "tcp" else None,
                udp=str(port) if transport == "udp" else None,
            )


class _Silence(NamedTuple):
    """Why nothing answers where a server points, and what to do, in French."""

    why: str
    remedy: str


def _answers_itself(
    port: int,
    transport: str,
    traefik: Proxy,
    containers: Rows[Container],
    container_listeners: Rows[ContainerListener] | None,
    entrypoints: Rows[Entrypoint] | None,
) -> bool:
    """Whether Traefik's own network answers on a port of its loopback, as far as that is known; doubt is a yes."""
    if entrypoints is None or any(entrypoint.port == port for entrypoint in entrypoints):
        return True
    if container_listeners is not None:
        own = [listener for listener in container_listeners if traefik.container in _shares(listener)]
        return any((listener.protocol, listener.port) == (transport, port) for listener in own)
    # A container that joined Traefik's network may listen there.
    return any(joined_container(container.network_mode) is not None for container in containers)


_ITSELF = "vue du conteneur de Traefik, cette adresse est Traefik lui-même, pas la machine"
# The address of a container on the machine's network is Traefik's own choice: nobody wrote it.
_NAME_THE_MACHINE = (
    "Donner à Traefik un nom pour la machine (« extra_hosts: host.docker.internal:host-gateway », ou « --add-host ») "
    "et le recréer : il y cherchera de lui-même les conteneurs du réseau de la machine. Autre remède : mettre ce "
    "conteneur sur un réseau de Traefik."
)


def _outside(host: str, port: int, networks: Rows[Network], traefik: Proxy) -> str:
    """How Traefik reaches the machine from its container."""
    mine = [network for network in networks if network.name in (traefik.networks or ())]
    gateway = next((gateway for network in mine for gateway in network.gateways or () if ":" not in gateway), None)
    other = f", ou « {gateway}:{port} », la passerelle de son réseau" if gateway else ""
    return (
        f"Remplacer « {host}:{port} » par « host.docker.internal:{port} » (avec « extra_hosts: "
        f"host.docker.internal:host-gateway » au service de Traefik){other} ; ou par le nom du conteneur visé."
    )


def _bound(listeners: Rows[Listener], publications: Rows[Publication], transport: str, port: int) -> list[str]:
    """The addresses of this machine where a port is answered."""
    heard = [listener.address for listener in listeners if (listener.protocol, listener.port) == (transport, port)]
    published = [held for held in publications if held.live and (held.protocol, held.host_port) == (transport, port)]
    return heard + [publication.host_ip for publication in published if publication.host_ip]


def _silence(host: str, port: int, bound: Sequence[str], traefik: Proxy) -> _Silence | None:
    """Why nothing answers on this machine where a server points; None when something may."""
    if not bound:
        start = f"Démarrer le programme qui doit écouter sur le port {port}, ou corriger l’adresse du service."
        return _Silence(f"rien n’écoute sur le port {port} de la machine", start)
    if traefik.apart and all(map(is_loopback, bound)):
        why = "le programme n’écoute que sur la boucle locale de la machine, que le conteneur n’atteint pas"
        widen = f"Le faire écouter sur l’adresse que Traefik appelle ({host}), plutôt que sur la boucle locale."
        return _Silence(why, widen)
    near, address = is_loopback(host), parsed(host)
    answers = (is_everywhere(held) or parsed(held) == address or (near and is_loopback(held)) for held in bound)
    if address is None or any(answers):
        return None
    move = f"Le faire écouter aussi sur {host}, ou appeler {bound[0]}:{port}."
    return _Silence(f"le programme n’écoute que sur {listing(bound)}", move)
