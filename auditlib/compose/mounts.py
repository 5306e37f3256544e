"""The short form of `volumes:`, and the paths of a project: packages `format` and `paths`."""

import posixpath
import re
from typing import Any, NamedTuple

from auditlib.compose.document import Invalid, Map, Place, Text, mapping, place_of, text

_REMOTE = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|git@|github\.com/|oci:)", re.IGNORECASE)
# A context of construction that is no folder.
_CONTEXT = re.compile(r"^(?:service:|git@|github\.com/)|://")
# Compose on Linux leaves these as they are: the engine may be on Windows.
_WINDOWS = re.compile(r".:[\\/]|\\[\\/]", re.DOTALL)
_FILE = re.compile(r"[./~]|\\\\|[^\W\d_]:")


class Folder(NamedTuple):
    """Where relative paths start, and the home that `~` stands for ("" when it is unknown)."""

    path: str
    home: str = ""

    def part(self, path: str) -> "Folder":
        """Where the paths of a file of that folder start, seen from here: its own parts are resolved here again."""
        return Folder(posixpath.relpath(path, self.path), self.home)

    def absolute(self, path: str) -> Text:
        """A path from this folder; the parts of one that is absolute stay as they are written."""
        if path.startswith("~"):
            path = text(posixpath.join(self.home, path[1:].lstrip("/")), place_of(path)) if self.home else path
            return text(posixpath.normpath(path) if self.home else path, place_of(path))
        if not path or path.startswith("/"):
            return text(str(path), place_of(path))
        return text(posixpath.normpath(posixpath.join(self.path, path)), place_of(path))

    def file(self, path: str) -> Text:
        """A file to be read, which may be another machine's."""
        return text(str(path), place_of(path)) if remote(path) else self.absolute(path)

    def mounted(self, path: str) -> Text:
        """The source of a bind mount, or the file of a secret: it may be a path of Windows."""
        return text(str(path), place_of(path)) if _WINDOWS.match(path) else self.absolute(path)

    def context(self, path: str) -> Text:
        """A context of construction, which may be an address or a service."""
        return text(str(path), place_of(path)) if _CONTEXT.search(path) else self.absolute(path)


def remote(path: str) -> bool:
    """Whether the path of a file names something of another machine."""
    return bool(_REMOTE.match(path))


def clean(path: str) -> str:
    """A path as Go cleans it: `//` at the start is no exception."""
    return re.sub("^//", "/", posixpath.normpath(path)) if path else path


def short_mount(written: str, place: Place) -> Map:
    """`source:target:options` as a Map. Raises Invalid."""
    if not written:
        raise Invalid("un montage est mal écrit", place)
    parts = _parts(written) if len(written.encode()) > 2 else [written]
    source, target, *options = parts if len(parts) > 1 else ["", *parts]
    if "" in parts or len(options) > 1:
        raise Invalid("un montage est mal écrit", place)
    bind = bool(_FILE.match(source))
    made = mapping({"type": "bind" if bind else "volume", "target": clean(target)}, place)
    if source:
        made["source"] = text(source, place)
    words: list[Any] = options[0].split(",") if options else []
    if [word for word in words if word in ("ro", "rw")][-1:] == ["ro"]:
        made["read_only"] = True
    return made


def _parts(written: str) -> list[str]:
    """What colons part; not the colon behind a letter alone, which Compose takes for a disk of Windows."""
    parts = [""]
    depth = 0
    for at, char in enumerate(written):
        depth += written.startswith("${", at)
        if char == "}" and depth:
            depth -= 1
        drive = len(parts[-1]) == 1 and parts[-1].isalpha()
        if char == ":" and not depth and not drive:
            parts.append("")
        else:
            parts[-1] += char
    return parts
