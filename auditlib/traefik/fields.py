"""The fields of Traefik's dynamic configuration, by version: what a label or a file may say.

`dynamic_fields.json` is drawn from the Go structures of Traefik's own sources (`pkg/config/dynamic`, `pkg/tls`,
`pkg/types` at v2.11.53, v3.0.4, v3.1.7, v3.2.5, v3.3.7, v3.4.5, v3.5.6, v3.6.24 and v3.7.9). A field's `type` is
written `*T` for a pointer, `[]T` for a list, `map:T` for a map by name; `label` and `file` are the tags of
`traefik/paerser` (« allowEmpty », « - » for what is not read), `as` the name of a list in labels, `default` what
`SetDefaults` gives, `versions` the versions that have it (all of them when it is absent).
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

MINORS = ("2.11", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7")


class Version(NamedTuple):
    """A version of Traefik; compares as versions do."""

    major: int
    minor: int
    patch: int

    @property
    def known(self) -> str:
        """The closest version whose fields are known: « 3.7 »."""
        if self.major < 3:
            return MINORS[0]
        return min((f"3.{self.minor}", MINORS[-1]), key=lambda text: int(text.partition(".")[2]))


LATEST = Version(3, 7, 9)
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
def structures(minor: str) -> dict[str, tuple[Field, ...]]:
    """The structures of a version, by name."""
    raw = json.loads(files("auditlib.traefik").joinpath("dynamic_fields.json").read_text("utf-8"))
    return {
        name: tuple(
            Field(
                one["field"],
                one["type"],
                one.get("label", ""),
                one.get("file", ""),
                one.get("as", ""),
                one.get("default"),
            )
            for one in fields
            if minor in one.get("versions", minor).split()
        )
        for name, fields in raw.items()
    }


def extra(minor: str) -> dict[str, tuple[Field, ...]]:
    """The labels that are no dynamic configuration: `traefik.enable` and `traefik.docker.*` (`shared_labels.go`)."""
    options = [Field("Network", "*string"), Field("LBSwarm", "bool")]
    if minor in ("3.6", "3.7"):
        options.append(Field("AllowNonRunning", "bool"))
    return {"Labels": (Field("Enable", "bool"), Field("Docker", "*Docker")), "Docker": tuple(options)}
