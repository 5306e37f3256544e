"""The catalogue: every declared check and table, and the notebook that shows them on nothing but the declarations."""

import inspect
from html import unescape
from pathlib import Path

import papermill
import pytest

from auditlib import folders
from auditlib.facts.frames import DTYPES
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.findings.check import CHECKS, SEVERITIES_FR, family
from auditlib.french import typography
from auditlib.report import catalogue
from auditlib.report.blocks import Grid
from auditlib.run import engines


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the notebook shows, as text without the breaks that long words may have."""
    path = folders.project() / "notebooks" / "catalogue.ipynb"
    folder: Path = tmp_path_factory.mktemp("catalogue")
    node = papermill.execute_notebook(
        path,
        folder / "out.ipynb",
        engine_name=engines.IN_PROCESS,
        kernel_name="python3",
        progress_bar=False,
        cwd=folder,
    )
    assert {one.name for one in folder.iterdir()} == {"out.ipynb"}
    shown = [output.data["text/html"] for cell in node.cells for output in cell.get("outputs", [])]
    return unescape("".join(shown).replace("<wbr>", ""))


def test_every_check_is_shown(page: str) -> None:
    rows = page.split("<tr>")
    for check in CHECKS.values():
        [row] = [row for row in rows if f"<div>{check.id}</div>" in row]
        assert f"<div>{catalogue_prose(check.title)}</div>" in row
        assert f"<div>{SEVERITIES_FR[check.severity]}</div>" in row
        assert f"<div>{'oui' if check.extra else 'non'}</div>" in row
        assert f"<div>{catalogue_prose(check.fix.text.replace('{{', '{').replace('}}', '}'))}</div>" in row
        for name in (*check.key, *inspect.signature(check.function).parameters):
            assert f"<span>{name}" in row


def catalogue_prose(sentence: str) -> str:
    """A sentence as the page holds it, once it is unescaped."""
    return typography(sentence)


def test_every_table_is_shown_with_its_columns(page: str) -> None:
    for name, table in {**TABLES, **{name: view.table for name, view in VIEWS.items()}}.items():
        section = page.partition(f"<h3>{catalogue_prose(f'{name} : {table.title}')}</h3>")[2].partition("<h3>")[0]
        rows = section.split("<tr>")
        assert catalogue_prose(table.description.rstrip(".")) in section
        for column in table.columns:
            row = next(row for row in rows if f"<div>{column.name}</div>" in row)
            assert catalogue_prose(column.label) in row
            assert catalogue_prose(column.description) in row
        for key in table.key:
            assert key in section


def test_checks_are_in_the_order_of_their_numbers() -> None:
    cis = next(part for part in catalogue.list_checks().parts if repr(part).startswith("CIS"))
    assert isinstance(cis.part, Grid)
    ids = [row.check for row in cis.part.rows]
    assert ids.index("CIS-2.9") < ids.index("CIS-2.10") < ids.index("CIS-5.2") < ids.index("CIS-5.14")


def test_every_family_of_checks_and_every_kind_of_column_has_its_words() -> None:
    assert {family(name) for name in CHECKS} == set(catalogue.FAMILIES)
    assert set(catalogue.DeclaredColumn.table.column("kind").words) == set(DTYPES)
