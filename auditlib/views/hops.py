"""The steps of a request through a server, and the tables that tell them."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import Snapshot
from auditlib.traefik.muxer import Candidate, Muxer
from auditlib.traefik.routers import Router
from auditlib.views.known import entry_points, routers

State = Literal["ok", "broken", "unknown"]
Verdict = Literal["ok", "broken", "unrouted", "unknown"]
Fault = tuple[str, str, str]  # check, kind and name of its subject

_HIGHEST = 2**63 - 1


@dataclass(frozen=True)
class Hop:
    """One step of a request: what it is, its name, and its state with the reason, in French."""

    hop: str
    name: str
    state: State
    reason: str = ""


@dataclass
class Trace:
    """How a request travels. `faults` name the checks that say more of what is broken, with their subjects."""

    url: str
    verdict: Verdict = "unknown"
    entrypoint: str | None = None
    router: str | None = None
    ties: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    middlewares: tuple[str, ...] = ()
    service: str | None = None
    server: str | None = None
    container: str | None = None
    network: str | None = None
    hops: list[Hop] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    observed: dict[str, Any] | None = None

    def add(self, hop: str, name: str, state: State, reason: str = "", *faults: Fault) -> bool:
        """Add a hop; returns whether the walk goes on."""
        self.hops.append(Hop(hop, name, state, reason))
        self.faults += faults
        return state != "broken"


@dataclass(frozen=True)
class Known:
    """The tables that a walk reads, None for those that were not read. Many walks may share one."""

    snapshot: Snapshot
    _rows: dict[str, list[Record] | None] = field(default_factory=dict)

    def rows(self, name: str) -> list[Record] | None:
        """The rows of a table."""
        if name not in self._rows:
            frame = self.frame(name)
            self._rows[name] = None if frame is None else records(frame)
        return self._rows[name]

    def frame(self, name: str) -> pd.DataFrame | None:
        """The frame of a table."""
        found: pd.DataFrame | None = getattr(self.snapshot, name, None)
        return found

    @property
    def live(self) -> bool:
        """Whether Traefik's API was read; else what it must have loaded stands for it."""
        return self.frame("traefik_routers") is not None

    @functools.cached_property
    def muxer(self) -> Muxer | None:
        """The muxer of the live routers, else of those that Traefik must have loaded."""
        frame = self.frame("traefik_routers" if self.live else "predicted_routers")
        points = self.frame("entrypoints")
        if frame is None or points is None:
            return None
        version = next((row["version"] for row in self.rows("traefik") or []), None)
        inner = [] if self.live else list(_internal(records(points)))
        return Muxer(version, entry_points(records(points)), [*routers(records(frame)), *inner])

    def traefik(self, kind: str) -> list[Record] | None:
        """The routers, services, servers or middlewares of Traefik, else those that it must have."""
        return self.rows(f"{'traefik' if self.live else 'predicted'}_{kind}")


def _internal(points: list[Record]) -> Iterator[Router]:
    """The redirections that Traefik makes for entry points (`pkg/provider/traefik/internal.go`)."""
    for row in points:
        if row["redirect_to"]:
            name = f"{row['entrypoint']}-to-{row['redirect_to']}@internal"
            yield Router(name, "HostRegexp(`^.+$`)", (row["entrypoint"],), priority=_HIGHEST - 1)
