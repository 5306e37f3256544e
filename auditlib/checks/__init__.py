"""The checks, one module per family. Importing this package registers them all."""

from auditlib.checks import (
    compose,
    compose_running,
    containers,
    database_access,
    databases,
    declared_routes,
    networks,
    ports,
    routes,
    waivers,
)

__all__ = [
    "compose",
    "compose_running",
    "containers",
    "database_access",
    "databases",
    "declared_routes",
    "networks",
    "ports",
    "routes",
    "waivers",
]
