"""HTTP: what protects the pages that the local proxy serves: headers, TLS, authentication."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from auditlib.addresses import is_public
from auditlib.checks.http import ASK, ProbeFault, comes_back, domain_of, several, target_of, walked
from auditlib.checks.routes import API_SERVICES
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import TraefikEntrypoint, TraefikMiddleware
from auditlib.facts.tables.web import HttpProbe
from auditlib.findings.check import About, Fix, check, fact, word
from auditlib.french import listing, quoted
from auditlib.software import answers_anyone
from auditlib.traefik.protection import ALLOW_LISTS, expanded
from auditlib.views.probed import ProbeWalk
from auditlib.views.routes import Route

_SIGN_IN = re.compile(r"log-?in|sign-?in|auth|sso|oauth|saml|session", re.IGNORECASE)


def _routers(probes: Sequence[HttpProbe]) -> tuple[str, ...]:
    return tuple(sorted({probe.router for probe in probes if probe.router}))


def _last_status(probe: HttpProbe) -> int | None:
    """The status at the end of the redirections of a probe."""
    return probe.final_status if probe.redirects else probe.status


class Header(NamedTuple):
    """A header of security: its name, how a sentence tells it, the option of a middleware that adds it."""

    name: str
    title: str
    option: str


_STS = Header("Strict-Transport-Security", "Strict-Transport-Security", "stsSeconds: 31536000")
_SNIFF = Header("X-Content-Type-Options", "X-Content-Type-Options", "contentTypeNosniff: true")
_FRAME = Header("X-Frame-Options", "X-Frame-Options (ou Content-Security-Policy)", "frameDeny: true")


class NoHeaders(ProbeFault):
    """A domain whose pages lack headers of security."""

    headers: tuple[str, ...] = fact("En-têtes absents")
    urls: tuple[str, ...] = fact("URL")
    routers: tuple[str, ...] = fact("Routeurs")
    missing: str = word()
    pages: str = word()
    options: str = word()

    @property
    def about(self) -> About:
        """What the routers lack."""
        return {"protection": [f"{router} (en-têtes de sécurité)" for router in self.routers]}


@check(
    "HTTP-003",
    "low",
    "Les réponses portent les en-têtes de sécurité",
    key=("domain",),
    message="Les réponses de « {domain} » n’ont {missing} ({pages}).",
    fix=Fix(
        "Ajouter au routeur un middleware « headers » : {options}.",
        (),
        ("curl -kIsS --max-time 35 {target}",),
    ),
)
def security_headers(http_probes: Rows[HttpProbe]) -> Iterator[NoHeaders]:
    """Pages served with TLS without HSTS, nosniff, or for HTML any protection against framing.

    Only what was served is judged: redirections, refusals and Traefik's own answers have no page to protect.
    """
    domains: dict[str, dict[Header, list[HttpProbe]]] = {}
    for probe in filter(_is_secure_page, http_probes):
        for header in _missing(probe):
            domains.setdefault(domain_of(probe), {}).setdefault(header, []).append(probe)
    for domain, missing in domains.items():
        headers = [header for header in (_STS, _SNIFF, _FRAME) if header in missing]
        probes = [probe for lacking in missing.values() for probe in lacking]
        urls = tuple(dict.fromkeys(probe.url for probe in probes))
        yield NoHeaders(
            domain=domain,
            headers=tuple(header.name for header in headers),
            urls=urls,
            routers=_routers(probes),
            missing=_none_of([header.title for header in headers]),
            pages=listing(urls, most=3),
            options=listing(quoted(header.option) for header in headers),
            target=target_of(probes[0]),
        )


def _is_secure_page(probe: HttpProbe) -> bool:
    """Whether a probe was given a page of the application, with TLS."""
    page = probe.status is not None and 200 <= probe.status < 300 and not probe.own_answer
    return page and probe.url.startswith("https://")


def _none_of(names: Sequence[str]) -> str:
    """« pas A », « ni A ni B », « ni A, ni B ni C »."""
    return f"pas {names[0]}" if len(names) == 1 else listing((f"ni {name}" for name in names), "").replace("  ", " ")


def _missing(probe: HttpProbe) -> Iterator[Header]:
    # An age of 0 tells browsers to forget it (RFC 6797, 6.1.1).
    if not probe.hsts or re.search(r"max-age\s*=\s*\"?0+\"?\s*(?:;|$)", probe.hsts, re.IGNORECASE):
        yield _STS
    if (probe.content_type_options or "").strip().lower() != "nosniff":
        yield _SNIFF
    html = (probe.content_type or "").lower().startswith("text/html")
    if html and not probe.frame_options and not probe.csp:
        yield _FRAME


class Clear(ProbeFault):
    """A domain that answers in clear on an entry point, without a way to HTTPS."""

    entrypoint: str
    urls: tuple[str, ...] = fact("URL")
    status: int | None
    routers: tuple[str, ...] = fact("Routeurs")
    pages: str = word()
    verb: str = word()
    remedy: str = word()

    @property
    def about(self) -> About:
        """The domain on the entry point, as one of all that are there."""
        return {"clear": [f"{name} ({self.entrypoint})" for name in (self.domain, "tous")]}


@check(
    "HTTP-004",
    "medium",
    "Rien n’est servi en HTTP clair sans redirection",
    key=("domain", "entrypoint"),
    message="{pages} {verb} en clair ({status}) sur le point d’entrée « {entrypoint} », sans redirection vers HTTPS.",
    fix=Fix(
        "{remedy}",
        (),
        (ASK,),
    ),
)
def clear_redirected(
    http_probes: Rows[HttpProbe], traefik_entrypoints: Rows[TraefikEntrypoint] | None = None
) -> Iterator[Clear]:
    """Domains that answer in clear: a page, or worse a demand for a password, and no way to HTTPS.

    Low for a name that no public authority certifies. An entry point that trusts the headers of a relay may stand
    behind one that ends TLS: it is then a hint only.
    """
    relayed = {entrypoint.entrypoint for entrypoint in traefik_entrypoints or () if entrypoint.trusted}
    # An entry point that serves TLS as well cannot be redirected as a whole.
    secure = {probe.entrypoint for probe in http_probes if probe.url.startswith("https://")}
    groups: dict[tuple[str, str], list[HttpProbe]] = {}
    for probe in filter(_is_clear, http_probes):
        groups.setdefault((domain_of(probe), probe.entrypoint), []).append(probe)
    for (domain, entrypoint), probes in groups.items():
        urls = tuple(probe.url for probe in probes)
        yield Clear(
            domain=domain,
            entrypoint=entrypoint,
            severity="medium" if is_public(domain) else "low",
            confidence="hint" if entrypoint in relayed else "certain",
            urls=urls,
            status=_last_status(probes[0]),
            routers=_routers(probes),
            pages=several(urls),
            verb="répond" if len(urls) == 1 else "répondent",
            remedy=_to_tls(entrypoint, mixed=entrypoint in secure),
            target=target_of(probes[0]),
        )


def _is_clear(probe: HttpProbe) -> bool:
    """Whether a probe without TLS was given a page, or asked for a password, without being led to HTTPS."""
    status = _last_status(probe)
    served = status is not None and (200 <= status < 300 or status == 401) and not probe.loop
    secured = any(location.startswith("https://") for location in probe.redirects or ())
    return probe.url.startswith("http://") and served and not secured


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


class OpenTool(ProbeFault):
    """An interface of administration that is given to whoever asks."""

    router: str
    url: str
    status: int | None
    container: str | None
    image: str | None
    tool: str = word()

    @property
    def about(self) -> About:
        """What the router lacks."""
        return {"protection": [f"{self.router} (authentification)"]}


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
        (ASK,),
    ),
)
def administration_guarded(
    http_probes: Rows[HttpProbe],
    routes: Rows[Route],
    containers: Rows[Container] | None = None,
    traefik_middlewares: Rows[TraefikMiddleware] | None = None,
    probe_walks: Rows[ProbeWalk] | None = None,
) -> Iterator[OpenTool]:
    """Pages of tools that authenticate nobody by themselves, and of Traefik's API, given to a probe without a password.

    A redirection to another domain, or to what looks like a page to sign in, is an authentication. The probe comes
    from this machine: where a middleware lets some addresses in only, it says nothing of the others.
    """
    images = {container.name: container.image for container in containers or ()}
    seen: set[tuple[str, str]] = set()
    for probe, walk in walked(http_probes, probe_walks):
        domain, route = domain_of(probe), routes.by(Route.router).get(_router(probe, walk))
        if route is None or not _is_given(probe) or (domain, route.router) in seen:
            continue
        image = images.get((route.target if route.kind == "machine" else route.container) or "")
        tool = _tool(route, image)
        if tool and not _is_limited(route, traefik_middlewares or Rows()):
            seen.add((domain, route.router))
            yield OpenTool(
                domain=domain,
                router=route.router,
                url=probe.url,
                status=probe.final_status,
                container=route.container,
                image=image,
                tool=tool,
                target=target_of(probe),
            )


def _router(probe: HttpProbe, walk: ProbeWalk) -> str:
    """The router that answered a probe, "" when it is not known: the access log keeps silent on Traefik's services."""
    if probe.router and not comes_back(probe):
        return probe.router
    predicted = walk.routers or ()
    return predicted[0] if walk.certain and len(predicted) == 1 else ""


def _is_given(probe: HttpProbe) -> bool:
    """Whether a page was given without a question: at once, or after redirections of its own."""
    status = _last_status(probe)
    served = status is not None and 200 <= status < 300 and not probe.authentication and not probe.loop
    domain, onward = domain_of(probe), map(urlsplit, probe.redirects or ())
    return served and all(url.hostname == domain and not _SIGN_IN.search(url.path) for url in onward)


def _is_limited(route: Route, middlewares: Rows[TraefikMiddleware]) -> bool:
    """Whether a middleware of a route lets only some addresses in."""
    chains = {middleware.middleware: middleware.chain for middleware in middlewares}
    own = expanded(route.middlewares or (), chains)
    limiting = {middleware.middleware for middleware in middlewares if (middleware.type or "").lower() in ALLOW_LISTS}
    return not limiting.isdisjoint(own)


def _tool(route: Route, image: str | None) -> str | None:
    """What an administration interface is, as French words; None for what is none, or asks for a password itself."""
    if route.service in API_SERVICES:
        return "l’API et le tableau de bord de Traefik"
    return f"l’outil « {image} »" if answers_anyone(image) else None
