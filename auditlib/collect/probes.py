"""What the local proxy answers to a GET for each live domain and path: one connection each, on this machine only."""

import datetime as dt
import hashlib
import http.client
import re
import ssl
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from auditlib.addresses import WEB_PORTS, joined
from auditlib.collect import proxy
from auditlib.collect.dial import dial, fault, unverified
from auditlib.collect.proxy import Proxy, Target
from auditlib.collect.secrets import redact
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable
from auditlib.facts.tables.web import HttpProbe
from auditlib.parameters import Parameters
from auditlib.version import __version__

MAX_PROBES = 400
MAX_BODY = 65_536  # bytes
MAX_HOPS = 10  # redirections; browsers stop at 20
LONGEST = 10.0  # seconds for one probe, its redirections included
MAX_HEADER = 300  # characters kept of one

_REDIRECTS = (301, 302, 303, 307, 308)
# The headers that are read at all.
_HEADERS = (
    "server",
    "content-type",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "content-security-policy",
)
# What Traefik itself answers (`pkg/proxy/httputil/proxy.go`, Go's NotFound; verified on 3.3.6 and 3.7.15).
_OWN = {
    404: "404 page not found",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "no available server",
    504: "Gateway Timeout",
}
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9_-]{0,30})(?=\s|,|$)")


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """One answer for each live domain, path and entry point; those that came too late are counted in `late`."""
    if not parameters.probe_http:
        raise Unreadable("absent", "les sondes HTTP sont désactivées (probe_http)", "mettre probe_http à true")
    until = time.monotonic() + PATIENCE * parameters.timeout_s
    found = proxy.find(payloads)
    targets = found.http()
    visitor = _Visitor(found, {target.domain for target in targets}, min(parameters.timeout_s / 4, LONGEST))
    return proxy.answers(found, targets, MAX_PROBES, visitor.probe, until)


class _Visitor:
    """Asks the proxy, and follows its redirections as long as they lead back to it."""

    def __init__(self, found: Proxy, domains: set[str], seconds: float) -> None:
        self.found = found
        self.domains = domains
        self.seconds = seconds
        self.context = unverified()

    def probe(self, target: Target) -> dict[str, Any]:
        """The first answer, and where its redirections lead."""
        end = time.monotonic() + self.seconds
        # Without the cookies that an answer sets, a first visit would look like a loop.
        jar: dict[str, dict[str, str]] = {}
        first = hop = self._ask(target, target.path, jar, end)
        told = {"domain": target.domain, "path": target.path, "entrypoint": target.entrypoint, **first}
        told |= {"redirects": [], "loop": False, "final_status": first.get("status")}
        url, seen = first["url"], set()
        while location := _location(url, hop):
            told["redirects"].append(location)
            state = (location, str(sorted(jar.get(urlsplit(location).hostname or "", {}).items())))
            following = self._onward(location)
            if following is None:
                break
            if state in seen or len(told["redirects"]) > MAX_HOPS:
                told["loop"] = True
                break
            seen.add(state)
            onward, asked = following
            hop, url = self._ask(onward, asked, jar, end), location
            told["final_status"] = hop.get("status")
            if hop.get("error") and not told.get("error"):
                told["error"] = f"après redirection : {hop['error']}"
        return told

    def _onward(self, location: str) -> tuple[Target, str] | None:
        """What a redirection asks of this very proxy, or None when it leads elsewhere."""
        parts = urlsplit(location)
        domain, port = (parts.hostname or "").lower(), parts.port or WEB_PORTS.get(parts.scheme)
        if parts.scheme not in WEB_PORTS or domain not in self.domains:
            return None
        for gate in self.found.gates.values():
            if port in {number for _, number in gate.addresses}:
                asked = parts.path + (f"?{parts.query}" if parts.query else "")
                return Target(gate.entrypoint, parts.scheme == "https", domain, parts.path or "/"), asked or "/"
        return None

    def _ask(self, target: Target, asked: str, jar: dict[str, dict[str, str]], end: float) -> dict[str, Any]:
        """One GET over one connection, at the first address of the entry point where something listens."""
        answer: dict[str, Any] = {}
        for address in self.found.gates[target.entrypoint].addresses:
            host, port = address
            started = time.monotonic()
            sent = dt.datetime.now(dt.UTC).isoformat()
            answer = {"url": target.url(port), "address": joined(*address), "sent": sent}
            try:
                context = self.context if target.tls else None
                with dial(address, self.found.own, max(0.01, end - started), context, target.domain) as line:
                    if isinstance(line, ssl.SSLSocket):
                        der = line.getpeercert(binary_form=True) or b""
                        answer |= {"tls_version": line.version(), "fingerprint": hashlib.sha256(der).hexdigest()}
                    connection = http.client.HTTPConnection(host)
                    connection.sock = line
                    _send(connection, target.url(port), asked, jar.get(target.domain, {}))
                    response = connection.getresponse()
                    if time.monotonic() >= end:
                        raise TimeoutError  # headers that were cut pass for whole ones
                    answer |= {"latency_ms": _milliseconds(started), **_told(response)}
                    _keep(jar.setdefault(target.domain, {}), response)
                    answer |= _body(response, end)
                    return answer
            except ConnectionRefusedError as error:
                answer |= {"error": fault(error), "latency_ms": _milliseconds(started)}
            except (OSError, ValueError, http.client.HTTPException) as error:
                # Once the handshake is over, a connection that ends is an answer that does not come.
                gone = isinstance(error, ssl.SSLEOFError) and "tls_version" in answer
                clause = "connexion fermée sans réponse" if gone else fault(error)
                return {"latency_ms": _milliseconds(started), **answer, "error": clause}
        return answer


def _send(connection: http.client.HTTPConnection, url: str, asked: str, cookies: Mapping[str, str]) -> None:
    connection.putrequest("GET", asked, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": urlsplit(url).netloc, "User-Agent": f"auditlib/{__version__}", "Accept": "*/*"}
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    for name, value in {**headers, "Connection": "close"}.items():
        connection.putheader(name, value)
    connection.endheaders()


def _milliseconds(started: float) -> int:
    return round(1000 * (time.monotonic() - started))


def _told(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Status and the few headers that are read; no cookie, no value of an authentication."""
    schemes = [
        match for value in response.headers.get_all("www-authenticate") or [] for match in _SCHEME.findall(value)
    ]
    return {
        "status": response.status,
        "location": response.headers.get("location"),
        "headers": {name: response.headers[name] for name in _HEADERS if name in response.headers},
        "authentication": schemes,
    }


def _keep(cookies: dict[str, str], response: http.client.HTTPResponse) -> None:
    for line in response.headers.get_all("set-cookie") or []:
        try:
            cookies.update({name: morsel.coded_value for name, morsel in SimpleCookie(line).items()})
        except CookieError:
            continue


def _body(response: http.client.HTTPResponse, end: float) -> dict[str, Any]:
    try:
        body = response.read(MAX_BODY)
        if response.length and len(body) < MAX_BODY:
            raise http.client.IncompleteRead(body)
    except (OSError, ValueError, http.client.HTTPException):
        # A stream of events never ends: that is no fault of the route.
        return {} if time.monotonic() >= end else {"error": "réponse coupée"}
    own = _OWN.get(response.status)
    return {"body_bytes": len(body), "own_answer": own is not None and body.strip() == own.encode()}


def _location(url: str, hop: Mapping[str, Any]) -> str | None:
    """Where a redirection leads, as a whole address without its fragment; None when it is none, or leads nowhere."""
    if hop.get("status") not in _REDIRECTS or not hop.get("location"):
        return None
    # A header is Latin-1 to http.client; what is not ASCII in it was UTF-8.
    said = hop["location"].encode("latin-1", "replace")
    try:
        location = urljoin(url, quote(said, safe="/%:@!$&'()*+,;=-._~?#[]")).partition("#")[0]
        urlsplit(location).port  # noqa: B018 - refuses a port that is none
    except ValueError:
        return None
    return location


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `http_probes`; the router that answered is left to the access log."""
    table = {(row.url, row.entrypoint): row for row in map(_row, payload["answers"])}
    return proxy.reading(payload, {"http_probes": list(table.values())})


def _row(answer: dict[str, Any]) -> HttpProbe:
    headers = {name: _header(value) for name, value in answer.get("headers", {}).items()}
    return HttpProbe(
        url=redact(answer["url"]),
        domain=answer.get("domain"),
        path=redact(answer["path"]),
        entrypoint=answer["entrypoint"],
        address=answer.get("address"),
        status=answer.get("status"),
        latency_ms=answer.get("latency_ms"),
        error=answer.get("error"),
        redirects=tuple(_shown(location) for location in answer["redirects"]),
        loop=answer.get("loop"),
        final_status=answer.get("final_status"),
        tls_version=answer.get("tls_version"),
        fingerprint=answer.get("fingerprint"),
        server=headers.get("server"),
        content_type=headers.get("content-type"),
        hsts=headers.get("strict-transport-security"),
        content_type_options=headers.get("x-content-type-options"),
        frame_options=headers.get("x-frame-options"),
        csp=headers.get("content-security-policy"),
        authentication=" ".join(dict.fromkeys(answer.get("authentication", []))) or None,
        body_bytes=answer.get("body_bytes"),
        own_answer=answer.get("own_answer"),
    )


def _shown(location: str) -> str:
    """A redirection without what may be a secret in it: its query, its user."""
    return redact(location.partition("?")[0])[:MAX_HEADER]


def _header(value: str) -> str:
    return redact(" ".join(value.split()))[:MAX_HEADER]
