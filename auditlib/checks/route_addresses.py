"""ROUTE: the addresses that Traefik uses: whether they are still those of containers that it can reach."""

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from auditlib.addresses import host_and_port, is_address, is_loopback
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import ContainerNetwork, Network
from auditlib.facts.tables.traefik import Traefik, TraefikServer
from auditlib.findings.check import Fault, Fix, NotApplicable, check, fact, word
from auditlib.findings.commands import api_object
from auditlib.french import listing, quoted
from auditlib.views.predicted import PredictedServer
from auditlib.views.proxy import Proxy
from auditlib.views.routes import network_of_address

_REREAD = (
    "Redémarrer un conteneur de ce service, ou Traefik : il ne relit les adresses qu’à un démarrage, un arrêt ou un "
    "changement de santé."
)


class Astray(Fault):
    """An address that Traefik uses and that no container has, or that it cannot reach."""

    service: str
    url: str
    container: str | None = fact(about="container")
    network: str | None
    why: str = word()
    remedy: str = word()
    restarted: str | None = word()
    proxy: str | None = word()
    api: str | None = word()


@check(
    "ROUTE-016",
    "high",
    "Chaque adresse que Traefik utilise est celle d’un conteneur qu’il peut atteindre",
    key=("service",),
    message="Le service « {service} » envoie à {url}, {why} : les requêtes n’y aboutissent pas.",
    fix=Fix(
        "{remedy}",
        ("docker restart {restarted}", "docker network connect {network} {proxy}"),
        ("curl -sS {api}",),
    ),
)
def current_addresses(
    proxy: Rows[Proxy],
    container_networks: Rows[ContainerNetwork],
    traefik_servers: Rows[TraefikServer],
    traefik: Rows[Traefik] | None = None,
    networks: Rows[Network] | None = None,
    predicted_servers: Rows[PredictedServer] | None = None,
) -> Iterator[Astray]:
    """Addresses of the Docker provider that no container has any more, or that are on a network Traefik is not on.

    Elsewhere than in labels, an address of a Docker network that no container has was one's that had another since.
    Containers that share no network with Traefik are told by NET-002, and Traefik's own loopback by ROUTE-015.
    """
    if not proxy:
        raise NotApplicable("aucun Traefik n’a été trouvé")
    held = {end for attachment in container_networks for end in (attachment.ipv4, attachment.ipv6) if end}
    held |= {gateway for network in networks or () for gateway in network.gateways or ()}
    for server in traefik_servers:
        if server.service.endswith("@docker"):
            end = _apart(server, proxy[0], container_networks) or _stale(server, proxy[0], predicted_servers, held)
        else:
            end = _changed(server, proxy[0], networks or (), held)
        if end:
            yield Astray(
                service=server.service,
                url=server.url,
                container=server.container,
                network=end.network,
                why=end.why,
                remedy=end.remedy,
                restarted=end.restarted,
                proxy=end.attached,
                api=api_object(traefik, server.protocol, "service", server.service),
            )


class _DeadEnd(NamedTuple):
    """Why an address leads nowhere, what to do, its network, and the container to restart or to attach to that."""

    why: str
    remedy: str
    network: str | None
    restarted: str | None = None
    attached: str | None = None


def _apart(server: TraefikServer, traefik: Proxy, container_networks: Rows[ContainerNetwork]) -> _DeadEnd | None:
    """An address on a network where Traefik is not, of a container that shares another one with it."""
    own, network = traefik.networks or (), server.network
    attachments = container_networks.grouped(ContainerNetwork.container).get(server.container or "", ())
    shared = [attachment.network for attachment in attachments if attachment.network in own]
    if not traefik.apart or not network or network in own or not shared:
        return None
    other = f"désigner à Traefik un réseau qu’il partage ({listing(map(quoted, shared), 'ou')})"
    remedy = f"Attacher Traefik au réseau {quoted(network)}, ou {other} par l’étiquette « traefik.docker.network »."
    return _DeadEnd(
        f"sur le réseau {quoted(network)}, où Traefik n’est pas", remedy, network, attached=traefik.container
    )


def _stale(
    server: TraefikServer, traefik: Proxy, predicted_servers: Rows[PredictedServer] | None, held: Set[str]
) -> _DeadEnd | None:
    """An address that Traefik must not have, and that nobody has; a name is somebody's."""
    host = host_and_port(server.url)[0]
    if not is_address(host) or is_loopback(host) or host in held:
        return None
    if predicted_servers is None or server.url in predicted_servers.by(PredictedServer.url):
        return None
    return _DeadEnd("une adresse qu’aucun conteneur n’a plus", _REREAD, server.network, restarted=traefik.container)


def _changed(server: TraefikServer, traefik: Proxy, networks: Iterable[Network], held: Set[str]) -> _DeadEnd | None:
    """An address of a Docker network that somebody wrote and no container has: Docker gives them anew at each start."""
    host = host_and_port(server.url)[0]
    network = network_of_address(host, networks)
    if not network or host in held:
        return None
    why = f"une adresse du réseau {quoted(network)} qu’aucun conteneur n’a"
    return _DeadEnd(why, _BY_NAME if traefik.apart else _BY_PORT, network)


_BY_NAME = "Appeler le conteneur par son nom, sur un réseau qu’il partage avec Traefik, plutôt que par une adresse."
_BY_PORT = "Publier le port du conteneur sur 127.0.0.1, et l’appeler là : son adresse change quand il redémarre."
