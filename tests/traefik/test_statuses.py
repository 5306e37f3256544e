"""What the prediction and hand-written configurations share: one judge of routers."""

import pytest

from auditlib.traefik.routers import MAX_USER_PRIORITY, STILL_SERVES, Router
from auditlib.traefik.statuses import Linked, References, State, states
from auditlib.traefik.versions import features


def judged(*asked: Linked, known: References | None = None, version: str = "3.6.15") -> list[State]:
    protocols = {"http": known or References(), "tcp": known or References(), "udp": known or References()}
    return list(states(asked, {"web"}, protocols, features(version)))


def one(**facts: object) -> Router:
    return Router(**{"name": "a@docker", "rule": "Host(`a.fr`)", "entrypoints": ("web",), **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        (Linked(one(), "s@docker"), "enabled", None),
        (Linked(one(entrypoints=("Web", "web")), "s@docker"), "warning", 'entryPoint "Web" doesn\'t exist'),
        (Linked(one(entrypoints=("Web",)), "s@docker"), "disabled", "no valid entryPoint for this router"),
        (
            Linked(one(priority=MAX_USER_PRIORITY + 1), "s@docker"),
            "disabled",
            "the router priority 9223372036854774808",
        ),
        (Linked(one(priority=MAX_USER_PRIORITY), "s@docker"), "enabled", None),
        (Linked(one(), None), "disabled", "router must have either a service or child routers"),
        (Linked(one(), "s@docker", ["x@docker", "y@docker"]), "disabled", 'middleware "y@docker" does not exist'),
        (Linked(one(), "other@consul", ["x@consul"]), "enabled", None),
        (Linked(one(), "gone@docker"), "disabled", 'the service "gone@docker" does not exist'),
        (Linked(one(tls=True, options="x@docker"), "s@docker"), "disabled", "building router handler: unknown TLS"),
        (Linked(one(rule="Host("), "s@docker"), "disabled", "error while parsing rule Host("),
        (Linked(one(rule="Host("), "s@docker", whole=False), "enabled", None),
        (Linked(one(protocol="udp", rule="", entrypoints=()), "s@docker"), "enabled", None),
        (Linked(one(parents=("none@file",)), "s@docker"), "disabled", "router is not reachable"),
    ],
)
def test_the_first_fault_disables(asked: Linked, status: str, error: str | None) -> None:
    known = References({"s@docker"}, set(), set(), providers={"docker", "file"})
    (state,) = judged(asked, known=known)
    assert state.status == status
    assert state.errors[-1].startswith(error) if error else state.errors == ()
    assert state.serves is (status != "disabled")


def test_before_3_6_a_router_lacks_its_service() -> None:
    assert judged(Linked(one(), None), version="3.5.3")[0].errors == ("the service is missing on the router",)


def test_a_parent_with_a_service_is_disabled_and_serves_its_children() -> None:
    parent = Linked(one(name="p@file"), "s@file")
    child = Linked(one(name="c@file", entrypoints=(), parents=("p@file",)), "s@file")
    first, second = judged(parent, child)
    assert (first.status, first.errors, first.serves) == ("disabled", (STILL_SERVES,), True)
    assert second.status == "enabled"
