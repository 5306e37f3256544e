"""Where Traefik's API and the prediction disagree, and why they may: what Traefik missed, or what it dropped."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from auditlib.addresses import host_and_port
from auditlib.facts.table import Row, Rows, prose, several, table, text, view
from auditlib.facts.tables.docker import ContainerNetwork
from auditlib.facts.tables.traefik import TraefikFile, TraefikRouter, TraefikServer, TraefikService
from auditlib.views.entrypoints import Entrypoint
from auditlib.views.parts import Key
from auditlib.views.predicted import PredictedRouter, PredictedServer, PredictedService, Server

SIDES = {"api": "dans Traefik seulement", "predicted": "prévu seulement", "changed": "différent"}
CAUSES = {
    "stale_address": "adresse périmée",
    "missed_event": "événement manqué",
    "file_broken": "fichier cassé",
    "file_changed": "fichier changé",
    "provider_silent": "fournisseur muet",
}


@table(
    "provider_differences",
    "Écarts entre Traefik et ses sources",
    "Ce que Traefik a chargé et que les étiquettes et fichiers ne disent pas, et l’inverse, avec l’explication.",
    key=("kind", "protocol", "name", "detail"),
)
class ProviderDifference(Row):
    """Something that Traefik loaded otherwise than predicted."""

    kind: str = text("Nature", words={"router": "routeur", "service": "service", "server": "serveur"})
    protocol: str = text("Protocole")
    name: str = text("Nom")
    detail: str | None = text("Valeur", "L’adresse d’un serveur, ou la propriété qui diffère.", missing="")
    side: str | None = text("Où", words=SIDES)
    cause: str | None = text("Cause", words=CAUSES)
    reason: str | None = prose("Explication")
    containers: tuple[str, ...] | None = several("Conteneurs")
    file: str | None = text("Fichier")


# Why, by what differs: kind of provider or object, and side.
_REASONS = {
    "file_broken": {
        "api": "Le fichier {where} est cassé : Traefik garde ce qu’il avait lu avant.",
        "predicted": "Le fichier {where} est cassé : Traefik ne prend plus rien des fichiers.",
    },
    "file_changed": {
        "api": "Aucun fichier ne le déclare plus : Traefik n’a pas relu ses fichiers.",
        "predicted": "Traefik n’a pas relu ce fichier (il ne surveille pas les sous-dossiers).",
        "changed": "Le fichier dit autre chose que ce que Traefik a chargé : il ne l’a pas relu.",
    },
    "provider_silent": {
        "predicted": "Traefik n’a rien du moteur Docker : version d’API refusée, ou socket fermé.",
    },
    "stale_address": {
        "api": "Aucun conteneur n’a plus cette adresse : Traefik ne l’apprend qu’au prochain événement.",
    },
    "missed_event": {
        "api": "Aucun conteneur en marche ne le déclare plus : Traefik n’a pas appris le changement.",
        "predicted": "Un conteneur le déclare et Traefik ne l’a pas : il a manqué l’événement de son démarrage.",
        "changed": "Les étiquettes disent autre chose que ce que Traefik a chargé : il ne les a pas relues.",
    },
}


class _Difference(NamedTuple):
    """A difference that is not explained yet. `detail` is the address of a server, or the property that differs."""

    side: str
    kind: str
    protocol: str
    name: str
    detail: str | None = None
    containers: tuple[str, ...] = ()
    file: str | None = None


@dataclass(frozen=True)
class _Sources:
    """What explains a difference."""

    addresses: frozenset[str]  # those of the containers, now
    broken: TraefikFile | None  # a file that Traefik refuses
    silent: bool  # Traefik has nothing at all of its Docker provider

    @classmethod
    def of(
        cls,
        real: Iterable[TraefikService],
        predicted: Iterable[PredictedService],
        networks: Iterable[ContainerNetwork],
        files: Iterable[TraefikFile] | None,
    ) -> "_Sources":
        """From the services on both sides, the networks of containers, and the files of Traefik if they were read."""
        addresses = frozenset(address for row in networks for address in (row.ipv4, row.ipv6) if address)
        broken = next((file for file in files or () if file.status == "broken"), None)
        silent = "docker" not in {service.provider for service in real}
        return cls(addresses, broken, silent and "docker" in {service.provider for service in predicted})

    def explained(self, difference: _Difference) -> ProviderDifference:
        """A difference with its cause."""
        cause, where = self._cause(difference), ""
        if cause == "file_broken" and self.broken:
            where = self.broken.path + (f", ligne {self.broken.line}," if self.broken.line else "")
        return ProviderDifference(
            kind=difference.kind,
            protocol=difference.protocol,
            name=difference.name,
            detail=difference.detail,
            side=difference.side,
            cause=cause,
            reason=_REASONS[cause][difference.side].format(where=where),
            containers=difference.containers,
            file=difference.file,
        )

    def _cause(self, difference: _Difference) -> str:
        if difference.name.endswith("@file"):
            return "file_broken" if self.broken and difference.side != "changed" else "file_changed"
        if self.silent and difference.side == "predicted":
            return "provider_silent"
        if difference.kind == "server" and difference.side == "api":
            host, _ = host_and_port(difference.detail or "")
            return "missed_event" if host in self.addresses else "stale_address"
        return "missed_event"


@view(ProviderDifference)
def provider_differences(
    traefik_routers: Rows[TraefikRouter],
    traefik_services: Rows[TraefikService],
    traefik_servers: Rows[TraefikServer],
    predicted_routers: Rows[PredictedRouter],
    predicted_services: Rows[PredictedService],
    predicted_servers: Rows[PredictedServer],
    container_networks: Rows[ContainerNetwork],
    entrypoints: Rows[Entrypoint],
    traefik_files: Rows[TraefikFile] | None = None,
) -> Iterator[ProviderDifference]:
    """One row per router, service or server that only one side has, or that differs.

    Only what labels and files declare is compared; files are left out when they were not read, or not evaluated.
    """
    sources = _Sources.of(traefik_services, predicted_services, container_networks, traefik_files)
    whole = traefik_files is not None and all(file.status != "templated" for file in traefik_files)
    providers = {"docker", "file"} if whole else {"docker"}
    services = {(row.protocol, row.service): row for row in predicted_services if row.provider in providers}
    loaded = {(row.protocol, row.service): row for row in traefik_services}
    own = [key for key, service in loaded.items() if service.provider in providers]
    points = [entrypoint.entrypoint for entrypoint in entrypoints]
    differences = (
        *_routers(traefik_routers, predicted_routers, providers, points),
        *_one_sided("service", own, services),
        *_servers(traefik_servers, predicted_servers, loaded.keys() & services.keys()),
    )
    yield from map(sources.explained, differences)


def _one_sided(
    kind: str,
    real: Collection[Key],
    predicted: Mapping[Key, PredictedRouter | PredictedService],
    stem: Callable[[str], str] = str,
) -> Iterator[_Difference]:
    """Routers or services that only one side has. `stem` is the part of a name that both sides share."""
    stems = {(protocol, stem(name)) for protocol, name in predicted}
    for protocol, name in real:
        if (protocol, stem(name)) not in stems:
            yield _Difference("api", kind, protocol, name)
    stems = {(protocol, stem(name)) for protocol, name in real}
    for (protocol, name), row in predicted.items():
        if (protocol, stem(name)) not in stems:
            yield _Difference("predicted", kind, protocol, name, containers=row.containers or (), file=row.file)


def _routers(
    real: Iterable[TraefikRouter],
    predicted: Iterable[PredictedRouter],
    providers: Collection[str],
    entrypoints: Iterable[str],
) -> Iterator[_Difference]:
    """Routers of these providers that only one side has, or whose rule or service differ."""
    there = {(router.protocol, router.router): router for router in real if router.provider in providers}
    expected = {(router.protocol, router.router): router for router in predicted if router.provider in providers}
    points = "|".join(map(re.escape, entrypoints))
    prefix = re.compile(rf"^(?:{points})-(?:conflicted-)?" if points else r"^(?!)")
    # A router that was split over its entry points is the same router.
    yield from _one_sided("router", there, expected, lambda name: prefix.sub("", name))
    for key in there.keys() & expected.keys():
        loaded, router = there[key], expected[key]
        for column, value, meant in (
            ("rule", loaded.rule, router.rule),
            ("service", loaded.service, router.service),
        ):
            if meant is not None and value != meant:
                yield _Difference("changed", "router", *key, column, router.containers or (), router.file)


def _servers(
    real: Iterable[TraefikServer], predicted: Iterable[PredictedServer], services: Collection[Key]
) -> Iterator[_Difference]:
    """Servers of services that both sides have: an address that is no longer anybody's, or one that is missing."""

    def place(server: Server) -> tuple[str, str, str]:
        return server.protocol, server.service, server.url

    held = {place(server) for server in real}
    possible = {place(server) for server in predicted}
    for protocol, service, url in held - possible:
        if (protocol, service) in services:
            yield _Difference("api", "server", protocol, service, url)
    for server in predicted:
        if (server.protocol, server.service) in services and server.certain and place(server) not in held:
            containers = (server.container,) if server.container else ()
            yield _Difference("predicted", "server", server.protocol, server.service, server.url, containers)
