"""The merged files as the program keeps them: texts, numbers, sizes and paths; packages `types` and `paths`.

A value of the wrong kind is refused here, also for a service that does not start.
"""

import re
from collections.abc import Callable
from typing import Any

from auditlib.compose import ports
from auditlib.compose.document import Invalid, Map, Place, Seq, Text, mapping, place_of, sequence, text
from auditlib.compose.merge import as_sequence, shown
from auditlib.compose.mounts import Folder

_SIZE = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)? ?(?:[kmgtp]i?b?|b)?", re.IGNORECASE)
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|[smhdw]))+)")
_UNITS = {"": 1, "b": 1} | {unit: 1024**power for power, unit in enumerate("kmgtp", start=1)}


def located(tree: Map, folder: Folder) -> Map:
    """The files with their relative paths made absolute. Raises Invalid."""
    made = mapping(tree, tree.place)
    if isinstance(services := tree.get("services"), Map):
        made["services"] = mapping({name: _located(one, folder) for name, one in services.items()}, services.place)
    for kind in ("secrets", "configs"):
        if isinstance(items := tree.get(kind), Map):
            made[kind] = mapping(
                {name: _with_path(one, "file", folder.mounted) for name, one in items.items()}, items.place
            )
    return made


def _with_path(value: Any, key: str, absolute: Callable[[str], Text]) -> Any:
    if not isinstance(value, Map) or not isinstance(value.get(key), str):
        return value
    made = mapping(value, value.place)
    made[key] = absolute(made[key])
    return made


def _located(service: Any, folder: Folder) -> Any:
    if not isinstance(service, Map):
        return service
    made = mapping(service, service.place)
    if isinstance(build := made.get("build"), Map):
        build = made["build"] = _with_path(build, "context", folder.context)
        if isinstance(contexts := build.get("additional_contexts"), Map):
            build["additional_contexts"] = mapping(
                {name: folder.context(one) if isinstance(one, str) else one for name, one in contexts.items()},
                contexts.place,
            )
    if isinstance(files := made.get("env_file"), Seq):
        made["env_file"] = sequence([_with_path(one, "path", folder.absolute) for one in files], files.place)
    if isinstance(files := made.get("label_file"), Seq):
        made["label_file"] = sequence([folder.absolute(str(one)) for one in files], files.place)
    if "extends" in made:
        made["extends"] = _with_path(made["extends"], "file", folder.file)
    if isinstance(volumes := made.get("volumes"), Seq):
        made["volumes"] = sequence(
            [_bound(one, place_of(one, volumes.place), folder) for one in volumes], volumes.place
        )
    return made


def _bound(mount: Any, place: Place, folder: Folder) -> Any:
    if not isinstance(mount, Map) or mount.get("type") != "bind":
        return mount
    if "source" not in mount:
        raise Invalid("un montage de type « bind » n’a pas de « source »", place)
    return _with_path(mount, "source", folder.mounted)


def decoded(service: Map) -> Map:
    """A service whose every value is of the kind that its field holds. Raises Invalid."""
    made = mapping(service, service.place)
    for key, kind in _FIELDS.items():
        if made.get(key) is not None:
            made[key] = kind(made[key], place_of(made[key], place_of(key, made.place)))
    return made


def pairs(value: Any, place: Place) -> Map:
    """`K: v` or `- K=v` as a Map of texts; None for a name alone."""
    made = mapping({}, place_of(value, place))
    if isinstance(value, Map):
        for key, item in value.items():
            made[key] = None if item is None else _as_text(item, place_of(key, place))
        return made
    for item in value if isinstance(value, Seq) else ():
        name, equals, content = str(item).partition("=")
        where, raw = place_of(item, made.place), getattr(item, "raw", str(item))
        key = text(name, where)
        made.pop(key, None)
        made[key] = text(content, where, raw.partition("=")[2]) if equals else None
    return made


def _as_text(item: Any, place: Place) -> Text:
    return item if isinstance(item, Text) else text(shown(item), place_of(item, place))


def _variables(value: Any, place: Place) -> Map:
    made = pairs(value, place)
    for name in made if isinstance(value, Seq) else ():
        if name[-1:].isspace():
            raise Invalid("le nom d’une variable est suivi d’un espace", place_of(name, place))
    return made


def _options(value: Any, place: Place) -> Any:
    if not isinstance(value, Map) or not isinstance(value.get("options"), Map):
        return value
    options = {
        key: text("", place_of(key)) if item is None else _as_text(item, place_of(key))
        for key, item in value["options"].items()
    }
    return mapping({**value, "options": mapping(options, value["options"].place)}, value.place)


def _hosts(value: Any, place: Place) -> Seq:
    listed = as_sequence(value)
    for item in listed:
        name = re.split("[=:]", str(item), maxsplit=1)
        if len(name) < 2 or not name[0]:
            raise Invalid("un hôte de « extra_hosts » n’a pas d’adresse", place_of(item, place))
    return listed


def _list(value: Any, place: Place) -> Seq:
    return as_sequence(value)


def size(value: Any, place: Place) -> int:
    """A number of bytes. Raises Invalid."""
    if not isinstance(value, str):
        return int(value)
    if not _SIZE.fullmatch(value):
        raise Invalid("une taille de mémoire ou de disque est mal écrite", place)
    number, unit = re.fullmatch(r"(.*?[\d.]) ?([a-z]*)", value.lower()).groups()  # type: ignore[union-attr]  # _SIZE has matched
    bytes_ = int(float(number) * _UNITS[unit[:1]])
    if bytes_ < 0:
        raise Invalid("une taille de mémoire ou de disque est négative", place)
    return bytes_


def _duration(value: Any, place: Place) -> Any:
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        raise Invalid("une durée est mal écrite", place)
    return value


def _count(value: Any, place: Place) -> Any:
    if isinstance(value, str) and value.lower() != "all" and not re.fullmatch(r"[-+]?\d{1,18}", value):
        raise Invalid("un nombre de périphériques n’est ni « all » ni un nombre", place)
    return value


def _number(value: Any, place: Place) -> Any:
    try:
        return float(value)
    except ValueError:
        raise Invalid("un nombre de processeurs n’est pas un nombre", place) from None


_Kind = Callable[[Any, Place], Any]


def _block(**kinds: _Kind) -> _Kind:
    """The kind of a Map whose items are of these kinds."""

    def block(value: Any, place: Place) -> Any:
        if not isinstance(value, Map):
            return value
        made = mapping(value, value.place)
        for key, kind in kinds.items():
            if made.get(key) is not None:
                made[key] = kind(made[key], place_of(made[key], place_of(key, place)))
        return made

    return block


def _all(kind: _Kind) -> _Kind:
    def listed(value: Any, place: Place) -> Any:
        return (
            sequence([kind(item, place_of(item, place)) for item in value], value.place)
            if isinstance(value, Seq)
            else value
        )

    return listed


_PACE = _block(delay=_duration, monitor=_duration, window=_duration)
_DEVICES = _all(_block(count=_count))
_FIELDS: dict[str, _Kind] = {
    **dict.fromkeys(("annotations", "labels", "sysctls"), pairs),
    **dict.fromkeys(("dns", "dns_opt", "dns_search", "tmpfs"), _list),
    **dict.fromkeys(("mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size"), size),
    "environment": _variables,
    "build": _block(args=pairs, labels=pairs, shm_size=size),
    "cpus": _number,
    "deploy": _block(
        labels=pairs,
        resources=_block(
            limits=_block(cpus=_number, memory=size),
            reservations=_block(cpus=_number, memory=size, devices=_DEVICES),
        ),
        restart_policy=_PACE,
        rollback_config=_PACE,
        update_config=_PACE,
    ),
    "extra_hosts": _hosts,
    "gpus": _DEVICES,
    "healthcheck": _block(interval=_duration, timeout=_duration, start_period=_duration, start_interval=_duration),
    "logging": _options,
    "ports": lambda value, _: sequence(ports.gathered(value), value.place),
    "stop_grace_period": _duration,
    "volumes": _all(_block(tmpfs=_block(size=size))),
}
