"""How one request travels: port of the machine, entry point, router, middlewares, service, server, container, network.

The walk stops at the first hop that is broken, and says why. What the snapshot does not tell is unknown, never sound.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pandas as pd

from auditlib.french import listing, plural
from auditlib.french import quoted as said
from auditlib.routing.muxer import Candidate, Decision, Muxer
from auditlib.routing.requests import Request, request
from auditlib.routing.routers import Router, entrypoints, routers
from auditlib.routing.routes import leaves, machine_of, target_of
from auditlib.routing.unserved import reasons
from auditlib.schema import Row, records
from auditlib.snapshot import Snapshot

State = Literal["ok", "broken", "unknown"]
Verdict = Literal["ok", "broken", "unrouted", "unknown"]
Fault = tuple[str, str, str]  # check, kind and name of its subject

_HIGHEST = 2**63 - 1
# What Traefik itself answers when a server does not.
_GATEWAY_ERRORS = (502, 503, 504)


class RequestError(ValueError):
    """A URL that is none; the message is French."""


@dataclass(frozen=True)
class Hop:
    """One step of a request: what it is, its name, and its state with the reason, in French."""

    hop: str
    name: str
    state: State
    reason: str = ""


@dataclass
class Trace:
    """How a request travels. `faults` name the checks that say more of what is broken, with their subjects."""

    url: str
    verdict: Verdict = "unknown"
    entrypoint: str | None = None
    router: str | None = None
    ties: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    middlewares: tuple[str, ...] = ()
    service: str | None = None
    server: str | None = None
    container: str | None = None
    network: str | None = None
    hops: list[Hop] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    observed: dict[str, Any] | None = None

    def add(self, hop: str, name: str, state: State, reason: str = "", *faults: Fault) -> bool:
        """Add a hop; returns whether the walk goes on."""
        self.hops.append(Hop(hop, name, state, reason))
        self.faults += faults
        return state != "broken"


@dataclass(frozen=True)
class Known:
    """The tables that a walk reads, None for those that were not read. Many walks may share one."""

    snapshot: Snapshot
    _rows: dict[str, list[Row] | None] = field(default_factory=dict)

    def rows(self, name: str) -> list[Row] | None:
        """The rows of a table."""
        if name not in self._rows:
            frame = self.frame(name)
            self._rows[name] = None if frame is None else records(frame)
        return self._rows[name]

    def frame(self, name: str) -> pd.DataFrame | None:
        """The frame of a table."""
        found: pd.DataFrame | None = getattr(self.snapshot, name, None)
        return found

    @property
    def live(self) -> bool:
        """Whether Traefik's API was read; else what it must have loaded stands for it."""
        return self.frame("traefik_routers") is not None

    @functools.cached_property
    def muxer(self) -> Muxer | None:
        """The muxer of the live routers, else of those that Traefik must have loaded."""
        frame = self.frame("traefik_routers" if self.live else "predicted_routers")
        points = self.frame("entrypoints")
        if frame is None or points is None:
            return None
        version = next((row["version"] for row in self.rows("traefik") or []), None)
        inner = [] if self.live else list(_internal(records(points)))
        return Muxer(version, entrypoints(points), [*routers(frame), *inner])

    def traefik(self, kind: str) -> list[Row] | None:
        """The routers, services, servers or middlewares of Traefik, else those that it must have."""
        return self.rows(f"{'traefik' if self.live else 'predicted'}_{kind}")


def trace(
    known: Known,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    client_ip: str = "127.0.0.1",
) -> Trace:
    """How a request travels through what is known of a server. Raises RequestError for what is no web address."""
    shown = url if "://" in url else f"http://{url}"
    try:
        asked = request(shown, method, tuple((headers or {}).items()), client_ip)
        port = urlsplit(shown).port or {"http": 80, "https": 443}[urlsplit(shown).scheme]
    except (ValueError, KeyError, UnicodeError) as error:
        raise RequestError(
            f"« {url} » n’est pas une adresse web : donnez par exemple https://exemple.fr/chemin"
        ) from error
    done = Trace(shown)
    done.observed = _observed(known, asked)
    _walk(done, known, asked, port)
    _conclude(done)
    return done


def _walk(done: Trace, known: Known, asked: Request, port: int) -> None:
    inner = _door(done, known, port)
    if inner is None:
        return
    points = known.rows("entrypoints")
    if points is None:
        done.add("entrypoint", "", "unknown", "Les points d’entrée de Traefik ne sont pas connus.")
        return
    named = [row["entrypoint"] for row in points if row["port"] == inner and row["protocol"] == "tcp"]
    if not named:
        done.add("entrypoint", "", "broken", f"Aucun point d’entrée de Traefik n’écoute sur son port {inner}.")
        return
    done.entrypoint = named[0]
    done.add("entrypoint", named[0], "ok", f"Il écoute sur le port {inner} de Traefik.")
    router = _routed(done, known, asked, named[0])
    if router is not None and _middlewares(done, known, router) and _service(done, known, router):
        _probe(done)


def _door(done: Trace, known: Known, port: int) -> int | None:
    """The port of Traefik that a port of the machine leads to; None when it leads elsewhere, or nowhere."""
    proxies = known.rows("proxy")
    publications = known.rows("publications")
    if not proxies or publications is None:
        done.add("port", str(port), "unknown", "Le conteneur de Traefik ou les ports publiés ne sont pas connus.")
        return None
    proxy = proxies[0]
    owners = {
        row["container"]: row["container_port"]
        for row in publications
        if row["live"] and row["protocol"] == "tcp" and row["host_port"] == port
    }
    bearer = proxy["network_container"]
    if bearer in owners:
        done.add("port", str(port), "ok", f"Publié par {said(bearer)}, vers son port {owners[bearer]}.")
        return int(owners[bearer])
    if owners:
        done.container = next(iter(owners))
        reason = f"Le conteneur {said(done.container)} publie ce port lui-même : la requête ne passe pas par Traefik."
        done.add("port", str(port), "ok", reason)
        return None
    if bearer is None or proxy["network_mode"] == "host":
        done.add("port", str(port), "ok", "Traefik est sur le réseau de la machine.")
        return port
    listeners = known.rows("listeners")
    holders = [row for row in listeners or [] if row["protocol"] == "tcp" and row["port"] == port]
    if holders:
        holder = holders[0]["unit"] or holders[0]["process"] or "un processus inconnu"
        done.add("port", str(port), "ok", f"{holder} y écoute sur la machine : la requête ne passe pas par Traefik.")
    elif listeners is None:
        done.add(
            "port", str(port), "unknown", "Aucun conteneur ne le publie ; les écoutes de la machine sont inconnues."
        )
    else:
        done.add("port", str(port), "broken", "Rien n’écoute sur ce port de la machine.")
    return None


def _internal(points: list[Row]) -> Iterator[Router]:
    """The redirections that Traefik makes for entry points (`pkg/provider/traefik/internal.go`)."""
    for row in points:
        if row["redirect_to"]:
            name = f"{row['entrypoint']}-to-{row['redirect_to']}@internal"
            yield Router(name, "HostRegexp(`^.+$`)", (row["entrypoint"],), priority=_HIGHEST - 1)


def _routed(done: Trace, known: Known, asked: Request, entrypoint: str) -> Row | None:
    """The router that answers, as its row; None when the walk ends here."""
    tables = known.muxer
    if tables is None:
        done.add("router", "", "unknown", "Ni l’API de Traefik ni sa configuration n’ont été lues.")
        return None
    decision = tables.decide(asked, entrypoint)
    done.candidates = tuple(tables.candidates(asked, entrypoint))
    if not decision.winners:
        _unserved(done, known, asked, decision)
        return None
    done.router, done.ties = decision.winners[0], decision.winners[1:]
    row = next((one for one in known.traefik("routers") or [] if one["router"] == done.router), None)
    if row is None:
        to = next(
            (one["redirect_to"] for one in known.rows("entrypoints") or [] if one["entrypoint"] == entrypoint), None
        )
        done.add("router", done.router, "ok", f"Le point d’entrée redirige tout vers {said(to)}.")
        return None
    told = f"Règle {row['rule']}, priorité {row['priority']}." if row["rule"] else ""
    if not known.live:
        told += " D’après les étiquettes et les fichiers : l’API de Traefik n’a pas été lue."
    if done.ties:
        others = listing(map(said, done.ties))
        told = f"À égalité avec {others} : Traefik choisit au hasard. {told}"
        done.add("router", done.router, "unknown", told, ("ROUTE-011", "router", done.router))
    elif decision.layer == "tcp":
        told = f"Ce routeur TCP prend toute la connexion avant HTTP. {told}"
        done.add("router", done.router, "ok", told, ("ROUTE-017", "router", done.router))
    else:
        done.add("router", done.router, "ok", told.strip())
    return row


def _unserved(done: Trace, known: Known, asked: Request, decision: Decision) -> None:
    """No router answers: say what Traefik does, and look for who should have."""
    done.verdict = "unrouted"
    status = decision.status
    host = (asked.host or "").rpartition("@")[2]
    if status != 404:
        reason = {
            400: "Traefik refuse cette requête telle quelle (400).",
            405: "Aucun routeur ne prend cette méthode (405).",
            421: "Les options TLS du nom demandé ne sont pas celles du routeur (421).",
        }.get(status or 0, f"Traefik répond lui-même ({status}).")
        done.add("router", "", "broken", reason)
        return
    done.add("router", "", "broken", "Aucun routeur actif ne répond à cette requête : Traefik répond 404.")
    tables = known.muxer
    for cause in reasons(known.snapshot, tables, asked, done.entrypoint or "", host):
        done.add(cause.hop, cause.name, "broken", cause.text, *cause.faults)
        done.container = done.container or cause.container


def _middlewares(done: Trace, known: Known, router: Row) -> bool:
    """Add the middlewares of a router."""
    found = {(row["protocol"], row["middleware"]): row for row in known.traefik("middlewares") or []}
    done.middlewares = tuple(router["middlewares"] or ())
    for name in done.middlewares:
        row = found.get((router["protocol"], name))
        if row is not None and row["status"] == "disabled":
            reason = f"Désactivé par Traefik : {listing(row['errors'] or ('sans motif donné',))}."
            return done.add("middleware", name, "broken", reason, ("ROUTE-001", "middleware", name))
        done.add("middleware", name, "unknown" if row is None else "ok", (row or {}).get("type") or "")
    return True


def _service(done: Trace, known: Known, router: Row) -> bool:
    """Add the service of a router, its server, and what is behind it."""
    done.service, protocol = router["service"], router["protocol"]
    if (done.service or "").endswith("@internal"):
        reason = "Traefik redirige." if done.service == "noop@internal" else "Traefik répond lui-même."
        return done.add("service", done.service or "", "ok", reason)
    services = {(row["protocol"], row["service"]): row for row in known.traefik("services") or []}
    row = services.get((protocol, done.service or ""))
    if row is None or row["status"] == "disabled":
        reason = listing((row or {}).get("errors") or ("ce service n’existe pas",))
        fault = ("ROUTE-001", "router", done.router or "")
        return done.add("service", done.service or "", "broken", f"Traefik ne peut le servir : {reason}.", fault)
    below = list(leaves(done.service, protocol, services))
    servers = [one for one in known.traefik("servers") or [] if one["protocol"] == protocol and one["service"] in below]
    if not servers:
        return done.add("service", done.service or "", "broken", "Il n’a aucun serveur : Traefik répond 503.")
    done.add("service", done.service or "", "ok", f"{plural(len({one['url'] for one in servers}), 'serveur')}.")
    alive = [one for one in servers if one["status"] != "DOWN"]
    return _server(done, known, (alive or servers)[0], several=len(servers) > 1)


def _server(done: Trace, known: Known, server: Row, *, several: bool) -> bool:
    """Add a server, the container or the process behind it, and whether Traefik reaches it."""
    done.server, done.container, done.network = server["url"], server["container"], server["network"]
    if server["status"] == "DOWN":
        fault = ("ROUTE-007", "service", server["service"])
        return done.add("server", server["url"], "broken", "Son contrôle de santé échoue : Traefik répond 503.", fault)
    machine = machine_of(known.frame("networks"), known.frame("listeners"), known.frame("proxy"))
    found = target_of(server, machine)
    note = "Un serveur parmi plusieurs." if several else ""
    subject = (server["service"], server["url"])
    match found["kind"]:
        case "conteneur":
            chosen = server.get("certain", True)
            told = note if chosen else "Traefik choisit au hasard entre plusieurs adresses du conteneur."
            done.add("server", server["url"], "ok" if chosen else "unknown", told)
            return _container(done, known, found["port"])
        case "machine":
            return _machine(done, known, found, subject)
        case "Traefik":
            reason = "Vue de Traefik, cette adresse est Traefik lui-même, pas la machine."
            return done.add("server", server["url"], "broken", reason, ("ROUTE-015", "service", subject[0]))
    addresses = {end for row in known.rows("container_networks") or [] for end in (row["ipv4"], row["ipv6"]) if end}
    if known.live and str(done.service).endswith("@docker") and found["target"] not in addresses:
        reason = "Aucun conteneur n’a cette adresse : elle est périmée."
        return done.add("server", server["url"], "broken", reason, ("ROUTE-016", "service", subject[0]))
    return done.add("server", server["url"], "unknown", "Cette adresse n’est ni un conteneur ni la machine.")


def _machine(done: Trace, known: Known, found: Row, subject: tuple[str, str]) -> bool:
    """Add a server that is a process of the machine."""
    service, url = subject
    listeners = known.rows("listeners")
    if listeners is None:
        return done.add("server", url, "unknown", "Un processus de la machine ; ses écoutes n’ont pas été lues.")
    held = [row for row in listeners if row["protocol"] == "tcp" and row["port"] == found["port"]]
    fault = ("ROUTE-015", "service", service)
    if not held:
        return done.add("server", url, "broken", f"Rien n’écoute sur le port {found['port']} de la machine.", fault)
    proxy = (known.rows("proxy") or [{}])[0]
    inside = proxy.get("container") and proxy.get("network_mode") != "host"
    if inside and all(row["address"].startswith("127.") or row["address"] == "::1" for row in held):
        reason = f"{found['target']} n’écoute que sur la boucle locale : Traefik, dans un conteneur, ne l’atteint pas."
        return done.add("server", url, "broken", reason, fault)
    return done.add("server", url, "ok", f"{found['target']}, sur la machine.")


def _container(done: Trace, known: Known, port: int | None) -> bool:
    """Add the container of a server, its network and the port it must listen to."""
    container = str(done.container)
    row = next((one for one in known.rows("containers") or [] if one["name"] == container), {})
    if row.get("state") not in (None, "running"):
        return done.add(
            "container", container, "broken", "Il ne tourne pas.", ("ROUTE-016", "service", str(done.service))
        )
    if row.get("health") == "unhealthy":
        done.add(
            "container", container, "ok", "En marche, mais en mauvaise santé.", ("CONT-001", "container", container)
        )
    else:
        done.add("container", container, "ok", "En marche.")
    return _network(done, known, container) and _listening(done, known, container, port)


def _network(done: Trace, known: Known, container: str) -> bool:
    """Add the network between Traefik and a container."""
    proxy = (known.rows("proxy") or [{}])[0]
    if not proxy.get("container") or proxy["network_mode"] == "host" or done.network is None:
        return done.add("network", done.network or "", "ok", "Joignable depuis la machine." if done.network else "")
    if done.network not in (proxy["networks"] or ()):
        reason = (
            f"Traefik n’est pas sur ce réseau (il est sur {listing(map(said, proxy['networks'])) or 'aucun'}) : 504."
        )
        return done.add("network", done.network, "broken", reason, ("NET-002", "container", container))
    designated = proxy["designated"]
    labels = {row["container"]: row["network_label"] for row in known.rows("routed") or []}
    wanted = designated if labels.get(container) is None else labels[container]
    if wanted and wanted != done.network:
        reason = f"Traefik devait prendre {said(wanted)}, où le conteneur n’est pas : il se rabat sur celui-ci."
        return done.add("network", done.network, "ok", reason, ("NET-001", "container", container))
    return done.add("network", done.network, "ok", "Commun à Traefik et au conteneur.")


def _listening(done: Trace, known: Known, container: str, port: int | None) -> bool:
    """Add the port of the container: whether a process listens to it, beyond its own loopback."""
    listeners = known.rows("container_listeners")
    if listeners is None or port is None:
        return done.add("listening", str(port or ""), "unknown", "Les écoutes dans les conteneurs n’ont pas été lues.")
    own = [row for row in listeners if row["container"] == container and row["protocol"] == "tcp"]
    held = [row for row in own if row["port"] == port]
    fault = ("ROUTE-006", "container", container)
    if not held:
        others = listing(str(number) for number in sorted({row["port"] for row in own}))
        reason = f"Rien n’y écoute dans le conteneur (ports écoutés : {others or 'aucun'}) : 502."
        return done.add("listening", str(port), "broken", reason, fault)
    if all(row["address"].startswith("127.") or row["address"] == "::1" for row in held):
        reason = "Le processus n’écoute que sur la boucle locale du conteneur : 502."
        return done.add("listening", str(port), "broken", reason, fault)
    return done.add("listening", str(port), "ok", f"{held[0]['process'] or 'Un processus'} y écoute.")


def _observed(known: Known, asked: Request) -> dict[str, Any] | None:
    """The probe that was made of this request, or None."""
    host = (asked.host or "").rpartition(":")[0] if (asked.host or "").count(":") == 1 else asked.host
    path = asked.target.partition("?")[0]
    scheme = "https" if asked.tls else "http"
    for row in known.rows("http_probes") or []:
        if row["domain"] == host and (row["path"] or "/") == path and str(row["url"]).startswith(f"{scheme}://"):
            return {name: row[name] for name in ("status", "latency_ms", "error", "router")}
    return None


def _probe(done: Trace) -> None:
    """Add what the probe saw."""
    if done.observed is None:
        return
    status, error = done.observed["status"], done.observed["error"]
    if status is None:
        done.add("probe", "", "broken", f"La sonde n’a pas eu de réponse{f' : {error}' if error else ''}.")
    else:
        state: State = "broken" if status in _GATEWAY_ERRORS else "ok"
        done.add("probe", str(status), state, f"La sonde a reçu {status} en {done.observed['latency_ms']} ms.")


def _conclude(done: Trace) -> None:
    if done.verdict == "unrouted":
        return
    states = {hop.hop: hop.state for hop in done.hops}
    if "broken" in states.values():
        done.verdict = "broken"
    elif done.entrypoint is None:
        done.verdict = "unrouted" if states.get("port") == "ok" else "unknown"
    elif done.ties or any(
        state == "unknown" for hop, state in states.items() if hop not in ("listening", "middleware")
    ):
        done.verdict = "unknown"
    else:
        done.verdict = "ok"
