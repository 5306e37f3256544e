"""The entries of `ports:`, short and long."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditlib.compose.document import Invalid, Map, Place, Seq, place_of

_PROTOCOLS = ("tcp", "udp", "sctp")


class Port(NamedTuple):
    """A publication asked for: ports `first` to `last` of the host to `target` to `target_last` of the container.

    `first` is None when the engine chooses; with one target and several host ports it chooses among these.
    """

    protocol: str
    address: str  # "" for every address
    first: int | None
    last: int | None
    target: int
    target_last: int
    place: Place

    @property
    def chosen(self) -> bool:
        """Whether the engine chooses the host's port, among all or among a range."""
        return self.first is None or (self.first != self.last and self.target == self.target_last)

    def each(self) -> Iterator[tuple[str, str, str, int]]:
        """Protocol, address, host port (text, "" if chosen, "a-b" among a range) and target, one by one."""
        if self.first is None or self.chosen:
            host = "" if self.first is None else f"{self.first}-{self.last}"
            for target in range(self.target, self.target_last + 1):
                yield self.protocol, self.address, host, target
            return
        for step, target in enumerate(range(self.target, self.target_last + 1)):
            yield self.protocol, self.address, str(self.first + step), target


MOST = 100  # ports of a range that are told apart


class Published(Map):
    """One port of a short entry, in the long form; `entry` is all that was asked for there."""

    port: Port
    entry: Port


def each(entry: Port, *, apart: bool = True) -> list[Published]:
    """The ports of a short entry, one by one, since a later file may ask for one of them again.

    A range of more than `MOST` is one, and so is each where they are not to be told apart.
    """
    if not apart or _count(entry) == 1:
        return [_published(entry, entry)]
    ports = []
    for step, target in enumerate(range(entry.target, entry.target_last + 1)):
        first, last = entry.first, entry.last
        if first is not None and not entry.chosen:
            first = last = first + step
        ports.append(_published(entry._replace(first=first, last=last, target=target, target_last=target), entry))
    return ports


def _count(entry: Port) -> int:
    ports = entry.target_last - entry.target + 1
    return ports if ports <= MOST else 1


def _published(port: Port, entry: Port) -> Published:
    made = Published(target=port.target, protocol=port.protocol)
    made.place, made.port, made.entry = port.place, port, entry
    if port.address:
        made["host_ip"] = port.address
    if port.first is not None:
        made["published"] = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
    return made


def gathered(entries: Seq) -> Iterator[Port]:
    """The entries of a service: a short one as it was written where all its ports are still there. Raises Invalid."""
    left = Counter(id(item.entry) for item in entries if isinstance(item, Published))
    told: set[int] = set()
    for item in entries:
        if not isinstance(item, Published):
            yield parse(item, entries.place)
        elif item.port is item.entry or left[id(item.entry)] < _count(item.entry):
            yield item.port
        elif id(item.entry) not in told:
            told.add(id(item.entry))
            yield item.entry


def parse(entry: Any, place: Place) -> Port:
    """One entry of `ports:`. Raises Invalid."""
    place = place_of(entry, place)
    if isinstance(entry, Map):
        return _long(entry, place)
    if isinstance(entry, bool) or not isinstance(entry, str | int):
        raise Invalid("un port n’a pas la forme attendue", place)
    return _short(str(entry), place)


def _short(entry: str, place: Place) -> Port:
    rest, slash, protocol = entry.rpartition("/")
    if not slash:
        rest, protocol = entry, "tcp"
    *before, target = rest.split(":")
    host = before.pop() if before else ""
    first, last = _range(host, place) if host else (None, None)
    target_first, target_last = _range(target, place)
    several = target_last - target_first
    if first is not None and last is not None and last - first != several and several:
        raise Invalid("les deux plages d’un port n’ont pas la même longueur", place)
    return Port(
        _protocol(protocol, place), _address(":".join(before), place), first, last, target_first, target_last, place
    )


def _long(entry: Map, place: Place) -> Port:
    target = entry.get("target")
    if isinstance(target, bool) or not isinstance(target, int) or not 0 < target < 65536:
        raise Invalid("un port n’a pas de « target » utilisable", place)
    published = entry.get("published")
    first, last = _range(str(published), place_of(published, place)) if published not in (None, "") else (None, None)
    protocol = _protocol(str(entry.get("protocol", "tcp")), place)
    return Port(protocol, _address(str(entry.get("host_ip", "")), place), first, last, target, target, place)


def _range(text: str, place: Place) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= 65535:
        raise Invalid("un port n’est pas un nombre ni une plage", place)
    return first, last


def _protocol(text: str, place: Place) -> str:
    if text.lower() not in _PROTOCOLS:
        raise Invalid("un port a un protocole inconnu", place)
    return text.lower()


def _address(text: str, place: Place) -> str:
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(inside)) if inside else ""
    except ValueError:
        raise Invalid("un port est publié sur une adresse qui n’est pas une adresse IP", place) from None


class PublishedPort(NamedTuple):
    """A port of a container that is published as one port of the machine, at whatever address."""

    protocol: str
    host: int
    target: int

    def matches(self, port: Port) -> bool:
        """Whether an entry of `ports:` is this publication, and no other with it."""
        same = (port.protocol, port.target, port.target_last) == (self.protocol, self.target, self.target)
        return same and (port.first, port.last) == (self.host, self.host)

    def at(self, address: str, number: int) -> str:
        """The container's port published at an address ("" for every one) and port of the machine, in short form."""
        host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
        return f"{host}{number}:{self.target}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")
