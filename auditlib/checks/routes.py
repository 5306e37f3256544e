"""ROUTE: what Traefik loaded, and what it leaves open."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import pandas as pd

from auditlib.addresses import EVERY_ADDRESS, host_and_port, is_loopback, joined, reachable
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.french import listing, quoted
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.protection import expanded, protection
from auditlib.views.ports import Claim, claim

# What Traefik's own messages mean, and what to do: the first that matches (traefik.md, section 3.3).
_REMEDIES = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (
            r'middleware "([^"@]+)@docker" does not exist',
            "nommer le fournisseur qui déclare le middleware, par exemple « {0}@file », ou le déclarer par étiquettes",
        ),
        (r'middleware "([^"]+)" does not exist', "déclarer le middleware « {0} », ou corriger son nom"),
        (r'service "([^"]+)" does not exist', "déclarer le service « {0} », ou corriger son nom et son fournisseur"),
        (r"entryPoint|entry point", "nommer un point d’entrée qui existe (les majuscules comptent)"),
        (r"parsing rule|adding rule|invalid rule", "corriger la règle selon la syntaxe de cette version de Traefik"),
        (r"unknown TLS options", "déclarer ces options TLS, ou retirer la référence"),
        (r"priority", "donner une priorité plus petite"),
        (r"parsing server URL", "corriger l’adresse du serveur, ou l’étiquette de son port"),
    )
)
# The services of Traefik's own that show its configuration.
API_SERVICES = ("api@internal", "dashboard@internal")


@check(
    "ROUTE-001",
    "critical",
    "Traefik sert tous les routeurs, services et middlewares déclarés",
    key=(),
    message="{noun} « {name} » {effect} : {errors}.",
    fix=Fix("Remède : {remedy}.", (), ("curl -sS {url}",)),
)
def loaded(
    traefik_routers: pd.DataFrame,
    traefik_services: pd.DataFrame,
    traefik_middlewares: pd.DataFrame,
    traefik: pd.DataFrame,
) -> Iterator[Record]:
    """Objects that Traefik's API reports as disabled (not served) or in warning (served, but not as asked)."""
    api = records(traefik)[0]["url"] if len(traefik) else None
    kinds = (
        ("router", "Le routeur", traefik_routers),
        ("service", "Le service", traefik_services),
        ("middleware", "Le middleware", traefik_middlewares),
    )
    for kind, noun, frame in kinds:
        for row in records(frame):
            if row["status"] not in ("disabled", "warning"):
                continue
            disabled = row["status"] == "disabled"
            yield {
                "subjects": ((kind, row[kind]),),
                "severity": "critical" if disabled else "medium",
                kind: row[kind],
                "protocol": row["protocol"],
                "status": row["status"],
                "errors": row["errors"] or ("sans motif donné",),
                "wording": {
                    "noun": noun,
                    "name": row[kind],
                    "effect": "est désactivé par Traefik" if disabled else "est servi, mais Traefik avertit",
                    "remedy": _remedy(row["errors"] or ()),
                    "url": f"{api}/api/{row['protocol']}/{kind}s/{_escaped(row[kind])}" if api else None,
                },
            }


def _escaped(name: str) -> str:
    return quote(name, safe="@", errors="surrogatepass")


def _remedy(errors: Iterable[str]) -> str:
    for error in errors:
        for pattern, remedy in _REMEDIES:
            if match := pattern.search(error):
                return remedy.format(*match.groups())
    return "corriger ce que Traefik signale"


@check(
    "ROUTE-014",
    "high",
    "L’API de Traefik n’est pas servie sans authentification au-delà de la machine",
    key=("entrypoint", "router"),
    message="L’API de Traefik répond sans authentification sur le point d’entrée « {entrypoint} » ({cause}), joignable "
    "au-delà de cette machine par {places} : n’importe qui y lit les domaines, les services et les middlewares.",
    fix=Fix(
        "{mend} Sans attendre : publier ce port sur 127.0.0.1 seulement.",
        (),
        ("curl -sS -o /dev/null -w '%{{http_code}}\\n' {probe}",),
    ),
)
def api_protected(
    proxy: pd.DataFrame,
    traefik_static: pd.DataFrame,
    publications: pd.DataFrame,
    traefik_routers: pd.DataFrame | None = None,
    traefik_middlewares: pd.DataFrame | None = None,
    traefik_entrypoints: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Ways to `api@internal` with no authentication, on entry points published beyond the loopback.

    `api.insecure` makes such routers by itself on the entry point « traefik », port 8080 unless it is defined
    (`pkg/provider/traefik/internal.go`); middlewares of the entry point apply to them too (`aggregator.go`,
    applyModel). Without the API, the static configuration alone may tell it. A filter of intrusions, of addresses or
    of rates asks nobody who he is; of a plugin whose name says nothing, nobody can tell.
    """
    options = {row["key"]: row["value"] for row in records(traefik_static) if row["effective"]}
    insecure = options.get("api.insecure") in TRUE
    ports = {"traefik": options.get("entrypoints.traefik.address") or ":8080"}
    ports |= (
        {row["entrypoint"]: row["address"] for row in records(traefik_entrypoints)}
        if traefik_entrypoints is not None
        else {}
    )
    read = traefik_routers is not None and traefik_middlewares is not None
    # What the entry point's middlewares do, only the API says.
    screened = not read and any(key.startswith("entrypoints.traefik.http.middlewares") for key in options)
    ways = _ways(traefik_routers, traefik_middlewares, insecure=insecure and not screened)
    traefik = records(proxy)[0]
    doubtful: set[str] = set()
    for (entrypoint, router), plugins in ways.items():
        places = beyond_loopback(ports.get(entrypoint, ""), traefik, records(publications))
        if places and plugins:
            doubtful |= {*plugins}
        elif places:
            yield {
                "entrypoint": entrypoint,
                "router": router,
                "places": [name for name, _ in places],
                "wording": _insecure(places[0][1]) if router == "api@internal" else _unguarded(router),
            }
    if not read:
        raise AbsentTable("traefik_routers", "les routeurs de Traefik n’ont pas été lus")
    if doubtful:
        named = listing((f"le plugin {quoted(name)}" for name in sorted(doubtful)), "ou")
        raise AbsentTable("traefik_middlewares", f"rien ne dit si {named} authentifie qui demande l’API")


def _insecure(address: str) -> Record:
    return {
        "cause": "« api.insecure » est activé",
        "mend": "Retirer « api.insecure », et servir l’API par un routeur vers « api@internal » protégé par un "
        "middleware d’authentification (basicAuth ou forwardAuth).",
        "probe": f"http://{address}/api/rawdata",
    }


def _unguarded(router: str) -> Record:
    return {
        "cause": f"routeur {quoted(router)}, sans middleware d’authentification",
        "mend": f"Ajouter au routeur {quoted(router)} un middleware d’authentification (basicAuth ou forwardAuth).",
        "probe": None,
    }


def _ways(
    traefik_routers: pd.DataFrame | None, traefik_middlewares: pd.DataFrame | None, *, insecure: bool
) -> dict[tuple[str, str], list[str]]:
    """The ways to the API that authenticate nobody, as (entry point, router), and the plugins on each that may do it.

    `insecure`: Traefik makes a router by itself. The middlewares of others count with those of their chains.
    """
    ways: dict[tuple[str, str], list[str]] = {("traefik", "api@internal"): []} if insecure else {}
    if traefik_routers is None or traefik_middlewares is None:
        return ways
    middlewares = {row["middleware"]: row for row in records(traefik_middlewares) if row["protocol"] == "http"}
    chains = {name: row["chain"] for name, row in middlewares.items()}
    for row in records(traefik_routers):
        serves = row["service"] in API_SERVICES and row["status"] != "disabled"
        points = row["entrypoints"] or () if serves and row["provider"] != "internal" else ()
        points = ("traefik",) if insecure and row["router"] == "api@internal" else points
        own = [name for name in expanded(row["middlewares"] or (), chains) if name in middlewares]
        kinds = {name: protection(name, middlewares[name]["type"]) for name in own}
        for point in points:
            ways[point, row["router"]] = [name for name, kind in kinds.items() if kind == "unknown"]
            if "authentication" in kinds.values():
                del ways[point, row["router"]]
    return ways


def beyond_loopback(address: str, traefik: Record, publications: list[Record]) -> list[tuple[str, str]]:
    """Where an entry point of Traefik is reached from other machines, as (subject, host:port)."""
    host, port = host_and_port(address)
    # In a container too, an entry point bound to the loopback is out of reach, published or not.
    if port is None or is_loopback(host):
        return []
    if traefik["container"] is None or traefik["network_mode"] == "host":
        published = [Claim("tcp", host or EVERY_ADDRESS[0], port, port)]
    else:
        own = [row for row in publications if row["container"] == traefik["network_container"] and row["live"]]
        published = [
            one for row in own if row["container_port"] == port and (one := claim(row)) and one.protocol == "tcp"
        ]
    return [(one.name, joined(reachable(one.address), one.first)) for one in published if not is_loopback(one.address)]
