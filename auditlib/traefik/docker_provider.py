"""What Traefik's Docker provider makes of one container: kept or not, and the routers, services and servers it gives.

The order of the steps, the choices and the messages are Traefik's (`pkg/provider/docker/config.go`, `shared.go`,
`pkg/provider/configuration.go`), for versions 2.11 and 3.0 to 3.7. Where Traefik takes the first entry of a Go map,
which is random, every possible answer is kept: « one of ».
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from auditlib.addresses import is_everywhere, joined
from auditlib.french import plural
from auditlib.software import is_running, is_up, joined_container
from auditlib.traefik.decoding import DecodingError, DockerOptions, Tree, decode_labels, docker_options, quoted
from auditlib.traefik.fields import LATEST, Version, structures
from auditlib.traefik.label_constraints import ConstraintError, matches
from auditlib.traefik.templates import (
    DEFAULT_RULE,
    ExecutionError,
    Model,
    Unsupported,
    malformed,
    normalize,
    render,
)

Protocol = Literal["http", "tcp", "udp"]
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "http")  # in the order the provider builds them
Outcome = Literal["routed", "filtered", "dropped", "unknown"]


@dataclass(frozen=True)
class Settings:
    """What decides besides the containers: the version and the provider's options."""

    version: Version = LATEST
    exposed_by_default: bool = True
    constraints: str = ""
    network: str = ""
    allow_empty_services: bool = False
    use_bind_port_ip: bool = False
    default_rule: str = DEFAULT_RULE
    host_addresses: tuple[str, ...] = ("127.0.0.1",)  # what Traefik takes for the machine, one of them


@dataclass(frozen=True)
class Container:
    """The facts of a container that the provider looks at. An address is "" when the container has none."""

    name: str
    id: str = ""
    state: str = "running"
    health: str | None = None
    network_mode: str = ""
    labels: Mapping[str, str | None] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[str] = ()  # « 80/tcp »
    bindings: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # by port, address and port of the machine

    @property
    def known_labels(self) -> dict[str, str]:
        """The labels whose values are known; the provider's own always are."""
        return {name: value for name, value in self.labels.items() if value is not None}

    @property
    def service_name(self) -> str:
        """The name of its default router and service (`getServiceName`)."""
        project = self.labels.get("com.docker.compose.project")
        service = self.labels.get("com.docker.compose.service")
        return normalize(f"{service}_{project}" if project and service else self.name)


@dataclass(frozen=True)
class Server:
    """A server of a service: one of these addresses, each with the network it is on."""

    urls: tuple[str, ...]
    networks: tuple[str | None, ...]
    container: str


Named = dict[tuple[Protocol, str], Tree]


@dataclass
class Built:
    """What one container declares."""

    container: str = ""
    origin: str = ""  # `<service name>-<id>`, by which Traefik sorts and names it
    routers: Named = field(default_factory=dict)
    services: Named = field(default_factory=dict)
    middlewares: Named = field(default_factory=dict)
    servers: dict[tuple[Protocol, str], list[Server]] = field(default_factory=dict)
    lost: dict[tuple[Protocol, str], "Why"] = field(default_factory=dict)  # routers that Traefik gave up, and why


@dataclass(frozen=True)
class Why:
    """Why, in French, and what Traefik logs of it: a message and its level ("" when it logs nothing)."""

    step: str
    reason: str
    log: str = ""
    level: str = ""


@dataclass(frozen=True)
class Decision:
    """What the provider decides of one container."""

    container: str
    outcome: Outcome
    why: Why
    built: Built | None = None


class _Dropped(Exception):  # noqa: N818 - how a step ends the others
    def __init__(self, why: Why) -> None:
        super().__init__(why.log)
        self.why = why


def decide(container: Container, settings: Settings, others: Mapping[str, Container]) -> Decision:
    """What the provider makes of a container. `others` are all containers by name and by id."""
    filtered = _filtered(container, settings)
    if isinstance(filtered, Decision):
        return filtered
    try:
        built, warning = _build(container, settings, filtered, others)
    except _Dropped as dropped:
        return Decision(container.name, "dropped", dropped.why)
    if not built.routers and built.lost:
        return Decision(container.name, "dropped", next(iter(built.lost.values())), built)
    routed = Why("routed", "Traefik en tire " + _count(built), warning.log, warning.level)
    return Decision(container.name, "routed", routed, built)


def _count(built: Built) -> str:
    routers = plural(len(built.routers), "routeur") if built.routers else "aucun routeur"
    return f"{routers} et {plural(len(built.services), 'service')}."


def _filtered(container: Container, settings: Settings) -> Decision | DockerOptions:
    """The decision of a container that is not kept, else what its labels say to the provider (`keepContainer`)."""

    def no(outcome: Outcome, step: str, reason: str, log: str = "", level: str = "debug") -> Decision:
        return Decision(container.name, outcome, Why(step, reason, log, level if log else ""))

    whole = settings.version >= (3, 6, 0)
    if not whole and not is_up(container.state):
        return no("filtered", "stopped", "Le conteneur ne tourne pas : cette version de Traefik ne le voit pas.")
    try:
        options = docker_options(container.known_labels, settings.version)
    except DecodingError as error:
        prefix = "decoding Docker labels: " if settings.version >= (3, 2, 0) else ""
        reason = f"Une étiquette traefik.enable ou traefik.docker est fausse : Traefik écarte le conteneur ({error})."
        return no("dropped", "options", reason, f"Skip container {container.service_name}: {prefix}{error}", "error")
    if not (settings.exposed_by_default if options.enable is None else options.enable):
        if options.enable is False:
            reason = "L’étiquette traefik.enable vaut faux."
        else:
            reason = "exposedByDefault vaut faux, et le conteneur n’a pas l’étiquette traefik.enable=true."
        return no("filtered", "disabled", reason, "Filtering disabled container")
    if fault := malformed(settings.default_rule):
        reason = f"Le gabarit de la règle par défaut est faux ({fault}) : Traefik se passe du fournisseur Docker."
        return no("dropped", "default_rule", reason, "Error while initializing provider *docker.Provider", "error")
    try:
        matched = matches(settings.constraints, container.labels)
    except ConstraintError as error:
        reason = f"L’expression constraints de Traefik est fausse ({error}) : il écarte tous les conteneurs."
        return no("dropped", "constraints", reason, "Error matching constraints expression", "error")
    if matched is None:
        reason = "La contrainte porte sur une étiquette dont la valeur n’est pas dans l’instantané."
        return no("unknown", "constraints", reason)
    if not matched:
        log = f"Container pruned by constraint expression: {quoted(settings.constraints)}"
        return no("filtered", "constraints", f"Il ne satisfait pas la contrainte {settings.constraints}.", log)
    if options.allow_non_running:
        return options
    if whole and not is_running(container.state):
        return no("filtered", "stopped", "Le conteneur ne tourne pas.", "Filtering non running container")
    if not settings.allow_empty_services and container.health not in (None, "", "healthy"):
        words = {"starting": "démarre encore", "unhealthy": "est en mauvaise santé"}
        state = words.get(container.health, "est sans contrôle de santé, mais le moteur l’annonce")
        return no("filtered", "health", f"Le conteneur {state}.", "Filtering unhealthy or starting container")
    return options


def _build(
    container: Container, settings: Settings, options: DockerOptions, others: Mapping[str, Container]
) -> tuple[Built, Why]:
    """What the container declares, and the warning that goes with it. Raises _Dropped."""
    try:
        tree = decode_labels(container.known_labels, settings.version)
    except DecodingError as error:
        reason = f"Une étiquette est fausse : Traefik écarte tout le conteneur ({error})."
        raise _Dropped(Why("labels", reason, str(error), "error")) from error
    built = Built(container.name, f"{container.service_name}-{container.id}")
    warning = Why("routed", "")
    stream = False
    for protocol in PROTOCOLS:
        part = tree[protocol.upper()]
        declared = bool(part.get("Routers") or part.get("Services"))
        if protocol == "http":
            # A container that only declares tcp or udp gets no default router.
            if stream and not (declared or part.get("Middlewares")):
                continue
        elif not declared:
            # Middlewares of their own are declared all the same.
            built.middlewares |= {(protocol, name): tree for name, tree in part.get("Middlewares", {}).items()}
            continue
        else:
            stream = True
        warning = _services(built, protocol, part, _Place(container, settings, options, others)) or warning
        _routers(built, protocol, part, container, settings)
        built.middlewares |= {(protocol, name): tree for name, tree in part.get("Middlewares", {}).items()}
    return built, warning


@dataclass(frozen=True)
class _Place:
    """Where the address of a server is looked for."""

    container: Container
    settings: Settings
    options: DockerOptions
    others: Mapping[str, Container]


def _services(built: Built, protocol: Protocol, part: Tree, place: _Place) -> Why | None:
    """Add the services of one protocol and their servers; returns a warning of Traefik's about their network."""
    services = part.get("Services") or {place.container.service_name: {"LoadBalancer": _balancer(protocol, place)}}
    warning = None
    for name in sorted(services):
        balancer = services[name].get("LoadBalancer")
        servers, fault, warned = _servers(protocol, balancer, place)
        if fault:
            reason = f"Service « {name} » : {fault.reason}"
            raise _Dropped(Why(fault.step, reason, f"service {quoted(name)} error: {fault.log}", "error"))
        warning = warning or warned
        kept = {key: value for key, value in (balancer or {}).items() if key != "Servers"}
        built.services[protocol, name] = {**services[name], "LoadBalancer": kept}
        built.servers[protocol, name] = servers
    return warning


def _balancer(protocol: Protocol, place: _Place) -> Tree:
    """The load balancer of a default service."""
    types = structures(place.settings.version)
    name = "ServersLoadBalancer" if protocol == "http" else f"{protocol.upper()}ServersLoadBalancer"
    tree: Tree = {}
    for option in types[name]:
        if option.default == "SetDefaults":
            below = types[option.type.removeprefix("*")]
            tree[option.name] = {inner.name: inner.default for inner in below if inner.default is not None}
        elif option.default is not None:
            tree[option.name] = option.default
    return tree


def _servers(protocol: Protocol, balancer: Tree | None, place: _Place) -> tuple[list[Server], Why | None, Why | None]:
    """The servers of one service, else a fault; and a warning."""
    if _empty(place):
        return [], None, None
    if balancer is None:
        return [], Why("load_balancer", "aucun répartiteur n’est déclaré.", "load-balancer is not defined"), None
    version = place.settings.version
    server = (balancer.get("Servers") or [{}])[0]
    if protocol == "http" and version >= (3, 4, 0) and server.get("URL"):
        if server.get("Scheme") or server.get("Port"):
            message = "defining scheme or port is not allowed when URL is defined"
            return [], Why("url", "une adresse et un port (ou un schéma) sont donnés ensemble.", message), None
        return [Server((server["URL"],), (None,), place.container.name)], None, None
    ends, warning = _ends(place, server.get("Port", ""))
    if not ends:
        # The message names the container with the slash of the engine.
        name = quoted(f"/{place.container.name}")
        message = f"unable to find the IP address for the container {name}: the server is ignored"
        return [], Why("address", "aucune adresse : le conteneur n’est sur aucun réseau utilisable.", message), warning
    if not ends[0].port:
        return [], Why("port", "aucun port : ni étiquette de port, ni EXPOSE.", "port is missing"), warning
    scheme = server.get("Scheme", "http" if version < (3, 4, 0) else "") if protocol == "http" else ""
    if protocol == "http" and version >= (3, 4, 0):
        scheme = scheme or "http"
    urls = [f"{scheme}://{end.joined}" if protocol == "http" else end.joined for end in ends]
    return [Server(tuple(urls), tuple(end.network for end in ends), place.container.name)], None, warning


def _empty(place: _Place) -> bool:
    """Whether a kept container keeps a service without servers."""
    stopped = place.settings.version >= (3, 6, 0) and not is_running(place.container.state)
    return stopped or place.container.health not in (None, "", "healthy")


@dataclass(frozen=True)
class _End:
    address: str
    port: str
    network: str | None

    @property
    def joined(self) -> str:
        return joined(self.address, self.port)


def _ends(place: _Place, labelled: str) -> tuple[list[_End], Why | None]:
    """The possible ends of a container's server (`getIPPort`), and a warning."""
    port = labelled or _lowest(place.container.ports)
    if place.settings.use_bind_port_ip:
        bound = next((place.container.bindings.get(f"{port}/{kind}") for kind in ("tcp", "udp")), None)
        if bound and not is_everywhere(bound[0]):
            return [_End(bound[0], str(bound[1]), None)], None
    network = place.settings.network if place.options.network is None else place.options.network
    addresses, warning = _addresses(place.container, network, place, frozenset())
    return [_End(address, port, on) for address, on in addresses], warning


def _lowest(ports: Sequence[str]) -> str:
    """The lowest port of a container, tcp and udp mixed."""
    numbers = [int(port.partition("/")[0].partition("-")[0]) for port in ports]
    return str(min(numbers)) if numbers else ""


def _addresses(
    container: Container, network: str, place: _Place, seen: frozenset[str]
) -> tuple[list[tuple[str, str | None]], Why | None]:
    """The possible addresses of a container, each with its network (`getIPAddress`), and a warning."""
    if network in container.networks:
        address = container.networks[network]
        return ([(address, network)] if address else []), None
    if container.network_mode == "host":
        return [(address, None) for address in place.settings.host_addresses], None
    if joined_container(container.network_mode) is not None:
        return _joined(container, network, place, seen)
    others: list[tuple[str, str | None]] = [(end, name) for name, end in sorted(container.networks.items()) if end]
    return others, _fallback(container, network, others, place.settings.version)


def _fallback(container: Container, network: str, others: Sequence[object], version: Version) -> Why | None:
    """The warning of a container that is not on the wanted network."""
    if not network or not others:
        return None
    level = "warn" if version >= (3, 0, 0) else "debug"
    message = f"Could not find network named {quoted(network)} for container {quoted('/' + container.name)}."
    hint = "Maybe you're missing the project's prefix in the label?"
    return Why("network", "", f"{message} {hint}", level)


def _joined(
    container: Container, network: str, place: _Place, seen: frozenset[str]
) -> tuple[list[tuple[str, str | None]], Why | None]:
    """The addresses of the container whose network this one joined."""
    identifier = joined_container(container.network_mode) or ""
    target = place.others.get(identifier)
    message = f"Unable to get IP address for container /{container.name}: failed to inspect container ID {identifier}"
    if target is None or target.name in seen:
        return [], Why("network", "", message, "warn")
    try:
        options = docker_options(target.known_labels, place.settings.version)
    except DecodingError:
        return [], Why("network", "", message, "warn")
    designated = place.settings.network if options.network is None else options.network
    return _addresses(target, designated or network, place, seen | {container.name})


def _routers(built: Built, protocol: Protocol, part: Tree, container: Container, settings: Settings) -> None:
    """Add the routers of one protocol; what Traefik gives up is in `lost`."""
    services = sorted(name for kind, name in built.services if kind == protocol)
    routers: Tree = part.get("Routers") or {}
    if protocol == "http" and not routers:
        if len(services) > 1:
            message = "Could not create a router for the container: too many services"
            reason = "Plusieurs services et aucun routeur : Traefik n’en fait pas un de lui-même."
            built.lost[protocol, container.service_name] = Why("services", reason, message, "info")
            return
        routers = {container.service_name: {}}
    for name in sorted(routers):
        router = dict(routers[name])
        fault = _rule(router, name, protocol, container, settings) or _link(router, name, services, settings.version)
        if fault:
            built.lost[protocol, name] = fault
        else:
            built.routers[protocol, name] = router


def _rule(router: Tree, name: str, protocol: Protocol, container: Container, settings: Settings) -> Why | None:
    """Give a router its rule; else say why it has none."""
    if router.get("Rule") or protocol == "udp":
        return None
    if protocol == "tcp":
        return Why("rule", f"Le routeur TCP « {name} » n’a pas de règle.", "Empty rule", "error")
    try:
        rule = render(settings.default_rule, Model(container.service_name, container.name, container.labels))
    except Unsupported:
        router |= {"Rule": None, "DefaultRule": True}
        return None
    except ExecutionError as error:
        reason = f"La règle par défaut ne peut être évaluée pour le routeur « {name} » ({error}) : Traefik l’abandonne."
        return Why("rule", reason, "Error while parsing default rule", "error")
    if not rule:
        return Why("rule", f"La règle par défaut du routeur « {name} » est vide.", "Undefined rule", "error")
    router |= {"Rule": rule, "DefaultRule": True}
    return None


def _link(router: Tree, name: str, services: list[str], version: Version) -> Why | None:
    """Give a router its service; else say why it has none."""
    if router.get("Service"):
        return None
    if len(services) > 1:
        message = "Could not define the service name for the router: too many services"
        if version >= (3, 1, 0) or (2, 11, 7) <= version < (3, 0, 0):
            listed = " ".join(quoted(service) for service in services)
            message = f"Router {name} cannot be linked automatically with multiple Services: [{listed}]"
        reason = f"Le routeur « {name} » ne nomme pas son service, et le conteneur en déclare plusieurs."
        return Why("services", reason, message, "error")
    router["Service"] = services[0] if services else ""
    return None
