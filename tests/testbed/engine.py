"""The private Docker engine: its own containerd, socket, data, bridge and addresses, shared with no other engine."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException

from . import processes
from .paths import DOCKER_HOST, RUN, SOCKET, STATE
from .processes import TestbedError, wait_for

__all__ = ["DOCKER_HOST", "SOCKET", "client", "is_up", "start", "stop", "unmount", "wipe"]

BRIDGE = "auditlib0"
ADDRESSES = "192.168.200.0/21"
"""Every network of the testbed is inside this block: unified-net is fixed by the reference server, the rest follows."""

CHAIN = "AUDITLIB-TESTBED"
COMMANDS = ("dockerd", "containerd", "docker-proxy", "runc", "ip", "iptables")

CONTAINERD = f"""version = 2
root = "{STATE}/containerd"
state = "{RUN}/containerd"
# None of these is used here, and some write outside the state folder or complain in the log.
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{RUN}/containerd.sock"
"""


def client(timeout: int = 60) -> docker.DockerClient:
    """Return a client of the private engine; the environment (DOCKER_HOST, contexts) has no say."""
    return docker.DockerClient(base_url=DOCKER_HOST, timeout=timeout)


def is_up() -> bool:
    """Tell whether our engine runs and answers."""
    if not processes.running("dockerd"):
        return False
    try:
        with closing(client(timeout=5)) as docker_client:
            return bool(docker_client.ping())
    except (DockerException, OSError):
        return False


def start() -> None:
    """Start the engine, unless it runs."""
    _require_commands()
    _add_bridge()
    _add_firewall_rules()
    RUN.mkdir(parents=True, exist_ok=True)
    (RUN / "containerd.toml").write_text(CONTAINERD)
    # An empty file stands for the machine's own daemon.json, which is another engine's business.
    (RUN / "daemon.json").write_text("{}")
    processes.start("containerd", ["containerd", "--config", RUN / "containerd.toml", "--log-level", "warn"])
    socket = RUN / "containerd.sock"
    wait_for("containerd", lambda: [] if socket.exists() else [str(socket)], timeout=20, process="containerd")
    if is_up():
        return
    (RUN / "dockerd.pid").unlink(missing_ok=True)
    processes.start("dockerd", [
        "dockerd", "--config-file", RUN / "daemon.json", "--log-level", "warn",
        "--host", DOCKER_HOST, "--pidfile", RUN / "dockerd.pid",
        "--data-root", STATE / "engine", "--exec-root", RUN / "engine", "--containerd", RUN / "containerd.sock",
        # No rule, no sysctl and no docker0: those belong to the engine the machine may already run. Ports are
        # published by docker-proxy alone, which gives the same listeners.
        "--bridge", BRIDGE, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
        "--default-address-pool", "base=192.168.204.0/22,size=26",
        # With an address pool and without this, Docker deletes docker0 when it starts, whosever it is
        # (moby, daemon_unix.go, removeDefaultBridgeInterface).
        "--live-restore",
    ])  # fmt: skip
    wait_for("dockerd", lambda: [] if is_up() else [DOCKER_HOST], timeout=60, process="dockerd")


def wipe() -> None:
    """Remove every container, network and volume of the private engine; images stay."""
    with closing(client()) as docker_client:
        api = docker_client.api
        containers = [container["Id"] for container in api.containers(all=True)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda each: api.remove_container(each, force=True, v=True), containers))
        leaked = [network for network in api.networks() if not _removed(api, network)]
        for volume in api.volumes()["Volumes"] or []:
            api.remove_volume(volume["Name"], force=True)
    if leaked:
        # Docker 20.10 may lose count of a network's endpoints; it counts again when it starts.
        processes.stop("dockerd", timeout=30)
        start()
        with closing(client()) as docker_client:
            for network in leaked:
                docker_client.api.remove_network(network["Id"])


def _removed(api: docker.APIClient, network: dict[str, str]) -> bool:
    if network["Name"] not in ("bridge", "host", "none"):
        try:
            api.remove_network(network["Id"])
        except docker.errors.APIError:
            return False
    return True


def stop() -> None:
    """Stop the engine and remove what it leaves on the machine: shims, mounts, bridge, rules, empty cgroups."""
    processes.stop("dockerd", timeout=30)
    processes.stop("containerd")
    processes.terminate(_orphan_shims(), timeout=3)
    unmount(STATE)
    for command in (["-D", "FORWARD", "-j", CHAIN], ["-F", CHAIN], ["-X", CHAIN]):
        _run("iptables", "--wait", *command, check=False)
    _run("ip", "link", "delete", BRIDGE, check=False)
    controllers = [root / "docker" for root in (processes.CGROUP, *processes.CGROUP.iterdir())]
    processes.remove_cgroups(*controllers)
    for folder in ("/run/containerd/s", "/run/containerd"):
        with suppress(OSError):  # not empty: another containerd uses it
            Path(folder).rmdir()
    shutil.rmtree(RUN / "engine", ignore_errors=True)


def unmount(folder: Path) -> None:
    """Unmount whatever is mounted below a folder, so that it can be removed without reaching elsewhere."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(folder)]):
        _run("umount", "--lazy", mount)


def _require_commands() -> None:
    if missing := [name for name in COMMANDS if not shutil.which(name)]:
        raise TestbedError(f"missing commands: {', '.join(missing)} (see tests/testbed/README.md, Requirements)")


def _add_bridge() -> None:
    # Asked of the kernel, not of /sys, which shows another network namespace under `unshare --net`.
    if _run("ip", "link", "show", "dev", BRIDGE, check=False):
        return
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "address", "add", "192.168.201.1/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")


def _add_firewall_rules() -> None:
    """Let containers of one network talk, keep networks apart, whatever another engine's rules say about forwarding.

    Bridged packets go through FORWARD as soon as br_netfilter is loaded, and an engine that manages iptables sets
    that chain's policy to DROP.
    """
    if _run("iptables", "--wait", "-C", "FORWARD", "-j", CHAIN, check=False):
        return
    _run("iptables", "--wait", "-N", CHAIN, check=False)
    _run("iptables", "--wait", "-F", CHAIN)
    inside = ["-s", ADDRESSES, "-d", ADDRESSES]
    _run("iptables", "--wait", "-A", CHAIN, *inside, "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
    _run("iptables", "--wait", "-A", CHAIN, *inside, "-j", "DROP")
    _run("iptables", "--wait", "-I", "FORWARD", "-j", CHAIN)


def _orphan_shims() -> list[psutil.Process]:
    """Return container shims of our own containerd (they name its socket) that outlived it."""
    ours = str(RUN / "containerd.sock")
    return [p for p in psutil.process_iter(["cmdline"]) if ours in (p.info["cmdline"] or [])]


def _run(*command: str, check: bool = True) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise TestbedError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.returncode == 0
