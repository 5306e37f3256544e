"""Entries of `ports:`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.compose.document import Invalid, Map, Place
from auditlib.compose.ports import Port, parse

HERE = Place("f.yml", 7)


def port(entry: object) -> tuple[object, ...]:
    return tuple(parse(entry, HERE))[:-1]


@pytest.mark.parametrize(
    ("entry", "made", "chosen"),
    [
        ("80", ("tcp", "", None, None, 80, 80), True),
        (80, ("tcp", "", None, None, 80, 80), True),
        ("8080:80", ("tcp", "", 8080, 8080, 80, 80), False),
        ("127.0.0.1:8080:80/udp", ("udp", "127.0.0.1", 8080, 8080, 80, 80), False),
        ("[::1]:8080:80", ("tcp", "::1", 8080, 8080, 80, 80), False),
        ("::1:8080:80", ("tcp", "::1", 8080, 8080, 80, 80), False),
        ("127.0.0.1::80", ("tcp", "127.0.0.1", None, None, 80, 80), True),
        ("8000-8002:80-82", ("tcp", "", 8000, 8002, 80, 82), False),
        ("8000-8010:80", ("tcp", "", 8000, 8010, 80, 80), True),
        ("3000-3005", ("tcp", "", None, None, 3000, 3005), True),
        ("80:80/SCTP", ("sctp", "", 80, 80, 80, 80), False),
    ],
)
def test_short_form(entry: object, made: tuple[object, ...], chosen: bool) -> None:
    assert port(entry) == made
    assert parse(entry, HERE).chosen == chosen


def test_long_form() -> None:
    entry = Map(target=80, published="8000-8005", host_ip="::", protocol="udp", mode="host")
    assert port(entry) == ("udp", "::", 8000, 8005, 80, 80)
    assert port(Map(target=80)) == ("tcp", "", None, None, 80, 80)


REFUSED = ["", ":", "a", "80:", "70000", "8005-8000:1", "1-3:1-2", "localhost:1:1", "1:1/icmp", "1:2:3:4:5", True]
REFUSED += [1.5, None, "²:80", Map(), Map(target="80"), Map(target=0)]
REFUSED += [Map(target=80, published="x"), Map(target=80, host_ip="host")]


@pytest.mark.parametrize("entry", REFUSED)
def test_what_is_refused(entry: object) -> None:
    with pytest.raises(Invalid) as told:
        parse(entry, HERE)
    assert told.value.place == HERE


@given(st.integers(1, 65000), st.integers(0, 50), st.sampled_from(["", "127.0.0.1:", "[::1]:"]), st.booleans())
def test_ranges_pair_their_ports(first: int, more: int, address: str, udp: bool) -> None:
    entry = f"{address}{first}-{first + more}:{first + 5}-{first + 5 + more}" + ("/udp" if udp else "")
    pairs = list(parse(entry, HERE).each())
    assert [(int(host), target) for _, _, host, target in pairs] == [
        (first + n, first + 5 + n) for n in range(more + 1)
    ]


@given(st.text(alphabet="0123456789:-/[].tcpud", max_size=20))
def test_any_text_is_a_port_or_refused(entry: str) -> None:
    try:
        made = parse(entry, HERE)
    except Invalid:
        return
    assert isinstance(made, Port)
    assert 0 <= made.target <= made.target_last <= 65535
