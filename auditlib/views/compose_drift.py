"""How a running container differs from what its compose file asks, field by field, as French clauses.

Only what both sides tell is compared; what Compose and the image add by themselves is no difference.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from auditlib.addresses import EVERY_ADDRESS
from auditlib.facts.tables.compose import ComposeLabel, ComposePort, ComposeProject, ComposeService, ComposeVariable
from auditlib.facts.tables.docker import (
    Container,
    ContainerLabel,
    ContainerNetwork,
    ContainerVariable,
    Mount,
    Publication,
)
from auditlib.french import quoted

REMOVED = "[secret retiré]"  # in place of what was a secret: it compares with nothing
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # the name of a volume that an image asks for
_WILDCARDS = {*EVERY_ADDRESS}
_MOUNTS = ("bind", "volume")  # what is compared


@dataclass(frozen=True)
class Written:
    """A service of a compose file, and what the file asks for it."""

    project: ComposeProject
    service: ComposeService
    ports: Sequence[ComposePort] = ()
    labels: Sequence[ComposeLabel] = ()
    variables: Sequence[ComposeVariable] = ()


@dataclass(frozen=True)
class Live:
    """A container, and what the engine gave to it."""

    container: Container
    publications: Sequence[Publication] = ()
    networks: Sequence[ContainerNetwork] = ()
    labels: Sequence[ContainerLabel] = ()
    mounts: Sequence[Mount] = ()
    variables: Sequence[ContainerVariable] = ()


def differences(written: Written, live: Live) -> Iterator[str]:
    """What differs between a service and a container of it."""
    yield from _image(written.service, live.container)
    if not written.service.network_mode:
        yield from _ports(written.ports, live.publications)
        yield from _networks(written.service, live.networks)
    yield from _labels(written.labels, live.labels)
    yield from _mounts(written, live)
    yield from _variables(written, live.variables)


def _line(line: int | None) -> str:
    return f" (ligne {line})" if line else ""


def _image(service: ComposeService, container: Container) -> Iterator[str]:
    # Without a name, Compose gives its own to what it builds.
    image, used = service.image, container.image
    if not image or not used or used.startswith("sha256:") or REMOVED in image:
        return
    if _full(image) != _full(used):
        yield f"image {quoted(used)} au lieu de {quoted(image)}{_line(service.image_line)}"


def _full(image: str) -> str:
    """An image with the registry, the folder and the tag that Docker understands when they are not given."""
    name = image.removeprefix("docker.io/").removeprefix("index.docker.io/").removeprefix("library/")
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    return name if tagged else f"{name}:latest"


class _Port(NamedTuple):
    """A port that is asked for or published: on the machine, the first and last of a range, and inside."""

    protocol: str
    first: int | None
    last: int | None
    inside: int

    def meets(self, published: "_Port") -> bool:
        """Whether a published port is what this one asks for."""
        if (self.protocol, self.inside) != (published.protocol, published.inside):
            return False
        number = published.first
        return self.first is None or number is None or self.first <= number <= (self.last or self.first)

    def shown(self, addresses: set[str]) -> str:
        """The port on its addresses: `127.0.0.1:8000→80`, `53→53/udp` on every address."""
        host = "choisi" if self.first is None else f"{self.first}-{self.last}" if self.last else str(self.first)
        where = "" if addresses == _WILDCARDS else f"{min(addresses)}:"
        return f"{where}{host}→{self.inside}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")


def _ports(written: Iterable[ComposePort], live: Iterable[Publication]) -> Iterator[str]:
    requests: dict[_Port, tuple[set[str], int | None]] = {}
    for row in written:
        for port in _each(row):
            requests.setdefault(port, (set(), row.line))[0].add(row.host_ip)
    published: dict[_Port, set[str]] = {}
    for publication in live:
        port = _Port(publication.protocol, publication.host_port, None, publication.container_port)
        published.setdefault(port, set()).add(publication.host_ip)
    met: set[_Port] = set()
    for port, (addresses, line) in requests.items():
        answers = {other for other in published if port.meets(other) and _is_given(addresses, published[other])}
        met |= answers
        if not answers:
            yield f"port {port.shown(addresses)} demandé{_line(line)} et non publié"
    for port, addresses in published.items():
        if port not in met:
            yield f"port {port.shown(addresses)} publié et absent du fichier"


def _each(port: ComposePort) -> Iterator[_Port]:
    """The ports of one line: a range for a range is a port for each; a range for one port lets the engine choose."""
    first, last, inside = port.host_port, port.host_port_last, port.container_port
    inside_last = port.container_port_last or inside
    if port.chosen or first is None:
        for number in range(inside, inside_last + 1):
            yield _Port(port.protocol, first, last, number)
    else:
        for offset in range((last or first) - first + 1):
            yield _Port(port.protocol, first + offset, None, min(inside + offset, inside_last))


def _is_given(asked: set[str], published: set[str]) -> bool:
    """Whether addresses are those asked for: without IPv6, an engine gives a part of « every address »."""
    return published == asked or (asked == _WILDCARDS and published <= _WILDCARDS)


def _networks(service: ComposeService, live: Iterable[ContainerNetwork]) -> Iterator[str]:
    asked, attached = {*(service.networks or ())}, {attachment.network for attachment in live}
    for name in sorted(asked - attached):
        yield f"réseau {quoted(name)} demandé{_line(service.networks_line)} et non attaché"
    for name in sorted(attached - asked):
        yield f"réseau {quoted(name)} attaché et absent du fichier"


def _labels(written: Sequence[ComposeLabel], live: Iterable[ContainerLabel]) -> Iterator[str]:
    values = {label.label: label.value for label in live}
    for label in written:
        if label.label not in values:
            yield f"étiquette {quoted(label.label)} demandée{_line(label.line)} et absente"
        elif not _alike(label.value, values[label.label]):
            yield f"étiquette {quoted(label.label)} d’une autre valeur{_line(label.line)}"
    # An image has labels of its own, but none for Traefik.
    for name in sorted(values.keys() - {label.label for label in written}):
        if name.lower().startswith("traefik."):
            yield f"étiquette {quoted(name)} absente du fichier"


def _alike(one: str | None, other: str | None) -> bool:
    """Whether two values are the same, or cannot be told apart."""
    return one is None or other is None or one == other or REMOVED in one + other


class _Mount(NamedTuple):
    """A mount as a service asks for it."""

    kind: str
    source: str
    target: str
    read_only: bool

    @classmethod
    def of(cls, text: str) -> "_Mount":
        """What `bind /srv/data:/data:ro` asks for."""
        kind, _, rest = text.partition(" ")
        source, _, target = rest.removesuffix(":ro").rpartition(":")
        return cls(kind, source, target, rest.endswith(":ro"))


def _mounts(written: Written, live: Live) -> Iterator[str]:
    service, line = written.service, _line(written.service.mounts_line)
    there = {posixpath.normpath(mount.destination): mount for mount in live.mounts if mount.type in _MOUNTS}
    for asked in map(_Mount.of, service.mounts or ()):
        mount = there.pop(posixpath.normpath(asked.target), None)
        if asked.kind not in _MOUNTS or REMOVED in f"{asked.source}{asked.target}":
            continue
        if mount is None:
            yield f"montage {quoted(asked.target)} demandé{line} et absent"
        elif mount.type != asked.kind or not _is_source(asked, mount, written.project, live.container):
            yield f"montage {quoted(asked.target)} d’une autre source{line}"
        elif mount.writable is asked.read_only:
            yield f"montage {quoted(asked.target)} {'inscriptible' if asked.read_only else 'en lecture seule'}{line}"
    if service.more_mounts is False:
        yield from _unasked(there)


def _unasked(mounts: Mapping[str, Mount]) -> Iterator[str]:
    """The mounts, by what they are mounted on, that neither a file nor an image nor Compose asks for."""
    for target, mount in sorted(mounts.items()):
        if not _ANONYMOUS.fullmatch(mount.volume or "") and not target.startswith("/run/secrets/"):
            yield f"montage {quoted(target)} absent du fichier"


def _is_source(asked: _Mount, mount: Mount, project: ComposeProject, container: Container) -> bool:
    """Whether a mount has the source that is asked for, as far as it can be known."""
    if asked.kind == "volume":
        return not asked.source or not mount.volume or asked.source == mount.volume
    source, started = asked.source, container.compose_dir
    if source.startswith("~") or not mount.source:
        return True
    folder = posixpath.normpath(posixpath.join(project.root, project.folder or ""))
    # The folder may have been reached by a link when the container was started.
    moved = f"{started}{source[len(folder) :]}" if started and f"{source}/".startswith(f"{folder}/") else source
    used = posixpath.normpath(mount.source.removeprefix("/host_mnt"))
    return used in (posixpath.normpath(source), posixpath.normpath(moved))


def _variables(written: Written, live: Iterable[ContainerVariable]) -> Iterator[str]:
    lines = {variable.variable: variable.line for variable in written.variables}
    present = {variable.variable for variable in live}
    for name in written.service.environment or ():
        if name not in present and REMOVED not in name:
            yield f"variable {name} demandée{_line(lines.get(name))} et absente"
