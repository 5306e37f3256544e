"""Which lines of compose files are kept: nothing that a secret may stand on, wherever it stands."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import compose_lines
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposeLine
from tests.testbed.canaries import CANARIES

CANARY = "Hunter2CANARY"
HEAD = "services:\n  a:\n    image: nginx\n"
# Places where people write secrets, at the end of a service or of a file.
PLACES = [
    "    environment:\n      PASSWORD: {}\n",
    "    environment:\n      - ADMIN={}\n",
    "    environment: {{ADMIN: {}}}\n",
    "    env: {}\n",
    "    command: redis-server --requirepass {}\n",
    "    command: [redis-server, --requirepass, {}]\n",
    "    command:\n      - --requirepass\n      - {}\n",
    "    command:\n      - --users=admin:{}\n",
    "    command: >\n      redis-server\n      {}\n",
    "    entrypoint: [sh, -c, {}]\n",
    "    healthcheck:\n      test: mysqladmin ping -p{}\n",
    "    healthcheck:\n      test: [CMD, mysqladmin, -p{}]\n",
    "    build:\n      context: .\n      args:\n        TOKEN: {}\n",
    "    labels:\n      - traefik.http.middlewares.x.basicauth.users=a:{}\n",
    "    labels:\n      traefik.http.middlewares.x.basicauth.users: 'a:{}'\n",
    "    labels:\n      com.example.note: {}\n",
    "    labels:\n      - com.example.note={}\n",
    "    labels: [com.example.note={}]\n",
    "    labels:\n      - |\n        com.example.note={}\n",
    "    image: nginx # mot de passe {}\n",
    "    # mot de passe : {}\n",
    "    # ancien : {}\n",
    "    # PASSWORD={}\n",
    "    logging:\n      options:\n        splunk-token: {}\n",
    "    volumes:\n      - type: volume\n        source: //user:{}@host/share\n",
    "    volumes:\n      - https://u:{}@host:/data\n",
    "    image: https://u:{}@registry/x\n",
    "    ports:\n      - ${{PASSWORD:-{}}}:80\n",
    "    secrets:\n      - {}\n",
    "secrets:\n  s:\n    content: {}\n",
    "configs:\n  s:\n    content: |\n      x\n      {}\n",
    "volumes:\n  v:\n    driver_opts:\n      o: username=u,password={}\n",
    "x-env: &e\n  ADMIN: {}\n",
    "x-env: {}\n",
]  # fmt: skip


def lines(text: str) -> list[ComposeLine]:
    return list(compose_lines.lines("/srv", "compose.yaml", text))


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_kept_wherever_it_stands(place: str) -> None:
    found = lines((HEAD.replace("    image: nginx\n", "") if "image:" in place else HEAD) + place.format(CANARY))
    assert found
    assert CANARY not in str(found)


def test_a_list_that_an_alias_makes_an_environment_is_not_kept() -> None:
    text = f"services:\n  a:\n    labels: &l\n      traefik.enable: {CANARY}\n    environment: *l\n"
    assert CANARY not in str(lines(text))
    text = f"services:\n  a:\n    image: &i nginx{CANARY}\n    environment:\n      X: *i\n"
    assert CANARY not in str(lines(text))


def test_what_patches_need_is_kept() -> None:
    text = (
        "name: demo\n\n# Le site\nservices:\n  a:\n    image: nginx:1.22 # version stable\n    container_name: site\n"
        '    ports:\n      - "8080:80"\n    networks: [web]\n    command:\n      - --api.insecure=true\n'
        "    labels:\n      - traefik.http.routers.a.rule=Host(`a.example`)\nnetworks:\n  web:\n    external: true\n"
    )
    assert [row.text for row in lines(text)] == text.splitlines()
    assert {row.ending for row in lines(text)} == {"lf"}


def test_the_end_of_each_line_is_told() -> None:
    assert [(row.text, row.ending) for row in lines("services:\r\n  a:\n    image: x")] == [
        ("services:", "crlf"),
        ("  a:", "lf"),
        ("    image: x", "none"),
    ]


@pytest.mark.parametrize("mark", ["\r", "\x85", "\u2028", "\u2029"])
def test_files_whose_lines_are_counted_otherwise_are_left_out(mark: str) -> None:
    assert lines(f"services:\n  a:\n    image: x{mark}    restart: always\n") == []


@pytest.mark.parametrize(
    "text", ["a: [", "\tservices:\n", "a: *b\n", "--- a\n--- b\n", "a: &a [*a]\n", "x\n" * 6000, ""]
)
def test_what_is_no_compose_file_is_left_out(text: str) -> None:
    assert lines(text) == []


def test_aliases_that_multiply_cost_little() -> None:
    text = "x0: &x0 [a, a, a, a, a, a, a, a, a]\n" + "".join(
        f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    started = time.monotonic()
    assert lines(text) == []
    assert time.monotonic() - started < 2


@given(st.text(alphabet="abz:-#[]{}'\"&* \n\t!|>é1$", max_size=60))
def test_any_text_is_read_or_left_out(text: str) -> None:
    found = lines(text)
    written = text.split("\n")
    assert all(row.text in (None, written[row.line - 1]) for row in found)


def test_the_reference_server_keeps_no_canary(faulty: Snapshot) -> None:
    kept = [row for row in faulty.rows(ComposeLine) if row.text is not None]
    assert len(kept) > 200
    told = "\n".join(row.text or "" for row in kept)
    assert not [canary for canary in CANARIES if canary in told]
    assert {row.file for row in kept if row.file.endswith(".env")} == set()
