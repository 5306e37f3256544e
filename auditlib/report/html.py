"""The report as one self-contained HTML page: the executed notebooks, without their code, one section each."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import nbformat
from markupsafe import Markup
from nbconvert.exporters.html import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from traitlets.config import Config

from auditlib.facts.snapshot import Snapshot
from auditlib.french import instant, visible
from auditlib.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
# Cells that papermill adds to a notebook that failed, in English; our own notice says it in French.
_PAPERMILL_ERROR = "papermill-error-cell-tag"
# The summary opens the report, and how the facts were collected closes it.
_FIRST, _LAST = "90", "00"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section, for the table of contents."""

    id: str
    title: str


@dataclass(frozen=True)
class Section:
    """One notebook as a section of the page."""

    id: str
    title: str
    body: Markup
    headings: tuple[Heading, ...]
    failed: bool


class _BodyExporter(HTMLExporter):
    """nbconvert's HTML exporter, without the second parse of its own output.

    HTMLExporter parses the finished page again with BeautifulSoup to add alternative texts, which ours have: 4.6 s
    for 20 tables of 500 rows, for nothing.
    """

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> Any:
        """The HTML body of a notebook, and nbconvert's resources."""
        return TemplateExporter.from_notebook_node(self, nb, resources, **kw)


def page(snapshot: Snapshot, notebooks: Iterable[Path]) -> str:
    """The whole page, from executed notebooks. It asks no network for anything."""
    sections = [section(path) for path in _ordered(notebooks)]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template("page.html.j2").render(
        host=visible(snapshot.hostname),
        moment=instant(snapshot.collected, snapshot.zone),
        version=__version__,
        sections=sections,
        style=Markup((TEMPLATES / "style.css").read_text("utf-8")),  # noqa: S704 - our own file
        script=Markup((TEMPLATES / "page.js").read_text("utf-8")),  # noqa: S704 - our own file
    )


def _ordered(notebooks: Iterable[Path]) -> list[Path]:
    place = {_FIRST: "", _LAST: "~"}
    return sorted(notebooks, key=lambda path: place.get(path.name[:2], path.name))


def section(path: Path) -> Section:
    """One executed notebook as a section, its headings one level down and their ids made unique in the page."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if _PAPERMILL_ERROR not in cell.metadata.get("tags", [])]
    failed = any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    html, _ = _exporter().from_notebook_node(notebook)
    name = path.stem.partition("_")[2] or path.stem
    body = re.sub(r"<(/?)h([1-5])", lambda tag: f"<{tag[1]}h{int(tag[2]) + 1}", html)
    headings: list[Heading] = []

    def named(match: re.Match[str]) -> str:
        headings.append(Heading(f"{name}-{_slug(_text(match[1]))}", _text(match[1])))
        return f'<h3 id="{headings[-1].id}">{match[1]}</h3>'

    body = re.sub(r"<h3>(.*?)</h3>", named, body)
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", body)
    title = _text(titles[0]) if titles else name
    return Section(name, title, Markup(body), tuple(headings), failed)  # noqa: S704 - nbconvert's output, escaped


def _exporter() -> _BodyExporter:
    config = Config()
    config.TemplateExporter.exclude_input = True
    config.TemplateExporter.exclude_input_prompt = True
    config.TemplateExporter.exclude_output_prompt = True
    config.HTMLExporter.exclude_anchor_links = True
    return _BodyExporter(config=config, template_name="carnet", extra_template_basedirs=[str(TEMPLATES)])


def _slug(title: str) -> str:
    """A title as an id: plain letters and hyphens."""
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _text(html: str) -> str:
    return Markup(re.sub(r"<[^>]*>", "", html)).unescape()  # noqa: S704 - tags are gone, entities follow
