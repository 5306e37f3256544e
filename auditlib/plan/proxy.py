"""What Traefik would say after a change of containers or labels: what it must load, and the headers it adds then."""

from collections.abc import Iterator, Mapping

from auditlib.facts.legacy import Record
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.plan.acts import rows

_PARTS = ("routers", "services", "servers", "middlewares")
_HEADERS = ("hsts", "content_type_options", "frame_options", "csp")


def reloaded(before: Snapshot, after: Snapshot) -> Snapshot:
    """The facts after a change, with what Traefik's API would tell of it: where what it must load differs, it differs.

    Where either is not known, nothing of the API changes.
    """
    changed = {}
    for part in _PARTS:
        table, view = f"traefik_{part}", f"predicted_{part}"
        if table in after.tables:
            old, new = (_by_key(rows(facts, view), table) for facts in (before, after))
            if old != new:
                changed[table] = list(_told(rows(before, table), table, old, new))
    made = after.changed(changed) if changed else after
    return made.changed({"http_probes": _answers(before, made)}) if "traefik_routers" in changed else made


def _by_key(found: list[Record], table: str) -> dict[tuple[object, ...], Record]:
    columns = TABLES[table].names
    return {tuple(row[name] for name in TABLES[table].key): {name: row.get(name) for name in columns} for row in found}


def _told(
    said: list[Record], table: str, old: Mapping[tuple[object, ...], Record], new: Mapping[tuple[object, ...], Record]
) -> Iterator[Record]:
    """The rows of the API, those that Traefik must load otherwise changed in what differs."""
    known = _by_key(said, table)
    for key, row in known.items():
        if key not in old or key in new:
            yield {**row, **{n: v for n, v in new[key].items() if v != old[key][n]}} if key in old else row
    yield from (row for key, row in new.items() if key not in known)


def _answers(before: Snapshot, after: Snapshot) -> list[Record]:
    """The probes, with the headers that a middleware added to their router gives to all who have it already."""
    probes = rows(before, "http_probes")
    earlier = {row["router"]: row["middlewares"] or () for row in rows(before, "traefik_routers")}
    later = {row["router"]: row["middlewares"] or () for row in rows(after, "traefik_routers")}
    headers = {row["middleware"] for row in rows(after, "traefik_middlewares") if row["type"] == "headers"}
    found = []
    for probe in probes:
        router = probe["router"]
        added = (set(later.get(router, ())) - set(earlier.get(router, ()))) & headers
        given = {}
        for middleware in sorted(added):
            others = [one for one in probes if middleware in earlier.get(one["router"], ()) and _page(one)]
            for header in _HEADERS:
                values = [one[header] for one in others]
                if values and all(values) and not probe[header]:
                    given[header] = values[0]
        found.append({**probe, **given} if _page(probe) else probe)
    return found


def _page(probe: Record) -> bool:
    served = probe["status"] is not None and 200 <= probe["status"] < 300 and not probe["own_answer"]
    return bool(served and probe["url"].startswith("https://"))
