"""Addresses, ports and names: each rule once."""

import pytest

from auditlib.addresses import host_and_port, is_address, is_everywhere, is_loopback, is_public, joined, reachable


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1", "::1%lo", "localhost"])
def test_the_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["LocalHost", "localhost."])
def test_a_name_is_the_same_in_capitals_or_whole(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "::1234", "10.0.0.1", "::ffff:10.0.0.1", "127.example.fr", "localhost.example.fr", "", None],
)
def test_what_is_no_loopback(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", True),
        ("[fe80::1%eth0]", True),
        ("::ffff:10.0.0.1", True),
        ("nas", False),
        ("", False),
        (None, False),
    ],
)
def test_an_address_is_no_name(host: str | None, address: bool) -> None:
    assert is_address(host) is address


@pytest.mark.parametrize(
    ("listened", "called"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("*", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "::1"),
        ("[::]", "::1"),
        ("::%lo", "::1"),
        ("[::1]", "::1"),
        ("192.168.1.5", "192.168.1.5"),
        ("nas.lan", "nas.lan"),
    ],
)
def test_where_to_call_what_listens(listened: str, called: str) -> None:
    assert reachable(listened) == called
    assert is_everywhere(listened) is (listened not in ("[::1]", "192.168.1.5", "nas.lan"))


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("http://app", ("app", 80)),
        ("https://[::1]/x", ("::1", 443)),
        ("h2c://app:9000", ("app", 9000)),
        ("tcp://app", ("app", None)),
        ("10.0.0.1:53", ("10.0.0.1", 53)),
        ("[fe80::1]:53", ("fe80::1", 53)),
        (":8080", ("", 8080)),
        ("127.0.0.1:8080/udp", ("127.0.0.1", 8080)),
        ("[::]:443/tcp", ("::", 443)),
        ("app", ("app", None)),
        ("", ("", None)),
        ("http://app:port", ("app", None)),
        ("http://[app", ("http://[app", None)),
    ],
)
def test_the_host_and_the_port_of_a_place(place: str, found: tuple[str, int | None]) -> None:
    assert host_and_port(place) == found


def test_a_place_is_written_as_it_is_read() -> None:
    places = [("127.0.0.1", 443), ("::1", 443), ("app.fr", 80)]
    assert [host_and_port(joined(host, port)) for host, port in places] == places


@pytest.mark.parametrize("domain", ["a.fr", "*.a.fr", "A.FR.", "lan.fr", "internal.example.org"])
def test_public_names(domain: str) -> None:
    assert is_public(domain)


@pytest.mark.parametrize(
    "domain",
    [
        "nas",
        "a.lan",
        "*.lan",
        "x.home.arpa",
        "App.Intranet",
        "a.private",
        "a.alt",
        "a.mail",
        "10.0.0.1",
        "[::1]",
        "*.fr",
    ],
)
def test_names_of_nobody_but_oneself(domain: str) -> None:
    assert not is_public(domain)
