"""A restart policy, which the engine takes at once."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from auditlib.compose import edit
from auditlib.compose.overrides import Override
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposeService
from auditlib.facts.tables.docker import Container
from auditlib.plan.acts.act import Changes, Commands, Edit
from auditlib.plan.stacks import Stack, container


@dataclass(frozen=True)
class Restart(Edit):
    """Give a service a restart policy."""

    policy: str

    by_engine: ClassVar[bool] = True

    @property
    def recreated(self) -> str | None:
        return None

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.restart(lines, self.service, self.policy)

    def override(self, file: Override) -> None:
        file.restart(self.service, self.policy)

    def effect(self, snapshot: Snapshot) -> Changes:
        return {
            Container: [
                replace(row, restart_policy=self.policy) if row.name == self.container else row
                for row in snapshot.known(Container) or ()
            ],
            ComposeService: self.services(snapshot, lambda service: replace(service, restart=self.policy)),
        }

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        known, name = container(snapshot, self.container), shlex.quote(self.container or "")
        former = (known and known.restart_policy) or "no"
        forth, back = (f"docker update --restart {shlex.quote(policy)} {name}" for policy in (self.policy, former))
        return Commands([forth], [back])

    def describe(self) -> str:
        return f"Faire redémarrer {self.who} de lui-même (« restart: {self.policy} »)."
