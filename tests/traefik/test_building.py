"""What Traefik says of objects that it builds: recorded of real programs, and read in the sources for 2.11."""

import re
from typing import Any

import pytest
import yaml

from auditlib.traefik.building import Builder, Part, References, sound
from auditlib.traefik.conflicts import Linked
from auditlib.traefik.middlewares import middleware_steps
from auditlib.traefik.routers import Router
from auditlib.traefik.services import service_steps
from auditlib.traefik.statuses import State, judge
from auditlib.traefik.steps import Step, read_steps
from auditlib.traefik.versions import features
from tests.conftest import PAYLOADS
from tests.traefik.predictions import predicted

VERSIONS = ("3.0.4", "3.3.6", "3.6.15", "3.7.15")
POINTS = ("web", "websecure", "traefik")
INTERNAL = {
    **dict.fromkeys(("api@internal", "dashboard@internal", "noop@internal"), ""),
    **{f"{name}@internal": f"{name} is not enabled" for name in ("ping", "rest", "prometheus")},
}
SERVICES: dict[str, Any] = {
    "s": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}},
    "badurl": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:abc"}]}},
}
# What the project knows nothing of: the files of the machine that Traefik runs on.
UNDECIDED = {"ba-file", "fa-ca", "fa-cert2", "o-ca", "o-casub"}


def recorded(name: str) -> dict[str, Any]:
    """One file of what was recorded."""
    found: dict[str, Any] = yaml.safe_load((PAYLOADS / "building" / f"{name}.yaml").read_text("utf-8"))
    return found


def of_version(grouped: dict[str, list[str]], version: str) -> list[str] | None:
    """What was recorded for a version, None when nothing was."""
    return next((seen for versions, seen in grouped.items() if version in versions.split()), None)


def wrong(kind: str, cases: dict[str, tuple[Any, list[str]]], version: str, more: dict[str, Any]) -> list[Any]:
    """The cases whose router is said otherwise than expected, each with what is said."""
    field = {"middlewares": "middlewares", "services": "service"}[kind]
    routers = {
        name: {
            "rule": f"Host(`{name}.fr`)",
            "entryPoints": ["web"],
            "service": "s",
            field: [name] if field != "service" else name,
        }
        for name in cases
    }
    http = {"services": SERVICES, **more, "routers": routers}
    http[kind] = {**http.get(kind, {}), **{name: value for name, (value, _) in cases.items()}}
    said = predicted({"http": http}, version, POINTS, INTERNAL)["routers"]
    differing = []
    for name, (_, errors) in cases.items():
        status = None if name in UNDECIDED else "disabled" if errors else "enabled"
        mine = said[f"{name}@file"]
        if mine != (status, () if status is None else tuple(errors)):
            differing.append((name, mine, errors))
    return differing


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["middlewares", "services"])
def test_objects_are_said_as_they_were_seen(kind: str, version: str) -> None:
    cases = {
        name: (case["value"], errors)
        for name, case in recorded(kind).items()
        if (errors := of_version(case["errors"], version)) is not None
    }
    more: dict[str, Any] = {
        "serversTransports": {
            "t": {"insecureSkipVerify": True},
            "tbad": {"maxIdleConnsPerHost": 1},
            "tsp": {"maxIdleConnsPerHost": 1},
        }
    }
    if kind == "services":
        more["middlewares"] = {
            "ap": {"addPrefix": {"prefix": "x"}},
            "apbad": {"addPrefix": {"prefix": ""}},
            "erself": {"errors": {"status": ["500"], "service": "mwself"}},
        }
        more["services"] = {}
        if version < "3.7":
            del more["middlewares"]["erself"]
    assert wrong(kind, cases, version, more) == []
    assert len(cases) > 45


@pytest.mark.parametrize("kind", ["middlewares", "services"])
def test_objects_of_2_11_are_said_as_its_sources_tell(kind: str) -> None:
    cases = {name: (case["value"], case["errors"]) for name, case in recorded("2.11")[kind].items()}
    assert wrong(kind, cases, "2.11.53", {}) == []


_FRENCH = re.compile(r"^(error while |invalid rule ).*", re.DOTALL)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["tls", "parents"])
def test_routers_are_said_as_they_were_seen(name: str, version: str) -> None:
    case = recorded(name)
    seen = {router: of_version(grouped, version) for router, grouped in case["seen"].items()}
    if not any(seen.values()):
        assert name == "parents" and version < "3.6"
        return
    dynamic = {"http": {"routers": case["routers"], "services": SERVICES}, "tls": {"options": case["options"]}}
    said = predicted(dynamic, version, POINTS, INTERNAL)["routers"]
    differing = []
    for router, entry in seen.items():
        status, *errors = entry or ["absent"]
        mine = said.get(router, ("absent", ()))
        cut = (
            tuple(_FRENCH.sub(r"\1", error) for error in mine[1]),
            tuple(_FRENCH.sub(r"\1", error) for error in errors),
        )
        if router.removesuffix("@file") in UNDECIDED:
            status, cut = None, ((), ())  # type: ignore[assignment]
        if mine[0] != status or cut[0] != cut[1]:
            differing.append((router, mine, entry))
    assert differing == []
    assert {*said} - {*seen} == set()


def stream(protocol: str, service: str | None, known: References, *middlewares: str, version: str = "3.7.9") -> State:
    """The state of one router of tcp or udp."""
    rule = "HostSNI(`*`)" if protocol == "tcp" else ""
    link = Linked(Router("r@file", rule, ("web",), protocol=protocol), service, middlewares)
    return judge([link], {protocol: {"web"}}, {protocol: known}, features(version)).states[0]


@pytest.mark.parametrize(
    ("protocol", "tree", "version", "error"),
    [
        ("tcp", {}, "3.7.9", 'the service "x@file" does not have any type defined'),
        ("udp", {}, "3.7.9", 'the UDP service "x@file" does not have any type defined'),
        ("tcp", {"Weighted": {"Services": [{"Name": "none"}]}}, "3.7.9", 'the service "none@file" does not exist'),
        ("udp", {"Weighted": {"Services": [{"Name": "none"}]}}, "3.7.9", 'the UDP service "none@file" does not exist'),
        ("tcp", {"LoadBalancer": {}, "Weighted": {}}, "3.7.9", "cannot create service: multi-types service"),
        (
            "tcp",
            {"LoadBalancer": {"Servers": [{"Address": "a:1"}], "ServersTransport": "t"}},
            "3.7.9",
            'no transport configuration found for "t@file"',
        ),
        (
            "tcp",
            {"LoadBalancer": {"Servers": [{"Address": "a:1"}], "ServersTransport": "t"}},
            "3.3.6",
            "TCP dialer not found t@file",
        ),
        ("tcp", {"LoadBalancer": {"Servers": [{"Address": "a"}]}}, "3.7.9", None),
        ("udp", {"LoadBalancer": {"Servers": [{"Address": "a"}]}}, "3.7.9", None),
    ],
)
def test_services_of_tcp_and_udp(protocol: str, tree: dict[str, Any], version: str, error: str | None) -> None:
    part = Part(service_steps("x@file", tree, features(version).version, protocol))
    state = stream(protocol, "x@file", References({"x@file": part}, {}, {}, set()), version=version)
    assert state.status == ("disabled" if error else "enabled")
    assert " ".join(state.errors).startswith(error or "")


def test_a_tcp_service_that_contains_itself_is_not_decided() -> None:
    part = Part(service_steps("x@file", {"Weighted": {"Services": [{"Name": "x"}]}}, (3, 7, 9), "tcp"))
    assert stream("tcp", "x@file", References({"x@file": part}, {}, {}, set())).status is None


def test_a_tcp_middleware_of_two_types_is_its_last() -> None:
    tree = {"IPAllowList": {"SourceRange": ["x"]}, "IPWhiteList": {"SourceRange": ["y"]}}
    known = {at: Part(middleware_steps("m@file", tree, at, "tcp")) for at in ((2, 11, 53), (3, 7, 9))}
    for at, word in (((2, 11, 53), "CIDR whitelist [y]"), ((3, 7, 9), "CIDRs [x]")):
        references = References(sound(["s@file"]), {"m@file": known[at]}, {}, set())
        state = stream("tcp", "s@file", references, "m@file", version=".".join(map(str, at)))
        assert state.status == "disabled" and word in state.errors[0]


def test_what_is_elsewhere_is_not_decided() -> None:
    known = References(sound(["s@docker"]), {}, None, None, providers={"docker"})
    builder = Builder(known, (3, 7, 9))
    assert builder.service("s@docker") == (None, True)
    assert builder.service("gone@docker").fault == 'the service "gone@docker" does not exist'
    assert builder.service("s@file") == (None, False)
    assert builder.middleware("m@consul") == (None, False)
    assert builder.tls_options("strict@file") == (None, False)
    assert builder.tls_options("default") == (None, True)


def test_a_fault_disables_whatever_else_is_not_known() -> None:
    steps = (Step("unknown", "un fichier"), Step("fault", "no"))
    assert Builder(References(middlewares={"m@file": Part(steps)}), (3, 7, 9)).middleware("m@file") == ("no", False)


def test_a_service_of_two_routers_says_all_that_was_said_before() -> None:
    part = Part(service_steps("w@file", {"Weighted": {"Services": [{"Name": "w"}]}}, (3, 7, 9)))
    routers = [Linked(Router(f"{name}@file", "Host(`a`)", ("web",)), "w@file") for name in "ab"]
    first, second = judge(routers, {"http": {"web"}}, {"http": References({"w@file": part})}, features("3.7.9")).states
    loop = "could not instantiate service w@file: recursion detected in service:w@file->service:w@file"
    assert first.errors == (f'building HTTP service "w": {loop}',)
    assert second.errors == (f'{loop}, building HTTP service "w": {loop}',)


def test_a_value_that_was_not_kept_is_not_decided() -> None:
    for tree in (
        {"BasicAuth": {"Users": ["[secret retiré]"]}},
        {"RedirectRegex": {"Regex": "token=[secret retiré]"}},
        {"CircuitBreaker": {"Expression": "[secret retiré]"}},
    ):
        assert [step.kind for step in middleware_steps("m@docker", tree, (3, 7, 9))] == ["unknown"]
    users = {"BasicAuth": {"Users": ["[secret retiré]:[secret retiré]"]}}
    assert middleware_steps("m@docker", users, (3, 7, 9)) == ()


def test_steps_come_back_from_a_table() -> None:
    steps = (Step("fault", 'a "b" c'), Step("proxy", "t http://a"), Step("service", ""))
    assert read_steps(map(str, steps)) == steps
    assert read_steps(None) is None


def test_chains_of_any_depth_and_width_end() -> None:
    wide = {f"m{n}@file": Part((Step("middleware", f"m{n + 1}"),) * 2) for n in range(60)}
    assert Builder(References(middlewares={**wide, "m60@file": Part(())}), (3, 7, 9)).middleware("m0@file") == (
        None,
        True,
    )
    deep = {f"m{n}@file": Part((Step("middleware", f"m{n + 1}"),)) for n in range(5000)}
    assert Builder(References(middlewares=deep), (3, 7, 9)).middleware("m0@file") == (None, False)
