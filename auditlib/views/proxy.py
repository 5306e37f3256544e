"""Traefik's Docker provider, as far as it designates containers and networks (`pkg/provider/docker/config.go`)."""

from collections.abc import Iterable, Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, flag, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerListener
from auditlib.software import is_traefik, is_up
from auditlib.traefik.decoding import TRUE


@table(
    "proxy",
    "Traefik et son fournisseur Docker",
    "Le conteneur Traefik et ce que ses options disent des autres conteneurs, une ligne.",
    key=(),
)
class Proxy(Row):
    """The Traefik container and the options of its Docker provider; one row."""

    container: str | None = text("Conteneur", "Inconnu si Traefik n’est pas dans un conteneur.")
    network_container: str | None = text("Porteur du réseau", "Lui-même, ou le conteneur dont il a rejoint le réseau.")
    network_mode: str | None = text("Mode réseau", "Du porteur du réseau.")
    networks: tuple[str, ...] | None = several("Réseaux")
    designated: str | None = text("Réseau désigné", "providers.docker.network ; inconnu si l’option n’est pas donnée.")
    exposed_by_default: bool | None = flag("Exposés par défaut")


@view(Proxy)
def proxy(
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    traefik_static: pd.DataFrame,
    traefik: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """The Traefik container and its provider's options.

    Raises AbsentTable when the options in force are not known: a default would then be a guess.
    """
    static = records(traefik_static)
    if any(row["effective"] is None for row in static):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")
    options = {row["key"]: row["value"] for row in static if row["effective"]}
    names = [
        row["container"] for row in [*(records(traefik) if traefik is not None else []), *static] if row["container"]
    ]
    name = names[0] if names else None
    bearer = _network_bearer(name, records(containers))
    yield {
        "container": name,
        "network_container": bearer.get("name"),
        "network_mode": bearer.get("network_mode"),
        "networks": [row["network"] for row in records(container_networks) if row["container"] == bearer.get("name")],
        "designated": options.get("providers.docker.network") or None,
        "exposed_by_default": options.get("providers.docker.exposedbydefault", "true") in TRUE,
    }


def traefiks(
    containers: Iterable[Container], container_listeners: Iterable[ContainerListener] | None = None
) -> set[str]:
    """The containers that are Traefik, by their images or by what listens in a network that is theirs alone."""
    heard: dict[str | None, set[str]] = {}
    for listener in container_listeners or ():
        heard.setdefault(listener.container, set()).add(listener.process or "")
    return {one.name for one in containers if is_traefik(one.image, heard.get(one.name, ()))}


def _network_bearer(name: str | None, containers: list[Record]) -> Record:
    """The container whose networks and publications `name` uses: itself, or the one whose network it joined."""
    container: Record = next((row for row in containers if row["name"] == name), {})
    mode, _, joined = (container.get("network_mode") or "").partition(":")
    if mode != "container":
        return container
    return next((row for row in containers if joined in (row["id"], row["name"])), {})


@table(
    "routed", "Conteneurs routés", "Les conteneurs vers lesquels Traefik route, ou tente de router.", key=("container",)
)
class RoutedContainer(Row):
    """A container that Traefik routes to, or tries to."""

    container: str = text("Conteneur")
    network_label: str | None = text("Réseau voulu", "Étiquette traefik.docker.network ; vide : aucun réseau voulu.")
    services: tuple[str, ...] | None = several("Services Traefik", "Ceux de l’API dont un serveur est ce conteneur.")
    reached: tuple[str, ...] | None = several("Réseaux empruntés", "Ceux des adresses que Traefik utilise.")
    docker: bool | None = flag("Fournisseur Docker", "Vrai s’il est routé par ses étiquettes.")


@view(RoutedContainer)
def routed(
    containers: pd.DataFrame, labels: pd.DataFrame, proxy: pd.DataFrame, traefik_servers: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Containers behind a server of Traefik's API, and those whose labels ask for a route.

    With `exposedByDefault`, any container with a port may get a default route: then only the API, or labels of its
    own, tell that it does.
    """
    settings = records(proxy)[0]
    wanted: dict[str, dict[str, str | None]] = {}
    for row in records(labels):
        wanted.setdefault(row["container"], {})[row["label"].lower()] = row["value"]
    served: dict[str, list[Record]] = {}
    for row in records(traefik_servers) if traefik_servers is not None else []:
        if row["container"]:
            served.setdefault(row["container"], []).append(row)
    for container in records(containers):
        name = container["name"]
        own, servers = wanted.get(name, {}), served.get(name, [])
        asks = is_up(container["state"]) and _asks(own, default=settings["exposed_by_default"])
        if name != settings["container"] and (servers or asks):
            yield {
                "container": name,
                "network_label": own.get("traefik.docker.network"),
                "services": sorted({row["service"] for row in servers}),
                "reached": sorted({row["network"] for row in servers if row["network"]}),
                "docker": asks or any(row["service"].endswith("@docker") for row in servers),
            }


def _asks(labels: dict[str, str | None], *, default: bool) -> bool:
    """Whether labels ask for a route: enabled, by a label or by default with labels of a router or a service."""
    enable = labels.get("traefik.enable")
    if enable is not None:
        return enable in TRUE
    return default and any(label.startswith(("traefik.http.", "traefik.tcp.", "traefik.udp.")) for label in labels)
