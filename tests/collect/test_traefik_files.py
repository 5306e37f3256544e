"""The files of the file provider: how they are found, what they declare, and what Traefik refuses of them."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from auditlib.collect import ALL, traefik_files
from auditlib.collect.source import Unreadable, interpret
from auditlib.collect.traefik_files import fetch, rows
from auditlib.parameters import Parameters
from auditlib.traefik.documents import FileError
from auditlib.traefik.fields import LATEST, Version
from auditlib.traefik.files import decode_file
from tests.conftest import payload
from tests.testbed.canaries import CANARIES

HOSTS = "/etc/traefik/dynamic/hosts.yml"


def files(**texts: str) -> dict[str, Any]:
    """A payload of files, by the last part of their names (`a__b` is a/b)."""
    found = {f"/d/{name.replace('__', '/')}.yml": {"text": text, "modified": 1} for name, text in texts.items()}
    return {
        "container": "traefik",
        "version": "3.6.6",
        "path": "/d",
        "mounts": {"/d": "/srv/d"},
        "gaps": [],
        "files": found,
    }


def router(name: str, rule: str = "Host(`a.fr`)") -> str:
    return f"http:\n  routers:\n    {name}:\n      rule: {rule}\n      service: s\n"


# What a file declares


def test_the_files_of_the_reference_server() -> None:
    reading = rows(payload("faulty", "traefik_files"))
    assert [(row.path, row.status) for row in reading.tables["traefik_files"]] == [
        (HOSTS, "read"),
        ("/etc/traefik/dynamic/middlewares.yml", "read"),
    ]
    assert {row.router for row in reading.tables["traefik_file_routers"]} == {"ai-api", "ai-ws", "dashboard"}
    types = {row.middleware: row.type for row in reading.tables["traefik_file_middlewares"]}
    assert types["geoblock"] == "ipAllowList"
    assert types["crowdsec"] == "forwardAuth"
    assert [row.url for row in reading.tables["traefik_file_servers"]] == ["http://192.168.200.1:8001"]


def test_no_secret_of_a_file_is_kept() -> None:
    text = str(rows(payload("faulty", "traefik_files")).tables)
    recorded = str(payload("faulty", "traefik_files"))
    assert "canary" in recorded.lower() or any(value in recorded for value in CANARIES.values())
    assert "canary" not in text.lower()
    assert not any(value in text for value in CANARIES.values())


def test_the_first_file_wins_and_one_broken_file_is_named_with_its_line() -> None:
    reading = rows(files(b=router("x"), a__z=router("x", "Host(`z.fr`)"), c=router("y") + "      rul: z\n"))
    assert [row.path for row in reading.tables["traefik_files"]] == ["/d/a/z.yml", "/d/b.yml", "/d/c.yml"]
    effective = {row.path: row.effective for row in reading.tables["traefik_file_routers"]}
    assert effective == {"/d/a/z.yml": True, "/d/b.yml": False}
    broken = reading.tables["traefik_files"][2]
    assert (broken.status, broken.line, broken.error) == ("broken", 6, "field not found, node: rul")
    assert broken.location == "/srv/d/c.yml"


def test_a_template_is_said_as_such() -> None:
    reading = rows(files(a='http:\n  routers:\n    x:\n      rule: Host(`{{ env "HOST" }}`)\n'))
    assert reading.tables["traefik_files"][0].status == "templated"
    assert reading.tables["traefik_file_routers"] == []


def test_rules_and_addresses_are_kept_without_their_secrets() -> None:
    text = (
        "http:\n  routers:\n    a:\n      rule: Header(`X-Token`, `hunter2`)\n"
        "  services:\n    s:\n      loadBalancer:\n"
        "        servers:\n          - url: http://bob:hunter2@back:80\n  middlewares:\n    m:\n      basicAuth:\n"
        "        users: [bob:hunter2]\n"
    )
    reading = rows(files(a=text))
    assert "hunter2" not in str(reading.tables)
    assert reading.tables["traefik_file_servers"][0].url == "http://back:80"
    # The length of the rule as it was: Traefik's own priority.
    assert reading.tables["traefik_file_routers"][0].priority == len("Header(`X-Token`, `hunter2`)")


def test_the_value_of_an_error_is_not_told() -> None:
    reading = rows(files(a="http:\n  routers:\n    a:\n      priority: hunter2\n"))
    assert reading.tables["traefik_files"][0].error == "strconv.ParseInt: parsing …: invalid syntax"


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ("http:\n  routers: {}\n", "routers cannot be a standalone element (type map[string]*dynamic.Router)", 2),
        ("http:\n  routers:\n    a:\n      rul: x\n", "field not found, node: rul", 4),
        ("a: 1\na: 2\n", "la clé « a » est écrite deux fois", 2),
        ("\ta: 1", "YAML mal formé", 1),
        ("- a\n", "le fichier n’est pas une liste de clés et de valeurs", 1),
        ("a: &a [*a]\n", "une ancre se contient elle-même", 1),
    ],
)
def test_what_traefik_refuses(text: str, error: str, line: int) -> None:
    with pytest.raises(FileError) as raised:
        decode_file("a.yml", text, LATEST)
    assert (str(raised.value), raised.value.line) == (error, line)


@pytest.mark.parametrize("text", ["", "# nothing\n", "foo: 1\n", "http:\n", "null\n", "http: ~\ntls: ~\n"])
def test_what_declares_nothing_is_no_fault(text: str) -> None:
    assert decode_file("a.yml", text, LATEST).tree == {}


def test_yaml_as_go_reads_it() -> None:
    base = "base: &base {service: s}\nhttp:\n  routers:\n    a:\n      <<: *base\n"
    text = base + "      rule: x\n      tls: {}\n      priority: 5\n"
    assert decode_file("a.yml", text, LATEST).tree["HTTP"]["Routers"]["a"] == {
        "Service": "s",
        "Rule": "x",
        "TLS": {},
        "Priority": 5,
    }
    without = decode_file("a.yml", "http:\n  routers:\n    a:\n      rule: on\n      tls:\n", LATEST)
    assert without.tree["HTTP"]["Routers"]["a"] == {"Rule": "on"}


def test_toml() -> None:
    text = '[http.routers.a]\nrule = "x"\nentryPoints = ["web"]\n[http.routers.a.tls]\n'
    assert decode_file("a.toml", text, LATEST).tree["HTTP"]["Routers"]["a"] == {
        "Rule": "x",
        "EntryPoints": ["web"],
        "TLS": {},
    }
    with pytest.raises(FileError) as raised:
        decode_file("a.toml", "[http\n", LATEST)
    assert (str(raised.value), raised.value.line) == ("TOML mal formé", 1)


def test_fields_come_with_their_versions() -> None:
    text = "http:\n  routers:\n    a:\n      rule: x\n      parentRefs: [b]\n"
    assert decode_file("a.yml", text, LATEST).tree["HTTP"]["Routers"]["a"]["ParentRefs"] == ["b"]
    with pytest.raises(FileError, match="node: parentRefs"):
        decode_file("a.yml", text, Version(3, 5, 6))


# How files are found


class Engine:
    """An engine that gives archives of a folder of this machine, or refuses."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def get_archive(self, container: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        if self.root is None:
            raise APIError("refused", response=Refusal())
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(self.root / path.lstrip("/"), arcname=Path(path).name)
        return (chunk for chunk in [packed.getvalue()]), {}

    def close(self) -> None:
        pass


class Refusal:
    """An HTTP 403."""

    status_code = 403


def asked(
    root: Path | None, monkeypatch: pytest.MonkeyPatch, mount: Path | None = None, **options: str
) -> dict[str, Any]:
    """What is fetched of a Traefik whose flags are `options`."""
    engine = Engine(root)
    monkeypatch.setattr(traefik_files, "connect", lambda where, timeout: engine)
    container = {
        "Id": "t",
        "Name": "/traefik",
        "Args": [f"--{key.replace('_', '.')}={value}" for key, value in options.items()],
        "Config": {"Image": "traefik:v3.6.6", "Labels": {}},
        "State": {"Running": True},
        "NetworkSettings": {},
        "HostConfig": {},
        "Mounts": [{"Destination": "/d", "Source": str(mount)}] if mount else [],
    }
    static = {
        "container": "traefik",
        "others": [],
        "args": container["Args"],
        "environment": [],
        "files": {},
        "unread": [],
    }
    payloads = {"engine": {"containers": [container], "local": True}, "traefik_static": static, "traefik_api": None}
    return fetch(Parameters(), payloads)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "d"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.yml").write_text(router("b"))
    (folder / "sub" / "c.toml").write_text('[http.routers.c]\nrule = "x"\n')
    (folder / "notes.txt").write_text("not read")
    (folder / "link.yaml").symlink_to("b.yml")
    return tmp_path


def test_a_directory_is_read_with_its_folders_and_links(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(tree, monkeypatch, providers_file_directory="/d", providers_file_filename="/other.yml")
    assert set(found["files"]) == {"/d/b.yml", "/d/link.yaml", "/d/sub/c.toml"}
    assert found["version"] == "v3.6.6"
    reading = rows(found)
    assert [(row.router, row.effective) for row in reading.tables["traefik_file_routers"]] == [
        ("b", True),
        ("b", False),
        ("c", True),
    ]


def test_a_single_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(asked(tree, monkeypatch, providers_file_filename="d/b.yml")["files"]) == {"/d/b.yml"}


def test_where_the_engine_refuses_the_mounts_are_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(None, monkeypatch, tree / "d", providers_file_directory="/d")
    assert set(found["files"]) == {"/d/b.yml", "/d/link.yaml", "/d/sub/c.toml"}
    assert found["gaps"] == []


def test_files_that_cannot_be_read_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(None, monkeypatch, providers_file_directory="/d")
    assert rows(found).gaps == ["fichiers de configuration dynamique illisibles : /d (HTTP 403)"]


def test_without_a_file_provider_there_is_nothing_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(None, monkeypatch, providers_docker="true")
    source = next(one for one in ALL if one.name == "traefik_files")
    outcome = interpret(source, found)
    assert (outcome.status, outcome.reason) == ("ok", "Traefik n’a pas de fournisseur de fichiers.")
    assert outcome.tables["traefik_files"] == ()


def test_without_the_static_configuration_nothing_is_known() -> None:
    with pytest.raises(Unreadable, match="configuration statique"):
        fetch(Parameters(), {"engine": {"containers": []}, "traefik_static": None, "traefik_api": None})
