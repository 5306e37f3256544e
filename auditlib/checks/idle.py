"""What is not running and claims ports of the machine: who it is, in French, and the commands that start it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from posixpath import join

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.views.ports import Claim, claim


@dataclass(frozen=True, eq=False)
class Idle:
    """A stopped container, or services that one compose file writes, and one claim of theirs.

    `subject` identifies it in findings: kind and name, a file relative to its root.
    """

    subject: tuple[str, str]
    claim: Claim
    names: tuple[str, ...]
    owners: frozenset[tuple[str | None, str | None]]
    active: bool
    chosen: bool
    rows: tuple[Record, ...]

    @property
    def crowded(self) -> bool:
        """Whether several services of one file, that start together, claim the same."""
        return len({row["service"] for row in self.rows if row["active"]}) > 1

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines that claim, in the file."""
        return tuple(sorted({row["line"] for row in self.rows if row["line"] is not None}))

    @property
    def place(self) -> str:
        """« fichier » (ligne 14); empty for a container."""
        return f"{quoted(self.subject[1])}{_lines(self.lines)}" if self.subject[0] == "compose_file" else ""

    @property
    def title(self) -> str:
        """Who it is, as the beginning of a sentence."""
        names = listing(map(quoted, self.names))
        if self.subject[0] == "container":
            return f"Le conteneur {names}, arrêté,"
        who = f"Le service {names}" if len(self.names) == 1 else f"Chacun des services {names}"
        return f"{who} de {self.place}, {'à l’arrêt' if self.active else 'dont le profil n’est pas actif'},"

    @property
    def short(self) -> str:
        """Who it is, inside an enumeration."""
        names = listing(map(quoted, self.names))
        if self.subject[0] == "container":
            return f"le conteneur {names}"
        return f"{'le service' if len(self.names) == 1 else 'les services'} {names} de {self.place}"

    def same_service(self, other: "Idle") -> bool:
        """Whether the two are one service of one project, which replaces itself."""
        return self.owners == other.owners and len(self.owners) == 1 and None not in next(iter(self.owners))


def _lines(lines: tuple[int, ...]) -> str:
    word = "ligne" if len(lines) == 1 else "lignes"
    return f" ({word} {listing(map(str, lines))})" if lines else ""


def idle(declarations: pd.DataFrame) -> list[Idle]:
    """The claims of what does not run, those of one subject on one port once per address.

    A service that a stopped container stands for is told by its container.
    """
    rows = [row for row in records(declarations) if row["kind"] == "port" and not row["running"]]
    stopped = {_port(row) for row in rows if row["container"]}
    kept = [row for row in rows if claim(row) and (row["container"] or _port(row) not in stopped)]
    kept.sort(key=_key)
    return [_idle(subject, list(group)) for (subject, _), group in groupby(kept, _key)]


def _key(row: Record) -> tuple[tuple[str, str], Claim]:
    return _subject(row), _claimed(row)


def _idle(subject: tuple[str, str], rows: list[Record]) -> Idle:
    return Idle(
        subject,
        _claimed(rows[0]),
        tuple(sorted({row["container"] or row["service"] for row in rows})),
        frozenset((row["project"], row["service"]) for row in rows),
        any(row["active"] for row in rows),
        all(row["chosen"] for row in rows),
        tuple(rows),
    )


def _subject(row: Record) -> tuple[str, str]:
    return ("container", row["container"]) if row["container"] else ("compose_file", row["file"] or row["files"])


def _claimed(row: Record) -> Claim:
    found = claim(row)
    assert found is not None  # noqa: S101 - asked of rows that claim
    return found


def _port(row: Record) -> tuple[object, ...]:
    return row["project"], row["service"], row["protocol"], row["host_port"]


def one_family(claims: Iterable[Idle]) -> Iterator[Idle]:
    """The claims, those of one subject on several addresses of one port once."""
    told = set()
    for one in claims:
        key = (one.subject, one.claim.protocol, one.claim.first)
        if key not in told:
            told.add(key)
            yield one


def commands(one: Idle, containers: dict[str, Record]) -> Record:
    """The wording of commands on what claims: `compose` and `service`, as `commands.compose` gives them."""
    kind, name = one.subject
    if kind == "container":
        return compose(containers[name])
    row = one.rows[0]
    versions = [c for c in containers.values() if c["compose_version"]]
    own = [c for c in versions if c["compose_project"] == row["project"]]
    return compose(
        {
            "compose_project": row["project"],
            "compose_service": row["service"],
            # The server calls Compose one way: that of this project's containers, else of any.
            "compose_version": next((c["compose_version"] for c in [*own, *versions]), None),
            "compose_files": [join(row["root"], file) for file in row["files"].split(" + ")],
        }
    )
