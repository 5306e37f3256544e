"""The graph of what is served, the states of its ways, and the order in which it is drawn."""

import itertools
import random
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlib import views  # noqa: F401 - imported for the views it registers
from auditlib.facts.snapshot import Snapshot
from auditlib.views.graph import LAYERS, broken, crossings, graph, layers
from auditlib.views.routes import Route
from tests.conftest import snapshot_of

Graph = nx.DiGraph  # generic for the type checker only


def _facts(**tables: Any) -> Snapshot:
    """Traefik on « web » and « back », and one router to a container on « web »."""
    given_ = {
        "containers": [
            {"name": "app", "state": "running"},
            {"name": "traefik", "state": "running", "network_mode": "web"},
        ],
        "container_networks": [
            {"container": "app", "network": "web"},
            {"container": "traefik", "network": "back"},
            {"container": "traefik", "network": "web"},
        ],
        "traefik_static": [_designated("web")],
        "labels": [],
        "traefik_routers": [_router()],
        "traefik_services": [{"service": "app@docker", "protocol": "http"}],
        "traefik_servers": [_server()],
    }
    return snapshot_of(**{**given_, **tables})


def _designated(network: str) -> dict[str, Any]:
    option = {"container": "traefik", "origin": "flags", "key": "providers.docker.network", "value": network}
    return {**option, "effective": True}


def _router(router: str = "app@docker", **given_: Any) -> dict[str, Any]:
    settings_ = {"protocol": "http", "rule": "Host(`a.fr`)", "service": "app@docker", "status": "enabled"}
    return {"router": router, **settings_, **given_}


def _server(network: str | None = "web") -> dict[str, Any]:
    return {
        "service": "app@docker",
        "protocol": "http",
        "url": "http://10.0.0.2:80",
        "container": "app",
        "network": network,
    }


def _tree(**tables: Any) -> Graph:
    return _facts(**tables).call(graph)


def _states(tree: Graph) -> dict[str, str]:
    edges = {f"{one} → {other}": state for one, other, state in tree.edges(data="state")}
    return edges | dict(tree.nodes(data="state"))


def _attachments(tree: Graph) -> dict[str, str]:
    return {
        other.removeprefix("network:"): state for _, other, state in tree.edges(data="state") if "network:" in other
    }


def test_the_chain_of_a_domain() -> None:
    assert _states(_tree()) == dict.fromkeys(
        [
            "domain:a.fr → router:app@docker",
            "router:app@docker → service:app@docker",
            "service:app@docker → container:app",
            "container:app → network:web",
            "domain:a.fr",
            "router:app@docker",
            "service:app@docker",
            "container:app",
            "network:web",
        ],
        "ok",
    )


def test_edges_tell_the_path_and_the_port() -> None:
    routers = [_router(rule="Host(`a.fr`) && PathPrefix(`/x`)"), _router("all@docker")]
    tree = _tree(traefik_routers=routers)
    assert tree.edges["domain:a.fr", "router:app@docker"]["label"] == "/x"
    assert tree.edges["domain:a.fr", "router:all@docker"]["label"] == "/"
    assert tree.edges["service:app@docker", "container:app"]["label"] == "80"


def test_paths_of_one_router_are_told_together() -> None:
    tree = _tree(traefik_routers=[_router(rule="Host(`a.fr`) && (PathPrefix(`/x`) || PathPrefix(`/y`))")])
    assert tree.edges["domain:a.fr", "router:app@docker"]["label"] == "/x, /y"


def test_a_rule_without_a_domain_is_any_domain() -> None:
    assert "domain:tout domaine" in _tree(traefik_routers=[_router(rule="PathPrefix(`/x`)")])


def test_what_traefik_made_for_itself_is_left_out() -> None:
    assert len(_tree(traefik_routers=[_router("api@internal", service="api@internal")])) == 0


@pytest.mark.parametrize(("status", "state"), [("disabled", "broken"), ("warning", "warning"), ("enabled", "ok")])
def test_the_state_of_a_router(status: str, state: str) -> None:
    tree = _tree(traefik_routers=[_router(status=status)])
    assert tree.nodes["router:app@docker"]["state"] == state
    assert tree.edges["domain:a.fr", "router:app@docker"]["state"] == state
    assert tree.nodes["domain:a.fr"]["state"] == "ok"
    assert broken(tree) == (["a.fr"] if state == "broken" else [])


def test_a_service_without_servers_is_broken() -> None:
    tree = _tree(traefik_servers=[])
    assert tree.nodes["service:app@docker"]["state"] == "broken"
    assert broken(tree) == ["a.fr"]


def test_a_router_without_a_service_ends_there() -> None:
    assert set(_tree(traefik_routers=[_router(service=None, status="disabled")])) == {
        "domain:a.fr",
        "router:app@docker",
    }


@pytest.mark.parametrize(
    ("attached", "reached", "states"),
    [
        (["web"], "web", {"web": "ok"}),
        (["web", "other"], "web", {"web": "ok", "other": "unused"}),
        # Traefik is not there: nothing can answer.
        (["other"], "other", {"other": "broken"}),
        # Traefik is there, but was told another one.
        (["back"], "back", {"back": "warning"}),
        # Which one is used is not known: one that is shared.
        (["web", "other"], None, {"web": "ok", "other": "unused"}),
        (["other"], None, {"other": "broken"}),
    ],
)
def test_the_state_of_an_attachment(attached: list[str], reached: str | None, states: dict[str, str]) -> None:
    ends = [{"container": "app", "network": network} for network in attached]
    ends += [{"container": "traefik", "network": network} for network in ("back", "web")]
    tree = _tree(container_networks=ends, traefik_servers=[_server(reached)])
    assert _attachments(tree) == states
    assert broken(tree) == (["a.fr"] if "broken" in states.values() else [])


@pytest.mark.parametrize(("label", "state"), [("back", "ok"), ("", "ok"), ("web", "warning")])
def test_a_label_overrides_the_designated_network(label: str, state: str) -> None:
    ends = [{"container": "app", "network": "back"}, {"container": "traefik", "network": "back"}]
    labels = [
        {"container": "app", "label": "traefik.enable", "value": "true"},
        {"container": "app", "label": "traefik.docker.network", "value": label},
    ]
    assert _attachments(_tree(container_networks=ends, labels=labels, traefik_servers=[_server("back")])) == {
        "back": state
    }


def test_the_designated_network_is_no_concern_of_the_file_provider() -> None:
    tree = _tree(
        traefik_routers=[_router("app@file")],
        container_networks=[{"container": name, "network": "back"} for name in ("app", "traefik")],
        traefik_servers=[_server("back")],
    )
    assert _attachments(tree) == {"back": "ok"}


def test_from_the_machine_s_network_every_bridge_is_reached() -> None:
    tree = _tree(
        containers=[
            {"name": "app", "state": "running"},
            {"name": "traefik", "state": "running", "network_mode": "host"},
        ],
        container_networks=[{"container": "app", "network": "other"}, {"container": "traefik", "network": "host"}],
        traefik_static=[_designated("other")],
        traefik_servers=[_server("other")],
    )
    assert _attachments(tree) == {"other": "ok"}
    assert broken(tree) == []


def test_routes_alone_make_a_graph() -> None:
    tree = graph(_facts().rows(Route))
    assert _attachments(tree) == {"web": "ok"}


@pytest.mark.parametrize(
    ("heard", "label", "state"),
    [
        (
            [{"protocol": "tcp", "family": "ipv4", "address": "0.0.0.0", "port": 80, "process": "nginx"}],
            "10.0.0.1:80\nnginx",
            "ok",
        ),
        ([], "10.0.0.1:80", "warning"),
    ],
)
def test_a_server_of_the_machine(heard: list[dict[str, Any]], label: str, state: str) -> None:
    tree = _tree(
        networks=[{"name": "web", "id": "1", "gateways": ["10.0.0.1"]}],
        listeners=heard,
        traefik_servers=[{"service": "app@docker", "protocol": "http", "url": "http://10.0.0.1:80"}],
    )
    assert tree.nodes[f"container:{label}"] == {"kind": "container", "label": label, "state": state}
    assert broken(tree) == []


def test_the_worst_state_of_a_shared_node_is_kept() -> None:
    routers = [_router("b@docker", status="disabled", rule="Host(`b.fr`)"), _router("a@docker")]
    tree = _tree(traefik_routers=routers)
    assert broken(tree) == ["b.fr"]
    assert tree.nodes["service:app@docker"]["state"] == "ok"


def test_the_reference_server(faulty: Snapshot, healthy: Snapshot) -> None:
    tree = faulty.call(graph)
    assert {kind: sum(tree.nodes[node]["kind"] == kind for node in tree) for kind in LAYERS} == {
        "domain": 4,
        "router": 8,
        "service": 6,
        "container": 5,
        "network": 2,
    }
    assert {one: state for one, state in _states(tree).items() if state != "ok"} == {
        "container:jsr-dev → network:traefik-net": "warning"
    }
    assert broken(tree) == []
    assert set(_states(healthy.call(graph)).values()) <= {"ok", "unused"}


# The order of the layers


def _random_graph(seed: int, most: int) -> Graph:
    """A graph of chains between layers, in no particular order."""
    chance = random.Random(seed)
    nodes = [[f"{kind}:{chance.random():.3f}" for _ in range(chance.randint(1, most))] for kind in LAYERS]
    tree: Graph = nx.DiGraph()
    for kind, layer in zip(LAYERS, nodes, strict=True):
        tree.add_nodes_from((node, {"kind": kind, "label": node, "state": "ok"}) for node in layer)
    for left, right in itertools.pairwise(nodes):
        pairs = [(one, other) for one in left for other in right]
        tree.add_edges_from(chance.sample(pairs, chance.randint(0, min(len(pairs), 2 * most))), state="ok")
    return tree


def _alphabetical(tree: Graph) -> list[list[str]]:
    return [sorted(node for node in tree if tree.nodes[node]["kind"] == kind) for kind in LAYERS]


def _crossings_by_definition(tree: Graph, ordered: list[list[str]]) -> int:
    place = {node: at for layer in ordered for at, node in enumerate(layer)}
    total = 0
    for kind in LAYERS:
        edges = [(place[one], place[other]) for one, other in tree.edges if tree.nodes[one]["kind"] == kind]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(edges, 2))
    return total


SEEDS = st.integers(0, 10_000)


@settings(max_examples=50)
@given(SEEDS)
def test_crossings_are_counted_by_their_definition(seed: int) -> None:
    tree = _random_graph(seed, 6)
    for ordered in (_alphabetical(tree), layers(tree)):
        assert crossings(tree, ordered) == _crossings_by_definition(tree, ordered)


@settings(max_examples=50)
@given(SEEDS)
def test_the_order_crosses_no_more_than_the_alphabet(seed: int) -> None:
    tree = _random_graph(seed, 9)
    ordered = layers(tree)
    assert [sorted(layer) for layer in ordered] == _alphabetical(tree)
    assert crossings(tree, ordered) <= crossings(tree, _alphabetical(tree))


def test_the_order_saves_most_crossings() -> None:
    trees = [_random_graph(seed, 15) for seed in range(10)]
    before = sum(crossings(tree, _alphabetical(tree)) for tree in trees)
    assert sum(crossings(tree, layers(tree)) for tree in trees) < before / 2


def test_the_same_graph_always_has_the_same_order() -> None:
    tree = _random_graph(3, 12)
    again: Graph = nx.DiGraph()
    again.add_nodes_from(sorted(tree.nodes(data=True), key=str, reverse=True))
    again.add_edges_from(sorted(tree.edges(data=True), key=str, reverse=True))
    assert layers(again) == layers(tree)


def test_an_empty_graph_has_empty_layers() -> None:
    assert layers(nx.DiGraph()) == [[] for _ in LAYERS]
