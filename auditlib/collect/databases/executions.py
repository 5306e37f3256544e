"""The one door through which the audit runs something inside a container, and the fixed commands that pass it.

`docker exec` is a POST, which `ReadOnlyClient` refuses. This client lets two kinds of POST through: the creation of an
execution whose words are one of the commands below, and its start. Every command reads, and is bounded in time by its
own options too, since an execution outlives the connection that started it.
"""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from docker.errors import APIError, DockerException
from urllib3.exceptions import HTTPError

from auditlib.collect.databases.found import Found
from auditlib.collect.databases.health import SIMPLE
from auditlib.collect.engine import Address, ReadOnlyClient
from auditlib.collect.source import connection_fault
from auditlib.software import DATABASES
from auditlib.version import __version__

LIMIT_S = 5.0  # for one command; mongosh takes two seconds to start
MAX_OUTPUT = 16_000  # bytes

# Bounds that the programs themselves obey, in seconds and milliseconds; no prompt for a password.
_BOUNDS = {"PGCONNECT_TIMEOUT": "3", "PGOPTIONS": "-c statement_timeout=3000 -c default_transaction_read_only=on"}

_PSQL = ("psql", "-X", "-w", "-U", "{user}", "-d", "{database}", "-Atc")
_HELLO = "const h = db.hello(); print(JSON.stringify({primary: h.isWritablePrimary, readOnly: h.readOnly}))"


@dataclass(frozen=True)
class Command:
    """A fixed command: what it tells, and its words, where {user} and {database} stand for facts."""

    tells: str
    words: tuple[str, ...]
    # Other names of the program, tried when the container has none of this one.
    programs: tuple[str, ...] = ()


COMMANDS: dict[str, tuple[Command, ...]] = {
    "PostgreSQL": (
        Command("now", (*_PSQL, "SELECT now()")),
        Command("version", (*_PSQL, "SHOW server_version")),
        Command("recovery", (*_PSQL, "SELECT pg_is_in_recovery()")),
        Command("databases", (*_PSQL, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname")),
    ),
    "Redis": (Command("ping", ("redis-cli", "PING"), ("valkey-cli", "keydb-cli")),),
    "MySQL": (Command("program", ("mariadbd", "--version"), ("mysqld",)),),
    "MongoDB": (Command("hello", ("mongosh", "--quiet", "--norc", "--eval", _HELLO), ("mongo",)),),
}
_PROGRAMS = {program for commands in COMMANDS.values() for one in commands for program in (one.words[0], *one.programs)}

Execution = dict[str, Any]


def commands(found: Found) -> Iterator[tuple[Command, list[str] | None]]:
    """The commands that a database is asked with, their words filled; None when a name is not a simple one.

    psql takes a database that looks like a connection string for one: such a name is not passed on.
    """
    facts = found.facts
    user = facts.user or DATABASES[found.kind].account
    database = next(iter(facts.names or ()), None) or user
    simple = bool(SIMPLE.fullmatch(user) and SIMPLE.fullmatch(database))
    for one in COMMANDS.get(found.kind, ()):
        named = any("{" in word and word in ("{user}", "{database}") for word in one.words)
        fill = {"{user}": user, "{database}": database}
        yield one, [fill.get(word, word) for word in one.words] if simple or not named else None


class ExecutionDoor(ReadOnlyClient):
    """The engine's client that may also run the fixed commands, and nothing else."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a GET, or one of the two POSTs of a fixed command; raises PermissionError for anything else."""
        if request.method != "POST":
            return super().send(request, **kwargs)
        if not _permitted(request):
            raise PermissionError(f"not a fixed command: {request.path_url}")
        return super(ReadOnlyClient, self).send(request, **{**kwargs, "proxies": {}, "verify": self.verify})


def _permitted(request: requests.PreparedRequest) -> bool:
    path = re.sub(r"^/v[\d.]+", "", request.path_url)
    if re.fullmatch(r"/exec/[0-9a-f]+/start", path):
        return True
    body = json.loads(request.body or b"{}")
    plain = not (body.get("Privileged") or body.get("Tty") or body.get("AttachStdin"))
    return bool(re.fullmatch(r"/containers/[0-9a-f]+/exec", path)) and plain and _fixed(body.get("Cmd") or [])


def _fixed(words: list[str]) -> bool:
    """Whether these are the words of a fixed command, with simple names where it takes names."""
    return any(
        len(words) == len(one.words)
        and words[0] in (one.words[0], *one.programs)
        and all(
            bool(SIMPLE.fullmatch(given)) if word in ("{user}", "{database}") else given == word
            for word, given in zip(one.words[1:], words[1:], strict=True)
        )
        for several in COMMANDS.values()
        for one in several
    )


@contextlib.contextmanager
def door(where: Address, limit_s: float = LIMIT_S) -> Iterator[ExecutionDoor]:
    """A client whose connections are this execution's own. Raises DockerException, OSError and requests' errors."""
    client = ExecutionDoor(
        version="auto",
        timeout=limit_s,  # type: ignore[arg-type]  # seconds, whole or not
        use_ssh_client=True,
        user_agent=f"auditlib/{__version__}",
        **{**where.settings, "base_url": where.url},
    )
    with contextlib.closing(client):
        yield client


def run(client: ExecutionDoor, found: Found, one: Command, words: list[str], limit_s: float = LIMIT_S) -> Execution:
    """Run one command in a container and tell what came of it; a program that is not there gives way to the next."""
    told: Execution = {}
    for program in (one.words[0], *one.programs):
        told = _run(client, str(found.container_id), [program, *words[1:]], limit_s)
        if told["exit_code"] not in (126, 127) and not told["missing"]:
            break
    return {"name": found.name, "container": found.container, "tells": one.tells, **told}


def _run(client: ExecutionDoor, container: str, words: list[str], limit_s: float) -> Execution:
    started = time.monotonic()
    told: Execution = {"command": words, "output": "", "exit_code": None, "fault": "", "status": None, "missing": False}
    try:
        environment = _BOUNDS if words[0] == "psql" else {}
        created = client.exec_create(container, words, stdout=True, stderr=True, environment=environment)
        with _output(client, created["Id"], limit_s) as response:
            output = _read(response, started + limit_s)
        told["output"] = output.decode("utf-8", "replace")
        inspected = client.exec_inspect(created["Id"])
        while inspected.get("Running") and time.monotonic() < started + limit_s:
            time.sleep(0.05)  # the outputs end a moment before the engine knows the code
            inspected = client.exec_inspect(created["Id"])
        told["exit_code"] = inspected.get("ExitCode")
        if inspected.get("Running"):
            told["fault"] = "délai dépassé"
        # The runtime says so in the program's place, on its output (verified on Docker 20.10).
        told["missing"] = "executable file not found" in told["output"] or "no such file" in told["output"].lower()
    except APIError as error:
        told["status"] = error.status_code
        told["missing"] = "executable file not found" in str(error.explanation or "")
        told["fault"] = f"HTTP {error.status_code}"
    except (DockerException, requests.RequestException, OSError, ValueError, KeyError) as error:
        told["fault"] = connection_fault(error) or "réponse du moteur Docker inutilisable"
    told["duration_s"] = round(time.monotonic() - started, 3)
    return told


@contextlib.contextmanager
def _output(client: ExecutionDoor, identifier: str, limit_s: float) -> Iterator[requests.Response]:
    """The answer that carries the outputs of an execution, until its end.

    docker-py's own `exec_start` asks for an upgrade, then reads the bare socket: what came with the headers is lost.
    """
    url = f"{client.base_url}/v{client.api_version}/exec/{identifier}/start"
    response = client.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=limit_s)
    try:
        client._raise_for_status(response)
        yield response
    finally:
        response.close()


def _read(response: requests.Response, deadline: float) -> bytes:
    """The two outputs, joined, until their end, the deadline or the limit."""
    raw = bytearray()
    with contextlib.suppress(HTTPError, OSError):  # cut or late: what came is kept
        while len(raw) < MAX_OUTPUT and time.monotonic() < deadline:
            piece = response.raw.read1(4096)
            if not piece:
                break
            raw += piece
    return unframed(bytes(raw))


def unframed(raw: bytes) -> bytes:
    """The content of the engine's frames (type 1, zeros 3, length 4, in bytes), as far as it goes."""
    joined, position = bytearray(), 0
    while len(raw) >= position + 8 and raw[position] in (0, 1, 2) and raw[position + 1 : position + 4] == b"\0\0\0":
        size = int.from_bytes(raw[position + 4 : position + 8], "big")
        joined += raw[position + 8 : position + 8 + size]
        position += 8 + size
    return bytes(joined[:MAX_OUTPUT])
