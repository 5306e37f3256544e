"""The in-process notebook engine gives what isolated kernels give, and leaves the process as it was."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from auditlib.run import engines
from tests.run.test_engines import notebook


def outputs(path: Path, engine: str, out: Path) -> list[Any]:
    """What every code cell of a notebook that an engine executes holds."""
    return held(papermill.execute_notebook(path, out, engine_name=engine, kernel_name="python3", progress_bar=False))


def held(node: nbformat.NotebookNode) -> list[Any]:
    """What every code cell of an executed notebook holds, without what is different in any two executions."""
    return [
        [{key: value for key, value in output.items() if key != "metadata"} for output in cell.outputs]
        for cell in node.cells
        if cell.cell_type == "code"
    ]


def test_papermill_knows_the_engine_by_its_entry_point() -> None:
    assert papermill_engines.get_engine("rapide") is engines.InProcessEngine


def test_every_kind_of_output_is_the_same(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        "import sys\nprint('sortie'); print('erreur', file=sys.stderr)",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>a</b>')); HTML('<i>b</i>')",
        "1 + 1",
        "None",
    )
    told = {engine: outputs(path, engine, tmp_path / "out.ipynb") for engine in (engines.IN_PROCESS, engines.ISOLATED)}
    assert told[engines.IN_PROCESS] == told[engines.ISOLATED]
    assert [len(cell) for cell in told[engines.IN_PROCESS]] == [2, 2, 1, 0]


def test_an_error_stops_the_notebook_and_is_kept_with_its_traceback(tmp_path: Path) -> None:
    path = notebook(tmp_path, "1 / 0", "print('jamais')")
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        papermill.execute_notebook(path, tmp_path / "out.ipynb", engine_name=engines.IN_PROCESS, progress_bar=False)
    kept = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert "ZeroDivisionError" in str(kept)
    assert "jamais\n" not in re.findall(r"text': '([^']*)'", str(kept))


def test_names_folder_and_environment_do_not_pass_from_one_notebook_to_the_next(tmp_path: Path) -> None:
    before, here = dict(os.environ), Path.cwd()
    where = {"metadata": {"path": str(tmp_path)}}
    settings = {"engine_name": engines.IN_PROCESS, "progress_bar": False, "resources": where}
    papermill.execute_notebook(notebook(tmp_path, "secret = 1"), tmp_path / "out.ipynb", **settings)
    asks = notebook(tmp_path, "import os\nprint('secret' in globals(), os.getcwd())")
    node = papermill.execute_notebook(asks, tmp_path / "out.ipynb", **settings)
    assert node.cells[0].outputs[0].text.split() == ["False", str(tmp_path)]
    assert Path.cwd() == here
    assert {name: os.environ.get(name) for name in before} == before
