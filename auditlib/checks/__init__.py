"""The checks, one module per family. Importing this package registers them all."""

from auditlib.checks import (
    compose,
    containers,
    networks,
    ports,
    route_labels,
    route_rules,
    route_servers,
    route_shields,
    route_sources,
    routes,
    waivers,
)

__all__ = [
    "compose",
    "containers",
    "networks",
    "ports",
    "route_labels",
    "route_rules",
    "route_servers",
    "route_shields",
    "route_sources",
    "routes",
    "waivers",
]
