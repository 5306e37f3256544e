"""Rows of the Docker engine's tables, from its raw answers. Only the fields named here are kept."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from auditlib.addresses import EVERY_ADDRESS
from auditlib.collect.secrets import REMOVED, hide_users, redact, redact_rule, secret_name
from auditlib.collect.source import Reading
from auditlib.facts.table import Row
from auditlib.facts.tables.docker import (
    Container,
    ContainerLabel,
    ContainerNetwork,
    ContainerVariable,
    DockerEngine,
    DockerSwarm,
    Image,
    Mount,
    Network,
    Publication,
    Volume,
)

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


Inspection = dict[str, Any]  # the engine's answer about one object
R = TypeVar("R")


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of every table of the source « engine ». A part that the engine refused gives no table."""
    containers, engine = payload["containers"], _engine(payload)
    tables: dict[str, Sequence[Row]] = {
        "docker_engine": [engine],
        "containers": [_container(one) for one in containers],
        "container_networks": _of_each(containers, _attachments),
        "mounts": _of_each(containers, partial(_mounts, payload.get("folders") or {})),
        "labels": list(_labels(containers)),
        "container_environment": _of_each(containers, _environment),
        "publications": _of_each(containers, _publications),
        **_objects(payload),
    }
    # A node that is locked or in error does not tell what its swarm is.
    if engine.swarm in ("active", "inactive"):
        tables["docker_swarm"] = [*_swarm(engine.name, payload["info"]["Swarm"])]
    gaps = [_gap(_PARTS[gap["part"]], gap["status"]) for gap in payload["gaps"]]
    refused = any(gap["status"] in _REFUSALS for gap in payload["gaps"])
    return Reading(tables, gaps, "Autorisez GET sur /info, /networks, /volumes et /images." if refused else "")


def _of_each(containers: Iterable[Inspection], make: Callable[[Inspection], Iterable[R]]) -> list[R]:
    return [row for container in containers for row in make(container)]


def _objects(payload: dict[str, Any]) -> dict[str, list[Row]]:
    """The tables of networks, volumes and images, each where the engine told its objects."""
    inspected = {image.get("Id"): _checked(image) for image in payload.get("used_images", []) if image is not None}
    makers: dict[str, Callable[[Inspection], Row]] = {
        "networks": _network,
        "volumes": _volume,
        "images": partial(_image, inspected),
    }
    return {part: [make(one) for one in payload[part]] for part, make in makers.items() if part in payload}


def _gap(part: str, status: int | None) -> str:
    """A part that the engine did not give; without a status, it gave no whole answer in time."""
    verb = "a refusé" if status in _REFUSALS else "n’a pas donné"
    return f"le moteur Docker {verb} {part}" + (f" (HTTP {status})" if status else "")


def name(container: dict[str, Any]) -> str:
    """The name of a container as people write it."""
    return str(container["Name"]).removeprefix("/")


def _engine(payload: dict[str, Any]) -> DockerEngine:
    info, version = payload.get("info", {}), payload["version"]
    return DockerEngine(
        name=info.get("Name") or payload["endpoint"],
        endpoint=payload["endpoint"],
        local=payload["local"],
        version=version["Version"],
        api_version=version["ApiVersion"],
        os=info.get("OperatingSystem"),
        kernel=version.get("KernelVersion"),
        storage_driver=info.get("Driver"),
        cgroup_version=info.get("CgroupVersion"),
        root=info.get("DockerRootDir"),
        clock=_moment(info.get("SystemTime")),
        live_restore=info.get("LiveRestoreEnabled"),
        swarm=(info.get("Swarm") or {}).get("LocalNodeState"),
        security_options=info.get("SecurityOptions"),
    )


# Where managers listen, unless they announce another port.
_MANAGEMENT = 2377
_DAY = 86_400_000_000_000  # nanoseconds


def _swarm(name: str, raw: Inspection) -> Iterator[DockerSwarm]:
    """The swarm of a node. Its settings are told to managers alone; its tokens and keys are not read."""
    if raw["LocalNodeState"] != "active":
        return
    spec = (raw.get("Cluster") or {}).get("Spec") or {}
    expiry = (spec.get("CAConfig") or {}).get("NodeCertExpiry")
    yield DockerSwarm(
        name=name,
        address=_set(raw, "NodeAddr"),
        manager=raw.get("ControlAvailable"),
        port=_management(raw) if raw.get("ControlAvailable") else None,
        nodes=_positive(raw.get("Nodes")),
        managers=_positive(raw.get("Managers")),
        autolock=(spec.get("EncryptionConfig") or {}).get("AutoLockManagers"),
        certificate_days=expiry // _DAY if expiry else None,
    )


def _management(raw: Inspection) -> int:
    """The port where a manager announces that it listens."""
    address = next((one["Addr"] for one in _all(raw, "RemoteManagers") if one["NodeID"] == raw["NodeID"]), "")
    number = address.rpartition(":")[2]
    return int(number) if number.isdecimal() else _MANAGEMENT


def _set(raw: Inspection, key: str) -> Any:
    """A setting of an object; the engine writes "" or 0 for one that is not set."""
    return raw.get(key) or None


def _all(raw: Inspection, key: str) -> Any:
    """A list of an object; the engine writes null for an empty one."""
    return raw.get(key) or ()


def _container(raw: Inspection) -> Container:
    state, config, host = raw["State"], raw["Config"], raw["HostConfig"]
    health, restart, logs = state.get("Health") or {}, host.get("RestartPolicy") or {}, host.get("LogConfig") or {}
    labels = config.get("Labels") or {}
    files = labels.get(f"{_COMPOSE}project.config_files")
    return Container(
        name=name(raw),
        id=raw["Id"],
        image=config.get("Image"),
        image_id=raw.get("Image"),
        state=state["Status"],
        # "none" is the engine's word for a container whose health check was switched off.
        health=None if health.get("Status") == "none" else _set(health, "Status"),
        health_reported=_set(health, "Status"),
        healthcheck=_checked(raw),
        exit_code=state.get("ExitCode"),
        oom_killed=state.get("OOMKilled"),
        start_error=redact(state["Error"]) if state.get("Error") else None,
        restart_policy=_set(restart, "Name") or "no",
        restart_max=_positive(restart.get("MaximumRetryCount")),
        restart_count=raw.get("RestartCount"),
        created=_moment(raw.get("Created")),
        started=_moment(state.get("StartedAt")),
        finished=_moment(state.get("FinishedAt")),
        pid=_set(state, "Pid"),
        compose_project=labels.get(f"{_COMPOSE}project"),
        compose_service=labels.get(f"{_COMPOSE}service"),
        compose_files=tuple(files.split(",")) if files else None,
        compose_dir=labels.get(f"{_COMPOSE}project.working_dir"),
        compose_version=labels.get(f"{_COMPOSE}version"),
        network_mode=host.get("NetworkMode"),
        pid_mode=_set(host, "PidMode"),
        ipc_mode=_set(host, "IpcMode"),
        uts_mode=_set(host, "UTSMode"),
        userns_mode=_set(host, "UsernsMode"),
        privileged=host.get("Privileged"),
        readonly_rootfs=host.get("ReadonlyRootfs"),
        user=_set(config, "User"),
        cap_add=_all(host, "CapAdd"),
        cap_drop=_all(host, "CapDrop"),
        security_options=_all(host, "SecurityOpt"),
        apparmor_profile=_set(raw, "AppArmorProfile"),
        memory_limit=_positive(host.get("Memory")),
        nano_cpus=_positive(host.get("NanoCpus")),
        pids_limit=_positive(host.get("PidsLimit")),
        cpu_shares=_positive(host.get("CpuShares")),
        cpu_quota=_positive(host.get("CpuQuota")),
        devices=_each_of(host, "Devices", "PathOnHost"),
        ulimits=_each_of(host, "Ulimits", "Name"),
        cgroup_parent=_set(host, "CgroupParent"),
        log_driver=logs.get("Type"),
        # The engine wrote its own defaults there when the container was created.
        log_max_size=(logs.get("Config") or {}).get("max-size"),
        exposed_ports=tuple(sorted(_all(config, "ExposedPorts"))),
        network_ports=tuple(sorted(_ports(raw))),
        extra_hosts=_all(host, "ExtraHosts"),
    )


def _each_of(raw: Inspection, key: str, member: str) -> tuple[str, ...]:
    """One member of each item of a list, where it is set."""
    return tuple(item[member] for item in _all(raw, key) if item.get(member))


def _ports(raw: Inspection) -> dict[str, list[dict[str, str]] | None]:
    """The ports of a container's network, published or not."""
    return (raw["NetworkSettings"] or {}).get("Ports") or {}


def _checked(raw: dict[str, Any]) -> bool:
    """Whether a container or an image has a health check; "NONE" switches off the one it would have."""
    return bool((((raw.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ["NONE"])[0] != "NONE")


def _attachments(raw: Inspection) -> Iterator[ContainerNetwork]:
    for network, end in ((raw["NetworkSettings"] or {}).get("Networks") or {}).items():
        # DNSNames (engine 26 and later) is the whole list; before it, Aliases, which held the short id too.
        names = end.get("DNSNames") or [*_all(end, "Aliases"), name(raw)]
        yield ContainerNetwork(
            container=name(raw),
            network=network,
            ipv4=_set(end, "IPAddress"),
            ipv6=_set(end, "GlobalIPv6Address"),
            aliases=tuple(sorted({*names} - {"", raw["Id"][:12]})),
        )


def _mounts(folders: Mapping[str, bool], raw: Inspection) -> Iterator[Mount]:
    """What a container mounts; `folders` tells which sources are folders, as far as that was looked at."""
    for mount in _all(raw, "Mounts"):
        yield Mount(
            container=name(raw),
            type=mount["Type"],
            source=_set(mount, "Source"),
            volume=_set(mount, "Name"),
            destination=mount["Destination"],
            writable=mount.get("RW"),
            propagation=_set(mount, "Propagation"),
            folder=folders.get(mount.get("Source") or ""),
        )


def _labels(containers: list[Inspection]) -> Iterator[ContainerLabel]:
    """The labels of all containers.

    Traefik compares what two containers declare under one name: values whose secrets are removed are numbered, so that
    whether they were equal is still known, and nothing else of them.
    """
    hidden: dict[str, list[str]] = {}
    choosing = _choosing(containers)
    for raw in containers:
        for label, value in (raw["Config"].get("Labels") or {}).items():
            kept = redact(value) if label in choosing and not secret_name(label) else label_value(label, value)
            variant = None
            if kept is not None and kept != value:
                known = hidden.setdefault(label.lower(), [])
                known += [] if value in known else [value]
                variant = known.index(value) + 1
            yield ContainerLabel(container=name(raw), label=redact(label), value=kept, variant=variant)


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


def _environment(raw: Inspection) -> Iterator[ContainerVariable]:
    for variable in sorted({redact(str(line).partition("=")[0]) for line in _all(raw["Config"], "Env")}):
        yield ContainerVariable(container=name(raw), variable=variable)


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


def _publications(raw: Inspection) -> Iterator[Publication]:
    """Publications in force, then those that are only configured.

    A publication whose container runs has its own addresses and ports in NetworkSettings; HostConfig keeps what was
    asked. What was asked and is in force is told once, as in force.
    """
    live, asked = _ports(raw), raw["HostConfig"].get("PortBindings") or {}
    for port, binding in _bindings(live):
        numbers = {_number(one) for one in asked.get(port) or []}
        # Published without being asked for by its number: « -P », « -p 80 », or one of a range.
        yield from _published(name(raw), port, binding, live=True, chosen=_number(binding) not in numbers)
    for port, binding in _bindings(asked):
        if not live.get(port):
            chosen = _number(binding) in ("", "0") or "-" in _number(binding)
            yield from _published(name(raw), port, binding, live=False, chosen=chosen)


def _bindings(ports: Mapping[str, list[dict[str, str]] | None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every port of a container with each of its bindings."""
    return ((port, binding) for port, bindings in ports.items() for binding in bindings or [])


def _number(binding: dict[str, str]) -> str:
    """The port of the machine: "" lets the engine choose a free one, "8000-8010" one of a range."""
    return binding.get("HostPort") or ""


def _published(
    container: str, port: str, binding: dict[str, str], *, live: bool, chosen: bool
) -> Iterator[Publication]:
    number, _, protocol = port.partition("/")
    first, _, last = _number(binding).partition("-")
    host_ip = binding.get("HostIp") or ""
    for address in [host_ip] if host_ip else EVERY_ADDRESS:
        yield Publication(
            container=container,
            protocol=protocol or "tcp",
            container_port=int(number),
            host_ip=address,
            host_port=int(first) if first and first != "0" else None,
            host_port_last=int(last) if last else None,
            live=live,
            chosen=chosen,
        )


def _network(raw: Inspection) -> Network:
    pools = (raw.get("IPAM") or {}).get("Config") or []
    return Network(
        name=raw["Name"],
        id=raw["Id"],
        driver=raw["Driver"],
        scope=raw.get("Scope"),
        internal=raw.get("Internal"),
        ipv6=raw.get("EnableIPv6"),
        # Its name is enough, whatever its value (libnetwork, `drivers/overlay/ov_network.go`).
        encrypted="encrypted" in (raw.get("Options") or {}) if raw["Driver"] == "overlay" else None,
        subnets=tuple(pool["Subnet"] for pool in pools if pool.get("Subnet")),
        gateways=tuple(pool["Gateway"].partition("/")[0] for pool in pools if pool.get("Gateway")),
        compose_project=(raw.get("Labels") or {}).get(f"{_COMPOSE}project"),
        created=_moment(raw.get("Created")),
    )


def _volume(raw: dict[str, Any]) -> Volume:
    return Volume(
        name=raw["Name"],
        driver=raw["Driver"],
        scope=raw.get("Scope"),
        mountpoint=_set(raw, "Mountpoint"),
        compose_project=(raw.get("Labels") or {}).get(f"{_COMPOSE}project"),
        created=_moment(raw.get("CreatedAt")),
    )


def _image(checked: dict[str | None, bool], raw: dict[str, Any]) -> Image:
    """One image; `checked` tells, of the images that were inspected, which have a health check."""
    return Image(
        id=raw["Id"],
        tags=tuple(tag for tag in _all(raw, "RepoTags") if tag != "<none>:<none>"),
        size=raw.get("Size"),
        # Seconds; an image that does not tell gives 0 or the year 1.
        created=dt.datetime.fromtimestamp(created, dt.UTC) if (created := _positive(raw.get("Created"))) else None,
        healthcheck=checked.get(raw["Id"]),
    )


def _moment(text: str | None) -> dt.datetime | None:
    """An instant of the engine; its year 1 means "never"."""
    return None if not text or text.startswith("0001-") else dt.datetime.fromisoformat(text)


def _positive(value: int | None) -> int | None:
    """A limit or a moment; 0 and what is below it mean none."""
    return value if value and value > 0 else None
