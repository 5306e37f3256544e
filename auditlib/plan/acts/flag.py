"""An option of a command changed, or taken away."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auditlib.compose import edit
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.traefik import StaticOption
from auditlib.french import quoted
from auditlib.plan.acts.act import Changes, Edit

_API_GONE = "l’API de Traefik n’est plus servie sans mot de passe"


@dataclass(frozen=True)
class Flag(Edit):
    """Give an option of a command, named without its dashes, another value, or take it away."""

    flag: str
    wanted: str | None

    @property
    def own(self) -> tuple[Hashable, ...]:
        return (self.flag,)

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
