"""What is known of Traefik's routing: as its API tells it, else as it must have loaded it; and the muxer of that."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Network
from auditlib.facts.tables.host import Listener
from auditlib.facts.tables.traefik import (
    StaticOption,
    Traefik,
    TraefikEntrypoint,
    TraefikMiddleware,
    TraefikRouter,
    TraefikServer,
    TraefikService,
)
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Handling
from auditlib.traefik.routers import STILL_SERVES, EntryPoint, Router
from auditlib.views.entrypoints import Entrypoint, precedence
from auditlib.views.predicted import (
    PredictedMiddleware,
    PredictedRouter,
    PredictedServer,
    PredictedService,
    Server,
    router_of,
)
from auditlib.views.proxy import Proxy
from auditlib.views.routes import Machine, machine_of

_HIGHEST = 2**63 - 1


@dataclass(frozen=True)
class Known:
    """What a snapshot tells of routing; None where it tells nothing. Many walks may share one."""

    snapshot: Snapshot

    @functools.cached_property
    def live(self) -> bool:
        """Whether Traefik's API was read; else what it must have loaded stands for it."""
        return self.snapshot.known(TraefikRouter) is not None

    @property
    def routers(self) -> Rows[TraefikRouter] | None:
        """The routers that Traefik has, else those that it must have."""
        return self.snapshot.known(TraefikRouter if self.live else PredictedRouter)

    @property
    def services(self) -> Rows[TraefikService] | None:
        """The services that Traefik has, else those that it must have."""
        return self.snapshot.known(TraefikService if self.live else PredictedService)

    @property
    def servers(self) -> Rows[Server] | None:
        """The servers that Traefik has, else those that it must have."""
        return self.snapshot.known(TraefikServer) if self.live else self.snapshot.known(PredictedServer)

    @property
    def middlewares(self) -> Rows[TraefikMiddleware] | None:
        """The middlewares that Traefik has, else those that it must have."""
        return self.snapshot.known(TraefikMiddleware if self.live else PredictedMiddleware)

    @property
    def entrypoints(self) -> Rows[Entrypoint] | None:
        """The entry points of Traefik."""
        return self.snapshot.known(Entrypoint)

    @property
    def proxy(self) -> Proxy | None:
        """The container of Traefik and its provider."""
        return next(iter(self.snapshot.known(Proxy) or ()), None)

    @functools.cached_property
    def machine(self) -> Machine:
        """What tells that a server is this machine."""
        return machine_of(self.snapshot.known(Network), self.snapshot.known(Listener), self.snapshot.known(Proxy))

    @functools.cached_property
    def muxer(self) -> Muxer | None:
        """The muxer of these routers, and of the redirections that Traefik makes by itself."""
        if self.routers is None or self.entrypoints is None:
            return None
        version = next((api.version for api in self.snapshot.known(Traefik) or ()), None)
        made = () if self.live else _redirections(self.entrypoints)
        order = precedence(self.snapshot.known(StaticOption))
        return Muxer(version, entry_points(self.entrypoints), (*routers(self.routers), *made), order)


def entry_points(rows: Iterable[TraefikEntrypoint | Entrypoint]) -> Iterator[EntryPoint]:
    """The entry points of a snapshot, as the muxer takes them."""
    for row in rows:
        handling = Handling(
            row.sanitizes_path,
            None if row.refused_characters is None else frozenset(row.refused_characters),
            bool(row.encodes_semicolons),
            row.trusted or (),
            row.underscores or "keep",
            row.aliases or "keep",
        )
        yield EntryPoint(row.entrypoint, handling, bool(row.default), bool(row.tls))


def routers(rows: Iterable[TraefikRouter]) -> Iterator[Router]:
    """The HTTP and TCP routers of a snapshot, as the muxer takes them."""
    for row in rows:
        if row.protocol in ("http", "tcp"):
            serves = row.status != "disabled" or (row.errors == (STILL_SERVES,) and not row.parents)
            yield replace(router_of(row), serves=serves)


def _redirections(points: Iterable[Entrypoint]) -> Iterator[Router]:
    """The redirections that Traefik makes for entry points (`pkg/provider/traefik/internal.go`)."""
    for point in points:
        if point.redirect_to:
            name = f"{point.entrypoint}-to-{point.redirect_to}@internal"
            yield Router(name, "HostRegexp(`^.+$`)", (point.entrypoint,), priority=_HIGHEST - 1)
