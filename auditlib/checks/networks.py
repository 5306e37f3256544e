"""NET: the networks that containers and Traefik share, or do not."""

from collections.abc import Iterator, Mapping

from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, ContainerNetwork
from auditlib.findings.about import given_up
from auditlib.findings.check import About, Fault, Fix, NotApplicable, check, fact, word
from auditlib.french import listing, quoted
from auditlib.software import borrows, is_attached
from auditlib.views.proxy import Proxy, RoutedContainer


def _networks(container_networks: Rows[ContainerNetwork], container: str) -> tuple[str, ...]:
    """The networks that a container is on."""
    attachments = container_networks.grouped(ContainerNetwork.container)
    return tuple(attachment.network for attachment in attachments.get(container, ()))


def _designated(route: RoutedContainer, proxy: Proxy) -> str | None:
    """The network that Traefik is told to use for a container. A label that is empty overrides the option with none."""
    return proxy.designated if route.network_label is None else route.network_label


class NetworkFault(Fault):
    """A routed container that Traefik may find no address of."""

    container: str

    @property
    def about(self) -> About:
        """A container that Traefik gives up for its address."""
        return {"step": given_up([self.container], "address")}


class Detached(NetworkFault):
    """A routed container that is not on the network that Traefik is told to use."""

    network: str
    networks: tuple[str, ...]
    designation: str = word()
    fallback: str = word()
    hint: str = word()
    durable: str = word()


@check(
    "NET-001",
    "high",
    "Chaque conteneur routé est attaché au réseau désigné à Traefik",
    key=("container",),
    message="Le conteneur « {container} » n’est pas attaché au réseau « {network} » que {designation} : "
    "{fallback}.{hint}",
    fix=Fix(
        "{durable}, puis le recréer. Pour rétablir sans attendre : attacher le conteneur et le redémarrer, car Traefik "
        "ne relit les adresses qu’à un démarrage, un arrêt ou un changement de santé. Autre remède : retirer l’option, "
        "si plusieurs réseaux sont voulus.",
        ("docker network connect {network} {container}", "docker restart {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",),
    ),
)
def designated_network(
    routed: Rows[RoutedContainer],
    proxy: Rows[Proxy],
    container_networks: Rows[ContainerNetwork],
    containers: Rows[Container],
) -> Iterator[Detached]:
    """Routed containers that are not on the network of their label, else of `providers.docker.network`.

    Traefik takes the address on that network; without it, it warns and takes another, at random when there are
    several (`getIPAddress`, verified on 3.0 to 3.7). A container on the host's network has no address to choose.
    """
    labelled = [route for route in routed if route.docker]
    if not proxy[0].designated and not any(route.network_label for route in labelled):
        raise NotApplicable("aucun réseau n’est désigné à Traefik, ni par étiquette ni par option")
    for route in labelled:
        container = containers.by(Container.name)[route.container]
        network, networks = _designated(route, proxy[0]), _networks(container_networks, container.name)
        if not network or network in networks or container.network_mode == "none" or borrows(container.network_mode):
            continue
        yield Detached(
            container=container.name,
            network=network,
            networks=networks,
            designation="son étiquette « traefik.docker.network » désigne"
            if route.network_label
            else "l’option « providers.docker.network » désigne",
            fallback=_fallback(networks, route.reached),
            hint=_prefixed(network, networks) if route.network_label else "",
            durable=f"Déclarer le réseau {quoted(network)} (« external: true ») dans le fichier compose, l’ajouter aux "
            "réseaux du service"
            if container.compose_project
            else f"Donner le réseau {quoted(network)} à la commande qui le crée (« --network »)",
        )


def _fallback(networks: tuple[str, ...], reached: tuple[str, ...] | None) -> str:
    if not networks:
        return "il n’est sur aucun réseau, et Traefik l’ignore"
    if len(networks) == 1:
        return f"Traefik se rabat sur {quoted(networks[0])}"
    now = f", actuellement {listing(quoted(network) for network in reached)}" if reached else ""
    return f"Traefik se rabat au hasard sur {listing(map(quoted, networks), 'ou')}{now}"


def _prefixed(label: str, networks: tuple[str, ...]) -> str:
    """Compose prefixes a network's name by its project, and the label wants the real name."""
    real = next((network for network in networks if network.endswith(f"_{label}")), None)
    return f" L’étiquette veut le nom complet, {quoted(real)}." if real else ""


class Unreached(NetworkFault):
    """A routed container on none of Traefik's networks."""

    proxy: str = fact("Proxy")
    networks: tuple[str, ...]
    proxy_networks: tuple[str, ...] = fact("Réseaux de Traefik")
    places: str = word()
    creation: str = word()
    shared: str | None = word()


@check(
    "NET-002",
    "critical",
    "Chaque conteneur routé partage un réseau avec Traefik",
    key=("container",),
    message="Le conteneur « {container} » ne partage aucun réseau avec Traefik (« {proxy} ») : {places}. "
    "Toute requête vers lui finit en erreur 504.",
    fix=Fix(
        "Attacher « {container} » à un réseau de Traefik, durablement dans {creation}, puis le redémarrer "
        "pour que Traefik relise son adresse.",
        ("docker network connect {shared} {container}", "docker restart {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container} {proxy}",),
    ),
)
def shared_network(
    routed: Rows[RoutedContainer],
    proxy: Rows[Proxy],
    container_networks: Rows[ContainerNetwork],
    containers: Rows[Container],
) -> Iterator[Unreached]:
    """Routed containers on none of Traefik's networks. On the host's network, Traefik reaches every bridge."""
    traefik = proxy[0]
    if traefik.container is None or not traefik.apart:
        raise NotApplicable("Traefik utilise le réseau de la machine, d’où tous les réseaux Docker sont joignables")
    own = tuple(sorted(traefik.networks or ()))
    for route in routed:
        container = containers.by(Container.name)[route.container]
        networks = _networks(container_networks, container.name)
        if set(networks) & set(own) or borrows(container.network_mode):
            continue
        yield Unreached(
            container=container.name,
            proxy=traefik.container,
            networks=networks,
            proxy_networks=own,
            places=f"il est sur {listing(map(quoted, networks)) or 'aucun réseau'}, "
            f"Traefik sur {listing(map(quoted, own)) or 'aucun réseau'}",
            creation="son fichier compose" if container.compose_project else "la commande qui le crée",
            shared=traefik.designated or (own[0] if own else None),
        )


class Unchosen(Fault):
    """A routed container on several networks, none of which Traefik is told to use."""

    container: str
    networks: tuple[str, ...]
    shared: tuple[str, ...] = fact("Réseaux communs")
    network: str = word()
    now: str = word()
    effect: str = word()


@check(
    "NET-003",
    "medium",
    "Un réseau est désigné à Traefik pour chaque conteneur routé qui en a plusieurs",
    key=("container",),
    message="Le conteneur « {container} » est sur {networks:quoted}, et aucun réseau n’est désigné à Traefik : il en "
    "prend un au hasard à chaque mise à jour{now}{effect}.",
    fix=Fix(
        "Désigner le réseau : étiquette « traefik.docker.network={network} » du service, ou option "
        "« providers.docker.network » de Traefik pour tous, puis recréer le service.",
        ("{compose} up -d {service}",),
        (
            "docker inspect --format '{{{{index .Config.Labels \"traefik.docker.network\"}}}}' {container}",
            "docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",
        ),
    ),
)
def network_chosen(
    routed: Rows[RoutedContainer],
    proxy: Rows[Proxy],
    container_networks: Rows[ContainerNetwork],
    containers: Rows[Container],
) -> Iterator[Unchosen]:
    """Routed containers on several networks, without a label or an option that names one.

    `getIPAddress` then takes the first of a Go map, whose order is random. `info` when Traefik is on all of them: any
    choice answers.
    """
    for route in routed:
        networks = _networks(container_networks, route.container)
        joins = borrows(containers.by(Container.name)[route.container].network_mode)
        if not route.docker or _designated(route, proxy[0]) or len(networks) < 2 or joins:
            continue
        shared = _reached(networks, proxy[0])
        # On none of Traefik's networks, which one it takes changes nothing: NET-002 tells it.
        if shared:
            lost = [network for network in networks if network not in shared]
            yield Unchosen(
                container=route.container,
                networks=networks,
                shared=shared,
                severity="medium" if lost else "info",
                network=shared[0],
                now=f", actuellement {listing(map(quoted, route.reached))}" if route.reached else "",
                effect=f", et ne joint pas {listing(map(quoted, lost))}"
                if lost
                else ", qu’il joint tous pour le moment",
            )


def _reached(networks: tuple[str, ...], traefik: Proxy) -> tuple[str, ...]:
    """Those of some networks that Traefik reaches: its own, or any from the machine's network."""
    if not traefik.apart:
        return networks
    return tuple(network for network in networks if network in (traefik.networks or ()))


class SharedName(Fault):
    """A DNS name that containers of different projects have on one network."""

    network: str
    containers: tuple[str, ...]
    aliases: tuple[str, ...]
    names: str = word()
    holders: str = word()
    container: str = word()
    other: str = word()

    @property
    def about(self) -> About:
        """The names on the network."""
        return {"alias": [f"{alias} ({self.network})" for alias in self.aliases]}


@check(
    "NET-004",
    "high",
    "Aucun nom n’est celui de deux projets sur un même réseau",
    key=("network", "container"),
    message="Sur le réseau « {network} », {names} répond pour {holders}, de projets différents : qui l’appelle tombe "
    "tantôt sur l’un, tantôt sur l’autre.",
    fix=Fix(
        "Donner à chacun un nom à lui : changer le nom du service ou l’alias (« aliases: » sous « networks: »), ou "
        "retirer du réseau « {network} » celui que personne n’y appelle. Pour l’instant, appeler chacun par son nom de "
        "conteneur.",
        (),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container} {other}",),
    ),
)
def names_distinct(container_networks: Rows[ContainerNetwork], containers: Rows[Container]) -> Iterator[SharedName]:
    """DNS names that containers in service, paused ones included, of different projects have on one network.

    Docker's DNS answers with all of them, and compares names without case (libnetwork, `addNameToIP`). It serves no
    name on the default bridge. Containers of no project are each a project of their own.
    """
    projects = {container.name: container.compose_project for container in containers if is_attached(container.state)}
    shared: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (network, alias), bearers in _bearers(container_networks).items():
        holders = tuple(sorted(bearers & projects.keys()))
        if len({projects[name] or f"\0{name}" for name in holders}) > 1:
            shared.setdefault((network, holders), []).append(alias)
    for (network, holders), aliases in shared.items():
        yield SharedName(
            network=network,
            containers=holders,
            aliases=tuple(sorted(aliases)),
            subjects=(("network", network), *(("container", name) for name in holders)),
            names=f"{'le nom' if len(aliases) == 1 else 'chacun des noms'} {listing(map(quoted, sorted(aliases)))}",
            holders=listing(f"{quoted(name)} ({projects[name] or 'sans projet'})" for name in holders),
            container=holders[0],
            other=holders[1],
        )


def _bearers(container_networks: Rows[ContainerNetwork]) -> Mapping[tuple[str, str], set[str]]:
    """The containers that bear each name, by its network and in lower case."""
    bearers: dict[tuple[str, str], set[str]] = {}
    for attachment in container_networks:
        if attachment.network not in ("bridge", "host", "none"):
            for alias in attachment.aliases or ():
                bearers.setdefault((attachment.network, alias.lower()), set()).add(attachment.container)
    return bearers
