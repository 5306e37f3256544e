"""Files of the machine given other rights, or to somebody else."""

import shlex
from dataclasses import dataclass, replace

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.host import DockerSocket
from auditlib.facts.tables.web import AcmeStorage
from auditlib.french import quoted
from auditlib.plan.acts.act import Act, Changes, Commands
from auditlib.plan.stacks import Stack


@dataclass(frozen=True)
class Mode(Act):
    """Give a file of the machine other rights; `restart` is the container that reads them only when it starts."""

    path: str
    was: str
    wanted: str
    restart: str | None = None

    own = ("path",)

    @property
    def restarted(self) -> str | None:
        return self.restart

    def effect(self, snapshot: Snapshot) -> Changes:
        return {
            AcmeStorage: [
                replace(row, mode=self.wanted) if row.host_path == self.path else row
                for row in snapshot.known(AcmeStorage) or ()
            ],
            DockerSocket: [
                replace(row, mode=self.wanted) if row.path == self.path else row
                for row in snapshot.known(DockerSocket) or ()
            ],
        }

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        path = shlex.quote(self.path)
        return Commands([f"sudo chmod {self.wanted} {path}"], [f"sudo chmod {self.was} {path}"])

    def describe(self) -> str:
        return f"Ramener les droits de {quoted(self.path)} de {self.was} à {self.wanted}."


@dataclass(frozen=True)
class Owner(Act):
    """Give a file of the machine to somebody else, as `user:group`."""

    path: str
    was: str
    wanted: str

    own = ("path",)

    def effect(self, snapshot: Snapshot) -> Changes:
        user, _, group = self.wanted.partition(":")
        return {
            DockerSocket: [
                replace(row, owner=user, group=group) if row.path == self.path else row
                for row in snapshot.known(DockerSocket) or ()
            ]
        }

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        forth, back = (f"sudo chown {shlex.quote(who)} {shlex.quote(self.path)}" for who in (self.wanted, self.was))
        return Commands([forth], [back])

    def describe(self) -> str:
        return f"Rendre {quoted(self.path)} à {quoted(self.wanted)}."
