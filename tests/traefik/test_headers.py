"""The headers that rules see. What is expected was asked of real programs (3.0.4 to 3.7.15), by rules on these headers;
for 2.11 it rests on its sources."""

from typing import Any

import pytest

from auditlib.traefik.requests import Handling, Headers, Request, Seen, seen
from auditlib.traefik.versions import features

TRUSTING = Handling(trusted=("127.0.0.1/32",))


def headers(*given: tuple[str, str], at: str = "3.7.15", handling: Handling | None = None, **said: Any) -> Any:
    """The headers that rules see of a request with these, or the status that answers it before."""
    found = seen(Request(**({"host": "a.fr"} | said), headers=Headers(given)), features(at), handling)
    return found.headers if isinstance(found, Seen) else found


@pytest.mark.parametrize(
    ("proto", "host", "port"),
    [
        ("https", "a.fr", "443"),
        ("wss", "a.fr", "443"),
        ("http", "a.fr", "80"),
        ("https", "a.fr:8443", "8443"),
        ("https", "[::1]", "443"),
        ("http", "[::1]:81", "81"),
    ],
)
def test_the_port_follows_a_trusted_scheme(proto: str, host: str, port: str) -> None:
    given = ("X-Forwarded-Proto", proto)
    assert headers(given, handling=TRUSTING, host=host)["X-Forwarded-Port"] == [port]
    # Nobody trusts this one: its scheme is that of the connection.
    unknown = headers(given, host=host)
    assert unknown["X-Forwarded-Proto"] == ["http"]
    assert unknown["X-Forwarded-Port"] == [port if ":8" in host else "80"]


@pytest.mark.parametrize(("at", "kept"), [("3.6.13", True), ("3.6.14", False), ("2.11.42", True), ("2.11.43", False)])
def test_underscores_forge_no_forwarded_header(at: str, kept: bool) -> None:
    for name in ("X_Forwarded_For", "X_Forwarded-Proto", "x_real_ip"):
        seen_now = {header.lower() for header in headers((name, "1"), at=at)}
        assert (name.lower() in seen_now) == kept
        assert name.lower() in {header.lower() for header in headers((name, "1"), at=at, handling=TRUSTING)}
    assert headers(("X_Forwarded_Other", "1"), at=at)["X_forwarded_other"] == ["1"]


@pytest.mark.parametrize(("at", "kept"), [("3.2.0", True), ("3.2.1", False), ("2.11.13", True), ("2.11.14", False)])
def test_the_prefix_is_taken_from_anybody_at_first(at: str, kept: bool) -> None:
    assert ("X-Forwarded-Prefix" in headers(("X-Forwarded-Prefix", "/a"), at=at)) == kept


@pytest.mark.parametrize(
    ("at", "protected"), [("3.6.8", False), ("3.6.9", True), ("2.11.37", False), ("2.11.38", True)]
)
def test_connection_takes_away_no_forwarded_header(at: str, protected: bool) -> None:
    named = headers(("Connection", "x-forwarded-host, X-Forwarded-Port, x-a"), ("X-A", "1"), at=at)
    assert ("X-Forwarded-Host" in named) == protected
    assert "X-Forwarded-Port" in named
    assert "X-A" not in named and "Connection" not in named


@pytest.mark.parametrize("name", ["X_A", "x_a", "X-B_C", "_X", "Content_Length", "X_Forwarded_Proto"])
def test_headers_with_underscores_as_the_entry_point_is_told(name: str) -> None:
    for handling in (Handling(underscores="delete"), Handling(aliases="delete")):
        assert not {header for header in headers((name, "1"), ("X-A", "1"), handling=handling) if "_" in header}
    for handling in (Handling(underscores="reject"), Handling(aliases="reject")):
        assert headers((name, "1"), handling=handling) == 400


@pytest.mark.parametrize("name", ["X.A", "X~A", "X'A", "X+A", "X!A"])
def test_headers_whose_names_pass_for_others(name: str) -> None:
    assert name.capitalize() in headers((name, "1"), handling=Handling(underscores="reject"))
    assert name.capitalize() not in headers((name, "1"), handling=Handling(aliases="delete"))
    assert headers((name, "1"), handling=Handling(aliases="reject")) == 400
    assert "X-A" in headers(("X-A", "1"), handling=Handling(aliases="reject"))
