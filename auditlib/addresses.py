"""Addresses, ports and names: what each one is, how it is written, and which ones are public."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - recognised, never bound

# Names for private use: RFC 6761 (test, localhost, invalid, example), 6762 (local), 8375 (home.arpa), 9476 (alt), ICANN
# (internal, and corp, home, mail), and the suffixes that routers of homes give.
_PRIVATE = (
    *("test", "localhost", "invalid", "example", "local", "home.arpa", "alt", "internal", "corp", "home", "mail"),
    *("lan", "intranet", "private", "localdomain"),
)

# The port of a web address that names none, by its scheme; and that of a server, which Traefik may call in h2c.
WEB_PORTS = {"http": 80, "https": 443}
_USUAL_PORTS = {**WEB_PORTS, "h2c": 80}


def parsed(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, in brackets or not, with an interface (`%eth0`) or not; None for a name.

    `::ffff:127.0.0.1`, as a socket of both families shows an IPv4 address, is 127.0.0.1.
    """
    try:
        address = ipaddress.ip_address((host or "").strip("[]").partition("%")[0])
    except ValueError:
        return None
    return address if address.version == 4 else address.ipv4_mapped or address


def is_address(host: str | None) -> bool:
    """Whether a host is an IP address."""
    return parsed(host) is not None


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine to itself: 127.0.0.0/8, ::1 or « localhost »."""
    address = parsed(host)
    return address.is_loopback if address else (host or "").lower().rstrip(".") == "localhost"


def is_everywhere(host: str | None) -> bool:
    """Whether what listens at a host does at every address: no host, 0.0.0.0, ::, or the « * » of some programs."""
    address = parsed(host)
    return address.is_unspecified if address else host in (None, "", "*")


def reachable(host: str) -> str:
    """The host to call, on this machine itself, of what listens at one: the loopback stands for every address."""
    if not is_everywhere(host):
        return host.strip("[]")
    return "::1" if ":" in host else "127.0.0.1"


def host_and_port(place: str) -> tuple[str, int | None]:
    """The host and the port of a URL, or of `host:port`, `[v6]:port` and `:port` with a `/protocol` or none.

    The port may be the scheme's usual one. None when the port is unknown; the host is then the whole place if nothing
    of it can be read.
    """
    try:
        parts = urlsplit(place if "://" in place else f"//{place}")
        host = parts.hostname or ""
    except ValueError:
        return place, None
    try:
        return host, parts.port or _USUAL_PORTS.get(parts.scheme)
    except ValueError:
        return host, None


def joined(host: str, port: int | str) -> str:
    """A host and a port as they are written: `127.0.0.1:443`, `[::1]:443`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def covers(domain: str, names: Iterable[str]) -> bool:
    """Whether a certificate of these names is for a domain: equal, or a wildcard for its first label (RFC 6125)."""
    names = set(names)
    if domain in names:
        return True
    first, _, parent = domain.partition(".")
    return bool(first and parent) and not is_address(domain) and f"*.{parent}" in names


def is_public(domain: str) -> bool:
    """Whether a public authority may certify a name: not a plain one, not of a suffix for private use, no address."""
    name = domain.lower().removeprefix("*.").rstrip(".")
    return "." in name and not is_address(name) and not any(name.endswith(f".{suffix}") for suffix in _PRIVATE)
