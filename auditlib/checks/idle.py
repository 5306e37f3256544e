"""What is not running and claims ports of the machine: who it is, in French, and the commands that start it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import join

from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.findings.check import Command, Subject
from auditlib.findings.commands import container_words, stack_command
from auditlib.french import listing, quoted
from auditlib.views.declarations import Declaration
from auditlib.views.ports import Claim, claim


@dataclass(frozen=True, eq=False)
class Idle:
    """A stopped container, or services that one compose file writes, and one claim of theirs.

    `subject` identifies it in findings: kind and name, a file relative to its root.
    """

    subject: Subject
    claim: Claim
    names: tuple[str, ...]
    owners: frozenset[tuple[str | None, str | None]]
    active: bool
    chosen: bool
    rows: tuple[Declaration, ...]

    @property
    def crowded(self) -> bool:
        """Whether several services of one file, that start together, claim the same."""
        return len({row.service for row in self.rows if row.active}) > 1

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines that claim, in the file."""
        return tuple(sorted({row.line for row in self.rows if row.line is not None}))

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


def idle(declarations: Rows[Declaration]) -> list[Idle]:
    """The claims of what does not run, those of one subject on one port once per address.

    A service that a stopped container stands for is told by its container.
    """
    claims = [(row, place) for row in declarations if not row.running and (place := claim(row))]
    stopped = {_port(row) for row, _ in claims if row.container}
    groups: dict[tuple[Subject, Claim], list[Declaration]] = {}
    for row, place in claims:
        if row.container or _port(row) not in stopped:
            groups.setdefault((_subject(row), place), []).append(row)
    return [_idle(subject, place, groups[subject, place]) for subject, place in sorted(groups)]


def _idle(subject: Subject, place: Claim, rows: list[Declaration]) -> Idle:
    return Idle(
        subject,
        place,
        tuple(sorted({name for row in rows if (name := row.container or row.service)})),
        frozenset((row.project, row.service) for row in rows),
        any(row.active for row in rows),
        all(row.chosen for row in rows),
        tuple(rows),
    )


def _subject(row: Declaration) -> Subject:
    return ("container", row.container) if row.container else ("compose_file", row.file or row.files or "")


def _port(row: Declaration) -> tuple[object, ...]:
    return row.project, row.service, row.protocol, row.host_port


def one_family(claims: Iterable[Idle]) -> Iterator[Idle]:
    """The claims, those of one subject on several addresses of one port once."""
    seen = set()
    for claimant in claims:
        key = (claimant.subject, claimant.claim.protocol, claimant.claim.first)
        if key not in seen:
            seen.add(key)
            yield claimant


def starter(claimant: Idle, containers: Rows[Container]) -> tuple[Command | None, str | None]:
    """The Compose command that starts what claims, and its service there; None for what no project made."""
    kind, name = claimant.subject
    if kind == "container":
        words = container_words(containers.by(Container.name)[name], Rows())
        return words.compose, words.service
    row = claimant.rows[0]
    if row.project is None or row.root is None or row.files is None:
        return None, None
    # The server calls Compose one way: that of this project's containers, else of any.
    versioned = [container for container in containers if container.compose_version]
    own = [container for container in versioned if container.compose_project == row.project]
    version = next((container.compose_version for container in [*own, *versioned]), None)
    return stack_command(row.project, version, [join(row.root, file) for file in row.files.split(" + ")]), row.service
