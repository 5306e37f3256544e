"""Why no router answers a request: who declares its host, on the machine, and what became of the declaration."""

from collections.abc import Iterator
from dataclasses import dataclass

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import Snapshot
from auditlib.french import listing
from auditlib.french import quoted as said
from auditlib.traefik.decoding import DecodingError, decode_labels, unmarked
from auditlib.traefik.fields import LATEST, Version, version
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.requests import Request
from auditlib.traefik.rules import RuleError, Syntax, parse, places
from auditlib.views.decisions import container_facts

Fault = tuple[str, str, str]


@dataclass(frozen=True)
class Reason:
    """One reason: a hop, its name, a French sentence, and the checks that say more."""

    hop: str
    name: str
    text: str
    faults: tuple[Fault, ...] = ()
    container: str | None = None


def reasons(snapshot: Snapshot, tables: Muxer | None, asked: Request, entrypoint: str, host: str) -> Iterator[Reason]:
    """Why no router answers, the most telling first. Nothing when nobody on the machine declares the host."""
    host = host.partition(":")[0].lower() if not host.startswith("[") else host
    found = [
        *_elsewhere(tables, asked, entrypoint),
        *_disabled(snapshot, host),
        *_containers(snapshot, host),
        *_files(snapshot, host),
        *_other_paths(tables, snapshot, asked, entrypoint, host),
    ]
    if not found:
        yield Reason("domain", host, "Rien sur cette machine ne déclare ce domaine.")
    yield from found


def names(rule: str | None, host: str, syntax: Syntax = "v3") -> bool:
    """Whether a rule names a host."""
    try:
        return any(place.domain == host for place in places(parse(rule or "", syntax)))
    except RuleError:
        # A broken rule still shows whom it was for.
        return bool(host) and f"`{host}`" in (rule or "").lower()


def _elsewhere(tables: Muxer | None, asked: Request, entrypoint: str) -> Iterator[Reason]:
    """Routers that would answer on another entry point, or with TLS where there is none."""
    if tables is None:
        return
    for other in sorted(tables.handling):
        for tls in (False, True):
            if (other, tls) == (entrypoint, asked.tls):
                continue
            sni = asked.sni or (asked.host or "").partition(":")[0]
            winners = tables.decide(replace_request(asked, tls=tls, sni=sni if tls else None), other).winners
            kept = [name for name in winners if not name.endswith("@internal")]
            if kept:
                how = "en TLS" if tls else "en clair"
                where = "ce point d’entrée" if other == entrypoint else f"le point d’entrée {said(other)}"
                text = f"Le routeur {said(kept[0])} répond à ce domaine sur {where}, {how} seulement."
                yield Reason("router", kept[0], text)


def replace_request(asked: Request, *, tls: bool, sni: str | None) -> Request:
    """The same request, over another kind of connection."""
    return asked._replace(tls=tls, sni=sni)


def _disabled(snapshot: Snapshot, host: str) -> Iterator[Reason]:
    """Routers that Traefik has and does not serve."""
    frame = getattr(snapshot, "traefik_routers", None)
    frame = getattr(snapshot, "predicted_routers", None) if frame is None else frame
    for row in records(frame) if frame is not None else []:
        if row["status"] == "disabled" and names(row["rule"], host, _syntax(row)):
            text = f"Traefik l’a désactivé : {listing(row['errors'] or ('sans motif donné',))}."
            yield Reason("router", row["router"], text, (("ROUTE-001", "router", row["router"]),))


def _syntax(row: Record) -> Syntax:
    return "tcp" if row["protocol"] == "tcp" else "v2" if row["rule_syntax"] == "v2" else "v3"


def _containers(snapshot: Snapshot, host: str) -> Iterator[Reason]:
    """Containers whose labels declare the host, and what the provider made of them."""
    decisions = {row["container"]: row for row in records(snapshot.docker_decisions)} if _has(snapshot) else {}
    running = next((version(row["version"]) for row in _rows(snapshot, "traefik")), None) or LATEST
    if not decisions:
        return
    live = {row["router"] for row in _rows(snapshot, "traefik_routers")}
    for container in snapshot.call(container_facts):
        declared = _declared(container.known_labels, running)
        mine = [name for name, rule in declared.items() if names(rule, host)]
        decision = decisions.get(container.name)
        if not mine or decision is None:
            continue
        lost = {f"{name}@docker" for name in mine} & {*decision["lost"]}
        check = "ROUTE-003" if decision["step"] == "conflict" else "ROUTE-002"
        if decision["decision"] != "routed" or lost:
            fault = ("ROUTE-003", "router", sorted(lost)[0]) if check == "ROUTE-003" and lost else None
            faults = (fault or (check, "container", container.name),)
            yield Reason("container", container.name, _told(decision), faults, container.name)
        elif live and not {f"{name}@docker" for name in mine} & live:
            text = "Ses étiquettes déclarent ce domaine, et Traefik ne l’a pas chargé : il a manqué un événement."
            yield Reason(
                "container", container.name, text, (("ROUTE-002", "container", container.name),), container.name
            )


def _told(decision: Record) -> str:
    said_ = "Ses étiquettes déclarent ce domaine, mais Traefik "
    verb = {"filtered": "le filtre", "dropped": "l’écarte", "unknown": "le traite d’une façon inconnue"}
    return f"{said_}{verb.get(decision['decision'], 'abandonne ce routeur')}. {decision['reason']}"


def _declared(labels: dict[str, str], running: Version) -> dict[str, str]:
    """The rules of HTTP routers by name, read leniently: one label may spoil the others for Traefik, not for us."""
    try:
        routers = decode_labels(labels, running)["HTTP"].get("Routers", {})
        return {name: unmarked(router.get("Rule", "")) for name, router in routers.items()}
    except DecodingError:
        found = {}
        for label, value in labels.items():
            parts = label.split(".")
            if len(parts) >= 5 and [part.lower() for part in (*parts[:2], parts[-1])] == ["traefik", "http", "rule"]:
                found[".".join(parts[3:-1])] = unmarked(value)
        return found


def _files(snapshot: Snapshot, host: str) -> Iterator[Reason]:
    """Files that declare the host, and files that are broken."""
    broken = [row for row in _rows(snapshot, "traefik_files") if row["status"] == "broken"]
    live = {row["router"] for row in _rows(snapshot, "traefik_routers")}
    for row in _rows(snapshot, "traefik_file_routers"):
        if not names(row["rule"], host, _syntax(row)) or f"{row['router']}@file" in live:
            continue
        if broken:
            text = "Ce fichier déclare ce domaine, mais un autre fichier est cassé : Traefik n’en prend aucun."
        elif not row["effective"]:
            text = (
                f"Ce fichier déclare ce domaine par le routeur {said(row['router'])}, déjà pris par un autre fichier."
            )
        else:
            text = "Ce fichier déclare ce domaine, et Traefik ne l’a pas chargé."
        yield Reason("file", row["path"], text)
    for row in broken:
        line = f", ligne {row['line']}" if row["line"] else ""
        text = f"Ce fichier est cassé{line} ({row['error']}) : tout le fournisseur de fichiers ne donne plus rien."
        yield Reason("file", row["path"], text, (("ROUTE-018", "source", row["path"]),))


def _other_paths(
    tables: Muxer | None, snapshot: Snapshot, asked: Request, entrypoint: str, host: str
) -> Iterator[Reason]:
    """Routers of this host on this entry point whose rule wants something else of the request."""
    if tables is None:
        return
    for route in tables.routes(entrypoint, tls=asked.tls):
        if names(route.router.rule, host, route.syntax):
            text = f"Ce routeur sert ce domaine, mais sa règle ne prend pas cette requête : {route.router.rule}."
            yield Reason("router", route.router.name, text)


def _rows(snapshot: Snapshot, name: str) -> list[Record]:
    frame = getattr(snapshot, name, None)
    return [] if frame is None else records(frame)


def _has(snapshot: Snapshot) -> bool:
    return getattr(snapshot, "docker_decisions", None) is not None
