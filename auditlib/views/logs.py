"""What Traefik's logs tell once they are tables: questions that checks and conclusions both ask."""

import re
from collections.abc import Collection, Iterable

from auditlib.facts.tables.logs import AccessStat, LogEvent

# Kinds that are no fault: what Traefik tells of itself.
TOLD = frozenset({"started", "stopping", "acme_check", "acme_renewing", "advice", "update_available", "container_gone"})
ACME = frozenset({"acme_obtain", "acme_renew", "resolver_skipped"})
GRAVE = frozenset({"error", "fatal", "panic"})


def errors(events: Iterable[LogEvent]) -> list[LogEvent]:
    """The events that are errors, the most frequent first. What Traefik writes when it stops is none.

    A failed renewal is one, though Traefik writes it at the level of information.
    """
    failures = [event for event in events if event.kind not in TOLD and (event.level in GRAVE or event.kind in ACME)]
    return sorted(failures, key=lambda event: -(event.count or 0))


def newer_version(events: Iterable[LogEvent], running: str | None) -> str | None:
    """The highest version that the log announces, if it is above the one that runs.

    `running` is what Traefik's API says; without it, the version of the last start that the log holds counts.
    """
    versions = [(event.kind, event.last, event.named) for event in events if event.named]
    starts = [(last, version) for kind, last, version in versions if kind == "started" and last]
    if running is None and starts:
        _, running = max(starts, key=lambda start: start[0])
    announced = [version for kind, _, version in versions if kind == "update_available"]
    highest = max(announced, key=_numbers, default=None)
    return highest if highest and _numbers(highest) > _numbers(running or "") else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])


def share_of_5xx(stats: Collection[AccessStat]) -> float | None:
    """The share of 5xx answers among requests, 0 to 1; None without a request."""
    requests = sum(stat.requests or 0 for stat in stats)
    return sum(stat.status_5xx or 0 for stat in stats) / requests if requests else None
