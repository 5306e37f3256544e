"""What is known of Traefik's routing: as its API tells it, else as it must have loaded it; and the muxer of that."""

from collections.abc import Iterable, Iterator

from auditlib.facts.tables.traefik import TraefikEntrypoint, TraefikRouter
from auditlib.traefik.requests import Handling
from auditlib.traefik.routers import STILL_SERVES, EntryPoint, Router
from auditlib.views.entrypoints import Entrypoint


def entry_points(rows: Iterable[TraefikEntrypoint | Entrypoint]) -> Iterator[EntryPoint]:
    """The entry points of a snapshot, as the muxer takes them."""
    for row in rows:
        handling = Handling(
            row.sanitizes_path,
            None if row.refused_characters is None else frozenset(row.refused_characters),
            bool(row.encodes_semicolons),
            row.trusted or (),
        )
        yield EntryPoint(row.entrypoint, handling, bool(row.default), bool(row.tls))


def routers(rows: Iterable[TraefikRouter]) -> Iterator[Router]:
    """The HTTP and TCP routers of a snapshot, as the muxer takes them."""
    for row in rows:
        if row.protocol in ("http", "tcp"):
            yield Router(
                row.router,
                row.rule or "",
                row.entrypoints or (),
                bool(row.tls),
                row.priority,
                row.rule_syntax,
                row.parents or (),
                row.tls_options or "default",
                row.protocol,
                row.status != "disabled" or row.errors == (STILL_SERVES,),
            )
