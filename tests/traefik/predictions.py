"""What the project says of a whole dynamic configuration, in the shape of Traefik's API."""

from collections.abc import Mapping
from typing import Any

import yaml

from auditlib.traefik.building import Part, References
from auditlib.traefik.configured import configured_whole
from auditlib.traefik.decoding import Tree
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.files import decode_file
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.routers import EntryPoint
from auditlib.traefik.services import balancer_kind, service_steps, tls_options_steps
from auditlib.traefik.versions import number

Shown = dict[str, dict[str, tuple[str | None, tuple[str, ...]]]]


def written(dynamic: Mapping[str, Any]) -> str:
    """A configuration as a file."""
    return yaml.safe_dump(dict(dynamic), allow_unicode=True, sort_keys=False)


def references(tree: Tree, version: str, internal: Mapping[str, str]) -> References:
    """What HTTP routers of a decoded file may refer to."""
    at, http = number(version), tree.get("HTTP") or {}
    services = {
        f"{name}@file": Part(service_steps(f"{name}@file", one or {}, at), balancer_kind(one or {}, at))
        for name, one in (http.get("Services") or {}).items()
    }
    middlewares = {
        f"{name}@file": Part(middleware_steps(f"{name}@file", one or {}, at))
        for name, one in (http.get("Middlewares") or {}).items()
    }
    options = {
        name if name == "default" else f"{name}@file": Part(tls_options_steps(one or {}, at))
        for name, one in ((tree.get("TLS") or {}).get("Options") or {}).items()
    }
    transports = {f"{name}@file" for name in http.get("ServersTransports") or {}}
    return References(services, middlewares, options, transports, internal=internal)


def predicted(dynamic: Mapping[str, Any], version: str, points: tuple[str, ...], internal: Mapping[str, str]) -> Shown:
    """Status and errors of each HTTP router, service and middleware of a configuration that is one YAML file."""
    running = version_of(version)
    assert running is not None
    known = references(decode_file("dynamic.yml", written(dynamic), running).tree, version, internal)
    routers = {f"{name}@file": one for name, one in dynamic["http"]["routers"].items()}
    found, judgement = configured_whole(version, [EntryPoint(point) for point in points], routers, known)
    shown: Shown = {"routers": {one.router.name: (one.status, one.errors) for one in found}}
    for kind, names, findings in (
        ("services", known.services, judgement.services),
        ("middlewares", known.middlewares, judgement.middlewares),
    ):
        shown[kind] = {}
        for name in names or ():
            finding = findings.get(("http", name))
            shown[kind][name] = (finding.status, tuple(finding.errors)) if finding else ("enabled", ())
    return shown
