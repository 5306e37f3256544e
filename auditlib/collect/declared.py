"""What labels, dynamic files and the static configuration declare, for the probes to ask when the API was not read.

Rows as the API's, with what the probes look at and no more. Which of these routers Traefik has loaded is for the
simulation to say. A router without a rule of its own, and the labels under constraints, are left out.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditlib.addresses import host_and_port
from auditlib.collect import traefik_files, traefik_static
from auditlib.collect.containers import name
from auditlib.collect.secrets import redact_rule
from auditlib.collect.source import Payloads, Unreadable
from auditlib.collect.traefik_objects import entrypoints
from auditlib.facts.legacy import Record
from auditlib.traefik.decoding import TRUE

_RULE = re.compile(r"(traefik\.(http|tcp)\.routers\.([^.]+))\.rule")
_HEALTHS = (None, "", "none", "healthy")  # Traefik leaves the others aside


def declared(payloads: Payloads) -> dict[str, list[Record]]:
    """Rows of `traefik_entrypoints` and `traefik_routers`, from the engine, the options and the files.

    Raises Unreadable when the options in force are not known.
    """
    static = payloads["traefik_static"]
    rows = traefik_static.rows(static).tables["traefik_static"]
    if any(row["effective"] is None for row in rows):
        raise Unreadable("absent", "la configuration statique en vigueur n’est pas connue", "corriger son fichier")
    options = {row["key"]: row["value"] or "" for row in rows if row["effective"]}
    points = entrypoints([*_points(options)])
    everywhere = [row["entrypoint"] for row in points if row["default"]]
    containers = payloads["engine"]["containers"]
    images = [str(one["Config"].get("Image") or "") for one in containers if name(one) == static["container"]]
    old = any(re.search(r":v?2(?:\.|$)", image) for image in images)
    usual = "v2" if old else options.get("core.defaultrulesyntax")
    found = [*_of_labels(containers, options), *_of_files(payloads.get("traefik_files"))]
    routers = [
        {
            **row,
            "status": "enabled",
            "rule_syntax": row["rule_syntax"] or usual,
            "entrypoints": row["entrypoints"] or everywhere,
        }
        for row in found
    ]
    return {"traefik_entrypoints": points, "traefik_routers": routers}


def _points(options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The entry points, in the API's form; without any, one named « http »; `api.insecure` makes its own."""
    named = re.compile(r"entrypoints\.([^.]+)\.address")
    addresses = {match[1]: value for key, value in options.items() if (match := named.fullmatch(key))}
    addresses = addresses or {"http": ":80"}
    if options.get("api.insecure") in TRUE:
        addresses.setdefault("traefik", ":8080")
    for point, address in addresses.items():
        prefix = f"entrypoints.{point}"
        to = options.get(f"{prefix}.http.redirections.entrypoint.to")
        tls = any(key == f"{prefix}.http.tls" or key.startswith(f"{prefix}.http.tls.") for key in options)
        http = {**({"tls": {}} if tls else {}), **({"redirections": {"entryPoint": {"to": to}}} if to else {})}
        if host_and_port(address)[1] is not None:
            default = options.get(f"{prefix}.asdefault") in TRUE
            yield {"name": point, "address": address, "asDefault": default, "http": http}


def _of_labels(containers: list[dict[str, Any]], options: Mapping[str, str]) -> Iterator[Record]:
    docker = any(key == "providers.docker" or key.startswith("providers.docker.") for key in options)
    if not docker or options.get("providers.docker.constraints"):
        return
    exposed = options.get("providers.docker.exposedbydefault", "true")
    for container in containers:
        labels = {label.lower(): str(value) for label, value in (container["Config"].get("Labels") or {}).items()}
        healthy = (container["State"].get("Health") or {}).get("Status") in _HEALTHS
        wanted = labels.get("traefik.enable", exposed) in TRUE
        if not (container["State"].get("Running") and healthy and wanted):
            continue
        for match in filter(None, map(_RULE.fullmatch, labels)):
            prefix, protocol, own = match.groups()
            # Traefik reads anything but "true" and "" as no TLS.
            tls = labels.get(f"{prefix}.tls", "false").lower() in ("true", "")
            yield {
                "router": f"{own}@docker",
                "protocol": protocol,
                "rule": redact_rule(labels[match[0]]),
                "rule_syntax": labels.get(f"{prefix}.rulesyntax"),
                "entrypoints": [
                    one.strip() for one in labels.get(f"{prefix}.entrypoints", "").split(",") if one.strip()
                ],
                "tls": tls or any(label.startswith(f"{prefix}.tls.") for label in labels),
            }


def _of_files(payload: dict[str, Any] | None) -> Iterator[Record]:
    rows = [] if payload is None else traefik_files.rows(payload).tables["traefik_file_routers"]
    kept = ("protocol", "rule", "rule_syntax", "entrypoints", "tls")
    for row in rows:
        if row["effective"] and row["rule"]:
            yield {"router": f"{row['router']}@file", **{column: row[column] for column in kept}}
