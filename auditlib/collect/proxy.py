"""The local proxy as a client finds it: where its entry points answer on this machine, and what is alive there."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from auditlib.addresses import WEB_PORTS, host_and_port, is_loopback
from auditlib.collect.declared import declared
from auditlib.collect.dial import Address, each
from auditlib.collect.secrets import REMOVED
from auditlib.collect.source import Payloads, Reading, Unreadable
from auditlib.collect.traefik_api import addresses, own_host
from auditlib.collect.traefik_api import rows as api_rows
from auditlib.facts.table import Row
from auditlib.facts.tables.traefik import TraefikEntrypoint, TraefikRouter
from auditlib.french import listing, number
from auditlib.software import joined_container
from auditlib.traefik.rules import Place, RuleError, Syntax, parse, places

# A name that can be asked for: no wildcard, no pattern, nothing that a header or a handshake could not carry.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_LABEL = 63
# What may stand in a path as it is; the rest is escaped. A % that a rule writes is already an escape.
_SAFE = "/%:@!$&'()*+,;=-._~"


@dataclass(frozen=True)
class Gate:
    """One entry point, and where it answers on this machine: published, on the machine itself, or at a container."""

    entrypoint: str
    addresses: tuple[Address, ...]
    tls: bool
    redirects: bool


@dataclass(frozen=True)
class Target:
    """One question to the proxy: a name and a path, through an entry point, with or without TLS."""

    entrypoint: str
    tls: bool
    domain: str
    path: str

    def url(self, port: int) -> str:
        """The address that a browser would be given to ask this of a port."""
        scheme = "https" if self.tls else "http"
        shown = "" if port == WEB_PORTS[scheme] else f":{port}"
        return f"{scheme}://{self.domain}{shown}{self.path}"


@dataclass
class Proxy:
    """The local proxy: its gates by entry point, and every address that is this machine's own."""

    gates: dict[str, Gate]
    own: frozenset[str]
    routers: Sequence[TraefikRouter]
    declared: bool = False  # the routers are those that labels and files declare: the API was not read
    skipped: set[str] = field(default_factory=set)  # routers whose rule names nothing that can be asked

    def http(self) -> list[Target]:
        """What every HTTP router answers to; each name is also asked at the root of the gates that redirect."""
        targets = []
        for router, gate, place in self._alive("http"):
            tls = bool(router.tls) or gate.tls
            targets.append(Target(gate.entrypoint, tls, place.domain or "", quote(place.path or "/", safe=_SAFE)))
        gates = [gate for gate in self.gates.values() if gate.redirects and gate.addresses]
        for domain in dict.fromkeys(target.domain for target in targets):
            targets += [Target(gate.entrypoint, gate.tls, domain, "/") for gate in gates]
        return list(dict.fromkeys(targets))

    def tls(self) -> list[Target]:
        """Every name that a TLS router serves, once for each entry point."""
        alive = (found for protocol in ("http", "tcp") for found in self._alive(protocol))
        names = [(gate.entrypoint, place.domain or "") for router, gate, place in alive if router.tls or gate.tls]
        return [Target(entrypoint, True, domain, "/") for entrypoint, domain in dict.fromkeys(names)]

    def _alive(self, protocol: str) -> Iterator[tuple[TraefikRouter, Gate, Place]]:
        for router in self.routers:
            if router.protocol != protocol or router.status == "disabled":
                continue
            gates = [self.gates[name] for name in router.entrypoints or () if name in self.gates]
            for place in _places(router):
                if _askable(place):
                    yield from ((router, gate, place) for gate in gates if gate.addresses)
                elif not router.router.endswith("@internal"):
                    self.skipped.add(router.router)


def _places(router: TraefikRouter) -> Iterable[Place]:
    syntax: Syntax = "v2" if router.rule_syntax == "v2" else "v3"
    try:
        return places(parse(router.rule or "", "tcp" if router.protocol == "tcp" else syntax))
    except RuleError:
        return [Place(None, None)]


def _askable(place: Place) -> bool:
    domain, path = place.domain or "", place.path or ""
    named = _NAME.fullmatch(domain) and all(len(label) <= _LABEL for label in domain.split("."))
    return bool(named) and not path.startswith("~") and "{" not in path and REMOVED not in path


def find(payloads: Payloads) -> Proxy:
    """The proxy that the payloads of the engine and of Traefik's API describe; else its labels, files and options.

    Raises Unreadable when there is none on this machine, or when nothing tells its routers.
    """
    engine, api, static = payloads["engine"], payloads["traefik_api"], payloads.get("traefik_static")
    if api is None and (engine is None or static is None):
        remedy = "rendre l’API de Traefik lisible, ou donner traefik_api"
        raise Unreadable("absent", "les routes de Traefik n’ont pas été lues", remedy)
    if engine is not None and not engine["local"]:
        elsewhere = "le moteur Docker audité est sur une autre machine"
        raise Unreadable("absent", elsewhere, "lancer l’audit sur cette machine")
    containers = engine["containers"] if engine is not None else []
    bearer = _bearer((api or static or {}).get("container"), containers)
    if api is not None and bearer is None and not api.get("here") and not is_loopback(host_and_port(api["url"])[0]):
        raise Unreadable("absent", "Traefik n’est pas sur cette machine", "lancer l’audit sur la machine de Traefik")
    told = api_rows(api) if api is not None else declared(payloads)
    gates = {
        one.entrypoint: Gate(one.entrypoint, tuple(_addresses(bearer, one)), bool(one.tls), one.redirect_to is not None)
        for one in told.of(TraefikEntrypoint)
        if one.protocol == "tcp"
    }
    return Proxy(gates, frozenset(_own(containers)), told.of(TraefikRouter), declared=api is None)


def answers(
    found: Proxy, targets: list[Target], most: int, ask: Callable[[Target], dict[str, Any]], until: float
) -> dict[str, Any]:
    """The payload of a source that asks the proxy: what `ask` is answered, and what was not asked.

    At most `most` targets are asked; those whose turn comes after `until` are counted in `late`.
    """
    told = each(targets[:most], ask, until)
    return {
        "answers": [answer for _, answer in told if answer is not None],
        "late": sum(answer is None for _, answer in told),
        "beyond": len(targets[most:]),
        "skipped": sorted(found.skipped),
        "declared": found.declared,
    }


def reading(payload: dict[str, Any], tables: Mapping[str, Sequence[Row]]) -> Reading:
    """What was made of the payload of `answers`, with what the bounds left out of it."""
    return Reading(tables, _gaps(payload), note=_note(payload))


def _gaps(payload: dict[str, Any]) -> list[str]:
    """What the bounds left out, as French clauses."""
    late, beyond = payload["late"], payload["beyond"]
    return [
        *([f"questions au proxy non posées, faute de temps : {number(late)}"] if late else []),
        *([f"questions au proxy non posées, au-delà du nombre permis : {number(beyond)}"] if beyond else []),
    ]


def _note(payload: dict[str, Any]) -> str:
    """What was asked, when the API did not tell it, and the routers that no name leads to, as French sentences."""
    skipped = payload["skipped"]
    told = "Questions tirées des étiquettes et des fichiers : l’API de Traefik n’a pas été lue."
    asked = [told] if payload.get("declared") else []
    if not skipped:
        return " ".join(asked)
    shown = [*skipped[:5], *([f"{number(len(skipped) - 5)} autres"] if len(skipped) > 5 else [])]
    unasked = f"Non interrogés, faute d’un nom et d’un chemin précis dans leur règle : {listing(shown)}."
    return " ".join([*asked, unasked])


def _bearer(name: str | None, containers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The container whose addresses the proxy has: itself, or the one whose network it joined."""
    container = next((one for one in containers if one["Name"] == f"/{name}"), None)
    bearer = joined_container(((container or {}).get("HostConfig") or {}).get("NetworkMode"))
    if bearer is None:
        return container
    return next((one for one in containers if bearer in (one["Id"], one["Name"][1:])), container)


def _addresses(bearer: dict[str, Any] | None, entrypoint: TraefikEntrypoint) -> Iterator[Address]:
    port, host = entrypoint.port, own_host(entrypoint.address or "")
    if port is not None:
        yield from addresses(bearer, port, host) if bearer is not None else [(host, port)]


def _own(containers: list[dict[str, Any]]) -> Iterator[str]:
    """The addresses of the local containers, and those of this machine where they are published."""
    for container in containers:
        settings = container["NetworkSettings"] or {}
        for end in (settings.get("Networks") or {}).values():
            yield from (end[key] for key in ("IPAddress", "GlobalIPv6Address") if end.get(key))
        for bindings in (settings.get("Ports") or {}).values():
            yield from (binding["HostIp"] for binding in bindings or [] if binding.get("HostIp"))
