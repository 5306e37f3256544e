"""What a finding is about: the things by which two findings can be one problem, read from the tables.

A thing is named in words that only the same thing has: a publication is a container and a port, an attachment a
database and a network. What several tables must be asked for (the containers behind a router) is asked here, once.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.tables.logs import CAUSES
from auditlib.findings.audit import Finding
from auditlib.traefik.rules import RuleError, Syntax, domains, parse
from auditlib.views.known import Known
from auditlib.views.routes import leaves


class Scene(Known):
    """The tables of a snapshot, and what is behind the routers in them."""

    @functools.cached_property
    def read(self) -> dict[str, list[Record] | None]:
        """The tables that were asked for already."""
        return {}

    def rows(self, name: str) -> list[Record] | None:
        """The rows of a table; None when it was not read."""
        if name not in self.read:
            try:
                self.read[name] = records(self.snapshot.named(name))
            except AbsentTable:
                self.read[name] = None
        return self.read[name]

    @functools.cached_property
    def ways(self) -> dict[str, list[Record]]:
        """The servers behind each router, through services made of others."""
        services = {(row.protocol, row.service): row for row in self.services or ()}
        return {
            name: [
                server
                for leaf in leaves(row["service"], row["protocol"], services)
                for server in self.served.get(leaf, [])
                if server["protocol"] == row["protocol"]
            ]
            for name, row in self.by_name.items()
        }

    @functools.cached_property
    def served(self) -> dict[str, list[Record]]:
        """The servers of each service that has some of its own."""
        found: dict[str, list[Record]] = {}
        for row in self.servers or ():
            found.setdefault(row["service"], []).append(row)
        return found

    @functools.cached_property
    def declared(self) -> dict[str, set[str]]:
        """The domains that the labels of each container declare."""
        found: dict[str, set[str]] = {}
        for row in self.rows("labels") or []:
            if re.fullmatch(r"traefik\.http\.routers\.[^.]+\.rule", row["label"], re.IGNORECASE):
                found.setdefault(row["container"], set()).update(_named(row["value"]))
        return found

    @functools.cached_property
    def holders(self) -> dict[str, str]:
        """The container of each database that has one."""
        return {row["database"]: row["container"] for row in self.rows("databases") or [] if row["container"]}

    @functools.cached_property
    def by_name(self) -> dict[str, Record]:
        """The routers by name."""
        return {row.router: row for row in self.routers or ()}

    @functools.cached_property
    def own(self) -> set[str]:
        """The addresses that an application answered by itself."""
        return {row["url"] for row in self.rows("http_probes") or [] if row["own_answer"] is False}

    def column(self, table: str, key: str, name: str, wanted: str) -> set[str]:
        """The values of the column `wanted` in the rows where the column `key` is `name`."""
        return {row[wanted] for row in self.rows(table) or [] if row[key] == name and row[wanted]}


def _named(rule: str | None) -> list[str]:
    """The domains of a rule, in the syntax that reads it."""
    for syntax in _SYNTAXES:
        try:
            return domains(parse(rule or "", syntax))
        except RuleError:
            continue
    return []


_SYNTAXES: tuple[Syntax, ...] = ("v3", "v2")


def _of(finding: Finding, *kinds: str) -> list[str]:
    """The names of the subjects of some kinds."""
    return [name for kind, name in finding.subjects if kind in kinds]


def _told(finding: Finding, *names: str) -> list[str]:
    """The words that evidence holds under some names."""
    values: list[Any] = [finding.evidence.get(name) for name in names]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [str(one) for one in flat if one not in (None, "")]


def _number(port: str) -> str:
    """The protocol and number of a port's name: tcp/8000 of tcp/0.0.0.0:8000."""
    return f"{port.partition('/')[0]}/{port.rpartition(':')[2]}"


def _routers(finding: Finding, _: Scene) -> Iterable[str]:
    return _of(finding, "router")


def _behind(finding: Finding, known: Scene) -> list[Record]:
    """The servers of what a finding is about: a router's, or a service's."""
    own = [server for router in _of(finding, "router") for server in known.ways.get(router, [])]
    return own + [server for service in _of(finding, "service") for server in known.served.get(service, [])]


def _containers(finding: Finding, known: Scene) -> Iterator[str]:
    yield from [*_of(finding, "container"), *_told(finding, "container")]
    yield from (known.holders[name] for name in _of(finding, "database") if name in known.holders)
    yield from (server["container"] for server in _behind(finding, known) if server["container"])


def _services(finding: Finding, known: Scene) -> Iterator[str]:
    # A service that has other servers goes on without the one that is down.
    if finding.check == "ROUTE-007" and len(_told(finding, "servers")) != finding.evidence["total"]:
        return
    yield from [*_of(finding, "service"), *_told(finding, "services")]
    if _unanswered(finding, known):
        yield from (server["service"] for server in _behind(finding, known))


def _targets(finding: Finding, known: Scene) -> Iterable[str]:
    return _containers(finding, known) if _unanswered(finding, known) else ()


def _unanswered(finding: Finding, known: Scene) -> bool:
    """Whether what fails may lie between Traefik and the application: no application answered by itself."""
    if finding.check == "LOG-004":
        return bool(finding.evidence["traefik_5xx"])
    return finding.check != "HTTP-001" or not {*_told(finding, "urls")} & known.own


def _faults(finding: Finding, _: Scene) -> Iterator[str]:
    told = (fault.split(" ", 2) for fault in _told(finding, "faults"))
    yield from (f"{check} ({name})" for check, _, name in told)
    yield from (f"{finding.check} ({name})" for _, name in finding.subjects)


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
# The steps that each check makes it stop at; of labels, those that a proposal is about.
_STOPS = {
    **dict.fromkeys(("PORT-001", "CONT-002", "CONT-003", "CONT-005"), ("stopped",)),
    "CONT-001": ("health",),
    **dict.fromkeys(("NET-001", "NET-002"), ("address",)),
    "ROUTE-003": ("services", "event", "disabled_router"),
}
_SPELLED = {".enable": "disabled", ".rule": "rule", ".port": "port"}


def _steps(finding: Finding, _: Scene) -> Iterator[str]:
    """A container with the step at which Traefik gives it up."""
    told, steps = finding.evidence, [*_STOPS.get(finding.check, ())]
    if finding.check == "ROUTE-002":
        steps = [told["step"]]
    elif finding.check == "ROUTE-021":
        labels = [proposal.partition("=")[0] for proposal in told["proposals"]]
        steps = [step for end, step in _SPELLED.items() if any(label.endswith(end) for label in labels)]
        steps += ["labels", "options"] if told["drops"] else []
    names = [*_of(finding, "container"), *_told(finding, "containers")]
    yield from (f"{name} ({_STEPS[step]})" for name in names for step in steps if step in _STEPS)


def _states(finding: Finding, known: Scene) -> Iterable[str]:
    """Containers, but those that were refused nothing, or were killed once and run again."""
    taken = finding.check == "PORT-001" and not finding.evidence["start_error"]
    again = finding.check == "CONT-005" and finding.evidence["state"] == "running"
    return () if taken or again else _containers(finding, known)


def _domains(finding: Finding, known: Scene) -> Iterator[str]:
    """The domains it names; else those of its router, or that the labels of its containers declare."""
    named = _of(finding, "domain") or [*_of(finding, "certificate"), *_told(finding, "domains")]
    yield from (urlsplit(name).hostname or name if "://" in name else name for name in named)
    if not named:
        for router in _of(finding, "router"):
            yield from _named(known.by_name.get(router, {}).get("rule"))
        for container in [*_of(finding, "container"), *_told(finding, "containers")]:
            yield from known.declared.get(container, ())


def _urls(finding: Finding, _: Scene) -> Iterable[str]:
    return [*_told(finding, "url", "urls"), *(name for name in _of(finding, "domain") if "://" in name)]


def _resolvers(finding: Finding, known: Scene) -> Iterator[str]:
    """ACME resolvers that exist; those of its domain's routers for a refusal of the authority's limits."""
    asked = [name for names in _told(finding, "cert_resolver") for name in names.split(", ")]
    mine = [name.removeprefix("certificatesResolvers.") for name in _of(finding, "source")]
    told = [*mine, *_told(finding, "resolver"), *asked]
    yield from (name for name in told if finding.check != "ACME-004" or name in _told(finding, "known"))
    if ("router", "acme-http@internal") in finding.subjects:
        # Traefik's own router of the challenge, which is off when no resolver that wants it is left.
        keys = [_CHALLENGE.fullmatch(row["key"]) for row in known.rows("traefik_static") or []]
        yield from (key[1] for key in keys if key)
    if CAUSES["rate_limited"] in _told(finding, "causes"):
        for domain in _of(finding, "domain"):
            yield from known.column("routes", "domain", domain, "cert_resolver")


_CHALLENGE = re.compile(r"certificatesresolvers\.([^.]+)\.acme\.httpchallenge\b.*", re.IGNORECASE)
_RESOLVER = re.compile(r"certificatesresolvers\.([^.]+)\.", re.IGNORECASE)
_ENTRYPOINT = re.compile(r"entrypoints\.([^.]+)\.", re.IGNORECASE)
_NO_ENTRYPOINT = re.compile(r"entryPoint \"([^\"]+)\" doesn't exist", re.IGNORECASE)


def _options(finding: Finding, _: Scene) -> Iterator[str]:
    """What only the static configuration declares: resolvers and entry points."""
    for key in _told(finding, "keys"):
        yield from (f"résolveur {name.lower()}" for name in _RESOLVER.findall(f"{key}."))
        yield from (f"point d’entrée {name.lower()}" for name in _ENTRYPOINT.findall(f"{key}."))
    if finding.check == "ACME-004" and not {*_told(finding, "resolver")} & {*_told(finding, "known")}:
        yield from (f"résolveur {name.lower()}" for name in _told(finding, "resolver"))
    for error in _told(finding, "errors"):
        yield from (f"point d’entrée {name.lower()}" for name in _NO_ENTRYPOINT.findall(error))


_MISSING = re.compile(r"\b(middleware|service) \"([^\"]+)\" does not exist")


def _objects(finding: Finding, known: Scene) -> Iterator[str]:
    """Middlewares and services of Traefik: those it is about, those its router has, those an error misses."""
    kinds = [(kind, name) for kind, name in finding.subjects if kind in ("middleware", "service")]
    for router in _of(finding, "router"):
        row = known.by_name.get(router, {})
        kinds += [("middleware", name) for name in row.get("middlewares") or ()]
        kinds += [("service", row["service"])] if row.get("service") else []
    kinds += [match for error in _told(finding, "errors") for match in _MISSING.findall(error)]
    yield from (f"{kind} {name}" for kind, name in kinds)


def _providers(finding: Finding, _: Scene) -> Iterator[str]:
    """The provider that gives nothing, or of which something is missed."""
    match finding.check:
        case "ROUTE-018":
            yield "file"
        case "ROUTE-020":
            yield "docker"
        case "ROUTE-002" if finding.evidence["step"] not in ("provider", "constraints"):
            # What this Traefik does not look at may be another's.
            yield "docker"
    missing = [name for error in _told(finding, "errors") for _, name in _MISSING.findall(error)]
    yield from (provider for name in missing if (provider := name.rpartition("@")[2]) in ("file", "docker"))


def _rules(finding: Finding, _: Scene) -> Iterable[str]:
    """Routers whose rule is at fault, as Traefik's own message says of those it refuses."""
    refused = any(re.search(r"(?:parsing|adding|invalid) rule", error) for error in _told(finding, "errors"))
    return _of(finding, "router") if finding.check == "ROUTE-010" or refused else ()


def _pairs(finding: Finding, _: Scene) -> Iterator[str]:
    """Two routers, of which one answers for the other, on an entry point."""
    points = _of(finding, "entrypoint") or _told(finding, "entrypoint")
    own = _of(finding, "router")
    others = [*_told(finding, "others", "victims", "predicted"), *own[1:]]
    pairs = {tuple(sorted((own[0], other))) for other in others if other != own[0]} if own else set()
    yield from (f"{one} / {other} ({point})" for one, other in pairs for point in points)


def _clear(finding: Finding, _: Scene) -> Iterator[str]:
    """Domains in clear on an entry point; all of them where a TCP router takes every connection."""
    for point in _of(finding, "entrypoint"):
        domains = ["tous"] if finding.check == "ROUTE-017" else _told(finding, "domain", "domains")
        yield from (f"{domain} ({point})" for domain in [*domains, *(["tous"] if finding.check == "HTTP-004" else [])])


def _protections(finding: Finding, _: Scene) -> Iterator[str]:
    """What a router does not protect its answers with."""
    kinds = {"HTTP-003": ["en-têtes de sécurité"], "HTTP-005": ["authentification"], "ROUTE-014": ["authentification"]}
    lacking = kinds.get(finding.check) or _told(finding, "missing")
    routers = [*_of(finding, "router"), *_told(finding, "routers")]
    yield from (f"{router} ({kind})" for router in routers for kind in lacking)


def _publications(finding: Finding, known: Scene) -> Iterator[str]:
    """Containers with a port of the machine that they are reached by."""
    told = finding.evidence
    names = _of(finding, "container")
    ports = [_number(name) for name in _of(finding, "port")]
    if finding.check == "CIS-5.14":
        ports = [f"{one.rpartition('/')[2]}/{one.rpartition('/')[0].rpartition(':')[2]}" for one in told["ports"]]
    elif finding.check == "ROUTE-014":
        ports = [_number(name) for name in told["places"]]
        names = [row["network_container"] for row in known.rows("proxy") or [] if row["network_container"]]
    elif finding.check == "DB-004":
        ports = [f"tcp/{one.rpartition(':')[2]}" for one in told["addresses"]]
        names = [known.holders[name] for name in _of(finding, "database") if name in known.holders]
    yield from (f"{name} {port}" for name in names for port in ports)


def _databases(finding: Finding, _: Scene) -> Iterable[str]:
    return _of(finding, "database")


def _attachments(finding: Finding, _: Scene) -> Iterator[str]:
    """Databases with a network that strangers are on."""
    yield from (f"{name} ({network})" for name in _of(finding, "database") for network in _told(finding, "networks"))


def _aliases(finding: Finding, known: Scene) -> Iterator[str]:
    """DNS names on a network, that several answer to."""
    networks, names = _of(finding, "network"), _told(finding, "aliases")
    if finding.check == "DB-006":
        [container] = _of(finding, "container")
        networks = sorted(known.column("container_networks", "container", container, "network"))
        names = [name.lower() for name in _told(finding, "hosts")] if _told(finding, "targets") else []
    yield from (f"{name} ({network})" for network in networks for name in names)


def _claims(finding: Finding, _: Scene) -> Iterator[str]:
    """What is at rest, with the port that it claims."""
    claimants = [*_of(finding, "container", "compose_file"), *_told(finding, "claimants")]
    yield from (f"{name} {_number(port)}" for name in claimants for port in _of(finding, "port"))


def _files(finding: Finding, _: Scene) -> Iterator[str]:
    for name in [*_of(finding, "compose_file"), *_told(finding, "file")]:
        yield from name.split(" + ")


def _starts(finding: Finding, known: Scene) -> Iterator[str]:
    """Compose files, or services of one, that cannot start or do not run."""
    services = _told(finding, "services")
    for file in _files(finding, known):
        match finding.check:
            case "COMPOSE-002" if any(
                row["refused"] and file in row["files"].split(" + ") for row in known.rows("compose_projects") or []
            ):
                yield file
            case "NET-008" if any(
                row["used"] and row["name"] in _of(finding, "network") and file in (row["file"], row["files"])
                for row in known.rows("compose_resources") or []
            ):
                yield file
            case "PORT-002" | "COMPOSE-004":
                yield from (f"{file} ({service})" for service in services)
        if finding.check == "COMPOSE-004":
            yield file


def _defaults(finding: Finding, _: Scene) -> Iterator[str]:
    """What the daemon gives to containers that ask for nothing."""
    match finding.check:
        case "CIS-2.8" | "CIS-5.19":
            yield "limites de ressources"
        case "CIS-2.14":
            yield "nouveaux privilèges"
        case "CIS-5.26" if not any("no-new-privileges" in one for one in _told(finding, "security_options")):
            yield "nouveaux privilèges"


def _mounts(finding: Finding, _: Scene) -> Iterator[str]:
    """Folders of the machine in a container."""
    for name in _of(finding, "container"):
        yield from (f"{path} ({name})" for path in _told(finding, "folders", "sources"))


def _owners(finding: Finding, _: Scene) -> Iterator[str]:
    """Who does not run, or does not hold the port that is expected of him."""
    yield from _of(finding, "container", "unit", "database")
    if finding.check == "PORT-008":
        yield from _told(finding, "expected")


# Each kind of thing: its French noun, and how it is read from a finding.
THINGS: dict[str, tuple[str, Callable[[Finding, Scene], Iterable[str]]]] = {
    "alias": ("nom DNS", _aliases),
    "attachment": ("réseau d’une base", _attachments),
    "claim": ("port réclamé", _claims),
    "clear": ("accès en clair", _clear),
    "container": ("conteneur", _containers),
    "database": ("base", _databases),
    "default": ("réglage par défaut du démon", _defaults),
    "domain": ("domaine", _domains),
    "fault": ("étape rompue", _faults),
    "file": ("fichier", _files),
    "mount": ("montage", _mounts),
    "object": ("objet de Traefik", _objects),
    "option": ("option statique", _options),
    "owner": ("nom", _owners),
    "pair": ("paire de routeurs", _pairs),
    "protection": ("protection", _protections),
    "provider": ("fournisseur", _providers),
    "publication": ("publication", _publications),
    "resolver": ("résolveur ACME", _resolvers),
    "router": ("routeur", _routers),
    "rule": ("règle", _rules),
    "service": ("service", _services),
    "start": ("projet à l’arrêt", _starts),
    "state": ("conteneur", _states),
    "step": ("conteneur écarté", _steps),
    "target": ("conteneur", _targets),
    "url": ("adresse", _urls),
}


def things(finding: Finding, kind: str, known: Scene) -> set[str]:
    """The things of one kind that a finding is about."""
    return set(THINGS[kind][1](finding, known))
