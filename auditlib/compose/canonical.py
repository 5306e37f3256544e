"""One shape for what may be written in several: compose-go's package `transform`.

What a file makes of the earlier ones is brought in this shape before the next file: it is one that may be written too.
"""

from collections.abc import Callable
from typing import Any

from auditlib.compose import ports
from auditlib.compose.document import Invalid, Map, Place, Seq, mapping, place_of, sequence, text
from auditlib.compose.merge import need
from auditlib.compose.mounts import clean, short_mount

_RESOURCES = ("networks", "volumes", "secrets", "configs")
_PORTS = 2_000  # of one service that are told apart


def canonical(tree: Map) -> Map:
    """The files so far in one shape. Raises Invalid."""
    made = mapping(tree, tree.place)
    if isinstance(services := tree.get("services"), Map):
        made["services"] = mapping({name: _service(one) for name, one in services.items()}, services.place)
    for kind in _RESOURCES:
        if isinstance(items := tree.get(kind), Map):
            made[kind] = mapping({name: _resource(one, name) for name, one in items.items()}, items.place)
    return made


def _resource(value: Any, name: str) -> Map | None:
    if value is None:
        return None
    if not isinstance(value, Map):
        raise Invalid("un bloc de clés est attendu", place_of(value, place_of(name)))
    made = mapping(value, value.place)
    if isinstance(external := made.get("external"), Map):  # the old `external: {name: …}`
        if "name" in external:
            if made.get("name", external["name"]) != external["name"]:
                raise Invalid("« name » et « external.name » se contredisent", made.place)
            made["name"] = external["name"]
        made["external"] = True
    return made


def _service(value: Any) -> Any:
    return _shaped(value, _SHAPES) if isinstance(value, Map) else value


_Shape = Callable[[Any, Place], Any]


def _shaped(value: Map, shapes: dict[str, _Shape]) -> Map:
    made = mapping(value, value.place)
    for key, shape in shapes.items():
        if key in made:
            made[key] = shape(made[key], place_of(made[key], place_of(key, made.place)))
    return made


def _wrong(place: Place) -> Invalid:
    return Invalid("une valeur n’a pas la forme attendue", place)


def _each(shape: _Shape) -> _Shape:
    """The shape of every item of a list; anything else stays as it is."""

    def made(value: Any, place: Place) -> Any:
        if not isinstance(value, Seq):
            return value
        return sequence([shape(item, place_of(item, place)) for item in value], value.place)

    return made


def _listed(value: Any, place: Place) -> Any:
    return sequence([value], place) if isinstance(value, str) else value


def _servers(value: Any, place: Place) -> Any:
    """Name servers; one that a variable without a value leaves empty is none."""
    listed = _listed(value, place)
    return sequence([one for one in listed if one not in (None, "")], place) if isinstance(listed, Seq) else listed


def _keyed(value: Any, place: Place) -> Any:
    return mapping(dict.fromkeys(value), value.place) if isinstance(value, Seq) else value


def _needs(value: Any, place: Place) -> Map:
    if isinstance(value, Seq):
        return mapping({name: need(place_of(name, place)) for name in value}, value.place)
    if not isinstance(value, Map) or not all(isinstance(one, Map) for one in value.values()):
        raise _wrong(place)
    return mapping(
        {name: mapping({**need(place), **one}, place_of(one, place)) for name, one in value.items()}, value.place
    )


def _build(value: Any, place: Place) -> Map:
    if isinstance(value, str):
        return mapping({"context": value}, place)
    if not isinstance(value, Map):
        raise _wrong(place)
    return _shaped(value, _BUILD)


def _contexts(value: Any, place: Place) -> Map:
    if isinstance(value, Map):
        return value
    made = mapping({}, place)
    for item in value if isinstance(value, Seq) else ():
        name, equals, context = str(item).partition("=")
        if not equals:
            raise Invalid("« additional_contexts » attend des NOM=valeur", place_of(item, place))
        made[text(name, place_of(item, place))] = text(context, place_of(item, place))
    return made


def _env_files(value: Any, place: Place) -> Any:
    def file(item: Any, place: Place) -> Any:
        one = mapping(item, place) if isinstance(item, Map) else mapping({"path": item}, place)
        one.setdefault("required", True)
        return one

    listed = _listed(value, place)
    if not isinstance(listed, Seq):
        raise _wrong(place)
    return _each(file)(listed, place)


def _extends(value: Any, place: Place) -> Any:
    return mapping({"service": value}, place) if isinstance(value, str) else value


def _devices(value: Any, place: Place) -> Any:
    if isinstance(value, str):
        return sequence([mapping({"count": "all"}, place)], place)
    return value


def _device(item: Any, place: Place) -> Any:
    if not isinstance(item, str):
        return item
    source, *rest = item.split(":")
    if len(rest) > 2:
        raise Invalid("un périphérique est mal écrit", place)
    target, permissions = (rest + ["", "rwm"][len(rest) :])[:2]
    return mapping({"source": source, "target": target or source, "permissions": permissions}, place)


def _mount(item: Any, place: Place) -> Any:
    return short_mount(item, place) if isinstance(item, str) else item


def _file_mount(item: Any, place: Place) -> Any:
    return mapping({"source": item}, place) if isinstance(item, str) else item


def _ports(value: Any, place: Place) -> Any:
    if not isinstance(value, Seq):
        raise _wrong(place)
    made: list[Any] = []
    for item in value:
        if isinstance(item, Map):
            made.append(item)
        else:
            made += ports.each(ports.parse(item, place_of(item, place)), apart=len(made) < _PORTS)
    return sequence(made, value.place)


_BUILD: dict[str, _Shape] = {"secrets": _each(_file_mount), "additional_contexts": _contexts}
_SHAPES: dict[str, _Shape] = {
    "build": _build,
    "configs": _each(_file_mount),
    "depends_on": _needs,
    "devices": _each(_device),
    "dns": _servers,
    "env_file": _env_files,
    "extends": _extends,
    "gpus": _devices,
    "label_file": _listed,
    "models": _keyed,
    "networks": _keyed,
    "ports": _ports,
    "secrets": _each(_file_mount),
    "volumes": _each(_mount),
}


def with_defaults(tree: Map) -> Map:
    """The project with what is there without being written: the folder of a construction, the targets of secrets."""
    services = tree.get("services")
    if not isinstance(services, Map):
        return tree
    made = mapping(tree, tree.place)
    made["services"] = mapping({name: _completed(one) for name, one in services.items()}, services.place)
    return made


def _completed(service: Any) -> Any:
    made = mapping(service, service.place)
    if isinstance(build := made.get("build"), Map):
        made["build"] = mapping({"context": text(".", build.place), **build}, build.place)
    for key in ("volumes", "secrets"):
        if isinstance(made.get(key), Seq):
            made[key] = sequence([_targeted(item, key) for item in made[key]], made[key].place)
    return made


def _targeted(item: Map, key: str) -> Map:
    made = mapping(item, item.place)
    if key == "secrets":
        made.setdefault("target", f"/run/secrets/{item.get('source')}")
    elif isinstance(made.get("target"), str):
        made["target"] = clean(made["target"])
    return made
