"""What Traefik's logs tell once they are tables: questions that checks and conclusions both ask."""

import re
from collections.abc import Iterable

from auditlib.facts.legacy import Record

# Kinds that are no fault: what Traefik tells of itself.
TOLD = frozenset({"started", "stopping", "acme_check", "acme_renewing", "advice", "update_available", "container_gone"})
ACME = frozenset({"acme_obtain", "acme_renew", "resolver_skipped"})
GRAVE = frozenset({"error", "fatal", "panic"})


def errors(events: Iterable[Record]) -> list[Record]:
    """The events that are errors, the most frequent first. What Traefik writes when it stops is none.

    A failed renewal is one, though Traefik writes it at the level of information.
    """
    found = [row for row in events if row["kind"] not in TOLD and (row["level"] in GRAVE or row["kind"] in ACME)]
    return sorted(found, key=lambda row: -row["count"])


def newer_version(events: Iterable[Record], running: str | None) -> str | None:
    """The highest version that the log announces, if it is above the one that runs.

    `running` is what Traefik's API says; without it, the version of the last start that the log holds counts.
    """
    rows = list(events)
    started = [row for row in rows if row["kind"] == "started" and row["named"] and row["last"] is not None]
    if running is None and started:
        running = max(started, key=lambda row: row["last"])["named"]
    announced = [row["named"] for row in rows if row["kind"] == "update_available" and row["named"]]
    highest = max(announced, key=_numbers, default=None)
    return highest if highest and _numbers(highest) > _numbers(running or "") else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])


def share_of_5xx(stats: Iterable[Record]) -> float | None:
    """The share of 5xx answers among requests, 0 to 1; None without a request."""
    rows = list(stats)
    asked = sum(row["requests"] for row in rows)
    return sum(row["status_5xx"] for row in rows) / asked if asked else None
