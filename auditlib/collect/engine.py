"""The Docker engine, asked with GET only: one list, then the inspection of each container, a few at a time."""

import contextlib
import errno
import os
import platform
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env, parse_host

from auditlib.addresses import is_loopback
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Unreadable, causes, connection_fault
from auditlib.parameters import Parameters
from auditlib.software import below_sensitive
from auditlib.version import __version__

# Inspections under way at once. Two cores gain nothing beyond a few, and a socket proxy has few workers.
WORKERS = 4
# Images inspected. With more, a hundred containers would cost twice their own inspections, one after the other.
MAX_IMAGES = 30

ALLOW = "autoriser GET sur /containers, /networks, /volumes, /images, /info et /version"
ELSEWHERE = "vérifier docker_host, DOCKER_HOST ou le contexte Docker"


class ReadOnlyClient(docker.APIClient):
    """docker-py's low-level client, which refuses every request but GET before it leaves."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a GET; raises PermissionError for any other method."""
        if request.method != "GET":
            raise PermissionError(f"the audit is read-only: {request.method} {request.path_url}")
        # HTTP_PROXY and REQUESTS_CA_BUNDLE are for the web: requests would ask the one for an engine on the loopback,
        # and trust the other instead of the engine's own authority.
        return super().send(request, **{**kwargs, "proxies": {}, "verify": self.verify})

    def _raise_for_status(self, response: requests.Response) -> None:
        try:
            super()._raise_for_status(response)  # type: ignore[misc]  # the stubs leave it out
        except (KeyError, TypeError) as error:  # a JSON error without "message" comes from a gateway, not from Docker
            raise APIError(f"HTTP {response.status_code}", response=response) from error


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

    Raises Unreadable for a context that does not exist, an address that is none or TLS files that cannot be read.
    """
    environment = {**os.environ, **({"DOCKER_HOST": docker_host} if docker_host else {})}
    try:
        settings: dict[str, Any] = {**kwargs_from_env(environment=environment)}
        if "base_url" not in settings:
            settings |= _of_context(environment.get("DOCKER_CONTEXT") or get_current_context_name())
    except Unreadable:
        raise
    except Exception as error:  # docker-py raises plain Exception and KeyError for a context's broken files
        unusable = f"configuration du client Docker inutilisable ({redact(str(error))})"
        raise Unreadable("failed", unusable, ELSEWHERE) from error
    where = Address(settings.get("base_url") or "unix:///var/run/docker.sock", settings)
    try:
        parse_host(where.url, tls="tls" in settings)
        urlsplit(where.url)
    except (DockerException, ValueError) as error:
        malformed = f"l’adresse du moteur Docker est mal formée ou d’une sorte inconnue : {where.shown}"
        raise Unreadable("failed", malformed, ELSEWHERE) from error
    return where


def _of_context(name: str) -> dict[str, Any]:
    """What docker-py's client is made with for a context."""
    context = ContextAPI.get_context(name)
    if context is None:
        # docker-py would fall back to the local socket; the docker command fails, and so does the audit.
        remedy = "choisir un contexte que « docker context ls » montre"
        raise Unreadable("failed", f"le contexte Docker « {name} » n’existe pas", remedy)
    settings = {"base_url": context.Host, "tls": context.TLSConfig}
    return {key: value for key, value in settings.items() if value}


def connect(where: Address, timeout_s: float) -> ReadOnlyClient:
    """A read-only client of the engine at `where`. Raises Unreadable when it does not answer."""
    with explained(where):
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

    `gaps` lists the parts it did not give (a socket proxy may refuse, a disk may hang); the list of containers is the
    one that is required. Of the images, those that containers use are inspected, by one worker beside the others.
    """
    where = address(parameters.docker_host)
    client = connect(where, PATIENCE * parameters.timeout_s)
    with contextlib.closing(client), explained(where):
        payload: dict[str, Any] = {"endpoint": where.shown, "version": client.version(), "gaps": []}
        listed = _shaped(client.containers(all=True), list)
        parts: dict[str, Callable[[], Any]] = {
            "info": lambda: _shaped(client.info(), dict),
            "networks": lambda: _shaped(client.networks(), list),
            "volumes": lambda: _shaped(client.volumes(), dict)["Volumes"] or [],
            "images": lambda: _shaped(client.images(), list),
            "used_images": lambda: [_inspect(client.inspect_image, one) for one in _used(listed)],
        }
        with ThreadPoolExecutor(WORKERS) as pool:
            waiting = {name: pool.submit(call) for name, call in parts.items()}
            inspected = list(pool.map(lambda one: _inspect(client.inspect_container, one["Id"]), listed))
        for name, part in waiting.items():
            try:
                payload[name] = part.result()
            except (DockerException, requests.RequestException, OSError, KeyError) as error:
                payload["gaps"].append({"part": name, "status": getattr(error, "status_code", None)})
        payload["containers"] = [container for container in inspected if container is not None]
        payload["local"] = _local(where, payload)
        if payload["local"]:
            payload["folders"] = _folders(payload)
    return payload


def archive(client: ReadOnlyClient, container: str, path: str, most: int, refusal: str) -> bytes:
    """The engine's archive (tar) of a path of a container. Raises FileNotFoundError, or OSError beyond `most` bytes."""
    try:
        chunks, _ = client.get_archive(container, path)
    except APIError as error:
        if error.status_code == 404:
            raise FileNotFoundError(errno.ENOENT, path) from error
        raise
    with contextlib.closing(chunks):
        return bounded(chunks, most, refusal)


def bounded(chunks: Iterable[bytes], most: int, refusal: str) -> bytes:
    """The chunks as one; raises OSError with `refusal`, a French clause, when there are more than `most` bytes."""
    packed = bytearray()
    for chunk in chunks:
        packed += chunk
        if len(packed) > most:
            raise OSError(errno.EFBIG, refusal)
    return bytes(packed)


def _folders(payload: dict[str, Any]) -> dict[str, bool]:
    """Whether each sensitive path that a container mounts is a folder.

    Only paths below the machine's own folders are looked at: those of a network disk could hang.
    """
    sources = {str(mount.get("Source") or "") for one in payload["containers"] for mount in one.get("Mounts") or []}
    return {source: Path(source).is_dir() for source in sorted(sources) if below_sensitive(source)}


def _shaped(answer: Any, kind: type) -> Any:
    """An answer of the kind that Docker gives: an object where a list is due must not pass for an empty list."""
    if not isinstance(answer, kind):
        raise DockerException(f"{kind.__name__} expected")
    return answer


def _used(listed: list[dict[str, Any]]) -> list[str]:
    """The identifiers of the images that containers use, as many as are inspected."""
    return [*dict.fromkeys(one["ImageID"] for one in listed if one.get("ImageID"))][:MAX_IMAGES]


def _inspect(ask: Callable[[str], Any], identifier: str) -> Any:
    """One container or image, or None if it was removed since it was listed."""
    try:
        return _shaped(ask(identifier), dict)
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
        return is_loopback(urlsplit(url).hostname or "localhost")
    return True


@contextlib.contextmanager
def explained(where: Address) -> Iterator[None]:
    """Turn what docker-py raises into one French sentence."""
    try:
        yield
    except (DockerException, requests.RequestException, OSError) as error:
        raise _explain(where, error) from error


def _explain(where: Address, error: BaseException) -> Unreadable:
    at = f"le moteur Docker à l’adresse {where.shown}"
    found = list(causes(error))
    status = next((cause.status_code for cause in found if isinstance(cause, APIError) and cause.status_code), None)
    if status in (401, 403):
        return Unreadable("refused", f"{at} a refusé la lecture (HTTP {status})", ALLOW)
    if status:
        return Unreadable("failed", f"{at} répond HTTP {status}", ELSEWHERE)
    if where.url.startswith("ssh://"):
        # The system's ssh tells its own reason on the standard error, which docker-py does not read.
        ssh = f"ssh {urlsplit(where.url).netloc.rpartition('@')[2]} docker version"
        return Unreadable(
            "failed", f"{at} ne répond pas par ssh", f"vérifier que « {ssh} » répond sans poser de question"
        )
    for cause in found:
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
        if isinstance(cause, TimeoutError | requests.Timeout):
            return Unreadable("failed", f"{at} ne répond pas à temps", "augmenter timeout_s, ou vérifier le moteur")
    if fault := connection_fault(error):
        return Unreadable("failed", f"{at} ne répond pas ({fault})", f"démarrer Docker, ou {ELSEWHERE}")
    return Unreadable("failed", f"ce qui répond à l’adresse {where.shown} n’est pas un moteur Docker", ELSEWHERE)
