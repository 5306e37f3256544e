"""The checks, one module per family. Importing this package registers them all."""

from auditlib.checks import (
    cis_daemon,
    cis_more,
    cis_runtime,
    compose,
    containers,
    coverage,
    host,
    networks,
    ports,
    routes,
    waivers,
)

__all__ = [
    "cis_daemon",
    "cis_more",
    "cis_runtime",
    "compose",
    "containers",
    "coverage",
    "host",
    "networks",
    "ports",
    "routes",
    "waivers",
]
