"""The edits of `auditlib.compose.edit` as a compose file to be named after the others, which may not be edited surely.

`!override` and `!reset` are of Compose 2.24.4 and later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlib.compose.document import NOWHERE
from auditlib.compose.edit import Flag, Join, Label, Leave, Name, Operation, Publish, Restart, publishes, short
from auditlib.compose.ports import parse
from auditlib.compose.written import Unsafe, scalar


@dataclass(frozen=True)
class Now:
    """What the files make of a service: its ports in their short form, its place among networks.

    `default`: whether it is on the project's own network, where a service is that names no network.
    """

    ports: tuple[str, ...] = ()
    default: bool = False
    network_mode: str | None = None


def override(operations: Sequence[Operation], now: Mapping[str, Now]) -> str:
    """The text of a compose file that does the same over the others, to be named last with `-f`.

    Raises Unsafe for what only the files themselves can say.
    """
    lines = ["services:"]
    for service in dict.fromkeys(operation.service for operation in operations):
        own = [operation for operation in operations if operation.service == service]
        lines += [f"  {scalar(service)}:", *(f"    {line}" for line in _service(own, now.get(service, Now())))]
    joined = dict.fromkeys(scalar(one.network) for one in operations if isinstance(one, Join))
    if joined:
        lines += ["networks:", *(line for name in joined for line in (f"  {name}:", "    external: true"))]
    return "\n".join(lines) + "\n"


def _service(operations: Sequence[Operation], now: Now) -> Iterator[str]:
    ports, networks, labels = now.ports, [], []
    for one in operations:
        match one:
            case Name(wanted=wanted):
                yield f"container_name: {'!reset null' if wanted is None else scalar(wanted)}"
            case Restart(policy=policy):
                yield f"restart: {scalar(policy)}"
            case Label(instead=None):
                labels.append(f"  {scalar(one.label)}: {scalar(one.value.replace('$', '$$'))}")
            case Join(network=network):
                if now.network_mode:
                    raise Unsafe("le service prend le réseau d’un autre (« network_mode »)")
                networks.append(f"  {scalar(network)}: {{}}")
            case Publish():
                ports = tuple(_ports(one, ports))
            case Label() | Leave() | Flag():
                raise Unsafe("une surcharge ajoute à ce que disent les fichiers, et n’en retire rien sûrement")
    if ports != now.ports:
        yield "ports: !override" if ports else "ports: !reset []"
        yield from (f"  - {scalar(port)}" for port in ports)
    if networks:
        # Naming a network leaves the project's own, which a service that names none is on.
        yield "networks:"
        yield from ["  default: {}", *networks] if now.default else networks
    if labels:
        yield "labels:"
        yield from labels


def _ports(one: Publish, ports: Sequence[str]) -> Iterator[str]:
    """The ports of a service once published as wanted. Raises Unsafe when the one to change is not among them."""
    same = [port for port in ports if publishes(parse(port, NOWHERE), one)]
    if not same:
        raise Unsafe("le port n’est pas parmi ceux du service")
    yield from (port for port in ports if port not in same)
    if one.wanted is not None:
        yield short(one.container_port, one.protocol, *one.wanted)
