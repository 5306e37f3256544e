"""Traefik's API: where it can be asked, and what it says, as rows.

Versions 3.0 to 3.7 are verified on recorded answers of the real programs; version 2 is read by its documented shape
(its routers carry a priority only when the user set one), and the source says so.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from auditlib.collect.containers import label_value, name
from auditlib.collect.secrets import redact, redact_rule
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.collect.traefik_static import proxies
from auditlib.collect.traefik_static import rows as static_rows
from auditlib.french import os_error
from auditlib.parameters import Parameters
from auditlib.rules import RuleError, domains, parse
from auditlib.schema import Row
from auditlib.version import __version__

MAX_BODY = 64_000_000  # bytes; 10 000 routers are about 5 MB
GIVE = "donner traefik_api (et traefik_auth_env si l’API demande un mot de passe)"


@dataclass(frozen=True)
class Door:
    """One way to the API: an address, and the host name to ask for when it is not the address's own."""

    url: str
    host: str = ""
    verify: bool = True


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Version, raw data and entry points, from the first door that opens.

    Raises Unreadable when there is no door, or with the reason of the last one that stayed shut.
    """
    auth = _credentials(parameters.traefik_auth_env)
    given = parameters.traefik_api
    container, doors = _found(payloads) if given == "auto" else _given(given, payloads["engine"])
    closed: Unreadable | None = None
    for door in doors:
        try:
            return _ask(door, auth, parameters.timeout_s) | {"container": container and name(container)}
        except Unreadable as shut:
            # A refusal tells more than the silence of the next door.
            closed = shut if closed is None or shut.status == "refused" else closed
    raise closed or Unreadable("absent", "Traefik n’expose son API à aucune adresse connue", GIVE)


def _credentials(variable: str) -> tuple[str, str] | None:
    if not variable:
        return None
    user, colon, password = os.environ.get(variable, "").partition(":")
    if not colon:
        wanted = f"la variable d’environnement « {variable} » est vide ou n’a pas la forme utilisateur:mot de passe"
        raise Unreadable("failed", wanted, f"définir {variable} avant de lancer l’audit")
    return user, password


def _given(address: str, engine: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[Door]]:
    """The Traefik container that a given address leads to, if it is known, and the doors to its API.

    When a local Traefik publishes the port of the address, it is asked on the loopback under the address's name: the
    name may be unknown here, or lead out to a router or a distant cache that would have to lead back.
    """
    url = re.sub(r"/(?:api|dashboard)?/*$", "", address)
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    for container in proxies(engine["containers"]) if engine and engine["local"] else []:
        networks = (container["NetworkSettings"] or {}).get("Networks") or {}
        if host in {"localhost", "127.0.0.1", "::1", *(end.get("IPAddress") for end in networks.values())}:
            return container, [Door(url)]
        published = (container["NetworkSettings"] or {}).get("Ports") or {}
        bindings = [b for bindings in published.values() for b in bindings or [] if b["HostPort"] == str(port)]
        if bindings:
            return container, [Door(f"{parts.scheme}://{_reachable(bindings[0])}", host, verify=False)]
    return None, [Door(url)]


def _found(payloads: Payloads) -> tuple[dict[str, Any] | None, list[Door]]:
    """The Traefik container and the doors to its API."""
    engine, static = payloads["engine"], payloads["traefik_static"]
    if engine is None:
        raise Unreadable("absent", "le moteur Docker n’a pas été lu", f"rendre le moteur Docker lisible, ou {GIVE}")
    found = proxies(engine["containers"])
    if not found:
        raise Unreadable("absent", "aucun conteneur Traefik n’a été trouvé", f"démarrer Traefik, ou {GIVE}")
    if not found[0]["State"].get("Running"):
        raise Unreadable("absent", f"le conteneur {name(found[0])} ne tourne pas", f"docker start {name(found[0])}")
    options = {}
    if static is not None:
        effective = [row for row in static_rows(static).tables["traefik_static"] if row["effective"]]
        options = {row["key"]: row["value"] or "" for row in effective}
    return found[0], list(doors(found[0], options, local=engine["local"]))


def doors(container: dict[str, Any], options: dict[str, str], *, local: bool) -> Iterator[Door]:
    """Where the API of a Traefik container may be reached from this machine.

    `options` are the effective static options. First the entry point « traefik » of `api.insecure`, published or at
    the container's own address; then a router to `api@internal` declared by a label of the container.
    """
    settings = container["NetworkSettings"] or {}
    published = settings.get("Ports") or {}
    addresses = [end["IPAddress"] for end in (settings.get("Networks") or {}).values() if end.get("IPAddress")]
    port = _port(options.get("entrypoints.traefik.address", ":8080"))
    if options.get("api.insecure", "false") != "false" or not options:
        yield from (Door(f"http://{_reachable(b)}") for b in published.get(f"{port}/tcp") or [] if local)
        if container["HostConfig"].get("NetworkMode") == "host":
            addresses = ["127.0.0.1"]
        yield from (Door(f"http://{address}:{port}") for address in addresses if local)
    labels = {
        key.lower(): label_value(key, value) or "" for key, value in (container["Config"].get("Labels") or {}).items()
    }
    for key, value in labels.items():
        router = re.fullmatch(r"(traefik\.http\.routers\.[^.]+)\.service", key)
        if router and value == "api@internal" and local:
            yield from _routed(router[1], labels, options, published)


def _routed(router: str, labels: dict[str, str], options: dict[str, str], published: dict[str, Any]) -> Iterator[Door]:
    """Doors through a router's own host name, on the published ports of its entry points."""
    try:
        hosts = domains(parse(labels.get(f"{router}.rule", "")))
    except RuleError:
        return
    for entrypoint in filter(None, labels.get(f"{router}.entrypoints", "").split(",")):
        prefix = f"entrypoints.{entrypoint.strip()}"
        tls = f"{router}.tls" in labels or any(key.startswith((f"{router}.tls.",)) for key in labels)
        tls = tls or any(key.startswith(f"{prefix}.http.tls") for key in options)
        for binding in published.get(f"{_port(options.get(f'{prefix}.address', ''))}/tcp") or []:
            for host in hosts:
                yield Door(f"{'https' if tls else 'http'}://{_reachable(binding)}", host, verify=False)


def _port(address: str) -> str:
    return address.rpartition(":")[2].partition("/")[0]


def _reachable(binding: dict[str, str]) -> str:
    address = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(binding["HostIp"], binding["HostIp"])  # noqa: S104
    return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"


def _ask(door: Door, auth: tuple[str, str] | None, timeout_s: float) -> dict[str, Any]:
    headers = {"User-Agent": f"auditlib/{__version__}"} | ({"Host": door.host} if door.host else {})
    # One connection per request: httpx would reuse one for another host name, with the first one's certificate.
    limits = httpx.Limits(max_keepalive_connections=0)
    # verify=False only towards this machine's own addresses, where the certificate is for another name.
    with httpx.Client(
        base_url=door.url,
        auth=auth,
        headers=headers,
        timeout=timeout_s,
        verify=door.verify,
        trust_env=False,
        limits=limits,
    ) as client:
        return {
            "url": door.url if not door.host else urlunsplit((urlsplit(door.url).scheme, door.host, "", "", "")),
            "version": _get(client, door, "/api/version"),
            "rawdata": _get(client, door, "/api/rawdata"),
            "entrypoints": _get(client, door, "/api/entrypoints?per_page=10000"),
            "overview": _get(client, door, "/api/overview"),
        }


def _get(client: httpx.Client, door: Door, path: str) -> Any:
    """One JSON answer. Raises Unreadable with one French clause for everything else that may come."""
    at = f"l’API de Traefik à l’adresse {door.url}" + (f" (hôte {door.host})" if door.host else "")
    extensions = {"sni_hostname": door.host} if door.host else {}
    try:
        with client.stream("GET", path, extensions=extensions) as answer:
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Unreadable("failed", f"{at} répond plus de {MAX_BODY // 10**6} Mo à {path}", GIVE)
            if answer.status_code in (401, 403):
                raise Unreadable(
                    "refused",
                    f"{at} demande un mot de passe ou l’a refusé (HTTP {answer.status_code})",
                    "donner dans traefik_auth_env le nom de la variable qui contient utilisateur:mot de passe",
                )
            if answer.is_redirect:
                location = redact(answer.headers.get("location", ""))
                raise Unreadable("failed", f"{at} redirige vers {location}", "donner cette adresse dans traefik_api")
            if answer.status_code != 200:
                raise Unreadable("failed", f"{at} répond HTTP {answer.status_code} à {path}", GIVE)
            return json.loads(body)
    except httpx.TimeoutException:
        raise Unreadable(
            "failed", f"{at} ne répond pas à temps", "augmenter timeout_s, ou vérifier l’adresse"
        ) from None
    except httpx.HTTPError as error:
        cause = next((e for e in (error.__cause__, error.__context__) if isinstance(e, OSError)), None)
        said = os_error(cause) if cause and cause.errno else redact(str(error))
        raise Unreadable("failed", f"{at} ne répond pas ({said})", GIVE) from None
    except (ValueError, httpx.InvalidURL):
        raise Unreadable("failed", f"ce qui répond à l’adresse {door.url} n’est pas l’API de Traefik", GIVE) from None


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of Traefik's tables. `container` and `network` of a server are left to the attribution."""
    raw, version = payload["rawdata"], payload["version"]["Version"]
    tables: dict[str, list[Row]] = {
        "traefik": [
            {
                "url": payload["url"],
                "container": payload["container"],
                "version": version.removeprefix("v"),
                "started": payload["version"].get("startDate"),
                "providers": sorted(payload["overview"].get("providers") or []),
            }
        ],
        "traefik_entrypoints": _entrypoints(payload["entrypoints"], version),
        "traefik_routers": [],
        "traefik_services": [],
        "traefik_servers": [],
        "traefik_middlewares": [],
    }
    for protocol, prefix in (("http", ""), ("tcp", "tcp"), ("udp", "udp")):
        for kind, make in (("routers", _router), ("services", _service), ("middlewares", _middleware)):
            objects = raw.get(prefix + kind.capitalize() if prefix else kind) or {}
            tables[f"traefik_{kind}"] += [{"protocol": protocol, **make(name, one)} for name, one in objects.items()]
            if kind == "services":
                tables["traefik_servers"] += [
                    {"protocol": protocol, **server} for name, one in objects.items() for server in _servers(name, one)
                ]
    if not version.removeprefix("v").startswith("2."):
        return Reading(tables)
    # Version 2 knows one syntax and does not name it.
    tables["traefik_routers"] = [{**row, "rule_syntax": "v2"} for row in tables["traefik_routers"]]
    note = "Traefik 2 : lu selon la forme documentée de son API, sans vérification sur un vrai Traefik 2."
    return Reading(tables, note=note)


def qualified(reference: str, owner: str) -> str:
    """`name@provider`: a reference without provider is resolved in the provider of the one who refers to it."""
    return reference if "@" in reference else f"{reference}@{owner.rpartition('@')[2]}"


def _entrypoints(raw: list[dict[str, Any]], version: str) -> list[Row]:
    # v3: if any entry point is marked as default, only those are; else (and in v2) all but the one named « traefik ».
    marked = any(one.get("asDefault") for one in raw)
    table = []
    for one in raw:
        address, http = one["address"], one.get("http") or {}
        redirection = ((http.get("redirections") or {}).get("entryPoint")) or {}
        host_port, _, protocol = address.partition("/")
        table.append(
            {
                "entrypoint": one["name"],
                "address": address,
                "protocol": protocol or "tcp",
                "port": int(host_port.rpartition(":")[2]),
                "default": bool(one.get("asDefault")) if marked else one["name"] != "traefik",
                "tls": http.get("tls") is not None,
                "redirect_to": redirection.get("to"),
                "middlewares": [qualified(m, "@file") for m in http.get("middlewares") or []],
            }
        )
    return table


def _router(router: str, one: dict[str, Any]) -> Row:
    tls = one.get("tls")
    return {
        "router": router,
        "provider": router.rpartition("@")[2],
        "rule": redact_rule(one["rule"]) if "rule" in one else None,
        "rule_syntax": one.get("ruleSyntax") or None,
        "priority": one.get("priority"),
        "entrypoints": one.get("using") or one.get("entryPoints") or [],
        "tls": tls is not None,
        "cert_resolver": (tls or {}).get("certResolver") or None,
        "service": qualified(one["service"], router) if one.get("service") else None,
        "middlewares": [qualified(m, router) for m in one.get("middlewares") or []],
        **_state(one),
    }


_SERVICE_TYPES = ("loadBalancer", "weighted", "mirroring", "failover", "highestRandomWeight")


def _service(service: str, one: dict[str, Any]) -> Row:
    kind = next((kind for kind in _SERVICE_TYPES if kind in one), "internal" if service.endswith("@internal") else None)
    body = one.get(kind or "") or {}
    members = [*(body.get("services") or []), *(body.get("mirrors") or [])]
    children = [member["name"] for member in members]
    children += [body[key] for key in ("service", "fallback") if isinstance(body.get(key), str) and body[key]]
    return {
        "service": service,
        "provider": service.rpartition("@")[2],
        "type": kind,
        "health_check": "healthCheck" in body,
        "children": [qualified(child, service) for child in children],
        "used_by": one.get("usedBy") or [],
        **_state(one),
    }


def _servers(service: str, one: dict[str, Any]) -> Iterator[Row]:
    balancer = one.get("loadBalancer") or {}
    checked = "healthCheck" in balancer
    states = one.get("serverStatus") or {}
    seen = set()
    for server in balancer.get("servers") or []:
        url = server.get("url") or server.get("address")
        if url and url not in seen:
            seen.add(url)
            # Without a health check Traefik says UP of every server, dead or not: that is not a state.
            yield {"service": service, "url": redact(url), "status": states.get(url) if checked else None}


def _middleware(middleware: str, one: dict[str, Any]) -> Row:
    kind = next((key for key, value in one.items() if isinstance(value, dict)), None)
    chain = (one.get("chain") or {}).get("middlewares") or []
    return {
        "middleware": middleware,
        "provider": middleware.rpartition("@")[2],
        "type": kind,
        "chain": [qualified(m, middleware) for m in chain],
        "used_by": one.get("usedBy") or [],
        **_state(one),
    }


def _state(one: dict[str, Any]) -> Row:
    errors = one.get("error") or []
    return {
        "status": one.get("status"),
        "errors": [redact_rule(error) for error in ([errors] if isinstance(errors, str) else errors)],
    }
