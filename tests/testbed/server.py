"""The reference server, up and down: engine, images, projects, networks, stacks, host services, some traffic."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import click
import compose  # type: ignore[import-untyped]
import httpx
from docker.types import IPAMConfig, IPAMPool

from . import engine, host, images, processes, tree
from .canaries import CANARIES, TRAEFIK_AUTH
from .paths import ACCESS_LOG, AUTHORITY, DOCKER_HOST, LOGS, PROGRAMS, PROJECTS, RUN, STATE
from .processes import TestbedError

VARIANTS = ("faulty", "healthy")
VARIANT = STATE / "variant"
"""Names the variant that was last started; there from the beginning of `up` to the end of `down`."""

IMAGE_STORE = (STATE / "engine", STATE / "containerd", PROGRAMS)
"""What `down` keeps, so that the next `up` is quick (with the record in images.json)."""

STACKS = {
    "unified-stack": "infrastructure/unified-stack",
    "multimedia": "multimedia",
    "ai-orchestrator": "ai-tools/ai-orchestrator",
    "jsr-solutions": "clients/jsr/JSR-solutions",
    "agent-zero": "ai-tools/agent-zero",
}
NETWORKS = {"unified-net": "192.168.200.0/24", "traefik-net": "192.168.202.0/24"}
DATABASES = {"data-net": "192.168.203.0/24"}
"""Healthy variant only: databases and their clients."""

ROUTES = {
    "https://files.4lb.ca/": 200,
    "https://files.4lb.ca/api": 200,
    "https://ai.4lb.ca/": 200,
    "https://ai.4lb.ca/api": 200,
    "https://ai.4lb.ca/ws": 426,
    "https://jsr.4lb.ca/": 200,
    "https://traefik.4lb.ca/api/version": 200,
}
"""What the proxy must answer before the server counts as started."""

COMPOSE = Path(compose.__file__).parent / "docker-compose"


def up(variant: str) -> None:
    """Start the reference server; harmless when it runs."""
    previous = VARIANT.read_text() if VARIANT.exists() else None
    if previous and previous != variant:
        clear()
    STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not processes.running("dockerd"):
        host.require_free_ports()
    VARIANT.write_text(variant)
    with _step("engine"):
        engine.start()
    with _step("images"):
        tags = images.build()
    tree.write(variant, tags)
    with _step("services"), ThreadPoolExecutor(len(STACKS) + 1) as pool:
        services = pool.submit(host.start)
        _create_networks(NETWORKS | (DATABASES if variant == "healthy" else {}))
        list(pool.map(_start_stack, STACKS))
        services.result()
    with _step("health"):
        settle()
        with _proxy() as client:
            if CANARIES["log-query"] not in ACCESS_LOG.read_text():
                _visit(client)


def settle() -> None:
    """Wait until every container is healthy and the proxy answers as it must."""
    processes.wait_for("containers", _unhealthy, timeout=90)
    with _proxy() as client:
        processes.wait_for("routes", lambda: _failures(client), timeout=60)


def down(*, purge: bool = False) -> None:
    """Stop everything and remove it; built images stay for the next time, unless `purge`."""
    if VARIANT.exists() or RUN.exists():
        clear(engine_too=True)
    if purge:
        shutil.rmtree(STATE, ignore_errors=True)


def clear(*, engine_too: bool = False) -> None:
    """Remove containers, networks, volumes, host services and files; the images stay."""
    with _step("removal"), ThreadPoolExecutor(1) as pool:
        services = pool.submit(host.stop)
        # An engine that died half way is started again: it alone knows what it left.
        engine.start()
        engine.wipe()
        if engine_too:
            engine.stop()
        services.result()
    kept = IMAGE_STORE if engine_too else (*IMAGE_STORE, LOGS, RUN)
    for path in STATE.iterdir():
        if path.is_dir() and path not in kept:
            shutil.rmtree(path)
    VARIANT.unlink(missing_ok=True)


def status() -> str:
    """Say what runs."""
    if not engine.is_up():
        return "down"
    with closing(engine.client()) as client:
        lines = [f"{container.name}: {container.status}" for container in client.containers.list(all=True)]
    lines += [f"{name}: running" for name in host.running()]
    variant = VARIANT.read_text() if VARIANT.exists() else "no"
    return "\n".join([f"up ({variant} variant), DOCKER_HOST={DOCKER_HOST}", *sorted(lines)])


def _create_networks(networks: dict[str, str]) -> None:
    with closing(engine.client()) as client:
        present = {network.name for network in client.networks.list()}
        for name, subnet in networks.items():
            if name not in present:
                pool = IPAMPool(subnet=subnet, gateway=subnet.replace(".0/24", ".1"))
                client.networks.create(name, driver="bridge", ipam=IPAMConfig(pool_configs=[pool]))


def _start_stack(project: str) -> None:
    folder = PROJECTS / STACKS[project]
    # Nothing of the caller's environment: its variables would win over the project's .env.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST": DOCKER_HOST, "DOCKER_CONFIG": str(RUN)}
    command = [str(COMPOSE), "-p", project, "-f", str(folder / "docker-compose.yml"), "up", "--detach"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"{' '.join(command)}\n{done.stderr.strip()}")


def _unhealthy() -> list[str]:
    """Return the containers that do not run, or whose health check has not succeeded yet."""
    with closing(engine.client()) as client:
        containers = client.containers.list(all=True)
    return [str(c.name) for c in containers if c.status != "running" or c.health not in ("healthy", "unknown")]


@contextmanager
def _proxy() -> Iterator[httpx.Client]:
    """Return a client that asks the local proxy, whatever the name in the address, and trusts the test authority."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    with httpx.Client(verify=context, trust_env=False, timeout=5) as client:
        yield client


def _get(client: httpx.Client, address: str) -> int:
    url = httpx.URL(address)
    auth = httpx.BasicAuth(*TRAEFIK_AUTH.split(":", 1)) if url.host.startswith("traefik.") else None
    try:
        answer = client.get(url.copy_with(host="127.0.0.1"), headers={"Host": url.host}, auth=auth,
                            extensions={"sni_hostname": url.host})  # fmt: skip
    except httpx.HTTPError:
        return 0
    return answer.status_code


def _failures(client: httpx.Client) -> list[str]:
    return [address for address, expected in ROUTES.items() if _get(client, address) != expected]


def _visit(client: httpx.Client) -> None:
    """Leave the traces of a few visitors in the access log, one of whom puts a secret in an address."""
    pages = ("/", "/api", "/api/health", "/api/tasks", "/favicon.ico")
    for domain in ("files.4lb.ca", "ai.4lb.ca", "jsr.4lb.ca"):
        for page in pages:
            _get(client, f"https://{domain}{page}")
    _get(client, f"https://files.4lb.ca/api/videos?token={CANARIES['log-query']}")


@contextmanager
def _step(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    click.echo(f"{name}: {time.monotonic() - start:.1f} s")
