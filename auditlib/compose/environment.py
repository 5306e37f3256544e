"""The variables that a service has in its container."""

from collections.abc import Iterator

from auditlib.compose import dotenv
from auditlib.compose.document import Map, Text, place_of, text
from auditlib.compose.project import Project, Reader


def environment(project: Project, service: Map, read: Reader) -> Iterator[tuple[str, Text | None]]:
    """The variables of a service as they are in its container, name and value: `env_file`, then `environment`.

    The value is None when nothing gives one. Raises Invalid and OSError for an `env_file`.
    """
    written = {
        name: value
        if value is not None or name not in project.variables
        # The name alone: the value is that of the project.
        else text(project.variables[name], place_of(name), "$")
        for name, value in (service.get("environment") or {}).items()
    }
    own = {name: str(value) for name, value in written.items() if value is not None}
    found: dict[str, Text | None] = {}
    for entry in service.get("env_file") or ():
        path = entry["path"]
        try:
            content = read(path)
        except FileNotFoundError:
            if entry.get("required", True) is False:
                continue
            raise
        earlier = {name: value for name, value in found.items() if value is not None}
        known = {**earlier, **own, **project.variables}
        for name, value in dotenv.read(content, str(path), known, entry.get("format")).items():
            found[name] = text(value, place_of(entry))
    yield from {**found, **written}.items()
