"""What a snapshot would say after a step: the tables that tell of what changed, and what Traefik would load then."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, asdict
from auditlib.facts.tables.traefik import TraefikMiddleware, TraefikRouter, TraefikServer, TraefikService
from auditlib.facts.tables.web import HttpProbe
from auditlib.plan.acts.act import Act
from auditlib.views.predicted import PredictedMiddleware, PredictedRouter, PredictedServer, PredictedService

# What Traefik's API tells, and the view that foresees it.
_LOADED: dict[type[Row], type[Row]] = {
    TraefikRouter: PredictedRouter,
    TraefikService: PredictedService,
    TraefikServer: PredictedServer,
    TraefikMiddleware: PredictedMiddleware,
}
_HEADERS = ("hsts", "content_type_options", "frame_options", "csp")

# Rows of a table by their key, each as its columns.
_Keyed = Mapping[tuple[object, ...], dict[str, Any]]


def applied(snapshot: Snapshot, *acts: Act) -> Snapshot:
    """The snapshot after the acts of one step, as a collection made then would find it."""
    after = snapshot
    for act in sorted(acts, key=lambda act: act.turn):
        changes = {row.table.name: rows for row, rows in act.effect(after).items()}
        after = after.changed({name: rows for name, rows in changes.items() if name in after.tables}, act.unread())
    return _reloaded(snapshot, after) if any(act.reloads for act in acts) else after


def _reloaded(before: Snapshot, after: Snapshot) -> Snapshot:
    """The facts after a change, with what Traefik's API would tell of it: where what it must load differs, it differs.

    Where either is not known, nothing of the API changes.
    """
    changes: dict[str, Iterable[Row | Mapping[str, Any]]] = {}
    for row, predicted in _LOADED.items():
        if row.table.name in after.tables:
            old, new = (_keyed(facts.known(predicted) or (), row) for facts in (before, after))
            if old != new:
                changes[row.table.name] = list(_loaded(_keyed(before.rows(row), row), old, new))
    made = after.changed(changes) if changes else after
    return made.changed({HttpProbe.table.name: _answers(before, made)}) if TraefikRouter.table.name in changes else made


def _keyed(rows: Iterable[Row], loaded: type[Row]) -> _Keyed:
    """Rows by the key of a table, with the columns of that table alone."""
    columns = loaded.table.names
    found = [{name: value for name, value in asdict(row).items() if name in columns} for row in rows]
    return {tuple(values[name] for name in loaded.table.key): values for values in found}


def _loaded(api: _Keyed, old: _Keyed, new: _Keyed) -> Iterator[dict[str, Any]]:
    """The rows of the API, those that Traefik must load otherwise changed in what differs."""
    for key, row in api.items():
        if key not in old or key in new:
            yield {**row, **{n: v for n, v in new[key].items() if v != old[key][n]}} if key in old else row
    yield from (row for key, row in new.items() if key not in api)


def _answers(before: Snapshot, after: Snapshot) -> list[HttpProbe]:
    """The probes, with the headers that a middleware added to their router gives to all who have it already."""
    probes = before.known(HttpProbe) or ()
    earlier = {row.router: row.middlewares or () for row in before.known(TraefikRouter) or ()}
    later = {row.router: row.middlewares or () for row in after.known(TraefikRouter) or ()}
    headers = {row.middleware for row in after.known(TraefikMiddleware) or () if row.type == "headers"}
    answers = []
    for probe in probes:
        router, given = probe.router or "", dict[str, Any]()
        for middleware in sorted(({*later.get(router, ())} - {*earlier.get(router, ())}) & headers):
            others = [one for one in probes if middleware in earlier.get(one.router or "", ()) and _is_page(one)]
            for header in _HEADERS:
                values = [getattr(other, header) for other in others]
                if values and all(values) and not getattr(probe, header):
                    given[header] = values[0]
        answers.append(replace(probe, **given) if _is_page(probe) else probe)
    return answers


def _is_page(probe: HttpProbe) -> bool:
    """Whether a probe was given a page over HTTPS."""
    served = probe.status is not None and 200 <= probe.status < 300 and not probe.own_answer
    return served and probe.url.startswith("https://")
