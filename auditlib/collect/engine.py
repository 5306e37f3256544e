"""The Docker engine, asked with GET only: one list, then the inspection of each container, a few at a time."""

import contextlib
import os
import platform
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from auditlib.collect.secrets import redact
from auditlib.collect.source import Payloads, Unreadable
from auditlib.french import os_error
from auditlib.parameters import Parameters
from auditlib.version import __version__

# Inspections under way at once. Two cores gain nothing beyond a few, and a socket proxy has few workers.
WORKERS = 4

ALLOW = "autoriser GET sur /containers, /networks, /volumes, /images, /info et /version"
ELSEWHERE = "vérifier docker_host, DOCKER_HOST ou le contexte Docker"


class ReadOnlyClient(docker.APIClient):
    """docker-py's low-level client, which refuses every request but GET before it leaves."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a GET; raises PermissionError for any other method."""
        if request.method != "GET":
            raise PermissionError(f"the audit is read-only: {request.method} {request.path_url}")
        return super().send(request, **kwargs)


@dataclass(frozen=True)
class Address:
    """Where the engine is, as the Docker client would find it."""

    url: str
    settings: Mapping[str, Any]  # what docker-py's client is made with

    @property
    def shown(self) -> str:
        """The address without user names or passwords."""
        return redact(self.url)


def address(docker_host: str) -> Address:
    """The engine that `docker_host` means; "" follows DOCKER_HOST, DOCKER_CONTEXT and the current context.

    Raises Unreadable for a context that does not exist or TLS files that cannot be read.
    """
    environment = {**os.environ, **({"DOCKER_HOST": docker_host} if docker_host else {})}
    try:
        settings: dict[str, Any] = {**kwargs_from_env(environment=environment)}
        if "base_url" not in settings:
            # docker-py would fall back to the local socket when the context does not exist; the docker command fails.
            name = environment.get("DOCKER_CONTEXT") or None
            if ContextAPI.get_context(name) is None:
                raise Unreadable("failed", f"le contexte Docker « {name} » n’existe pas", "docker context ls")
            settings |= ContextAPI.kwargs_from_context(environment=environment)
    except (DockerException, OSError, ValueError) as error:
        raise Unreadable(
            "failed", f"configuration du client Docker inutilisable ({redact(str(error))})", ELSEWHERE
        ) from error
    return Address(settings.get("base_url") or "unix:///var/run/docker.sock", settings)


def connect(where: Address, timeout_s: float) -> ReadOnlyClient:
    """A read-only client of the engine at `where`. Raises Unreadable when it does not answer."""
    with _explained(where):
        # The system's ssh knows the user's keys, configuration and jump hosts; paramiko does not.
        return ReadOnlyClient(
            version="auto",
            timeout=timeout_s,  # type: ignore[arg-type]  # seconds, whole or not: requests takes both
            use_ssh_client=True,
            max_pool_size=WORKERS,
            user_agent=f"auditlib/{__version__}",
            **{**where.settings, "base_url": where.url},
        )


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Everything the engine says of its containers, networks, volumes and images, as it says it.

    `gaps` lists the parts it refused (a socket proxy may); the list of containers is the one that is required.
    """
    where = address(parameters.docker_host)
    client = connect(where, parameters.timeout_s)
    with contextlib.closing(client), _explained(where):
        payload: dict[str, Any] = {"endpoint": where.shown, "version": client.version(), "gaps": []}
        listed = client.containers(all=True)
        parts: dict[str, Callable[[], Any]] = {
            "info": client.info,
            "networks": client.networks,
            "volumes": lambda: client.volumes()["Volumes"] or [],
            "images": client.images,
        }
        with ThreadPoolExecutor(WORKERS) as pool:
            waiting = {name: pool.submit(call) for name, call in parts.items()}
            inspected = list(pool.map(lambda one: _inspect(client, one["Id"]), listed))
        for name, part in waiting.items():
            try:
                payload[name] = part.result()
            except APIError as error:
                payload["gaps"].append({"part": name, "status": error.status_code})
        payload["containers"] = [container for container in inspected if container is not None]
        payload["local"] = _local(where, payload)
    return payload


def _inspect(client: ReadOnlyClient, identifier: str) -> Any:
    """One container, or None if it was removed since it was listed."""
    try:
        return client.inspect_container(identifier)
    except NotFound:
        return None


def _local(where: Address, payload: dict[str, Any]) -> bool:
    """Whether the engine's containers are processes of this machine.

    The proof is a container's first process, whose cgroup names the container. Without one, the address tells.
    """
    running = [(c["State"]["Pid"], c["Id"]) for c in payload["containers"] if c["State"].get("Pid")]
    if any(_names(pid, identifier) for pid, identifier in running):
        return True
    info = payload.get("info", {})
    same = info.get("Name") == socket.gethostname() or (not running and info.get("KernelVersion") == platform.release())
    return here(where.url) and same


def _names(pid: int, identifier: str) -> bool:
    with contextlib.suppress(OSError):
        return identifier in Path(f"/proc/{pid}/cgroup").read_text()
    return False


def here(url: str) -> bool:
    """Whether an engine's address is on this machine: a socket file, or the loopback."""
    if url.startswith(("ssh://", "tcp://", "http://", "https://")):
        return bool(re.match(r"localhost$|127\.|::1$", urlsplit(url).hostname or "localhost"))
    return True


@contextlib.contextmanager
def _explained(where: Address) -> Iterator[None]:
    """Turn what docker-py raises into one French sentence."""
    try:
        yield
    except (DockerException, requests.RequestException, OSError) as error:
        raise _explain(where, error) from error


def _explain(where: Address, error: BaseException) -> Unreadable:
    at = f"le moteur Docker à l’adresse {where.shown}"
    if where.url.startswith("ssh://") and not isinstance(error, APIError):
        # The system's ssh tells its own reason on the standard error, which docker-py does not read.
        ssh = f"ssh {urlsplit(where.url).netloc.rpartition('@')[2]} docker version"
        return Unreadable(
            "failed", f"{at} ne répond pas par ssh", f"vérifier que « {ssh} » répond sans poser de question"
        )
    causes = list(_causes(error))
    # The first cause that is an answer of the engine or of the system says more than the library's own words.
    for cause in causes:
        if isinstance(cause, APIError) and cause.status_code in (401, 403):
            return Unreadable("refused", f"{at} a refusé la lecture (HTTP {cause.status_code})", ALLOW)
        if isinstance(cause, APIError) and cause.status_code:
            return Unreadable("failed", f"{at} répond HTTP {cause.status_code}", ELSEWHERE)
    for cause in causes:
        if isinstance(cause, PermissionError):
            return Unreadable(
                "refused",
                f"{at} est interdit à cet utilisateur",
                "relancer avec sudo, ou avec un membre du groupe docker",
            )
        if isinstance(cause, FileNotFoundError):
            return Unreadable(
                "absent", f"{at} n’existe pas (fichier absent)", "installer ou démarrer Docker, ou donner docker_host"
            )
        if isinstance(cause, socket.gaierror):
            return Unreadable("failed", f"{at} : nom de machine inconnu", ELSEWHERE)
        if isinstance(cause, TimeoutError | requests.Timeout):
            return Unreadable("failed", f"{at} ne répond pas à temps", "augmenter timeout_s, ou vérifier le moteur")
        if isinstance(cause, OSError) and cause.errno:
            return Unreadable("failed", f"{at} ne répond pas ({os_error(cause)})", f"démarrer Docker, ou {ELSEWHERE}")
    if "Invalid bind address" in str(error):
        return Unreadable("failed", f"l’adresse du moteur Docker est mal formée : {where.shown}", ELSEWHERE)
    return Unreadable("failed", f"{at} ne peut être lu ({redact(str(error))})", ELSEWHERE)


def _causes(error: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """The error, and every error it wraps: urllib3 and docker-py hide the system's own inside their arguments."""
    if id(error) in seen:
        return
    yield error
    seen |= {id(error)}
    for inner in (error.__cause__, error.__context__, *error.args, getattr(error, "reason", None)):
        if isinstance(inner, BaseException):
            yield from _causes(inner, seen)
