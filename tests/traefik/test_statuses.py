"""What the prediction and hand-written configurations share: one judge of routers."""

import pytest

from auditlib.traefik.routers import STILL_SERVES, Router
from auditlib.traefik.statuses import MAX_USER_PRIORITY, Asked, Known, State, states
from auditlib.traefik.versions import features


def judged(*asked: Asked, known: Known | None = None, version: str = "3.6.15") -> list[State]:
    protocols = {"http": known or Known(), "tcp": known or Known(), "udp": known or Known()}
    return list(states(asked, {"web"}, protocols, features(version)))


def one(**facts: object) -> Router:
    return Router(**{"name": "a@docker", "rule": "Host(`a.fr`)", "entrypoints": ("web",), **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        (Asked(one(), "s@docker"), "enabled", None),
        (Asked(one(entrypoints=("Web", "web")), "s@docker"), "warning", 'entryPoint "Web" doesn\'t exist'),
        (Asked(one(entrypoints=("Web",)), "s@docker"), "disabled", "no valid entryPoint for this router"),
        (Asked(one(priority=MAX_USER_PRIORITY + 1), "s@docker"), "disabled", "the router priority 9223372036854774808"),
        (Asked(one(priority=MAX_USER_PRIORITY), "s@docker"), "enabled", None),
        (Asked(one(), None), "disabled", "router must have either a service or child routers"),
        (Asked(one(), "s@docker", ["x@docker", "y@docker"]), "disabled", 'middleware "y@docker" does not exist'),
        (Asked(one(), "other@consul", ["x@consul"]), "enabled", None),
        (Asked(one(), "gone@docker"), "disabled", 'the service "gone@docker" does not exist'),
        (Asked(one(tls=True, options="x@docker"), "s@docker"), "disabled", "building router handler: unknown TLS"),
        (Asked(one(rule="Host("), "s@docker"), "disabled", "error while parsing rule Host("),
        (Asked(one(rule="Host("), "s@docker", whole=False), "enabled", None),
        (Asked(one(protocol="udp", rule="", entrypoints=()), "s@docker"), "enabled", None),
        (Asked(one(parents=("none@file",)), "s@docker"), "disabled", "router is not reachable"),
    ],
)
def test_the_first_fault_disables(asked: Asked, status: str, error: str | None) -> None:
    known = Known({"s@docker"}, set(), set(), providers={"docker", "file"})
    (state,) = judged(asked, known=known)
    assert state.status == status
    assert state.errors[-1].startswith(error) if error else state.errors == ()
    assert state.serves is (status != "disabled")


def test_before_3_6_a_router_lacks_its_service() -> None:
    assert judged(Asked(one(), None), version="3.5.3")[0].errors == ("the service is missing on the router",)


def test_a_parent_with_a_service_is_disabled_and_serves_its_children() -> None:
    parent = Asked(one(name="p@file"), "s@file")
    child = Asked(one(name="c@file", entrypoints=(), parents=("p@file",)), "s@file")
    first, second = judged(parent, child)
    assert (first.status, first.errors, first.serves) == ("disabled", (STILL_SERVES,), True)
    assert second.status == "enabled"
