"""How a request travels: on the reference server, and where each hop is broken."""

import json
from pathlib import Path
from typing import Any

import pytest

import auditlib
from auditlib import Explanation, RequestError
from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.report.explanation import journeys
from auditlib.run.cli import main
from tests.conftest import MOMENT, snapshot_of
from tests.hostile import ATTACKS

STATIC = [
    ("entrypoints.web.address", ":80"),
    ("entrypoints.websecure.address", ":443"),
    ("entrypoints.websecure.http.tls", "true"),
    ("providers.docker", "true"),
]


def without(facts: Snapshot, *names: str) -> Snapshot:
    """The same snapshot, without some of its tables."""
    tables = {name: frame for name, frame in facts.tables.items() if name not in names}
    return Snapshot(facts.hostname, MOMENT, tables, {**facts.absent, **dict.fromkeys(names, "non lue")})


def server(**changed: list[dict[str, Any]]) -> Snapshot:
    """A small server whose Traefik has no API: one container routed by its labels on `app.fr`."""
    tables: dict[str, list[dict[str, Any]]] = {
        "containers": [
            {"name": "traefik", "id": "t", "state": "running", "network_mode": "web", "image": "traefik:v3.6.6"},
            {"name": "app", "id": "a", "state": "running", "network_mode": "web", "network_ports": ["8000/tcp"]},
        ],
        "container_networks": [
            {"container": "traefik", "network": "web", "ipv4": "10.0.0.2"},
            {"container": "app", "network": "web", "ipv4": "10.0.0.3"},
        ],
        "labels": [label("app", "traefik.http.routers.app.rule", "Host(`app.fr`)")],
        "publications": [publication("traefik", 80), publication("traefik", 443)],
        "listeners": [],
        "networks": [],
        "traefik_static": [
            {"container": "traefik", "origin": "flags", "key": key, "value": value, "effective": True}
            for key, value in STATIC
        ],
    }
    return snapshot_of(**{**tables, **changed})


def label(container: str, name: str, value: str) -> dict[str, Any]:
    return {"container": container, "label": name, "value": value}


def publication(container: str, port: int, inner: int | None = None) -> dict[str, Any]:
    place = {"protocol": "tcp", "container_port": inner or port, "host_ip": "0.0.0.0", "host_port": port}
    return {"container": container, **place, "live": True}


def broken(explained: Explanation) -> tuple[str, str, str]:
    hop = explained.broken
    assert hop is not None
    return hop["hop"], hop["name"], hop["reason"]


# The reference server


def test_a_request_to_a_container(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "https://files.4lb.ca/")
    assert (found.verdict, found.entrypoint, found.router) == ("ok", "websecure", "multimedia-frontend@docker")
    assert (found.service, found.container, found.network) == (
        "multimedia-frontend@docker",
        "multimedia-frontend",
        "unified-net",
    )
    assert found.middlewares == ["crowdsec@file", "geoblock@file", "security-headers@file"]
    assert [hop["hop"] for hop in found.hops if hop["hop"] != "middleware"] == [
        *("port", "entrypoint", "router", "service", "server", "container", "network", "listening", "probe")
    ]


def test_a_request_to_a_service_of_the_machine(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "https://ai.4lb.ca/api/models")
    assert (found.verdict, found.router, found.container) == ("ok", "ai-api@file", None)
    assert found.server == "http://192.168.200.1:8001"
    assert "ai-orchestrator-backend.service" in found.hops[-1]["reason"]
    matching = [one["router"] for one in found.candidates if one["matches"]]
    assert matching == ["ai-api@file", "ai-orchestrator@docker"]


def test_a_fallback_is_told_with_its_finding(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "https://jsr.4lb.ca/")
    assert (found.verdict, found.network, found.causes) == ("ok", "traefik-net", ["NET-001|container=jsr-dev"])


def test_a_redirection_of_the_entry_point(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "http://ai.4lb.ca/")
    assert (found.verdict, found.router) == ("ok", "web-to-websecure@internal")


def test_the_port_of_another_container_does_not_go_through_traefik(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "http://ai.4lb.ca:8002/")
    assert (found.verdict, found.container, found.entrypoint) == ("unrouted", "ai-orchestrator-frontend", None)


def test_a_port_where_nothing_listens(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "http://ai.4lb.ca:81/")
    assert (found.verdict, *broken(found)[:2]) == ("broken", "port", "81")


def test_a_filtered_container_is_why_its_domain_has_no_router(faulty: Snapshot) -> None:
    found = auditlib.explain(faulty, "https://nulle.part/")
    assert (found.verdict, found.hops[-1]["hop"]) == ("unrouted", "domain")


@pytest.mark.parametrize(
    "url", ["https://files.4lb.ca/", "https://ai.4lb.ca/ws", "https://jsr.4lb.ca/", "http://ai.4lb.ca/"]
)
def test_without_the_api_the_answer_is_the_same(faulty: Snapshot, url: str) -> None:
    gone = [name for name in faulty.tables if name.startswith("traefik_") and "file" not in name]
    blind = without(faulty, "traefik", *(name for name in gone if name != "traefik_static"))
    live, guessed = auditlib.explain(faulty, url), auditlib.explain(blind, url)
    for name in ("verdict", "entrypoint", "router", "server", "container", "network"):
        assert getattr(guessed, name) == getattr(live, name), name


# Each hop, broken


def test_the_small_server_routes_its_container() -> None:
    found = auditlib.explain(server(), "http://app.fr/")
    assert (found.verdict, found.router, found.server) == ("ok", "app@docker", "http://10.0.0.3:8000")
    assert found.hops[-1] == {
        "hop": "listening",
        "name": "8000",
        "state": "unknown",
        "reason": "Les écoutes dans les conteneurs n’ont pas été lues.",
    }


def test_a_container_on_no_common_network() -> None:
    ends = [
        {"container": "traefik", "network": "web", "ipv4": "10.0.0.2"},
        {"container": "app", "network": "other", "ipv4": "10.1.0.3"},
    ]
    found = auditlib.explain(server(container_networks=ends), "http://app.fr/")
    assert found.verdict == "broken"
    assert broken(found) == ("network", "other", "Traefik n’est pas sur ce réseau (il est sur « web ») : 504.")
    assert found.causes == ["NET-002|container=app"]


def test_a_label_that_spoils_the_container() -> None:
    labels = [
        label("app", "traefik.http.routers.app.rule", "Host(`app.fr`)"),
        label("app", "traefik.http.routers.app.rul", "Host(`app.fr`)"),
    ]
    found = auditlib.explain(server(labels=labels), "http://app.fr/")
    assert (found.verdict, found.container) == ("unrouted", "app")
    assert "field not found, node: rul" in found.hops[-1]["reason"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "exited"}, "Le conteneur ne tourne pas."),
        ({"state": "running", "health": "unhealthy"}, "Le conteneur est en mauvaise santé."),
        ({"state": "running", "network_ports": []}, "aucun port : ni étiquette de port, ni EXPOSE."),
    ],
)
def test_a_container_that_traefik_leaves_out(change: dict[str, Any], told: str) -> None:
    traefik = {"name": "traefik", "id": "t", "state": "running", "network_mode": "web", "image": "traefik:v3.6.6"}
    app = {"name": "app", "id": "a", "network_mode": "web", "network_ports": ["8000/tcp"], **change}
    found = auditlib.explain(server(containers=[traefik, app]), "http://app.fr/")
    assert (found.verdict, found.container) == ("unrouted", "app")
    assert told in found.hops[-1]["reason"]


def test_a_name_that_two_containers_declare() -> None:
    containers = [
        {"name": "traefik", "id": "t", "state": "running", "network_mode": "web", "image": "traefik:v3.6.6"},
        *({"name": n, "id": n, "state": "running", "network_ports": ["80/tcp"]} for n in ("one", "two")),
    ]
    ends = [
        {"container": n, "network": "web", "ipv4": f"10.0.0.{i}"} for i, n in enumerate(("traefik", "one", "two"), 2)
    ]
    labels = [label(n, "traefik.http.routers.app.rule", "Host(`app.fr`)") for n in ("one", "two")]
    found = auditlib.explain(server(containers=containers, container_networks=ends, labels=labels), "http://app.fr/")
    assert found.verdict == "unrouted"
    assert "déclaré différemment par plusieurs conteneurs (one, two)" in found.hops[-1]["reason"]


def test_a_router_that_only_answers_with_tls() -> None:
    labels = [
        label("app", "traefik.http.routers.app.rule", "Host(`app.fr`)"),
        label("app", "traefik.http.routers.app.tls", "true"),
        label("app", "traefik.http.routers.app.entrypoints", "websecure"),
    ]
    found = auditlib.explain(server(labels=labels), "http://app.fr/")
    assert found.verdict == "unrouted"
    assert any("le point d’entrée « websecure », en TLS seulement" in hop["reason"] for hop in found.hops)
    assert auditlib.explain(server(labels=labels), "https://app.fr/").verdict == "ok"


def test_a_tie_is_no_certainty() -> None:
    labels = [
        label("app", "traefik.http.routers.aa.rule", "Host(`app.fr`)"),
        label("app", "traefik.http.routers.bb.rule", "Host(`app.fr`)"),
    ]
    found = auditlib.explain(server(labels=labels), "http://app.fr/")
    assert {found.router, *found.ties} == {"aa@docker", "bb@docker"}
    assert found.verdict == "unknown"


def test_a_tcp_router_is_told_from_the_http_router_of_its_name() -> None:
    labels = [
        label("app", "traefik.http.routers.app.rule", "Host(`app.fr`)"),
        label("app", "traefik.tcp.routers.app.rule", "HostSNI(`*`)"),
        label("app", "traefik.tcp.services.app.loadbalancer.server.port", "8000"),
    ]
    found = auditlib.explain(server(labels=labels), "http://app.fr/")
    assert (found.router, found.server) == ("app@docker", "10.0.0.3:8000")
    assert found.hops[2]["reason"].startswith("Ce routeur TCP prend toute la connexion avant HTTP. Règle HostSNI(`*`)")


def test_a_file_that_is_broken() -> None:
    files = [{"container": "traefik", "path": "/d/a.yml", "position": 0, "status": "broken", "line": 3, "error": "x"}]
    routers = [{"path": "/d/b.yml", "protocol": "http", "router": "file", "rule": "Host(`b.fr`)", "effective": True}]
    other = {name: [] for name in ("traefik_file_services", "traefik_file_servers", "traefik_file_middlewares")}
    facts = server(traefik_files=files, traefik_file_routers=routers, **other)
    reasons = {
        hop["name"]: hop["reason"] for hop in auditlib.explain(facts, "http://b.fr/").hops if hop["hop"] == "file"
    }
    assert "un autre fichier est cassé" in reasons["/d/b.yml"]
    assert "cassé, ligne 3" in reasons["/d/a.yml"]


# The forms of the answer


def test_the_json_has_the_fields_of_the_contract(faulty: Snapshot) -> None:
    answer = json.loads(auditlib.explain(faulty, "https://ai.4lb.ca/").json())
    assert set(answer) == {
        *("url", "verdict", "entrypoint", "router", "ties", "candidates", "middlewares", "service", "server"),
        *("container", "network", "hops", "causes", "observed"),
    }
    assert set(answer["candidates"][0]) == {"router", "priority", "matches"}
    assert set(answer["hops"][0]) == {"hop", "name", "state", "reason"}


@pytest.mark.parametrize("url", ["", "ftp://a.fr/", "http://", "http://a.fr:99999/", "http://[::1"])
def test_what_is_no_web_address_is_refused_in_french(faulty: Snapshot, url: str) -> None:
    with pytest.raises(RequestError, match="n’est pas une adresse web"):
        auditlib.explain(faulty, url)


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_names_are_shown_harmless(name: str) -> None:
    labels = [label("app", f"traefik.http.routers.{name}.rule", "Host(`app.fr`)"), label("app", name, name)]
    found = auditlib.explain(server(labels=labels), "http://app.fr/")
    assert "<script" not in found._repr_html_().lower()
    assert "\x1b" not in found.text()
    assert found.markdown()


def test_an_empty_snapshot_concludes_nothing() -> None:
    found = auditlib.explain(snapshot_of(), "http://app.fr/")
    assert found.verdict == "unknown"
    assert found.hops[0]["state"] == "unknown"


# Tables of other sources

LISTENER = {
    "container": "app",
    "network_of": "app",
    "protocol": "tcp",
    "address": "0.0.0.0",
    "port": 8000,
    "process": "gunicorn",
}
PROBE = {"url": "http://app.fr/", "domain": "app.fr", "path": "/", "entrypoint": "web", "status": 200, "latency_ms": 12}


@pytest.mark.parametrize(
    ("listener", "state", "told"),
    [
        ({}, "ok", "gunicorn y écoute."),
        ({"port": 9000}, "broken", "Rien n’y écoute dans le conteneur (ports écoutés : 9000) : 502."),
        ({"address": "127.0.0.1"}, "broken", "Le processus n’écoute que sur la boucle locale du conteneur : 502."),
        (
            {"container": "other", "network_of": "other"},
            "broken",
            "Rien n’y écoute dans le conteneur (ports écoutés : aucun) : 502.",
        ),
    ],
)
def test_the_port_that_the_container_listens_to(listener: dict[str, Any], state: str, told: str) -> None:
    found = auditlib.explain(server(container_listeners=[{**LISTENER, **listener}]), "http://app.fr/")
    assert (found.hops[-1]["hop"], found.hops[-1]["state"], found.hops[-1]["reason"]) == ("listening", state, told)
    assert found.verdict == ("ok" if state == "ok" else "broken")


@pytest.mark.parametrize("who", [None, "vpn"])
def test_a_port_of_a_shared_network_is_listened_to_whoever_listens(who: str | None) -> None:
    shared = {**LISTENER, "container": who, "network_of": "app, vpn", "family": "ipv4"}
    found = auditlib.explain(server(container_listeners=[shared]), "http://app.fr/")
    assert (found.hops[-1]["hop"], found.hops[-1]["state"]) == ("listening", "ok")


def test_an_address_of_a_docker_network_that_no_container_has_is_stale() -> None:
    facts = server(
        networks=[{"name": "web", "driver": "bridge", "subnets": ["10.0.0.0/24"], "gateways": ["10.0.0.1"]}],
        traefik_routers=[{"router": "old@file", "protocol": "http", "rule": "Host(`old.fr`)", "service": "old@file",
                          "entrypoints": ["web"], "priority": 9, "status": "enabled"}],
        traefik_services=[{"service": "old@file", "protocol": "http", "type": "loadbalancer", "status": "enabled"}],
        traefik_servers=[{"service": "old@file", "protocol": "http", "url": "http://10.0.0.77"}],
        traefik_middlewares=[],
        traefik_entrypoints=[{"entrypoint": "web", "address": ":80", "protocol": "tcp", "port": 80, "default": True}],
        traefik=[{"url": "http://127.0.0.1:8080", "container": "traefik", "version": "3.6.6"}],
    )  # fmt: skip
    told = "Aucun conteneur n’a cette adresse du réseau « web » : elle est périmée."
    assert broken(auditlib.explain(facts, "http://old.fr/")) == ("server", "http://10.0.0.77", told)


@pytest.mark.parametrize(
    ("probe", "verdict", "told"),
    [
        ({}, "ok", "La sonde a reçu 200 en 12 ms."),
        ({"status": 502}, "broken", "La sonde a reçu 502 en 12 ms."),
        ({"status": None, "error": "délai dépassé"}, "broken", "La sonde n’a pas eu de réponse : délai dépassé."),
    ],
)
def test_what_the_probe_saw(probe: dict[str, Any], verdict: str, told: str) -> None:
    found = auditlib.explain(server(http_probes=[{**PROBE, **probe}]), "http://app.fr/")
    assert (found.verdict, found.hops[-1]["hop"], found.hops[-1]["reason"]) == (verdict, "probe", told)
    assert found.observed is not None
    assert found.observed["status"] == {**PROBE, **probe}["status"]


def test_the_probe_of_another_port_is_no_observation() -> None:
    elsewhere = {**PROBE, "url": "http://app.fr:8088/", "entrypoint": "clear", "status": 301}
    assert auditlib.explain(server(http_probes=[elsewhere]), "http://app.fr/").observed is None


def test_the_probe_of_another_path_is_no_observation() -> None:
    assert auditlib.explain(server(http_probes=[PROBE]), "http://app.fr/other").observed is None


# Another Traefik


@pytest.mark.parametrize(
    ("image", "heard", "verdict", "reason"),
    [
        ("traefik:v2.11", [], "unknown", "un autre Traefik : ses routes n’ont pas été lues."),
        ("acme/edge:1", [{"process": "traefik"}], "unknown", "un autre Traefik : ses routes n’ont pas été lues."),
        ("acme/edge:1", [{"process": "nginx"}], "unrouted", "la requête ne passe pas par Traefik."),
    ],
)
def test_the_port_of_another_traefik(image: str, heard: list[dict[str, Any]], verdict: str, reason: str) -> None:
    both = [
        {"name": "traefik", "id": "t", "state": "running", "network_mode": "web", "image": "traefik:v3.6.6"},
        {"name": "second", "id": "s", "state": "running", "network_mode": "web", "image": image},
    ]
    inside = {"container": "second", "network_of": "second", "protocol": "tcp", "family": "ipv4", "port": 80}
    facts = server(
        containers=both,
        container_networks=[{"container": "traefik", "network": "web", "ipv4": "10.0.0.2"}],
        labels=[],
        publications=[publication("traefik", 80), publication("second", 8080, 80)],
        container_listeners=[{**inside, "address": "0.0.0.0", **one} for one in heard],
    )
    found = auditlib.explain(facts, "http://app.fr:8080/")
    assert (found.verdict, found.container) == (verdict, "second")
    assert found.hops[-1]["reason"].endswith(reason)


# The command, and all journeys at once


def test_the_command_explains(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "https://jsr.4lb.ca/", "--snapshot", str(demo)]) == 0
    shown = capsys.readouterr().out.replace("\u00a0", " ").replace("\u202f", " ")
    assert shown.startswith("https://jsr.4lb.ca/ : la requête arrive à destination.")
    assert "Routeur jsr-dev@docker" in shown
    assert main(["explain", "https://jsr.4lb.ca/", "--snapshot", str(demo), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["container"] == "jsr-dev"
    assert main(["explain", "ftp://x", "--snapshot", str(demo)]) == 64
    assert "n’est pas une adresse web" in capsys.readouterr().err


def test_all_journeys_of_the_reference_server(faulty: Snapshot) -> None:
    rows = {journey.url: journey.verdict for journey in journeys(faulty)}
    assert {"https://ai.4lb.ca/", "https://ai.4lb.ca/api", "https://files.4lb.ca/", "https://jsr.4lb.ca/"} <= set(rows)
    assert rows["https://ai.4lb.ca/api"] == "ok"
    assert "Trajets" in auditlib.follow(Facts(faulty))._repr_html_()
    assert "non évaluable" in auditlib.follow(Facts(snapshot_of())).markdown().replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("precedence", "router", "ties"),
    [(None, "app@docker", ("app@file",)), ("file,docker", "app@file", ()), ("http", "app@docker", ("app@file",))],
)
def test_precedence_decides_between_routers_of_two_providers(
    precedence: str | None, router: str, ties: tuple[str, ...]
) -> None:
    given = [*STATIC, *([("providers.precedence", precedence)] if precedence else [])]
    static = [
        {"container": "traefik", "origin": "flags", "key": key, "value": value, "effective": True}
        for key, value in given
    ]
    routers = [
        {"router": name, "provider": name[4:], "protocol": "http", "rule": "Host(`app.fr`)", "priority": 14}
        | {"entrypoints": ["web"], "tls": False, "service": name, "status": "enabled"}
        for name in ("app@docker", "app@file")
    ]
    found = auditlib.explain(server(traefik_static=static, traefik_routers=routers), "http://app.fr/")
    assert (found.router, *found.ties) == (router, *ties)


@pytest.mark.parametrize(("syntax", "taker"), [(None, "app@docker"), ("v2", "tcp@docker")])
def test_the_syntax_of_rules_may_be_that_of_version_2_for_all(syntax: str | None, taker: str) -> None:
    given = [*STATIC, *([("core.defaultrulesyntax", syntax)] if syntax else [])]
    static = [
        {"container": "traefik", "origin": "flags", "key": key, "value": value, "effective": True}
        for key, value in given
    ]
    labels = [
        label("app", "traefik.http.routers.app.rule", "PathPrefix(`/`)"),
        label("app", "traefik.http.routers.app.tls", "true"),
        label("app", "traefik.http.services.app.loadbalancer.server.port", "8000"),
        label("app", "traefik.tcp.routers.tcp.rule", "HostSNIRegexp(`{sub:[a-z]+}.fr`)"),
        label("app", "traefik.tcp.routers.tcp.tls", "true"),
        label("app", "traefik.tcp.services.tcp.loadbalancer.server.port", "8000"),
    ]
    found = auditlib.explain(server(traefik_static=static, labels=labels), "https://app.fr/")
    assert found.router is not None and found.router.removeprefix("websecure-") == taker
