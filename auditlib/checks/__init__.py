"""The checks, one module per family. Importing this package registers them all."""

from auditlib.checks import (
    acme,
    certificates,
    compose,
    containers,
    http,
    logs,
    networks,
    ports,
    renewals,
    routes,
    waivers,
)

__all__ = [
    "acme",
    "certificates",
    "compose",
    "containers",
    "http",
    "logs",
    "networks",
    "ports",
    "renewals",
    "routes",
    "waivers",
]
