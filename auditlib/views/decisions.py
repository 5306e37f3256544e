"""The decision of Traefik's Docker provider on each container, from the tables of a snapshot."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from auditlib.facts.table import Row, Rows, flag, prose, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork, Network, Publication
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.traefik.decoding import MARK, TRUE, unmarked
from auditlib.traefik.docker_provider import Built, Decision, Protocol, Settings, Why
from auditlib.traefik.docker_provider import Container as Provided
from auditlib.traefik.fields import LATEST
from auditlib.traefik.merge import Conflict, Merged, load
from auditlib.traefik.templates import DEFAULT_RULE
from auditlib.views.entrypoints import options, running_version, true

OUTCOMES = {"routed": "routé", "filtered": "filtré", "dropped": "écarté", "unknown": "inconnu"}


@dataclass(frozen=True)
class Prediction:
    """What the Docker provider makes of all containers. `decisions` is empty when the provider is not used."""

    settings: Settings
    decisions: list[Decision]
    merged: Merged
    used: bool
    files: bool  # whether Traefik uses the file provider
    plugins: frozenset[str] = frozenset()  # those that the static configuration declares, in small letters
    internal: Mapping[str, str] = field(default_factory=dict)  # services of Traefik itself, and why they are not there


def predict(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
    traefik_static: Rows[StaticOption],
    networks: Rows[Network] | None,
    traefik: Rows[Traefik] | None,
) -> Prediction:
    """The decisions of the Docker provider and what it gives Traefik, as the running version does."""
    static = options(traefik_static)
    prefix = "providers.docker."
    docker = {key.removeprefix(prefix): value for key, value in static.items() if key.startswith(prefix)}
    settings = Settings(
        version=running_version(traefik, traefik_static, containers) or LATEST,
        exposed_by_default=docker.get("exposedbydefault", "true") in TRUE,
        constraints=docker.get("constraints", ""),
        network=docker.get("network", ""),
        allow_empty_services=true(docker.get("allowemptyservices")),
        use_bind_port_ip=true(docker.get("usebindportip")),
        default_rule=docker.get("defaultrule", DEFAULT_RULE),
        host_addresses=_host_addresses(traefik_static, containers, networks),
    )
    used = bool(docker) or true(static.get("providers.docker"))
    provided = provided_containers(containers, container_networks, labels, publications) if used else ()
    decisions, merged = load(provided, settings)
    files = any(key == "providers.file" or key.startswith("providers.file.") for key in static)
    return Prediction(settings, decisions, merged, used, files, plugins(static), internal_services(static))


def plugins(static: Mapping[str, str]) -> frozenset[str]:
    """The plugins that static options declare, in small letters."""
    names = (re.match(r"experimental\.(?:local)?plugins\.([^.]+)\.", key) for key in static)
    return frozenset(name[1] for name in names if name)


def internal_services(static: Mapping[str, str]) -> dict[str, str]:
    """Services of Traefik itself: why each is not there, "" when it is (`pkg/server/service/internalhandler.go`)."""

    def has(section: str) -> bool:
        return true(static.get(section)) or any(key.startswith(f"{section}.") for key in static)

    challenge = any(re.match(r"certificatesresolvers\.[^.]+\.acme\.httpchallenge(?:\.|$)", key) for key in static)
    there = {
        "api": has("api"),
        "dashboard": has("api") and static.get("api.dashboard", "true") in TRUE,
        "ping": has("ping"),
        "prometheus": has("metrics.prometheus"),
        "rest": has("providers.rest"),
    }
    faults = {f"{name}@internal": "" if enabled else f"{name} is not enabled" for name, enabled in there.items()}
    return {**faults, "noop@internal": "", "acme-http@internal": "" if challenge else "HTTP challenge is not enabled"}


def _host_addresses(
    traefik_static: Rows[StaticOption], containers: Rows[Container], networks: Rows[Network] | None
) -> tuple[str, ...]:
    """What Traefik takes for the machine: `host.docker.internal` if it can be resolved, else its own loopback."""
    names = {option.container for option in traefik_static}
    lines = [line for container in containers if container.name in names for line in container.extra_hosts or ()]
    hosts = dict(line.replace("=", ":", 1).partition(":")[::2] for line in lines)
    for name in ("host.docker.internal", "host.containers.internal"):
        if address := hosts.get(name):
            if address != "host-gateway":
                return (address,)
            bridges = [network for network in networks or () if network.name == "bridge"]
            return tuple(gateway for bridge in bridges for gateway in bridge.gateways or ()) or ("127.0.0.1",)
    return ("127.0.0.1",)


def provided_containers(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
) -> Iterator[Provided]:
    """The containers as the provider sees them."""
    labelled = labels.grouped(ContainerLabel.container)
    attached = container_networks.grouped(ContainerNetwork.container)
    published = publications.grouped(Publication.container)
    for container in containers:
        bindings = _bindings(published.get(container.name, ()))
        ports = container.network_ports
        if ports is None:
            ports = tuple(sorted({*(container.exposed_ports or ()), *bindings}))
        yield Provided(
            container.name,
            container.id or container.name,
            container.state or "",
            container.health_reported or container.health,
            container.network_mode or "",
            {label.label: _value(label) for label in labelled.get(container.name, ())},
            {end.network: end.ipv4 or end.ipv6 or "" for end in attached.get(container.name, ())},
            ports,
            bindings,
        )


def _bindings(publications: Iterable[Publication]) -> dict[str, tuple[str, int]]:
    """The address and port of the machine by port of the container, « 80/tcp »; the first of several."""
    bindings: dict[str, tuple[str, int]] = {}
    for publication in publications:
        if publication.live and publication.host_port is not None:
            port = f"{publication.container_port}/{publication.protocol}"
            bindings.setdefault(port, (publication.host_ip, publication.host_port))
    return bindings


def _value(label: ContainerLabel) -> str | None:
    """The value of a label. Two values that a secret was taken out of are told apart, to be compared."""
    return f"{label.value}{MARK}{label.variant}" if label.variant else label.value


@table(
    "docker_decisions",
    "Décisions du fournisseur Docker",
    "Ce que Traefik fait de chaque conteneur, et à quelle étape il s’arrête.",
    key=("container",),
)
class DockerDecision(Row):
    """What Traefik's Docker provider makes of a container."""

    container: str = text("Conteneur")
    decision: str | None = text("Décision", words=OUTCOMES)
    step: str | None = text("Étape", "Code de l’étape de Traefik qui a décidé.")
    reason: str | None = prose("Motif")
    log: str | None = text("Journal", "Ce que Traefik écrit dans son journal ; inconnu s’il n’écrit rien.")
    level: str | None = text(
        "Niveau", "Celui de cette ligne du journal : « debug » et « info » n’y sont pas par défaut."
    )
    routers: tuple[str, ...] | None = several("Routeurs", "Ceux que Traefik en garde, après fusion.")
    services: tuple[str, ...] | None = several("Services")
    lost: tuple[str, ...] | None = several(
        "Routeurs perdus", "Ceux que Traefik abandonne : sans service, sans règle, en conflit."
    )
    losses: tuple[str, ...] | None = several("Motifs des pertes", "Un par routeur perdu.")


@view(DockerDecision)
def docker_decisions(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
    traefik_static: Rows[StaticOption],
    networks: Rows[Network] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[DockerDecision]:
    """One row per container."""
    prediction = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik)
    if not prediction.used:
        off = Why("provider", "Traefik n’utilise pas le fournisseur Docker.")
        for container in containers:
            yield _decision(Decision(container.name, "filtered", off), {})
    conflicts = {conflict.name: conflict for conflict in prediction.merged.conflicts if conflict.kind == "router"}
    for decision in prediction.decisions:
        yield _decision(decision, conflicts)


def _decision(decision: Decision, conflicts: Mapping[tuple[Protocol, str], Conflict]) -> DockerDecision:
    built = decision.built or Built()
    reasons = {key: conflicts[key].why for key in built.routers if key in conflicts}
    lost = {f"{name}@docker": why for (_, name), why in [*built.lost.items(), *reasons.items()]}
    return DockerDecision(
        container=decision.container,
        decision=decision.outcome,
        step=decision.why.step,
        reason=unmarked(decision.why.reason),
        log=unmarked(decision.why.log) or None,
        level=decision.why.level or None,
        routers=tuple(sorted(f"{key[1]}@docker" for key in built.routers if key not in conflicts)),
        services=tuple(sorted(f"{name}@docker" for _, name in built.services)),
        lost=tuple(sorted(lost)),
        losses=tuple(unmarked(lost[name].reason) for name in sorted(lost)),
    )


@table(
    "docker_names",
    "Noms partagés par étiquettes",
    "Les noms de routeurs, services et middlewares que plusieurs conteneurs déclarent.",
    key=("kind", "protocol", "name"),
)
class DockerName(Row):
    """A router, service or middleware that labels name, and the containers that name it."""

    kind: str = text("Nature", words={"router": "routeur", "service": "service", "middleware": "middleware"})
    protocol: str = text("Protocole")
    name: str = text("Nom")
    containers: tuple[str, ...] | None = several("Conteneurs")
    dropped: bool | None = flag("Écarté", "Vrai si les configurations diffèrent : Traefik n’en garde alors aucune.")


@view(DockerName)
def docker_names(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
    traefik_static: Rows[StaticOption],
    networks: Rows[Network] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[DockerName]:
    """One row per name that two containers at least give Traefik."""
    merged = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik).merged
    dropped = {(conflict.kind, conflict.name) for conflict in merged.conflicts}
    for (kind, name), origins in merged.origins.items():
        sharing = tuple(sorted(set(origins)))
        if len(sharing) > 1:
            yield DockerName(
                kind=kind,
                protocol=name[0],
                name=f"{name[1]}@docker",
                containers=sharing,
                dropped=(kind, name) in dropped,
            )
