"""What the project says of a whole dynamic configuration, in the shape of Traefik's API."""

from collections.abc import Mapping
from typing import Any

import yaml

from auditlib.traefik.building import Finding, Part, References, qualified
from auditlib.traefik.configured import configured_whole
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.decoding import Tree
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.files import decode_file
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.routers import EntryPoint, Router
from auditlib.traefik.services import balancer_kind, service_steps, tls_options_steps
from auditlib.traefik.statuses import Judgement, judge
from auditlib.traefik.versions import features, number

Entry = tuple[str | None, tuple[str, ...]]
Shown = dict[str, dict[str, Entry]]


def written(dynamic: Mapping[str, Any]) -> str:
    """A configuration as a file."""
    return yaml.safe_dump(dict(dynamic), allow_unicode=True, sort_keys=False)


def _decoded(dynamic: Mapping[str, Any], version: str) -> Tree:
    running = version_of(version)
    assert running is not None
    return decode_file("dynamic.yml", written(dynamic), running).tree


def references(tree: Tree, version: str, protocol: str, internal: Mapping[str, str] | None = None) -> References:
    """What the routers of one protocol of a decoded file may refer to."""
    at, part = number(version), tree.get(protocol.upper()) or {}
    services = {
        f"{name}@file": Part(service_steps(f"{name}@file", one or {}, at, protocol), balancer_kind(one or {}, at))
        for name, one in (part.get("Services") or {}).items()
    }
    middlewares = {
        f"{name}@file": Part(middleware_steps(f"{name}@file", one or {}, at, protocol))
        for name, one in (part.get("Middlewares") or {}).items()
    }
    options = {
        name if name == "default" else f"{name}@file": Part(tls_options_steps(one or {}, at))
        for name, one in ((tree.get("TLS") or {}).get("Options") or {}).items()
    }
    transports = {f"{name}@file" for name in part.get("ServersTransports") or {}}
    return References(services, middlewares, options, transports, internal=internal)


def predicted(dynamic: Mapping[str, Any], version: str, points: tuple[str, ...], internal: Mapping[str, str]) -> Shown:
    """Status and errors of each HTTP router, service and middleware of a configuration that is one YAML file."""
    known = references(_decoded(dynamic, version), version, "http", internal)
    routers = {f"{name}@file": one for name, one in dynamic["http"]["routers"].items()}
    found, judgement = configured_whole(version, [EntryPoint(point) for point in points], routers, known)
    return {"routers": {one.router.name: (one.status, one.errors) for one in found}, **_parts("http", known, judgement)}


def predicted_streams(dynamic: Mapping[str, Any], version: str, points: tuple[str, ...]) -> Shown:
    """The same of the routers, services and middlewares of tcp and udp; « tcpRouters » and so on."""
    tree = _decoded(dynamic, version)
    shown: Shown = {}
    for protocol in ("tcp", "udp"):
        known = references(tree, version, protocol)
        links = [
            Linked(
                Router(
                    f"{name}@file",
                    one.get("rule") or "",
                    tuple(one["entryPoints"]),
                    "tls" in one,
                    options=qualified((one.get("tls") or {}).get("options") or "default@", f"{name}@file").rstrip("@"),
                    protocol=protocol,
                ),
                qualified(one["service"], f"{name}@file") if one.get("service") else None,
                [f"{middleware}@file" for middleware in one.get("middlewares") or ()],
            )
            for name, one in dynamic[protocol]["routers"].items()
        ]
        judgement = judge(links, {protocol: points}, {protocol: known}, features(version))
        states = {link.router.name: state for link, state in zip(links, judgement.states, strict=True)}
        shown[f"{protocol}Routers"] = {name: (state.status, state.errors) for name, state in states.items()}
        for kind, entries in _parts(protocol, known, judgement).items():
            shown[f"{protocol}{kind.capitalize()}"] = entries
    return shown


def _parts(protocol: str, known: References, judgement: Judgement) -> Shown:
    def entry(finding: Finding) -> Entry:
        return finding.status, tuple(finding.errors)

    return {
        "services": {name: entry(judgement.services.get((protocol, name), Finding())) for name in known.services or ()},
        "middlewares": {
            name: entry(judgement.middlewares.get((protocol, name), Finding())) for name in known.middlewares or ()
        },
    }
