"""What Traefik must have loaded: every router, service, server and middleware, and the errors it must tell.

Computed from the containers, their labels, the files and the static configuration, as the running version does; so it
stands where Traefik's API does not answer, and is compared with it where it does.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auditlib.facts.table import Row, Rows, asdict, flag, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerNetwork, Network, Publication
from auditlib.facts.tables.traefik import (
    LOADED,
    FileMiddleware,
    FileOption,
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
from auditlib.traefik.building import Finding, References, qualified
from auditlib.traefik.conflicts import Linked, renamed
from auditlib.traefik.decoding import HIDDEN, json_name, unmarked
from auditlib.traefik.merge import Merged
from auditlib.traefik.routers import Router
from auditlib.traefik.statuses import Judgement, judge
from auditlib.traefik.versions import Version, features
from auditlib.views.decisions import predict
from auditlib.views.entrypoints import Entrypoint, options
from auditlib.views.parts import Files, Key, parts, references


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


@dataclass
class _Loaded:
    """What Traefik must have, by protocol and full name."""

    routers: dict[Key, PredictedRouter] = field(default_factory=dict)
    services: dict[Key, PredictedService] = field(default_factory=dict)
    servers: list[PredictedServer] = field(default_factory=list)
    middlewares: dict[Key, PredictedMiddleware] = field(default_factory=dict)
    observed: set[Key] = field(default_factory=set)  # routers that say how they are observed


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


def _add_files(loaded: _Loaded, tables: Files) -> None:
    """Add what the files declare: nothing at all when one of them is broken, since Traefik then takes none."""
    if tables.files is None or tables.broken:
        return
    routers = [PredictedRouter(**_declared(row, "router")) for row in tables.routers or () if row.effective]
    services = [PredictedService(**_declared(row, "service")) for row in tables.services or () if row.effective]
    middlewares = [
        PredictedMiddleware(**_declared(row, "middleware")) for row in tables.middlewares or () if row.effective
    ]
    loaded.routers |= {(router.protocol, router.router): router for router in routers}
    loaded.observed = {(row.protocol, f"{row.router}@file") for row in tables.routers or () if row.observed}
    loaded.services |= {(service.protocol, service.service): service for service in services}
    loaded.middlewares |= {(middleware.protocol, middleware.middleware): middleware for middleware in middlewares}
    # Of two files that declare a service, the servers are those of the one that counts.
    effective = {(service.file, service.protocol, service.service) for service in services}
    for row in tables.servers or ():
        server = PredictedServer(protocol=row.protocol, service=f"{row.service}@file", url=row.url, certain=True)
        if (row.path, server.protocol, server.service) in effective:
            loaded.servers.append(server)


# Columns of the tables of files that those of what is predicted do not have.
_OF_FILES = ("path", "effective", "steps", "silent", "observed")


def _declared(row: FileRouter | FileService | FileMiddleware, kind: str) -> dict[str, Any]:
    """The columns of an object of a file, with its full name."""
    columns = {name: value for name, value in asdict(row).items() if name not in _OF_FILES}
    return {**columns, kind: f"{columns[kind]}@file", "file": row.path}


def _finish(
    loaded: _Loaded, points: Rows[Entrypoint], version: Version, known: Mapping[str, References], syntax: str | None
) -> None:
    """Give routers their entry points, priorities and models, then say what Traefik finds wrong of each object.

    `syntax` is that of rules whose router names none, None for the one of the version.
    """
    split = {key: [*_modelled(_on_points(row, points), points)] for key, row in loaded.routers.items()}
    copies = {key: [router.router for router in routers] for key, routers in split.items()}
    named = {(key[0], name) for key, names in copies.items() if loaded.routers[key].entrypoints for name in names}
    rows = {
        (router.protocol, router.router): _complete(router, copies, syntax, v2=version < (3, 0, 0))
        for routers in split.values()
        for router in routers
    }
    observed = loaded.observed
    links = [_linked(row, named=key in named, observed=key in observed) for key, row in rows.items()]
    links = renamed(links, version)
    judgement = judge(links, _named_points(points), known, features(".".join(map(str, version))))
    loaded.routers = {}
    for link, state in zip(links, judgement.states, strict=True):
        protocol, name = link.router.protocol, link.router.name
        row = replace(rows[protocol, link.origin], router=name, entrypoints=link.router.entrypoints)
        loaded.routers[protocol, name] = replace(row, status=state.status, errors=state.errors)
    _use(loaded, judgement)


def _use(loaded: _Loaded, judgement: Judgement) -> None:
    """Say which routers use each service and middleware, and what Traefik found of those that it built."""
    services: dict[Key, list[str]] = {}
    middlewares: dict[Key, list[str]] = {}
    for router in loaded.routers.values():
        services.setdefault((router.protocol, router.service or ""), []).append(router.router)
        for name in dict.fromkeys(router.middlewares or ()):
            middlewares.setdefault((router.protocol, name), []).append(router.router)
    for key, service in loaded.services.items():
        finding = judgement.services.get(key, Finding())
        loaded.services[key] = replace(
            service,
            provider=_provider(service.service),
            children=_qualified(service.children, service.service),
            used_by=tuple(services.get(key, ())),
            status=finding.status,
            errors=tuple(finding.errors),
        )
    for key, middleware in loaded.middlewares.items():
        finding = judgement.middlewares.get(key, Finding())
        loaded.middlewares[key] = replace(
            middleware,
            provider=_provider(middleware.middleware),
            chain=_qualified(middleware.chain, middleware.middleware),
            used_by=tuple(middlewares.get(key, ())),
            status=finding.status,
            errors=tuple(finding.errors),
        )


def _provider(name: str) -> str:
    return name.rpartition("@")[2]


def _qualified(references: Iterable[str] | None, owner: str) -> tuple[str, ...]:
    return tuple(qualified(reference, owner) for reference in references or ())


def _on_points(router: PredictedRouter, points: Rows[Entrypoint]) -> PredictedRouter:
    """The router, on the default entry points when it names none: all those of UDP; a child gets none."""
    if router.entrypoints or router.parents:
        return router
    if router.protocol == "udp":
        return replace(router, entrypoints=tuple(sorted(_named_points(points)["udp"])))
    names = sorted(point.entrypoint for point in points if point.default and point.protocol != "udp")
    return replace(router, entrypoints=tuple(names))


def _named_points(points: Rows[Entrypoint]) -> dict[str, set[str]]:
    """The entry points that a router may name, by its protocol."""
    udp = {point.entrypoint for point in points if point.protocol == "udp"}
    others = {point.entrypoint for point in points} - udp
    return {"http": others, "tcp": others, "udp": udp}


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


def router_of(row: TraefikRouter) -> Router:
    """A router of a table, as Traefik's language takes it."""
    return Router(
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


def _linked(row: PredictedRouter, *, named: bool, observed: bool) -> Linked:
    whole = row.rule is not None and HIDDEN not in row.rule
    return Linked(router_of(row), row.service, row.middlewares or (), named=named, whole=whole, observed=observed)


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
    traefik_file_options: Rows[FileOption] | None = None,
) -> _Loaded:
    """All that Traefik must have loaded."""
    prediction = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik)
    loaded = _Loaded()
    _add_labels(loaded, prediction.merged)
    declared = (traefik_file_routers, traefik_file_services, traefik_file_servers, traefik_file_middlewares)
    tables = Files(traefik_files, *declared, traefik_file_options)
    _add_files(loaded, tables)
    statuses = {"unreadable"} if traefik_files is None else {file.status for file in traefik_files}
    # A broken file leaves nothing of the provider: that is known too.
    known = not prediction.files or "broken" in statuses or statuses <= {"read"}
    version = prediction.settings.version
    named = references(parts(prediction.merged, version, tables), prediction, files_known=known)
    _finish(loaded, entrypoints, version, named, options(traefik_static).get("core.defaultrulesyntax"))
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
