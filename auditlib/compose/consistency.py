"""Whether the parts of a project agree: compose-go's checkConsistency, for the services that would start."""

from collections.abc import Iterator
from typing import Any

from auditlib.compose.document import Map, Place, place_of
from auditlib.compose.project import Project

Fault = tuple[str, Place]


def faults(project: Project) -> Iterator[Fault]:
    """What Compose would refuse, as French clauses with their places."""
    for name, service in project.services.items():
        if project.active(name):
            yield from _service(project, str(name), service, place_of(name))
    for kind, allowed in (("secrets", ("file", "environment")), ("configs", ("file", "environment", "content"))):
        for name, one in getattr(project, kind).items():
            given = [key for key in allowed if one.get(key)]
            if one.get("external") is not True and not one.get("driver") and len(given) != 1:
                wanted = ", ".join(allowed)
                yield f"« {kind}.{name[:80]} » doit dire une seule chose parmi : {wanted}", place_of(name)
    if cycle := _cycle(project):
        yield f"« depends_on » tourne en rond par le service « {cycle[:80]} »", place_of(cycle)


def _service(project: Project, name: str, service: Map, place: Place) -> Iterator[Fault]:
    at = f"le service « {name[:80]} »"
    if not service.get("image") and service.get("build") is None and service.get("provider") is None:
        yield f"{at} n’a ni image ni build", place
    if service.get("network_mode") and service.get("networks"):
        yield f"{at} a « network_mode » et « networks » à la fois", place_of(service["networks"], place)
    for kind in ("networks", "secrets", "configs"):
        for entry in service.get(kind) or ():
            wanted = str(entry.get("source") if isinstance(entry, Map) else entry)
            if wanted not in getattr(project, kind):
                yield f"{at} demande « {kind}.{wanted[:80]} », qui n’est pas déclaré", place_of(entry, place)
    targets: set[str] = set()
    for mount in service.get("volumes") or ():
        source = mount.get("source")
        if mount.get("type") == "volume" and source and source not in project.volumes:
            yield f"{at} demande « volumes.{source[:80]} », qui n’est pas déclaré", place_of(mount, place)
    for target in [*(str(one).partition(":")[0] for one in service.get("tmpfs") or ()), *_targets(service)]:
        if target in targets:
            yield f"{at} monte deux choses sur {target[:100]}", place
        targets.add(target)
    for wanted, how in (service.get("depends_on") or {}).items():
        if wanted in project.services and project.active(wanted):
            continue
        if wanted not in project.services or (how or {}).get("required", True) is not False:
            state = "dont le profil n’est pas actif" if wanted in project.services else "qui n’existe pas"
            yield f"{at} dépend du service « {wanted[:80]} », {state}", place_of(wanted, place)
    shared = str(service.get("network_mode") or "")
    if shared.startswith("service:") and shared[8:] not in project.services:
        yield f"{at} partage le réseau d’un service qui n’existe pas", place_of(service["network_mode"], place)
    if service.get("container_name") and replicas(service) > 1:
        yield f"{at} a un « container_name » et plusieurs exemplaires", place_of(service["container_name"], place)


def _targets(service: Map) -> Iterator[str]:
    return (str(mount.get("target")) for mount in service.get("volumes") or ())


def replicas(service: Map) -> int:
    """How many containers a service asks for."""
    asked = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    return asked if isinstance(asked, int) else 1


def needs(service: Map) -> list[Any]:
    """The services that this one waits for, in any of the ways that Compose knows."""
    links = [str(link).partition(":")[0] for link in service.get("links") or ()]
    shared = [str(service.get(key) or "") for key in ("network_mode", "ipc", "pid", "uts", "cgroup")]
    from_ = [str(one) for one in service.get("volumes_from") or ()]
    return [
        *(service.get("depends_on") or ()),
        *links,
        *(one[8:] for one in shared if one.startswith("service:")),
        *(one.partition(":")[0] for one in from_ if not one.startswith("container:")),
    ]


def _cycle(project: Project) -> Any | None:
    """A service that depends on itself through others."""
    state: dict[str, int] = {}
    for start in project.services:
        stack = [(start, iter(needs(project.services[start])))]
        while stack:
            name, rest = stack[-1]
            state[name] = 1
            following = next((one for one in rest if state.get(one, 0) < 2 and one in project.services), None)
            if following is None:
                state[name] = 2
                stack.pop()
            elif state.get(following) == 1:
                return following
            else:
                stack.append((following, iter(needs(project.services[following]))))
    return None
