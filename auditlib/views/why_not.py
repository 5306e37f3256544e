"""Why no router answers a request: who declares its host, on the machine, and what became of the declaration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from auditlib.facts.tables.traefik import FileRouter, Traefik, TraefikFile, TraefikRouter
from auditlib.french import listing, quoted
from auditlib.traefik.decoding import DecodingError, decode_labels, unmarked
from auditlib.traefik.fields import LATEST, Version, version
from auditlib.traefik.requests import Request
from auditlib.traefik.rules import RuleError, Syntax, parse, places
from auditlib.views.decisions import DockerDecision, provided_containers
from auditlib.views.known import Known
from auditlib.views.routes import syntax_of


class Fault(NamedTuple):
    """A check that says more of what is broken, with the kind and the name of its subject."""

    check: str
    kind: str
    name: str


@dataclass(frozen=True)
class Reason:
    """One reason: a hop, its name, a French sentence, the checks that say more, and the container that is concerned."""

    hop: str
    name: str
    text: str
    faults: tuple[Fault, ...] = ()
    container: str | None = None


def reasons(known: Known, request: Request, entrypoint: str) -> Iterator[Reason]:
    """Why no router answers, the most telling first. Nothing when nobody on the machine declares the host."""
    host = (request.host or "").rpartition("@")[2]
    host = host if host.startswith("[") else host.partition(":")[0].lower()
    found = [
        *_elsewhere(known, request, entrypoint),
        *_disabled(known, host),
        *_containers(known, host),
        *_files(known, host),
        *_other_paths(known, request, entrypoint, host),
    ]
    yield from found or [Reason("domain", host, "Rien sur cette machine ne déclare ce domaine.")]


def _names(rule: str | None, host: str, syntax: Syntax = "v3") -> bool:
    """Whether a rule names a host."""
    try:
        return any(place.domain == host for place in places(parse(rule or "", syntax)))
    except RuleError:
        # A broken rule still shows whom it was for.
        return bool(host) and f"`{host}`" in (rule or "").lower()


def _elsewhere(known: Known, request: Request, entrypoint: str) -> Iterator[Reason]:
    """Routers that would answer on another entry point, or with TLS where there is none."""
    muxer = known.muxer
    if muxer is None:
        return
    sni = request.sni or (request.host or "").partition(":")[0]
    for other in sorted(muxer.handling):
        for tls in (False, True):
            if (other, tls) == (entrypoint, request.tls):
                continue
            winners = muxer.decide(request._replace(tls=tls, sni=sni if tls else None), other).winners
            router = next((name for name in winners if not name.endswith("@internal")), None)
            if router:
                how = "en TLS" if tls else "en clair"
                where = "ce point d’entrée" if other == entrypoint else f"le point d’entrée {quoted(other)}"
                text = f"Le routeur {quoted(router)} répond à ce domaine sur {where}, {how} seulement."
                yield Reason("router", router, text)


def _disabled(known: Known, host: str) -> Iterator[Reason]:
    """Routers that Traefik has and does not serve."""
    for router in known.routers or ():
        syntax = syntax_of(router.protocol, router.rule_syntax)
        if router.status == "disabled" and _names(router.rule, host, syntax):
            text = f"Traefik l’a désactivé : {listing(router.errors or ('sans motif donné',))}."
            yield Reason("router", router.router, text, (Fault("ROUTE-001", "router", router.router),))


def _containers(known: Known, host: str) -> Iterator[Reason]:
    """Containers whose labels declare the host, and what the provider made of them."""
    decisions = known.snapshot.known(DockerDecision)
    if not decisions:
        return
    by_container = decisions.by(DockerDecision.container)
    running = next((version(api.version) for api in known.snapshot.known(Traefik) or ()), None) or LATEST
    live = {router.router for router in known.snapshot.known(TraefikRouter) or ()}
    for container in known.snapshot.call(provided_containers):
        rules = _declared_rules(container.known_labels, running)
        routers = {f"{name}@docker" for name, rule in rules.items() if _names(rule, host)}
        decision = by_container.get(container.name)
        if not routers or decision is None:
            continue
        lost = sorted(routers & {*(decision.lost or ())})
        if decision.decision != "routed" or lost:
            yield _left_out(decision, lost)
        elif live and not routers & live:
            text = "Ses étiquettes déclarent ce domaine, et Traefik ne l’a pas chargé : il a manqué un événement."
            fault = Fault("ROUTE-002", "container", container.name)
            yield Reason("container", container.name, text, (fault,), container.name)


def _left_out(decision: DockerDecision, lost: list[str]) -> Reason:
    """A container that the provider leaves out, or of whose routers it drops some."""
    verbs = {"filtered": "le filtre", "dropped": "l’écarte", "unknown": "le traite d’une façon inconnue"}
    verb = verbs.get(decision.decision or "", "abandonne ce routeur")
    text = f"Ses étiquettes déclarent ce domaine, mais Traefik {verb}. {decision.reason}"
    container = decision.container
    fault = Fault("ROUTE-003" if decision.step == "conflict" else "ROUTE-002", "container", container)
    if decision.step == "conflict" and lost:
        fault = Fault("ROUTE-003", "router", lost[0])
    return Reason("container", container, text, (fault,), container)


def _declared_rules(labels: Mapping[str, str], running: Version) -> dict[str, str]:
    """The rules of HTTP routers by name, read leniently: one label may spoil the others for Traefik, not for us."""
    try:
        routers = decode_labels(labels, running)["HTTP"].get("Routers", {})
        return {name: unmarked(router.get("Rule", "")) for name, router in routers.items()}
    except DecodingError:
        rules = {}
        for label, value in labels.items():
            parts = label.split(".")
            if len(parts) >= 5 and [part.lower() for part in (*parts[:2], parts[-1])] == ["traefik", "http", "rule"]:
                rules[".".join(parts[3:-1])] = unmarked(value)
        return rules


def _files(known: Known, host: str) -> Iterator[Reason]:
    """Files that declare the host, and files that are broken."""
    broken = [file for file in known.snapshot.known(TraefikFile) or () if file.status == "broken"]
    live = {router.router for router in known.snapshot.known(TraefikRouter) or ()}
    for router in known.snapshot.known(FileRouter) or ():
        syntax = syntax_of(router.protocol, router.rule_syntax)
        if not _names(router.rule, host, syntax) or f"{router.router}@file" in live:
            continue
        if broken:
            text = "Ce fichier déclare ce domaine, mais un autre fichier est cassé : Traefik n’en prend aucun."
        elif not router.effective:
            name = quoted(router.router)
            text = f"Ce fichier déclare ce domaine par le routeur {name}, déjà pris par un autre fichier."
        else:
            text = "Ce fichier déclare ce domaine, et Traefik ne l’a pas chargé."
        yield Reason("file", router.path, text)
    for file in broken:
        line = f", ligne {file.line}" if file.line else ""
        text = f"Ce fichier est cassé{line} ({file.error}) : tout le fournisseur de fichiers ne donne plus rien."
        yield Reason("file", file.path, text, (Fault("ROUTE-018", "source", file.path),))


def _other_paths(known: Known, request: Request, entrypoint: str, host: str) -> Iterator[Reason]:
    """Routers of this host on this entry point whose rule wants something else of the request."""
    for route in known.muxer.routes(entrypoint, tls=request.tls) if known.muxer else ():
        if _names(route.router.rule, host, route.syntax):
            text = f"Ce routeur sert ce domaine, mais sa règle ne prend pas cette requête : {route.router.rule}."
            yield Reason("router", route.router.name, text)
