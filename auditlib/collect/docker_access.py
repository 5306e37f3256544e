"""Who may command Docker, and how its daemon is set: group, sockets, `/etc/docker/daemon.json`, flags of `dockerd`.

A setting stands either in the file or on the command line: `dockerd` refuses to start with one in both
(`daemon/config/config.go`, `findConfigurationConflicts`).
"""

import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auditlib.collect.processes import named
from auditlib.collect.secrets import redact
from auditlib.collect.source import Payloads, Reading
from auditlib.facts.table import Row
from auditlib.facts.tables.host import DockerDaemon, DockerSocket, GroupMember
from auditlib.parameters import Parameters

CONFIG = "/etc/docker/daemon.json"
MAX_FILE = 1_000_000  # bytes; a daemon's configuration is a few hundred

_SOCKETS = {
    "run/docker.sock": "docker",
    "var/run/docker.sock": "docker",
    "run/containerd/containerd.sock": "containerd",
}
_ROOTLESS = "run/user/*/docker.sock"

# Options by the name of their column: flags are singular where the file's key is plural.
_FLAGS = {"tls", "tlsverify", "live-restore", "icc", "iptables", "ip6tables", "userland-proxy"}
_FLAGS |= {"no-new-privileges", "experimental"}
_TEXTS = {"data-root", "group", "log-driver", "log-level", "userns-remap", "storage-driver"}
_TEXTS |= {"cgroup-parent", "seccomp-profile"}
_LISTS = {"hosts", "insecure-registries", "authorization-plugins", "storage-opts"}
_SINGULAR = {
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "authorization-plugin": "authorization-plugins",
    "storage-opt": "storage-opts",
}
_SHORT = {"-H": "host", "-G": "group", "-g": "data-root", "-l": "log-level", "-s": "storage-driver"}
_OLD = {"graph": "data-root"}
_VALUED = {*_TEXTS, *_SINGULAR, "log-opt", "default-ulimit"}

Accounts = dict[str, list[dict[str, Any]]]  # groups and users, by these names


def fetch(parameters: Parameters, payloads: Payloads, root: Path = Path("/")) -> dict[str, Any]:
    """Accounts, sockets, running daemons and their files, of the system that is below `root`."""
    daemons = [*_daemons(root / "proc")]
    paths = {_option(daemon["arguments"], "config-file") or CONFIG for daemon in daemons} or {CONFIG}
    sockets = [*_sockets(root, daemons)]
    return {
        "accounts": _accounts(root / "etc", sockets),
        "sockets": sockets,
        "daemons": [{"pid": one["pid"], "settings": _settings(one["arguments"])} for one in daemons],
        "files": {path: _configuration(root / path.lstrip("/")) for path in sorted(paths)},
        "config_files": {one["pid"]: _option(one["arguments"], "config-file") or CONFIG for one in daemons},
    }


def _accounts(folder: Path, sockets: list[dict[str, Any]]) -> Accounts | None:
    """The local groups and accounts that the sockets concern, and no other; None when their files cannot be read."""
    try:
        passwd, group = _entries(folder / "passwd", 7, numbers=2), _entries(folder / "group", 4, numbers=1)
    except OSError:
        return None
    owners, holders = {str(one["uid"]) for one in sockets}, {str(one["gid"]) for one in sockets}
    groups: list[dict[str, Any]] = [
        {"name": name, "gid": int(gid), "members": [*filter(None, members.split(","))]}
        for name, _, gid, members in group
        if name == "docker" or gid in holders
    ]
    gids, members = {one["gid"] for one in groups}, {name for one in groups for name in one["members"]}
    users = [
        {"name": name, "uid": int(uid), "gid": int(gid)}
        for name, _, uid, gid, *_ in passwd
        if uid in owners or name in members or int(gid) in gids
    ]
    return {"groups": groups, "users": users}


def _entries(path: Path, count: int, *, numbers: int) -> list[list[str]]:
    """The lines of a file of accounts that have so many fields, so many numbers among them from the third."""
    entries = [line.split(":") for line in path.read_text("utf-8", "replace").splitlines()]
    return [one for one in entries if len(one) == count and all(map(str.isdecimal, one[2 : 2 + numbers]))]


def _daemons(proc: Path) -> Iterator[dict[str, Any]]:
    """The running `dockerd`s with their arguments."""
    for pid in named(proc, "dockerd"):
        try:
            line = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:  # gone
            continue
        yield {"pid": pid, "arguments": line.rstrip("\0").split("\0")[1:]}


def _sockets(root: Path, daemons: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The sockets at the usual places, and where the daemons listen; each file once."""
    wanted = {**_SOCKETS, **{str(path.relative_to(root)): "docker" for path in root.glob(_ROOTLESS)}}
    for daemon in daemons:
        for host in _settings(daemon["arguments"]).get("hosts", []):
            if host.startswith("unix://"):
                wanted[host.removeprefix("unix://").lstrip("/")] = "docker"
        if containerd := _option(daemon["arguments"], "containerd"):
            wanted[containerd.removeprefix("unix://").lstrip("/")] = "containerd"
    seen = set()
    for path, daemon_name in wanted.items():
        try:
            told = (root / path).stat()
        except OSError:
            continue
        if stat.S_ISSOCK(told.st_mode) and (told.st_dev, told.st_ino) not in seen:
            seen.add((told.st_dev, told.st_ino))
            place = {"path": f"/{path}", "daemon": daemon_name}
            yield {**place, "mode": f"{stat.S_IMODE(told.st_mode):o}", "uid": told.st_uid, "gid": told.st_gid}


def _option(arguments: list[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument == f"--{name}":
            return following
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return None


def _settings(arguments: list[str]) -> dict[str, Any]:
    """The options of a `dockerd` command line that the audit uses, under the names of the file."""
    settings: dict[str, Any] = {}
    following = iter(arguments)
    for argument in following:
        name, equals, value = argument.partition("=")
        if not argument.startswith("--") and argument[:2] in _SHORT:
            # -H tcp://…, -H=tcp://…, -Htcp://…
            name, value = _SHORT[argument[:2]], argument[2:].removeprefix("=")
            value = value or next(following, "")
        elif argument.startswith("--"):
            name = _OLD.get(name[2:], name[2:])
            if name in _FLAGS:
                settings[name] = value.lower() in ("1", "t", "true") if equals else True
                continue
            # Another option may be a switch: what follows it is not its value.
            value = value if equals or name not in _VALUED else next(following, "")
        else:
            continue
        _add(settings, _SINGULAR.get(name, name), value)
    return settings


def _add(settings: dict[str, Any], name: str, value: str) -> None:
    if name in _LISTS:
        settings[name] = [*settings.get(name, []), redact(value)]
    elif name in _TEXTS:
        settings[name] = redact(value)
    elif name == "log-opt" and value.partition("=")[0] in ("max-size", "max-file"):
        settings.setdefault("log-opts", {})[value.partition("=")[0]] = value.partition("=")[2]
    elif name == "default-ulimit":
        settings.setdefault("default-ulimits", []).append(value.partition("=")[0])


def _configuration(path: Path) -> dict[str, Any]:
    """The settings of a configuration file that the audit uses; `error` says why there are none."""
    try:
        if path.stat().st_size > MAX_FILE:
            return {"exists": True, "error": "trop gros"}
        read = json.loads(path.read_text("utf-8-sig") or "{}")
    except FileNotFoundError:
        return {"exists": False}
    except PermissionError:
        return {"exists": None, "error": "interdit à cet utilisateur"}
    except (OSError, ValueError, RecursionError):
        return {"exists": True, "error": "illisible, ou ce n’est pas du JSON"}
    if not isinstance(read, dict):
        return {"exists": True, "error": "illisible, ou ce n’est pas du JSON"}
    return {"exists": True, "settings": _allowed(read)}


def _allowed(read: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in read.items():
        name = _OLD.get(key, key)
        if name in _FLAGS and isinstance(value, bool):
            settings[name] = value
        elif name in _TEXTS and isinstance(value, str):
            settings[name] = redact(value)
        elif name in _LISTS and isinstance(value, list):
            settings[name] = [redact(str(item)) for item in value]
        elif name == "log-opts" and isinstance(value, dict):
            settings[name] = {option: str(value[option]) for option in ("max-size", "max-file") if option in value}
        elif name == "default-ulimits" and isinstance(value, dict):
            settings[name] = sorted(value)
    return settings


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `docker_group`, `docker_sockets` and `docker_daemon`."""
    accounts = payload["accounts"]
    users = {one["uid"]: one["name"] for one in accounts["users"]} if accounts else {}
    groups = {one["gid"]: one["name"] for one in accounts["groups"]} if accounts else {}
    tables: dict[str, Sequence[Row]] = {
        "docker_sockets": [
            DockerSocket(
                path=one["path"],
                daemon=one["daemon"],
                mode=one["mode"],
                owner=users.get(one["uid"], str(one["uid"])),
                group=groups.get(one["gid"], str(one["gid"])),
            )
            for one in payload["sockets"]
        ],
        "docker_daemon": [*_daemon_rows(payload)],
    }
    gaps = [f"le fichier {path} est {told['error']}" for path, told in payload["files"].items() if "error" in told]
    if accounts is None:
        gaps.append("/etc/passwd et /etc/group sont illisibles")
    else:
        commanding = {one["gid"] for one in payload["sockets"] if one["daemon"] == "docker"}
        tables["docker_group"] = [*_members(accounts, commanding)]
    return Reading(tables, gaps, "Relancez avec sudo, ou corrigez ces fichiers." if gaps else "")


def _members(accounts: Accounts, commanding: set[int]) -> Iterator[GroupMember]:
    """The accounts of Docker's groups, root aside: those a group lists, and those whose main group it is."""
    uids = {one["name"]: one["uid"] for one in accounts["users"]}
    for group in accounts["groups"]:
        if group["name"] == "root" or not (group["name"] == "docker" or group["gid"] in commanding):
            continue
        primary = {one["name"] for one in accounts["users"] if one["gid"] == group["gid"]}
        for user in sorted({*group["members"], *primary} - {"root"}):
            yield GroupMember(group=group["name"], user=user, uid=uids.get(user), primary=user in primary)


def _daemon_rows(payload: dict[str, Any]) -> Iterator[DockerDaemon]:
    files = payload["files"]
    daemons = payload["daemons"] or [{"pid": None, "settings": {}}]
    # JSON makes text of the numbers that name things.
    config_files = {str(pid): path for pid, path in payload["config_files"].items()}
    for daemon in daemons:
        path = config_files.get(str(daemon["pid"]), CONFIG)
        settings = {**files[path].get("settings", {}), **daemon["settings"]}
        logs = settings.pop("log-opts", {})
        yield DockerDaemon(
            config_file=path,
            config_exists=files[path]["exists"],
            config_read="error" not in files[path],
            pid=daemon["pid"],
            **{name.replace("-", "_"): value for name, value in settings.items()},
            log_max_size=logs.get("max-size"),
            log_max_file=logs.get("max-file"),
        )
