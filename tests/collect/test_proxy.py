"""The local proxy: where it answers, what is asked of it, and what never is."""

import pytest

from auditlib.collect import proxy
from auditlib.collect.source import Unreadable
from tests.conftest import payload

from .proxies import payloads


def asked(*rules: tuple[str, str] | tuple[str, str, bool]) -> list[str]:
    return [target.url(80) for target in proxy.find(payloads({"web": 80}, *rules)).http()]


@pytest.mark.parametrize(
    ("rule", "urls"),
    [
        ("Host(`a.fr`)", ["http://a.fr/"]),
        ("Host(`A.fr.`) && PathPrefix(`/api`)", ["http://a.fr/api"]),
        ("(Host(`a.fr`) || Host(`b.fr`)) && Path(`/x`)", ["http://a.fr/x", "http://b.fr/x"]),
        ("Host(`a.fr`) && PathPrefix(`/é t/é%2Fb`)", ["http://a.fr/%C3%A9%20t/%C3%A9%2Fb"]),
        ("Host(`a.fr`) && PathPrefix(`/x?y#z`)", ["http://a.fr/x%3Fy%23z"]),
        ("Host(`127.0.0.1`)", ["http://127.0.0.1/"]),
        # What no question can be made of.
        ("HostRegexp(`^.+$`)", []),
        ("Host(`*.a.fr`)", []),
        ("Host(`*`)", []),
        ("Host(`a.fr`) && PathRegexp(`^/x`)", []),
        ("Host(`a.fr`) && Path(`/p/{id}`)", []),
        ("PathPrefix(`/api`)", []),
        ("!Host(`a.fr`)", []),
        ("Host(`a b`)", []),
        ("Host(`a.fr\r\nX: y`)", []),
        ("Host(`" + "a" * 64 + ".fr`)", []),
        ("Host(`a..fr`)", []),
        ("Host(`-a.fr`)", []),
        ("Host(", []),
    ],
)
def test_what_a_rule_lets_ask(rule: str, urls: list[str]) -> None:
    found = proxy.find(payloads({"web": 80}, (rule, "web")))
    assert [target.url(80) for target in found.http()] == urls
    assert found.skipped == (set() if urls else {"r0@file"})


def test_a_question_is_asked_once_for_each_entry_point() -> None:
    told = payloads({"web": 80, "websecure": 443}, ("Host(`a.fr`)", "web"), ("Host(`a.fr`)", "websecure", True))
    told["traefik_api"]["rawdata"]["routers"]["again@file"] = told["traefik_api"]["rawdata"]["routers"]["r0@file"]
    found = proxy.find(told)
    assert [(one.entrypoint, one.tls, one.url(443)) for one in found.http()] == [
        ("web", False, "http://a.fr:443/"),
        ("websecure", True, "https://a.fr/"),
    ]
    assert [(one.entrypoint, one.domain) for one in found.tls()] == [("websecure", "a.fr")]


def test_disabled_routers_and_internal_ones_are_left_alone() -> None:
    told = payloads({"web": 80}, ("Host(`a.fr`)", "web"))
    routers = told["traefik_api"]["rawdata"]["routers"]
    routers["r0@file"]["status"] = "disabled"
    routers["api@internal"] = {"rule": "PathPrefix(`/api`)", "using": ["web"], "status": "enabled"}
    found = proxy.find(told)
    assert (found.http(), found.skipped) == ([], set())


def test_each_domain_is_asked_at_the_gates_that_redirect() -> None:
    told = payloads({"web": 80, "websecure": 443}, ("Host(`a.fr`) && PathPrefix(`/x`)", "websecure", True))
    told["traefik_api"]["entrypoints"][0]["http"] = {"redirections": {"entryPoint": {"to": "websecure"}}}
    assert [(one.entrypoint, one.url(80)) for one in proxy.find(told).http()] == [
        ("websecure", "https://a.fr:80/x"),
        ("web", "http://a.fr/"),
    ]


def test_tcp_routers_with_tls_have_names_too() -> None:
    told = payloads({"db": 5432})
    told["traefik_api"]["rawdata"]["tcpRouters"] = {
        "db@file": {"rule": "HostSNI(`db.fr`)", "using": ["db"], "status": "enabled", "tls": {}},
        "all@file": {"rule": "HostSNI(`*`)", "using": ["db"], "status": "enabled"},
    }
    found = proxy.find(told)
    assert [(one.entrypoint, one.domain) for one in found.tls()] == [("db", "db.fr")]
    assert found.http() == []


def test_where_an_entry_point_answers() -> None:
    told = payloads({"web": 8000}, ("Host(`a.fr`)", "web"))
    [container] = told["engine"]["containers"]
    assert proxy.find(told).gates["web"].addresses == (("127.0.0.1", 8000), ("10.255.0.2", 1000))
    # Traefik in the network of another container.
    vpn = {**container, "Id": "2" * 64, "Name": "/vpn"}
    joined = {"HostConfig": {"NetworkMode": f"container:{'2' * 64}"}, "NetworkSettings": {"Ports": {}, "Networks": {}}}
    told["engine"]["containers"] = [{**container, **joined}, vpn]
    assert proxy.find(told).gates["web"].addresses[0] == ("127.0.0.1", 8000)


def test_a_traefik_outside_docker_is_asked_on_the_loopback() -> None:
    told = payloads({"web": 80}, ("Host(`a.fr`)", "web"), container=None)
    assert proxy.find({**told, "engine": None}).gates["web"].addresses == (("127.0.0.1", 1000),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"traefik_api": None}, "les routes de Traefik n’ont pas été lues"),
        (payloads({}, local=False), "le moteur Docker audité est sur une autre machine"),
        (payloads({}, container=None, url="https://tr.fr"), "Traefik n’est pas sur cette machine"),
    ],
)
def test_no_proxy_on_this_machine(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        proxy.find({"engine": None, **changes})
    assert (unreadable.value.status, unreadable.value.reason) == ("absent", reason)


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_the_routes_of_the_reference_server(variant: str) -> None:
    recorded = {name: payload(variant, name) for name in ("engine", "traefik_api")}
    recorded["engine"]["local"] = True
    found = proxy.find(recorded)
    assert {
        "https://files.4lb.ca/",
        "https://files.4lb.ca/api",
        "https://ai.4lb.ca/",
        "https://ai.4lb.ca/api",
        "https://ai.4lb.ca/ws",
        "https://jsr.4lb.ca/",
        "https://traefik.4lb.ca/",
    } <= {target.url(443) for target in found.http() if target.entrypoint == "websecure"}
    assert {target.domain for target in found.tls()} == {"files.4lb.ca", "ai.4lb.ca", "jsr.4lb.ca", "traefik.4lb.ca"}
