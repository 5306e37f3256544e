"""What is read of a Docker engine, and what is said of one that does not give it."""

import contextlib
import copy
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from auditlib.collect import containers, engine
from auditlib.collect.source import Outcome, Source, Unreadable, gather
from auditlib.facts.tables.docker import Volume
from auditlib.parameters import Parameters
from tests.conftest import unprivileged

from .fake_engine import FakeEngine
from .servers import GARBAGE, HANG, HTML, SILENT, TRUNCATED, Reply, as_json

ENGINE = Source("engine", "moteur Docker", (), engine.fetch, containers.rows)
FORBIDDEN = as_json({"message": "Forbidden"}, 403)


def read(url: str, timeout_s: float = 10) -> Outcome:
    parameters = Parameters(docker_host=url, timeout_s=timeout_s)
    return gather([ENGINE], parameters, lambda outcome: None)["engine"]


def test_everything_is_fetched_as_the_engine_says_it(engine: FakeEngine, address: str) -> None:
    used = dict.fromkeys(one["Image"] for one in engine.payload["containers"])
    engine.payload["used_images"] = [{"Id": one, "Config": {"Healthcheck": {"Test": ["CMD", "true"]}}} for one in used]
    fetched = ENGINE.fetch(Parameters(docker_host=address), {})
    recorded = {**engine.payload, "endpoint": address, "local": False}
    del recorded["folders"]  # looked for on this machine only
    assert fetched == recorded
    # Each image once, and none but those that containers use.
    asked = [request for request in engine.web.requests if "/images/sha256:" in request.path]
    assert len(asked) == len(used) < len(engine.payload["images"]) < len(engine.payload["containers"])


def health_checks(url: str) -> set[bool | None]:
    """What is said of the health checks of the images that containers use."""
    tables = read(url).tables
    used = {row.image_id for row in tables["containers"]}
    return {row.healthcheck for row in tables["images"] if row.id in used}


def test_images_that_could_not_be_inspected_have_an_unknown_health_check(engine: FakeEngine, address: str) -> None:
    image = engine.payload["containers"][0]["Image"]
    engine.payload["used_images"] = [{"Id": image, "Config": {"Healthcheck": {"Test": ["NONE"]}}}]
    assert health_checks(address) == {False, None}  # removed since they were listed
    engine.replies[f"/images/{image}/json"] = FORBIDDEN
    assert health_checks(address) == {None}
    outcome = read(address)
    assert outcome.status == "partial"
    assert outcome.reason == "Le moteur Docker a refusé le détail des images (HTTP 403)."


def test_a_bounded_number_of_images_is_inspected(
    engine: FakeEngine, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditlib.collect.engine.MAX_IMAGES", 2)
    assert read(address).status == "ok"
    assert sum(route.startswith("/images/sha256:") for route in engine.asked) == 2


def test_only_get_is_ever_sent(engine: FakeEngine, address: str) -> None:
    assert read(address).status == "ok"
    assert {request.method for request in engine.web.requests} == {"GET"}
    assert {request.headers["user-agent"].partition("/")[0] for request in engine.web.requests} == {"auditlib"}


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.start("traefik"),
        lambda client: client.remove_container("traefik"),
        lambda client: client.exec_create("traefik", "id"),
        lambda client: client.put_archive("traefik", "/", b""),
        lambda client: client.head(f"{client.base_url}/_ping"),
        lambda client: client.post(f"{client.base_url}/containers/prune"),
        lambda client: client.delete(f"{client.base_url}/volumes/x"),
    ],
    ids=["start", "remove", "exec", "put", "head", "post", "delete"],
)
def test_the_client_refuses_to_change_anything_before_asking(engine: FakeEngine, address: str, ask: Any) -> None:
    client = connected(address)
    engine.web.requests.clear()
    with contextlib.closing(client), pytest.raises(PermissionError, match="read-only"):
        ask(client)
    assert engine.web.requests == []


def connected(url: str) -> engine.ReadOnlyClient:
    return engine.connect(engine.address(url), 10)


def test_a_container_that_vanishes_between_list_and_inspection_is_left_out(engine: FakeEngine, address: str) -> None:
    gone = engine.payload["containers"][3]
    engine.replies[f"/containers/{gone['Id']}/json"] = as_json({"message": f"No such container: {gone['Id']}"}, 404)
    outcome = read(address)
    names = {row.name for row in outcome.tables["containers"]}
    assert outcome.status == "ok"
    assert names == {containers.name(one) for one in engine.payload["containers"]} - {containers.name(gone)}


@pytest.mark.parametrize(
    ("part", "named"),
    [("/networks", "les réseaux"), ("/volumes", "les volumes"), ("/images/json", "les images")],
)
def test_a_part_that_is_refused_is_absent_and_not_empty(
    engine: FakeEngine, address: str, part: str, named: str
) -> None:
    engine.replies[part] = FORBIDDEN
    outcome = read(address)
    assert outcome.status == "partial"
    assert outcome.reason == f"Le moteur Docker a refusé {named} (HTTP 403)."
    assert outcome.remedy == "Autorisez GET sur /info, /networks, /volumes et /images."
    missing = {"networks", "volumes", "images"} - set(outcome.tables)
    assert missing == {part.strip("/").partition("/")[0]}
    assert len(outcome.tables["containers"]) == len(engine.payload["containers"])


def test_an_engine_that_refuses_its_description_is_named_by_its_address(engine: FakeEngine, address: str) -> None:
    engine.replies["/info"] = FORBIDDEN
    outcome = read(address)
    [row] = outcome.tables["docker_engine"]
    assert outcome.status == "partial"
    assert outcome.reason == "Le moteur Docker a refusé la description du moteur (HTTP 403)."
    assert (row.name, row.clock, row.swarm) == (address, None, None)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (as_json({"message": "disk I/O error"}, 500), "Le moteur Docker n’a pas donné les images (HTTP 500)."),
        (HANG, "Le moteur Docker n’a pas donné les images."),
        (TRUNCATED, "Le moteur Docker n’a pas donné les images."),
        (HTML, "Le moteur Docker n’a pas donné les images."),
        (as_json({}), "Le moteur Docker n’a pas donné les images."),
    ],
    ids=["error", "hang", "truncated", "html", "object"],
)
def test_a_part_that_fails_leaves_the_others(engine: FakeEngine, address: str, reply: Reply, reason: str) -> None:
    engine.replies["/images/json"] = reply
    outcome = read(address, timeout_s=1 if reply is HANG else 10)
    assert (outcome.status, outcome.reason, outcome.remedy) == ("partial", reason, "")
    assert "images" not in outcome.tables
    assert outcome.tables["volumes"] == Volume.table.rows(containers.rows(engine.payload).of(Volume))


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("route", ["/containers/json", "/version"])
def test_an_engine_that_refuses_its_list_is_refused(engine: FakeEngine, address: str, route: str, status: int) -> None:
    engine.replies[route] = as_json({"message": "no"}, status)
    outcome = read(address)
    assert (outcome.status, outcome.tables) == ("refused", {})
    assert outcome.reason == f"Le moteur Docker à l’adresse {address} a refusé la lecture (HTTP {status})."
    assert "/containers" in outcome.remedy


@pytest.mark.parametrize("route", ["/version", "/containers/json"])
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (as_json({"message": "page not found"}, 404), "répond HTTP 404."),
        (as_json({"message": "boom"}, 500), "répond HTTP 500."),
        (as_json("down", 503), "répond HTTP 503."),
        (GARBAGE, "n’est pas un moteur Docker."),
        (HTML, "n’est pas un moteur Docker."),
        (TRUNCATED, "n’est pas un moteur Docker."),
        (SILENT, "n’est pas un moteur Docker."),
    ],
    ids=["404", "500", "503", "garbage", "html", "truncated", "silent"],
)
def test_an_engine_that_answers_anything_else_has_failed(
    engine: FakeEngine, address: str, route: str, reply: Reply, said: str
) -> None:
    engine.replies[route] = reply
    outcome = read(address)
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason.endswith(said)
    assert address in outcome.reason
    assert outcome.remedy == "Vérifier docker_host, DOCKER_HOST ou le contexte Docker."


@pytest.mark.parametrize("answer", [[], {}, {"ApiVersion": 3}, "1.41", None])
def test_json_that_is_not_a_version_is_no_engine(engine: FakeEngine, address: str, answer: object) -> None:
    engine.replies["/version"] = as_json(answer)
    outcome = read(address)
    assert outcome.status == "failed"
    assert outcome.reason == f"Ce qui répond à l’adresse {address} n’est pas un moteur Docker."


@pytest.mark.parametrize("answer", [{}, {"message": "moved"}, "a", None])
def test_what_is_no_list_does_not_pass_for_an_empty_one(engine: FakeEngine, address: str, answer: object) -> None:
    engine.replies["/containers/json"] = as_json(answer)
    outcome = read(address)
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason == f"Ce qui répond à l’adresse {address} n’est pas un moteur Docker."


@pytest.mark.parametrize("answer", [[{"Name": "/a"}], ["a"], [None]])
def test_a_list_of_another_form_is_recorded_as_failed(engine: FakeEngine, address: str, answer: object) -> None:
    engine.replies["/containers/json"] = as_json(answer)
    outcome = read(address)
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason.startswith("La réponse n’a pas la forme attendue (")


@pytest.mark.parametrize(("answer", "volumes"), [({"Volumes": None}, ()), ({}, None), ([], None)])
def test_an_engine_without_volumes_says_null(
    engine: FakeEngine, address: str, answer: object, volumes: tuple[Any, ...] | None
) -> None:
    engine.replies["/volumes"] = as_json(answer)
    outcome = read(address)
    assert outcome.tables.get("volumes") == volumes
    assert outcome.status == ("ok" if volumes == () else "partial")


@pytest.mark.parametrize("route", ["/version", "/containers/json"])
def test_a_hung_engine_costs_its_timeout_only(engine: FakeEngine, address: str, route: str) -> None:
    engine.replies[route] = HANG
    started = time.monotonic()
    outcome = read(address, timeout_s=0.5)
    assert time.monotonic() - started < 1.5
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason == f"Le moteur Docker à l’adresse {address} ne répond pas à temps."


def test_an_engine_that_trickles_costs_its_timeout_only(engine: FakeEngine, address: str) -> None:
    """Each client's timeout is for one read: only the source's own bounds them all."""
    one = engine.payload["containers"][0]
    engine.payload["containers"] = [{**one, "Id": f"{number:064x}"} for number in range(40)]
    answer = engine.web.respond

    def slow(request: Any) -> Reply:
        time.sleep(0.2)
        return answer(request)

    engine.web.respond = slow
    started = time.monotonic()
    outcome = read(address, timeout_s=1)
    assert time.monotonic() - started < 2
    assert outcome.status == "failed"
    assert outcome.reason == "Aucune réponse complète en 1 s."


def test_a_socket_that_does_not_exist_is_an_absent_engine(tmp_path: Path) -> None:
    outcome = read(f"unix://{tmp_path}/docker.sock")
    assert outcome.status == "absent"
    assert (
        outcome.reason == f"Le moteur Docker à l’adresse unix://{tmp_path}/docker.sock n’existe pas (fichier absent)."
    )


def test_a_socket_that_this_user_may_not_open_is_refused(address: str) -> None:
    Path(address.removeprefix("unix://")).chmod(0)
    with unprivileged(), pytest.raises(Unreadable) as refused:
        engine.fetch(Parameters(docker_host=address), {})
    assert refused.value.status == "refused"
    assert refused.value.reason == f"le moteur Docker à l’adresse {address} est interdit à cet utilisateur"
    assert "sudo" in refused.value.remedy


def test_a_closed_port_is_said_in_french() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        outcome = read(url)
    assert outcome.status == "failed"
    assert outcome.reason == f"Le moteur Docker à l’adresse {url} ne répond pas (connexion refusée)."


def test_a_machine_without_address_is_said_in_french() -> None:
    outcome = read("tcp://nulle-part.invalid:2375")
    assert outcome.status == "failed"
    assert outcome.reason.endswith("ne répond pas (nom de machine inconnu).")


def test_a_web_proxy_is_not_asked_for_the_engine(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with engine.over_tcp() as url:
        assert read(url).status == "ok"


def running(pid: int, identifier: str) -> dict[str, Any]:
    return {"State": {"Pid": pid}, "Id": identifier}


OWN_GROUP = Path("/proc/self/cgroup").read_text().splitlines()[0]
HERE = {"Name": socket.gethostname(), "KernelVersion": os.uname().release}


@pytest.mark.parametrize(
    ("url", "container", "info", "local"),
    [
        # A process of this machine is in the container's cgroup: proof, whatever the address.
        ("tcp://10.0.0.1:2375", running(os.getpid(), OWN_GROUP), {"Name": "ailleurs"}, True),
        # The same pid is another process here.
        ("tcp://10.0.0.1:2375", running(os.getpid(), "f" * 64), HERE, False),
        ("unix:///run/docker.sock", running(os.getpid(), "f" * 64), {"Name": "docker-desktop"}, False),
        ("unix:///run/docker.sock", running(2**22 + 1, "f" * 64), HERE, True),
        # Nothing runs: the address and the kernel tell.
        ("unix:///run/docker.sock", running(0, "f" * 64), {**HERE, "Name": "autre-nom"}, True),
        ("unix:///run/docker.sock", running(0, "f" * 64), {"Name": "autre", "KernelVersion": "1.0"}, False),
        ("tcp://127.0.0.1:2375", running(0, "f" * 64), HERE, True),
        ("ssh://serveur", running(0, "f" * 64), HERE, False),
        ("unix:///run/docker.sock", running(0, "f" * 64), {}, False),
    ],
)
def test_containers_are_local_when_their_processes_are(
    url: str, container: dict[str, Any], info: dict[str, Any], local: bool
) -> None:
    where = engine.Address(url, {})
    assert engine._local(where, {"containers": [container], "info": info}) is local


def test_only_sensitive_paths_that_containers_mount_are_looked_at() -> None:
    sources = ("/etc", "/etc/ssl", "/etc/passwd", "/usr/nowhere", "/tmp", None)
    mounts = [{"Source": source} for source in sources]
    found = engine._folders({"containers": [{"Mounts": mounts}, {"Mounts": None}]})
    assert found == {"/etc/passwd": False, "/etc/ssl": True, "/usr/nowhere": False}


def test_an_engine_without_description_is_not_taken_for_local(engine: FakeEngine, address: str) -> None:
    stopped = copy.deepcopy(engine.payload["containers"][0])
    stopped["State"] |= {"Pid": 0, "Running": False, "Status": "exited"}
    engine.payload["containers"] = [stopped]
    engine.replies["/info"] = FORBIDDEN
    [row] = read(address).tables["docker_engine"]
    assert row.local is False
