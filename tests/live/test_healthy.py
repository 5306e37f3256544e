"""The healthy reference server, live: nothing of medium severity or more, and an API behind a password."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.conftest import AUTH, Run, audit


@pytest.fixture(scope="module", autouse=True)
def reference(bring_up: Callable[[str], None]) -> None:
    bring_up("healthy")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    api = ("-p", "traefik_api", "https://traefik.4lb.ca", "-p", "traefik_auth_env", AUTH)
    return audit(tmp_path_factory.mktemp("outputs"), *api, "-p", "fail_on", "medium")


def test_nothing_of_medium_severity_or_more_is_found(run: Run) -> None:
    assert run.code == 0, run.told
    assert {one for one in run.found if one[1] not in ("low", "info")} == set()
    assert {one for one in run.found if one[1] == "low"} == {
        ("CIS-5.14", "low", "traefik"),  # 80 and 443 are open on purpose
        ("CIS-5.32", "low", "traefik"),  # its provider needs the socket
    }
    assert run.constats["coverage"] > 0.98


def test_the_api_was_read_through_its_router_and_password(run: Run) -> None:
    assert run.facts.traefik["url"].tolist() == ["https://traefik.4lb.ca"]
    assert "dashboard@file" in set(run.facts.traefik_routers["router"])


def test_without_the_password_the_api_is_refused_with_its_remedy(tmp_path: Path) -> None:
    run = audit(tmp_path, "-p", "traefik_api", "https://traefik.4lb.ca")
    assert run.code == 0
    assert "demande un mot de passe ou l’a refusé (HTTP 401)" in run.told
    assert "traefik_auth_env" in run.told
    verdicts = {one["check"]: one["verdict"] for one in run.constats["results"]}
    assert verdicts["ROUTE-001"] == verdicts["ROUTE-014"] == "unknown"
    assert verdicts["NET-001"] == "pass"


def test_with_a_wrong_password_too_and_it_is_kept_nowhere(tmp_path: Path) -> None:
    given = ("-p", "traefik_api", "https://traefik.4lb.ca", "-p", "traefik_auth_env", AUTH)
    run = audit(tmp_path, *given, **{AUTH: "admin:motdepasse-faux-7c1"})
    assert "demande un mot de passe ou l’a refusé (HTTP 401)" in run.told
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"motdepasse-faux" in path.read_bytes()] == []
