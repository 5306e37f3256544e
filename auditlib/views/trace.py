"""How one request travels: port of the machine, entry point, router, middlewares, service, server, container, network.

The walk stops at the first hop that is broken, and says why. What the snapshot does not tell is unknown, never sound.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from auditlib.addresses import host_and_port
from auditlib.facts.legacy import Record
from auditlib.french import listing, plural
from auditlib.french import quoted as said
from auditlib.traefik.muxer import Decision
from auditlib.traefik.requests import Request, request
from auditlib.views.backend import follow
from auditlib.views.hops import Known, State, Trace
from auditlib.views.proxy import traefiks
from auditlib.views.routes import leaves
from auditlib.views.unserved import reasons

# What Traefik itself answers when a server does not.
_GATEWAY_ERRORS = (502, 503, 504)


class RequestError(ValueError):
    """A URL that is none; the message is French."""


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
    done.observed = _observed(known, asked, port)
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
        if _is_traefik(known, done.container):
            reason = f"Publié par {said(done.container)}, un autre Traefik : ses routes n’ont pas été lues."
            done.add("port", str(port), "unknown", reason)
            return None
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


def _is_traefik(known: Known, container: str) -> bool:
    """Whether a container runs Traefik, by the name of its image or by the program that listens in it."""
    return container in traefiks(known.rows("containers") or [], known.rows("container_listeners"))


def _routed(done: Trace, known: Known, asked: Request, entrypoint: str) -> Record | None:
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


def _middlewares(done: Trace, known: Known, router: Record) -> bool:
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


def _service(done: Trace, known: Known, router: Record) -> bool:
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
    return follow(done, known, (alive or servers)[0], several=len(servers) > 1)


def _observed(known: Known, asked: Request, port: int) -> dict[str, Any] | None:
    """The probe that was made of this request, or None."""
    host = (asked.host or "").rpartition(":")[0] if (asked.host or "").count(":") == 1 else asked.host
    path = asked.target.partition("?")[0]
    scheme = "https" if asked.tls else "http"
    for row in known.rows("http_probes") or []:
        same = str(row["url"]).startswith(f"{scheme}://") and host_and_port(row["url"])[1] == port
        if same and row["domain"] == host and (row["path"] or "/") == path:
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
