"""Overrides: what Docker Compose makes of them over a file, and what they refuse to say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlib.compose.agreement import ours, told
from auditlib.compose.overrides import Now, Override
from auditlib.compose.ports import PublishedPort
from auditlib.compose.written import Unsafe
from tests.compose.oracle import asked, loaded, program, read

# What an override is to say.
Saying = Callable[[Override], None]


def override(sayings: list[Saying], now: Now) -> str:
    file = Override({"a": now})
    for saying in sayings:
        saying(file)
    return file.text()


def said(folder: Path, base: str, extra: str) -> dict[str, Any]:
    """What our loader says of a file and its override; Compose itself, where it is there, says the same."""
    (folder / "docker-compose.yml").write_text(base)
    (folder / "docker-compose.override.yml").write_text(extra)
    found = ours(loaded(folder), read)
    if program():
        answer = asked(folder)
        assert answer is not None, extra
        assert told(answer)["services"] == found["services"]
    service: dict[str, Any] = found["services"]["a"]
    return service


CASES: dict[str, tuple[str, list[Saying], Now, dict[str, Any]]] = {
    "an IPv6 port and one of UDP": (
        "ports: ['[::1]:80:80', '53:53/udp', '53:53']",
        [
            lambda file: file.publish("a", PublishedPort("udp", 53, 53), ("::1", 5353)),
            lambda file: file.publish("a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 80)),
        ],
        Now(("[::1]:80:80", "53:53/udp", "53:53")),
        {"ports": [("tcp", "", "53", 53), ("tcp", "127.0.0.1", "80", 80), ("udp", "::1", "5353", 53)]},
    ),
    "no port left": (
        "ports: ['80:80/udp']",
        [lambda file: file.publish("a", PublishedPort("udp", 80, 80), None)],
        Now(("80:80/udp",)),
        {"ports": []},
    ),
    "a range stays": (
        "ports: ['8000-8010:80', '81:81']",
        [lambda file: file.publish("a", PublishedPort("tcp", 81, 81), ("", 82))],
        Now(("8000-8010:80", "81:81")),
        {"ports": [("tcp", "", "8000-8010", 80), ("tcp", "", "82", 81)]},
    ),
    "a name on the machine's network": (
        "network_mode: host",
        [lambda file: file.rename("a", "bb")],
        Now(network_mode="host"),
        {"container_name": "bb", "network_mode": "host"},
    ),
    "a network beside the project's own": (
        "restart: always",
        [lambda file: file.join("a", "web")],
        Now(default=True),
        {"networks": ["default", "web"]},
    ),
    "a network beside others": (
        "networks: [web]",
        [lambda file: file.join("a", "db")],
        Now(),
        {"networks": ["db", "web"]},
    ),
    "several at once": (
        "labels: ['x=1']",
        [
            lambda file: file.label("a", "x", "$2"),
            lambda file: file.label("a", "y: z", '"'),
            lambda file: file.restart("a", "always"),
            lambda file: file.rename("a", None),
        ],
        Now(),
        {"labels": {"x": "$2", "y: z": '"'}, "restart": "always", "container_name": None},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_override_does_it_over_the_file(case: str, tmp_path: Path) -> None:
    written, sayings, now, expected = CASES[case]
    base = f"services:\n  a:\n    image: x\n    {written}\nnetworks:\n  web: {{external: true}}\n"
    service = said(tmp_path, base, override(sayings, now))
    assert {name: service[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("saying", "now"),
    [
        (lambda file: file.join("a", "web"), Now(network_mode="host")),
        (lambda file: file.join("a", "web"), Now(network_mode="container:b")),
        (lambda file: file.publish("a", PublishedPort("tcp", 80, 80), None), Now(("81:81",))),
        (lambda file: file.publish("a", PublishedPort("udp", 80, 80), None), Now(("80:80",))),
        (lambda file: file.rename("a", "b\x1b"), Now()),
    ],
)
def test_what_an_override_cannot_say_is_refused(saying: Saying, now: Now) -> None:
    with pytest.raises(Unsafe):
        override([saying], now)
