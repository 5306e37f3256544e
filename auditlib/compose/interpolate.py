"""`$VAR` and `${VAR…}` in the values of a file, as compose-go's package `template` replaces them.

`$VAR ${VAR} ${VAR:-d} ${VAR-d} ${VAR:?e} ${VAR?e} ${VAR:+r} ${VAR+r}`, nested, and `$$` for a dollar.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditlib.compose.document import Invalid, Map, Place, Seq, Text, mapping, place_of, sequence, text

_START = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<named>[_a-z][_a-z0-9]*)|\{(?P<braced>[_a-z][_a-z0-9]*)?(?P<sign>:?[-+?])?)", re.IGNORECASE
)
_NESTED = 30
MAX_LENGTH = 256 * 1024  # characters of one value, once its variables are replaced
MAX_TOTAL = 8 * 1024 * 1024  # of all values of a file


@dataclass
class Variables:
    """What variables are worth, and which of those asked for are unknown: (name, place)."""

    values: Mapping[str, str]
    missing: list[tuple[str, Place]] = field(default_factory=list)
    required: list[tuple[str, Place]] = field(default_factory=list)
    written: int = 0  # characters, so far

    def spend(self, length: int, place: Place) -> None:
        """Count what was written. Raises Invalid when it grows beyond all reason."""
        self.written += length
        if length > MAX_LENGTH or self.written > MAX_TOTAL:
            raise Invalid("les variables donnent un texte démesuré", place)

    def get(self, name: str, place: Place) -> str:
        """The value of a variable; unknown ones are empty, and noted."""
        if name not in self.values:
            self.missing.append((name, place))
        return self.values.get(name, "")


def required(name: str) -> str:
    """Why a file is refused that asks for a variable by `${name:?…}`."""
    return f"la variable {name}, obligatoire, n’a pas de valeur"


def substitute(template: str, variables: Variables, place: Place, depth: int = 0) -> str:
    """The text with its variables replaced. Raises Invalid for a form that compose-go refuses."""
    if depth > _NESTED:
        raise Invalid(f"plus de {_NESTED} variables imbriquées", place)
    pieces: list[str] = []
    position = length = 0
    while found := _START.search(template, position):
        pieces.append(template[position : found.start()])
        position = found.end()
        if found["dollar"]:
            pieces.append("$")
        elif found["named"]:
            pieces.append(variables.get(found["named"], place))
        else:
            value, position = _braced(template, found, variables, place, depth)
            pieces.append(value)
        length += len(pieces[-1])
        if length > MAX_LENGTH:
            break
    variables.spend(length, place)
    return "".join([*pieces, template[position:]])


def _braced(template: str, found: re.Match[str], variables: Variables, place: Place, depth: int) -> tuple[str, int]:
    """The value of `${…}`, and where it ends."""
    name, sign = found["braced"], found["sign"]
    end = _closing(template, found.start()) if name else None
    if end is None or (not sign and end != found.end()):
        raise Invalid("une variable est mal écrite : un « $ » qui n’en annonce pas s’écrit « $$ »", place)
    if not sign:
        return variables.get(name, place), end + 1
    aside = Variables(variables.values)  # what the other branch asks for is not missing
    other = substitute(template[found.end() : end], aside, place, depth + 1)
    variables.required += aside.required
    value = variables.values.get(name)
    absent = value is None or (sign.startswith(":") and not value)
    if sign.endswith("?"):
        if absent:
            variables.required.append((name, place))
        return value or "", end + 1
    if sign.endswith("-") == absent:
        variables.missing += aside.missing
        return other, end + 1
    return value or "", end + 1


def _closing(template: str, start: int) -> int | None:
    """Where the brace that opens after `start` is closed, on the same line.

    compose-go does not look at what follows an inner brace, and takes the last one of the line when it has lost count.
    """
    opened, position = 0, start
    line = template.find("\n", start)
    last = len(template) if line < 0 else line
    while position < last:
        if template[position] == "}":
            opened -= 1
            if not opened:
                return position
        elif template[position] == "{":
            opened += 1
            position += 1
        position += 1
    end = template.rfind("}", start, last)
    return end if end >= 0 else None


def whole(value: str) -> int:
    """A whole number, as Go's Atoi reads it. Raises ValueError."""
    if not re.fullmatch(r"[-+]?[0-9]{1,18}", value):
        raise ValueError(value)
    return int(value)


def boolean(value: str) -> bool:
    """True or false, in the words that Compose knows. Raises KeyError."""
    words = {"true": True, "y": True, "yes": True, "on": True, "false": False, "n": False, "no": False, "off": False}
    return words[value.lower()]


# What texts are turned into, where: compose-go's loader/interpolate.go. `*` is any key or item.
_SERVICE: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares"), whole),
    **dict.fromkeys(("oom_score_adj", "pids_limit", "scale", "healthcheck.retries", "ports.*.target"), whole),
    **dict.fromkeys(
        ("deploy.replicas", "deploy.update_config.parallelism", "deploy.rollback_config.parallelism"), whole
    ),
    **dict.fromkeys(("deploy.restart_policy.max_attempts", "deploy.placement.max_replicas_per_node"), whole),
    **dict.fromkeys(("ulimits.*", "ulimits.*.hard", "ulimits.*.soft"), whole),
    **dict.fromkeys(("cpu_percent", "cpus", "deploy.update_config.max_failure_ratio"), float),
    "deploy.rollback_config.max_failure_ratio": float,
    **dict.fromkeys(("init", "healthcheck.disable", "oom_kill_disable", "privileged", "read_only"), boolean),
    **dict.fromkeys(("stdin_open", "tty", "volumes.*.read_only", "volumes.*.volume.nocopy"), boolean),
}
_CASTS: dict[tuple[str, ...], Callable[[str], Any]] = {
    **{("services", "*", *path.split(".")): cast for path, cast in _SERVICE.items()},
    **{
        ("networks", "*", name): boolean
        for name in ("external", "internal", "attachable", "enable_ipv4", "enable_ipv6")
    },
    **{(kind, "*", "external"): boolean for kind in ("volumes", "secrets", "configs")},
}


def _cast(path: tuple[str, ...]) -> Callable[[str], Any] | None:
    if len(path) < 3:
        return None
    candidates = [(path[0], "*", *path[2:]), (path[0], "*", path[2], "*", *path[4:])]
    return next((_CASTS[one] for one in candidates if one in _CASTS), None)


def interpolate(value: Any, variables: Variables, path: tuple[str, ...] = ()) -> Any:
    """The tree with its variables replaced in values, not in keys. Raises Invalid."""
    if isinstance(value, Map):
        return mapping({key: interpolate(item, variables, (*path, key)) for key, item in value.items()}, value.place)
    if isinstance(value, Seq):
        return sequence([interpolate(item, variables, (*path, "*")) for item in value], value.place)
    if not isinstance(value, Text):
        return value
    place = place_of(value)
    made = substitute(value, variables, place) if "$" in value else str(value)
    if cast := _cast(path):
        try:
            return cast(made)
        except (ValueError, KeyError):
            raise Invalid(f"« {'.'.join(path)[:100]} » n’a pas la forme attendue", place) from None
    return text(made, place, str(value))
