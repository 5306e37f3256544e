# ruff: noqa: E501 - a file and what it must become are compared by eye
"""Patches of compose files: applied by `patch` and `git apply` to real files, then read again."""

import copy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.compose_lines import lines as shown
from auditlib.compose import edit
from auditlib.compose.agreement import ours, told
from auditlib.compose.overrides import Now, Override
from auditlib.compose.ports import PublishedPort
from auditlib.compose.unified import diff
from auditlib.compose.written import Line, Unsafe
from tests.compose.oracle import asked, loaded, program, read

PROJECTS = Path(__file__).parent.parent / "testbed" / "projets"
FILE = "docker-compose.yml"
PROGRAMS = [name for name in ("patch", "git") if shutil.which(name)]

STACK = PROJECTS / "infrastructure" / "unified-stack"
JSR = PROJECTS / "clients" / "jsr" / "JSR-solutions"
MEDIA = PROJECTS / "multimedia"
AGENT = PROJECTS / "ai-tools" / "agent-zero"


# An edit of the lines of a file, ready to be made.
Operation = Callable[[list[Line]], list[Line]]


def does(function: Callable[..., list[Line]], *args: Any) -> Operation:
    return lambda lines: function(lines, *args)


def patch(lines: list[Line], path: str, operations: list[Operation]) -> str:
    edited = lines
    for operation in operations:
        edited = operation(edited)
    return diff(lines, edited, path)


def known(content: str) -> list[Line]:
    """The lines as the snapshot has them."""
    return [Line(row.text, row.ending or "lf") for row in shown("/srv", FILE, content)]


def mended(text: str, diff: str, tool: str, folder: Path, name: str = FILE) -> str:
    """A file after `patch -p1` or `git apply`, neither of which may say a word of doubt."""
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(text, "utf-8", newline="")
    command = ["patch", "-p1"] if tool == "patch" else ["git", "apply"]
    done = subprocess.run(
        command, cwd=folder, input=diff.encode(), capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, (done.stdout, done.stderr, diff)
    assert b"fuzz" not in done.stdout and b"offset" not in done.stdout, (done.stdout, diff)
    return (folder / name).read_bytes().decode()


def both(text: str, operations: list[Operation], folder: Path) -> str:
    diff = patch(known(text), FILE, operations)
    made = {mended(text, diff, tool, folder / tool) for tool in PROGRAMS}
    assert len(made) == 1
    return made.pop()


def reading(folder: Path, text: str, **files: str) -> dict[str, Any]:
    """What our loader says of a folder with this compose file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, "utf-8", newline="")
    for name, content in files.items():
        (folder / name.replace("_env", ".env")).write_text(content)
    return ours(loaded(folder), read)


def variables(folder: Path) -> str:
    """The variables of a project of the reference server, and the one that its builder adds."""
    path = folder / "dot.env"
    return (path.read_text("utf-8") if path.exists() else "") + "\nDOCKER_SOCKET=/run/docker.sock\n"


def ports(service: Any) -> list[Any]:
    return [(address, host, target) for _, address, host, target in service["ports"]]


def _loopback(said: dict[str, Any], service: str, number: int) -> None:
    said["services"][service]["ports"] = sorted(
        (protocol, "127.0.0.1" if target == number else address, host, target)
        for protocol, address, host, target in said["services"][service]["ports"]
    )


def _unpublished(service: str) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["services"][service].update(ports=[])


CASES: dict[str, tuple[Path, Operation, Callable[[dict[str, Any]], Any]]] = {
    "loopback": (
        STACK, does(edit.publish, "traefik", PublishedPort("tcp", 8080, 8080), ("127.0.0.1", 8080)), lambda said: _loopback(said, "traefik", 8080)
    ),
    "elsewhere": (
        AGENT,
        does(edit.publish, "agent-zero", PublishedPort("tcp", 8888, 80), ("", 8889)),
        lambda said: said["services"]["agent-zero"].update(ports=[("tcp", "", "2222", 22), ("tcp", "", "8889", 80)]),
    ),
    "no publication left": (STACK, does(edit.publish, "chromadb", PublishedPort("tcp", 8000, 8000), None), _unpublished("chromadb")),
    "one publication less": (
        STACK,
        does(edit.publish, "traefik", PublishedPort("tcp", 8080, 8080), None),
        lambda said: said["services"]["traefik"].update(ports=[("tcp", "", "443", 443), ("tcp", "", "80", 80)]),
    ),
    "join": (
        JSR,
        does(edit.join, "jsr-dev", "unified-net"),
        lambda said: said["services"]["jsr-dev"].update(networks=["traefik-net", "unified-net"]),
    ),
    "join a network to declare": (
        MEDIA,
        does(edit.join, "media-api", "db-net"),
        lambda said: (
            said["services"]["media-api"].update(networks=["db-net", "unified-net"]),
            said["networks"].update({"db-net": ("db-net", True)}),
        ),
    ),
    "join from the default network": (
        AGENT,
        does(edit.join, "agent-zero", "unified-net"),
        lambda said: (
            said["services"]["agent-zero"].update(networks=["default", "unified-net"]),
            said["networks"].update({"unified-net": ("unified-net", True)}),
        ),
    ),
    "another name": (
        STACK, does(edit.rename, "redis", "unified-redis"), lambda said: said["services"]["redis"].update(container_name="unified-redis")
    ),
    "no name": (STACK, does(edit.rename, "postgres", None), lambda said: said["services"]["postgres"].update(container_name=None)),
    "label": (
        JSR,
        does(edit.label, "jsr-dev", "traefik.http.routers.jsr-dev.middlewares", "crowdsec@file,geoblock@file"),
        lambda said: said["services"]["jsr-dev"]["labels"].update(
            {"traefik.http.routers.jsr-dev.middlewares": "crowdsec@file,geoblock@file"}
        ),
    ),
    "restart": (JSR, does(edit.restart, "jsr-dev", "always"), lambda said: said["services"]["jsr-dev"].update(restart="always")),
    "another label": (
        JSR,
        does(edit.label, "jsr-dev", "traefik.http.routers.jsr-dev.tls", "true", "traefik.http.routers.jsr-dev.tls.certresolver"),
        lambda said: (
            said["services"]["jsr-dev"]["labels"].pop("traefik.http.routers.jsr-dev.tls.certresolver"),
            said["services"]["jsr-dev"]["labels"].update({"traefik.http.routers.jsr-dev.tls": "true"}),
        ),
    ),
    "flag": (STACK, does(edit.flag, "traefik", "api.insecure", None), lambda said: None),
    "flag with a value": (STACK, does(edit.flag, "traefik", "api.insecure", "false"), lambda said: None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("real", [False, True])
def test_real_files_are_mended_and_nothing_else_changes(case: str, real: bool, tmp_path: Path) -> None:
    if real and not program():
        pytest.skip("the real program is not installed")
    folder, operation, change = CASES[case]
    text = (folder / FILE).read_text("utf-8")
    made = both(text, [operation], tmp_path / "tools")

    def said(content: str) -> dict[str, Any]:
        place = tmp_path / folder.name
        found = reading(place, content, _env=variables(folder))
        if not real:
            return found
        answer = asked(place)
        assert answer is not None
        return told(answer)

    expected = copy.deepcopy(said(text))
    change(expected)
    assert said(made) == expected
    # Comments are kept; so is every line but a few.
    assert [line for line in text.splitlines() if line.strip().startswith("#")] == [
        line for line in made.splitlines() if line.strip().startswith("#")
    ]


def test_an_option_of_the_command_goes_alone(tmp_path: Path) -> None:
    text = (STACK / FILE).read_text("utf-8")
    made = both(text, [does(edit.flag, "traefik", "api.insecure", None)], tmp_path / "a")
    assert made == text.replace("      - --api.insecure=true\n", "")
    made = both(text, [does(edit.flag, "traefik", "api.insecure", "false")], tmp_path / "b")
    assert made == text.replace("--api.insecure=true", "--api.insecure=false")


def test_several_edits_make_one_patch(tmp_path: Path) -> None:
    text = (STACK / FILE).read_text("utf-8")
    operations = [
        does(edit.publish, "traefik", PublishedPort("tcp", 8080, 8080), ("127.0.0.1", 8080)),
        does(edit.flag, "traefik", "api.insecure", None),
        does(edit.publish, "chromadb", PublishedPort("tcp", 8000, 8000), None),
        does(edit.rename, "redis", None),
        does(edit.rename, "postgres", None),
        does(edit.join, "postgres", "db-net"),
    ]
    made = both(text, operations, tmp_path / "tools")
    said = reading(tmp_path / "x", made, _env=variables(STACK))
    assert "db-net" in said["services"]["postgres"]["networks"]
    assert said["services"]["redis"]["container_name"] is None
    assert '      - "127.0.0.1:8080:8080" # API\n' in made


@pytest.mark.parametrize("tool", PROGRAMS)
@pytest.mark.parametrize("name", ["Mes outils/compose.yaml", "Été 2026/outils à moi/compose.yaml", "été/a.yml"])
def test_folders_are_named_as_people_name_them(name: str, tool: str, tmp_path: Path) -> None:
    text = "services:\r\n  a:\r\n    image: x\t# tab\r\n    ports:\r\n      - '80:80'\r\n"
    diff = patch(known(text), name, [does(edit.publish, "a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 80))])
    assert mended(text, diff, tool, tmp_path / "dossier", name) == text.replace("80:80", "127.0.0.1:80:80")


def test_a_patch_shows_no_unknown_line() -> None:
    text = (STACK / FILE).read_text("utf-8")
    rows = list(shown("/srv", FILE, text))
    secret = [line for row, line in zip(rows, text.splitlines(), strict=True) if row.text is None]
    assert any("ACME_EAB_HMAC" in line for line in secret)
    diff = patch(
        known(text),
        FILE,
        [does(edit.rename, "postgres", None), does(edit.publish, "traefik", PublishedPort("tcp", 80, 80), None)],
    )
    assert not any(line.strip() in diff for line in secret)


# Styles: a file, an operation, and the file that must come out, exactly.
STYLES: dict[str, tuple[str, Operation, str]] = {
    "beside a common block": (
        "x-c: &c\n  restart: always\n  init: true\nservices:\n  a:\n    <<: *c\n    image: x\n    ports:\n      - 80:80\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 80)),
        "x-c: &c\n  restart: always\n  init: true\nservices:\n  a:\n    <<: *c\n    image: x\n    ports:\n      - \"127.0.0.1:80:80\"\n",
    ),
    "a network left in a mapping": (
        "services:\n  a:\n    networks:\n      web: {}\n      b: # le nôtre\nnetworks:\n  web:\n    external: true\n  b:\n",
        does(edit.leave, "a", "web"),
        "services:\n  a:\n    networks:\n      b: # le nôtre\nnetworks:\n  web:\n    external: true\n  b:\n",
    ),
    "the project's own network left": (
        "name: p\nservices:\n  a:\n    networks: [default, web]\nnetworks:\n  web: {external: true}\n",
        does(edit.leave, "a", "p_default"),
        "name: p\nservices:\n  a:\n    networks: [web]\nnetworks:\n  web: {external: true}\n",
    ),
    "a first restart policy": (
        "services:\n  a:\n    image: x # ici\n    ports: [80]\n",
        does(edit.restart, "a", "unless-stopped"),
        "services:\n  a:\n    image: x # ici\n    restart: \"unless-stopped\"\n    ports: [80]\n",
    ),
    "a label that was meant to be another": (
        "services:\n  a:\n    labels:\n      traefik.enabled: 'true' # oui\n",
        does(edit.label, "a", "traefik.enable", "true", "traefik.enabled"),
        "services:\n  a:\n    labels:\n      \"traefik.enable\": \"true\" # oui\n",
    ),
    "flow list": (
        'services:\n  a:\n    image: x\n    ports: ["80:80", "81:81"] # deux\n',
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
        'services:\n  a:\n    image: x\n    ports: ["81:81"] # deux\n',
    ),
    "last of a flow list": (
        "services:\n  a:\n    image: x\n    ports: ['80:80', '81:81']\n",
        does(edit.publish, "a", PublishedPort("tcp", 81, 81), None),
        "services:\n  a:\n    image: x\n    ports: ['80:80']\n",
    ),
    "whole flow list": (
        "services:\n  a:\n    image: x\n    ports: ['80:80']\n    restart: always\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
        "services:\n  a:\n    image: x\n    restart: always\n",
    ),
    "flow item": (
        "services:\n  a:\n    image: x\n    ports: ['80:80', 81:81]\n",
        does(edit.publish, "a", PublishedPort("tcp", 81, 81), ("127.0.0.1", 9081)),
        "services:\n  a:\n    image: x\n    ports: ['80:80', \"127.0.0.1:9081:81\"]\n",
    ),
    "ipv6": (
        "services:\n  a:\n    image: x\n    ports:\n    - 80:80/udp\n",
        does(edit.publish, "a", PublishedPort("udp", 80, 80), ("::1", 80)),
        'services:\n  a:\n    image: x\n    ports:\n    - "[::1]:80:80/udp"\n',
    ),
    "long form": (
        "services:\n  a:\n    image: x\n    ports:\n      - target: 80 # le site\n        published: \"8080\"\n",
        does(edit.publish, "a", PublishedPort("tcp", 8080, 80), ("127.0.0.1", 8081)),
        "services:\n  a:\n    image: x\n    ports:\n      - target: 80 # le site\n        published: \"8081\"\n"
        "        host_ip: \"127.0.0.1\"\n",
    ),
    "long form with an address": (
        "services:\n  a:\n    image: x\n    ports:\n      - target: 80\n        host_ip: 0.0.0.0\n        published: 80\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 80)),
        "services:\n  a:\n    image: x\n    ports:\n      - target: 80\n        host_ip: \"127.0.0.1\"\n        published: 80\n",
    ),
    "long form in one line": (
        "services:\n  a:\n    image: x\n    ports:\n      - {target: 80, published: 80, protocol: tcp}\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 80)),
        "services:\n  a:\n    image: x\n    ports:\n      - {target: 80, published: 80, host_ip: \"127.0.0.1\", protocol: tcp}\n",
    ),
    "long form removed": (
        "services:\n  a:\n    image: x\n    ports:\n      - target: 80\n        published: 80\n      - 81:81\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
        "services:\n  a:\n    image: x\n    ports:\n      - 81:81\n",
    ),
    "networks in one line": (
        "services:\n  a:\n    image: x\n    networks: [one]\nnetworks:\n  one:\n",
        does(edit.join, "a", "two"),
        "services:\n  a:\n    image: x\n    networks: [one, two]\nnetworks:\n  two:\n    external: true\n  one:\n",
    ),
    "networks with options": (
        "services:\n  a:\n    image: x\n    networks:\n      one:\n        aliases: [b]\nnetworks: {one: {}}\n",
        does(edit.join, "a", "two"),
        "services:\n  a:\n    image: x\n    networks:\n      two: {}\n      one:\n        aliases: [b]\n"
        "networks: {two: {external: true}, one: {}}\n",
    ),
    "a network known by another key": (
        "services:\n  a:\n    image: x\n    networks:\n      - one\nnetworks:\n  one:\n  web:\n    external: true\n    name: two\n",
        does(edit.join, "a", "two"),
        "services:\n  a:\n    image: x\n    networks:\n      - one\n      - web\nnetworks:\n  one:\n  web:\n    external: true\n"
        "    name: two\n",
    ),
    "returns": (
        "services:\r\n  a:\r\n    image: x\r\n    container_name: redis # ici\r\n    restart: always\r\n",
        does(edit.rename, "a", "b-redis"),
        "services:\r\n  a:\r\n    image: x\r\n    container_name: b-redis # ici\r\n    restart: always\r\n",
    ),
    "returns, a line more": (
        "services:\r\n  a:\r\n    image: x\r\n    restart: always\r\n",
        does(edit.label, "a", "traefik.enable", "true"),
        "services:\r\n  a:\r\n    image: x\r\n    restart: always\r\n    labels:\r\n      - \"traefik.enable=true\"\r\n",
    ),
    "no end of line at the end": (
        "services:\n  a:\n    image: x\n    labels:\n      - traefik.enable=true",
        does(edit.label, "a", "traefik.docker.network", "web"),
        "services:\n  a:\n    image: x\n    labels:\n      - traefik.enable=true\n      - \"traefik.docker.network=web\"\n",
    ),
    "labels by key": (
        "services:\n  a:\n    image: x\n    labels:\n      traefik.enable: 'true' # oui\n",
        does(edit.label, "a", "traefik.http.routers.r.rule", "Host(`a.b`) && Path(`$x`)"),
        "services:\n  a:\n    image: x\n    labels:\n      traefik.http.routers.r.rule: \"Host(`a.b`) && Path(`$$x`)\"\n"
        "      traefik.enable: 'true' # oui\n",
    ),
    "label replaced": (
        "services:\n  a:\n    image: x\n    labels:\n      traefik.enable: 'true' # oui\n",
        does(edit.label, "a", "traefik.enable", "false"),
        "services:\n  a:\n    image: x\n    labels:\n      traefik.enable: \"false\" # oui\n",
    ),
    "command in one line": (
        "services:\n  a:\n    image: x\n    command: ['--api', \"--api.insecure=true\", --ping]\n",
        does(edit.flag, "a", "api.insecure", None),
        "services:\n  a:\n    image: x\n    command: ['--api', --ping]\n",
    ),
    "an anchor that nothing repeats": (
        "services:\n  a: &base\n    image: x\n    container_name: &n db\n    restart: always\n",
        does(edit.rename, "a", None),
        "services:\n  a: &base\n    image: x\n    restart: always\n",
    ),
    "an environment below": (
        "services:\n  a:\n    image: x\n    environment:\n      PASSWORD: hunter\n",
        does(edit.join, "a", "web"),
        "services:\n  a:\n    image: x\n    networks:\n      - default\n      - web\n    environment:\n      PASSWORD: hunter\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_hand_written_styles_are_kept(style: str, tmp_path: Path) -> None:
    text, operation, wanted = STYLES[style]
    made = both(text, [operation], tmp_path / "tools")
    if style == "an environment below":
        # Nobody knows what ends the file, so the network is declared in front of the services.
        wanted = f"networks:\n  web:\n    external: true\n\n{wanted}"
    assert made == wanted
    assert reading(tmp_path / "x", made) != {}


UNSAFE: dict[str, tuple[str, Operation]] = {
    "tabs": ("services:\n\ta:\n\t\timage: x\n", does(edit.rename, "a", "b")),
    "a variable": ("services:\n  a:\n    image: x\n    ports: ['${P}:80']\n", does(edit.publish, "a", PublishedPort("tcp", 80, 80), None)),
    "a range": ("services:\n  a:\n    image: x\n    ports: ['80-81:80-81']\n", does(edit.publish, "a", PublishedPort("tcp", 80, 80), None)),
    "twice": (
        "services:\n  a:\n    image: x\n    ports: ['127.0.0.1:80:80', '10.0.0.1:80:80']\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
    ),
    "an alias": (
        "services:\n  a:\n    image: x\n    ports: &p\n      - 80:80\n  b:\n    image: x\n    ports: *p\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
    ),
    "the alias itself": (
        "services:\n  a:\n    image: x\n    ports: &p\n      - 80:80\n  b:\n    image: x\n    ports: *p\n",
        does(edit.publish, "b", PublishedPort("tcp", 80, 80), None),
    ),
    "a merged block": (
        "x-c: &c\n  restart: always\nservices:\n  a:\n    <<: *c\n    image: x\n",
        does(edit.label, "a", "traefik.enable", "true"),
    ),
    "a shared service": (
        "services:\n  a: &a\n    image: x\n    container_name: n\n  b: *a\n",
        does(edit.rename, "b", None),
    ),
    "another service": ("services:\n  a:\n    image: x\n", does(edit.rename, "b", None)),
    "extends": ("services:\n  a:\n    extends: {service: b, file: c.yml}\n    container_name: x\n", does(edit.rename, "a", None)),
    "network_mode": ("services:\n  a:\n    image: x\n    network_mode: host\n", does(edit.join, "a", "web")),
    "an override": ("services:\n  a:\n    image: x\n    ports: !override\n      - 80:80\n", does(edit.publish, "a", PublishedPort("tcp", 80, 80), None)),
    "a text of several lines": ("services:\n  a:\n    image: x\n    command: >\n      --api\n      --ping\n", does(edit.flag, "a", "api", None)),
    "two documents": ("services:\n  a:\n    container_name: x\n---\nservices: {}\n", does(edit.rename, "a", None)),
    "a comment for the only item": (
        "services:\n  a:\n    image: x\n    ports:\n      # le site\n      - 80:80\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
    ),
    "an unknown item": (
        "services:\n  a:\n    image: x\n    ports:\n      - 80:80\n      - 81:81 # mot de passe hunter2\n",
        does(edit.publish, "a", PublishedPort("tcp", 80, 80), None),
    ),
    "unknown neighbours": (
        "services:\n  a:\n    environment: {K: v}\n    container_name: x\n    command: a secret\n    image: x\n",
        does(edit.rename, "a", None),
    ),
    "the only network": (
        "services:\n  a:\n    image: x\n    networks: [web]\nnetworks:\n  web: {external: true}\n", does(edit.leave, "a", "web"),
    ),
    "another network": (
        "services:\n  a:\n    image: x\n    networks: [web, b]\nnetworks:\n  web: {name: c, external: true}\n  b:\n",
        does(edit.leave, "a", "web"),
    ),
    "a label of several lines": (
        "services:\n  a:\n    image: x\n    labels:\n      old: >\n        v\n      b: c\n", does(edit.label, "a", "new", "v", "old"),
    ),
    "a hidden character": ("services:\n  a:\n    image: x\n    container_name: n\n", does(edit.rename, "a", "b\x1b[31m")),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSAFE)
def test_what_is_not_sure_is_not_edited(case: str) -> None:
    text, operation = UNSAFE[case]
    with pytest.raises(Unsafe) as refused:
        patch(known(text) or [Line(line) for line in text.splitlines()], FILE, [operation])
    assert str(refused.value)[0] in "«" or str(refused.value)[0].islower()


@pytest.mark.parametrize("path", ["../x.yml", "a\nb", "/etc/x", "", "a/../../b"])
def test_a_path_outside_is_refused(path: str) -> None:
    with pytest.raises(Unsafe):
        edit.check_path(path)


@pytest.mark.parametrize(
    ("saying", "read"),
    [
        (lambda file: file.join("a", "web"), lambda said: said["services"]["a"]["networks"] == ["default", "web"]),
        (lambda file: file.rename("a", None), lambda said: said["services"]["a"]["container_name"] is None),
        (lambda file: file.rename("a", "autre"), lambda said: said["services"]["a"]["container_name"] == "autre"),
        (lambda file: file.label("a", "l", "$x"), lambda said: said["services"]["a"]["labels"] == {"l": "$x"}),
        (
            lambda file: file.publish("a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 81)),
            lambda said: ports(said["services"]["a"]) == [("", "90", 90), ("127.0.0.1", "81", 80)],
        ),
    ],
)
def test_an_override_does_the_same_over_the_file(saying: Callable[[Override], None], read: Any, tmp_path: Path) -> None:
    base = "services:\n  a:\n    image: x\n    container_name: nom\n    networks: [default]\n    ports: ['80:80', '90:90']\n"
    override = Override({"a": Now(("80:80", "90:90"), default=True)})
    saying(override)
    (tmp_path / "docker-compose.override.yml").write_text(override.text())
    assert read(reading(tmp_path, base))
    if program():
        answer = asked(tmp_path)
        assert answer is not None
        assert read(told(answer))


@given(
    st.lists(
        st.sampled_from(["80:80", "'81:81'", '"127.0.0.1:82:82"', "83", "'[::1]:84:84/udp'"]), unique=True, min_size=1
    ),
    st.booleans(),
    st.sampled_from(["", " # le port", "   "]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_any_list_of_ports_keeps_its_other_entries(
    entries: list[str], flow: bool, comment: str, end: str, last: bool
) -> None:
    body = (
        [f"    ports: [{', '.join(entries)}]{comment}"]
        if flow
        else ["    ports:", *(f"    - {e}{comment}" for e in entries)]
    )
    text = end.join(["services:", "  a:", "    image: x", *body, "    restart: always"]) + (end if last else "")
    wanted = does(edit.publish, "a", PublishedPort("tcp", 80, 80), ("127.0.0.1", 8080))
    if "80:80" not in entries:
        with pytest.raises(Unsafe):
            wanted(known(text))
        return
    made = wanted(known(text))
    joined = "".join((line.text or "") + {"lf": "\n", "crlf": "\r\n", "none": ""}[line.ending] for line in made)
    # The first one is plain: the others hold the same digits between quotation marks or after an address.
    assert joined == text.replace(" 80:80", ' "127.0.0.1:8080:80"').replace("[80:80", '["127.0.0.1:8080:80"')
