"""ROUTE: what protects a router: TLS, and the middlewares that its neighbours have."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import is_public
from auditlib.checks.routes import beyond_loopback
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import Declared, asked
from auditlib.french import listing
from auditlib.traefik.protection import PROTECTIONS, expanded, protection
from auditlib.traefik.rules import RuleError, Syntax, domains, parse

_REDIRECTIONS = {"redirectScheme", "redirectRegex"}


def _domains(router: Record) -> list[str]:
    syntax: Syntax = "v2" if router["rule_syntax"] == "v2" else "v3"
    try:
        return [one for one in domains(parse(router["rule"] or "", syntax)) if not one.startswith("~")]
    except RuleError:
        return []


@check(
    "ROUTE-008",
    "medium",
    "Aucun domaine public n’est servi sans TLS",
    key=("router", "entrypoint"),
    message="Le routeur « {router} » sert {domains} sans TLS sur le point d’entrée « {entrypoint} » ({places}), qui ne "
    "redirige pas vers un autre.",
    fix=Fix(
        "Rediriger ce point d’entrée vers celui de TLS (« entrypoints.{entrypoint}.http.redirections.entrypoint.to »), "
        "ou ne servir le routeur que sur ce dernier, avec {where}.",
        ("{compose} up -d {service}",),
        ("curl -sS -o /dev/null -w '%{{http_code}} %{{redirect_url}}\\n' -H {host} {probe}",),
    ),
)
def served_with_tls(
    traefik_routers: pd.DataFrame,
    traefik_middlewares: pd.DataFrame,
    traefik_entrypoints: pd.DataFrame,
    proxy: pd.DataFrame,
    publications: pd.DataFrame,
    predicted_routers: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Routers of public domains on clear entry points that are published beyond this machine.

    A router that redirects serves nothing. Behind another proxy, which Traefik is told to trust, TLS may end there.
    """
    declared = Declared.of(predicted_routers, containers)
    middlewares = {row["middleware"]: row for row in records(traefik_middlewares) if row["protocol"] == "http"}
    chains = {name: row["chain"] for name, row in middlewares.items()}
    points = {row["entrypoint"]: row for row in records(traefik_entrypoints)}
    traefik, published = records(proxy)[0] if len(proxy) else None, records(publications)
    for row in records(traefik_routers):
        names = [name for name in _domains(row) if is_public(name)]
        types = {
            middlewares[name]["type"] for name in expanded(row["middlewares"] or (), chains) if name in middlewares
        }
        http = row["protocol"] == "http" and row["provider"] != "internal" and row["status"] != "disabled"
        if not http or row["tls"] or row["parents"] or not names or types & _REDIRECTIONS or traefik is None:
            continue
        for entrypoint in row["entrypoints"] or ():
            point = points.get(entrypoint)
            if point is None or point["redirect_to"]:
                continue
            places = beyond_loopback(point["address"] or "", traefik, published)
            if places:
                option = declared.option("http", row["router"], "tls", "true", row["entrypoints"])
                yield {
                    "router": row["router"],
                    "entrypoint": entrypoint,
                    "domains": names,
                    "places": [name for name, _ in places],
                    "confidence": "probable" if point["trusted"] else "certain",
                    "wording": {"host": f"Host: {names[0]}", "probe": f"http://{places[0][1]}/", **option},
                }


def _of(words: str) -> str:
    return f"d’{words}" if words[0] in "ae" else f"de {words}"


@check(
    "ROUTE-009",
    "medium",
    "Chaque routeur a les protections de ses voisins",
    key=("router", "entrypoint"),
    message="Le routeur « {router} »{domain} n’a pas {lacks}, que la plupart des {siblings} autres routeurs du point "
    "d’entrée « {entrypoint} » ont.",
    fix=Fix(
        "Ajouter {where}, si rien ne s’y oppose.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def protected_alike(
    traefik_routers: pd.DataFrame | None = None,
    traefik_middlewares: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    predicted_middlewares: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Routers without a kind of protection that more than half of their siblings have, of which there are three.

    Siblings: the other routers of the same entry point that somebody defined, that Traefik serves and that do not
    merely redirect. A plugin whose name says nothing may be any protection: its router is not judged. Without the API,
    those that Traefik must have loaded.
    """
    if traefik_routers is None or traefik_middlewares is None:
        traefik_routers, traefik_middlewares = predicted_routers, predicted_middlewares
    if traefik_routers is None or traefik_middlewares is None:
        raise AbsentTable("traefik_routers", "elle n’a pas été lue")
    declared = Declared.of(predicted_routers, containers)
    middlewares = {row["middleware"]: row for row in records(traefik_middlewares) if row["protocol"] == "http"}
    chains = {name: row["chain"] for name, row in middlewares.items()}
    judged: dict[str, list[tuple[Record, dict[str, str], bool]]] = {}
    for row in records(traefik_routers):
        own = expanded(row["middlewares"] or (), chains)
        types = {name: middlewares[name]["type"] for name in own if name in middlewares}
        serves = row["protocol"] == "http" and row["provider"] != "internal" and row["status"] != "disabled"
        if not serves or {*types.values()} & _REDIRECTIONS or row["service"] == "noop@internal":
            continue
        kinds: dict[str, str] = {kind: name for name in reversed(own) if (kind := protection(name, types.get(name)))}
        doubt = "unknown" in kinds or len(types) < len(own)
        for entrypoint in row["entrypoints"] or ():
            judged.setdefault(entrypoint, []).append((row, kinds, doubt))
    for entrypoint, all_ in judged.items():
        for row, kinds, doubt in all_:
            others = [one for one in all_ if one[0] is not row]
            if len(others) < 3 or doubt:
                continue
            usual = {kind: Counter(one[1][kind] for one in others if kind in one[1]) for kind in PROTECTIONS}
            missing = [kind for kind in PROTECTIONS if kind not in kinds and usual[kind].total() * 2 > len(others)]
            if missing:
                wanted = [min(usual[kind].most_common(), key=lambda pair: (-pair[1], pair[0]))[0] for kind in missing]
                value = ",".join([*wanted, *(row["middlewares"] or ())])
                option = declared.option("http", row["router"], "middlewares", value, row["entrypoints"] or ())
                named = _domains(row)
                yield {
                    "router": row["router"],
                    "entrypoint": entrypoint,
                    "domains": named,
                    "missing": [PROTECTIONS[kind] for kind in missing],
                    "middlewares": row["middlewares"] or (),
                    "proposed": wanted,
                    "siblings": len(others),
                    "wording": {
                        "domain": f" ({listing(named)})" if named else "",
                        "lacks": ", ni ".join(_of(PROTECTIONS[kind]) for kind in missing),
                        "api": asked(traefik, "http", "router", row["router"]),
                        **option,
                    },
                }
