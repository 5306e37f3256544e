"""The graph of what is served: domain → router → service → container → network."""

from __future__ import annotations  # networkx graphs are generic for the type checker only

from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

import networkx as nx

from auditlib.facts.legacy import Record, records
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
    settings = records(proxy)[0] if proxy is not None else {}
    labels = {row["container"]: row["network_label"] for row in records(routed)} if routed is not None else {}
    attached: dict[str, list[str]] = {}
    for row in records(container_networks) if container_networks is not None else []:
        attached.setdefault(row["container"], []).append(row["network"])
    for row in records(routes):
        if not str(row["router"]).endswith("@internal"):
            # A label overrides the option, with "no network wanted" when it is empty.
            label = labels.get(row["container"])
            own = settings if label is None else {**settings, "designated": label or None}
            _add(tree, row, attached, own)
    return tree


def _add(tree: Graph, row: Record, attached: dict[str, list[str]], settings: Record) -> None:
    """Add the chain of one route."""
    state = {"disabled": "broken", "warning": "warning"}.get(row["status"], "ok")
    domain = _node(tree, "domain", row["domain"] or ANY_DOMAIN)
    router = _node(tree, "router", row["router"], state)
    _edge(tree, domain, router, state, label=row["path"] or "/")
    if not row["service"]:
        return
    service = _node(tree, "service", row["service"], "broken" if row["kind"] == "aucune" else "ok")
    _edge(tree, router, service, state)
    if row["container"]:
        container = _node(tree, "container", row["container"])
        _edge(tree, service, container, "ok", label=str(row["port"] or ""))
        networks = attached.get(row["container"], [row["network"]] if row["network"] else [])
        for network in networks:
            state = _attachment(row, network, networks, settings)
            _edge(tree, container, _node(tree, "network", network), state)
    elif row["server"]:
        label = row["server"].partition("://")[2] or row["server"]
        missing = row["kind"] == "machine" and row["target"] is None
        held = f"{label}\n{row['target']}" if row["kind"] == "machine" and row["target"] else label
        server = _node(tree, "container", held, "warning" if missing else "ok")
        _edge(tree, service, server, "warning" if missing else "ok")


def _attachment(row: Record, network: str, networks: list[str], settings: Record) -> str:
    """The state of a container's attachment to one of its networks, seen from a route that leads to the container."""
    if row["network"] not in (None, network):
        return "unused"
    # On the machine's own network, Traefik reaches every bridge.
    bridged = settings.get("container") and settings["network_mode"] != "host"
    shared = {*networks} & {*(settings["networks"] or ())} if bridged else {*networks}
    if network not in shared:
        # A route that names no network of the container takes one that is shared.
        return "unused" if shared and row["network"] is None else "broken"
    designated = settings.get("designated") if row["router"].endswith("@docker") else None
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
        forth = sweep % 2 == 0
        ordered = [list(layer) for layer in ordered]
        for index in range(1, len(ordered)) if forth else range(len(ordered) - 2, -1, -1):
            neighbours = tree.predecessors if forth else tree.successors
            fixed = {node: place for place, node in enumerate(ordered[index - 1 if forth else index + 1])}
            here = {node: place for place, node in enumerate(ordered[index])}
            weights = {node: _mean([fixed[n] for n in neighbours(node) if n in fixed], here[node]) for node in here}
            ordered[index] = sorted(ordered[index], key=lambda node: (weights[node], here[node]))
        count = crossings(tree, ordered)
        if count < fewest:
            best, fewest = ordered, count
    return best


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
