"""ACME storages: where they are, what stands there, and what never leaves them."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import acme
from auditlib.collect.source import Reading, Unreadable
from auditlib.facts.tables import TABLES
from auditlib.parameters import Parameters
from tests.conftest import PAYLOADS, payload

from .fake_engine import FakeEngine
from .servers import GARBAGE, HANG, as_json

STORAGE = "/certs/acme.json"
SAMPLE = (PAYLOADS / "acme-3.7.15-sample.json").read_bytes()
[STORED] = json.loads(SAMPLE)["le"]["Certificates"]


def document(certificates: Any, resolver: str = "letsencrypt") -> bytes:
    account = {"Email": "moi@a.fr", "PrivateKey": "U0VDUkVU", "Registration": {"uri": "https://ca/acct/1"}}
    return json.dumps({resolver: {"Account": account, "Certificates": certificates}}).encode()


def read(engine: FakeEngine, address: str, timeout_s: float = 5) -> Reading:
    payloads = {"engine": engine.payload, "traefik_static": payload("faulty", "traefik_static")}
    raw = acme.fetch(Parameters(docker_host=address, timeout_s=timeout_s), payloads)
    reading = acme.rows(raw)
    for name, rows in reading.tables.items():
        TABLES[name].rows(rows)
    assert {request.method for request in engine.web.requests} == {"GET"}
    # Neither the payload nor the rows know more than certificates.
    for secret in ("U0VDUkVU", "moi@a.fr", "acct/1", "UkVEQUNURUQ", "PrivateKey"):
        assert secret not in json.dumps(raw)
    return reading


def storage(reading: Reading) -> dict[str, Any]:
    [row] = reading.tables["acme_storage"]
    return row


@pytest.mark.parametrize("version", ["3.3.6", "3.7.15"])
def test_a_storage_as_traefik_writes_it(engine: FakeEngine, address: str, version: str) -> None:
    written = (PAYLOADS / f"acme-{version}-sample.json").read_bytes().replace(b'"le"', b'"letsencrypt"')
    engine.files, engine.modes = {STORAGE: written}, {STORAGE: 0o100600}
    reading = read(engine, address)
    row = storage(reading)
    assert (row.exists, row.kind, row.mode, row.owner) == (True, "file", "600", "0")
    assert (row.valid, row.cause, row.certificates, row.size) == (True, None, 1, len(written))
    assert (row.challenge, row.ca_server) == ("http-01", "https://127.0.0.1:14000/dir")
    assert row.persistent
    assert row.host_path.endswith("/unified-stack/traefik/certs/acme.json")
    [certificate] = reading.tables["certificates"]
    assert (certificate.resolver, certificate.domain) == ("letsencrypt", "a.example.com")
    assert certificate.domains == ("a.example.com", "b.example.com")
    assert reading.gaps == []


@pytest.mark.parametrize(
    ("content", "valid", "cause", "count"),
    [
        (b"", True, None, 0),
        (b" \n", True, None, 0),
        (b"{}", True, None, 0),
        (document(None), True, None, 0),
        (document([]), True, None, 0),
        (b'{"letsencrypt": null}', True, None, 0),
        (document([STORED], "autre"), True, None, 0),
        (document([STORED, STORED]), True, None, 2),
        (document([{**STORED, "certificate": "%%%"}]), False, "base64 invalide, résolveur « letsencrypt »", None),
        (document([{**STORED, "certificate": 3}]), False, "base64 invalide, résolveur « letsencrypt »", None),
        (document({"a": 1}), False, "résolveur « letsencrypt » d’une autre forme", None),
        (b'{"letsencrypt": 3}', False, "résolveur « letsencrypt » d’une autre forme", None),
        (b'{"letsencrypt": \n {', False, "JSON mal formé (ligne 2)", None),
        ('{"letsencrypt": {}}'.encode("utf-16"), False, "JSON mal formé (ligne 1)", None),
        (b"[" * 100_000, False, "JSON mal formé", None),
        (b"[]", False, "ce n’est pas un stockage ACME", None),
        (b'{"Account": {"PrivateKey": "U0VDUkVU"}, "Certificates": null}', False, "format de Traefik 1", None),
        (b'{"Account": {}, "DomainsCertificate": {"Certs": []}}', False, "format de Traefik 1", None),
    ],
)
def test_what_a_storage_may_hold(
    engine: FakeEngine, address: str, content: bytes, valid: bool, cause: str | None, count: int | None
) -> None:
    engine.files = {STORAGE: content}
    row = storage(read(engine, address))
    assert (row.exists, row.valid, row.cause, row.certificates) == (True, valid, cause, count)


def test_a_broken_leaf_is_a_certificate_that_cannot_be_read(engine: FakeEngine, address: str) -> None:
    chain = base64.b64decode(STORED["certificate"])
    broken = chain.replace(b"MII", b"AAA", 1)
    engine.files = {STORAGE: document([{**STORED, "certificate": base64.b64encode(broken).decode()}, {}, 3, STORED])}
    reading = read(engine, address)
    assert (storage(reading).valid, storage(reading).certificates) == (True, 4)
    told = {(row.domain, row.valid, row.cause) for row in reading.tables["certificates"]}
    assert told == {
        ("a.example.com", False, "certificat X.509 mal formé"),
        (None, False, "aucun certificat PEM"),
        ("a.example.com", True, None),
    }


def test_several_resolvers_in_one_file(engine: FakeEngine, address: str) -> None:
    engine.files = {STORAGE: json.dumps({"letsencrypt": {"Certificates": [STORED]}, "zerossl": {}}).encode()}
    static = payload("faulty", "traefik_static")
    static["args"] += ["--certificatesResolvers.zerossl.acme.storage=/certs/acme.json"]
    static["args"] += ["--certificatesresolvers.zerossl.acme.dnschallenge.provider=ovh"]
    raw = acme.fetch(Parameters(docker_host=address), {"engine": engine.payload, "traefik_static": static})
    told = {row.resolver: row for row in acme.rows(raw).tables["acme_storage"]}
    assert {name: (row.certificates, row.challenge) for name, row in told.items()} == {
        "letsencrypt": (1, "http-01"),
        "zerossl": (0, "dns-01"),
    }
    assert told["zerossl"].ca_server == acme.DEFAULT_CA


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (False, None, None, None)),
        ({STORAGE: None}, (True, "directory", False, "ce n’est pas un fichier")),
        ({STORAGE: "../data/acme.json", "/data/acme.json": b"{}"}, (True, "file", True, None)),
        ({STORAGE: "absent"}, (False, None, None, None)),
    ],
    ids=["absent", "folder", "link", "link to nowhere"],
)
def test_what_may_stand_there(engine: FakeEngine, address: str, files: dict[str, Any], expected: Any) -> None:
    engine.files = files
    row = storage(read(engine, address))
    assert (row.exists, row.kind, row.valid, row.cause) == expected
    # A link out of the mount leads where nothing persists.
    assert row.persistent is ("/data/acme.json" not in files)


@pytest.mark.parametrize(
    ("reply", "fault", "remedy"),
    [
        (as_json({"message": "Forbidden"}, 403), "HTTP 403", "Autoriser GET sur /containers, archive comprise."),
        (as_json({"message": "boom"}, 500), "HTTP 500", ""),
        (as_json({"message": "No such container: traefik"}, 404), "HTTP 404", ""),
        (GARBAGE, "réponse du moteur Docker inutilisable", ""),
        (HANG, "délai dépassé", ""),
    ],
    ids=["403", "500", "gone", "garbage", "hang"],
)
def test_a_storage_that_the_engine_does_not_give(
    engine: FakeEngine, address: str, reply: Any, fault: str, remedy: str
) -> None:
    [proxy] = [one for one in engine.payload["containers"] if one["Name"] == "/traefik"]
    engine.replies[f"/containers/{proxy['Id']}/archive"] = reply
    reading = read(engine, address, timeout_s=0.5)
    assert reading.gaps == [f"stockage ACME illisible : {STORAGE} ({fault})"]
    assert reading.remedy == remedy
    row = storage(reading)
    assert (row.exists, row.valid, row.certificates) == (None, None, None)


def test_links_in_a_circle_and_a_file_too_big(
    engine: FakeEngine, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.files = {STORAGE: "acme.json"}
    assert read(engine, address).gaps == [f"stockage ACME illisible : {STORAGE} (trop de liens symboliques)"]
    monkeypatch.setattr(acme, "MAX_STORAGE", 10)
    engine.files = {STORAGE: SAMPLE}
    reading = read(engine, address)
    assert reading.gaps == [f"stockage ACME illisible : {STORAGE} (fichier trop gros)"]
    assert storage(reading).valid is None


RESOLVERS = [
    ({"certificatesresolvers.le.acme.email": "x"}, "/acme.json", None),
    ({"certificatesresolvers.le.acme": "true"}, "/acme.json", None),
    ({"certificatesresolvers.le.acme.storage": "data/../le.json"}, "/srv/le.json", None),
    ({"certificatesresolvers.le.acme.tlschallenge": "true"}, "/acme.json", "tls-alpn-01"),
    ({"certificatesresolvers.le.acme.tlschallenge": "false"}, "/acme.json", None),
    ({"certificatesresolvers.le.acme.httpchallenge.entrypoint": "web"}, "/acme.json", "http-01"),
    ({"certificatesresolvers.le.acme.dnschallenge.provider": "ovh"}, "/acme.json", "dns-01"),
]


@pytest.mark.parametrize(("options", "path", "challenge"), RESOLVERS)
def test_resolvers_of_the_static_configuration(options: dict[str, str], path: str, challenge: str | None) -> None:
    [found] = acme.resolvers(options, "/srv" if path.startswith("/srv") else "/")
    assert (found["resolver"], found["path"], found["challenge"]) == ("le", path, challenge)


def test_options_that_are_no_acme_resolver() -> None:
    assert acme.resolvers({"certificatesresolvers.ts.tailscale": "true", "log.level": "DEBUG"}, "/") == []


def test_without_a_configuration_the_source_is_absent(engine: FakeEngine) -> None:
    with pytest.raises(Unreadable, match="la configuration statique de Traefik n’a pas été lue"):
        acme.fetch(Parameters(), {"engine": engine.payload, "traefik_static": None})


BIND = {"Type": "bind", "Source": "/srv/certs", "Destination": "/certs"}
VOLUME = {"Type": "volume", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/certs/in/"}


@pytest.mark.parametrize(
    ("mounts", "path", "host", "persistent"),
    [
        ([BIND], "/certs/acme.json", "/srv/certs/acme.json", True),
        ([BIND, VOLUME], "/certs/in/acme.json", "/var/lib/docker/volumes/v/_data/acme.json", True),
        ([{**BIND, "Destination": "/certs/acme.json", "Source": "/a.json"}], "/certs/acme.json", "/a.json", True),
        ([{**BIND, "Destination": "/", "Source": "/racine"}], "/acme.json", "/racine/acme.json", True),
        ([BIND], "/certs2/acme.json", None, False),
        ([BIND], "/acme.json", None, False),
        ([BIND, {"Type": "tmpfs", "Source": "", "Destination": "/certs/in"}], "/certs/in/acme.json", None, False),
        ([], "/acme.json", None, False),
    ],
)
def test_where_a_path_is_on_the_machine(
    mounts: list[dict[str, Any]], path: str, host: str | None, persistent: bool
) -> None:
    assert acme._place(mounts, path) == (host, persistent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Account", "Certificates", "certificate", "domain", "main", "le", "letsencrypt"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON | st.fixed_dictionaries({"le": st.fixed_dictionaries({"Certificates": JSON})}))
def test_any_json_is_read_without_an_error(tree: Any) -> None:
    held = acme.parsed(json.dumps(tree).encode())
    raw = {
        "container": "t", "unsure": True, "mounts": [],
        "resolvers": [{"resolver": "le", "path": "/a", "ca_server": "", "challenge": None}],
        "storages": {"/a": {"exists": True, **held}},
    }  # fmt: skip
    reading = acme.rows(raw)
    for name, rows in reading.tables.items():
        TABLES[name].rows(rows)
    assert reading.gaps == ["la configuration de Traefik en vigueur n’est pas connue avec certitude"]


def test_recorded_on_the_reference_server() -> None:
    reading = acme.rows(payload("faulty", "acme"))
    row = storage(reading)
    assert (row.resolver, row.path, row.mode) == ("letsencrypt", STORAGE, "600")
    assert (row.owner, row.group) == ("root", "root")
    assert (row.valid, row.persistent, row.certificates) == (True, True, 4)
    certificates = TABLES["certificates"].rows(reading.tables["certificates"])
    assert {one.domain for one in certificates} == {"ai.4lb.ca", "files.4lb.ca", "jsr.4lb.ca", "traefik.4lb.ca"}
    assert {one.issuer for one in certificates} == {"4LB Test R1"}
    assert {(one.not_after - one.not_before).days for one in certificates} == {90}
