"""What the reference server runs outside Docker, as processes in the cgroups that systemd would give them."""

import errno
import os
import pwd
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from . import processes
from .canaries import CANARIES
from .paths import PROJECTS, STATE
from .processes import TestbedError

BACKEND = "ai-orchestrator-backend"
MARIADB = "mariadb"
SERVICES = {BACKEND: 8001, MARIADB: 3306}
"""Each service of the host and its port; its unit has the same name."""

PUBLISHED = (80, 443, 2222, 8000, 8002, 8080, 8888, 9835)
"""The ports that containers publish."""


def start() -> None:
    """Start the host's services and wait until they answer."""
    _start_backend()
    _start_mariadb()
    for name, port in SERVICES.items():
        processes.wait_for(name, partial(_silent, port), timeout=60, process=name)


def stop() -> None:
    """Stop them and leave their cgroups."""
    for name in SERVICES:
        processes.stop(name)
        processes.remove_cgroups(*processes.unit_cgroups(f"{name}.service"))


def running() -> list[str]:
    """Return the names of those that run."""
    return [name for name in SERVICES if processes.running(name)]


def require_free_ports() -> None:
    """Refuse to start over somebody else's server."""
    ours = {port for name, port in SERVICES.items() if processes.running(name)}
    for port in {*PUBLISHED, *SERVICES.values()} - ours:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise TestbedError(f"port {port} is taken by {_owner(port)}: free it first") from None


def _owner(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"


def _start_backend() -> None:
    folder = PROJECTS / "ai-tools" / "ai-orchestrator" / "backend"
    arguments = ["--host", "0.0.0.0", "--port", str(SERVICES[BACKEND]), "--api-key", CANARIES["command-backend"]]
    # The kernel names a process by the file it was started from: one name, whichever name started the tests.
    python = Path(sys.executable).with_name("python")
    processes.start(BACKEND, [python, folder / "main.py", *arguments], unit=f"{BACKEND}.service", cwd=folder)


def _start_mariadb() -> None:
    if missing := [name for name in ("mariadbd", "mariadb-install-db") if not shutil.which(name)]:
        raise TestbedError(f"missing commands: {', '.join(missing)} (see tests/testbed/README.md, Requirements)")
    folder = STATE / "mariadb"
    options = ["--no-defaults", f"--datadir={folder}", "--user=mysql", "--innodb-buffer-pool-size=16M"]
    if not (folder / "mysql").exists():
        folder.mkdir(exist_ok=True)
        account = pwd.getpwnam("mysql")
        os.chown(folder, account.pw_uid, account.pw_gid)
        command = ["mariadb-install-db", *options, "--auth-root-authentication-method=socket", "--skip-test-db"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TestbedError(f"mariadb-install-db: {done.stderr.strip() or done.stdout.strip()}")
    listen = ["--bind-address=127.0.0.1", f"--port={SERVICES[MARIADB]}"]
    files = [f"--socket={folder}/mariadb.sock", f"--pid-file={folder}/mariadb.pid"]
    processes.start(MARIADB, ["mariadbd", *options, *listen, *files], unit=f"{MARIADB}.service")


def _silent(port: int) -> list[str]:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return []
    return [f"port {port}"]
