"""How each probe should have travelled: the router that must win it, and the first broken hop of its way."""

import datetime as dt
from collections.abc import Iterator

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows, flag, prose, several, table, text, view
from auditlib.facts.tables.docker import (
    Container,
    ContainerLabel,
    ContainerListener,
    ContainerNetwork,
    Network,
    Publication,
)
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import (
    FileMiddleware,
    FileRouter,
    FileServer,
    FileService,
    StaticOption,
    Traefik,
    TraefikEntrypoint,
    TraefikFile,
    TraefikMiddleware,
    TraefikRouter,
    TraefikServer,
    TraefikService,
)
from auditlib.facts.tables.web import HttpProbe
from auditlib.views.known import Known
from auditlib.views.routes import places_of
from auditlib.views.walk import RequestError, Trace, trace


@table(
    "probe_walks",
    "Trajets des sondes",
    "Le trajet que chaque sonde devait faire, et la première étape rompue.",
    key=("url", "entrypoint"),
)
class ProbeWalk(Row):
    """A probe and the walk of its request through what was read."""

    url: str = text("URL")
    entrypoint: str = text("Point d’entrée")
    routers: tuple[str, ...] | None = several("Routeurs prévus", "Plusieurs : à égalité.")
    certain: bool | None = flag(
        "Certain", "Faux si une règle dépend de ce que la sonde ne dit pas, ou qui a été masqué."
    )
    service: str | None = text("Service")
    server: str | None = text("Serveur")
    container: str | None = text("Conteneur")
    stop: str | None = text("S’arrête à", "La première étape rompue, celle de la sonde mise à part.")
    stop_name: str | None = text("Étape", "Le nom de cette étape.")
    reason: str | None = prose("Motif")
    faults: tuple[str, ...] | None = several(
        "Contrôles", "Ceux qui en disent plus, avec leur sujet : NET-002 container app."
    )


# The address that Traefik sees of a probe depends on the engine; what was a secret in a rule is not known any more.
_UNSURE = ("clientip", "[secret retiré]")
# What a walk reads is dated by no clock: a snapshot of these tables needs one all the same.
_NO_TIME = dt.datetime.fromtimestamp(0, dt.UTC)


@view(ProbeWalk)
def probe_walks(
    http_probes: Rows[HttpProbe],
    containers: Rows[Container] | None = None,
    container_networks: Rows[ContainerNetwork] | None = None,
    container_listeners: Rows[ContainerListener] | None = None,
    labels: Rows[ContainerLabel] | None = None,
    networks: Rows[Network] | None = None,
    publications: Rows[Publication] | None = None,
    listeners: Rows[Listener] | None = None,
    traefik: Rows[Traefik] | None = None,
    traefik_static: Rows[StaticOption] | None = None,
    traefik_entrypoints: Rows[TraefikEntrypoint] | None = None,
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    traefik_servers: Rows[TraefikServer] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    traefik_files: Rows[TraefikFile] | None = None,
    traefik_file_routers: Rows[FileRouter] | None = None,
    traefik_file_services: Rows[FileService] | None = None,
    traefik_file_servers: Rows[FileServer] | None = None,
    traefik_file_middlewares: Rows[FileMiddleware] | None = None,
) -> Iterator[ProbeWalk]:
    """One row for each probe whose address can be asked at all."""
    # All that a walk reads, the probes themselves aside.
    tables = {name: rows for name, rows in locals().items() if rows is not None and name != "http_probes"}
    known = Known(Snapshot("", _NO_TIME, tables))
    for probe in http_probes:
        try:
            walk = trace(known, probe.url)
        except RequestError:
            continue
        yield _walked(known, probe, walk)


def _walked(known: Known, probe: HttpProbe, walk: Trace) -> ProbeWalk:
    same = walk.entrypoint == probe.entrypoint
    stop = next((hop for hop in walk.hops if hop.state == "broken"), None) if same else None
    return ProbeWalk(
        url=probe.url,
        entrypoint=probe.entrypoint,
        routers=(walk.router, *walk.ties) if same and walk.router else (),
        certain=same and _certain(known, probe, walk),
        service=walk.service,
        server=walk.server,
        container=walk.container,
        stop=stop.hop if stop else None,
        stop_name=(stop.name or None) if stop else None,
        reason=stop.reason if stop else None,
        faults=tuple(dict.fromkeys(" ".join(fault) for fault in walk.faults)) if same else (),
    )


def _certain(known: Known, probe: HttpProbe, walk: Trace) -> bool:
    """Whether no router that is tried before the winner, and may answer to this probe, has a rule of unsure effect."""
    routers = {router.router: router for router in known.routers or ()}
    for candidate in walk.candidates:
        router = routers.get(candidate.router)
        rule = ((router and router.rule) or "").lower()
        if router and any(word in rule for word in _UNSURE) and _concerns(router, probe):
            return False
        if candidate.router == walk.router:
            break
    return True


def _concerns(router: TraefikRouter, probe: HttpProbe) -> bool:
    """Whether a router may be asked what a probe asks, by domain and path."""
    return any(
        (_is_pattern(place.domain) or place.domain == probe.domain)
        and (_is_pattern(place.path) or (probe.path or "/").startswith(place.path or ""))
        for place in places_of(router)
    )


def _is_pattern(place: str | None) -> bool:
    return place is None or place.startswith(("~", "*"))
