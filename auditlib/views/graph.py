"""The graph of what is served: domain → router → service → container → network."""

from __future__ import annotations  # networkx graphs are generic for the type checker only

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import networkx as nx

from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import ContainerNetwork
from auditlib.french import visible
from auditlib.views.proxy import Proxy, RoutedContainer
from auditlib.views.routes import Route

Graph: TypeAlias = "nx.DiGraph[str]"

# The layers, in the order of a request, and their French names.
LAYERS = {
    "domain": "Domaine",
    "router": "Routeur",
    "service": "Service",
    "container": "Conteneur ou serveur",
    "network": "Réseau",
}
ANY_DOMAIN = "tout domaine"


def graph(
    routes: Rows[Route],
    container_networks: Rows[ContainerNetwork] | None = None,
    proxy: Rows[Proxy] | None = None,
    routed: Rows[RoutedContainer] | None = None,
) -> Graph:
    """The graph of `routes`.

    Nodes are `kind:name`, with the attributes `kind` (a layer), `label` and `state`: "ok", "warning" or "broken".
    Edges have `state` too; an edge to a network that Traefik is not on is broken, one to another network than the
    designated one is a warning, one that Traefik does not use is "unused". Routers that Traefik made for itself
    (redirections, ping, `api.insecure`) are left out.
    """
    tree: Graph = nx.DiGraph()
    traefik = next(iter(proxy or ()), Proxy())
    labels = {row.container: row.network_label for row in routed or ()}
    attachments = container_networks.grouped(ContainerNetwork.container) if container_networks else {}
    for route in routes:
        service = None if route.router.endswith("@internal") else _add_service(tree, route)
        if service and route.container:
            # A label overrides the option, with "no network wanted" when it is empty.
            label = labels.get(route.container)
            own = traefik if label is None else replace(traefik, designated=label or None)
            networks = [row.network for row in attachments.get(route.container, ())]
            _add_container(tree, service, route.container, route, networks, own)
        elif service and route.server:
            _add_server(tree, service, route.server, route)
    return tree


def _add_service(tree: Graph, route: Route) -> str | None:
    """Add the way from a domain to a service, and return the node of the service; None for a router without one."""
    state = {"disabled": "broken", "warning": "warning"}.get(route.status or "", "ok")
    domain = _node(tree, "domain", route.domain or ANY_DOMAIN)
    router = _node(tree, "router", route.router, state)
    _edge(tree, domain, router, state, label=route.path or "/")
    if not route.service:
        return None
    service = _node(tree, "service", route.service, "broken" if route.kind == "aucune" else "ok")
    _edge(tree, router, service, state)
    return service


def _add_container(tree: Graph, service: str, name: str, route: Route, networks: Sequence[str], traefik: Proxy) -> None:
    """Add the container that a route leads to, and its networks; when they are not known, that of the route."""
    container = _node(tree, "container", name)
    _edge(tree, service, container, "ok", label=str(route.port or ""))
    networks = networks or [network for network in [route.network] if network]
    for network in networks:
        _edge(tree, container, _node(tree, "network", network), _attachment(route, network, networks, traefik))


def _add_server(tree: Graph, service: str, url: str, route: Route) -> None:
    """Add a server that is no container, with what listens there if it is this machine."""
    label, state = url.partition("://")[2] or url, "ok"
    if route.kind == "machine":
        label, state = (f"{label}\n{route.target}", "ok") if route.target else (label, "warning")
    _edge(tree, service, _node(tree, "container", label, state), state)


def _attachment(route: Route, network: str, networks: Iterable[str], traefik: Proxy) -> str:
    """The state of a container's attachment to one of its networks, seen from a route that leads to the container."""
    if route.network not in (None, network):
        return "unused"
    # On the machine's own network, Traefik reaches every bridge.
    shared = {*networks} & {*(traefik.networks or ())} if traefik.apart else {*networks}
    if network not in shared:
        # A route that names no network of the container takes one that is shared.
        return "unused" if shared and route.network is None else "broken"
    designated = traefik.designated if route.router.endswith("@docker") else None
    return "ok" if designated in (None, network) else "warning"


def _node(tree: Graph, kind: str, label: str, state: str = "ok") -> str:
    name = f"{kind}:{label}"
    known = tree.nodes.get(name, {}).get("state", "ok")
    tree.add_node(name, kind=kind, label=label, state=_worse(known, state))
    return name


def _edge(tree: Graph, one: str, other: str, state: str, label: str = "") -> None:
    known = tree.get_edge_data(one, other, {})
    labels = [*filter(None, known.get("label", "").split(", ")), label]
    merged = ", ".join(dict.fromkeys(filter(None, labels)))
    tree.add_edge(one, other, state=_worse(known.get("state", state), state), label=merged)


def _worse(one: str, other: str) -> str:
    order = ("unused", "ok", "warning", "broken")
    return max(one, other, key=order.index)


def layers(tree: Graph) -> list[list[str]]:
    """The nodes of each layer, ordered so that few edges cross.

    Barycentres, swept forth and back from an alphabetical start: each node goes to the mean place of its neighbours
    (Sugiyama, Tagawa and Toda, 1981). The best order met is kept. The same graph always gives the same order.
    """
    ordered = [sorted(n for n in tree if tree.nodes[n]["kind"] == layer) for layer in LAYERS]
    best, fewest = ordered, crossings(tree, ordered)
    for sweep in range(24):
        ordered = _swept(tree, ordered, forth=sweep % 2 == 0)
        count = crossings(tree, ordered)
        if count < fewest:
            best, fewest = ordered, count
    return best


def _swept(tree: Graph, ordered: list[list[str]], *, forth: bool) -> list[list[str]]:
    """The layers, each ordered by where its nodes have neighbours in the layer before it, forth or back."""
    neighbours = tree.predecessors if forth else tree.successors
    swept = [list(layer) for layer in ordered]
    for index in range(1, len(swept)) if forth else range(len(swept) - 2, -1, -1):
        fixed = {node: place for place, node in enumerate(swept[index - 1 if forth else index + 1])}
        here = {node: place for place, node in enumerate(swept[index])}
        weights = {node: _mean([fixed[n] for n in neighbours(node) if n in fixed], here[node]) for node in here}
        swept[index] = sorted(here, key=lambda node: (weights[node], here[node]))
    return swept


def _mean(places: list[int], default: float) -> float:
    return sum(places) / len(places) if places else default


def crossings(tree: Graph, ordered: Iterable[list[str]]) -> int:
    """How many pairs of edges cross when the layers are drawn in this order."""
    rows = [layer for layer in ordered if layer]
    total = 0
    for left, right in pairwise(rows):
        places = {node: place for place, node in enumerate(right)}
        ends = [sorted(places[n] for n in tree.successors(node) if n in places) for node in left]
        flat = [end for group in ends for end in group]
        # Edges cross when their ends are in the inverse order of their starts.
        total += sum(flat[i] > flat[j] for i in range(len(flat)) for j in range(i + 1, len(flat)))
    return total


def broken(tree: Graph) -> list[str]:
    """Labels of the domains on whose way something is broken."""
    names = [node for node in tree if tree.nodes[node]["kind"] == "domain" and _is_broken(tree, node)]
    return sorted(tree.nodes[node]["label"] for node in names)


def _is_broken(tree: Graph, domain: str) -> bool:
    part = tree.subgraph({domain, *reached(tree, domain)})
    states = [*nx.get_node_attributes(part, "state").values(), *nx.get_edge_attributes(part, "state").values()]
    return "broken" in states


def reached(tree: Graph, node: str) -> set[str]:
    """The nodes that lie on some way from `node`."""
    return set(nx.descendants(tree, node))


def graphml(tree: Graph | None) -> str:
    """The graph as GraphML, for Gephi, yEd and the like; None is written as an empty one.

    Characters that XML forbids become their codes.
    """
    clean: Graph = nx.DiGraph()
    if tree is not None:
        clean.add_nodes_from((visible(node), _readable(data)) for node, data in tree.nodes(data=True))
        clean.add_edges_from(
            (visible(one), visible(other), _readable(data)) for one, other, data in tree.edges(data=True)
        )
    return "\n".join(nx.generate_graphml(clean)) + "\n"


def _readable(data: dict[str, str]) -> dict[str, str]:
    return {name: visible(value) for name, value in data.items()}
