"""The checks, one module per family. Importing this package registers them all."""

from auditlib.checks import compose, containers, networks, ports, routes, waivers

__all__ = ["compose", "containers", "networks", "ports", "routes", "waivers"]
