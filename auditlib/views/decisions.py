"""The decision of Traefik's Docker provider on each container, from the tables of a snapshot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, flag, prose, several, table, text, view
from auditlib.traefik.decoding import MARK, TRUE, unmarked
from auditlib.traefik.docker_provider import Container, Decision, Protocol, Said, Settings
from auditlib.traefik.fields import LATEST, Version
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.merge import Conflict, Merged, load
from auditlib.traefik.templates import DEFAULT_RULE
from auditlib.views.entrypoints import options, true

OUTCOMES = {"routed": "routé", "filtered": "filtré", "dropped": "écarté", "unknown": "inconnu"}


@dataclass(frozen=True)
class Prediction:
    """What the Docker provider makes of all containers. `decisions` is empty when the provider is not used."""

    settings: Settings
    decisions: list[Decision]
    merged: Merged
    used: bool
    files: bool  # whether Traefik uses the file provider


def running_version(
    traefik: pd.DataFrame | None, traefik_static: pd.DataFrame, containers: pd.DataFrame
) -> Version | None:
    """The version of the running Traefik: as its API says, else as the tag of its image says."""
    told = [row["version"] for row in records(traefik)] if traefik is not None else []
    names = {row["container"] for row in records(traefik_static)}
    images = [row["image"] or "" for row in records(containers) if row["name"] in names]
    tags = [image.partition("@")[0].rpartition(":")[2] for image in images]
    return next((found for found in map(version_of, [*told, *tags]) if found), None)


def predict(
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    labels: pd.DataFrame,
    publications: pd.DataFrame,
    traefik_static: pd.DataFrame,
    networks: pd.DataFrame | None,
    traefik: pd.DataFrame | None,
) -> Prediction:
    """The decisions of the Docker provider and what it gives Traefik, as the running version does."""
    static = options(traefik_static)
    prefix = "providers.docker."
    given = {key.removeprefix(prefix): value for key, value in static.items() if key.startswith(prefix)}
    settings = Settings(
        version=running_version(traefik, traefik_static, containers) or LATEST,
        exposed_by_default=given.get("exposedbydefault", "true") in TRUE,
        constraints=given.get("constraints", ""),
        network=given.get("network", ""),
        allow_empty_services=true(given.get("allowemptyservices")),
        use_bind_port_ip=true(given.get("usebindportip")),
        default_rule=given.get("defaultrule") or DEFAULT_RULE,
        host_addresses=_host_addresses(traefik_static, containers, networks),
    )
    used = bool(given) or true(static.get("providers.docker"))
    facts = container_facts(containers, container_networks, labels, publications) if used else ()
    decisions, merged = load(facts, settings)
    files = any(key == "providers.file" or key.startswith("providers.file.") for key in static)
    return Prediction(settings, decisions, merged, used, files)


def _host_addresses(
    traefik_static: pd.DataFrame, containers: pd.DataFrame, networks: pd.DataFrame | None
) -> tuple[str, ...]:
    """What Traefik takes for the machine: `host.docker.internal` if it can be resolved, else its own loopback."""
    names = {row["container"] for row in records(traefik_static)}
    hosts = [line for row in records(containers) if row["name"] in names for line in row.get("extra_hosts") or ()]
    known = dict(line.replace("=", ":", 1).partition(":")[::2] for line in hosts)
    for name in ("host.docker.internal", "host.containers.internal"):
        if address := known.get(name):
            if address != "host-gateway":
                return (address,)
            bridge = [row for row in records(networks) if row["name"] == "bridge"] if networks is not None else []
            return tuple(gateway for row in bridge for gateway in row["gateways"] or ()) or ("127.0.0.1",)
    return ("127.0.0.1",)


def container_facts(
    containers: pd.DataFrame, container_networks: pd.DataFrame, labels: pd.DataFrame, publications: pd.DataFrame
) -> Iterator[Container]:
    """The containers as the provider sees them."""
    named: dict[str, dict[str, str | None]] = {}
    for row in records(labels):
        # Two values that were removed are told apart, for the comparison of what two containers declare.
        hidden = f"{row['value']}{MARK}{row['variant']}" if row["variant"] else row["value"]
        named.setdefault(row["container"], {})[row["label"]] = hidden
    attached: dict[str, dict[str, str]] = {}
    for row in records(container_networks):
        attached.setdefault(row["container"], {})[row["network"]] = row["ipv4"] or row["ipv6"] or ""
    bound: dict[str, dict[str, tuple[str, int]]] = {}
    for row in records(publications):
        if row["live"] and row["host_port"] is not None:
            port = f"{row['container_port']}/{row['protocol']}"
            bound.setdefault(row["container"], {}).setdefault(port, (row["host_ip"], row["host_port"]))
    for row in records(containers):
        ports = row["network_ports"]
        if ports is None:
            ports = sorted({*(row["exposed_ports"] or ()), *bound.get(row["name"], {})})
        yield Container(
            row["name"],
            row["id"] or row["name"],
            row["state"] or "",
            row["health_reported"] or row["health"],
            row["network_mode"] or "",
            named.get(row["name"], {}),
            attached.get(row["name"], {}),
            ports,
            bound.get(row["name"], {}),
        )


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
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    labels: pd.DataFrame,
    publications: pd.DataFrame,
    traefik_static: pd.DataFrame,
    networks: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per container."""
    found = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik)
    if not found.used:
        off = Said("provider", "Traefik n’utilise pas le fournisseur Docker.")
        for row in records(containers):
            yield _decision(Decision(row["name"], "filtered", off), {})
    conflicts = {one.name: one for one in found.merged.conflicts if one.kind == "router"}
    for decision in found.decisions:
        yield _decision(decision, conflicts)


def _decision(decision: Decision, conflicts: Mapping[tuple[Protocol, str], Conflict]) -> Record:
    built = decision.built
    routers = list(built.routers) if built else []
    lost = {
        f"{name}@docker": said
        for (_, name), said in [
            *(built.lost.items() if built else ()),
            *((key, conflicts[key].said) for key in routers if key in conflicts),
        ]
    }
    return {
        "container": decision.container,
        "decision": decision.outcome,
        "step": decision.said.step,
        "reason": unmarked(decision.said.reason),
        "log": unmarked(decision.said.log) or None,
        "level": decision.said.level or None,
        "routers": sorted(f"{key[1]}@docker" for key in routers if key not in conflicts),
        "services": sorted(f"{name}@docker" for _, name in built.services) if built else [],
        "lost": sorted(lost),
        "losses": [unmarked(lost[name].reason) for name in sorted(lost)],
    }


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
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    labels: pd.DataFrame,
    publications: pd.DataFrame,
    traefik_static: pd.DataFrame,
    networks: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """One row per name that two containers at least give Traefik."""
    merged = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik).merged
    dropped = {(one.kind, one.name) for one in merged.conflicts}
    for (kind, (protocol, own)), origins in merged.origins.items():
        sharing = sorted(set(origins))
        if len(sharing) > 1:
            row = {"kind": kind, "protocol": protocol, "name": f"{own}@docker", "containers": sharing}
            yield row | {"dropped": (kind, (protocol, own)) in dropped}
