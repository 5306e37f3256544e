"""What Traefik is told: labels of containers, and options of its command."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auditlib.compose import edit
from auditlib.compose.overrides import Override
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.compose import ComposeLabel
from auditlib.facts.tables.docker import ContainerLabel
from auditlib.facts.tables.traefik import StaticOption
from auditlib.french import listing, quoted
from auditlib.plan.acts.act import Changes, Edit

_API_GONE = "l’API de Traefik n’est plus servie sans mot de passe"


@dataclass(frozen=True)
class Label(Edit):
    """Give a label to a service, in place of its value if it has one, or of the label `instead` that was meant."""

    label: str
    value: str
    instead: str | None = None

    reloads = True
    own = ("label",)

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.label(lines, self.service, self.label, self.value, self.instead)

    def override(self, file: Override) -> None:
        if self.instead is not None:
            super().override(file)
        file.label(self.service, self.label, self.value)

    def effect(self, snapshot: Snapshot) -> Changes:
        return {ContainerLabel: self._borne(snapshot), ComposeLabel: self._written(snapshot)}

    def _borne(self, snapshot: Snapshot) -> Iterator[ContainerLabel]:
        for row in snapshot.known(ContainerLabel) or ():
            if row.container != self.container or row.label not in (self.label, self.instead):
                yield row
        if self.container:
            yield ContainerLabel(container=self.container, label=self.label, value=self.value)

    def _written(self, snapshot: Snapshot) -> Iterator[ComposeLabel]:
        home = self.stack(snapshot)
        key = home.key if home else None
        for row in snapshot.known(ComposeLabel) or ():
            if key != (row.root, row.files, row.service) or row.label not in (self.label, self.instead):
                yield row
        if home and home.key:
            root, files, service = home.key
            yield ComposeLabel(
                root=root, files=files, service=service, label=self.label, value=self.value, file=home.files[0]
            )

    def describe(self) -> str:
        wanted = quoted(f"{self.label}={self.value}")
        if self.instead is None:
            return f"Donner à {self.who} l’étiquette {wanted}."
        return f"Remplacer l’étiquette {quoted(self.instead)} de {self.who} par {wanted}."

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        if self.label.endswith(".middlewares"):
            names = listing(map(quoted, self.value.split(",")))
            yield f"Les requêtes passeront par {names} : vérifier que les visiteurs légitimes ne sont pas refusés."


@dataclass(frozen=True)
class Flag(Edit):
    """Give an option of a command, named without its dashes, another value, or take it away."""

    flag: str
    wanted: str | None

    own = ("flag",)

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.flag(lines, self.service, self.flag, self.wanted)

    def effect(self, snapshot: Snapshot) -> Changes:
        return {StaticOption: self._options(snapshot.known(StaticOption) or ())}

    def _options(self, options: Iterable[StaticOption]) -> Iterator[StaticOption]:
        for row in options:
            if (row.container, row.origin, row.key) != (self.container, "flags", self.flag):
                yield row
            elif self.wanted is not None:
                yield replace(row, value=self.wanted)

    def unread(self) -> Mapping[str, str]:
        gone = self.flag == "api.insecure"
        return {name: _API_GONE for name, table in TABLES.items() if gone and table.source == "traefik_api"}

    def describe(self) -> str:
        option = quoted(f"--{self.flag}")
        if self.wanted is None:
            return f"Retirer l’option {option} de {self.who}."
        return f"Donner à l’option {option} de {self.who} la valeur {quoted(self.wanted)}."

    @property
    def risky(self) -> bool:
        return True

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        yield f"Ce qui se sert de cette option de {self.who} devra s’en passer."
