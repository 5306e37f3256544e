"""The routers that labels and files declare: what the probes ask when Traefik's API was not read."""

from collections.abc import Sequence
from typing import Any

import pytest

from auditlib.collect import proxy, traefik_static
from auditlib.collect.declared import declared
from auditlib.collect.source import Unreadable
from auditlib.facts.tables.traefik import TraefikEntrypoint, TraefikRouter
from tests.conftest import payload

SOURCES = ("engine", "traefik_static", "traefik_api", "traefik_files")
FLAGS = ["--providers.docker=true", "--entrypoints.web.address=:80", "--entrypoints.secure.address=:443"]
RULE = {"traefik.http.routers.App.rule": "Host(`a.fr`)"}


def container(labels: dict[str, str], name: str = "app", **state: Any) -> dict[str, Any]:
    settings = {"Ports": {}, "Networks": {}}
    config = {"Image": "app:1", "Labels": labels}
    state = {"Status": "running", "Running": True, **state}
    return {
        "Id": name,
        "Name": f"/{name}",
        "Config": config,
        "State": state,
        "HostConfig": {},
        "NetworkSettings": settings,
    }


def given(*containers: dict[str, Any], flags: list[str] = FLAGS, image: str = "traefik:v3.6.6") -> dict[str, Any]:
    traefik = container({}, "traefik")
    traefik["Config"]["Image"] = image
    static = {"container": "traefik", "others": [], "args": flags, "environment": [], "files": {}, "unread": []}
    engine = {"local": True, "containers": [traefik, *containers]}
    return {"engine": engine, "traefik_static": static, "traefik_api": None, "traefik_files": None}


def routers(*containers: dict[str, Any], **told: Any) -> Sequence[TraefikRouter]:
    return declared(given(*containers, **told)).of(TraefikRouter)


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_the_reference_server_is_asked_the_same_without_its_api(variant: str) -> None:
    recorded = {name: payload(variant, name) for name in SOURCES}
    recorded["engine"]["local"] = True
    told, alone = proxy.find(recorded), proxy.find({**recorded, "traefik_api": None})
    assert set(alone.http()) == set(told.http()) != set()
    assert set(alone.tls()) == set(told.tls()) != set()
    assert (alone.gates, alone.own) == (told.gates, told.own)
    assert (told.declared, alone.declared) == (False, True)


def test_a_router_of_labels() -> None:
    own = {
        **RULE,
        "traefik.http.routers.app.entryPoints": "secure, web",
        "traefik.http.routers.app.tls.certresolver": "le",
    }
    assert routers(container(own)) == [
        TraefikRouter(
            router="app@docker",
            protocol="http",
            rule="Host(`a.fr`)",
            entrypoints=("secure", "web"),
            tls=True,
            status="enabled",
        )
    ]


@pytest.mark.parametrize(
    ("labels", "state", "flags", "kept"),
    [
        (RULE, {}, FLAGS, True),
        ({**RULE, "traefik.enable": "false"}, {}, FLAGS, False),
        (RULE, {"Running": False}, FLAGS, False),
        (RULE, {"Health": {"Status": "unhealthy"}}, FLAGS, False),
        (RULE, {"Health": {"Status": "healthy"}}, FLAGS, True),
        (RULE, {}, [*FLAGS, "--providers.docker.exposedbydefault=false"], False),
        ({**RULE, "traefik.enable": "true"}, {}, [*FLAGS, "--providers.docker.exposedbydefault=false"], True),
        (RULE, {}, [*FLAGS, "--providers.docker.constraints=Label(`a`,`b`)"], False),
        (RULE, {}, ["--providers.file.directory=/d"], False),
        ({"traefik.http.routers.app.middlewares": "x"}, {}, FLAGS, False),
    ],
)
def test_containers_that_traefik_routes(
    labels: dict[str, str], state: dict[str, Any], flags: list[str], kept: bool
) -> None:
    assert bool(routers(container(labels, **state), flags=flags)) is kept


@pytest.mark.parametrize(
    ("flags", "entrypoints"),
    [
        (FLAGS, ("web", "secure")),
        ([*FLAGS, "--entrypoints.web.asdefault=true"], ("web",)),
        ([*FLAGS, "--api.insecure=true"], ("web", "secure")),
        (["--providers.docker=true"], ("http",)),
        (["--providers.docker=true", "--entrypoints.web.address=:${PORT}"], ()),
    ],
)
def test_a_router_that_names_no_entry_point_is_on_the_default_ones(
    flags: list[str], entrypoints: tuple[str, ...]
) -> None:
    [router] = routers(container(RULE), flags=flags)
    assert router.entrypoints == entrypoints


def test_the_entry_points_of_the_options() -> None:
    more = ["--entrypoints.web.http.redirections.entrypoint.to=secure", "--entrypoints.secure.http.tls.certresolver=le"]
    points = declared(given(flags=[*FLAGS, *more, "--api.insecure=true"])).of(TraefikEntrypoint)
    assert [(row.entrypoint, row.port, row.tls, row.redirect_to) for row in points] == [
        ("web", 80, False, "secure"),
        ("secure", 443, True, None),
        ("traefik", 8080, False, None),
    ]


@pytest.mark.parametrize(("image", "syntax"), [("traefik:v2.11", "v2"), ("traefik:3.6", None), ("traefik", None)])
def test_version_2_has_its_own_syntax(image: str, syntax: str | None) -> None:
    [router] = routers(container(RULE), image=image)
    assert router.rule_syntax == syntax


def test_options_that_are_not_known_tell_nothing() -> None:
    told = given(container(RULE))
    told["traefik_static"]["unread"] = ["/etc/traefik/traefik.yml (HTTP 500)"]
    assert {row.effective for row in traefik_static.rows(told["traefik_static"]).tables["traefik_static"]} == {None}
    with pytest.raises(Unreadable, match="n’est pas connue"):
        proxy.find(told)


def test_what_was_asked_is_said() -> None:
    said = "Questions tirées des étiquettes et des fichiers : l’API de Traefik n’a pas été lue."
    nothing = {"skipped": [], "late": 0, "beyond": 0}
    assert proxy.reading({**nothing, "declared": True}, {}).note == said
    skipped = proxy.reading({**nothing, "skipped": ["x@file"], "declared": True}, {})
    assert skipped.note.startswith(f"{said} Non interrogés")
    assert proxy.reading({**nothing, "declared": False}, {}).note == ""
