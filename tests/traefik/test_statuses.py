"""What the prediction and hand-written configurations share: one judge of routers."""

import pytest

from auditlib.traefik.building import References, sound
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.routers import MAX_USER_PRIORITY, STILL_SERVES, Router
from auditlib.traefik.statuses import State, states
from auditlib.traefik.versions import features


def judged(*asked: Linked, known: References | None = None, version: str = "3.6.15") -> list[State]:
    protocols = {"http": known or References(), "tcp": known or References(), "udp": known or References()}
    points = {"http": {"web"}, "tcp": {"web"}, "udp": {"dns"}}
    return list(states(asked, points, protocols, features(version)))


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
        (Linked(one(), "other@consul", ["x@consul"]), None, None),
        (Linked(one(), "gone@docker"), "disabled", 'the service "gone@docker" does not exist'),
        (Linked(one(tls=True, options="x@docker"), "s@docker"), "disabled", "building router handler: unknown TLS"),
        (Linked(one(rule="Host("), "s@docker"), "disabled", "error while parsing rule Host("),
        (Linked(one(rule="Host("), "s@docker", whole=False), None, None),
        (Linked(one(protocol="udp", rule="", entrypoints=("dns",)), "s@docker"), "enabled", None),
        (Linked(one(parents=("none@file",)), "s@docker"), "disabled", "router is not reachable"),
        (
            Linked(one(protocol="udp", rule="", entrypoints=("dns",)), "gone@docker"),
            "disabled",
            'the UDP service "gone@docker" does not exist',
        ),
    ],
)
def test_the_first_fault_disables(asked: Linked, status: str | None, error: str | None) -> None:
    known = References(sound({"s@docker"}), {}, {}, providers={"docker", "file"})
    (state,) = judged(asked, known=known)
    assert state.status == status
    assert state.errors[-1].startswith(error) if error else state.errors == ()
    assert state.serves is (status != "disabled")


def test_before_3_6_a_router_lacks_its_service() -> None:
    assert judged(Linked(one(), None), version="3.5.3")[0].errors == ("the service is missing on the router",)


def test_a_parent_with_a_service_is_disabled_and_serves_its_children() -> None:
    parent = Linked(one(name="p@file"), "s@file")
    child = Linked(one(name="c@file", entrypoints=(), parents=("p@file",)), "s@file")
    first, second = judged(parent, child, known=References(sound({"s@file"}), {}, {}))
    assert (first.status, first.errors, first.serves) == ("disabled", (STILL_SERVES,), True)
    assert second.status == "enabled"


@pytest.mark.parametrize(
    ("entrypoints", "service", "status", "errors"),
    [
        (("dns",), "s@docker", "enabled", ()),
        (("web", "dns"), "s@docker", "warning", ('entryPoint "web" doesn\'t exist',)),
        (
            ("web",),
            "s@docker",
            "disabled",
            ('entryPoint "web" doesn\'t exist', "no valid entryPoint for this router"),
        ),
        ((), "s@docker", "disabled", ("no valid entryPoint for this router",)),
        (("dns",), None, "disabled", ("the service is missing on the udp router",)),
    ],
)
def test_a_router_of_udp_is_on_entry_points_of_udp(
    entrypoints: tuple[str, ...], service: str | None, status: str, errors: tuple[str, ...]
) -> None:
    known = References(sound({"s@docker"}), {}, {})
    (state,) = judged(Linked(one(rule="", entrypoints=entrypoints, protocol="udp"), service), known=known)
    assert (state.status, state.errors) == (status, errors)


def test_other_routers_are_not_on_entry_points_of_udp() -> None:
    known = References(sound({"s@docker"}), {}, {})
    (state,) = judged(Linked(one(entrypoints=("web", "dns")), "s@docker"), known=known)
    assert (state.status, state.entrypoints) == ("warning", ("web",))
