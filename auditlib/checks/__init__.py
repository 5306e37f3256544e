"""The checks, one module per family. Importing this package registers them all."""

from auditlib import declarations  # noqa: F401 - the views that checks ask for
from auditlib.checks import compose, containers, docker_networks, expected, exposure, networks, ports, routes, waivers

__all__ = ["compose", "containers", "docker_networks", "expected", "exposure", "networks", "ports", "routes", "waivers"]
