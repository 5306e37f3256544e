"""What a finding is about: what its fault says itself, and what its subjects and the tables tell.

A thing is named in words that only the same thing has: a publication is a container and a port. What several tables
must be asked for, such as the containers behind a router, is asked here, once.
"""

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product

from auditlib.addresses import host_and_port
from auditlib.facts.tables.docker import ContainerLabel
from auditlib.facts.tables.traefik import StaticOption, TraefikRouter
from auditlib.findings.check import About, Fault, Kind, Subject
from auditlib.traefik.rules import RuleError, Syntax, domains, parse
from auditlib.views.known import Known
from auditlib.views.predicted import Server
from auditlib.views.routes import leaves

_SYNTAXES: tuple[Syntax, ...] = ("v3", "v2")
_RULE = re.compile(r"traefik\.http\.routers\.[^.]+\.rule", re.IGNORECASE)
_CHALLENGE = re.compile(r"certificatesresolvers\.([^.]+)\.acme\.httpchallenge\b.*", re.IGNORECASE)
# Traefik's own router of the challenge, which is off when no resolver that wants it is left.
_CHALLENGED = "acme-http@internal"

# Where Traefik's Docker provider gives a container up, in French words, for those that another finding explains.
_STEPS = {
    "stopped": "arrêté",
    "health": "en mauvaise santé",
    "disabled": "pas activé",
    "labels": "étiquettes",
    "options": "options",
    "rule": "règle",
    "port": "port",
    "address": "adresse",
    "services": "services",
    "event": "événement manqué",
    "disabled_router": "routeur refusé",
}


def given_up(containers: Iterable[str], *steps: str | None) -> list[str]:
    """Containers, each with a step at which Traefik's Docker provider gives it up."""
    words = [_STEPS[step] for step in steps if step in _STEPS]
    return [f"{container} ({word})" for container in containers for word in words]


def port_number(port: str) -> str:
    """The protocol and number of a port's name: tcp/8000 of tcp/0.0.0.0:8000."""
    return f"{port.partition('/')[0]}/{port.rpartition(':')[2]}"


class Scene(Known):
    """What a snapshot tells of routing, and what is behind the routers in it."""

    @functools.cached_property
    def by_name(self) -> Mapping[str, TraefikRouter]:
        """The routers by name."""
        return {router.router: router for router in self.routers or ()}

    @functools.cached_property
    def served(self) -> Mapping[str, Sequence[Server]]:
        """The servers of each service that has some of its own."""
        servers: dict[str, list[Server]] = {}
        for server in self.servers or ():
            servers.setdefault(server.service, []).append(server)
        return servers

    @functools.cached_property
    def ways(self) -> Mapping[str, Sequence[Server]]:
        """The servers behind each router, through services made of others."""
        services = {(service.protocol, service.service): service for service in self.services or ()}
        return {
            name: [
                server
                for leaf in leaves(router.service, router.protocol, services)
                for server in self.served.get(leaf, ())
                if server.protocol == router.protocol
            ]
            for name, router in self.by_name.items()
        }

    @functools.cached_property
    def labelled(self) -> Mapping[str, set[str]]:
        """The domains that the labels of each container declare."""
        declared: dict[str, set[str]] = {}
        for label in self.snapshot.known(ContainerLabel) or ():
            if _RULE.fullmatch(label.label):
                declared.setdefault(label.container, set()).update(_domains(label.value))
        return declared

    def behind(self, routers: Iterable[str], services: Iterable[str]) -> list[Server]:
        """The servers of routers and of services."""
        return [
            *(server for router in routers for server in self.ways.get(router, ())),
            *(server for service in services for server in self.served.get(service, ())),
        ]

    def domains(self, routers: Iterable[str], containers: Iterable[str]) -> Iterator[str]:
        """The domains of routers, and those that the labels of containers declare."""
        for router in routers:
            yield from _domains(self.by_name[router].rule if router in self.by_name else None)
        for container in containers:
            yield from self.labelled.get(container, ())

    def challenged(self) -> list[str]:
        """The resolvers that answer an authority over HTTP."""
        keys = [_CHALLENGE.fullmatch(option.key) for option in self.snapshot.known(StaticOption) or ()]
        return [key[1] for key in keys if key]


def _domains(rule: str | None) -> list[str]:
    """The domains of a rule, in the syntax that reads it."""
    for syntax in _SYNTAXES:
        try:
            return domains(parse(rule or "", syntax))
        except RuleError:
            continue
    return []


def _named(subjects: Iterable[Subject], *kinds: str) -> list[str]:
    """The names of the subjects of some kinds."""
    return [name for kind, name in subjects if kind in kinds]


def about(check: str, subjects: Collection[Subject], fault: Fault, scene: Scene) -> Mapping[Kind, frozenset[str]]:
    """What a finding of a check is about, by kind.

    What its fault says of a kind stands instead of what is derived, but for containers, which are joined.
    """
    own = fault.about
    containers = [*_named(subjects, "container"), *own.get("container", ())]
    derived = {**_plain(check, subjects), **_looked_up(subjects, containers, scene)}
    names = {**derived, **own, "container": derived["container"]}
    return {kind: frozenset(about) for kind, about in names.items()}


def _plain(check: str, subjects: Collection[Subject]) -> About:
    """What subjects tell by themselves."""
    containers, ports = _named(subjects, "container"), map(port_number, _named(subjects, "port"))
    return {
        "router": _named(subjects, "router"),
        "database": _named(subjects, "database"),
        "owner": _named(subjects, "container", "unit", "database"),
        "fault": [f"{check} ({name})" for _, name in subjects],
        "file": [file for files in _named(subjects, "compose_file") for file in files.split(" + ")],
        "publication": [f"{container} {port}" for container, port in product(containers, ports)],
    }


def _looked_up(subjects: Collection[Subject], named: Sequence[str], scene: Scene) -> About:
    """What the tables tell of subjects and of the containers that are named: what is behind them, and their domains."""
    routers, services = _named(subjects, "router"), _named(subjects, "service")
    servers = scene.behind(routers, services)
    containers = [*named, *(server.container for server in servers if server.container)]
    domains = _named(subjects, "domain", "certificate")
    return {
        "container": containers,
        "state": containers,
        "target": containers,
        "service": [*services, *(server.service for server in servers)],
        "domain": map(_host, domains) if domains else scene.domains(routers, named),
        "resolver": scene.challenged() if _CHALLENGED in routers else (),
    }


def _host(name: str) -> str:
    """A domain, of its name or of an address."""
    return host_and_port(name)[0] if "://" in name else name
