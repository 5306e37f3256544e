"""Whether the parts of a project agree: compose-go's package `validation`, and its checkConsistency."""

from collections.abc import Iterator, Mapping
from typing import Any

from auditlib.compose.document import Invalid, Map, Place, Seq, place_of
from auditlib.compose.project import Project

Fault = tuple[str, Place]


_SOURCES = {"secrets": ("file", "environment"), "configs": ("file", "environment", "content")}


def check(tree: Map) -> None:
    """What Compose refuses in the files that it loads together, included ones apart. Raises Invalid."""
    for name, volume in (tree.get("volumes") or {}).items():
        if isinstance(volume, Map) and volume.get("external") is True:
            more = [key for key in volume if key not in ("name", "external") and not key.startswith("x-")]
            if more:
                raise Invalid(
                    f"« volumes.{name[:80]} » est externe : « {more[0][:40]} » n’y a pas de sens", place_of(more[0])
                )
    for kind, sources in _SOURCES.items():
        for name, one in (tree.get(kind) or {}).items():
            given = [key for key in sources if key in (one or ())]
            none = not given and not any(key in (one or ()) for key in ("driver", "external"))
            if len(given) > 1 or none:
                wanted = ", ".join(sources)
                raise Invalid(f"« {kind}.{name[:80]} » doit dire une seule chose parmi : {wanted}", place_of(name))
    for service in (tree.get("services") or {}).values():
        reserved = _inside(service, "deploy", "resources", "reservations", "devices")
        for device in (*(service.get("gpus") or ()), *(reserved or ())):
            if "count" in device and "device_ids" in device:
                raise Invalid("un périphérique a « count » et « device_ids » à la fois", place_of(device))


def _inside(value: Any, *keys: str) -> Any:
    """What stands below these keys; None when nothing does."""
    for key in keys:
        value = value.get(key) if isinstance(value, Map) else None
    return value


def faults(project: Project) -> Iterator[Fault]:
    """What Compose would refuse, as French clauses with their places."""
    active = {name: service for name, service in project.services.items() if project.active(name)}
    for name, service in active.items():
        at, place = f"le service « {name[:80]} »", place_of(name)
        for kind in (_construction, _references, _mounts, _limits, _health):
            for clause, where in kind(project, service):
                yield f"{at} {clause}", place_of(where, place)
    for name, secret in project.secrets.items():
        if secret.get("external") is not True and not secret.get("file") and not secret.get("environment"):
            yield f"« secrets.{name[:80]} » n’a ni « file » ni « environment »", place_of(name)
    taken: set[str] = set()
    for name, service in active.items():
        if chosen := service.get("container_name"):
            if chosen in taken:
                yield f"le service « {name[:80]} » a le « container_name » d’un autre", place_of(chosen, place_of(name))
            taken.add(chosen)
    if cycle := _cycle(active):
        yield f"« depends_on » tourne en rond par le service « {cycle[:80]} »", place_of(cycle)


# A clause without its subject, and a value that knows its place.
_Clauses = Iterator[tuple[str, Any]]


def _construction(project: Project, service: Map) -> _Clauses:
    build = service.get("build")
    if build is None:
        if not service.get("image") and service.get("provider") is None:
            yield "n’a ni image ni build", None
        return
    if build.get("dockerfile") and build.get("dockerfile_inline"):
        yield "a « dockerfile » et « dockerfile_inline » à la fois", build["dockerfile"]
    for context in (build.get("additional_contexts") or {}).values():
        other = str(context).removeprefix("service:")
        if other == context:
            continue
        if other not in project.services or not project.active(other):
            yield f"se construit sur le service « {other[:80]} », qui n’existe pas ou n’est pas actif", context
        elif project.services[other].get("build") is None:
            yield f"se construit sur le service « {other[:80]} », qui n’a pas de build", context
    if (platform := service.get("platform")) and build.get("platforms") and platform not in build["platforms"]:
        yield "a une « platform » qui n’est pas parmi celles de « build.platforms »", platform


def _references(project: Project, service: Map) -> _Clauses:
    if service.get("network_mode") and service.get("networks"):
        yield "a « network_mode » et « networks » à la fois", service["networks"]
    build = service.get("build") or {}
    asked = [(kind, service.get(kind)) for kind in ("networks", "secrets", "configs", "models")]
    for kind, entries in (*asked, ("secrets", build.get("secrets"))):
        for entry in entries or ():
            wanted = str(entry.get("source") if isinstance(entry, Map) else entry)
            if kind == "networks" and wanted.startswith("x-"):
                yield f"demande « networks.{wanted[:80]} », que Compose prend pour une extension", entry
            elif wanted not in getattr(project, kind):
                yield f"demande « {kind}.{wanted[:80]} », qui n’est pas déclaré", entry
    told = service.get("depends_on") or {}
    for wanted in needs(service):
        optional = (told.get(wanted) or {}).get("required", True) is False
        if wanted not in project.services:
            yield f"dépend du service « {wanted[:80]} », qui n’existe pas", wanted
        elif not project.active(wanted) and not optional:
            yield f"dépend du service « {wanted[:80]} », dont le profil n’est pas actif", wanted


def _mounts(project: Project, service: Map) -> _Clauses:
    targets: set[str] = set()
    for mount in service.get("volumes") or ():
        source = mount.get("source")
        if mount.get("type") == "volume" and source and source not in project.volumes:
            yield f"demande « volumes.{source[:80]} », qui n’est pas déclaré", mount
    for target in [*(str(one).partition(":")[0] for one in service.get("tmpfs") or ()), *_targets(service)]:
        if target in targets:
            yield f"monte deux choses sur {target[:100]}", None
        targets.add(target)


def _limits(project: Project, service: Map) -> _Clauses:
    limits = _inside(service, "deploy", "resources", "limits")
    reserved = _inside(service, "deploy", "resources", "reservations")
    for key, block, name in (
        ("cpus", limits, "cpus"),
        ("mem_limit", limits, "memory"),
        ("pids_limit", limits, "pids"),
        ("mem_reservation", reserved, "memory"),
    ):
        if service.get(key) and block is not None and (block.get(name) or 0) != service[key]:
            yield f"dit deux choses par « {key} » et par « deploy.resources »", service[key]
    scale, copies = service.get("scale"), _inside(service, "deploy", "replicas")
    if scale is not None and copies is not None and scale != copies:
        yield "dit deux choses par « scale » et par « deploy.replicas »", scale
    for count in (scale, copies):
        if isinstance(count, int) and count < 0:
            yield "a un nombre d’exemplaires négatif", count
    if service.get("container_name") and replicas(service) > 1:
        yield "a un « container_name » et plusieurs exemplaires", service["container_name"]


def _health(project: Project, service: Map) -> _Clauses:
    test = _inside(service, "healthcheck", "test")
    if isinstance(test, Seq) and test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        yield "a un « healthcheck.test » qui ne commence ni par CMD, ni par CMD-SHELL, ni par NONE", test
    for watch in _inside(service, "develop", "watch") or ():
        if not watch.get("target") and watch.get("action") not in ("rebuild", "restart"):
            yield "a un « develop.watch » sans « target »", watch


def _targets(service: Map) -> Iterator[str]:
    return (str(mount.get("target")) for mount in service.get("volumes") or ())


def replicas(service: Map) -> int:
    """How many containers a service asks for."""
    asked = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    return asked if isinstance(asked, int) else 1


def needs(service: Map) -> list[Any]:
    """The services that this one waits for, in any of the ways that Compose knows."""
    links = [link.partition(":")[0] if link.count(":") == 1 else link for link in service.get("links") or ()]
    shared = [str(service.get(key) or "") for key in ("network_mode", "ipc", "pid", "uts", "cgroup")]
    from_ = [str(one) for one in service.get("volumes_from") or ()]
    wanted = [
        *(service.get("depends_on") or ()),
        *links,
        *(one[8:] for one in shared if one.startswith("service:")),
        *(one.partition(":")[0] for one in from_ if not one.startswith("container:")),
    ]
    return list(dict.fromkeys(wanted))


def _cycle(services: Mapping[str, Map]) -> Any | None:
    """A service that depends on itself through others."""
    state: dict[str, int] = {}
    for start in services:
        stack = [(start, iter(needs(services[start])))]
        while stack:
            name, rest = stack[-1]
            state[name] = 1
            following = next((one for one in rest if state.get(one, 0) < 2 and one in services), None)
            if following is None:
                state[name] = 2
                stack.pop()
            elif state.get(following) == 1:
                return following
            else:
                stack.append((following, iter(needs(services[following]))))
    return None
