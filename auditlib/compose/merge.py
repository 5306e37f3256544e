"""What a later file makes of an earlier one: compose-go's package `override`."""

from typing import Any

from auditlib.compose.document import Invalid, Map, Seq, mapping, place_of, sequence
from auditlib.compose.ports import Port

Path = tuple[str, ...]

_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
_BY_NAME = {
    "cap_add",
    "cap_drop",
    "dns",
    "dns_opt",
    "dns_search",
    "links",
    "profiles",
    "tmpfs",
    "expose",
    "extra_hosts",
}
# Compose does not merge what these repeat, and its schema refuses repetitions.
_ONCE = {"external_links", "group_add", "security_opt", "volumes_from"}
_BY_TARGET = {"volumes": "", "configs": "", "secrets": "/run/secrets"}


def merge(base: Any, other: Any, path: Path = ()) -> Any:
    """`base`, overridden by `other`; both in canonical shape, neither is changed. Raises Invalid."""
    field = path[2:] if path[:1] == ("services",) else ()
    if field in _REPLACED or (field[:1] == ("ulimits",) and len(field) == 2):
        return other
    if other is None:
        return base
    if isinstance(base, Map):
        if not isinstance(other, Map):
            raise Invalid(
                f"« {'.'.join(path)[:100]} » n’est pas de la même forme d’un fichier à l’autre", place_of(other)
            )
        drivers = {one.get("driver") for one in (base, other) if "driver" in one}
        if field == ("logging",) and len(drivers) > 1:
            return other
        made = mapping(base, base.place)
        for key, value in other.items():
            made[key] = merge(made[key], value, (*path, key)) if key in made else value
        return made
    if isinstance(base, Seq):
        if not isinstance(other, Seq):
            raise Invalid(
                f"« {'.'.join(path)[:100]} » n’est pas de la même forme d’un fichier à l’autre", place_of(other)
            )
        return sequence([*base, *other], base.place)
    return other


def unique(value: Any, path: Path = ()) -> Any:
    """The tree where the entries of a list that name the same thing are one, the last. Raises Invalid."""
    if isinstance(value, Map):
        return mapping({key: unique(item, (*path, key)) for key, item in value.items()}, value.place)
    if isinstance(value, Seq) and path[:1] == ("services",) and len(path) >= 3:
        if path[2] in _ONCE and len(set(map(str, value))) < len(value):
            raise Invalid(f"« {'.'.join(path)[:100]} » contient deux fois la même valeur", value.place)
        kept: dict[Any, Any] = {}
        for number, item in enumerate(value):
            # The first one's rank, the last one's value.
            kept[_key(path[2:], item, number)] = item
        return sequence(kept.values(), value.place)
    return value


def _key(field: Path, item: Any, rank: int) -> Any:
    name = field[0]
    if isinstance(item, Port):
        return item.key
    if len(field) > 1:
        return str(item) if field[0] == "networks" else rank
    if isinstance(item, Map):
        if name == "env_file":
            return item.get("path")
        if name in _BY_TARGET:
            return str(item.get("target") or f"{_BY_TARGET[name]}/{item.get('source')}")
        if name == "devices":
            return item.get("target")
    elif name in _BY_NAME:
        return str(item).partition("=")[0] if name not in ("expose", "extra_hosts") else str(item)
    elif name == "devices":
        parts = str(item).split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    return rank


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
