"""Which files make a project: the names that Compose looks for, and those that people give to other sets of files."""

import re
from collections.abc import Collection, Mapping

# In the order in which Compose prefers them (compose-go, cli/options.go).
MAIN = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_LOOKS = re.compile(
    r"(?:docker-)?compose(?:[._-][\w.-]+)?\.ya?ml|[\w.-]+[._-](?:docker-)?compose\.ya?ml", re.IGNORECASE
)


def looks_compose(name: str) -> bool:
    """Whether a file's name says that it is a compose file: `docker-compose.legacy.yml`, `prod.compose.yaml`."""
    return bool(_LOOKS.fullmatch(name))


def default_files(names: Collection[str]) -> tuple[str, ...]:
    """The files that Compose takes by itself in a folder that holds `names`: one, and its override."""
    main = next((name for name in MAIN if name in names), None)
    override = next((name for name in OVERRIDES if name in names), None)
    return () if main is None else (main,) if override is None else (main, override)


def chosen_files(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The files that COMPOSE_FILE names in a `.env`."""
    separator = variables.get("COMPOSE_PATH_SEPARATOR") or ":"
    return tuple(one for one in variables.get("COMPOSE_FILE", "").split(separator) if one)


def sets(names: Collection[str], variables: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """The sets of files of one folder, the one that Compose takes by itself first.

    Every other file that looks like a compose file is a set of its own, since nothing says what it goes with.
    """
    first = chosen_files(variables) or default_files(names)
    rest = sorted(name for name in names if looks_compose(name) and name not in first)
    return (*([first] if first else []), *((name,) for name in rest))
