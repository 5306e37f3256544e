"""How notebooks are executed: a papermill engine whose kernels are isolated from the machine that is audited.

A plain kernel opens six TCP ports on the loopback, which the audit would then find; it takes whatever kernel
specification the user has under the same name, and it writes into the user's history. None of that here.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.engines import NBClientEngine

ENGINE = "audit"  # the name under which papermill knows the engine (entry point `papermill.engine`)
CELL_TIMEOUT = 600  # seconds; a cell that takes longer is stuck

_running: set["IsolatedKernel"] = set()
_lock = threading.Lock()


class IsolatedKernel(AsyncKernelManager):
    """A kernel of this very interpreter, spoken to through sockets in a private folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.home = tempfile.mkdtemp(prefix="auditlib-")
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
