"""The isolated notebook engine: private kernels, nothing on the network, nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from auditlib import folders
from auditlib.run import engines


def notebook(folder: Path, *code: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in code]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "carnet.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def execute(path: Path, **settings: object) -> str:
    """What the last cell of a notebook prints."""
    node = papermill.execute_notebook(
        path, path.with_name("out.ipynb"), engine_name=engines.ISOLATED, progress_bar=False, **settings
    )
    return str(node.cells[-1].outputs[0].text)


def test_papermill_knows_the_engine_by_its_entry_point() -> None:
    assert papermill_engines.get_engine("audit") is engines.IsolatedEngine


def test_a_kernel_is_this_interpreter_is_not_seen_by_the_audit_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    # A specification of the user's own under the same name must not be taken.
    spec = home / ".local/share/jupyter/kernels/python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "x", "language": "python"}')
    files = set(home.rglob("*"))
    told = execute(
        notebook(
            tmp_path,
            "import ipykernel, psutil, sys\n"
            "from auditlib.collect import listeners\n"
            "from auditlib.parameters import Parameters\n"
            "me = psutil.Process()\n"
            "inet = [c for c in me.net_connections('inet') if c.status == psutil.CONN_LISTEN]\n"
            "seen = [s for s in listeners.fetch(Parameters(), {})['sockets'] if s['pid'] == me.pid]\n"
            "unix = len(me.net_connections('unix'))\n"
            "print(sys.executable, len(inet), len(seen), unix > 0, ipykernel.get_connection_file())",
        )
    )
    *facts, connection = told.split()
    # ipykernel always opens one port on the loopback, for its children; the collection leaves it out.
    assert facts == [sys.executable, "1", "0", "True"]
    assert Path(connection).name == "connection.json"
    assert not Path(connection).parent.exists()
    assert set(home.rglob("*")) == files
    assert not engines._running


def test_a_notebook_runs_in_the_folder_it_is_given_without_moving_this_process(tmp_path: Path) -> None:
    elsewhere = tmp_path / "là bas"
    elsewhere.mkdir()
    here = Path.cwd()
    told = execute(
        notebook(tmp_path, "import os; print(os.getcwd())"), resources={"metadata": {"path": str(elsewhere)}}
    )
    assert told.strip() == str(elsewhere)
    assert Path.cwd() == here


def test_a_long_temporary_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert execute(notebook(tmp_path, "print('ok')")).strip() == "ok"
    assert list(deep.iterdir()) == []


def test_a_stuck_cell_is_given_up(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(Exception, match=r"[Tt]imeout|timed out"):
        execute(notebook(tmp_path, "import time; time.sleep(60)"), execution_timeout=1)
    assert time.monotonic() - started < 20


def test_kernels_side_by_side_do_not_meet(tmp_path: Path) -> None:
    told: dict[int, str] = {}

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        told[number] = execute(notebook(folder, f"x = {number}", "print(x)")).strip()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {0: "0", 1: "1", 2: "2"}


def test_stopping_the_kernels_ends_the_notebooks_that_wait_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes: list[str] = []
    make = engines._private_folder
    monkeypatch.setattr(engines, "_private_folder", lambda: homes.append(make()) or homes[-1])
    failures: list[BaseException] = []

    def work() -> None:
        try:
            execute(notebook(tmp_path, "import time; time.sleep(60)"))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not any("ipykernel_launcher" in " ".join(child.cmdline()) for child in psutil.Process().children()):
        time.sleep(0.05)
    time.sleep(1)
    engines.stop_kernels()
    thread.join(15)
    assert not thread.is_alive()
    assert failures
    assert [Path(home).exists() for home in homes] == [False]


def test_an_error_in_a_cell_is_papermills_own(tmp_path: Path) -> None:
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        execute(notebook(tmp_path, "1 / 0"))


def test_a_stopped_run_ends_at_once_with_130_and_leaves_no_kernel(tmp_path: Path) -> None:
    """A run, stopped while its notebooks execute: kept aside, `latest` untouched, no process left.

    Control-C does the same: both signals have the same handler, by `test_cli`.
    """
    outputs, carnets = tmp_path / "outputs", tmp_path / "carnets"
    carnets.mkdir()
    shutil.copy(folders.project() / "notebooks" / "00_collecte.ipynb", carnets)
    for name in ("10_long", "20_long"):
        notebook(carnets, "snapshot: str = ''", "import time; time.sleep(60)").rename(carnets / f"{name}.ipynb")
    command = [sys.executable, "-m", "auditlib", "run", "--notebooks", str(carnets), "-p", "outputs", str(outputs)]
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr
    told = []
    for line in process.stderr:
        told.append(line)
        if "traefik_static" in line:  # collected: the other notebooks are starting
            break
    time.sleep(1)
    kernels = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    told += process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == 130
    assert any(line.startswith("Interrompu. Ce qui a été fait est gardé dans ") for line in told)
    assert [path.name for path in outputs.iterdir()] == [path.name for path in outputs.glob("*-incomplet")]
    assert not list(outputs.rglob("latest"))
    assert [kernel for kernel in kernels if kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE] == []
    assert not list(tmp_path.glob("auditlib-*"))
