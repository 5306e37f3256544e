"""ROUTE: what protects a router: TLS, and the middlewares that its neighbours have."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from auditlib.checks.routes import beyond_loopback
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import Declared, asked
from auditlib.french import listing
from auditlib.traefik.rules import RuleError, Syntax, domains, parse

# Names that no public authority certifies (RFC 6761, 6762, 8375, 9476, and the reserved « internal »).
_PRIVATE = re.compile(
    r"(?:.*\.)?(?:local|lan|internal|home\.arpa|test|localhost|localdomain|invalid|example|home|corp)"
)
_REDIRECTIONS = {"redirectScheme", "redirectRegex"}


def public(domain: str) -> bool:
    """Whether a domain is a name of the public internet: neither an address, a plain name nor a private one."""
    name = domain.lower().removeprefix("*.").rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name and not _PRIVATE.fullmatch(name)
    return False


def _domains(router: Record) -> list[str]:
    syntax: Syntax = "v2" if router["rule_syntax"] == "v2" else "v3"
    try:
        return [one for one in domains(parse(router["rule"] or "", syntax)) if not one.startswith("~")]
    except RuleError:
        return []


def _expanded(names: Iterable[str], middlewares: Mapping[str, Record]) -> list[str]:
    """Middlewares with those of their chains, in order; a chain that loops is Traefik's to report."""
    waiting, found = list(names), []
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = [*((middlewares.get(name) or {}).get("chain") or ()), *waiting]
    return [name for name in found if not (middlewares.get(name) or {}).get("chain")]


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
    points = {row["entrypoint"]: row for row in records(traefik_entrypoints)}
    traefik, published = records(proxy)[0] if len(proxy) else None, records(publications)
    for row in records(traefik_routers):
        names = [name for name in _domains(row) if public(name)]
        types = {(middlewares.get(name) or {}).get("type") for name in _expanded(row["middlewares"] or (), middlewares)}
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


# The kinds of protection, in the order that Traefik had better apply them.
_KINDS = {
    "intrusion": "filtre d’intrusion",
    "filter": "filtre d’adresses ou de pays",
    "rate": "limite de débit",
    "authentication": "authentification",
    "headers": "en-têtes de sécurité",
}
_BY_TYPE = {
    "basicAuth": "authentication",
    "digestAuth": "authentication",
    "rateLimit": "rate",
    "inFlightReq": "rate",
    "ipAllowList": "filter",
    "ipWhiteList": "filter",
    "headers": "headers",
}
# A forwardAuth and a plugin do what their name says.
_BY_NAME = (
    ("intrusion", re.compile(r"crowdsec|bouncer|waf|modsec|coraza|fail2ban", re.IGNORECASE)),
    ("filter", re.compile(r"geo|country|allow-?list|white-?list|block-?list", re.IGNORECASE)),
    ("rate", re.compile(r"rate|limit", re.IGNORECASE)),
    ("authentication", re.compile(r"auth|oidc|oauth|sso|jwt|keycloak", re.IGNORECASE)),
    ("headers", re.compile(r"header", re.IGNORECASE)),
)


def _of(words: str) -> str:
    return f"d’{words}" if words[0] in "ae" else f"de {words}"


def _kind(name: str, middlewares: Mapping[str, Record]) -> str | None:
    """The kind of protection of a middleware: None for one that protects nothing, or of which that is not known."""
    type_ = (middlewares.get(name) or {}).get("type")
    if type_ in _BY_TYPE:
        return _BY_TYPE[type_]
    if type_ not in ("forwardAuth", "plugin"):
        return None
    own = name.rpartition("@")[0]
    named = next((kind for kind, pattern in _BY_NAME if pattern.search(own)), None)
    return named or ("authentication" if type_ == "forwardAuth" else None)


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
    judged: dict[str, list[tuple[Record, dict[str, str], bool]]] = {}
    for row in records(traefik_routers):
        own = _expanded(row["middlewares"] or (), middlewares)
        types = [(middlewares.get(name) or {}).get("type") for name in own]
        serves = row["protocol"] == "http" and row["provider"] != "internal" and row["status"] != "disabled"
        if not serves or set(types) & _REDIRECTIONS or row["service"] == "noop@internal":
            continue
        kinds = {kind: name for name in reversed(own) if (kind := _kind(name, middlewares))}
        doubt = any(
            name not in middlewares or (type_ == "plugin" and _kind(name, middlewares) is None)
            for name, type_ in zip(own, types, strict=True)
        )
        for entrypoint in row["entrypoints"] or ():
            judged.setdefault(entrypoint, []).append((row, kinds, doubt))
    for entrypoint, all_ in judged.items():
        for row, kinds, doubt in all_:
            others = [one for one in all_ if one[0] is not row]
            if len(others) < 3 or doubt:
                continue
            usual = {kind: Counter(one[1][kind] for one in others if kind in one[1]) for kind in _KINDS}
            missing = [kind for kind in _KINDS if kind not in kinds and usual[kind].total() * 2 > len(others)]
            if missing:
                wanted = [min(usual[kind].most_common(), key=lambda pair: (-pair[1], pair[0]))[0] for kind in missing]
                value = ",".join([*wanted, *(row["middlewares"] or ())])
                option = declared.option("http", row["router"], "middlewares", value, row["entrypoints"] or ())
                named = _domains(row)
                yield {
                    "router": row["router"],
                    "entrypoint": entrypoint,
                    "domains": named,
                    "missing": [_KINDS[kind] for kind in missing],
                    "middlewares": row["middlewares"] or (),
                    "proposed": wanted,
                    "siblings": len(others),
                    "wording": {
                        "domain": f" ({listing(named)})" if named else "",
                        "lacks": ", ni ".join(_of(_KINDS[kind]) for kind in missing),
                        "api": asked(traefik, "http", "router", row["router"]),
                        **option,
                    },
                }
