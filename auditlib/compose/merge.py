"""What a later file makes of an earlier one, each in any of the forms that may be written: package `override`."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from auditlib.compose.document import Invalid, Map, Place, Seq, mapping, place_of, sequence, text
from auditlib.compose.mounts import short_mount

Path = tuple[str, ...]

# Fields by their path, without the name of the service, of the network or of the volume.
_REPLACED = {("services", "command"), ("services", "entrypoint"), ("services", "healthcheck", "test")}
_SEQUENCES = {
    *(("services", name) for name in ("annotations", "dns", "dns_opt", "dns_search", "env_file", "environment")),
    *(("services", name) for name in ("label_file", "labels", "sysctls", "tmpfs")),
    *(("services", "build", name) for name in ("args", "additional_contexts", "labels")),
    ("services", "deploy", "labels"),
    ("networks", "labels"),
    ("volumes", "labels"),
}
_HOSTS = {("services", "extra_hosts"), ("services", "build", "extra_hosts")}
_KEYED = {("services", "networks"), ("services", "models"), ("services", "depends_on")}
_BLOCKS = {*_KEYED, ("services", "build")}


def _field(path: Path) -> Path:
    return (*path[:1], *path[2:])


def merge(base: Any, other: Any, path: Path = ()) -> Any:
    """`base`, overridden by `other`; neither is changed. Raises Invalid."""
    field = _field(path)
    if field in _REPLACED or (field[:2] == ("services", "ulimits") and len(field) == 3):
        return other
    place = place_of(other, place_of(base))
    if field in _SEQUENCES:
        return sequence([*as_sequence(base), *as_sequence(other)], place_of(base, place))
    if field in _HOSTS:
        earlier = as_sequence(base)
        return sequence([*earlier, *(host for host in as_sequence(other) if host not in earlier)], place)
    if (field in _BLOCKS and base is None and other) or (field == ("services", "logging") and None in (base, other)):
        raise Invalid("un bloc de clés est attendu", place)
    if field in _KEYED:
        return _mapped(_keyed(base, field), _keyed(other, field), path)
    if field == ("services", "build"):
        return _mapped(_build(base), _build(other), path)
    if field == ("services", "logging") and isinstance(base, Map) and isinstance(other, Map):
        drivers = {one.get("driver") for one in (base, other) if "driver" in one}
        return other if len(drivers) > 1 else _mapped(base, other, path)
    if field == ("networks", "ipam", "config") and isinstance(base, Seq) and isinstance(other, Seq):
        return _subnets(base, other, path)
    if other is None:
        return base
    if isinstance(base, Map) and isinstance(other, Map):
        return _mapped(base, other, path)
    if isinstance(base, Seq) and isinstance(other, Seq):
        return sequence([*base, *other], base.place)
    if isinstance(base, Map | Seq):
        shown = ".".join(path)[:100]
        raise Invalid(f"« {shown} » n’est pas de la même forme d’un fichier à l’autre", place)
    return other


def _mapped(base: Map, other: Map, path: Path) -> Map:
    made = mapping(base, base.place)
    for key, value in other.items():
        made[key] = merge(made[key], value, (*path, key)) if key in made else value
    return made


def as_sequence(value: Any) -> Seq:
    """`K: v` as `K=v`, in the order of names; a text alone as a list of it."""
    if isinstance(value, Seq):
        return value
    if isinstance(value, Map):
        pairs = [_pair(key, one) for key, item in value.items() for one in (item if isinstance(item, Seq) else [item])]
        return sequence(sorted(pairs), value.place)
    return sequence([value] if isinstance(value, str) else [], place_of(value))


def _pair(key: Any, item: Any) -> Any:
    if item is None:
        return key
    written = getattr(item, "raw", None)
    value = shown(item)
    return text(f"{key}={value}", place_of(item, place_of(key)), f"{key}={value if written is None else written}")


def shown(item: Any) -> str:
    """A scalar as Go prints it."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if not isinstance(item, float):
        return str(item)
    if not math.isfinite(item):
        return "NaN" if math.isnan(item) else "+Inf" if item > 0 else "-Inf"
    # The fewest digits that make this number; an exponent from a million on.
    number = Decimal(repr(item)).normalize()
    if -4 <= number.adjusted() < 6 or not item:
        return repr(item).removesuffix(".0")
    return f"{item:.{len(number.as_tuple().digits) - 1}e}"


def _keyed(value: Any, field: Path) -> Map:
    if isinstance(value, Seq):
        return mapping({key: need(place_of(key)) if field[1] == "depends_on" else None for key in value}, value.place)
    return value if isinstance(value, Map) else mapping({}, place_of(value))


def need(place: Place) -> Map:
    """A dependency of which nothing is said."""
    return mapping({"condition": "service_started", "required": True}, place)


def _build(value: Any) -> Map:
    if isinstance(value, str):
        return mapping({"context": value}, place_of(value))
    return value if isinstance(value, Map) else mapping({}, place_of(value))


def _subnets(base: Seq, other: Seq, path: Path) -> Seq:
    """Address ranges of a network: those of one subnet are one."""
    made: dict[Any, Any] = {}
    for earlier in base:
        for later in other:
            if later.get("subnet") != earlier.get("subnet") and later.get("subnet") not in made:
                made[later.get("subnet")] = later
                continue
            both = _mapped(earlier, later, path)
            made[both.get("subnet")] = both
    return sequence(made.values(), base.place)


def _name(item: Any, place: Place) -> Any:
    if not isinstance(item, str):
        raise Invalid("un texte est attendu", place)
    return item.partition("=")[0]


def _target(item: Any, place: Place) -> Any:
    if isinstance(item, str):
        return str(short_mount(item, place)["target"])
    if isinstance(item, Map) and not isinstance(item.get("target"), str):
        raise Invalid("un montage n’a pas de « target »", place)
    return item["target"] if isinstance(item, Map) else ""


def _device(item: Any, place: Place) -> Any:
    if isinstance(item, str):
        parts = item.split(":")
        return parts[min(1, len(parts) - 1)]
    if isinstance(item, Map) and not isinstance(item.get("target"), str):
        raise Invalid("un périphérique n’a pas de « target »", place)
    return item["target"] if isinstance(item, Map) else ""


def _file_of(folder: str) -> Callable[[Any, Place], Any]:
    def key(item: Any, place: Place) -> Any:
        if isinstance(item, Map):
            return str(item["target"] if "target" in item else f"{folder}/{item.get('source')}")
        return f"{folder}/{item}"

    return key


def _port(item: Any, place: Place) -> Any:
    if not isinstance(item, Map):
        return shown(item)
    if "target" not in item:
        raise Invalid("un port n’a pas de « target » utilisable", place)
    # Compose takes 80 and "80" for two ports.
    published = item.get("published")
    host, protocol = item.get("host_ip", "0.0.0.0"), item.get("protocol", "tcp")  # noqa: S104
    return (host, isinstance(published, str), published, item["target"], protocol)


def _env_file(item: Any, place: Place) -> Any:
    if isinstance(item, Map) and not isinstance(item.get("path"), str):
        raise Invalid("« env_file » n’a pas de chemin", place)
    return item["path"] if isinstance(item, Map) else item


_UNIQUE: dict[Path, Callable[[Any, Place], Any]] = {
    **{("services", name): _name for name in ("annotations", "cap_add", "cap_drop", "dns", "dns_opt", "dns_search")},
    **{("services", name): _name for name in ("environment", "labels", "links", "profiles", "sysctls", "tmpfs")},
    **{("services", "build", name): _name for name in ("additional_contexts", "args", "labels", "platform", "tags")},
    ("services", "deploy", "labels"): _name,
    ("networks", "labels"): _name,
    ("networks", "ipam", "options"): _name,
    ("services", "configs"): _file_of(""),
    ("services", "devices"): _device,
    ("services", "env_file"): _env_file,
    ("services", "expose"): lambda item, _: shown(item),
    ("services", "ports"): _port,
    ("services", "secrets"): _file_of("/run/secrets"),
    ("services", "volumes"): _target,
}
_OF_A_NETWORK = {"aliases", "link_local_ips"}  # services.*.networks.*


def unique(value: Any, path: Path = ()) -> Any:
    """The tree where the entries of a list that name the same thing are one, the last. Raises Invalid."""
    if isinstance(value, Map):
        return mapping({key: unique(item, (*path, key)) for key, item in value.items()}, value.place)
    if not isinstance(value, Seq):
        return value
    field = _field(path)
    key = _UNIQUE.get(field)
    if field[:2] == ("services", "networks") and len(field) == 4 and field[3] in _OF_A_NETWORK:
        key = _name
    if key is None:
        return value
    kept: dict[Any, Any] = {}
    for item in value:
        # The first one's rank, the last one's value.
        kept[key(item, place_of(item, value.place))] = item
    return sequence(kept.values(), value.place)


def dropped(tree: Any, paths: list[Path]) -> Any:
    """The tree without what stands at `paths`: an earlier value under a later `!reset` or `!override`."""
    for path in paths:
        tree = _without(tree, path)
    return tree


def _without(tree: Any, path: Path) -> Any:
    if not path or not isinstance(tree, Map) or path[0] not in tree:
        return tree
    made = mapping(tree, tree.place)
    if len(path) == 1:
        del made[path[0]]
    else:
        made[path[0]] = _without(made[path[0]], path[1:])
    return made
