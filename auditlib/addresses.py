"""Addresses and names: what every address is, which domains a certificate covers or a public authority may certify."""

import ipaddress
from collections.abc import Iterable

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - recognised, never bound

# Names for private use: RFC 6761 (test, localhost, invalid, example), 6762 (local), 8375 (home.arpa), 9476 (alt), ICANN
# (internal), and the suffixes that routers of homes give.
_PRIVATE = (
    *("test", "localhost", "invalid", "example", "local", "home.arpa", "alt", "internal"),
    *("lan", "home", "corp", "intranet", "private", "localdomain"),
)


def covers(domain: str, names: Iterable[str]) -> bool:
    """Whether a certificate of these names is for a domain: equal, or a wildcard for its first label (RFC 6125)."""
    names = set(names)
    if domain in names:
        return True
    first, _, parent = domain.partition(".")
    return bool(first and parent) and not is_address(domain) and f"*.{parent}" in names


def is_public(domain: str) -> bool:
    """Whether a public authority may certify a name: not a plain one, not of a suffix for private use, no address."""
    name = domain.lower().rstrip(".")
    return "." in name and not is_address(name) and not any(name.endswith(f".{suffix}") for suffix in _PRIVATE)


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
