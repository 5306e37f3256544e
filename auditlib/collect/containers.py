"""Rows of the Docker engine's tables, from its raw answers. Only the fields named here are kept."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from auditlib.addresses import EVERY_ADDRESS
from auditlib.collect.secrets import REMOVED, hide_users, redact, redact_rule, secret_name
from auditlib.collect.source import Reading
from auditlib.facts.legacy import Record

# A published address that names no interface. Docker listens on both families.

_PARTS = {
    "info": "la description du moteur",
    "networks": "les réseaux",
    "volumes": "les volumes",
    "images": "les images",
    "used_images": "le détail des images",
}
_REFUSALS = (401, 403)
_COMPOSE = "com.docker.compose."
# Labels of Compose whose values the audit uses; the others say nothing of the runtime.
_COMPOSE_KEPT = {"project", "service", "container-number", "oneoff", "version", "config-hash", "depends_on"}
_COMPOSE_KEPT |= {"project.config_files", "project.working_dir"}

# Traefik labels whose value is a secret, or whose name may be one (a header's name ends the label).
_TRAEFIK_USERS = re.compile(r"\.(?:basicauth|digestauth)\.users(?:\[\d+\])?$")
_TRAEFIK_SECRET = re.compile(
    r"\.auth\.(?:basic|digest)"
    r"|^traefik\.[^.]+\.middlewares\.[^.]+\.plugin\."
    r"|\.headers\.custom(?:request|response)headers(?:\.|$)|\.healthcheck\.headers(?:\.|$)"
)


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of every table of the source « engine ». A part that the engine refused gives no table."""
    containers = payload["containers"]
    tables: dict[str, list[Record]] = {
        "docker_engine": [_engine(payload)],
        "containers": [_container(c) for c in containers],
        "container_networks": [row for c in containers for row in _attachments(c)],
        "mounts": [row for c in containers for row in _mounts(c, payload.get("folders"))],
        "labels": list(_labels(containers)),
        "container_environment": [row for c in containers for row in _environment(c)],
        "publications": [row for c in containers for row in _publications(c)],
    }
    swarm = payload.get("info", {}).get("Swarm") or {}
    # A node that is locked or in error does not tell what its swarm is.
    if swarm.get("LocalNodeState") in ("active", "inactive"):
        tables["docker_swarm"] = [*_swarm(tables["docker_engine"][0]["name"], swarm)]
    checked = {one.get("Id"): _checked(one) for one in payload.get("used_images", []) if one is not None}
    makers: dict[str, Callable[[dict[str, Any]], Record]] = {
        "networks": _network,
        "volumes": _volume,
        "images": partial(_image, checked),
    }
    tables |= {part: [make(item) for item in payload[part]] for part, make in makers.items() if part in payload}
    gaps = [_gap(_PARTS[gap["part"]], gap["status"]) for gap in payload["gaps"]]
    refused = any(gap["status"] in _REFUSALS for gap in payload["gaps"])
    return Reading(tables, gaps, "Autorisez GET sur /info, /networks, /volumes et /images." if refused else "")


def _gap(part: str, status: int | None) -> str:
    """A part that the engine did not give; without a status, it gave no whole answer in time."""
    verb = "a refusé" if status in _REFUSALS else "n’a pas donné"
    return f"le moteur Docker {verb} {part}" + (f" (HTTP {status})" if status else "")


def name(container: dict[str, Any]) -> str:
    """The name of a container as people write it."""
    return str(container["Name"]).removeprefix("/")


def _engine(payload: dict[str, Any]) -> Record:
    info, version = payload.get("info", {}), payload["version"]
    return {
        "name": info.get("Name") or payload["endpoint"],
        "endpoint": payload["endpoint"],
        "local": payload["local"],
        "version": version["Version"],
        "api_version": version["ApiVersion"],
        "os": info.get("OperatingSystem"),
        "kernel": version.get("KernelVersion"),
        "storage_driver": info.get("Driver"),
        "cgroup_version": info.get("CgroupVersion"),
        "root": info.get("DockerRootDir"),
        "clock": _moment(info.get("SystemTime")),
        "live_restore": info.get("LiveRestoreEnabled"),
        "swarm": (info.get("Swarm") or {}).get("LocalNodeState"),
        "security_options": info.get("SecurityOptions"),
    }


# Where managers listen, unless they announce another port.
_MANAGEMENT = 2377
_DAY = 86_400_000_000_000  # nanoseconds


def _swarm(name: str, raw: dict[str, Any]) -> Iterator[Record]:
    """The swarm of a node. Its settings are told to managers alone; its tokens and keys are not read."""
    if raw["LocalNodeState"] != "active":
        return
    spec = (raw.get("Cluster") or {}).get("Spec") or {}
    announced = next((one["Addr"] for one in raw.get("RemoteManagers") or [] if one["NodeID"] == raw["NodeID"]), "")
    number = announced.rpartition(":")[2]
    expiry = (spec.get("CAConfig") or {}).get("NodeCertExpiry")
    yield {
        "name": name,
        "address": raw.get("NodeAddr") or None,
        "manager": raw.get("ControlAvailable"),
        "port": (int(number) if number.isdecimal() else _MANAGEMENT) if raw.get("ControlAvailable") else None,
        "nodes": _positive(raw.get("Nodes")),
        "managers": _positive(raw.get("Managers")),
        "autolock": (spec.get("EncryptionConfig") or {}).get("AutoLockManagers"),
        "certificate_days": expiry // _DAY if expiry else None,
    }


def _container(raw: dict[str, Any]) -> Record:
    state, config, host = raw["State"], raw["Config"], raw["HostConfig"]
    labels = config.get("Labels") or {}
    restart = host.get("RestartPolicy") or {}
    files = labels.get(f"{_COMPOSE}project.config_files")
    return {
        "name": name(raw),
        "id": raw["Id"],
        "image": config.get("Image"),
        "image_id": raw.get("Image"),
        "state": state["Status"],
        # "none" is the engine's word for a container whose health check was switched off.
        "health": _or_none((state.get("Health") or {}).get("Status"), "none"),
        "health_reported": (state.get("Health") or {}).get("Status") or None,
        "healthcheck": _checked(raw),
        "exit_code": state.get("ExitCode"),
        "oom_killed": state.get("OOMKilled"),
        "start_error": redact(state["Error"]) if state.get("Error") else None,
        "restart_policy": restart.get("Name") or "no",
        "restart_max": _positive(restart.get("MaximumRetryCount")),
        "restart_count": raw.get("RestartCount"),
        "created": _moment(raw.get("Created")),
        "started": _moment(state.get("StartedAt")),
        "finished": _moment(state.get("FinishedAt")),
        "pid": state.get("Pid") or None,
        "compose_project": labels.get(f"{_COMPOSE}project"),
        "compose_service": labels.get(f"{_COMPOSE}service"),
        "compose_files": files.split(",") if files else None,
        "compose_dir": labels.get(f"{_COMPOSE}project.working_dir"),
        "compose_version": labels.get(f"{_COMPOSE}version"),
        "network_mode": host.get("NetworkMode"),
        "pid_mode": host.get("PidMode") or None,
        "ipc_mode": host.get("IpcMode") or None,
        "uts_mode": host.get("UTSMode") or None,
        "userns_mode": host.get("UsernsMode") or None,
        "privileged": host.get("Privileged"),
        "readonly_rootfs": host.get("ReadonlyRootfs"),
        "user": config.get("User") or None,
        "cap_add": host.get("CapAdd") or [],
        "cap_drop": host.get("CapDrop") or [],
        "security_options": host.get("SecurityOpt") or [],
        "apparmor_profile": raw.get("AppArmorProfile") or None,
        "memory_limit": _positive(host.get("Memory")),
        "nano_cpus": _positive(host.get("NanoCpus")),
        "pids_limit": _positive(host.get("PidsLimit")),
        "cpu_shares": _positive(host.get("CpuShares")),
        "cpu_quota": _positive(host.get("CpuQuota")),
        "devices": [device["PathOnHost"] for device in host.get("Devices") or [] if device.get("PathOnHost")],
        "ulimits": [limit["Name"] for limit in host.get("Ulimits") or [] if limit.get("Name")],
        "cgroup_parent": host.get("CgroupParent") or None,
        "log_driver": (host.get("LogConfig") or {}).get("Type"),
        # The engine wrote its own defaults there when the container was created.
        "log_max_size": ((host.get("LogConfig") or {}).get("Config") or {}).get("max-size"),
        "exposed_ports": sorted(config.get("ExposedPorts") or {}),
        "network_ports": sorted((raw["NetworkSettings"] or {}).get("Ports") or {}),
        "extra_hosts": host.get("ExtraHosts") or [],
    }


def _checked(raw: dict[str, Any]) -> bool:
    """Whether a container or an image has a health check; "NONE" switches off the one it would have."""
    return bool((((raw.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ["NONE"])[0] != "NONE")


def _attachments(raw: dict[str, Any]) -> Iterator[Record]:
    for network, end in ((raw["NetworkSettings"] or {}).get("Networks") or {}).items():
        # DNSNames (engine 26 and later) is the whole list; before it, Aliases, which held the short id too.
        names = end.get("DNSNames") or [*(end.get("Aliases") or []), name(raw)]
        yield {
            "container": name(raw),
            "network": network,
            "ipv4": end.get("IPAddress") or None,
            "ipv6": end.get("GlobalIPv6Address") or None,
            "aliases": sorted({*names} - {"", raw["Id"][:12]}),
        }


def _mounts(raw: dict[str, Any], folders: dict[str, bool] | None) -> Iterator[Record]:
    """What a container mounts; `folders` tells which sources are folders, as far as that was looked at."""
    for mount in raw.get("Mounts") or []:
        yield {
            "container": name(raw),
            "type": mount["Type"],
            "source": mount.get("Source") or None,
            "volume": mount.get("Name") or None,
            "destination": mount["Destination"],
            "writable": mount.get("RW"),
            "propagation": mount.get("Propagation") or None,
            "folder": (folders or {}).get(mount.get("Source") or ""),
        }


def _labels(containers: list[dict[str, Any]]) -> Iterator[Record]:
    """The labels of all containers.

    Traefik compares what two containers declare under one name: values whose secrets are removed are numbered, so that
    whether they were equal is still known, and nothing else of them.
    """
    hidden: dict[str, list[str]] = {}
    choosing = _choosing(containers)
    for raw in containers:
        for label, value in (raw["Config"].get("Labels") or {}).items():
            kept = redact(value) if label in choosing and not secret_name(label) else label_value(label, value)
            row: Record = {"container": name(raw), "label": redact(label), "value": kept}
            if row["value"] is not None and row["value"] != value:
                known = hidden.setdefault(label.lower(), [])
                known += [] if value in known else [value]
                row["variant"] = known.index(value) + 1
            yield row


_CONSTRAINTS = re.compile(r"-{1,2}providers\.docker\.constraints|TRAEFIK_PROVIDERS_DOCKER_CONSTRAINTS=", re.IGNORECASE)
_LABEL = re.compile(r"\bLabel(?:Regex)?\(\s*[`\"]([^`\"]+)[`\"]", re.IGNORECASE)


def _choosing(containers: list[dict[str, Any]]) -> set[str]:
    """The labels by which a Traefik chooses its containers, as far as a command line or an environment tells them."""
    found: set[str] = set()
    for raw in containers:
        words = [str(word) for word in [*(raw.get("Args") or []), *(raw["Config"].get("Env") or [])]]
        # The expression may be a word of its own, after its option.
        for word, following in pairwise([*words, ""]):
            if _CONSTRAINTS.match(word):
                found |= {*_LABEL.findall(word if "=" in word else following)}
    return found


def _environment(raw: dict[str, Any]) -> Iterator[Record]:
    for variable in sorted({redact(str(line).partition("=")[0]) for line in raw["Config"].get("Env") or []}):
        yield {"container": name(raw), "variable": variable}


# A switch is no secret, whatever the name of the label: `sticky.cookie=true` names no cookie.
_SWITCH = frozenset({"", "true", "false"})


def label_value(label: str, value: str) -> str | None:
    """The value of a label without its secrets, or None when the audit has no use for it."""
    lower = label.lower()
    if lower.startswith("traefik."):
        if value.lower() in _SWITCH:
            return value
        if _TRAEFIK_USERS.search(lower):
            return hide_users(value)
        if _TRAEFIK_SECRET.search(lower) or secret_name(lower.rpartition(".")[2]):
            return REMOVED
        return redact_rule(value) if lower.endswith(".rule") else redact(value)
    return value if label.removeprefix(_COMPOSE) in _COMPOSE_KEPT and label.startswith(_COMPOSE) else None


def _publications(raw: dict[str, Any]) -> Iterator[Record]:
    """Publications in force, then those that are only configured.

    A publication whose container runs has its own addresses and ports in NetworkSettings; HostConfig keeps what was
    asked. What was asked and is in force is told once, as in force.
    """
    live = (raw["NetworkSettings"] or {}).get("Ports") or {}
    asked = raw["HostConfig"].get("PortBindings") or {}
    for port, bindings in live.items():
        numbers = {binding.get("HostPort") or "" for binding in asked.get(port) or []}
        for binding in bindings or []:
            # Published without being asked for by its number: « -P », « -p 80 », or one of a range.
            chosen = (binding.get("HostPort") or "") not in numbers
            yield from _binding(raw, port, binding, live=True, chosen=chosen)
    for port, bindings in asked.items():
        if not live.get(port):
            for binding in bindings or []:
                number = binding.get("HostPort") or ""
                yield from _binding(raw, port, binding, live=False, chosen=number in ("", "0") or "-" in number)


def _binding(raw: dict[str, Any], port: str, binding: dict[str, str], *, live: bool, chosen: bool) -> Iterator[Record]:
    number, _, protocol = port.partition("/")
    # "" lets the engine choose a free port, "8000-8010" one of a range.
    first, _, last = (binding.get("HostPort") or "").partition("-")
    host_ip = binding.get("HostIp") or ""
    for address in [host_ip] if host_ip else EVERY_ADDRESS:
        yield {
            "container": name(raw),
            "protocol": protocol or "tcp",
            "container_port": int(number),
            "host_ip": address,
            "host_port": int(first) if first and first != "0" else None,
            "host_port_last": int(last) if last else None,
            "live": live,
            "chosen": chosen,
        }


def _network(raw: dict[str, Any]) -> Record:
    pools = (raw.get("IPAM") or {}).get("Config") or []
    return {
        "name": raw["Name"],
        "id": raw["Id"],
        "driver": raw["Driver"],
        "scope": raw.get("Scope"),
        "internal": raw.get("Internal"),
        "ipv6": raw.get("EnableIPv6"),
        # Its name is enough, whatever its value (libnetwork, `drivers/overlay/ov_network.go`).
        "encrypted": "encrypted" in (raw.get("Options") or {}) if raw["Driver"] == "overlay" else None,
        "subnets": [pool["Subnet"] for pool in pools if pool.get("Subnet")],
        "gateways": [pool["Gateway"].partition("/")[0] for pool in pools if pool.get("Gateway")],
        "compose_project": (raw.get("Labels") or {}).get(f"{_COMPOSE}project"),
        "created": _moment(raw.get("Created")),
    }


def _volume(raw: dict[str, Any]) -> Record:
    return {
        "name": raw["Name"],
        "driver": raw["Driver"],
        "scope": raw.get("Scope"),
        "mountpoint": raw.get("Mountpoint") or None,
        "compose_project": (raw.get("Labels") or {}).get(f"{_COMPOSE}project"),
        "created": _moment(raw.get("CreatedAt")),
    }


def _image(checked: dict[str | None, bool], raw: dict[str, Any]) -> Record:
    """One image; `checked` tells, of the images that were inspected, which have a health check."""
    return {
        "id": raw["Id"],
        "tags": [tag for tag in raw.get("RepoTags") or [] if tag != "<none>:<none>"],
        "size": raw.get("Size"),
        # Seconds; an image that does not tell gives 0 or the year 1.
        "created": dt.datetime.fromtimestamp(created, dt.UTC) if (created := _positive(raw.get("Created"))) else None,
        "healthcheck": checked.get(raw["Id"]),
    }


def _moment(text: str | None) -> str | None:
    """An instant of the engine; its year 1 means "never"."""
    return None if not text or text.startswith("0001-") else text


def _or_none(value: str | None, nothing: str) -> str | None:
    return None if value in (None, "", nothing) else value


def _positive(value: int | None) -> int | None:
    """A limit or a moment; 0 and what is below it mean none."""
    return value if value and value > 0 else None
