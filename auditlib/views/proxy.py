"""Traefik's Docker provider, as far as it designates containers and networks (`pkg/provider/docker/config.go`)."""

from collections.abc import Iterable, Iterator, Mapping

from auditlib.facts.table import Row, Rows, flag, several, table, text, view
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerListener, ContainerNetwork
from auditlib.facts.tables.traefik import StaticOption, Traefik, TraefikServer
from auditlib.software import is_traefik, is_up, joined_container
from auditlib.traefik.decoding import TRUE
from auditlib.views.entrypoints import options


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

    @property
    def apart(self) -> bool:
        """Whether its network is not the machine's, so that its loopback is its own."""
        return bool(self.container) and self.network_mode != "host"


@view(Proxy)
def proxy(
    containers: Rows[Container],
    container_networks: Rows[ContainerNetwork],
    traefik_static: Rows[StaticOption],
    traefik: Rows[Traefik] | None = None,
) -> Iterator[Proxy]:
    """The Traefik container and its provider's options.

    Raises AbsentTable when the options in force are not known: a default would then be a guess.
    """
    static = options(traefik_static)
    name = next((row.container for row in (*(traefik or ()), *traefik_static) if row.container), None)
    bearer = _network_bearer(name, containers)
    attached = container_networks.grouped(ContainerNetwork.container).get(bearer.name, ()) if bearer else ()
    yield Proxy(
        container=name,
        network_container=bearer.name if bearer else None,
        network_mode=bearer.network_mode if bearer else None,
        networks=tuple(attachment.network for attachment in attached),
        designated=static.get("providers.docker.network") or None,
        exposed_by_default=static.get("providers.docker.exposedbydefault", "true") in TRUE,
    )


def traefiks(
    containers: Iterable[Container], container_listeners: Iterable[ContainerListener] | None = None
) -> set[str]:
    """The containers that are Traefik, by their images or by what listens in a network that is theirs alone."""
    processes: dict[str | None, set[str]] = {}
    for listener in container_listeners or ():
        processes.setdefault(listener.container, set()).add(listener.process or "")
    return {
        container.name for container in containers if is_traefik(container.image, processes.get(container.name, ()))
    }


def _network_bearer(name: str | None, containers: Rows[Container]) -> Container | None:
    """The container whose networks and publications `name` uses: itself, or the one whose network it joined."""
    container = containers.by(Container.name).get(name or "")
    bearer = joined_container(container.network_mode) if container else None
    if bearer is None:
        return container
    return next((other for other in containers if bearer in (other.id, other.name)), None)


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
    containers: Rows[Container],
    labels: Rows[ContainerLabel],
    proxy: Rows[Proxy],
    traefik_servers: Rows[TraefikServer] | None = None,
) -> Iterator[RoutedContainer]:
    """Containers behind a server of Traefik's API, and those whose labels ask for a route.

    With `exposedByDefault`, any container with a port may get a default route: then only the API, or labels of its
    own, tell that it does.
    """
    traefik = proxy[0]
    labelled = labels.grouped(ContainerLabel.container)
    served = traefik_servers.grouped(TraefikServer.container) if traefik_servers is not None else {}
    for container in containers:
        own = {label.label.lower(): label.value for label in labelled.get(container.name, ())}
        servers = served.get(container.name, ())
        asks = is_up(container.state) and _asks(own, default=bool(traefik.exposed_by_default))
        if container.name != traefik.container and (servers or asks):
            yield RoutedContainer(
                container=container.name,
                network_label=own.get("traefik.docker.network"),
                services=tuple(sorted({server.service for server in servers})),
                reached=tuple(sorted({server.network for server in servers if server.network})),
                docker=asks or any(server.service.endswith("@docker") for server in servers),
            )


def _asks(labels: Mapping[str, str | None], *, default: bool) -> bool:
    """Whether labels ask for a route: enabled, by a label or by default with labels of a router or a service."""
    enable = labels.get("traefik.enable")
    if enable is not None:
        return enable in TRUE
    return default and any(label.startswith(("traefik.http.", "traefik.tcp.", "traefik.udp.")) for label in labels)
