"""The source of the logs: where they are, how their ends are read, and what is said of those that cannot be."""

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import log_tail, logs, traefik_static
from auditlib.collect.log_tail import MAX_BYTES, MAX_LINES, of_mount, unframed
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.tables import TABLES
from auditlib.parameters import Parameters
from tests.conftest import payload
from tests.testbed.canaries import CANARIES

from .fake_engine import FakeEngine
from .servers import Reply, as_json

SAID = "Router uses a nonexistent certificate resolver"
LINE = f"2026-11-23T06:50:10Z ERR {SAID} certificateResolver=nope routerName=a@file\n"
REQUEST = '1.1.1.1 - - [23/Nov/2026:06:50:07 +0000] "GET /x HTTP/1.1" 200 1 "-" "-" 1 "a@file" "http://10.0.0.1" 3ms\n'


def frames(*texts: str) -> bytes:
    return b"".join(struct.pack(">BxxxL", 1, len(text.encode())) + text.encode() for text in texts)


class Server:
    """The recorded engine, with a Traefik of other options."""

    def __init__(self, *arguments: str, mounts: list[dict[str, Any]] | None = None, local: bool = False) -> None:
        self.engine = payload("faulty", "engine")
        self.engine["local"] = local
        self.traefik = next(one for one in self.engine["containers"] if one["Name"] == "/traefik")
        self.traefik["Args"], self.traefik["Mounts"] = list(arguments), mounts or []
        self.fake = FakeEngine(self.engine)
        self.output = f"/containers/{self.traefik['Id']}/logs"

    def read(self) -> tuple[dict[str, Any], Reading]:
        with self.fake.over_socket() as address:
            parameters = Parameters(docker_host=address)
            static = traefik_static.fetch(parameters, {"engine": self.engine})
            fetched = logs.fetch(parameters, {"engine": self.engine, "traefik_static": static})
        # What is recorded is what was fetched: it must survive being written.
        reading = logs.rows(json.loads(json.dumps(fetched)))
        for name, table in reading.tables.items():
            TABLES[name].rows(table)
        return fetched, reading


def test_the_reference_server() -> None:
    reading = logs.rows(payload("faulty", "logs"))
    assert (reading.gaps, reading.note) == ([], "")
    assert {row.log: (row.origin, row.location, row.format) for row in reading.tables["logs"]} == {
        "traefik": ("file", "/var/log/traefik/traefik.log", "texte"),
        "access": ("file", "/var/log/traefik/access.log", "json"),
    }
    told = {(row.kind, row.subject, row.named) for row in reading.tables["log_events"]}
    assert {
        ("network_missing", "jsr-dev", "unified-net"),
        ("network_fallback", "jsr-dev", "traefik-net"),
        ("update_available", None, "3.6.7"),
        ("started", None, "3.6.6"),
    } <= told
    assert not [row for row in reading.tables["log_events"] if row.level in ("error", "fatal", "panic")]
    assert {"jsr-dev@docker", "ai-api@file"} <= {row.router for row in reading.tables["access_stats"]}


def test_the_planted_secrets_are_not_in_the_rows() -> None:
    recorded = payload("faulty", "logs")
    planted = {place: value for place, value in CANARIES.items() if place in ("log-query", "log-message")}
    raw = json.dumps(recorded)
    assert all(value in raw for value in planted.values())
    said = repr(logs.rows(recorded))
    assert [place for place, value in CANARIES.items() if value in said] == []


# Where they are


@pytest.mark.parametrize(
    ("options", "own", "access"),
    [
        ({}, "", None),
        ({"accesslog": "true"}, "", ""),
        ({"accesslog": "false"}, "", None),
        ({"accesslog.format": "json"}, "", ""),
        ({"log.filepath": "logs/t.log", "accesslog.filepath": "/var//log/a.log"}, "/srv/logs/t.log", "/var/log/a.log"),
        ({"log.filepath": "/dev/stdout", "accesslog.filepath": "/proc/self/fd/1"}, "", ""),
    ],
)
def test_where_the_options_put_them(options: dict[str, str], own: str, access: str | None) -> None:
    assert logs.where(options, {"Config": {"WorkingDir": "/srv"}}) == {"traefik": own, "access": access}


def test_both_on_the_standard_output() -> None:
    server = Server("--accesslog=true")
    server.fake.replies[server.output] = Reply(200, frames(LINE, REQUEST, LINE))
    _, reading = server.read()
    assert reading.gaps == []
    assert {(row.log, row.origin, row.location, row.entries) for row in reading.tables["logs"]} == {
        ("traefik", "engine", None, 2),
        ("access", "engine", None, 1),
    }
    assert [(row.kind, row.count) for row in reading.tables["log_events"]] == [("resolver_missing", 2)]
    assert [(row.router, row.requests) for row in reading.tables["access_stats"]] == [("a@file", 1)]


def test_the_output_of_a_terminal_has_no_frames() -> None:
    server = Server()
    server.traefik["Config"]["Tty"] = True
    server.fake.replies[server.output] = Reply(200, LINE.replace("\n", "\r\n").encode() * 3)
    _, reading = server.read()
    assert [row.count for row in reading.tables["log_events"]] == [3]


def test_without_an_access_log_its_tables_are_absent_and_it_is_said() -> None:
    server = Server()
    server.fake.replies[server.output] = Reply(200, b"")
    _, reading = server.read()
    assert "access_stats" not in reading.tables
    assert reading.tables["log_events"] == []
    assert reading.gaps == []
    assert reading.note == "Traefik n’écrit pas de journal d’accès (option accesslog)."


def test_a_driver_that_cannot_be_read() -> None:
    server = Server("--accesslog=true")
    server.traefik["HostConfig"]["LogConfig"] = {"Type": "syslog"}
    refusal = {"message": "configured logging driver does not support reading"}
    server.fake.replies[server.output] = as_json(refusal, 501)
    with pytest.raises(Unreadable) as unreadable:
        server.read()
    assert unreadable.value.reason == (
        "journal de Traefik non lu : le pilote de journaux « syslog » de Docker ne se relit pas ; "
        "journal d’accès non lu : le pilote de journaux « syslog » de Docker ne se relit pas"
    )
    assert unreadable.value.remedy


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, b"<html>not frames at all</html>"), "réponse du moteur Docker inutilisable"),
        (as_json({"message": "forbidden"}, 403), "le moteur Docker répond HTTP 403"),
        (as_json({"message": "no such container"}, 404), "le moteur Docker répond HTTP 404"),
    ],
)
def test_an_engine_that_gives_something_else(reply: Reply, said: str) -> None:
    server = Server()
    server.fake.replies[server.output] = reply
    with pytest.raises(Unreadable) as unreadable:
        server.read()
    assert unreadable.value.reason == f"journal de Traefik non lu : {said}"


# Files


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    (tmp_path / "logs").mkdir()
    yield tmp_path / "logs", {"Mounts": [{"Type": "bind", "Source": str(tmp_path / "logs"), "Destination": "/var/log"}]}


def test_a_file_behind_a_mount(mounted: Any) -> None:
    folder, container = mounted
    (folder / "t.log").write_text(LINE)
    server = Server("--log.filepath=/var/log/t.log", mounts=container["Mounts"], local=True)
    fetched, reading = server.read()
    assert fetched["tails"]["/var/log/t.log"] == {"origin": "file", "text": LINE, "complete": True, "size": len(LINE)}
    assert [row.count for row in reading.tables["log_events"]] == [1]
    assert server.output not in server.fake.asked


def test_a_file_that_is_mounted_by_itself(tmp_path: Path) -> None:
    (tmp_path / "hote.log").write_text(LINE)
    container = {"Mounts": [{"Type": "bind", "Source": str(tmp_path / "hote.log"), "Destination": "/t.log"}]}
    assert of_mount(container, "/t.log") == log_tail.Tail(LINE, complete=True, size=len(LINE))


def test_the_deepest_mount_holds_the_file(mounted: Any, tmp_path: Path) -> None:
    container = mounted[1]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "t.log").write_text("deep\n")
    container["Mounts"].append({"Type": "volume", "Source": str(tmp_path / "deep"), "Destination": "/var/log/traefik"})
    container["Mounts"].append({"Type": "tmpfs", "Source": "", "Destination": "/var/log/traefik/x"})
    tail = of_mount(container, "/var/log/traefik/t.log")
    assert tail is not None
    assert tail.text == "deep\n"
    assert of_mount(container, "/var/logs/t.log") is None


def test_a_link_that_leads_out_of_the_mount_is_not_followed_here(mounted: Any, tmp_path: Path) -> None:
    folder, container = mounted
    (tmp_path / "secret").write_text("root:x\n")
    for target in (str(tmp_path / "secret"), "../secret"):
        (folder / "t.log").symlink_to(target)
        assert of_mount(container, "/var/log/t.log") is None
        (folder / "t.log").unlink()
    (folder / "real.log").write_text(LINE)
    (folder / "t.log").symlink_to("real.log")
    tail = of_mount(container, "/var/log/t.log")
    assert tail is not None
    assert tail.text == LINE


def test_a_link_means_what_the_container_sees(mounted: Any, tmp_path: Path) -> None:
    folder, container = mounted
    (folder / "t.log").symlink_to("/outside.log")
    server = Server("--log.filepath=/var/log/t.log", mounts=container["Mounts"], local=True)
    server.fake.files |= {"/var/log/t.log": "/outside.log", "/outside.log": LINE.encode()}
    assert server.read()[0]["tails"]["/var/log/t.log"]["text"] == LINE
    server.fake.files["/var/log/t.log"] = "/dev/stdout"
    server.fake.replies[server.output] = Reply(200, frames(LINE, LINE))
    assert server.read()[0]["tails"]["/var/log/t.log"]["origin"] == "engine"


def test_what_is_no_file_is_not_waited_for(mounted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, container = mounted
    os.mkfifo(folder / "t.log")
    with pytest.raises(Unreadable, match="fichier ordinaire"):
        of_mount(container, "/var/log/t.log")
    (folder / "t.log").unlink()
    (folder / "t.log").mkdir()
    with pytest.raises(Unreadable, match="fichier ordinaire"):
        of_mount(container, "/var/log/t.log")
    (folder / "t.log").rmdir()
    with socket.socket(socket.AF_UNIX) as door:
        monkeypatch.chdir(folder)  # names of sockets are short
        door.bind("t.log")
        with pytest.raises(OSError, match="No such device"):
            of_mount(container, "/var/log/t.log")


def test_a_file_inside_the_container_comes_through_the_engine() -> None:
    server = Server("--log.filepath=/t.log", "--accesslog.filepath=/a.log")
    server.fake.files["/t.log"] = LINE.encode()
    _, reading = server.read()
    assert [(row.log, row.location, row.size) for row in reading.tables["logs"]] == [("traefik", "/t.log", len(LINE))]
    assert reading.gaps == ["journal d’accès non lu (/a.log) : fichier ou dossier absent"]


def test_a_big_file_inside_the_container_is_a_gap() -> None:
    server = Server("--log.filepath=/t.log", "--accesslog.filepath=/a.log")
    server.fake.files |= {"/t.log": LINE.encode() * (MAX_BYTES // len(LINE) + 1), "/a.log": REQUEST.encode()}
    _, reading = server.read()
    assert reading.gaps == [
        "journal de Traefik non lu (/t.log) : fichier de 8 Mio, trop gros pour passer par le moteur Docker"
    ]
    assert reading.remedy == "Écrire les journaux dans un fichier monté, ou avec le pilote json-file ou local."
    assert (set(reading.tables), len(reading.tables["logs"])) == ({"logs", "access_stats", "access_unrouted"}, 1)


# Their ends


def test_a_file_of_five_gigabytes(mounted: Any) -> None:
    folder, container = mounted
    with (folder / "t.log").open("wb") as file:
        file.seek(5 * 10**9)
        file.write(b"\n" + LINE.encode() * 2)
    server = Server("--log.filepath=/var/log/t.log", mounts=container["Mounts"], local=True)
    started = time.monotonic()
    _, reading = server.read()
    assert time.monotonic() - started < 5
    (row,) = reading.tables["logs"]
    assert (row.complete, row.entries, row.size) == (False, 2, 5 * 10**9 + 1 + 2 * len(LINE))
    assert reading.note == (
        "Début du journal de Traefik laissé de côté : lu à partir du 23 novembre 2026 à 6 h 50 (UTC). "
        "Traefik n’écrit pas de journal d’accès (option accesslog)."
    )
    assert reading.gaps == []


def test_the_head_that_is_left_out_ends_at_a_line(mounted: Any) -> None:
    folder, container = mounted
    lines = [f"2026-11-23T06:50:10Z INF {number:060}\n" for number in range(2 * MAX_LINES)]
    (folder / "t.log").write_text("".join(lines))
    tail = of_mount(container, "/var/log/t.log")
    assert tail is not None
    assert not tail.complete
    assert tail.text == "".join(lines[-MAX_LINES:])


def test_the_engine_s_record_is_bounded_too() -> None:
    server = Server()
    long = LINE[:-1] + "." * 2_000 + "\n"
    server.fake.replies[server.output] = Reply(200, frames(*[long] * (MAX_BYTES // len(long) + 50)))
    fetched, _ = server.read()
    tail = fetched["tails"][""]
    assert not tail["complete"]
    assert MAX_BYTES - 2 * len(long) < len(tail["text"]) <= MAX_BYTES
    assert tail["text"].startswith("2026-11-23T06:50:10Z ERR")


def test_the_engine_is_asked_for_an_end() -> None:
    server = Server()
    server.fake.replies[server.output] = Reply(200, b"")
    server.read()
    (request,) = [one for one in server.fake.web.requests if one.path.endswith("/logs")]
    assert (request.query["tail"], request.query["follow"]) == (str(MAX_LINES), "0")


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 9))
def test_frames_are_found_however_they_are_cut(parts: list[bytes], step: int) -> None:
    stream = b"".join(struct.pack(">BxxxL", 2, len(part)) + part for part in parts)
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert list(unframed(chunks)) == parts


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_what_is_no_stream_of_frames_raises_one_error(chunks: list[bytes]) -> None:
    try:
        assert sum(map(len, unframed(chunks))) <= sum(map(len, chunks))
    except ValueError as error:
        assert str(error) == "no multiplexed stream"


def test_sources_that_were_not_read() -> None:
    for missing in ("engine", "traefik_static"):
        payloads = {"engine": {}, "traefik_static": {}, missing: None}
        with pytest.raises(Unreadable) as unreadable:
            logs.fetch(Parameters(), payloads)
        assert unreadable.value.status == "absent"
