"""The fields of Traefik's dynamic configuration, by version: what a label or a file may say.

`dynamic_fields.json` is drawn from the Go structures of Traefik's own sources (`pkg/config/dynamic`, `pkg/tls`,
`pkg/types` at every tag from v2.11.0 to v3.7.9), a structure that is embedded in another giving it its fields; what
came later was seen in the program of 3.7.15. A field's `type` is written `*T` for a pointer, `[]T` for a list, `map:T`
for a map by name; `label` and `file` are the tags of `traefik/paerser` (« allowEmpty », « - » for what is not read),
`as` the name of a list in labels, `default` what `SetDefaults` gives. `versions` lists the spans of versions that have
it, « 2.11.38-3.0.0 3.6.9- »: from the first included to the second excluded, always when it is absent.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class Version(NamedTuple):
    """A version of Traefik; compares as versions do."""

    major: int
    minor: int
    patch: int


LATEST = Version(3, 7, 15)
UNTOLD = 999  # the patch number of a version that does not say it: the last of its minor


def version(text: str | None) -> Version | None:
    """The version in a text such as « 3.6.6 » or « v3.6 »; without a patch number, the last of its minor."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?", text or "")
    return Version(int(match[1]), int(match[2]), int(match[3] or UNTOLD)) if match else None


@dataclass(frozen=True)
class Field:
    """One field of a structure."""

    name: str
    type: str
    label: str = ""
    file: str = ""
    label_name: str = ""  # how labels call a list that they give the one item of
    default: Any = None

    @property
    def pointer(self) -> bool:
        """Whether "absent" and "zero" differ."""
        return self.type.startswith("*")


@cache
def structures(version: Version) -> dict[str, tuple[Field, ...]]:
    """The structures of a version, by name."""
    return {
        name: tuple(
            Field(
                field["field"],
                field["type"],
                field.get("label", ""),
                field.get("file", ""),
                field.get("as", ""),
                field.get("default"),
            )
            for field in fields
            if _within(version, field.get("versions", "-"))
        )
        for name, fields in _every().items()
    }


@cache
def _every() -> dict[str, list[dict[str, Any]]]:
    """The fields of all versions, by structure."""
    every: dict[str, list[dict[str, Any]]] = json.loads(
        files("auditlib.traefik").joinpath("dynamic_fields.json").read_text("utf-8")
    )
    return every


def _within(at: Version, spans: str) -> bool:
    """Whether a version lies in one of several spans, « 2.11.38-3.0.0 3.6.9- »."""
    bounds = (span.split("-") for span in spans.split())
    return any((not first or at >= _exact(first)) and (not end or at < _exact(end)) for first, end in bounds)


def _exact(text: str) -> Version:
    return Version(*map(int, text.split(".")))


def extra(version: Version) -> dict[str, tuple[Field, ...]]:
    """The labels that are no dynamic configuration: `traefik.enable` and `traefik.docker.*` (`shared_labels.go`)."""
    options = [Field("Network", "*string"), Field("LBSwarm", "bool")]
    if version >= (3, 6, 0):
        options.append(Field("AllowNonRunning", "bool"))
    return {"Labels": (Field("Enable", "bool"), Field("Docker", "*Docker")), "Docker": tuple(options)}
