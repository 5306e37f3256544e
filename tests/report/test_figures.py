"""Pictures: well-formed, the same twice, drawn whatever the names, and told to who does not see them."""

import base64
import functools
import html
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlib import checks, views  # noqa: F401 - some for what they register
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import audit as judge
from auditlib.french import visible
from auditlib.report import figures
from auditlib.report.figures import (
    Figure,
    absent_figure,
    graph_figure,
    ports_figure,
    severities_figure,
    stacks_figure,
)
from auditlib.views import graph as topology
from auditlib.views.inventory import Stack
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC, HostPort

HOSTILE = "<b>&\"'$x^2$\x1b\n--\u202e\uffff]]>"


def _stacks(*rows: tuple[str, str, int, int]) -> Figure:
    named = [dict(zip(("stack", "state", "running", "total"), row, strict=True)) for row in rows]
    return stacks_figure(Stack.table.rows({"compose": True, **row} for row in named))


def _ports(*rows: tuple[int, str, str, str]) -> Figure:
    named = [dict(zip(("port", "owner", "kind", "exposure"), row, strict=True)) for row in rows]
    return ports_figure(HostPort.table.rows({"protocol": "tcp", **row} for row in named))


def _graph(*chains: tuple[str, ...], state: str = "ok") -> "nx.DiGraph[str]":
    """A graph of chains of labels, one label per layer."""
    tree: nx.DiGraph[str] = nx.DiGraph()
    for chain in chains:
        nodes = [f"{kind}:{label}" for kind, label in zip(topology.LAYERS, chain, strict=False)]
        for kind, label, node in zip(topology.LAYERS, chain, nodes, strict=False):
            tree.add_node(node, kind=kind, label=label, state=state)
        nx.add_path(tree, nodes, state=state, label="/x")
    return tree


DRAWN: dict[str, Callable[[], Figure]] = {
    "stacks": lambda: _stacks(("shop", "en partie actif", 1, 3), ("web", "actif", 2, 2)),
    "no stacks": _stacks,
    "ports": lambda: _ports((80, "traefik", "conteneur", EVERYWHERE), (22, "ssh.service", "unité", LOOPBACK)),
    "no ports": _ports,
    "severities": lambda: severities_figure({"NET": {"élevée": 1}, "PORT": {"critique": 1, "faible": 2}, "CONT": {}}),
    "no severities": lambda: severities_figure({}),
    "graph": lambda: graph_figure(_graph(("a.fr", "a@docker", "a@docker", "app", "web"))),
    "no graph": lambda: graph_figure(nx.DiGraph()),
    "sixty nodes": lambda: graph_figure(
        _graph(*[tuple(f"{kind}-{n % (14 - 2 * at)}.exemple.fr" for at, kind in enumerate("drscn")) for n in range(40)])
    ),
    "hostile stacks": lambda: _stacks((HOSTILE, "actif", 1, 1), ("x" * 300, "passif", 0, 1)),
    "hostile ports": lambda: _ports((80, HOSTILE, "conteneur", SPECIFIC)),
    "hostile graph": lambda: graph_figure(
        _graph((HOSTILE, HOSTILE, HOSTILE, f"h:80\n{HOSTILE}", HOSTILE), state="broken")
    ),
    "absent": lambda: absent_figure(f"Graphe non évaluable : {HOSTILE}."),
}
EVERY = pytest.mark.parametrize("name", DRAWN)


@functools.cache
def _drawn(name: str) -> Figure:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        return DRAWN[name]()


@pytest.mark.parametrize("name", ["stacks", "ports", "severities", "graph", "absent"])
def test_a_picture_is_twice_the_same(name: str) -> None:
    assert _drawn.__wrapped__(name).svg == _drawn(name).svg


@EVERY
def test_every_picture_is_well_formed(name: str) -> None:
    svg = _drawn(name).svg
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<!--.*?-->|<metadata>.*?</metadata>', "", svg, flags=re.DOTALL)


@EVERY
def test_every_picture_is_told(name: str) -> None:
    figure = _drawn(name)
    assert figure.width > 0
    for told in (figure.caption, figure.alt):
        assert told.endswith(".")
        assert visible(told) == told
    page = figure._repr_html_()
    assert [html.unescape(alt) for alt in re.findall(r'alt="([^"]*)"', page)] == [figure.alt]
    data = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page)
    assert base64.b64decode(data[0]).decode() == figure.svg


@pytest.mark.parametrize(
    ("figure", "caption", "alt"),
    [
        (
            "stacks",
            "Conteneurs en marche et arrêtés, par ensemble (1 actif et 1 en partie actif).",
            "Barres par ensemble\u00a0: web 2 sur 2 et shop 1 sur 3.",
        ),
        ("no stacks", "Conteneurs en marche et arrêtés, par ensemble (aucun).", "Barres par ensemble\u00a0: aucune."),
        (
            "ports",
            "Qui peut atteindre chaque port de la machine.",
            "2 ports, dont 1 sur toutes les interfaces\u00a0: 80 (traefik).",
        ),
        (
            "no ports",
            "Qui peut atteindre chaque port de la machine.",
            "0 port, dont 0 sur toutes les interfaces\u00a0: aucun.",
        ),
        (
            "severities",
            "Constats par famille de contrôles et par gravité.",
            "NET\u00a0: 1 de gravité élevée\u202f; PORT\u00a0: 1 de gravité critique et 2 de gravité faible\u202f; "
            "CONT\u00a0: aucun constat.",
        ),
        ("no severities", "Constats par famille de contrôles et par gravité.", "Aucun contrôle."),
        (
            "graph",
            "Du domaine au réseau : 1 domaine, 1 routeur, 1 conteneur ou serveur.",
            "Graphe en cinq colonnes. a.fr mène à app. Aucun chemin rompu.",
        ),
        (
            "no graph",
            "Du domaine au réseau : 0 domaine, 0 routeur, 0 conteneur ou serveur.",
            "Graphe en cinq colonnes. Aucun domaine. Aucun chemin rompu.",
        ),
    ],
)
def test_captions_and_alternative_texts(figure: str, caption: str, alt: str) -> None:
    drawn = _drawn(figure)
    assert (drawn.caption, drawn.alt) == (caption, alt)


def test_a_broken_way_is_told() -> None:
    tree = _graph(("b.fr", "b@docker", "b@docker", "app", "web"), state="broken")
    assert graph_figure(tree).alt == "Graphe en cinq colonnes. b.fr mène à app. Rompus\u00a0: b.fr."


def test_a_domain_without_servers_is_told_by_its_service() -> None:
    tree = _graph(("t.fr", "t@file", "api@internal"), ("u.fr", "u@file"))
    assert "t.fr mène à api@internal\u202f; u.fr mène à aucun service." in graph_figure(tree).alt


def test_the_reference_server_s_pictures(faulty: Snapshot) -> None:
    stacks = faulty.call(stacks_figure)
    assert "(5 actifs)" in stacks.caption and "unified-stack 11 sur 11" in stacks.alt
    assert "8000 (chromadb)" in faulty.call(ports_figure).alt
    tree = graph_figure(faulty.call(topology.graph))
    assert tree.caption == "Du domaine au réseau : 4 domaines, 8 routeurs, 5 conteneurs ou serveurs."
    assert "jsr.4lb.ca mène à jsr-dev" in tree.alt
    severities = severities_figure(judge(faulty).by_family)
    assert (
        "COMPOSE\u00a0: 2 de gravité moyenne" in severities.alt and "CONT\u00a0: 1 de gravité faible" in severities.alt
    )
    assert "HOST\u00a0: aucun constat" in severities.alt


@given(st.text(st.characters(), max_size=30), st.integers(1, 12))
def test_a_label_is_cut_in_its_middle(label: str, most: int) -> None:
    cut = figures._short(label, most)
    clean = visible(label)
    assert len(cut) <= most
    assert cut == clean or re.fullmatch(".*…", cut) or cut.partition("…")[0] == clean[: most * 2 // 3]


# GraphML


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.text(st.characters(), min_size=1, max_size=6)] * 5), max_size=4))
def test_graphml_is_read_back(chains: list[tuple[str, ...]]) -> None:
    tree = _graph(*chains)
    read: Any = nx.parse_graphml(topology.graphml(tree))
    assert dict(read.nodes(data=True)) == {
        visible(node): {key: visible(value) for key, value in data.items()} for node, data in tree.nodes(data=True)
    }
    assert sorted(read.edges(data="label")) == sorted(
        (visible(one), visible(other), label) for one, other, label in tree.edges(data="label")
    )


def test_graphml_of_the_reference_server(faulty: Snapshot) -> None:
    tree = faulty.call(topology.graph)
    read: Any = nx.parse_graphml(topology.graphml(tree))
    assert (len(read), read.size()) == (len(tree), tree.size())
    assert read.edges["container:jsr-dev", "network:traefik-net"]["state"] == "warning"
    assert topology.graphml(tree) == topology.graphml(faulty.call(topology.graph))


def test_an_empty_graphml() -> None:
    assert len(nx.parse_graphml(topology.graphml(None))) == 0
