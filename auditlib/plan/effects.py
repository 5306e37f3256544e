"""What a snapshot would say after acts: the tables that tell of what changed, and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, asdict
from auditlib.facts.tables.traefik import TraefikMiddleware, TraefikRouter, TraefikServer, TraefikService
from auditlib.facts.tables.web import HttpProbe
from auditlib.plan.acts.act import Act
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter, PredictedServer, PredictedService

# The tables of Traefik's API, and the views of what it must load.
_LOADED: tuple[tuple[type[Row], type[Row]], ...] = (
    (TraefikRouter, PredictedRouter),
    (TraefikService, PredictedService),
    (TraefikServer, PredictedServer),
    (TraefikMiddleware, PredictedMiddleware),
)
_HEADERS = ("hsts", "content_type_options", "frame_options", "csp")

# The columns of rows, by the key of their table.
Keyed = dict[tuple[Any, ...], dict[str, Any]]


def applied(snapshot: Snapshot, *acts: Act) -> Snapshot:
    """The snapshot after the acts of one step, as a collection made then would find it.

    A container keeps its name until the last of what is done to it, and its networks until it has others.
    """
    after = snapshot
    for act in sorted(acts, key=lambda act: act.turn):
        changes = {row.table.name: rows for row, rows in act.effect(after).items() if row.table.name in after.tables}
        after = after.changed(changes, act.unread())
    return _reloaded(snapshot, after) if any(act.reloads for act in acts) else after


def _reloaded(before: Snapshot, after: Snapshot) -> Snapshot:
    """The facts after a change, with what Traefik's API would tell of it: where what it must load differs, it differs.

    Where either is not known, nothing of the API changes.
    """
    changed = {}
    for loaded, predicted in _LOADED:
        if loaded.table.name in after.tables:
            old, new = (_keyed(facts, predicted, loaded) for facts in (before, after))
            if old != new:
                changed[loaded.table.name] = [*_loaded(_keyed(before, loaded, loaded), old, new)]
    made = after.changed(changed) if changed else after
    if TraefikRouter.table.name in changed and HttpProbe.table.name in after.tables:
        return made.changed({HttpProbe.table.name: _answers(before, made)})
    return made


def _keyed(facts: Snapshot, row: type[Row], like: type[Row]) -> Keyed:
    """The rows of a table or view, in the columns and by the key of another."""
    columns = [asdict(known) for known in facts.known(row) or ()]
    own = [{name: values[name] for name in like.table.names} for values in columns]
    return {tuple(values[name] for name in like.table.key): values for values in own}


def _loaded(loaded: Keyed, old: Keyed, new: Keyed) -> Iterator[Mapping[str, Any]]:
    """What the API tells once Traefik must load what is new: what differs from the old is changed, the rest stays."""
    for key, values in loaded.items():
        if key in old and key in new:
            yield values | {name: value for name, value in new[key].items() if value != old[key][name]}
        elif key not in old:
            yield values
    yield from (values for key, values in new.items() if key not in loaded)


def _answers(before: Snapshot, after: Snapshot) -> Iterator[HttpProbe | Mapping[str, Any]]:
    """The probes, with the headers that a middleware added to their router gives to all who have it already."""
    probes = before.known(HttpProbe) or ()
    earlier, later = (
        {router.router: {*(router.middlewares or ())} for router in facts.known(TraefikRouter) or ()}
        for facts in (before, after)
    )
    headers = {row.middleware for row in after.known(TraefikMiddleware) or () if row.type == "headers"}
    pages = [*filter(_page, probes)]
    for probe in probes:
        router, given = probe.router or "", dict[str, Any]()
        for middleware in sorted((later.get(router, set()) - earlier.get(router, set())) & headers):
            others = [page for page in pages if middleware in earlier.get(page.router or "", ())]
            for header in _HEADERS:
                values = [getattr(other, header) for other in others]
                if values and all(values) and not getattr(probe, header):
                    given[header] = values[0]
        yield asdict(probe) | given if given and _page(probe) else probe


def _page(probe: HttpProbe) -> bool:
    served = probe.status is not None and 200 <= probe.status < 300 and not probe.own_answer
    return served and probe.url.startswith("https://")
