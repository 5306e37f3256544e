"""Networks created, joined and left."""

import ipaddress
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditlib.compose import edit
from auditlib.compose.overrides import Override
from auditlib.compose.written import Line
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.compose import ComposeResource, ComposeService
from auditlib.facts.tables.databases import ConnectionString
from auditlib.facts.tables.docker import ContainerNetwork, Network
from auditlib.french import quoted
from auditlib.plan.acts.act import Act, Changes, Commands, Edit
from auditlib.plan.stacks import Stack


@dataclass(frozen=True)
class Create(Act):
    """Create a Docker network; `internal` has no way out of the machine."""

    network: str
    internal: bool

    first = True
    own = ("network",)

    def prepares(self, other: Act) -> bool:
        return isinstance(other, Join) and other.network == self.network

    def effect(self, snapshot: Snapshot) -> Changes:
        made = Network(name=self.network, driver="bridge", scope="local", internal=self.internal, ipv6=False)
        return {Network: [*(snapshot.known(Network) or ()), made]}

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        network = shlex.quote(self.network)
        forth = f"docker network create {'--internal ' if self.internal else ''}{network}"
        return Commands([forth], [f"docker network rm {network}"])

    def describe(self) -> str:
        return f"Créer le réseau {quoted(self.network)}{', sans accès à l’extérieur' if self.internal else ''}."


@dataclass(frozen=True)
class Join(Edit):
    """Attach a service to an existing network, declared as external where its file does not know it."""

    network: str

    reloads = True
    by_engine = True
    own = ("network",)

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.join(lines, self.service, self.network)

    def override(self, file: Override) -> None:
        file.join(self.service, self.network)

    def effect(self, snapshot: Snapshot) -> Changes:
        attached = [*(snapshot.known(ContainerNetwork) or ()), *self._attached(snapshot)]
        resources = [*(snapshot.known(ComposeResource) or ()), *self._declared(snapshot)]
        return {
            ComposeService: self.services(snapshot, self._on),
            ComposeResource: resources,
            ContainerNetwork: attached,
            ConnectionString: _resolved(snapshot, attached),
        }

    def _on(self, service: ComposeService) -> ComposeService:
        return replace(service, networks=tuple(sorted({*(service.networks or ()), self.network})))

    def _declared(self, snapshot: Snapshot) -> Iterator[ComposeResource]:
        """The network as the files of the service declare it, unless they do already."""
        home = self.stack(snapshot)
        if home is None or home.key is None:
            return
        root, files, _ = home.key
        known = {
            row.name
            for row in snapshot.known(ComposeResource) or ()
            if (row.root, row.files, row.kind) == (root, files, "network")
        }
        if self.network not in known:
            yield ComposeResource(
                root=root,
                files=files,
                project=home.project,
                kind="network",
                key=self.network,
                name=self.network,
                external=True,
                used=True,
                file=home.files[0],
            )

    def _attached(self, snapshot: Snapshot) -> Iterator[ContainerNetwork]:
        """The place of the container on the network, unless it is there already."""
        attached = snapshot.known(ContainerNetwork) or Rows()
        places = attached.grouped(ContainerNetwork.container).get(self.container or "", ())
        if self.container and self.network not in {place.network for place in places}:
            yield ContainerNetwork(
                container=self.container,
                network=self.network,
                ipv4=_free_address(snapshot, self.network),
                aliases=next((place.aliases for place in places), None) or (self.container,),
            )

    def _by_engine(self) -> list[str]:
        name = shlex.quote(self.container or "")
        return [f"docker network connect {shlex.quote(self.network)} {name}", f"docker restart {name}"]

    def commands(self, snapshot: Snapshot, home: Stack | None) -> Commands:
        if home:
            return Commands()
        back = f"docker network disconnect {shlex.quote(self.network)} {shlex.quote(self.container or '')}"
        return Commands(self._by_engine(), [back])

    def relief(self) -> Sequence[str]:
        return self._by_engine() if self.container and not self.phase else ()

    def verify(self) -> Sequence[str]:
        inspect = "docker inspect --format '{{json .NetworkSettings.Networks}}'"
        return [f"{inspect} {shlex.quote(self.container)}"] if self.container else ()

    def describe(self) -> str:
        return f"Attacher {self.who} au réseau {quoted(self.network)}."


@dataclass(frozen=True)
class Leave(Edit):
    """Take a service off a network; another must be left to it, since one that names none is on the project's own."""

    network: str

    turn = 1
    reloads = True
    own = ("network",)

    def edited(self, lines: Sequence[Line]) -> list[Line]:
        return edit.leave(lines, self.service, self.network)

    def effect(self, snapshot: Snapshot) -> Changes:
        places = snapshot.known(ContainerNetwork) or ()
        attached = [row for row in places if (row.container, row.network) != (self.container, self.network)]
        return {
            ContainerNetwork: attached,
            ComposeService: self.services(snapshot, self._off),
            ConnectionString: _resolved(snapshot, attached),
        }

    def _off(self, service: ComposeService) -> ComposeService:
        return replace(service, networks=tuple(name for name in service.networks or () if name != self.network))

    def describe(self) -> str:
        return f"Détacher {self.who} du réseau {quoted(self.network)}."

    @property
    def risky(self) -> bool:
        return True

    def remarks(self, snapshot: Snapshot) -> Iterable[str]:
        unseen = "que l’audit n’a pas vu (fichier de configuration, tâche planifiée)"
        yield f"Un client de {self.who} {unseen} la perdra."


def _free_address(snapshot: Snapshot, name: str) -> str | None:
    """An address that the engine could give on a network; None when its subnets are not known."""
    network = next((row for row in snapshot.known(Network) or () if row.name == name), None)
    if network is None:
        return None
    taken = {row.ipv4 for row in snapshot.known(ContainerNetwork) or () if row.network == name}
    taken |= {*(network.gateways or ())}
    for subnet in network.subnets or ():
        if ":" not in subnet:
            hosts = ipaddress.ip_network(subnet, strict=False).hosts()
            return next((str(host) for host in hosts if str(host) not in taken), None)
    return None


def _resolved(snapshot: Snapshot, attached: Iterable[ContainerNetwork]) -> Iterator[ConnectionString]:
    """The connection strings, with the networks by which a name still leads to its containers."""
    places: dict[str, set[str]] = {}
    for row in attached:
        places.setdefault(row.container, set()).add(row.network)
    for string in snapshot.known(ConnectionString) or ():
        if string.target not in ("container", "several"):
            yield string
            continue
        own = places.get(string.container, set())
        targets = tuple(name for name in string.targets or () if places.get(name, set()) & own)
        networks = tuple(sorted({network for name in targets for network in places[name] & own}))
        target = {0: "unresolved", 1: "container"}.get(len(targets), "several")
        yield replace(string, target=target, targets=targets, networks=networks)
