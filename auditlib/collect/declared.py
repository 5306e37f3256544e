"""What labels, dynamic files and the static configuration declare, for the probes to ask when the API was not read.

Rows as the API's, with what the probes look at and no more. Which of these routers Traefik has loaded is for the
simulation to say. A router without a rule of its own, and the labels under constraints, are left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditlib.addresses import host_and_port
from auditlib.collect import traefik_files, traefik_static
from auditlib.collect.containers import name
from auditlib.collect.secrets import redact_rule
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.collect.traefik_objects import entrypoints
from auditlib.facts.tables.traefik import FileRouter, TraefikRouter
from auditlib.traefik.decoding import TRUE

_RULE = re.compile(r"(traefik\.(http|tcp)\.routers\.([^.]+))\.rule")
_HEALTHS = (None, "", "none", "healthy")  # Traefik leaves the others aside


def declared(payloads: Payloads) -> Reading:
    """Rows of `traefik_entrypoints` and `traefik_routers`, from the engine, the options and the files.

    Raises Unreadable when the options in force are not known.
    """
    static, containers = payloads["traefik_static"], payloads["engine"]["containers"]
    options, sure = traefik_static.options(static)
    if not sure:
        raise Unreadable("absent", "la configuration statique en vigueur n’est pas connue", "corriger son fichier")
    points = entrypoints([*_points(options)])
    everywhere = tuple(point.entrypoint for point in points if point.default)
    usual = "v2" if _is_old(static["container"], containers) else options.get("core.defaultrulesyntax")
    routers = [
        replace(
            router,
            status="enabled",
            rule_syntax=router.rule_syntax or usual,
            entrypoints=router.entrypoints or everywhere,
        )
        for router in (*_of_labels(containers, options), *_of_files(payloads.get("traefik_files")))
    ]
    return Reading({"traefik_entrypoints": points, "traefik_routers": routers})


def _is_old(proxy: str | None, containers: list[dict[str, Any]]) -> bool:
    """Whether the image of Traefik's container says version 2."""
    images = [str(one["Config"].get("Image") or "") for one in containers if name(one) == proxy]
    return any(re.search(r":v?2(?:\.|$)", image) for image in images)


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


def _of_labels(containers: list[dict[str, Any]], options: Mapping[str, str]) -> Iterator[TraefikRouter]:
    docker = any(key == "providers.docker" or key.startswith("providers.docker.") for key in options)
    if not docker or options.get("providers.docker.constraints"):
        return
    exposed = options.get("providers.docker.exposedbydefault", "true")
    for container in containers:
        labels = {label.lower(): str(value) for label, value in (container["Config"].get("Labels") or {}).items()}
        healthy = (container["State"].get("Health") or {}).get("Status") in _HEALTHS
        wanted = labels.get("traefik.enable", exposed) in TRUE
        if container["State"].get("Running") and healthy and wanted:
            yield from (_of_label(match, labels) for match in filter(None, map(_RULE.fullmatch, labels)))


def _of_label(rule: re.Match[str], labels: Mapping[str, str]) -> TraefikRouter:
    """The router that a label gives a rule to."""
    prefix, protocol, own = rule.groups()
    points = (one.strip() for one in labels.get(f"{prefix}.entrypoints", "").split(","))
    # Traefik reads anything but "true" and "" as no TLS.
    tls = labels.get(f"{prefix}.tls", "false").lower() in ("true", "")
    return TraefikRouter(
        router=f"{own}@docker",
        protocol=protocol,
        rule=redact_rule(labels[rule[0]]),
        rule_syntax=labels.get(f"{prefix}.rulesyntax"),
        entrypoints=tuple(filter(None, points)),
        tls=tls or any(label.startswith(f"{prefix}.tls.") for label in labels),
    )


def _of_files(payload: dict[str, Any] | None) -> Iterator[TraefikRouter]:
    for row in () if payload is None else traefik_files.rows(payload).of(FileRouter):
        if row.effective and row.rule:
            yield TraefikRouter(
                router=f"{row.router}@file",
                protocol=row.protocol,
                rule=row.rule,
                rule_syntax=row.rule_syntax,
                entrypoints=row.entrypoints,
                tls=row.tls,
            )
