"""Compose files read from a real folder: what is found, what is left aside, what is never kept."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from auditlib.collect import compose
from auditlib.collect.compose import fetch, rows
from auditlib.collect.connections import connection
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.tables import TABLES
from auditlib.parameters import Parameters
from tests.conftest import payload

COMPOSE = "services:\n  web:\n    image: nginx\n    ports: ['8080:80']\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def read(root: Path, engine: dict[str, Any] | None = None) -> Reading:
    """What a search of `root` reads, through the JSON that a recorded payload is."""
    raw = json.loads(json.dumps(fetch(Parameters(project_roots=[str(root)]), {"engine": engine})))
    reading = rows(raw)
    for name, made in reading.tables.items():
        TABLES[name].rows(made)
    return reading


def column(reading: Reading, table: str, *names: str) -> list[Any]:
    made = [tuple(getattr(row, name) for name in names) for row in reading.tables[table]]
    return sorted(one[0] for one in made) if len(names) == 1 else sorted(made, key=repr)


def container(project: str, folder: Path, *files: str, service: str = "web") -> dict[str, Any]:
    label = "com.docker.compose."
    paths = ",".join(str(folder / file) for file in files)
    labels = {"project": project, "project.working_dir": str(folder), "project.config_files": paths, "service": service}
    return {"Config": {"Labels": {label + key: value for key, value in labels.items()}}}


def test_sets_of_files_of_a_tree(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/docker-compose.yml": COMPOSE,
            "a/docker-compose.override.yml": "services: {web: {restart: always}}\n",
            "a/docker-compose.legacy.yml": COMPOSE,
            "b/c/compose.yaml": COMPOSE,
            "b/Dockerfile": "FROM scratch\n",
            "b/c/Dockerfile": "FROM scratch\n",
            "alone/Dockerfile": "FROM scratch\n",
            "alone/inside/Dockerfile.dev": "FROM scratch\n",
            "notes/readme.txt": "",
        },
    )
    reading = read(tmp_path)
    assert column(reading, "compose_projects", "files", "kind", "project", "default") == [
        ("a/docker-compose.legacy.yml", "compose", "a", False),
        ("a/docker-compose.yml + a/docker-compose.override.yml", "compose", "a", True),
        ("alone/Dockerfile", "dockerfile", "alone", False),
        ("b/Dockerfile", "dockerfile", "b", False),
        ("b/c/compose.yaml", "compose", "c", True),
    ]
    assert reading.gaps == []


def test_what_another_project_includes_is_no_project_of_its_own(tmp_path: Path) -> None:
    main = "include: [../part/compose.yaml]\nservices: {app: {image: site}}\n"
    write(tmp_path, {"main/compose.yaml": main, "part/compose.yaml": COMPOSE})
    told = [("main/compose.yaml", "main", ("app", "web"))]
    assert column(read(tmp_path), "compose_projects", "files", "project", "services") == told
    alone = {"local": True, "containers": [container("part", tmp_path / "part", "compose.yaml")]}
    assert column(read(tmp_path, alone), "compose_projects", "project") == ["main", "part"]


def test_what_is_no_service_is_left_aside_and_listed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "media/a.mp4": "",
            "media/b.JPG": "",
            "node_modules/x/compose.yaml": COMPOSE,
            ".git/compose.yaml": COMPOSE,
            "backups/compose.yaml": COMPOSE,
            "a/compose.yaml.bak": COMPOSE,
            "a/docker-compose.yml.backup-2025": COMPOSE,
            "a/main.sql.gz": "",
        },
    )
    (tmp_path / "loop").symlink_to(tmp_path)
    reading = read(tmp_path)
    assert reading.tables["compose_projects"] == []
    assert column(reading, "exclusions", "folder", "kind", "count") == [
        (".", "link", 1),
        (".git", "dependencies", None),
        ("a", "backup", 2),
        ("a", "dump", 1),
        ("backups", "backup", None),
        ("media", "media", 2),
        ("node_modules", "dependencies", None),
    ]


def test_files_that_containers_name_are_read_as_they_were_started(tmp_path: Path) -> None:
    write(
        tmp_path, {"p/base.yml": COMPOSE, "p/prod.yml": "services: {web: {image: prod}}\n", "p/compose.yaml": COMPOSE}
    )
    engine = {"local": True, "containers": [container("named", tmp_path / "p", "base.yml", "prod.yml")]}
    raw = fetch(Parameters(), {"engine": engine})
    made = rows(raw).tables
    assert [(row.files, row.project, row.named) for row in made["compose_projects"]] == [
        (f"{tmp_path}/p/base.yml + {tmp_path}/p/prod.yml", "named", True)
    ]
    assert made["compose_services"][0].image == "prod"
    reading = read(tmp_path, engine)
    assert column(reading, "compose_projects", "files", "named", "default") == [
        ("p/base.yml + p/prod.yml", True, False),
        ("p/compose.yaml", False, True),
    ]


def test_a_project_started_by_the_way_of_a_link_is_one_project(tmp_path: Path) -> None:
    write(tmp_path, {"disk/p/compose.yaml": COMPOSE})
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    engine = {"local": True, "containers": [container("p", tmp_path / "home" / "p", "compose.yaml")]}
    reading = read(tmp_path / "disk", engine)
    assert column(reading, "compose_projects", "files", "path", "named", "default") == [
        ("p/compose.yaml", f"{tmp_path}/home/p/compose.yaml", True, True)
    ]


def test_a_file_that_a_container_names_and_is_gone(tmp_path: Path) -> None:
    engine = {"local": True, "containers": [container("gone", tmp_path / "gone", "compose.yaml")]}
    reading = read(tmp_path, engine)
    assert column(reading, "compose_problems", "kind", "reason") == [
        ("unreadable", f"le fichier {tmp_path}/gone/compose.yaml n’existe pas")
    ]
    assert column(reading, "compose_projects", "project", "refused") == [("gone", True)]


def test_without_folders_nor_files_of_containers_the_source_is_absent() -> None:
    for engine in (
        None,
        {"local": True, "containers": []},
        {"local": False, "containers": [container("a", Path("/x"), "y")]},
    ):
        with pytest.raises(Unreadable) as told:
            fetch(Parameters(), {"engine": engine})
        assert (told.value.status, "project_roots" in told.value.remedy) == ("absent", True)


def test_a_root_that_does_not_exist_is_a_gap(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere").gaps == [f"le dossier {tmp_path}/nowhere n’existe pas"]


def test_files_that_are_no_ordinary_text(tmp_path: Path) -> None:
    for name in ("pipe", "large", "binary", "folder", "link"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "compose.yaml")
    (tmp_path / "large" / "compose.yaml").write_text("#" * (1024 * 1024 + 1))
    (tmp_path / "binary" / "compose.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder" / "compose.yaml").mkdir()
    (tmp_path / "link" / "compose.yaml").symlink_to("compose.yaml")
    reading = read(tmp_path)
    reasons = column(reading, "compose_problems", "reason")
    assert len(reasons) == 4
    for said in (
        "pas un fichier ordinaire",
        "plus de 1 Mio",
        "pas du texte UTF-8",
        "link/compose.yaml ne peut être lu",
    ):
        assert any(said in reason for reason in reasons), said


def test_names_that_are_no_text_break_nothing(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    Path(os.fsdecode(folder), "compose.yaml").write_text(COMPOSE)
    reading = read(tmp_path)
    assert column(reading, "compose_services", "files", "image") == [("caf?/compose.yaml", "nginx")]


def test_a_search_stops_at_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"d{n}/compose.yaml": COMPOSE for n in range(30)})
    monkeypatch.setattr("auditlib.collect.projects.MAX_ENTRIES", 20)
    assert "arrêtée avant la fin" in read(tmp_path).gaps[0]
    monkeypatch.undo()
    deep = tmp_path / "/".join(["x"] * 20)
    write(deep, {"compose.yaml": COMPOSE})
    reading = read(tmp_path)
    assert len(reading.tables["compose_projects"]) == 30
    assert "au-delà de 12 niveaux" in reading.gaps[0]


SECRET = "S3CR3T-value-42"
SECRETS = f"""services:
  app:
    image: app
    build:
      context: .
      args: {{NPM_TOKEN: {SECRET}}}
    command: [--password={SECRET}, --other]
    environment:
      DB_PASSWORD: {SECRET}
      FROM_VARIABLE_PASSWORD: ${{DB_PASSWORD}}
      FALLBACK_PASSWORD: ${{X:-{SECRET}}}
      DATABASE_URL: postgres://user:{SECRET}@db:5433/main?x=1
      SAFE_URL: postgres://user:${{DB_PASSWORD}}@db/main
      PASSWORD_FILE: /run/secrets/{SECRET}
      EMPTY_PASSWORD: ""
      AUTH: "true"
      POSTGRES_USER: lalpha
      HARMLESS: {SECRET}
    env_file: app.env
    labels:
      traefik.http.middlewares.a.basicauth.users: "admin:{SECRET}"
      traefik.http.routers.a.rule: Header(`X-Token`, `{SECRET}`)
      other: {SECRET}
    healthcheck: {{test: "curl -u a:{SECRET} http://x"}}
"""


def test_secrets_are_told_by_name_and_line_and_never_kept(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "compose.yaml": SECRETS,
            ".env": f"DB_PASSWORD={SECRET}\n",
            "app.env": f"FROM_FILE_TOKEN={SECRET}\nREDIS_URL=redis://:{SECRET}@cache:6379/0\n",
        },
    )
    reading = read(tmp_path)
    assert SECRET not in repr(reading)
    assert SECRET[:6] not in repr(reading)
    assert column(reading, "compose_secrets", "kind", "name", "line", "default") == [
        ("build", "NPM_TOKEN", 6, False),
        ("command", "command", 7, False),
        ("environment", "DATABASE_URL", 12, False),
        ("environment", "DB_PASSWORD", 9, False),
        ("environment", "FALLBACK_PASSWORD", 11, True),
        ("label", "traefik.http.middlewares.a.basicauth.users", 21, False),
    ]
    assert column(reading, "compose_connections", "variable", "scheme", "host", "port", "database") == [
        ("DATABASE_URL", "postgres", "db", 5433, "main"),
        ("REDIS_URL", "redis", "cache", 6379, "0"),
        ("SAFE_URL", "postgres", "db", None, "main"),
    ]
    kept = [row for row in reading.tables["compose_environment"] if row.value]
    assert [(row.variable, row.value) for row in kept] == [("POSTGRES_USER", "lalpha")]
    assert "FROM_FILE_TOKEN" in reading.tables["compose_services"][0].environment


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ("postgresql+asyncpg://u:p@h:1/d", ("postgresql+asyncpg", "h", 1, "d")),
        ("mysql://u:p%40x@h", ("mysql", "h", None, None)),
        ("redis://h:6379", ("redis", "h", 6379, None)),
        ("postgres://u:p@ss@[::1]:5432/d", ("postgres", "::1", 5432, "d")),
        ("mongodb://u:p@a:27017,b:27018/d?x=1", ("mongodb", "a", 27017, "d")),
        ("postgres://u:12?secret@h/d", None),
        ("postgres://h/d?password=a@b", None),
        ("postgres://u:p/q@h/d", ("postgres", "h", None, "d")),
        ("https://u:p@h/", None),
        ("postgres://", None),
        ("postgres://h:notaport/d", None),
    ],
)
def test_connection_strings_lose_what_is_secret(value: str, made: tuple[Any, ...] | None) -> None:
    assert connection(value) == made


def test_equal_ports_of_both_families_and_ranges_make_valid_rows(tmp_path: Path) -> None:
    ports = '["80:80", "[::]:80:80", "0.0.0.0:80:80", "90-92:90-92", "100-110:100", "0:5", 7, "7/udp"]'
    write(tmp_path, {"compose.yaml": f"services: {{a: {{image: a, ports: {ports}}}}}\n"})
    made = read(tmp_path).tables["compose_ports"]
    found = {
        (row.protocol, row.host_ip, row.host_port, row.host_port_last, row.container_port, row.chosen) for row in made
    }
    assert found == {
        (protocol, ip, *rest)
        for ip in ("0.0.0.0", "::")
        for protocol, *rest in (
            ("tcp", 80, None, 80, False),
            ("tcp", 90, 92, 90, False),
            ("tcp", 100, 110, 100, True),
            ("tcp", None, None, 5, False),
            ("tcp", None, None, 7, True),
            ("udp", None, None, 7, True),
        )
    }


def test_the_reference_server() -> None:
    reading = rows(payload("faulty", "compose"))
    assert reading.gaps == []
    assert {"Robin_IA/Dockerfile", "web-apps/4lb-welcome/docker-compose.yml"} <= set(
        column(reading, "compose_projects", "files")
    )
    [legacy] = [row for row in reading.tables["compose_ports"] if row.service == "backend" and row.host_ip == "0.0.0.0"]
    assert (legacy.host_port, legacy.container_port, legacy.file) == (
        8002,
        8001,
        "ai-tools/ai-orchestrator/docker-compose.legacy.yml",
    )
    text = [line for line in open_text(legacy.file) if '"8002:8001"' in line]
    assert open_text(legacy.file)[legacy.line - 1] == text[0]
    assert "CANARI" not in repr(reading)


def open_text(file: str) -> list[str]:
    """The lines of a recorded file."""
    [found] = [one["text"] for path, one in payload("faulty", "compose")["texts"].items() if path.endswith(file)]
    return str(found).splitlines()


def test_what_was_not_gathered_in_time_is_a_gap(tmp_path: Path) -> None:
    write(tmp_path, {"a/compose.yaml": COMPOSE})
    raw = compose.fetch(Parameters(project_roots=[str(tmp_path)], timeout_s=1e-9), {"engine": None})
    assert rows(raw).gaps
