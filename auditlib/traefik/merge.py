"""What the containers declare, put together: same names merged, or dropped for all (`pkg/provider/merge.go`)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from auditlib.traefik.docker_provider import Built, Container, Decision, Named, Protocol, Server, Settings, Why, decide
from auditlib.traefik.fields import Version

Name = tuple[Protocol, str]

# How versions before 3.7 name what they drop; 3.7 says « HTTP router », « TCP service »…
_OLD_NAMES = {
    ("http", "router"): "Router",
    ("http", "service"): "Service",
    ("http", "middleware"): "Middleware",
    ("tcp", "router"): "Router TCP",
    ("tcp", "service"): "Service TCP",
    ("tcp", "middleware"): "TCP Middleware",
}
_NOUNS = {"router": "Le routeur", "service": "Le service", "middleware": "Le middleware"}


@dataclass(frozen=True)
class Conflict:
    """A name that several containers declare differently: Traefik drops it everywhere."""

    kind: str
    name: Name
    containers: tuple[str, ...]
    why: Why


@dataclass
class Merged:
    """The whole of what the provider gives Traefik."""

    routers: Named = field(default_factory=dict)
    services: Named = field(default_factory=dict)
    middlewares: Named = field(default_factory=dict)
    servers: dict[Name, list[Server]] = field(default_factory=dict)
    origins: dict[tuple[str, Name], list[str]] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)


def load(containers: Iterable[Container], settings: Settings) -> tuple[list[Decision], Merged]:
    """What the provider makes of each container, and what it gives Traefik of them all."""
    every = list(containers)
    others = {container.name: container for container in every} | {container.id: container for container in every}
    decisions = [decide(container, settings, others) for container in every]
    merged = merge((decision.built for decision in decisions if decision.built), settings.version)
    return [_after_merge(decision, merged) for decision in decisions], merged


def _after_merge(decision: Decision, merged: Merged) -> Decision:
    """The decision on a container, once the names that several containers declare otherwise were dropped."""
    built = decision.built
    if decision.outcome != "routed" or built is None or not built.routers:
        return decision
    conflicts = {conflict.name: conflict for conflict in merged.conflicts if conflict.kind == "router"}
    lost = [conflicts[name] for name in built.routers if name in conflicts]
    if len(lost) < len(built.routers):
        return decision
    return Decision(decision.container, "dropped", lost[0].why, built)


def merge(builts: Iterable[Built], version: Version) -> Merged:
    """Put together what each container gives, in Traefik's order (`<service name>-<id>`)."""
    merged, doubtful = Merged(), set[tuple[str, Name]]()
    for built in sorted(builts, key=lambda built: built.origin):
        for kind, mine, all_ in (
            ("router", built.routers, merged.routers),
            ("service", built.services, merged.services),
            ("middleware", built.middlewares, merged.middlewares),
        ):
            for name, tree in mine.items():
                merged.origins.setdefault((kind, name), []).append(built.container)
                if all_.setdefault(name, tree) != tree:
                    doubtful.add((kind, name))
        for name, servers in built.servers.items():
            others = merged.servers.setdefault(name, [])
            # Two containers at one and the same address are one server.
            certain = {server.urls for server in others if len(server.urls) == 1}
            others += [server for server in servers if server.urls not in certain]
    for kind, name in sorted(doubtful):
        merged.conflicts.append(_conflict(kind, name, tuple(merged.origins[kind, name]), version))
        {"router": merged.routers, "service": merged.services, "middleware": merged.middlewares}[kind].pop(name)
        if kind == "service":
            merged.servers.pop(name, None)
    return merged


def _conflict(kind: str, name: Name, containers: tuple[str, ...], version: Version) -> Conflict:
    protocol, own = name
    noun = f"{protocol.upper()} {kind}"
    if version < (3, 7, 0):
        noun = _OLD_NAMES.get((protocol, kind), noun)
    others = ", ".join(dict.fromkeys(containers))
    reason = (
        f"{_NOUNS[kind]} « {own} » est déclaré différemment par plusieurs conteneurs ({others}) : Traefik l’écarte "
        "partout."
    )
    why = Why("conflict", reason, f"{noun} defined multiple times with different configurations", "error")
    return Conflict(kind, name, containers, why)
