"""Traefik's static configuration: where it is, how it is read, which origin counts, and what is never kept."""

from typing import Any

import pytest

from auditlib.collect import traefik_static
from auditlib.collect.source import Reading, Unreadable
from auditlib.collect.traefik_static import candidates, is_secret, parse_environment, parse_file, parse_flags, proxies
from auditlib.facts.tables.traefik import StaticOption
from auditlib.parameters import Parameters
from tests.conftest import payload

from .fake_engine import FakeEngine
from .servers import GARBAGE, HANG, as_json


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--api.insecure=true"], {"api.insecure": "true"}),
        (["--API.Insecure"], {"api.insecure": "true"}),
        (["-api.insecure"], {"api.insecure": "true"}),
        (["--api.insecure", "--log.level=DEBUG"], {"api.insecure": "true", "log.level": "DEBUG"}),
        (["--log.level", "DEBUG"], {"log.level": "DEBUG"}),
        (["traefik", "--log.level=INFO"], {"log.level": "INFO"}),
        (["--log.level=INFO", "--log.level=DEBUG"], {"log.level": "DEBUG"}),
        (["--providers.docker.defaultrule=Host(`{{ .Name }}`) && Query(`a=b`)"],
         {"providers.docker.defaultrule": "Host(`{{ .Name }}`) && Query(`a=b`)"}),
        (["--log.filepath="], {"log.filepath": ""}),
        # The names that the user chose keep their case.
        (["--entryPoints.WebSecure.Address=:443"], {"entrypoints.WebSecure.address": ":443"}),
        (["--CertificatesResolvers.Le.ACME.Storage=/a"], {"certificatesresolvers.Le.acme.storage": "/a"}),
        (["--experimental.plugins.Bouncer.moduleName=x"], {"experimental.plugins.Bouncer.modulename": "x"}),
        # A switch takes no word: it is on, and Traefik reads no further.
        (["--api.insecure", "false", "--log.level=DEBUG"], {"api.insecure": "true"}),
        ([], {}),
    ],
)  # fmt: skip
def test_flags(words: list[str], options: dict[str, str]) -> None:
    assert dict(parse_flags(words)) == options


def test_the_environment_is_lower_cased_with_the_names_in_it() -> None:
    lines = ["TRAEFIK_ENTRYPOINTS_WebSecure_ADDRESS=:443", "TRAEFIK_LOG_LEVEL=a=b", "PATH=/bin", "XTRAEFIK_API=true"]
    assert dict(parse_environment(lines)) == {"entrypoints.websecure.address": ":443", "log.level": "a=b"}


YAML = """
entryPoints:
  Web:
    address: ":80"
    http: {redirections: {entryPoint: {to: websecure, permanent: yes}}}
  websecure: {address: ":443", http: {tls: {domains: [{main: a.fr, sans: [b.a.fr, c.a.fr]}]}}}
api: {}
ping:
providers: {docker: {exposedByDefault: false, refreshSeconds: 0015, since: 2026-01-01}}
"""
TOML = """
ping = ""
[entryPoints.Web]
address = ":80"
[entryPoints.Web.http.redirections.entryPoint]
to = "websecure"
permanent = true
[api]
[providers.docker]
exposedByDefault = false
refreshSeconds = 15
since = 2026-01-01
[[entryPoints.websecure.http.tls.domains]]
main = "a.fr"
sans = ["b.a.fr", "c.a.fr"]
[entryPoints.websecure]
address = ":443"
"""


@pytest.mark.parametrize(
    ("path", "text", "permanent", "seconds"), [("t.yml", YAML, "yes", "0015"), ("t.toml", TOML, "true", "15")]
)
def test_a_file_is_flattened_as_it_is_written(path: str, text: str, permanent: str, seconds: str) -> None:
    assert dict(parse_file(path, text)) == {
        "entrypoints.Web.address": ":80",
        "entrypoints.Web.http.redirections.entrypoint.to": "websecure",
        "entrypoints.Web.http.redirections.entrypoint.permanent": permanent,
        "entrypoints.websecure.address": ":443",
        "entrypoints.websecure.http.tls.domains[0].main": "a.fr",
        "entrypoints.websecure.http.tls.domains[0].sans": "b.a.fr,c.a.fr",
        "api": "true",
        "ping": "",
        "providers.docker.exposedbydefault": "false",
        "providers.docker.refreshseconds": seconds,
        "providers.docker.since": "2026-01-01",
    }


def test_yaml_merge_keys_are_followed() -> None:
    text = "x: &common {level: DEBUG, format: json}\nlog: {<<: *common, format: common}\n"
    assert {"log.level": "DEBUG", "log.format": "common"}.items() <= dict(parse_file("t.yaml", text)).items()


@pytest.mark.parametrize(
    ("path", "text", "cause"),
    [
        ("t.yml", "log: {level: [", "ligne 2"),
        ("t.yml", "log:\n  level: a\n bad: b\n", "ligne 3"),
        ("t.yml", "a: !!python/object:os.system x", "ligne 1"),
        ("t.yml", "a: \x00", "YAML invalide"),
        ("t.yml", "", "vide"),
        ("t.yml", "# rien\n", "vide"),
        ("t.yml", "seulement du texte", "aucune option"),
        ("t.yml", "[a, b]", "aucune option"),
        ("t.toml", "a = ", "TOML invalide"),
        ("t.yml", "{}", "vide"),
        ("t.toml", "", "vide"),
    ],
)
def test_a_file_that_traefik_would_refuse_is_refused(path: str, text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=f"^{cause}$"):
        dict(parse_file(path, text))


@pytest.mark.parametrize(
    "key",
    [
        "certificatesresolvers.le.acme.eab.kid",
        "certificatesresolvers.le.acme.eab.hmacencoded",
        "certificatesresolvers.le.acme.email",
        "providers.consul.token",
        "providers.consulcatalog.endpoint.httpauth.password",
        "providers.consulcatalog.endpoint.httpauth.username",
        "providers.redis.password",
        "providers.redis.tls.key",
        "providers.etcd.tls.cert",
        "providers.nomad.endpoint.token",
        "providers.http.headers.X-Any",
        "providers.http.headers",
        "providers.plugin.mine.anything.at.all",
        "hub.token",
        "pilot.token",
        "metrics.influxdb2.token",
        "metrics.otlp.http.headers.X-Any",
        "tracing.otlp.grpc.headers.Authorization",
        "tracing.elastic.secrettoken",
        "http.middlewares.a.basicauth.users",
    ],
)
def test_options_whose_value_is_a_secret(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "entrypoints.web.address",
        "entrypoints.web.forwardedheaders.trustedips",
        "certificatesresolvers.le.acme.storage",
        "certificatesresolvers.le.acme.caserver",
        "certificatesresolvers.le.acme.keytype",
        "certificatesresolvers.le.acme.dnschallenge.provider",
        "providers.docker.endpoint",
        "providers.docker.network",
        "providers.file.directory",
        "experimental.plugins.bouncer.modulename",
        "api.insecure",
        "serverstransport.insecureskipverify",
        "log.level",
    ],
)
def test_options_whose_value_the_audit_needs(key: str) -> None:
    assert not is_secret(key)


def container(**changes: Any) -> dict[str, Any]:
    """A Traefik container: `config` of its Config, and other fields of the inspection."""
    config = {"Image": "traefik:v3.6", "Env": [], "WorkingDir": "", **changes.pop("config", {})}
    return {
        "Id": "1" * 64,
        "Name": "/traefik",
        "Path": "/entrypoint.sh",
        "Args": ["traefik"],
        "Config": config,
        "State": {"Running": True},
        "NetworkSettings": {"Ports": {}},
        **changes,
    }


def folders(paths: list[str]) -> list[str]:
    """The places of candidates; each is tried with three extensions."""
    assert [path.rpartition(".")[2] for path in paths] == ["toml", "yaml", "yml"] * (len(paths) // 3)
    return [path.removesuffix(".toml") for path in paths[::3]]


@pytest.mark.parametrize(
    ("config", "places"),
    [
        ({}, ["/etc/traefik/traefik", "/traefik", "/root/.config/traefik"]),
        ({"WorkingDir": "/srv"}, ["/etc/traefik/traefik", "/traefik", "/root/.config/traefik", "/srv/traefik"]),
        ({"User": "0:0"}, ["/etc/traefik/traefik", "/traefik", "/root/.config/traefik"]),
        ({"User": "65532:65532"}, ["/etc/traefik/traefik", "/traefik", "/.config/traefik"]),
        ({"User": "1000", "Env": ["HOME=/home/traefik", "A"]},
         ["/etc/traefik/traefik", "/traefik", "/home/traefik/.config/traefik"]),
        ({"Env": ["XDG_CONFIG_HOME=/xdg/"]},
         ["/etc/traefik/traefik", "/xdg/traefik", "/root/.config/traefik", "/traefik"]),
    ],
)  # fmt: skip
def test_where_traefik_looks_for_its_file(config: dict[str, Any], places: list[str]) -> None:
    assert folders(candidates(container(config=config))) == places


@pytest.mark.parametrize(
    ("args", "first"),
    [
        (["traefik", "--configFile=/conf/my.yml"], "/conf/my.yml"),
        (["--configfile", "conf/../my.toml"], "/srv/my.toml"),
        (["--ConfigFile=my.yml", "--log.level=DEBUG"], "/srv/my.yml"),
    ],
)
def test_a_given_file_comes_first(args: list[str], first: str) -> None:
    found = candidates(container(Args=args, config={"WorkingDir": "/srv"}))
    assert found[0] == first
    assert folders(found[1:])[0] == "/etc/traefik/traefik"


@pytest.mark.parametrize(
    ("image", "path", "args", "found"),
    [
        ("traefik", "/entrypoint.sh", ["traefik"], True),
        ("traefik:v3.6", "x", [], True),
        ("docker.io/library/traefik:v3@sha256:00", "x", [], True),
        ("registre.exemple:5000/outils/traefik", "x", [], True),
        ("mon-image", "/usr/bin/traefik", None, True),
        ("mon-image", "/docker-entrypoint.sh", ["/usr/local/bin/traefik", "--api"], True),
        ("traefik/whoami", "/whoami", ["--name", "traefik"], False),
        ("traefik-forward-auth:2", "/app", [], False),
        ("sha256:0123", "/sbin/init", [], False),
        ("ldez/traefik-certs-dumper", "traefik-certs-dumper", ["file"], False),
        (None, "", None, False),
    ],
)
def test_which_containers_run_traefik(image: str, path: str, args: list[str], found: bool) -> None:
    one = container(config={"Image": image}, Path=path, Args=args)
    assert proxies([one]) == ([one] if found else [])


def test_the_traefik_that_runs_and_publishes_the_web_comes_first() -> None:
    web = {"Ports": {"443/tcp": [{"HostIp": "", "HostPort": "443"}], "80/tcp": None}}
    stopped = container(Name="/a", State={"Running": False}, NetworkSettings=None)
    inner, outer = container(Name="/b"), container(Name="/c", NetworkSettings=web)
    assert proxies([stopped, inner, outer]) == [outer, inner, stopped]


def fetched(engine: FakeEngine, address: str, timeout_s: float = 5) -> dict[str, Any]:
    payloads = {"engine": engine.payload}
    return traefik_static.fetch(Parameters(docker_host=address, timeout_s=timeout_s), payloads)


def test_fetch_gives_what_was_recorded(engine: FakeEngine, address: str) -> None:
    recorded = payload("faulty", "traefik_static")
    assert fetched(engine, address) == {key: value for key, value in recorded.items() if key != "flags"}
    assert {request.method for request in engine.web.requests} == {"GET"}


def test_the_first_file_is_read_through_its_links(engine: FakeEngine, address: str) -> None:
    engine.files = {
        "/etc/traefik/traefik.yml": "../conf.d/current",
        "/etc/conf.d/current": "/data/traefik.yml",
        "/data/traefik.yml": b"log: {level: DEBUG}\n",
        "/traefik.toml": b"never = 'read'",
    }
    assert fetched(engine, address)["files"] == {"/etc/traefik/traefik.yml": "log: {level: DEBUG}\n"}


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"/etc/traefik/traefik.yml": "traefik.yml"}, "trop de liens symboliques"),
        ({"/etc/traefik/traefik.yml": "a", "/etc/traefik/a": "traefik.yml"}, "trop de liens symboliques"),
        ({"/etc/traefik/traefik.yml": None}, "c’est un dossier"),
        ({"/etc/traefik/traefik.yml": b"#" * 2_000_000}, "fichier trop gros"),
    ],
    ids=["itself", "circle", "folder", "big"],
)
def test_a_file_that_cannot_be_read_leaves_nothing_effective(
    engine: FakeEngine, address: str, files: dict[str, Any], fault: str
) -> None:
    engine.files = files
    read = traefik_static.rows(fetched(engine, address))
    assert read.gaps == [f"fichier illisible : /etc/traefik/traefik.yml ({fault})"]
    assert {row.effective for row in read.tables["traefik_static"]} == {None}


def test_a_link_to_nowhere_is_no_file(engine: FakeEngine, address: str) -> None:
    engine.files = {"/etc/traefik/traefik.yml": "absent", "/traefik.yaml": b"log: {}"}
    assert fetched(engine, address)["files"] == {"/traefik.yaml": "log: {}"}


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (as_json({"message": "Forbidden"}, 403), "HTTP 403"),
        (as_json({"message": "boom"}, 500), "HTTP 500"),
        (GARBAGE, "réponse du moteur Docker inutilisable"),
        (HANG, "délai dépassé"),
    ],
    ids=["403", "500", "garbage", "hang"],
)
def test_an_archive_that_the_engine_does_not_give_is_a_gap(
    engine: FakeEngine, address: str, reply: Any, fault: str
) -> None:
    [proxy] = proxies(engine.payload["containers"])
    engine.replies[f"/containers/{proxy['Id']}/archive"] = reply
    assert fetched(engine, address, timeout_s=0.3)["unread"] == [f"/etc/traefik/traefik.toml ({fault})"]


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        ({"engine": None}, "le moteur Docker n’a pas été lu"),
        ({"engine": {"local": False, "containers": []}}, "aucun conteneur Traefik n’a été trouvé"),
    ],
)
def test_without_a_container_the_source_is_absent(payloads: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        traefik_static.fetch(Parameters(), payloads)
    assert (unreadable.value.status, unreadable.value.reason) == ("absent", reason)


def reading(**changes: Any) -> Reading:
    told = {"container": "traefik", "others": [], "args": [], "environment": [], "files": {}, "unread": [], **changes}
    return traefik_static.rows(told)


def effective(read: Reading) -> dict[str, set[bool | None]]:
    """What is said of the options of each origin."""
    told: dict[str, set[bool | None]] = {}
    for row in read.tables["traefik_static"]:
        told.setdefault(row.origin, set()).add(row.effective)
    return told


FILE = {"/etc/traefik/traefik.yml": "log: {level: DEBUG}"}
FLAGS = ["traefik", "--log.level=INFO", "--api.insecure"]
ENVIRONMENT = ["TRAEFIK_LOG_LEVEL=ERROR"]


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ({"files": FILE, "args": FLAGS, "environment": ENVIRONMENT},
         {"file": {True}, "flags": {False}, "environment": {False}}),
        ({"args": FLAGS, "environment": ENVIRONMENT}, {"flags": {True}, "environment": {False}}),
        ({"args": ["traefik"], "environment": ENVIRONMENT}, {"environment": {True}}),
        ({"files": FILE, "environment": ENVIRONMENT}, {"file": {True}, "environment": {False}}),
        ({}, {}),
    ],
)  # fmt: skip
def test_the_first_origin_that_is_present_counts_alone(
    origins: dict[str, Any], expected: dict[str, set[bool | None]]
) -> None:
    read = reading(**origins)
    assert (effective(read), read.gaps) == (expected, [])


@pytest.mark.parametrize(("text", "cause"), [("log:\n  level: a\n bad: b\n", "ligne 3"), ("", "vide")])
def test_a_broken_file_leaves_nothing_effective(text: str, cause: str) -> None:
    read = reading(files={"/etc/traefik/traefik.yml": text}, args=FLAGS, environment=ENVIRONMENT)
    assert read.gaps == [f"fichier /etc/traefik/traefik.yml mal formé ({cause})"]
    assert effective(read) == {"flags": {None}, "environment": {None}}


def test_other_traefiks_are_named_and_change_nothing() -> None:
    read = reading(args=FLAGS, others=["interne", "test"])
    assert read.gaps == ["un seul Traefik est audité, traefik ; aussi trouvés : interne, test"]
    assert "sudo" not in read.remedy
    assert "routes des autres" in read.remedy
    assert effective(read) == {"flags": {True}}


def test_where_an_option_stands_and_its_secrets() -> None:
    files = {
        "/etc/traefik/traefik.yml": "providers: {http: {endpoint: 'https://bob:s3cr3t@conf:8443/x'}}\nhub: {token: x}"
    }
    rows = reading(files=files).tables["traefik_static"]
    assert {(row.key, row.value, row.location) for row in rows} == {
        ("providers.http.endpoint", "https://conf:8443/x", "/etc/traefik/traefik.yml"),
        ("hub.token", None, "/etc/traefik/traefik.yml"),
    }


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_recorded_configurations_make_the_table(variant: str) -> None:
    read = traefik_static.rows(payload(variant, "traefik_static"))
    options = StaticOption.table.rows(read.tables["traefik_static"])
    assert read.gaps == []
    assert {(option.origin, option.effective) for option in options} == {("flags", True)}
    assert options.by(StaticOption.key)["entrypoints.websecure.address"].value == ":443"
    assert {option.key for option in options if option.value is None} == {
        "certificatesresolvers.letsencrypt.acme.email",
        "certificatesresolvers.letsencrypt.acme.eab.kid",
        "certificatesresolvers.letsencrypt.acme.eab.hmacencoded",
    }
