"""How a running container differs from what its compose file asks, field by field, as French clauses.

Only what both sides tell is compared; what Compose and the image add by themselves is no difference.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditlib.addresses import EVERY_ADDRESS
from auditlib.facts.legacy import Record
from auditlib.french import quoted

REMOVED = "[secret retiré]"  # in place of what was a secret: it compares with nothing
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # the name of a volume that an image asks for
_WILDCARDS = {*EVERY_ADDRESS}

Rows = Mapping[str, list[Record]]


def differences(service: Record, written: Rows, container: Record, live: Rows) -> Iterator[str]:
    """What differs. `written` holds ports, labels and environment of the file; `live`, those of the container."""
    yield from _image(service, container)
    if not service["network_mode"]:
        yield from _ports(written["ports"], live["publications"])
        yield from _networks(service, live["networks"])
    yield from _labels(written["labels"], live["labels"])
    yield from _mounts(service, container, live["mounts"])
    yield from _variables(service, written["environment"], live["environment"])


def _line(line: int | None) -> str:
    return f" (ligne {line})" if line else ""


def _image(service: Record, container: Record) -> Iterator[str]:
    # Without a name, Compose gives its own to what it builds.
    wanted, used = service["image"], container["image"]
    if wanted and used and not used.startswith("sha256:") and REMOVED not in wanted and _full(wanted) != _full(used):
        yield f"image {quoted(used)} au lieu de {quoted(wanted)}{_line(service['image_line'])}"


def _full(image: str) -> str:
    """An image with the registry, the folder and the tag that Docker understands when they are not given."""
    name = image.removeprefix("docker.io/").removeprefix("index.docker.io/").removeprefix("library/")
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    return name if tagged else f"{name}:latest"


Port = tuple[str, int | None, int | None, int]


def _ports(written: list[Record], live: list[Record]) -> Iterator[str]:
    asked: dict[Port, tuple[set[str], int | None]] = {}
    for row in written:
        for port in _each(row):
            asked.setdefault(port, (set(), row["line"]))[0].add(row["host_ip"])
    published: dict[Port, set[str]] = {}
    for row in live:
        key = (row["protocol"], row["host_port"], None, row["container_port"])
        published.setdefault(key, set()).add(row["host_ip"])
    met: set[Port] = set()
    for port, (addresses, line) in asked.items():
        found = {one for one in published if _meets(port, one) and _same(addresses, published[one])}
        met |= found
        if not found:
            yield f"port {_shown(port, addresses)} demandé{_line(line)} et non publié"
    for port, addresses in published.items():
        if port not in met:
            yield f"port {_shown(port, addresses)} publié et absent du fichier"


def _each(row: Record) -> Iterator[Port]:
    """The ports of one line: a range for a range is a port for each; a range for one port lets the engine choose."""
    first, last, inside = row["host_port"], row["host_port_last"], row["container_port"]
    inside_last = row["container_port_last"] or inside
    if row["chosen"] or first is None:
        for port in range(inside, inside_last + 1):
            yield row["protocol"], first, last, port
    else:
        for offset in range((last or first) - first + 1):
            yield row["protocol"], first + offset, None, min(inside + offset, inside_last)


def _meets(asked: Port, published: Port) -> bool:
    protocol, first, last, inside = asked
    number = published[1]
    if (protocol, inside) != (published[0], published[3]):
        return False
    return first is None or number is None or first <= number <= (last or first)


def _same(asked: set[str], published: set[str]) -> bool:
    """Whether addresses are those asked for: without IPv6, an engine gives a part of « every address »."""
    return published == asked or (asked == _WILDCARDS and published <= _WILDCARDS)


def _shown(port: Port, addresses: set[str]) -> str:
    protocol, first, last, inside = port
    host = "choisi" if first is None else f"{first}-{last}" if last else str(first)
    where = "" if addresses == _WILDCARDS else f"{min(addresses)}:"
    return f"{where}{host}→{inside}" + ("" if protocol == "tcp" else f"/{protocol}")


def _networks(service: Record, live: list[Record]) -> Iterator[str]:
    wanted, attached = set(service["networks"] or ()), {row["network"] for row in live}
    for name in sorted(wanted - attached):
        yield f"réseau {quoted(name)} demandé{_line(service['networks_line'])} et non attaché"
    for name in sorted(attached - wanted):
        yield f"réseau {quoted(name)} attaché et absent du fichier"


def _labels(written: list[Record], live: list[Record]) -> Iterator[str]:
    values = {row["label"]: row["value"] for row in live}
    for row in written:
        label, value = row["label"], row["value"]
        if label not in values:
            yield f"étiquette {quoted(label)} demandée{_line(row['line'])} et absente"
        elif not _alike(value, values[label]):
            yield f"étiquette {quoted(label)} d’une autre valeur{_line(row['line'])}"
    # An image has labels of its own, but none for Traefik.
    for label in sorted(values.keys() - {row["label"] for row in written}):
        if label.lower().startswith("traefik."):
            yield f"étiquette {quoted(label)} absente du fichier"


def _alike(one: str | None, other: str | None) -> bool:
    """Whether two values are the same, or cannot be told apart."""
    return one is None or other is None or one == other or REMOVED in one + other


def _mounts(service: Record, container: Record, live: list[Record]) -> Iterator[str]:
    found = {posixpath.normpath(row["destination"]): row for row in live if row["type"] in ("bind", "volume")}
    asked = [_mount(text) for text in service["mounts"] or ()]
    line = _line(service["mounts_line"])
    for kind, source, target, read_only in asked:
        mount = found.pop(posixpath.normpath(target), None)
        if kind not in ("bind", "volume") or REMOVED in f"{source}{target}":
            continue
        if mount is None:
            yield f"montage {quoted(target)} demandé{line} et absent"
        elif mount["type"] != kind or not _same_source(kind, source, service, container, mount):
            yield f"montage {quoted(target)} d’une autre source{line}"
        elif mount["writable"] is not None and mount["writable"] is read_only:
            yield f"montage {quoted(target)} {'inscriptible' if read_only else 'en lecture seule'}{line}"
    for target, mount in sorted(found.items()):
        own = _ANONYMOUS.fullmatch(mount["volume"] or "") or target.startswith("/run/secrets/")
        if service["more_mounts"] is False and not own:
            yield f"montage {quoted(target)} absent du fichier"


def _mount(text: str) -> tuple[str, str, str, bool]:
    """`bind /srv/data:/data:ro` as type, source, destination, and whether it is read-only."""
    kind, _, rest = text.partition(" ")
    source, _, target = rest.removesuffix(":ro").rpartition(":")
    return kind, source, target, rest.endswith(":ro")


def _same_source(kind: str, source: str, service: Record, container: Record, mount: Record) -> bool:
    if kind == "volume":
        return not source or not mount["volume"] or source == mount["volume"]
    if source.startswith("~") or not mount["source"]:
        return True
    folder, started = service["folder"], container["compose_dir"]
    # The folder may have been reached by a link when the container was started.
    moved = f"{started}{source[len(folder) :]}" if started and f"{source}/".startswith(f"{folder}/") else source
    used = posixpath.normpath(mount["source"].removeprefix("/host_mnt"))
    return used in (posixpath.normpath(source), posixpath.normpath(moved))


def _variables(service: Record, written: list[Record], live: list[Record]) -> Iterator[str]:
    lines: dict[str, Any] = {row["variable"]: row["line"] for row in written}
    present = {row["variable"] for row in live}
    for name in service["environment"] or ():
        if name not in present and REMOVED not in name:
            yield f"variable {name} demandée{_line(lines.get(name))} et absente"
