"""How notebooks are executed: two papermill engines, isolated kernels and this very process.

Isolated kernels are the rule. A plain kernel opens six TCP ports on the loopback, which the audit would then find; it
takes whatever kernel specification the user has under the same name, and it writes into the user's history. None of
that here, but for one port that ipykernel always opens for its children, and that the collection leaves out as its own.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipykernel.inprocess.ipkernel import InProcessInteractiveShell
from ipykernel.inprocess.manager import InProcessKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat.v4 import output_from_msg
from papermill.engines import Engine, NBClientEngine
from traitlets.config import Config

# The names under which papermill knows the engines (entry points `papermill.engine`).
ISOLATED, IN_PROCESS = "audit", "rapide"
CELL_TIMEOUT = 600  # seconds; a cell that takes longer is stuck

_running: set["IsolatedKernel"] = set()
_lock = threading.Lock()


# The kernel refuses longer names of sockets (108 bytes, unix(7)); zmq adds a number to the prefix.
_LONGEST_SOCKET = 95


def _private_folder() -> str:
    """A folder that only this user can open, with a name short enough for sockets."""
    folder = tempfile.mkdtemp(prefix="auditlib-")
    if len(os.fsencode(folder)) + len("/kernel") <= _LONGEST_SOCKET:
        return folder
    Path(folder).rmdir()
    return tempfile.mkdtemp(prefix="auditlib-", dir="/tmp")


class IsolatedKernel(AsyncKernelManager):
    """A kernel of this very interpreter, spoken to through sockets in a private folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.home = _private_folder()
        self.transport = "ipc"
        # The prefix of the socket files. Its default is relative, and kernels side by side would share it.
        self.ip = str(Path(self.home, "kernel"))
        self.connection_file = str(Path(self.home, "connection.json"))
        self._kernel_spec = KernelSpec(
            argv=[
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--HistoryManager.enabled=False",
            ],
            display_name="auditlib",
            language="python",
        )

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]  # the base class declares a callable
        """Start the kernel with an IPython folder of its own."""
        environment = {**os.environ, "IPYTHONDIR": str(Path(self.home, "ipython"))}
        with _lock:
            _running.add(self)
        await super().start_kernel(**{**kwargs, "env": environment})

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            with _lock:
                _running.discard(self)
            shutil.rmtree(self.home, ignore_errors=True)

    # The base class calls it by either name.
    cleanup_resources = _async_cleanup_resources


class IsolatedEngine(NBClientEngine):
    """papermill's own engine, with isolated kernels that are stopped at once when the notebook ends.

    The graceful stop that nbclient asks for by default hangs for seconds in one short notebook out of ten.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Execute the notebook; `execution_timeout` bounds each cell, in seconds."""
        settings = {
            "kernel_manager_class": IsolatedKernel,
            "shutdown_kernel": "immediate",
            "execution_timeout": CELL_TIMEOUT,
            **kwargs,
        }
        return super().execute_managed_notebook(nb_man, kernel_name, **settings)


class InProcessEngine(Engine):
    """Every cell in this process: a tenth of the time of a kernel, with the same outputs.

    For speed and tests. Notebooks run one after the other, a stuck cell cannot be stopped, and what a notebook does to
    the process stays done.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, resources: Any = None, **kwargs: Any) -> None:
        """Execute the notebook in the folder that nbclient's `resources` name, by default the current one."""
        # ipykernel keeps one shell for the whole process, with its names: each notebook gets a new one.
        InProcessInteractiveShell.clear_instance()
        folder = (resources or {}).get("metadata", {}).get("path", ".")
        with _quiet_ipython(), contextlib.chdir(folder):
            manager = InProcessKernelManager(config=Config({"HistoryManager": {"enabled": False}}))
            manager.start_kernel()
            client = manager.client()
            client.start_channels()
            for index, cell in enumerate(nb_man.nb.cells):
                nb_man.cell_start(cell, index)
                failed = cell.cell_type == "code" and not _execute(client, cell)
                if failed:
                    nb_man.cell_exception(cell, cell_index=index, exception=None)
                nb_man.cell_complete(cell, cell_index=index)
                if failed:
                    break
            client.stop_channels()


@contextlib.contextmanager
def _quiet_ipython() -> Iterator[None]:
    """Keep IPython out of the user's folder, and silence what it says of itself."""
    # ipykernel loads a debugger, which would warn that it may miss breakpoints.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    # It stops its thread at exit without ending the task in it, of which asyncio would complain.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    before = os.environ.get("IPYTHONDIR")
    with tempfile.TemporaryDirectory(prefix="auditlib-") as home:
        os.environ["IPYTHONDIR"] = home
        try:
            yield
        finally:
            del os.environ["IPYTHONDIR"]
            if before is not None:
                os.environ["IPYTHONDIR"] = before


def _execute(client: Any, cell: Any) -> bool:
    """Execute a cell, take its outputs, and tell whether it went to its end."""
    client.execute(cell.source)
    reply = client.get_shell_msg()["content"]
    cell.execution_count = reply.get("execution_count")
    cell.outputs = []
    while client.iopub_channel.msg_ready():
        message = client.get_iopub_msg()
        if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            cell.outputs.append(output_from_msg(message))
    return bool(reply["status"] == "ok")


def stop_kernels() -> None:
    """Kill every kernel that is running: the notebooks that wait for them then fail at once."""
    with _lock:
        kernels = list(_running)
    for kernel in kernels:
        process = getattr(kernel.provisioner, "process", None)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def kernels_stopped_on_error() -> Iterator[None]:
    """Kill the kernels when the block ends by an error or an interruption."""
    try:
        yield
    except BaseException:
        stop_kernels()
        raise
