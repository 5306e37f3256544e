"""A request, and what Traefik makes of it before any rule sees it.

Go's net/http and net/url read it; then the handlers of `pkg/server/server_entrypoint_tcp.go` in their order:
fragment, normalisation, sanitation, semicolons, forwarded headers, canonical host. Bytes that are no UTF-8 are kept
as lone surrogates (`surrogateescape`), so that every comparison is one of bytes.
"""

import functools
import ipaddress
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote_from_bytes, urlsplit

from auditlib.addresses import WEB_PORTS
from auditlib.traefik.versions import Features

ENCODED = frozenset({"%2F", "%5C", "%00", "%3B", "%25", "%3F", "%23"})  # what EncodedCharacters can refuse

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Headers = tuple[tuple[str, str], ...]


class Request(NamedTuple):
    """A request as a client sends it. `host` is its Host header, None for none; `target` stands on the request line.

    `sni` is the server name of the TLS handshake, None for none; `alpn` the protocols that it offers,
    those of browsers and curl unless told; `client_ip` the address that Traefik sees.
    """

    host: str | None = ""
    target: str = "/"
    method: str = "GET"
    headers: Headers = ()
    client_ip: str = "127.0.0.1"
    tls: bool = False
    sni: str | None = None
    http: str = "1.1"
    alpn: tuple[str, ...] = ("h2", "http/1.1")


def request(url: str, method: str = "GET", headers: Headers = (), client_ip: str = "127.0.0.1") -> Request:
    """What a browser or curl sends for an http(s) URL. Raises ValueError for another kind of address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not the URL of a web page: {url}")
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    default = WEB_PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port is not None and parts.port != default else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = quote_from_bytes(target.encode("utf-8", "surrogateescape"), safe="".join(map(chr, range(33, 127))))
    tls = parts.scheme == "https"
    sni = host if tls and not _is_address(host) else None
    return Request(shown if port is None else f"{shown}:{port}", target, method, headers, client_ip, tls, sni)


@dataclass(frozen=True)
class Handling:
    """What an entry point is told to do with requests; None: what its version does unless told.

    `refused`: encoded characters that it refuses; `trusted`: networks whose X-Forwarded headers are kept;
    `underscores`: what becomes of headers with an underscore in their names, `aliases`: of those with anything else
    than letters, digits and dashes.
    """

    sanitizes: bool | None = None
    refused: frozenset[str] | None = None
    encodes_semicolons: bool = False
    trusted: tuple[str, ...] = ()
    underscores: str = "keep"  # « keep », « delete » or « reject »
    aliases: str = "keep"

    def fate(self, header: str) -> str:
        """What becomes of a header by its name alone: « keep », « delete » or « reject »."""
        if "_" in header and self.underscores != "keep":
            return self.underscores
        return "keep" if _DASHED.fullmatch(header) else self.aliases


@dataclass(frozen=True)
class Seen:
    """A request as rules see it. `authority` is the Host header as it came, which v2's HostRegexp reads.

    Of a connection, TCP rules see the server name as `host`, the client, and the `protocols` that it offers.

    `refused`: whatever router takes it answers 400, for its path holds what the entry point refuses. Headers and the
    query are read when a rule first asks for them.
    """

    host: str
    authority: str = ""
    method: str = "GET"
    path: str = "/"
    client: Address | None = None
    refused: bool = False
    read_headers: Callable[[], dict[str, list[str]]] = dict
    raw_query: str = ""
    protocols: frozenset[str] = frozenset()

    @functools.cached_property
    def headers(self) -> dict[str, list[str]]:
        """The values of each header, by its canonical name."""
        return self.read_headers()

    @functools.cached_property
    def query(self) -> dict[str, list[str]]:
        """The values of each parameter."""
        return _query(self.raw_query) if self.raw_query else {}


def seen(request: Request, features: Features, handling: Handling | None = None) -> Seen | int:
    """What rules see of a request, or the status that Go or Traefik answers before any rule.

    200 is Go's own answer to `OPTIONS *`, 400 a request that is refused.
    """
    handling = handling or Handling()
    target, authority = request.target, request.host
    if not _TOKEN.fullmatch(request.method) or _CONTROL.search(target) or " " in target:
        return 400
    if authority is None and request.http >= "1.1":
        return 400
    if authority is not None and not _HOST.fullmatch(authority):
        return 400
    if request.headers and not all(
        _TOKEN.fullmatch(name) and not _UNSENDABLE.search(value) for name, value in request.headers
    ):
        return 400
    if target == "*" and request.method == "OPTIONS":
        return 200
    if any(handling.fate(name) == "reject" for name, _ in request.headers):
        return 400
    if absolute := _ABSOLUTE.fullmatch(target):
        authority, target = absolute[1].rpartition("@")[2] or authority, absolute[2]
        if not _HOST.fullmatch(authority or ""):
            return 400
    elif not target.startswith("/") and target != "*":
        return 400
    raw, _, query = target.partition("?")
    fragment = "#" in raw
    if fragment and features.encoded != "refused by the router":
        return 400
    paths = _paths(raw, features, handling)
    if paths is None:
        return 400
    path, encoded = paths
    address = client_address(request.client_ip)
    authority = authority or ""
    return Seen(
        canonical_host(authority),
        authority,
        request.method,
        path,
        address,
        fragment or bool(encoded and encoded & refused(features, handling)),
        functools.partial(_headers, request, authority, address, handling, features),
        query.replace(";", "%3B" if handling.encodes_semicolons else "&"),
    )


def refused(features: Features, handling: Handling) -> frozenset[str]:
    """The encoded characters that an entry point refuses."""
    if handling.refused is None:
        return frozenset() if features.encoded == "accepted" else ENCODED
    return handling.refused


# RFC 7230's token, and what golang.org/x/net/http/httpguts lets into a Host header and a header value.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DASHED = re.compile(r"[A-Za-z0-9-]+")
_HOST = re.compile(r"[!$%&'()*+,.:;=\[\]_~0-9A-Za-z-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?]*)(.*)", re.DOTALL)

# A path that nothing changes: no encoding, no doubled slash, no segment that begins with a dot.
_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~$&+,:;=@-]+)*/?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_RESERVED = frozenset(b":/?#[]@!$&'()*+,;=%")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})?")
# Go's url.escape and validEncoded, for paths.
_SAFE = "$&+,/:;=@-_.~"
_VALID = re.compile(rb"[A-Za-z0-9!$&'()*+,;=:@\[\]%/_.~-]*")


def _paths(raw: str, features: Features, handling: Handling) -> tuple[str, frozenset[str]] | None:
    """The path that rules see, and its encoded characters; None for what Go or Traefik refuses."""
    if _PLAIN.fullmatch(raw):
        return raw, frozenset()
    url = _Url.parse(raw.encode("utf-8", "surrogateescape"))
    if url is None or (features.encoded == "refused" and _encoded(url) & refused(features, handling)):
        return None
    if features.normalizes and url.raw:
        url = _Url(url.path, _normalized(url.raw))
    if features.sanitizes and handling.sanitizes is not False:
        url = _Url.parse(_cleaned(url.escaped())) or url
    path = _routing(url.escaped()) if features.routing_path else url.path
    return path.decode("utf-8", "surrogateescape"), _encoded(url)


class _Url(NamedTuple):
    """Go's url.URL: the decoded path, and the path as it came when Go would not encode it so."""

    path: bytes
    raw: bytes

    @classmethod
    def parse(cls, text: bytes) -> "_Url | None":
        if any(found[1] is None for found in _PERCENT.finditer(text)):
            return None
        path = _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), text)
        return cls(path, b"" if _escape(path) == text else text)

    def escaped(self) -> bytes:
        if self.raw and _VALID.fullmatch(self.raw):
            again = _Url.parse(self.raw)
            if again and again.path == self.path:
                return self.raw
        return self.path if self.path == b"*" else _escape(self.path)


def _encoded(url: _Url) -> frozenset[str]:
    return frozenset(found.decode().upper() for found in re.findall(rb"%[0-9A-Fa-f]{2}", url.escaped())) & ENCODED


def _escape(path: bytes) -> bytes:
    return quote_from_bytes(path, safe=_SAFE).encode()


def _normalized(raw: bytes) -> bytes:
    """Unreserved characters decoded, the rest of the encoding in upper case."""

    def one(found: re.Match[bytes]) -> bytes:
        byte = int(found[1], 16)
        return bytes([byte]) if byte in _UNRESERVED else found[0].upper()

    return _PERCENT.sub(one, raw)


def _cleaned(escaped: bytes) -> bytes:
    """Go's url.JoinPath of nothing: path.Clean, and the last slash kept."""
    if not escaped.startswith(b"/"):
        return _cleaned(b"/" + escaped)[1:]
    path = posixpath.normpath(escaped)
    # POSIX lets two slashes at the start be; Go does not.
    path = b"/" + path.lstrip(b"/")
    return path + b"/" if escaped.endswith(b"/") and not path.endswith(b"/") else path


def _routing(escaped: bytes) -> bytes:
    """Decoded, but for what is reserved. Traefik knows the reserved ones in upper case only."""

    def one(found: re.Match[bytes]) -> bytes:
        byte = int(found[1], 16)
        return found[0] if byte in _RESERVED and found[0] == found[0].upper() else bytes([byte])

    return _PERCENT.sub(one, escaped)


def _query(raw: str) -> dict[str, list[str]]:
    """Go's url.ParseQuery: what is malformed is left out."""
    found: dict[str, list[str]] = {}
    for part in raw.split("&"):
        name, _, value = part.partition("=")
        key, text = _unescaped(name), _unescaped(value)
        if part and key is not None and text is not None:
            found.setdefault(key, []).append(text)
    return found


def _unescaped(text: str) -> str | None:
    if "%" not in text:
        return text.replace("+", " ")
    url = _Url.parse(text.replace("+", " ").encode("utf-8", "surrogateescape"))
    return url.path.decode("utf-8", "surrogateescape") if url else None


@functools.lru_cache(maxsize=4096)
def canonical_host(authority: str) -> str:
    """The host of a Host header: without its port and the brackets of IPv6, in lower case."""
    return (_without_port(authority, brackets=True) if ":" in authority else authority).strip().lower()


def _without_port(authority: str, *, brackets: bool) -> str:
    """Go's net.SplitHostPort where it succeeds; else the whole, or what its brackets hold."""
    head, _, _ = authority.rpartition(":")
    if authority.startswith("[") and head.endswith("]") and not {"[", "]"} & set(head[1:-1]):
        return head[1:-1]
    if not authority.startswith("[") and not {":", "[", "]"} & set(head):
        return head
    return authority[1:-1] if brackets and authority[:1] == "[" and authority[-1:] == "]" else authority


def template_host(authority: str) -> str:
    """The host as gorilla's templates read it."""
    return _without_port(authority, brackets=False) if ":" in authority else authority


def header_name(name: str) -> str:
    """Go's http.CanonicalHeaderKey."""
    if not _TOKEN.fullmatch(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


# Headers that Traefik writes itself, and takes from trusted addresses only (`pkg/middlewares/forwardedheaders`).
_FORWARDED = frozenset(
    f"X-Forwarded-{name}"
    for name in ("Proto", "For", "Host", "Port", "Server", "Uri", "Method", "Prefix", "Tls-Client-Cert")
) | {"X-Forwarded-Tls-Client-Cert-Info", "X-Real-Ip"}


def _is_forwarded(name: str, features: Features) -> bool:
    """Whether a header, by its canonical name, is one that Traefik writes itself."""
    if features.strips_variants and name.startswith("X"):
        name = header_name(name.replace("_", "-"))
    return name in _FORWARDED and (features.strips_prefix or name != "X-Forwarded-Prefix")


def _headers(
    request: Request, authority: str, address: Address | None, handling: Handling, features: Features
) -> dict[str, list[str]]:
    """The headers that rules see. Traefik's own X-Forwarded-Server is not known, hence absent."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers:
        if handling.fate(name) == "keep":
            found.setdefault(header_name(name), []).append(value.strip(" \t"))
    found.pop("Host", None)
    if not any(address in ipaddress.ip_network(one, strict=False) for one in handling.trusted if address):
        found = {name: values for name, values in found.items() if not _is_forwarded(name, features)}
    own = {"X-Real-Ip": request.client_ip.partition("%")[0], "X-Forwarded-Proto": _scheme(request, found)}
    for name, value in (own | ({"X-Forwarded-Host": authority} if authority else {})).items():
        if not found.get(name, [""])[0]:
            found[name] = [value]
    if not found.get("X-Forwarded-Port", [""])[0]:
        # It follows the scheme that was kept or written.
        secure = request.tls or found["X-Forwarded-Proto"][0] in ("https", "wss")
        found["X-Forwarded-Port"] = [_port(authority) or ("443" if secure else "80")]
    if "X-Forwarded-For" in found:
        found["X-Forwarded-For"] = [", ".join(found["X-Forwarded-For"])]
    return _without_connection(found, features) if features.strips_connection else found


def _scheme(request: Request, headers: dict[str, list[str]]) -> str:
    """The scheme of a request, that of an upgrade to WebSocket included; only the first lines of headers count."""
    first = {name: values[:1] for name, values in headers.items()}
    upgraded = "upgrade" in _lowered(first, "Connection") and "websocket" in _lowered(first, "Upgrade")
    return ("ws" if upgraded else "http") + ("s" if request.tls else "")


def _port(authority: str) -> str:
    """The port of a Host header, as Go's net.SplitHostPort finds it."""
    host, colon, port = authority.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]") and not {"[", "]"} & set(host[1:-1])
    return port if colon and not {"[", "]"} & set(port) and (bracketed or not {":", "[", "]"} & set(host)) else ""


def _without_connection(found: dict[str, list[str]], features: Features) -> dict[str, list[str]]:
    """Headers without those that Connection names, which go no further, and itself; an upgrade does go on."""
    kept = found.get("Upgrade") if "upgrade" in _lowered(found, "Connection") else None
    for word in _words(found, "Connection"):
        if not _is_forwarded(header_name(word) if features.protects else word, features):
            found.pop(header_name(word), None)
    found.pop("Connection", None)
    return found | ({"Connection": ["Upgrade"], "Upgrade": kept[:1]} if kept else {})


def _words(headers: dict[str, list[str]], name: str) -> list[str]:
    return [part.strip() for value in headers.get(name, ()) for part in value.split(",")]


def _lowered(headers: dict[str, list[str]], name: str) -> set[str]:
    return {word.lower() for word in _words(headers, name)}


@functools.lru_cache(maxsize=4096)
def client_address(text: str) -> Address | None:
    """The address of a client, an IPv4 one inside IPv6 as itself; None when it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped: Address | None = getattr(found, "ipv4_mapped", None)
    return mapped or found


def _is_address(text: str) -> bool:
    return client_address(text) is not None
