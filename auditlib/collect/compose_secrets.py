"""Secrets that compose files hold in clear, by name and place: never their value."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditlib.collect.containers import label_value
from auditlib.collect.secrets import REMOVED, redact, secret_name
from auditlib.compose.document import Map, Text

_VARIABLE = re.compile(r"\$\{[^{}]*\}|\$\w+")
# What tells no secret in a command: variables, and the identifiers of keys.
_WRITTEN = re.compile(r"\$\{[^{}]*\}|\$\w+|\bkid=[\w-]+", re.IGNORECASE)
# A fallback written in the file: ${PASSWORD:-changeme}.
_DEFAULT = re.compile(r"\$\{\w+:?-[^${}]+\}")
# What a name of a secret may hold without being one: a path, a yes or no, a number of seconds.
_PLAIN = re.compile(r"(?:true|false|yes|no|on|off|none|null|\d{0,4}|/[\w./-]*)", re.IGNORECASE)


class Secret(NamedTuple):
    """A secret that a file holds: its kind and name, the value where it stands, whether it is a fallback."""

    kind: str
    name: Any
    value: Text
    default: bool = False


def written(service: Map) -> Iterator[Secret]:
    """The secrets that a service holds: in its variables, its labels and its commands."""
    yield from _of_variables(service)
    yield from _of_labels(service)
    yield from _of_commands(service)


def _of_variables(service: Map) -> Iterator[Secret]:
    build = service.get("build") or {}
    for kind, values in (("environment", service.get("environment")), ("build", build.get("args"))):
        for variable, value in (values or {}).items():
            if not isinstance(value, Text) or not value:
                continue
            default = bool(_DEFAULT.fullmatch(value.raw))
            content = value.raw.partition("-")[2][:-1] if default else value.raw
            if _names_secret(variable) and not _PLAIN.fullmatch(content) and (default or _literal(value)):
                yield Secret(kind, variable, value, default)
            elif re.search(r"://[^/\s@:$]*:[^@\s/$]+@", value.raw):
                yield Secret(kind, variable, value)


def _names_secret(variable: str) -> bool:
    """Whether a variable holds a secret by its name, and neither the place of one nor an address."""
    return secret_name(variable) and not variable.upper().endswith(("_FILE", "_PATH", "_URL", "_URI"))


def _of_labels(service: Map) -> Iterator[Secret]:
    for label, value in (service.get("labels") or {}).items():
        if value and (label_value(str(label), str(value)) or "").startswith(REMOVED) and _literal(value):
            yield Secret("label", label, value)


def _of_commands(service: Map) -> Iterator[Secret]:
    for key in ("command", "entrypoint"):
        parts = service.get(key)
        for part in [parts] if isinstance(parts, Text) else parts or ():
            if isinstance(part, Text) and (written := _WRITTEN.sub("", part.raw)) != redact(written):
                yield Secret("command", key, part)


def _literal(value: Text) -> bool:
    """Whether the file holds the value itself, and no variable."""
    return bool(value.raw) and not _VARIABLE.search(value.raw.replace("$$", ""))
