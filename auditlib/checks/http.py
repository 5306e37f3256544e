"""HTTP: what the local proxy answers for the domains in use."""

import re
import shlex
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pandas as pd

from auditlib.addresses import is_public
from auditlib.checks.routes import API_SERVICES
from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Command, Fix, check
from auditlib.french import duration, listing, quoted
from auditlib.software import answers_anyone
from auditlib.traefik.protection import ALLOW_LISTS, expanded

_GATEWAY = (502, 503, 504)
_LATE = "délai dépassé"

_SIGN_IN = re.compile(r"log-?in|sign-?in|auth|sso|oauth|saml|session", re.IGNORECASE)

_ASK = "curl -ksS -o /dev/null -w '%{{http_code}} %{{redirect_url}}\\n' --max-time 35 {resolve} {url}"
_ASK_HEADERS = "curl -kIsS --max-time 35 {resolve} {url}"


def _how(probe: Record) -> Record:
    """Wording of a command that asks this machine's proxy again."""
    parts = urlsplit(probe["url"])
    host, _, port = (probe["address"] or "127.0.0.1").rpartition(":")
    own = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 443)
    target = f"{parts.hostname}:{own}:{host or port}"
    return {"resolve": Command(f"--resolve {shlex.quote(target)}"), "url": probe["url"]}


def _walks(probe_walks: pd.DataFrame | None) -> Mapping[tuple[str, str], Record]:
    rows = [] if probe_walks is None else records(probe_walks)
    return {(row["url"], row["entrypoint"]): row for row in rows}


@check(
    "HTTP-001",
    "critical",
    "Chaque route vivante répond",
    key=("domain", "router"),
    message="{urls} {answer}{routed}. {cause}",
    fix=Fix("{remedy}", ("docker logs --tail 100 {container}",), (_ASK,)),
)
def routes_answer(http_probes: pd.DataFrame, probe_walks: pd.DataFrame | None = None) -> Iterator[Record]:
    """Live routes whose probe timed out or was answered 502, 503 or 504, with the broken hop where it is known.

    A timeout alone may be a stream that waits for an event: it is certain only when a hop is broken too.
    """
    walks = _walks(probe_walks)
    groups: dict[tuple[str, str], list[Record]] = {}
    for probe in records(http_probes):
        late = probe["status"] is None and probe["error"] == _LATE
        if late or probe["status"] in _GATEWAY:
            walk = walks.get((probe["url"], probe["entrypoint"]))
            router = probe["router"] or next(iter((walk or {}).get("routers") or ()), None)
            groups.setdefault((probe["domain"], router or ""), []).append(probe)
    for (domain, router), probes in groups.items():
        first = probes[0]
        walk = walks.get((first["url"], first["entrypoint"])) or {}
        urls = [probe["url"] for probe in probes]
        broken = _broken(walk)
        yield {
            "subjects": (("domain", domain), *((("router", router),) if router else ())),
            "domain": domain,
            "router": router or None,
            "confidence": "certain" if broken or first["status"] else "probable",
            "urls": urls,
            "status": first["status"],
            "error": first["error"],
            "latency_ms": first["latency_ms"],
            "container": walk.get("container"),
            "server": walk.get("server"),
            "faults": [*(walk.get("faults") or ())],
            "wording": {
                "urls": listing(urls[:3]) + (f" et {len(urls) - 3} autres" if len(urls) > 3 else ""),
                "answer": _answered(first, several=len(urls) > 1),
                "routed": f" (routeur « {router} »)" if router else "",
                "cause": _cause(first, broken),
                "remedy": _remedy(walk, broken),
                **_how(first),
            },
        }


def _answered(probe: Record, *, several: bool) -> str:
    verb = "répondent" if several else "répond"
    if probe["status"] is None:
        after = f" ({duration(probe['latency_ms'] / 1000)})" if probe["latency_ms"] is not None else ""
        return f"ne {verb} pas dans le délai de la sonde{after}"
    return f"{verb} par une erreur {probe['status']}"


_HOPS = {
    "port": "port",
    "entrypoint": "point d’entrée",
    "router": "routeur",
    "middleware": "middleware",
    "service": "service",
    "server": "serveur",
    "container": "conteneur",
    "network": "réseau",
    "listening": "port écouté",
}


def _broken(walk: Record) -> str | None:
    """The first broken hop of a walk, as a French sentence; None when no hop is."""
    if not walk.get("stop") or not walk.get("reason"):
        return None
    hop = " ".join(
        filter(None, [_HOPS.get(walk["stop"], walk["stop"]), walk["stop_name"] and quoted(walk["stop_name"])])
    )
    return f"Étape rompue, {hop} : {walk['reason']}"


def _cause(probe: Record, broken: str | None) -> str:
    if broken:
        return broken
    if probe["status"] is not None and probe["own_answer"] is False:
        return "C’est l’application elle-même qui répond ainsi."
    if probe["status"] == 503:
        return "Traefik n’a aucun serveur en état pour cette route."
    return "Rien d’autre de ce qui a été lu n’explique cette panne."


def _remedy(walk: Record, broken: str | None) -> str:
    if walk.get("faults"):
        checks = listing(dict.fromkeys(fault.partition(" ")[0] for fault in walk["faults"]))
        return f"Appliquer le correctif de {checks}, qui nomme la cause, puis demander de nouveau cette adresse."
    if broken:
        return "Rétablir l’étape rompue, puis demander de nouveau cette adresse."
    return "Lire les journaux du conteneur qui doit répondre, et vérifier qu’il écoute sur le port que Traefik utilise."


@check(
    "HTTP-002",
    "high",
    "Chaque route est servie par le routeur prévu",
    key=("domain", "router"),
    message="{url} est servi par le routeur « {router} », alors que les règles et les priorités désignent {predicted}.",
    fix=Fix(
        "Comparer les règles et les priorités de ces routeurs sur le point d’entrée « {entrypoint} » ; si elles sont "
        "justes, Traefik sert une configuration plus ancienne que celle de son API : le redémarrer.",
        (),
        (_ASK,),
    ),
)
def predicted_routers(http_probes: pd.DataFrame, probe_walks: pd.DataFrame) -> Iterator[Record]:
    """Probes that the access log attributes to another router than the simulation.

    What a redirection leads to on the same domain and path cannot be told apart from the probe itself, and a rule
    that depends on the client's address, or whose text held a secret, is not decided.
    """
    walks = _walks(probe_walks)
    seen: set[tuple[str, str]] = set()
    for probe in records(http_probes):
        walk = walks.get((probe["url"], probe["entrypoint"]))
        if not probe["router"] or walk is None or not walk["certain"] or not walk["routers"] or _comes_back(probe):
            continue
        if probe["router"] in walk["routers"] or (probe["domain"], probe["router"]) in seen:
            continue
        seen.add((probe["domain"], probe["router"]))
        yield {
            "domain": probe["domain"],
            "router": probe["router"],
            "url": probe["url"],
            "entrypoint": probe["entrypoint"],
            "predicted": [*walk["routers"]],
            "status": probe["status"],
            "wording": {"predicted": listing(map(quoted, walk["routers"]), "ou"), **_how(probe)},
        }


def _comes_back(probe: Record) -> bool:
    """Whether a redirection of a probe leads to its own domain and path."""
    parts = (urlsplit(location) for location in probe["redirects"] or ())
    return any(one.hostname == probe["domain"] and (one.path or "/") == (probe["path"] or "/") for one in parts)


@check(
    "HTTP-003",
    "low",
    "Les réponses portent les en-têtes de sécurité",
    key=("domain",),
    message="Les réponses de « {domain} » n’ont {missing} ({urls}).",
    fix=Fix(
        "Ajouter au routeur un middleware « headers » : {options}.",
        (),
        (_ASK_HEADERS,),
    ),
)
def security_headers(http_probes: pd.DataFrame) -> Iterator[Record]:
    """Pages served with TLS without HSTS, nosniff, or for HTML any protection against framing.

    Only what was served is judged: redirections, refusals and Traefik's own answers have no page to protect.
    """
    found: dict[str, dict[str, list[Record]]] = {}
    for probe in records(http_probes):
        page = probe["status"] is not None and 200 <= probe["status"] < 300 and not probe["own_answer"]
        if page and probe["url"].startswith("https://"):
            for header in _missing(probe):
                found.setdefault(probe["domain"], {}).setdefault(header, []).append(probe)
    for domain, headers in found.items():
        probes = [probe for some in headers.values() for probe in some]
        urls = [*dict.fromkeys(probe["url"] for probe in probes)]
        yield {
            "domain": domain,
            "headers": [header for header in _OPTIONS if header in headers],
            "urls": urls,
            "routers": sorted({probe["router"] for probe in probes if probe["router"]}),
            "wording": {
                "missing": _none_of([_SAID[header] for header in _OPTIONS if header in headers]),
                "urls": listing(urls[:3]) + ("…" if len(urls) > 3 else ""),
                "options": listing(quoted(_OPTIONS[header]) for header in _OPTIONS if header in headers),
                **_how(probes[0]),
            },
        }


def _none_of(names: list[str]) -> str:
    """« pas A », « ni A ni B », « ni A, ni B ni C »."""
    return f"pas {names[0]}" if len(names) == 1 else listing((f"ni {name}" for name in names), "").replace("  ", " ")


_OPTIONS = {
    "Strict-Transport-Security": "stsSeconds: 31536000",
    "X-Content-Type-Options": "contentTypeNosniff: true",
    "X-Frame-Options": "frameDeny: true",
}
_SAID = {
    "Strict-Transport-Security": "Strict-Transport-Security",
    "X-Content-Type-Options": "X-Content-Type-Options",
    "X-Frame-Options": "X-Frame-Options (ou Content-Security-Policy)",
}


def _missing(probe: Record) -> Iterator[str]:
    # An age of 0 tells browsers to forget it (RFC 6797, 6.1.1).
    if not probe["hsts"] or re.search(r"max-age\s*=\s*\"?0+\"?\s*(?:;|$)", probe["hsts"], re.IGNORECASE):
        yield "Strict-Transport-Security"
    if (probe["content_type_options"] or "").strip().lower() != "nosniff":
        yield "X-Content-Type-Options"
    html = (probe["content_type"] or "").lower().startswith("text/html")
    if html and not probe["frame_options"] and not probe["csp"]:
        yield "X-Frame-Options"


@check(
    "HTTP-004",
    "medium",
    "Rien n’est servi en HTTP clair sans redirection",
    key=("domain", "entrypoint"),
    message="{urls} {verb} en clair ({status}) sur le point d’entrée « {entrypoint} », sans redirection vers HTTPS.",
    fix=Fix(
        "{remedy}",
        (),
        (_ASK,),
    ),
)
def clear_redirected(http_probes: pd.DataFrame, traefik_entrypoints: pd.DataFrame | None = None) -> Iterator[Record]:
    """Domains that answer in clear: a page, or worse a demand for a password, and no way to HTTPS.

    Low for a name that no public authority certifies. An entry point that trusts the headers of a relay may stand
    behind one that ends TLS: it is then a hint only.
    """
    relayed = {
        row["entrypoint"]: bool(row["trusted"])
        for row in (records(traefik_entrypoints) if traefik_entrypoints is not None else [])
    }
    groups: dict[tuple[str, str], list[Record]] = {}
    # An entry point that serves TLS as well cannot be redirected as a whole.
    secure = {probe["entrypoint"] for probe in records(http_probes) if probe["url"].startswith("https://")}
    for probe in records(http_probes):
        status = probe["final_status"] if probe["redirects"] else probe["status"]
        served = status is not None and (200 <= status < 300 or status == 401) and not probe["loop"]
        secured = any(location.startswith("https://") for location in probe["redirects"] or ())
        if probe["url"].startswith("http://") and served and not secured:
            groups.setdefault((probe["domain"], probe["entrypoint"]), []).append(probe)
    for (domain, entrypoint), probes in groups.items():
        urls = [probe["url"] for probe in probes]
        yield {
            "domain": domain,
            "entrypoint": entrypoint,
            "severity": "medium" if is_public(domain) else "low",
            "confidence": "hint" if relayed.get(entrypoint) else "certain",
            "urls": urls,
            "status": probes[0]["final_status"] if probes[0]["redirects"] else probes[0]["status"],
            "routers": sorted({probe["router"] for probe in probes if probe["router"]}),
            "wording": {
                "urls": listing(urls[:3]) + (f" et {len(urls) - 3} autres" if len(urls) > 3 else ""),
                "verb": "répond" if len(urls) == 1 else "répondent",
                "remedy": _to_tls(entrypoint, mixed=entrypoint in secure),
                **_how(probes[0]),
            },
        }


def _to_tls(entrypoint: str, *, mixed: bool) -> str:
    if mixed:
        return (
            f"Le point d’entrée {quoted(entrypoint)} sert aussi du TLS : donner le sien à ce routeur (« tls: true »), "
            "ou lui nommer le point d’entrée en clair, qui redirige (« entryPoints »)."
        )
    return (
        f"Rediriger tout le point d’entrée : « entryPoints.{entrypoint}.http.redirections.entryPoint.to » vers celui "
        "de TLS, puis redémarrer Traefik ; ou un middleware « redirectScheme » sur ce seul routeur."
    )


@check(
    "HTTP-005",
    "high",
    "Aucune interface d’administration ne répond sans authentification",
    key=("domain", "router"),
    message="{url} sert {tool} sans demander d’authentification (routeur « {router} »).",
    fix=Fix(
        "Ajouter au routeur « {router} » un middleware d’authentification (basicAuth ou forwardAuth), ou retirer ce "
        "routeur si l’interface n’a pas à être publiée.",
        (),
        (_ASK,),
    ),
)
def administration_guarded(
    http_probes: pd.DataFrame,
    routes: pd.DataFrame,
    containers: pd.DataFrame | None = None,
    traefik_middlewares: pd.DataFrame | None = None,
    probe_walks: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Pages of tools that authenticate nobody by themselves, and of Traefik's API, given to a probe without a password.

    A redirection to another domain, or to what looks like a page to sign in, is an authentication. The probe comes
    from this machine: where a middleware lets some addresses in only, it says nothing of the others.
    """
    images = {} if containers is None else {row["name"]: row["image"] for row in records(containers)}
    middlewares = [] if traefik_middlewares is None else records(traefik_middlewares)
    limited = {row["middleware"] for row in middlewares if (row["type"] or "").lower() in ALLOW_LISTS}
    chains = {row["middleware"]: row["chain"] for row in middlewares}
    behind: dict[str, Record] = {row["router"]: row for row in records(routes)}
    walks = _walks(probe_walks)
    seen: set[tuple[str, str]] = set()
    for probe in records(http_probes):
        # The access log keeps silent on Traefik's own services.
        walk = walks.get((probe["url"], probe["entrypoint"])) or {}
        predicted = [*(walk.get("routers") or ())] if walk.get("certain") else []
        router = probe["router"] if not _comes_back(probe) else None
        router = router or (predicted[0] if len(predicted) == 1 else None)
        route = behind.get(router or "")
        if route is None or not _given(probe) or (probe["domain"], router) in seen:
            continue
        holder = route["target"] if route["kind"] == "machine" else route["container"]
        tool = _tool(route, images.get(holder or ""))
        if tool is None or limited & {*expanded(route["middlewares"] or (), chains)}:
            continue
        seen.add((probe["domain"], route["router"]))
        yield {
            "domain": probe["domain"],
            "router": route["router"],
            "url": probe["url"],
            "status": probe["final_status"],
            "container": route["container"],
            "image": images.get(holder or ""),
            "wording": {"tool": tool, **_how(probe)},
        }


def _given(probe: Record) -> bool:
    """Whether a page was given without a question: at once, or after redirections of its own."""
    status = probe["final_status"] if probe["redirects"] else probe["status"]
    onward = [urlsplit(location) for location in probe["redirects"] or ()]
    own = all(one.hostname == probe["domain"] and not _SIGN_IN.search(one.path) for one in onward)
    return status is not None and 200 <= status < 300 and own and not probe["authentication"] and not probe["loop"]


def _tool(route: Record, image: str | None) -> str | None:
    """What an administration interface is, as French words; None for what is none, or asks for a password itself."""
    if route["service"] in API_SERVICES:
        return "l’API et le tableau de bord de Traefik"
    return f"l’outil « {image} »" if answers_anyone(image) else None


@check(
    "HTTP-006",
    "critical",
    "Aucune redirection ne tourne en rond",
    key=("domain",),
    message="{url} redirige sans fin ({redirects}) : aucun navigateur n’affiche la page.",
    fix=Fix(
        "{remedy}",
        (),
        (_ASK,),
    ),
)
def no_loop(http_probes: pd.DataFrame) -> Iterator[Record]:
    """Redirections that come back to an address already asked, cookies kept, or never end."""
    seen: set[str] = set()
    for probe in records(http_probes):
        if not probe["loop"] or probe["domain"] in seen:
            continue
        seen.add(probe["domain"])
        hops = [*(probe["redirects"] or ())]
        same = hops and all(hop.partition("://")[2] == probe["url"].partition("://")[2] for hop in hops)
        yield {
            "domain": probe["domain"],
            "url": probe["url"],
            "entrypoint": probe["entrypoint"],
            "router": probe["router"],
            "redirects": hops,
            "status": probe["status"],
            "wording": {
                "redirects": listing(hops[:3]) + ("…" if len(hops) > 3 else ""),
                "remedy": "L’application redirige vers l’adresse d’où l’on vient : lui dire qu’elle est derrière un "
                "proxy HTTPS (en-têtes X-Forwarded, adresse publique), ou retirer l’une des deux redirections."
                if same
                else "Corriger l’une des redirections : middleware de Traefik, ou adresse publique réglée dans "
                "l’application.",
                **_how(probe),
            },
        }
