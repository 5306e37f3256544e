"""The edits of `auditlib.compose.edit` as a compose file to be named after the others, which may not be edited surely.

`!override` and `!reset` are of Compose 2.24.4 and later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditlib.compose.document import NOWHERE
from auditlib.compose.ports import PublishedPort, parse
from auditlib.compose.written import Unsafe, scalar


@dataclass(frozen=True)
class Now:
    """What the files make of a service: its ports in their short form, its place among networks.

    `default`: whether it is on the project's own network, where a service is that names no network.
    """

    ports: tuple[str, ...] = ()
    default: bool = False
    network_mode: str | None = None


@dataclass
class _Service:
    """What an override says of a service: lines of keys, networks and labels, and its ports as they are to be."""

    now: Now
    ports: tuple[str, ...]
    keys: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The block of the service."""
        yield from self.keys
        if self.ports != self.now.ports:
            yield "ports: !override" if self.ports else "ports: !reset []"
            yield from (f"  - {scalar(port)}" for port in self.ports)
        if self.networks:
            # Naming a network leaves the project's own, which a service that names none is on.
            yield "networks:"
            yield from ["  default: {}", *self.networks] if self.now.default else self.networks
        if self.labels:
            yield "labels:"
            yield from self.labels


class Override:
    """A compose file that changes services over what the others make of them (`now`), to be named last with `-f`.

    A method raises Unsafe for what only the files themselves can say.
    """

    def __init__(self, now: Mapping[str, Now]) -> None:
        self._now = now
        self._services: dict[str, _Service] = {}
        self._networks: dict[str, None] = {}

    def _service(self, name: str) -> _Service:
        now = self._now.get(name, Now())
        return self._services.setdefault(name, _Service(now, now.ports))

    def rename(self, service: str, name: str | None) -> None:
        """Give another `container_name` to a service, or none."""
        self._service(service).keys.append(f"container_name: {'!reset null' if name is None else scalar(name)}")

    def restart(self, service: str, policy: str) -> None:
        """Give a service a restart policy."""
        self._service(service).keys.append(f"restart: {scalar(policy)}")

    def label(self, service: str, name: str, value: str) -> None:
        """Give a label to a service."""
        self._service(service).labels.append(f"  {scalar(name)}: {scalar(value.replace('$', '$$'))}")

    def join(self, service: str, network: str) -> None:
        """Attach a service to an existing network."""
        block = self._service(service)
        if block.now.network_mode:
            raise Unsafe("le service prend le réseau d’un autre (« network_mode »)")
        block.networks.append(f"  {scalar(network)}: {{}}")
        self._networks[scalar(network)] = None

    def publish(self, service: str, published: PublishedPort, wanted: tuple[str, int] | None) -> None:
        """Publish a port at an address ("" for every one) and port of the machine; None: publish it no more."""
        block = self._service(service)
        others = tuple(port for port in block.ports if not published.matches(parse(port, NOWHERE)))
        if others == block.ports:
            raise Unsafe("le port n’est pas parmi ceux du service")
        block.ports = others if wanted is None else (*others, published.at(*wanted))

    def text(self) -> str:
        """The file."""
        lines = ["services:"]
        for name, service in self._services.items():
            lines += [f"  {scalar(name)}:", *(f"    {line}" for line in service.lines())]
        if self._networks:
            lines += ["networks:", *(line for name in self._networks for line in (f"  {name}:", "    external: true"))]
        return "\n".join(lines) + "\n"
