"""The notebooks as they are committed: clean, thin, French, with parameters that papermill really sees."""

import ast
import re
from pathlib import Path

import nbformat
import papermill
import pytest

from auditlib import folders
from auditlib.french import typography
from auditlib.parameters import Parameters

NOTEBOOKS = sorted((folders.project() / "notebooks").glob("*.ipynb"))
# Parameters of a notebook alone: where `auditlib run` wants the snapshot.
OWN = {"destination"}
# The one that reads nothing but the declarations.
ALONE = "catalogue"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


@pytest.fixture
def notebook(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_each_chapter() -> None:
    names = [
        "00_collecte",
        "10_inventaire",
        "20_ports",
        "30_routes",
        "40_graphe",
        "50_bases",
        "60_constats",
        "70_plan",
        "90_rapport",
        "catalogue",
        "exploration",
    ]
    assert [path.stem for path in NOTEBOOKS] == names


def test_they_are_valid_and_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert [cell.id for cell in code(notebook) if cell.outputs or cell.execution_count] == []


def test_cells_have_word_ids_and_the_expected_order(path: Path, notebook: nbformat.NotebookNode) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []
    first = ["titre", "chargement"] if path.stem == ALONE else ["titre", "parametres", "chargement"]
    assert ids[: len(first)] == first
    assert ids[-1] == "synthese"


def test_cells_are_short_and_define_nothing(notebook: nbformat.NotebookNode) -> None:
    for cell in code(notebook):
        tree = ast.parse(cell.source)
        assert len(cell.source.splitlines()) <= 12, cell.id
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]


def test_only_the_public_package_is_imported_and_nothing_private_is_called(notebook: nbformat.NotebookNode) -> None:
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                assert [name.name for name in node.names] == ["auditlib"]
            assert not isinstance(node, ast.ImportFrom)
            assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))


def test_only_the_first_notebook_collects(path: Path, notebook: nbformat.NotebookNode) -> None:
    source = "\n".join(cell.source for cell in code(notebook))
    assert ("auditlib.record(" in source) == path.name.startswith("00")
    assert ("auditlib.load(" in source) != (path.name.startswith("00") or path.stem == ALONE)


def test_papermill_sees_every_parameter_typed_and_explained(path: Path, notebook: nbformat.NotebookNode) -> None:
    if path.stem == ALONE:
        return
    cell = next(cell for cell in notebook.cells if cell.id == "parametres")
    declared = [node for node in ast.parse(cell.source).body if isinstance(node, ast.AnnAssign)]
    names = [node.target.id for node in declared if isinstance(node.target, ast.Name)]
    seen = papermill.inspect_notebook(str(path))
    assert cell.metadata["tags"] == ["parameters"]
    assert len(names) == len(cell.source.splitlines())
    assert list(seen) == names
    assert [name for name, told in seen.items() if not told["help"] or told["inferred_type_name"] == "None"] == []


def test_parameters_are_those_of_the_model_with_its_defaults(path: Path) -> None:
    for name, told in papermill.inspect_notebook(str(path)).items():
        if name not in OWN:
            assert ast.literal_eval(told["default"]) == Parameters.model_fields[name].default, name
            assert told["help"].rstrip(".") != ""


def test_prose_is_french_with_its_no_break_spaces(notebook: nbformat.NotebookNode) -> None:
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert prose
    assert [text for text in prose if typography(text) != text] == []


def test_every_notebook_opens_with_what_it_shows_and_what_to_look_for(notebook: nbformat.NotebookNode) -> None:
    title = notebook.cells[0].source
    assert title.startswith("# ")
    assert len(title.split()) > 15
