"""Every picture of the audit, as SVG, with its caption and an alternative text computed from what it shows."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from auditlib.facts.table import Rows
from auditlib.french import listing, plural, typography, visible
from auditlib.views.graph import LAYERS, Graph, broken, layers, reached
from auditlib.views.inventory import PLURALS, Stack
from auditlib.views.ports import EVERYWHERE, LOOPBACK, SPECIFIC, HostPort

# Colours of the report too (style.css): one meaning each, told apart without colour by a word or a stroke.
INK, MUTED, LINE, PAPER = "#1f2933", "#52606d", "#9aa5b1", "#ffffff"
GOOD, WARN, BAD, INFO = "#2f7d5b", "#b7791f", "#b42318", "#2b6cb0"
_STATES = {"ok": MUTED, "warning": WARN, "broken": BAD, "unused": LINE}
_FILLS = {"domain": "#e3f0fb", "router": "#eef2f7", "service": "#eef2f7", "container": "#e6f4ec", "network": "#f3ecfa"}

# The same facts give the same bytes: no date, no random identifiers. Text as paths looks the same everywhere.
_STYLE: Any = {
    "svg.hashsalt": "auditlib",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "text.parse_math": False,  # a name with two dollars is no formula
}


@dataclass(frozen=True)
class Figure:
    """A picture: its SVG, the sentence under it, and what a person who does not see it is told."""

    svg: str
    caption: str
    alt: str
    width: int  # pixels at which its text has its intended size

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.svg.encode()).decode()
        return (
            f'<figure><div class="figure"><img src="data:image/svg+xml;base64,{data}" alt="{escape(self.alt)}" '
            f'style="width:{self.width}px"></div><figcaption>{escape(typography(self.caption))}</figcaption></figure>'
        )

    def __repr__(self) -> str:
        return f"{self.caption} {self.alt}"


def _figure(canvas: Canvas, caption: str, alt: str) -> Figure:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=0.08)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    return Figure(svg, caption, typography(alt), round(canvas.get_size_inches()[0] * 96))


def _canvas(width: float, height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(width, height), facecolor=PAPER)
    return canvas, canvas.subplots()


class _Bar(NamedTuple):
    """The containers of a stack."""

    stack: str
    running: int
    total: int


def stacks_figure(stacks: Rows[Stack]) -> Figure:
    """Containers of each stack, running and stopped."""
    counted = (_Bar(stack.stack, stack.running or 0, stack.total or 0) for stack in stacks)
    bars = sorted(counted, key=lambda bar: (bar.total, bar.stack))
    with mpl.rc_context(_STYLE):
        canvas, axes = _canvas(8.5, 0.9 + 0.34 * max(len(bars), 1))
        places = range(len(bars))
        axes.barh(places, [bar.running for bar in bars], color=GOOD, height=0.62, label="en marche")
        stopped = {place: bar.total - bar.running for place, bar in enumerate(bars) if bar.total > bar.running}
        if stopped:
            left = [bars[place].running for place in stopped]
            hatched: Any = {"color": PAPER, "edgecolor": BAD, "hatch": "////"}
            axes.barh([*stopped], [*stopped.values()], left=left, height=0.62, label="arrêtés", **hatched)
        axes.set_yticks(places, [_short(bar.stack, 34) for bar in bars])
        axes.set_xlabel("conteneurs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, loc="lower right", ncols=2, bbox_to_anchor=(1, 1))
        counts = {state: len(stacks.grouped(Stack.state).get(state, ())) for state in PLURALS}
        states = listing(plural(count, state, PLURALS[state]) for state, count in counts.items() if count)
        caption = f"Conteneurs en marche et arrêtés, par ensemble ({states or 'aucun'})."
        listed = listing(f"{visible(bar.stack)} {bar.running} sur {bar.total}" for bar in bars)
        return _figure(canvas, caption, f"Barres par ensemble : {listed or 'aucune'}.")


# Each exposure from the narrowest; one that is not known counts as the widest.
_EXPOSURES = {LOOPBACK: (0, GOOD), SPECIFIC: (1, INFO), EVERYWHERE: (2, WARN)}


def ports_figure(host_ports: Rows[HostPort]) -> Figure:
    """Each port of the machine, at the width of its exposure."""
    ports = host_ports[::-1]
    with mpl.rc_context(_STYLE):
        canvas, axes = _canvas(8.5, 0.9 + 0.27 * max(len(ports), 1))
        for place, port in enumerate(ports):
            width, colour = _EXPOSURES[port.exposure or EVERYWHERE]
            axes.plot([-0.4, width], [place, place], color=LINE, linewidth=1, zorder=1)
            shape = "o" if port.kind == "conteneur" else "s"
            axes.scatter([width], [place], color=colour, marker=shape, s=42, zorder=2)
        axes.set_yticks(range(len(ports)), [f"{port.port}/{port.protocol}  {_short(port.owner, 36)}" for port in ports])
        axes.set_xticks(range(len(_EXPOSURES)), list(_EXPOSURES))
        axes.set_xlim(-0.4, 2.4)
        axes.set_ylim(-0.7, len(ports) - 0.3)
        axes.xaxis.tick_top()
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
        axes.tick_params(length=0)
        handles = [axes.scatter([], [], color=MUTED, marker=m, s=42) for m in ("o", "s")]
        axes.legend(handles, ["conteneur", "machine"], frameon=False, loc="upper right", bbox_to_anchor=(1, 0), ncols=2)
        wide = [f"{port.port} ({visible(port.owner)})" for port in host_ports if port.exposure == EVERYWHERE]
        alt = f"{plural(len(ports), 'port')}, dont {len(wide)} sur toutes les interfaces : {listing(wide) or 'aucun'}."
        return _figure(canvas, "Qui peut atteindre chaque port de la machine.", alt)


def severities_figure(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Findings by family of checks and severity. `counts` is family → French severity → number."""
    colours = {"critique": BAD, "élevée": "#d9622b", "moyenne": WARN, "faible": INFO, "information": LINE}
    families = list(counts)
    with mpl.rc_context(_STYLE):
        canvas, axes = _canvas(8.5, 0.9 + 0.34 * max(len(families), 1))
        lefts = [0] * len(families)
        for severity, colour in colours.items():
            values = [counts[family].get(severity, 0) for family in families]
            if any(values):
                bars = axes.barh(range(len(families)), values, left=lefts, color=colour, height=0.62, label=severity)
                axes.bar_label(bars, [str(v) if v else "" for v in values], label_type="center", color=PAPER)
            lefts = [left + value for left, value in zip(lefts, values, strict=True)]
        axes.set_yticks(range(len(families)), families)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("constats")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        if any(lefts):
            axes.legend(frameon=False, loc="lower right", ncols=5, bbox_to_anchor=(1, 1))
        parts = [f"{family} : {_counted(by)}" for family, by in counts.items()]
        alt = f"{' ; '.join(parts) or 'Aucun contrôle'}."
        return _figure(canvas, "Constats par famille de contrôles et par gravité.", alt)


def _counted(by_severity: Mapping[str, int]) -> str:
    return (
        listing(f"{count} de gravité {severity}" for severity, count in by_severity.items() if count) or "aucun constat"
    )


_COLUMN, _ROW, _BOX = 2.75, 0.42, 2.05  # inches: distance of layers, of nodes; width of a node


def graph_figure(tree: Graph) -> Figure:
    """The graph, one column per layer, in the order of a request from left to right."""
    ordered = layers(tree)
    tallest = max((len(layer) for layer in ordered), default=0)
    height = max(tallest, 2) * _ROW
    places = {
        node: (column * _COLUMN, height - (row + 0.5) * height / len(layer))
        for column, layer in enumerate(ordered)
        for row, node in enumerate(layer)
    }
    with mpl.rc_context(_STYLE):
        width = _COLUMN * (len(LAYERS) - 1) + _BOX
        canvas = Canvas(figsize=(width, height + 0.95), facecolor=PAPER)
        axes = canvas.add_axes((0, 0, 1, 1))
        axes.set_xlim(-_BOX / 2, _COLUMN * (len(LAYERS) - 1) + _BOX / 2)
        axes.set_ylim(-0.5, height + 0.45)
        axes.axis("off")
        for column, title in enumerate(LAYERS.values()):
            axes.text(column * _COLUMN, height + 0.22, title, ha="center", weight="bold", color=MUTED)
        for start, end, data in tree.edges(data=True):
            _draw_edge(axes, places[start], places[end], data)
        for node, place in places.items():
            _draw_node(axes, place, tree.nodes[node])
        _legend(axes)
        return _figure(canvas, _graph_caption(tree), _graph_alt(tree))


def _draw_edge(axes: Axes, start: tuple[float, float], end: tuple[float, float], data: Mapping[str, str]) -> None:
    (x0, y0), (x1, y1) = (start[0] + _BOX / 2, start[1]), (end[0] - _BOX / 2, end[1])
    middle = (x1 - x0) / 2
    curve = Path([(x0, y0), (x0 + middle, y0), (x1 - middle, y1), (x1, y1)], [Path.MOVETO, *[Path.CURVE4] * 3])
    state = data["state"]
    stroke = {"broken": (0, (4, 2)), "unused": (0, (1, 2))}.get(state, "solid")
    width = 1.8 if state in ("broken", "warning") else 1.0
    axes.add_patch(PathPatch(curve, fill=False, edgecolor=_STATES[state], linewidth=width, linestyle=stroke, zorder=1))
    label = _short(data.get("label", ""), 12)
    if label and label != "/":
        # Near the end, where the edges of one node have parted.
        halo = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
        axes.text(x1 - 0.05, y1 + 0.05, label, ha="right", va="bottom", fontsize=6.5, color=MUTED, zorder=3, bbox=halo)


def _draw_node(axes: Axes, place: tuple[float, float], data: Mapping[str, str]) -> None:
    x, y = place
    first, _, second = data["label"].partition("\n")
    half = 0.15
    axes.add_patch(
        FancyBboxPatch(
            (x - _BOX / 2, y - half),
            _BOX,
            2 * half,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=_FILLS[data["kind"]],
            edgecolor=_STATES[data["state"]],
            linewidth=1.8 if data["state"] in ("broken", "warning") else 0.8,
            zorder=2,
        )
    )
    if second:
        axes.text(x, y + 0.065, _short(first, 30), ha="center", va="center", fontsize=7, zorder=3)
        axes.text(x, y - 0.075, _short(second, 32), ha="center", va="center", fontsize=6.3, color=MUTED, zorder=3)
    else:
        axes.text(x, y, _short(first, 27), ha="center", va="center", fontsize=7.8, zorder=3)


def _legend(axes: Axes) -> None:
    meanings = {"ok": "en service", "warning": "à surveiller", "broken": "rompu", "unused": "attaché, non emprunté"}
    styles: Any = {"broken": "--", "unused": ":"}
    handles = [
        Patch(facecolor=PAPER, edgecolor=_STATES[state], linestyle=styles.get(state, "-"), linewidth=1.6, label=word)
        for state, word in meanings.items()
    ]
    axes.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=7.5, handlelength=2.2)


def _graph_caption(tree: Graph) -> str:
    counts = {kind: sum(tree.nodes[node]["kind"] == kind for node in tree) for kind in LAYERS}
    return (
        f"Du domaine au réseau : {plural(counts['domain'], 'domaine')}, {plural(counts['router'], 'routeur')}, "
        f"{plural(counts['container'], 'conteneur ou serveur', 'conteneurs ou serveurs')}."
    )


def _graph_alt(tree: Graph) -> str:
    domains = sorted(node for node in tree if tree.nodes[node]["kind"] == "domain")
    ways = [f"{visible(tree.nodes[domain]['label'])} mène à {_ends(tree, domain)}" for domain in domains]
    cut = broken(tree)
    state = f"Rompus : {listing(map(visible, cut))}." if cut else "Aucun chemin rompu."
    return f"Graphe en cinq colonnes. {' ; '.join(ways) or 'Aucun domaine'}. {state}"


def _ends(tree: Graph, domain: str) -> str:
    by_kind: dict[str, list[str]] = {}
    for node in reached(tree, domain):
        by_kind.setdefault(tree.nodes[node]["kind"], []).append(visible(tree.nodes[node]["label"].replace("\n", " ")))
    # A service of Traefik's own has no server.
    return listing(sorted(by_kind.get("container") or by_kind.get("service") or ["aucun service"]))


def _short(text: str, most: int) -> str:
    """Text cut in its middle, where names differ least, to at most `most` characters."""
    clean = visible(text)
    if len(clean) <= most:
        return clean
    head = most * 2 // 3
    return f"{clean[:head]}…{clean[len(clean) - (most - head - 1) :]}"


def absent_figure(sentence: str) -> Figure:
    """A picture of what could not be drawn: the sentence that says why."""
    sentence = visible(sentence)
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(8.5, 1.2), facecolor=PAPER)
        canvas.text(0.5, 0.5, "\n".join(wrap(typography(sentence), 90)), ha="center", va="center", color=MUTED)
        return _figure(canvas, sentence, sentence)
