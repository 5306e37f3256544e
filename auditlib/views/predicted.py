"""What Traefik must have loaded: every router, service, server and middleware, and the errors it must tell.

Computed from the containers, their labels, the files and the static configuration, as the running version does; so it
stands where Traefik's API does not answer, and is compared with it where it does.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from auditlib.facts.table import Row, Rows, asdict, flag, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork, Network, Publication
from auditlib.facts.tables.traefik import (
    LOADED,
    FileMiddleware,
    FileRouter,
    FileServer,
    FileService,
    StaticOption,
    Traefik,
    TraefikFile,
    TraefikMiddleware,
    TraefikRouter,
    TraefikServer,
    TraefikService,
)
from auditlib.traefik.decoding import HIDDEN, json_name, quoted, unmarked
from auditlib.traefik.merge import Merged
from auditlib.traefik.routers import Router
from auditlib.traefik.statuses import Linked, References, qualified, states
from auditlib.traefik.versions import features
from auditlib.views.decisions import predict
from auditlib.views.entrypoints import Entrypoint, options


@table(
    "predicted_routers",
    "Routeurs prévus",
    "Les routeurs que Traefik doit avoir chargés, selon les étiquettes et les fichiers.",
    key=("protocol", "router"),
)
class PredictedRouter(TraefikRouter):
    """A router that Traefik must have loaded."""

    rule: str | None = text("Règle", "Inconnue si elle vient d’un gabarit que l’audit n’évalue pas.")
    entrypoints: tuple[str, ...] | None = several("Points d’entrée")
    parents: tuple[str, ...] | None = several("Routeurs parents")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


@table(
    "predicted_services", "Services prévus", "Les services que Traefik doit avoir chargés.", key=("protocol", "service")
)
class PredictedService(TraefikService):
    """A service that Traefik must have loaded."""

    children: tuple[str, ...] | None = several("Services composés")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


@table(
    "predicted_servers",
    "Serveurs prévus",
    "Les serveurs que Traefik doit avoir. Là où il choisit au hasard, chaque choix est une ligne.",
    key=("protocol", "service", "url", "container", "network"),
)
class PredictedServer(Row):
    """A server that Traefik must have; each possible choice is a row."""

    service: str = text("Service")
    protocol: str = text("Protocole")
    url: str = text("Adresse")
    container: str | None = text("Conteneur")
    network: str | None = text("Réseau")
    certain: bool | None = flag("Certain", "Faux : une parmi plusieurs adresses, Traefik en prend une au hasard.")
    status: str | None = text("État", "Inconnu : seul Traefik le sait.")


# Of the API, or predicted.
Server = TraefikServer | PredictedServer


@table(
    "predicted_middlewares",
    "Middlewares prévus",
    "Les middlewares que Traefik doit avoir chargés.",
    key=("protocol", "middleware"),
)
class PredictedMiddleware(TraefikMiddleware):
    """A middleware that Traefik must have loaded."""

    chain: tuple[str, ...] | None = several("Chaîne")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


Key = tuple[str, str]  # protocol and full name


@dataclass
class _Loaded:
    """What Traefik must have, by protocol and full name."""

    routers: dict[Key, PredictedRouter] = field(default_factory=dict)
    services: dict[Key, PredictedService] = field(default_factory=dict)
    servers: list[PredictedServer] = field(default_factory=list)
    middlewares: dict[Key, PredictedMiddleware] = field(default_factory=dict)


class _Files(NamedTuple):
    """The tables of the file provider. None: not read."""

    files: Rows[TraefikFile] | None
    routers: Rows[FileRouter] | None
    services: Rows[FileService] | None
    servers: Rows[FileServer] | None
    middlewares: Rows[FileMiddleware] | None


def _add_labels(loaded: _Loaded, merged: Merged) -> None:
    """Add what labels declare, with references as they are written."""
    for (protocol, own), marked in merged.routers.items():
        tree = unmarked(marked)
        tls = tree.get("TLS") or {}
        loaded.routers[protocol, f"{own}@docker"] = PredictedRouter(
            protocol=protocol,
            router=f"{own}@docker",
            rule=tree.get("Rule"),
            rule_syntax=tree.get("RuleSyntax"),
            priority=tree.get("Priority"),
            entrypoints=tuple(tree.get("EntryPoints") or ()),
            tls="TLS" in tree,
            cert_resolver=tls.get("CertResolver"),
            tls_options=tls.get("Options"),
            parents=(),
            service=tree.get("Service"),
            middlewares=tuple(tree.get("Middlewares") or ()),
            containers=tuple(sorted(set(merged.origins["router", (protocol, own)]))),
        )
    for (protocol, own), tree in merged.services.items():
        loaded.services[protocol, f"{own}@docker"] = PredictedService(
            protocol=protocol,
            service=f"{own}@docker",
            type="loadBalancer",
            health_check="HealthCheck" in (tree.get("LoadBalancer") or {}),
            containers=tuple(sorted(set(merged.origins["service", (protocol, own)]))),
        )
        loaded.servers += [
            PredictedServer(
                protocol=protocol,
                service=f"{own}@docker",
                url=unmarked(url),
                container=server.container,
                network=network,
                certain=len(set(server.urls)) == 1,
            )
            for server in merged.servers[protocol, own]
            for url, network in zip(server.urls, server.networks, strict=True)
        ]
    for (protocol, own), marked in merged.middlewares.items():
        tree = unmarked(marked)
        loaded.middlewares[protocol, f"{own}@docker"] = PredictedMiddleware(
            protocol=protocol,
            middleware=f"{own}@docker",
            type=next((json_name(key) for key in tree), None),
            chain=tuple((tree.get("Chain") or {}).get("Middlewares") or ()),
            containers=tuple(sorted(set(merged.origins["middleware", (protocol, own)]))),
        )


def _add_files(loaded: _Loaded, tables: _Files) -> None:
    """Add what the files declare: nothing at all when one of them is broken, since Traefik then takes none."""
    if tables.files is None or any(file.status == "broken" for file in tables.files):
        return
    routers = [PredictedRouter(**_declared(row, "router")) for row in tables.routers or () if row.effective]
    services = [PredictedService(**_declared(row, "service")) for row in tables.services or () if row.effective]
    middlewares = [
        PredictedMiddleware(**_declared(row, "middleware")) for row in tables.middlewares or () if row.effective
    ]
    loaded.routers |= {(router.protocol, router.router): router for router in routers}
    loaded.services |= {(service.protocol, service.service): service for service in services}
    loaded.middlewares |= {(middleware.protocol, middleware.middleware): middleware for middleware in middlewares}
    # Of two files that declare a service, the servers are those of the one that counts.
    effective = {(service.file, service.protocol, service.service) for service in services}
    for row in tables.servers or ():
        server = PredictedServer(protocol=row.protocol, service=f"{row.service}@file", url=row.url, certain=True)
        if (row.path, server.protocol, server.service) in effective:
            loaded.servers.append(server)


def _declared(row: FileRouter | FileService | FileMiddleware, kind: str) -> dict[str, Any]:
    """The columns of an object of a file, with its full name."""
    columns = {name: value for name, value in asdict(row).items() if name not in ("path", "effective")}
    return {**columns, kind: f"{columns[kind]}@file", "file": row.path}


def _finish(
    loaded: _Loaded, points: Rows[Entrypoint], version: tuple[int, int, int], syntax: str | None, *, files_known: bool
) -> None:
    """Give routers their entry points, priorities and models, then say what Traefik finds wrong of each object.

    `syntax` is that of rules whose router names none, None for the one of the version.
    """
    parts = {key: [*_modelled(_on_points(row, points), points)] for key, row in loaded.routers.items()}
    copies = {key: [router.router for router in routers] for key, routers in parts.items()}
    named = {(key[0], name) for key, names in copies.items() if loaded.routers[key].entrypoints for name in names}
    loaded.routers = {
        (router.protocol, router.router): _complete(router, copies, syntax, v2=version < (3, 0, 0))
        for routers in parts.values()
        for router in routers
    }
    faults = _faults(loaded.servers)
    judged = states(
        [_linked(router, named=key in named) for key, router in loaded.routers.items()],
        {point.entrypoint for point in points},
        _references(loaded, faults, files_known=files_known),
        features(".".join(map(str, version))),
    )
    for (key, router), state in zip(loaded.routers.items(), judged, strict=True):
        loaded.routers[key] = replace(router, status=state.status, errors=state.errors)
    _use(loaded, faults)


def _use(loaded: _Loaded, faults: Mapping[str, str]) -> None:
    """Say which routers use each service and middleware, and which services cannot be built."""
    services: dict[Key, list[str]] = {}
    middlewares: dict[Key, list[str]] = {}
    for router in loaded.routers.values():
        services.setdefault((router.protocol, router.service or ""), []).append(router.router)
        for name in dict.fromkeys(router.middlewares or ()):
            middlewares.setdefault((router.protocol, name), []).append(router.router)
    for key, service in loaded.services.items():
        users = tuple(services.get(key, ()))
        # Traefik builds a service for the routers that use it.
        fault = faults.get(service.service) if users and service.protocol == "http" else None
        loaded.services[key] = replace(
            service,
            provider=_provider(service.service),
            children=_qualified(service.children, service.service),
            used_by=users,
            status="disabled" if fault else "enabled",
            errors=(fault,) if fault else (),
        )
    for key, middleware in loaded.middlewares.items():
        loaded.middlewares[key] = replace(
            middleware,
            provider=_provider(middleware.middleware),
            chain=_qualified(middleware.chain, middleware.middleware),
            used_by=tuple(middlewares.get(key, ())),
            status="enabled",
            errors=(),
        )


def _provider(name: str) -> str:
    return name.rpartition("@")[2]


def _qualified(references: Iterable[str] | None, owner: str) -> tuple[str, ...]:
    return tuple(qualified(reference, owner) for reference in references or ())


def _on_points(router: PredictedRouter, points: Rows[Entrypoint]) -> PredictedRouter:
    """The router, on the default entry points when it names none (a child and an udp router get none)."""
    if router.entrypoints or router.parents or router.protocol == "udp":
        return router
    names = sorted(point.entrypoint for point in points if point.default and point.protocol != "udp")
    return replace(router, entrypoints=tuple(names))


def _modelled(router: PredictedRouter, points: Rows[Entrypoint]) -> Iterator[PredictedRouter]:
    """The router as the entry points' own options split it (`pkg/server/aggregator.go`, applyModel)."""
    models = {point.entrypoint: point for point in points if point.model}
    names = router.entrypoints or ()
    if router.protocol != "http" or router.parents or models.keys().isdisjoint(names):
        yield router
        return
    if plain := tuple(name for name in names if name not in models):
        yield replace(router, entrypoints=plain)
    for name in names:
        if name in models:
            model = models[name]
            yield replace(
                router,
                router=f"{name}-{router.router}" if len(names) > 1 else router.router,
                entrypoints=(name,),
                middlewares=(*(model.middlewares or ()), *(router.middlewares or ())),
                tls=bool(router.tls or model.tls),
            )


def _complete(
    router: PredictedRouter, copies: Mapping[Key, list[str]], syntax: str | None, *, v2: bool
) -> PredictedRouter:
    """The router with full names and what it gets by default. `copies`: the parts that each router was split into."""
    name, protocol, priority = router.router, router.protocol, router.priority
    # A child of a router that was split is a child of all its parts.
    parents = [copy for parent in _qualified(router.parents, name) for copy in copies.get((protocol, parent), [parent])]
    options = "default" if router.tls else None
    if router.tls_options not in (None, "default"):
        options = qualified(router.tls_options, name)
    # The length of a rule is not known when a secret was taken out of it.
    if not priority and not v2 and router.rule and HIDDEN not in router.rule and protocol != "udp":
        priority = Router(name, router.rule, protocol=protocol).rank
    return replace(
        router,
        provider=_provider(name),
        service=qualified(router.service, name) if router.service else None,
        middlewares=_qualified(router.middlewares, name),
        parents=tuple(parents),
        tls_options=options,
        rule_syntax=router.rule_syntax or ("v2" if v2 else syntax if protocol != "udp" else None),
        priority=priority,
    )


def _references(loaded: _Loaded, faults: Mapping[str, str], *, files_known: bool) -> dict[str, References]:
    """What the routers of each protocol may refer to."""
    return {
        protocol: References(
            {name for kind, name in loaded.services if kind == protocol},
            {name for kind, name in loaded.middlewares if kind == protocol},
            providers={"docker", "file"} if files_known else {"docker"},
            faults=faults if protocol == "http" else {},
        )
        for protocol in ("http", "tcp", "udp")
    }


def _linked(row: PredictedRouter, *, named: bool) -> Linked:
    router = Router(
        row.router,
        row.rule or "",
        row.entrypoints or (),
        bool(row.tls),
        row.priority,
        row.rule_syntax,
        row.parents or (),
        row.tls_options or "default",
        row.protocol,
    )
    whole = row.rule is not None and HIDDEN not in row.rule
    return Linked(router, row.service, row.middlewares or (), named=named, whole=whole)


def _faults(servers: Iterable[PredictedServer]) -> dict[str, str]:
    """What Go's url.Parse refuses in the addresses of HTTP services, by service."""
    faults: dict[str, str] = {}
    for server in servers:
        url = server.url if server.protocol == "http" else ""
        place = re.match(r"[\w+.-]+://(?:\[[^\]]*\]|[^/:]*)(:[^/]*)?", url)
        if place and place[1] and not re.fullmatch(r":\d*", place[1], re.ASCII):
            error = f"parse {quoted(url)}: invalid port {quoted(place[1])} after host"
            faults.setdefault(server.service, f"error parsing server URL {url}: {error}")
    return faults


def _all(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    labels: Rows[ContainerLabel],
    publications: Rows[Publication],
    traefik_static: Rows[StaticOption],
    entrypoints: Rows[Entrypoint],
    networks: Rows[Network] | None = None,
    traefik: Rows[Traefik] | None = None,
    traefik_files: Rows[TraefikFile] | None = None,
    traefik_file_routers: Rows[FileRouter] | None = None,
    traefik_file_services: Rows[FileService] | None = None,
    traefik_file_servers: Rows[FileServer] | None = None,
    traefik_file_middlewares: Rows[FileMiddleware] | None = None,
) -> _Loaded:
    """All that Traefik must have loaded."""
    prediction = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik)
    loaded = _Loaded()
    _add_labels(loaded, prediction.merged)
    tables = (traefik_file_routers, traefik_file_services, traefik_file_servers, traefik_file_middlewares)
    _add_files(loaded, _Files(traefik_files, *tables))
    statuses = {"unreadable"} if traefik_files is None else {file.status for file in traefik_files}
    # A broken file leaves nothing of the provider: that is known too.
    known = not prediction.files or "broken" in statuses or statuses <= {"read"}
    syntax = options(traefik_static).get("core.defaultrulesyntax")
    _finish(loaded, entrypoints, prediction.settings.version, syntax, files_known=known)
    return loaded


def _part(pick: Callable[[_Loaded], Iterable[Row]]) -> Callable[..., Iterable[Row]]:
    """A view's function, which asks for the tables that `_all` does."""

    @functools.wraps(_all)
    def compute(**tables: Any) -> Iterable[Row]:
        return pick(_all(**tables))

    return compute


view(PredictedRouter)(_part(lambda loaded: loaded.routers.values()))
view(PredictedService)(_part(lambda loaded: loaded.services.values()))
view(PredictedServer)(_part(lambda loaded: loaded.servers))
view(PredictedMiddleware)(_part(lambda loaded: loaded.middlewares.values()))
