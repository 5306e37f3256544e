"""Commands that mend: Compose called the way this server calls it, and what depends on it."""

import posixpath
import shlex

from auditlib.findings import Command
from auditlib.schema import Row


def compose(container: Row) -> Row:
    """Wording for commands on a container's stack: `compose`, its Compose command, and `service`, its name there.

    Both are None for a container that no project made. The version that Compose wrote in the container's labels
    tells which program made it: `docker-compose` is version 1, a plugin of `docker` since version 2.
    """
    if not container["compose_project"]:
        return {"compose": None, "service": None}
    program = "docker-compose" if str(container["compose_version"] or "2").startswith("1.") else "docker compose"
    files = " ".join(f"-f {shlex.quote(file)}" for file in container["compose_files"] or ())
    command = Command(f"{program} -p {shlex.quote(container['compose_project'])} {files}".strip())
    return {"compose": command, "service": container["compose_service"]}


def compose_on_disk(project: Row) -> Command:
    """The Compose command on the files of a project of the disk, a row of `compose_projects`."""
    paths = [posixpath.join(project["root"], file) for file in project["files"].split(" + ")]
    files = " ".join(f"-f {shlex.quote(path)}" for path in paths)
    return Command(f"docker compose -p {shlex.quote(project['project'])} {files}")
