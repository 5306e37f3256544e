"""The objects that Traefik's API tells, each as a row without its secrets."""

from collections.abc import Iterator
from typing import Any

from auditlib.collect.secrets import redact, redact_rule
from auditlib.facts.tables.traefik import (
    TraefikEntrypoint,
    TraefikMiddleware,
    TraefikRouter,
    TraefikServer,
    TraefikService,
)


def qualified(reference: str, owner: str) -> str:
    """`name@provider`: a reference without provider is resolved in the provider of the one who refers to it."""
    return reference if "@" in reference else f"{reference}@{owner.rpartition('@')[2]}"


def _qualified(references: list[str] | None, owner: str) -> tuple[str, ...]:
    return tuple(qualified(reference, owner) for reference in references or ())


def entrypoints(raw: list[dict[str, Any]]) -> list[TraefikEntrypoint]:
    """The entry points, each as a row."""
    # v3: if any entry point is marked as default, only those are; else (and in v2) all but the one named « traefik ».
    marked = any(one.get("asDefault") for one in raw)
    return [_entrypoint(one, default=bool(one.get("asDefault")) if marked else one["name"] != "traefik") for one in raw]


def _entrypoint(one: dict[str, Any], *, default: bool) -> TraefikEntrypoint:
    address, http = one["address"], one.get("http") or {}
    redirection = (http.get("redirections") or {}).get("entryPoint") or {}
    host_port, _, protocol = address.partition("/")
    return TraefikEntrypoint(
        entrypoint=one["name"],
        address=address,
        protocol=protocol.lower() or "tcp",
        port=int(host_port.rpartition(":")[2]),
        default=default,
        tls=http.get("tls") is not None,
        redirect_to=redirection.get("to"),
        middlewares=_qualified(http.get("middlewares"), "@file"),
        sanitizes_path=http.get("sanitizePath"),
        refused_characters=_refused(http.get("encodedCharacters")),
        encodes_semicolons=bool(http.get("encodeQuerySemicolons")),
        trusted=_trusted(one.get("forwardedHeaders") or {}),
        underscores=http.get("underscoreHeadersStrategy"),
        aliases=http.get("aliasHeadersStrategy"),
    )


_ENCODED = {
    "Slash": "%2F",
    "BackSlash": "%5C",
    "NullCharacter": "%00",
    "Semicolon": "%3B",
    "Percent": "%25",
    "QuestionMark": "%3F",
    "Hash": "%23",
}


_EVERYWHERE = ("0.0.0.0/0", "::/0")


def _refused(allowed: dict[str, Any] | None) -> tuple[str, ...] | None:
    """The encoded characters that an entry point refuses; None when nothing is said, then its version decides."""
    if allowed is None:
        return None
    return tuple(code for name, code in _ENCODED.items() if not allowed.get(f"allowEncoded{name}"))


def _trusted(forwarded: dict[str, Any]) -> tuple[str, ...]:
    return _EVERYWHERE if forwarded.get("insecure") else forwarded.get("trustedIPs") or ()


def router(protocol: str, router: str, one: dict[str, Any]) -> TraefikRouter:
    """The row of a router."""
    tls, rule = one.get("tls"), one.get("rule")
    shown = redact_rule(rule) if rule is not None else None
    # Version 2 does not say the priority that it computes; it cannot be computed again from what is left of a rule.
    computed = len(rule.encode("utf-8", "surrogatepass")) if rule is not None and shown != rule else None
    return TraefikRouter(
        protocol=protocol,
        router=router,
        provider=router.rpartition("@")[2],
        rule=shown,
        rule_syntax=one.get("ruleSyntax") or None,
        priority=one.get("priority", computed),
        entrypoints=one.get("using") or one.get("entryPoints") or (),
        tls=tls is not None,
        cert_resolver=(tls or {}).get("certResolver") or None,
        tls_options=_tls_options((tls or {}).get("options"), router) if tls is not None else None,
        parents=_qualified(one.get("parentRefs"), router),
        service=qualified(one["service"], router) if one.get("service") else None,
        middlewares=_qualified(one.get("middlewares"), router),
        status=one.get("status"),
        errors=_errors(one),
    )


def _tls_options(options: str | None, router: str) -> str:
    # The default ones belong to no provider.
    return "default" if options in (None, "", "default") else qualified(str(options), router)


_SERVICE_TYPES = ("loadBalancer", "weighted", "mirroring", "failover", "highestRandomWeight")


def service(protocol: str, service: str, one: dict[str, Any]) -> TraefikService:
    """The row of a service; its servers are apart."""
    kind = next((kind for kind in _SERVICE_TYPES if kind in one), "internal" if service.endswith("@internal") else None)
    body = one.get(kind or "") or {}
    members = [*(body.get("services") or []), *(body.get("mirrors") or [])]
    children = [member["name"] for member in members]
    children += [body[key] for key in ("service", "fallback") if isinstance(body.get(key), str) and body[key]]
    return TraefikService(
        protocol=protocol,
        service=service,
        provider=service.rpartition("@")[2],
        type=kind,
        health_check="healthCheck" in body,
        children=_qualified(children, service),
        used_by=one.get("usedBy") or (),
        status=one.get("status"),
        errors=_errors(one),
    )


def servers(protocol: str, service: str, one: dict[str, Any]) -> Iterator[TraefikServer]:
    """The rows of the servers of a service, each once."""
    balancer = one.get("loadBalancer") or {}
    checked = "healthCheck" in balancer
    states = one.get("serverStatus") or {}
    seen = set()
    for server in balancer.get("servers") or []:
        url = server.get("url") or server.get("address")
        shown = _server_url(url or "")
        if url and shown not in seen:
            seen.add(shown)
            # Without a health check Traefik says UP of every server, dead or not: that is not a state.
            yield TraefikServer(
                protocol=protocol, service=service, url=shown, status=states.get(url) if checked else None
            )


def _server_url(url: str) -> str:
    """A server without its secrets; that of tcp and udp is host:port, which is no assignment."""
    return redact(url) if "://" in url else redact(f"tcp://{url}").removeprefix("tcp://")


def middleware(protocol: str, middleware: str, one: dict[str, Any]) -> TraefikMiddleware:
    """The row of a middleware; of what it holds, only its chain is kept."""
    kind = next((key for key, value in one.items() if isinstance(value, dict)), None)
    return TraefikMiddleware(
        protocol=protocol,
        middleware=middleware,
        provider=middleware.rpartition("@")[2],
        type=kind,
        chain=_qualified((one.get("chain") or {}).get("middlewares"), middleware),
        used_by=one.get("usedBy") or (),
        status=one.get("status"),
        errors=_errors(one),
    )


def _errors(one: dict[str, Any]) -> tuple[str, ...]:
    errors = one.get("error") or ()
    return tuple(redact_rule(error) for error in ([errors] if isinstance(errors, str) else errors))
