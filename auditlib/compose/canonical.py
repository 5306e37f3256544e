"""One shape for what may be written in several: compose-go's package `transform`, and its relative paths."""

import posixpath
import re
from collections.abc import Callable
from typing import Any

from auditlib.compose import ports
from auditlib.compose.document import Invalid, Map, Place, Seq, Text, mapping, place_of, sequence, text

_REMOTE = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|git@|github\.com/|oci:)", re.IGNORECASE)
_RESOURCES = ("networks", "volumes", "secrets", "configs")


def remote(path: str) -> bool:
    """Whether a path names something of another machine."""
    return bool(_REMOTE.match(path))


def canonical(tree: Map, folder: str) -> Map:
    """The file in one shape; relative paths become absolute from `folder`. Raises Invalid."""
    made = mapping(tree, tree.place)
    made.pop("version", None)
    services = _map(tree.get("services"), tree.place)
    if "services" in tree:
        made["services"] = mapping(
            {name: _service(name, one, folder) for name, one in services.items()}, services.place
        )
    for kind in _RESOURCES:
        if kind in tree:
            items = _map(tree[kind], tree.place)
            made[kind] = mapping({name: _resource(one, name, folder) for name, one in items.items()}, items.place)
    return made


def _map(value: Any, place: Place) -> Map:
    if value is None:
        return mapping({}, place)
    if not isinstance(value, Map):
        raise Invalid("un bloc de clés est attendu", place_of(value, place))
    return value


def _resource(value: Any, name: str, folder: str) -> Map | None:
    if value is None:
        return None
    made = mapping(_map(value, place_of(name)), place_of(value))
    if isinstance(external := made.get("external"), Map):  # the old `external: {name: …}`
        if "name" in external:
            if made.get("name", external["name"]) != external["name"]:
                raise Invalid("« name » et « external.name » se contredisent", made.place)
            made["name"] = external["name"]
        made["external"] = True
    if isinstance(made.get("file"), str):
        made["file"] = absolute(made["file"], folder)
    if "labels" in made:
        made["labels"] = pairs(made["labels"], made.place)
    return made


def _service(name: str, value: Any, folder: str) -> Map:
    place = place_of(name)
    made = mapping(_map(value, place), place_of(value, place))
    for key, shape in _SHAPES.items():
        if key in made and made[key] is not None:
            made[key] = shape(made[key], made.place, folder)
    return made


def pairs(value: Any, place: Place) -> Map:
    """`K: v` or `- K=v` as a Map of texts; None for a name alone."""
    made = mapping({}, place_of(value, place))
    if isinstance(value, Map):
        for key, item in value.items():
            made[key] = None if item is None else _as_text(item, place_of(key))
        return made
    for item in _list(value, place):
        if not isinstance(item, Text):
            raise Invalid("un texte est attendu", place_of(item, made.place))
        name, equals, content = item.partition("=")
        key = text(name, item.place)
        made.pop(key, None)
        made[key] = text(content, item.place, item.raw.partition("=")[2]) if equals else None
    return made


def _as_text(item: Any, place: Place) -> Text:
    if isinstance(item, Text):
        return item
    shown = (
        ("true" if item else "false") if isinstance(item, bool) else f"{item:g}" if isinstance(item, float) else item
    )
    return text(str(shown), place_of(item, place))


def _list(value: Any, place: Place) -> Seq:
    if isinstance(value, Seq):
        return value
    if isinstance(value, str):
        return sequence([value], place_of(value, place))
    raise Invalid("une liste est attendue", place_of(value, place))


def _keyed(value: Any, place: Place, default: Callable[[Place], Any]) -> Map:
    """A list of names as a Map; a Map as it is."""
    if isinstance(value, Map):
        return value
    items = _list(value, place)
    if len(set(map(str, items))) < len(items):
        raise Invalid("une liste contient deux fois la même valeur", items.place)
    return mapping({key: default(place_of(key)) for key in items if isinstance(key, str)}, items.place)


def absolute(path: str, folder: str) -> Text:
    """A path from `folder`; what is remote or in the user's own folder is left as it is."""
    keep = remote(path) or path.startswith("~")
    return text(str(path) if keep else posixpath.normpath(posixpath.join(folder, path)), place_of(path))


def _build(value: Any, place: Place, folder: str) -> Map:
    made = mapping({"context": value} if isinstance(value, str) else _map(value, place), place_of(value, place))
    context = made.get("context")
    if isinstance(context, str):
        made["context"] = absolute(context, folder)
    for key in ("args", "labels", "additional_contexts"):
        if made.get(key) is not None:
            made[key] = pairs(made[key], made.place)
    return made


def _env_files(value: Any, place: Place, folder: str) -> Seq:
    items = _list(value, place)
    made = []
    for item in items:
        one = mapping({"path": item} if isinstance(item, str) else _map(item, place), place_of(item, place))
        if not isinstance(one.get("path"), str):
            raise Invalid("« env_file » n’a pas de chemin", one.place)
        one["path"] = absolute(one["path"], folder)
        made.append(one)
    return sequence(made, items.place)


def _extends(value: Any, place: Place, folder: str) -> Map:
    made = mapping({"service": value} if isinstance(value, str) else _map(value, place), place_of(value, place))
    if isinstance(made.get("file"), str):
        made["file"] = absolute(made["file"], folder)
    return made


def _mounts(value: Any, place: Place, folder: str) -> Seq:
    items = _list(value, place)
    return sequence([_mount(item, place_of(item, items.place), folder) for item in items], items.place)


def _mount(item: Any, place: Place, folder: str) -> Map:
    made = mapping(item, place) if isinstance(item, Map) else _short_mount(str(item), place)
    if isinstance(target := made.get("target"), str) and target:
        made["target"] = _clean(target)
    if made.get("type") == "bind" and isinstance(source := made.get("source"), str):
        made["source"] = absolute(source, folder)
    return made


def _clean(path: str) -> str:
    """A path as Go cleans it: `//` at the start is no exception."""
    return re.sub("^//", "/", posixpath.normpath(path))


def _short_mount(item: str, place: Place) -> Map:
    parts = re.sub(r"(?:(?<=:)|^)([A-Za-z]):(?=[\\/])", "\\1\0", item).split(":")
    source, target, *options = [part.replace("\0", ":") for part in (parts if len(parts) > 1 else ["", *parts])]
    if len(options) > 1 or not target or (len(parts) > 1 and not source) or "" in options:
        raise Invalid("un montage est mal écrit", place)
    kind = "bind" if re.match(r"[./~]|\\\\|[A-Za-z]:", source) else "volume"
    made = mapping({"type": kind, "target": target}, place)
    if source:
        made["source"] = text(source, place)
    if "ro" in (options[0].split(",") if options else ()):
        made["read_only"] = True
    return made


def _file_mounts(value: Any, place: Place, folder: str) -> Seq:
    items = _list(value, place)
    return sequence(
        [mapping({"source": item}, place_of(item)) if isinstance(item, str) else item for item in items], items.place
    )


def _ports(value: Any, place: Place, folder: str) -> Seq:
    items = _list(value, place)
    return sequence([ports.parse(item, items.place) for item in items], items.place)


def _hosts(value: Any, place: Place, folder: str) -> Seq:
    if not isinstance(value, Map):
        return _list(value, place)
    made = [f"{name}={one}" for name, item in value.items() for one in (item if isinstance(item, Seq) else [item])]
    return sequence([text(one, place_of(value)) for one in sorted(made)], place_of(value))


def _needs(place: Place) -> Map:
    return mapping({"condition": "service_started", "required": True}, place)


_Shape = Callable[[Any, Place, str], Any]
_SHAPES: dict[str, _Shape] = {
    **dict.fromkeys(("annotations", "environment", "labels", "sysctls"), lambda value, place, _: pairs(value, place)),
    **dict.fromkeys(("dns", "dns_opt", "dns_search", "tmpfs"), lambda value, place, _: _list(value, place)),
    **dict.fromkeys(("networks", "models"), lambda value, place, _: _keyed(value, place, lambda _: None)),
    "depends_on": lambda value, place, _: _keyed(value, place, _needs),
    "label_file": lambda value, place, folder: sequence(
        [absolute(item, folder) for item in _list(value, place)], place_of(value, place)
    ),
    "build": _build,
    "extra_hosts": _hosts,
    "env_file": _env_files,
    "extends": _extends,
    "volumes": _mounts,
    "secrets": _file_mounts,
    "configs": _file_mounts,
    "ports": _ports,
}
