"""Traefik's API: where it can be asked, and what it says, as rows.

Versions 3.0 to 3.7 are verified on recorded answers of the real programs; version 2 is read by its documented shape
(its routers carry a priority only when the user set one), and the source says so.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from auditlib.addresses import WEB_PORTS, host_and_port, is_loopback, joined, reachable
from auditlib.collect import traefik_objects
from auditlib.collect.certificates import of_api
from auditlib.collect.containers import label_value, name
from auditlib.collect.dial import Address
from auditlib.collect.network import is_near
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable, connection_fault
from auditlib.collect.traefik_static import options as static_options
from auditlib.collect.traefik_static import proxies
from auditlib.facts.table import Row
from auditlib.facts.tables.traefik import Traefik
from auditlib.parameters import Parameters
from auditlib.traefik.rules import RuleError, domains, parse
from auditlib.version import __version__

MAX_BODY = 64_000_000  # bytes; 10 000 routers are about 5 MB
GIVE = "donner traefik_api (et traefik_auth_env si l’API demande un mot de passe)"


@dataclass(frozen=True)
class Door:
    """One way to the API: an address, and the host name to ask for when it is not the address's own."""

    url: str
    host: str = ""
    verify: bool = True

    @property
    def shown(self) -> str:
        """The address as a browser would be given it."""
        parts = urlsplit(self.url)
        port = "" if parts.port in (None, WEB_PORTS[parts.scheme]) else f":{parts.port}"
        return f"{parts.scheme}://{self.host}{port}{parts.path}" if self.host else self.url


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
            # A door that stays silent leaves their share of the time to the others.
            answers = _ask(door, auth, PATIENCE * parameters.timeout_s / len(doors))
            # The machine's own Traefik has no name.
            named = name(container) if container and "Name" in container else None
            return answers | {"container": named, "here": True} if container else answers | {"container": None}
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
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port or WEB_PORTS[parts.scheme]
    except ValueError:
        raise Unreadable("failed", f"l’adresse traefik_api est mal formée : {address}", GIVE) from None
    # What a browser shows may be given: http://traefik:8080/dashboard/#/http/routers.
    path = re.sub(r"/(?:(?:api|dashboard)(?:/.*)?)?$", "", parts.path)
    here = Door(f"{parts.scheme}://{parts.netloc}{path}")
    known = proxies(engine["containers"]) if engine and engine["local"] else []
    loopback = is_loopback(host)
    for container in known:
        ends = ((container["NetworkSettings"] or {}).get("Networks") or {}).values()
        if host and host in {end.get("IPAddress") for end in ends}:
            return container, [here]
    for container in known:
        published = ((container["NetworkSettings"] or {}).get("Ports") or {}).values()
        bindings = [one for several in published for one in several or [] if one["HostPort"] == str(port)]
        if bindings and loopback:
            return container, [here]
        if bindings:
            return container, [Door(f"{parts.scheme}://{joined(*_published(bindings[0]))}{path}", host, verify=False)]
    return known[0] if known and loopback else None, [here]


def _found(payloads: Payloads) -> tuple[dict[str, Any] | None, list[Door]]:
    """The Traefik container and the doors to its API."""
    engine, static = payloads["engine"], payloads["traefik_static"]
    if engine is None:
        raise Unreadable("absent", "le moteur Docker n’a pas été lu", f"rendre le moteur Docker lisible, ou {GIVE}")
    process = static.get("process") if static is not None else None
    found = [process] if process else proxies(engine["containers"])
    if not found:
        raise Unreadable("absent", "aucun conteneur Traefik n’a été trouvé", f"démarrer Traefik, ou {GIVE}")
    if not found[0]["State"].get("Running"):
        stopped = name(found[0])
        raise Unreadable("absent", f"le conteneur {stopped} ne tourne pas", f"le démarrer : docker start {stopped}")
    options: dict[str, str] = {}
    if static is not None:
        in_force, sure = static_options(static)
        options = in_force if sure else {}
    known = doors(found[0], options, local=engine["local"])
    return found[0], [door for door in known if is_near(urlsplit(door.url).hostname or "")]


def doors(container: dict[str, Any], options: dict[str, str], *, local: bool) -> Iterator[Door]:
    """Where the API of a Traefik container may be reached from this machine.

    `options` are the effective static options. First the entry point « traefik » of `api.insecure`, published or at
    the container's own address; then a router to `api@internal` declared by a label of the container.
    """
    if not local:
        return
    if options.get("api.insecure", "false") != "false" or not options:
        bound = options.get("entrypoints.traefik.address", ":8080")
        _, port = host_and_port(bound)
        ends = addresses(container, port, own_host(bound)) if port else ()
        yield from (Door(f"http://{joined(*end)}") for end in ends)
    labels = {
        key.lower(): label_value(key, value) or "" for key, value in (container["Config"].get("Labels") or {}).items()
    }
    for key, value in labels.items():
        router = re.fullmatch(r"(traefik\.http\.routers\.[^.]+)\.service", key)
        if router and value == "api@internal":
            yield from _routed(router[1], labels, options, container)


def own_host(address: str) -> str:
    """Where this machine reaches an entry point of its own network: the one address it is bound to, or the loopback."""
    return reachable(host_and_port(address)[0])


def addresses(container: dict[str, Any], port: int, host: str = "127.0.0.1") -> Iterator[Address]:
    """Where a port of a container answers: as it is published, on this machine itself, at the container's address.

    `host` is where it answers when its network is the machine's.
    """
    settings = container["NetworkSettings"] or {}
    yield from (_published(binding) for binding in (settings.get("Ports") or {}).get(f"{port}/tcp") or [])
    if container["HostConfig"].get("NetworkMode") == "host":
        yield host, port
    ends = (settings.get("Networks") or {}).values()
    yield from ((end["IPAddress"], port) for end in ends if end.get("IPAddress"))


def _routed(router: str, labels: dict[str, str], options: dict[str, str], container: dict[str, Any]) -> Iterator[Door]:
    """Doors through a router's own host name, on its entry points (all that are known when it names none)."""
    try:
        hosts = domains(parse(labels.get(f"{router}.rule", "")))
    except RuleError:
        return
    known = [key.split(".")[1] for key in options if re.fullmatch(r"entrypoints\.[^.]+\.address", key)]
    named = [entrypoint.strip() for entrypoint in labels.get(f"{router}.entrypoints", "").split(",")]
    # Traefik reads anything but "true" and "" as no TLS.
    own_tls = labels.get(f"{router}.tls", "false").lower() in ("true", "")
    own_tls = own_tls or any(key.startswith(f"{router}.tls.") for key in labels)
    for entrypoint in [one for one in named if one] or known:
        prefix = f"entrypoints.{entrypoint}"
        tls = own_tls or any(key.startswith(f"{prefix}.http.tls") for key in options)
        _, port = host_and_port(options.get(f"{prefix}.address", ""))
        for end in addresses(container, port) if port else ():
            url = f"{'https' if tls else 'http'}://{joined(*end)}"
            yield from (Door(url, host, verify=False) for host in hosts)


def _published(binding: dict[str, str]) -> Address:
    """Where this machine reaches a publication."""
    return reachable(binding["HostIp"]), int(binding["HostPort"])


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
        version = _get(client, door, "/api/version", dict)
        return {
            "url": door.shown,
            "version": version,
            "rawdata": _get(client, door, "/api/rawdata", dict),
            "entrypoints": _get(client, door, "/api/entrypoints?per_page=10000", list),
            "overview": _get(client, door, "/api/overview", dict),
            **_certificates(client, door, version["Version"]),
        }


def _certificates(client: httpx.Client, door: Door, version: str) -> dict[str, Any]:
    """The certificates that Traefik holds: 3.7.0 and later tell them; nothing but that answer depends on it."""
    number = re.match(r"v?(\d+)\.(\d+)", version)
    if number is None or (int(number[1]), int(number[2])) < (3, 7):
        return {}
    try:
        return {"certificates": _get(client, door, "/api/certificates?per_page=10000", list)}
    except Unreadable as shut:
        return {"certificates": None, "shut": shut.reason}


def _get(client: httpx.Client, door: Door, path: str, kind: type[Any]) -> Any:
    """One JSON answer of a kind. Raises Unreadable with one French clause for everything else that may come."""
    through = f" (demandée à {urlsplit(door.url).netloc})" if door.host else ""
    at = f"l’API de Traefik à l’adresse {door.shown}{through}"
    extensions = {"sni_hostname": door.host} if door.host else {}
    try:
        with client.stream("GET", path, extensions=extensions) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Unreadable("failed", f"{at} répond plus de {MAX_BODY // 10**6} Mo à {path}", GIVE)
            if response.status_code in (401, 403):
                raise Unreadable(
                    "refused",
                    f"{at} demande un mot de passe ou l’a refusé (HTTP {response.status_code})",
                    "donner dans traefik_auth_env le nom de la variable qui contient utilisateur:mot de passe",
                )
            if response.has_redirect_location:
                location = redact(response.headers["location"])
                raise Unreadable("failed", f"{at} redirige vers {location}", "donner cette adresse dans traefik_api")
            if response.status_code != 200:
                raise Unreadable("failed", f"{at} répond HTTP {response.status_code} à {path}", GIVE)
            answer = json.loads(body)
            if not isinstance(answer, kind) or (path.endswith("/version") and "Version" not in answer):
                raise ValueError("JSON of something else")
            return answer
    except httpx.TimeoutException:
        raise Unreadable(
            "failed", f"{at} ne répond pas à temps", "augmenter timeout_s, ou vérifier l’adresse"
        ) from None
    except httpx.NetworkError as error:
        said = connection_fault(error) or "connexion coupée"
        raise Unreadable("failed", f"{at} ne répond pas ({said})", GIVE) from None
    except (httpx.HTTPError, ValueError):
        # No HTTP, no JSON, or an answer that was cut.
        raise Unreadable("failed", f"ce qui répond à l’adresse {door.shown} n’est pas l’API de Traefik", GIVE) from None


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of Traefik's tables. `container` and `network` of a server are left to the attribution."""
    raw, version = payload["rawdata"], payload["version"]["Version"]
    routers = [traefik_objects.router(*one) for one in _objects(raw, "routers")]
    services = list(_objects(raw, "services"))
    tables: dict[str, Sequence[Row]] = {
        "traefik": [_traefik(payload)],
        "traefik_entrypoints": traefik_objects.entrypoints(payload["entrypoints"]),
        "traefik_routers": routers,
        "traefik_services": [traefik_objects.service(*one) for one in services],
        "traefik_servers": [server for one in services for server in traefik_objects.servers(*one)],
        "traefik_middlewares": [traefik_objects.middleware(*one) for one in _objects(raw, "middlewares")],
    }
    if payload.get("certificates") is not None:
        tables["certificates"] = [of_api(one) for one in payload["certificates"]]
    if not version.removeprefix("v").startswith("2."):
        return Reading(tables, [payload["shut"]] if "shut" in payload else [])
    # Version 2 knows one syntax and does not name it.
    tables["traefik_routers"] = [replace(router, rule_syntax="v2") for router in routers]
    note = "Traefik 2 : lu selon la forme documentée de son API, sans vérification sur un vrai Traefik 2."
    return Reading(tables, note=note)


def _traefik(payload: dict[str, Any]) -> Traefik:
    return Traefik(
        url=payload["url"],
        container=payload["container"],
        version=payload["version"]["Version"].removeprefix("v"),
        started=payload["version"].get("startDate"),
        providers=tuple(sorted(payload["overview"].get("providers") or [])),
    )


def _objects(raw: dict[str, Any], kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The objects of a kind, each with its protocol and name."""
    for protocol, key in (("http", kind), ("tcp", f"tcp{kind.capitalize()}"), ("udp", f"udp{kind.capitalize()}")):
        yield from ((protocol, own, one) for own, one in (raw.get(key) or {}).items())
