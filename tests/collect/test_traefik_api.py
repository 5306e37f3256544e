"""What Traefik's API answers, and what becomes of it as rows."""

import json
import socket
import time
from typing import Any

import pytest

from auditlib.collect import traefik_api
from auditlib.collect.secrets import REMOVED
from auditlib.collect.source import Outcome, Reading, Source, gather
from auditlib.facts.table import Row
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.traefik import TraefikEntrypoint
from auditlib.parameters import Parameters
from tests.conftest import PAYLOADS, payload

from .fake_traefik import FakeTraefik
from .servers import GARBAGE, HANG, HTML, SILENT, TRUNCATED, Reply, as_json

API = Source(
    "traefik_api", "API de Traefik", (), traefik_api.fetch, traefik_api.rows, after=("engine", "traefik_static")
)
UNREAD = tuple(Source(name, name, (), lambda *given: None, lambda told: Reading({})) for name in API.after)

BY_HAND = "Donner traefik_api (et traefik_auth_env si l’API demande un mot de passe)."
TIMEOUT = "Augmenter timeout_s, ou vérifier l’adresse."
PASSWORD = "Donner dans traefik_auth_env le nom de la variable qui contient utilisateur:mot de passe."
NO_API = "Ce qui répond à l’adresse {url} n’est pas l’API de Traefik."


def read(url: str, timeout_s: float = 5) -> Outcome:
    parameters = Parameters(traefik_api=url, timeout_s=timeout_s)
    return gather([*UNREAD, API], parameters, lambda outcome: None)["traefik_api"]


@pytest.fixture
def traefik() -> FakeTraefik:
    return FakeTraefik(payload("faulty", "traefik_api"))


@pytest.mark.parametrize("base", ["", "/outils/traefik"])
@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/", "/dashboard/", "/api/rawdata"])
def test_the_address_may_be_that_of_the_api_or_of_its_dashboard(traefik: FakeTraefik, base: str, suffix: str) -> None:
    traefik.base = base
    with traefik.web.over_tcp() as port:
        outcome = read(f"http://127.0.0.1:{port}{base}{suffix}")
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.payload["url"] == f"http://127.0.0.1:{port}{base}"


@pytest.mark.parametrize("part", ["version", "entrypoints"])
@pytest.mark.parametrize(
    ("reply", "status", "reason", "remedy"),
    [
        (Reply(401, b"401 Unauthorized"), "refused",
         "L’API de Traefik à l’adresse {url} demande un mot de passe ou l’a refusé (HTTP 401).", PASSWORD),
        (Reply(403, b"Forbidden"), "refused",
         "L’API de Traefik à l’adresse {url} demande un mot de passe ou l’a refusé (HTTP 403).", PASSWORD),
        (Reply(404, b"404 page not found\n"), "failed",
         "L’API de Traefik à l’adresse {url} répond HTTP 404 à {path}.", BY_HAND),
        (as_json({}, 502), "failed", "L’API de Traefik à l’adresse {url} répond HTTP 502 à {path}.", BY_HAND),
        (Reply(302, b"", {"Location": "https://sso.fr/login?token=abcdef"}), "failed",
         f"L’API de Traefik à l’adresse {{url}} redirige vers https://sso.fr/login?token={REMOVED}.",
         "Donner cette adresse dans traefik_api."),
        (Reply(304), "failed", "L’API de Traefik à l’adresse {url} répond HTTP 304 à {path}.", BY_HAND),
        (HTML, "failed", NO_API, BY_HAND),
        (GARBAGE, "failed", NO_API, BY_HAND),
        (SILENT, "failed", NO_API, BY_HAND),
        (TRUNCATED, "failed", NO_API, BY_HAND),
        (Reply(200, b"\xff\xfe"), "failed", NO_API, BY_HAND),
        (Reply(200, b"not gzip", {"Content-Encoding": "gzip"}), "failed", NO_API, BY_HAND),
        (HANG, "failed", "L’API de Traefik à l’adresse {url} ne répond pas à temps.", TIMEOUT),
    ],
    ids=[401, 403, 404, 502, "redirect", 304, "html", "garbage", "silent", "truncated", "binary", "gzip", "hang"],
)  # fmt: skip
def test_every_other_answer_is_one_french_sentence(
    traefik: FakeTraefik, part: str, reply: Reply, status: str, reason: str, remedy: str
) -> None:
    traefik.replies[part] = reply
    with traefik.web.over_tcp() as port:
        url = f"http://127.0.0.1:{port}"
        outcome = read(url, timeout_s=1.5 if reply is HANG else 5)
    path = f"/api/{part}" + ("?per_page=10000" if part == "entrypoints" else "")
    expected = reason.format(url=url, path=path)
    assert (outcome.status, outcome.reason, outcome.remedy) == (status, expected, remedy)
    assert outcome.tables == {}


def test_a_closed_port_is_said_in_french() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        outcome = read(url)
    assert outcome.reason == f"L’API de Traefik à l’adresse {url} ne répond pas (connexion refusée)."
    assert (outcome.status, outcome.remedy) == ("failed", BY_HAND)


def test_an_unknown_name_is_said_in_french() -> None:
    outcome = read("http://nulle-part.invalid")
    assert outcome.reason.endswith("ne répond pas (nom de machine inconnu).")


def test_an_answer_too_big_is_not_read_to_its_end(traefik: FakeTraefik, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traefik_api, "MAX_BODY", 3_000_000)
    traefik.replies["rawdata"] = Reply(200, b'"' + b"x" * 5_000_000 + b'"')
    with traefik.web.over_tcp() as port:
        outcome = read(f"http://127.0.0.1:{port}")
    assert outcome.status == "failed"
    assert outcome.reason.endswith(f":{port} répond plus de 3 Mo à /api/rawdata.")


def test_an_answer_that_trickles_costs_the_timeout_only(traefik: FakeTraefik) -> None:
    answer = traefik.web.respond

    def slow(request: Any) -> Reply:
        time.sleep(0.3)
        return answer(request)

    traefik.web.respond = slow
    with traefik.web.over_tcp() as port:
        started = time.monotonic()
        outcome = read(f"http://127.0.0.1:{port}", timeout_s=0.5)
    assert time.monotonic() - started < 1.2
    assert (outcome.status, outcome.reason) == ("failed", "Aucune réponse complète en 0,5 s.")


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("version", []),
        ("version", {}),
        ("version", "3.6.6"),
        ("version", None),
        ("rawdata", []),
        ("entrypoints", {}),
        ("overview", 3),
    ],
)
def test_json_of_something_else_is_no_api(traefik: FakeTraefik, part: str, answer: object) -> None:
    traefik.parts[part] = answer
    with traefik.web.over_tcp() as port:
        url = f"http://127.0.0.1:{port}"
        outcome = read(url)
    assert (outcome.status, outcome.reason) == ("failed", NO_API.format(url=url))


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("rawdata", {"routers": {"a@file": {"priority": 1.5}}}),
        ("rawdata", {"services": {"a@file": {"usedBy": [3]}}}),
        ("entrypoints", [{"name": "web"}]),
        ("entrypoints", ["web"]),
        ("overview", {"providers": 3}),
    ],
)
def test_answers_of_another_form_are_recorded_as_failed(traefik: FakeTraefik, part: str, answer: object) -> None:
    traefik.parts[part] = answer
    with traefik.web.over_tcp() as port:
        outcome = read(f"http://127.0.0.1:{port}")
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason.startswith("La réponse n’a pas la forme attendue (")


def reading(version: str = "3.6.6", entrypoints: Any = (), overview: Any = (), **raw: Any) -> Reading:
    told = {"version": {"Version": version}, "rawdata": raw, "entrypoints": entrypoints, "overview": dict(overview)}
    return traefik_api.rows({"url": "http://t:8080", "container": None, **told})


def one(table: str, version: str = "3.6.6", **raw: Any) -> Row:
    """The only row of a table, as a snapshot holds it."""
    [row] = TABLES[table].rows(reading(version, **raw).tables[table])
    return row


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("rawdata-3.0.4", {"routers": 121, "services": 4}),
        ("rawdata-3.7.15", {"routers": 21, "services": 14}),
    ],
)
def test_real_answers_make_the_declared_tables(name: str, counts: dict[str, int]) -> None:
    raw = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    made = reading(name.removeprefix("rawdata-"), **raw)
    assert made.gaps == []
    for table, rows in made.tables.items():
        TABLES[table].rows(rows)
    for kind in ("routers", "services", "middlewares"):
        expected = sum(len(raw.get(key, {})) for key in (kind, f"tcp{kind.capitalize()}", f"udp{kind.capitalize()}"))
        assert len(made.tables[f"traefik_{kind}"]) == expected
    assert {kind: len(made.tables[f"traefik_{kind}"]) for kind in counts} == counts


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_recorded_answers_make_the_declared_tables(variant: str) -> None:
    recorded = payload(variant, "traefik_api")
    made = traefik_api.rows(recorded).tables
    tables = {name: TABLES[name].rows(rows) for name, rows in made.items()}
    assert set(tables) == {name for name, table in TABLES.items() if table.source == "traefik_api"}
    assert len(tables["traefik_routers"]) == len(recorded["rawdata"]["routers"])
    [traefik] = tables["traefik"]
    assert (traefik.version, traefik.providers, traefik.container) == ("3.6.6", ("Docker", "File"), "traefik")
    ports = {row.entrypoint: (row.port, row.default) for row in made["traefik_entrypoints"]}
    assert ports == {"traefik": (8080, False), "web": (80, True), "websecure": (443, True)}


def test_the_statuses_and_errors_of_a_real_traefik() -> None:
    raw = json.loads((PAYLOADS / "rawdata-3.7.15.json").read_text("utf-8"))
    made = reading("3.7.15", **raw).tables
    routers = {(row.protocol, row.router): row for row in made["traefik_routers"]}
    assert routers["http", "mwbad@file"].status == "disabled"
    assert routers["http", "mwbad@file"].errors == tuple(raw["routers"]["mwbad@file"]["error"])
    assert routers["tcp", "tcp2@file"].tls
    assert routers["tcp", "tcp1@file"].service == "tcp1@file"
    assert routers["http", "ping@internal"].priority == 9223372036854775807
    states = {(row.service, row.url): row.status for row in made["traefik_servers"]}
    assert states["hc@file", "http://127.0.0.1:21001"] == "UP"
    assert states["hc@file", "http://127.0.0.1:21009"] == "DOWN"
    # Traefik says UP of it too, without having looked.
    assert states["down@file", "http://127.0.0.1:21009"] is None
    assert states["tcp1@file", "127.0.0.1:21001"] is None
    middlewares = {row.middleware: row.type for row in made["traefik_middlewares"]}
    assert (middlewares["auth@file"], middlewares["sec@file"]) == ("basicAuth", "headers")


@pytest.mark.parametrize("priority", [9223372036854775807, 9223372036854775806, 0, -(2**63), 2**53 + 1])
def test_priorities_are_exact(priority: int) -> None:
    router = {"rule": "Host(`a`)", "service": "s", "priority": priority}
    rows = TABLES["traefik_routers"].rows(reading(routers={"a@file": router, "b@file": {}}).tables["traefik_routers"])
    assert [row.priority for row in rows] == [priority, None]


@pytest.mark.parametrize(
    ("router", "column", "expected"),
    [
        ({"service": "app"}, "service", "app@docker"),
        ({"service": "app@file"}, "service", "app@file"),
        ({"service": "api@internal"}, "service", "api@internal"),
        ({}, "service", None),
        ({"middlewares": ["auth", "sec@file"]}, "middlewares", ("auth@docker", "sec@file")),
        ({"entryPoints": ["web"], "using": ["web", "websecure"]}, "entrypoints", ("web", "websecure")),
        ({"entryPoints": ["unknown"]}, "entrypoints", ("unknown",)),
        ({"tls": {}}, "tls", True),
        ({"tls": {"options": "default"}}, "cert_resolver", None),
        ({"tls": {"certResolver": "le"}}, "cert_resolver", "le"),
        ({}, "tls", False),
        ({"tls": {"options": "strict"}}, "tls_options", "strict@docker"),
        ({"tls": {"options": "default"}}, "tls_options", "default"),
        ({"tls": {}}, "tls_options", "default"),
        ({}, "tls_options", None),
        ({"parentRefs": ["up", "up@file"]}, "parents", ("up@docker", "up@file")),
        ({}, "parents", ()),
        ({"ruleSyntax": "v2"}, "rule_syntax", "v2"),
        ({}, "rule_syntax", None),
        ({}, "rule", None),
        ({"rule": "Header(`X-Token`, `abc`)"}, "priority", 24),
        ({"rule": "Header(`X-Token`, `abc`)", "priority": 7}, "priority", 7),
        ({"rule": "Host(`a.fr`)"}, "priority", None),
        ({"status": "disabled", "error": ["no"]}, "errors", ("no",)),
        ({"error": "no"}, "errors", ("no",)),
        ({}, "errors", ()),
        ({"error": ["parsing rule Header(`X-Token`, `abc`): no"]}, "errors",
         (f"parsing rule Header(`X-Token`, `{REMOVED}`): no",)),
    ],
)  # fmt: skip
def test_a_router(router: dict[str, Any], column: str, expected: Any) -> None:
    row = one("traefik_routers", routers={"app@docker": router})
    assert getattr(row, column) == expected
    assert (row.provider, row.protocol) == ("docker", "http")


@pytest.mark.parametrize(("key", "protocol"), [("routers", "http"), ("tcpRouters", "tcp"), ("udpRouters", "udp")])
def test_a_router_of_each_protocol(key: str, protocol: str) -> None:
    assert one("traefik_routers", **{key: {"a@file": {}}}).protocol == protocol


@pytest.mark.parametrize(
    ("service", "kind", "children"),
    [
        ({"loadBalancer": {"servers": []}}, "loadBalancer", ()),
        ({"weighted": {"services": [{"name": "a"}, {"name": "b@file"}]}}, "weighted", ("a@docker", "b@file")),
        ({"mirroring": {"service": "a", "mirrors": [{"name": "b"}]}}, "mirroring", ("b@docker", "a@docker")),
        ({"failover": {"service": "a", "fallback": "b"}}, "failover", ("a@docker", "b@docker")),
        ({"highestRandomWeight": {"services": [{"name": "a"}]}}, "highestRandomWeight", ("a@docker",)),
        ({}, None, ()),
    ],
)  # fmt: skip
def test_a_service(service: dict[str, Any], kind: str | None, children: tuple[str, ...]) -> None:
    row = one("traefik_services", services={"s@docker": service})
    assert (row.type, row.children) == (kind, children)


def test_a_service_of_traefik_itself() -> None:
    assert one("traefik_services", services={"api@internal": {}}).type == "internal"


def servers(balancer: dict[str, Any], states: dict[str, str]) -> list[tuple[str, str | None]]:
    made = reading(services={"s@file": {"loadBalancer": balancer, "serverStatus": states}}).tables
    return [(row.url, row.status) for row in TABLES["traefik_servers"].rows(made["traefik_servers"])]


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        (["http://auth:9000"], ["http://auth:9000"]),
        (["http://a:80", "http://a:80"], ["http://a:80"]),
        (["http://bob:pw1@a:80", "http://eve:pw2@a:80"], ["http://a:80"]),
        (["h2c://[fd00::2]:50051"], ["h2c://[fd00::2]:50051"]),
        (["http://a:80/x?token=abc"], [f"http://a:80/x?token={REMOVED}"]),
    ],
)
def test_servers_keep_no_secret_and_are_told_once(urls: list[str], shown: list[str]) -> None:
    checked = {"servers": [{"url": url} for url in urls], "healthCheck": {"path": "/"}}
    told = servers(checked, dict.fromkeys(urls, "UP"))
    assert told == [(url, "UP") for url in shown]


def test_servers_of_tcp_and_udp_are_addresses() -> None:
    balancer = {"servers": [{"address": "auth:5432"}, {"address": "[fd00::2]:53"}]}
    made = reading(
        tcpServices={"s@file": {"loadBalancer": balancer}}, udpServices={"s@file": {"loadBalancer": balancer}}
    )
    told = [(row.protocol, row.url) for row in made.tables["traefik_servers"]]
    assert told == [(protocol, url) for protocol in ("tcp", "udp") for url in ("auth:5432", "[fd00::2]:53")]


@pytest.mark.parametrize(
    ("middleware", "kind", "chain"),
    [
        ({"chain": {"middlewares": ["a", "b@file"]}, "status": "enabled"}, "chain", ("a@docker", "b@file")),
        ({"status": "enabled", "plugin": {"bouncer": {"apiKey": "x"}}}, "plugin", ()),
        ({"compress": {}, "usedBy": ["r@docker"]}, "compress", ()),
        ({"error": ["no"], "status": "disabled"}, None, ()),
    ],
)
def test_a_middleware(middleware: dict[str, Any], kind: str | None, chain: tuple[str, ...]) -> None:
    row = one("traefik_middlewares", middlewares={"m@docker": middleware})
    assert (row.type, row.chain, row.used_by) == (kind, chain, tuple(middleware.get("usedBy", ())))


def entrypoints(*raw: dict[str, Any], version: str = "3.6.6") -> dict[str, TraefikEntrypoint]:
    rows = reading(version, entrypoints=[*raw]).tables["traefik_entrypoints"]
    return {row.entrypoint: row for row in TABLES["traefik_entrypoints"].rows(rows)}


def test_the_default_entry_points_are_all_but_traefik_until_one_is_marked() -> None:
    three = [{"name": name, "address": ":1"} for name in ("traefik", "web", "Traefik")]
    defaults = {name: row.default for name, row in entrypoints(*three).items()}
    assert defaults == {"traefik": False, "web": True, "Traefik": True}
    marked = [{**one, "asDefault": one["name"] == "web"} for one in three]
    assert [name for name, row in entrypoints(*marked).items() if row.default] == ["web"]


@pytest.mark.parametrize(
    ("address", "port", "protocol"),
    [(":443", 443, "tcp"), ("127.0.0.1:8080/tcp", 8080, "tcp"), ("[::1]:53/udp", 53, "udp"), (":0", 0, "tcp")],
)
def test_the_address_of_an_entry_point(address: str, port: int, protocol: str) -> None:
    row = entrypoints({"name": "e", "address": address})["e"]
    assert (row.port, row.protocol, row.address) == (port, protocol, address)


def test_what_an_entry_point_does_to_its_routers() -> None:
    http = {"tls": {}, "middlewares": ["sec@file", "auth"], "redirections": {"entryPoint": {"to": "websecure"}}}
    row = entrypoints({"name": "web", "address": ":80", "http": http})["web"]
    assert (row.tls, row.redirect_to, row.middlewares) == (True, "websecure", ("sec@file", "auth@file"))
    plain = entrypoints({"name": "web", "address": ":80"})["web"]
    assert (plain.tls, plain.redirect_to, plain.middlewares) == (False, None, ())


def test_what_an_entry_point_does_to_requests() -> None:
    http = {"sanitizePath": False, "encodeQuerySemicolons": True}
    allowed = {"allowEncodedSlash": True, "allowEncodedHash": True, "allowEncodedPercent": True}
    raw = {"name": "web", "address": ":80", "forwardedHeaders": {"trustedIPs": ["10.0.0.0/8"]}}
    row = entrypoints({**raw, "http": {**http, "encodedCharacters": allowed}})["web"]
    assert (row.sanitizes_path, row.encodes_semicolons, row.trusted) == (False, True, ("10.0.0.0/8",))
    assert row.refused_characters == ("%5C", "%00", "%3B", "%3F")
    plain = entrypoints({**raw, "forwardedHeaders": {"insecure": True}})["web"]
    assert (plain.sanitizes_path, plain.refused_characters, plain.encodes_semicolons) == (None, None, False)
    assert plain.trusted == ("0.0.0.0/0", "::/0")


def test_version_2_is_read_by_its_documented_shape_and_says_so() -> None:
    router = {"entryPoints": ["web"], "service": "app", "rule": "Host(`a`, `b`)", "status": "enabled", "using": ["web"]}
    made = reading("2.11.53", overview={"providers": ["Docker"]}, routers={"app@docker": router})
    [row] = TABLES["traefik_routers"].rows(made.tables["traefik_routers"])
    assert (row.rule_syntax, row.priority, row.rule) == ("v2", None, "Host(`a`, `b`)")
    assert made.gaps == []
    assert made.note == "Traefik 2 : lu selon la forme documentée de son API, sans vérification sur un vrai Traefik 2."
    assert reading("3.0.0").note == ""
    assert [row.version for row in reading("v3.1.0-rc1").tables["traefik"]] == ["3.1.0-rc1"]
