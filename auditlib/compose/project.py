"""A project as Compose sees it, and what is wrong with its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from auditlib.compose.document import Map, Place

# The text of a file, from its absolute path. Raises OSError when it cannot be read.
Reader = Callable[[str], str]
Role = Literal["compose", "override", "include", "extends", "dotenv", "env_file", "label_file"]
Kind = Literal["invalid", "unreadable", "variable", "remote"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a project's files: a French clause and the place. Compose refuses all but "variable"."""

    kind: Kind
    reason: str
    place: Place
    name: str = ""  # of the variable


@dataclass
class Project:
    """A project as Compose sees it. The parts are in canonical shape; those of a broken project are empty."""

    name: str
    folder: str
    files: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    services: Map = field(default_factory=Map)
    networks: Map = field(default_factory=Map)
    volumes: Map = field(default_factory=Map)
    secrets: Map = field(default_factory=Map)
    configs: Map = field(default_factory=Map)
    models: Map = field(default_factory=Map)
    problems: list[Problem] = field(default_factory=list)
    read: dict[str, Role] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def refused(self) -> bool:
        """Whether Compose would refuse these files."""
        return any(problem.kind != "variable" for problem in self.problems)

    def active(self, service: str) -> bool:
        """Whether a service starts with the project: no profile, or one that is active."""
        wanted = self.services[service].get("profiles") or ()
        return not wanted or "*" in self.profiles or any(str(one) in self.profiles for one in wanted)
