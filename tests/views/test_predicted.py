"""Without the API: what Traefik disables of what labels and files declare, and what `explain` says of it."""

from typing import Any

import pytest

import auditlib
from auditlib.collect.containers import label_value
from auditlib.collect.traefik_files import rows as of_files
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import asdict
from tests.frames import rows
from tests.report.test_explanation import broken, label, server

HTTP = "traefik.http"
RULE = (f"{HTTP}.routers.app.rule", "Host(`app.fr`)")
M = f"{HTTP}.middlewares.m"


FILES = [("entrypoints.web.address", ":80"), ("providers.docker", "true"), ("providers.file.directory", "/d")]
STATIC = [
    {"container": "traefik", "origin": "flags", "key": key, "value": value, "effective": True} for key, value in FILES
]


def labelled(*labels: tuple[str, str], **tables: Any) -> Snapshot:
    """The small server, its container with these labels as the audit keeps them."""
    kept = [label("app", name, label_value(name, value) or "") for name, value in (RULE, *labels)]
    return server(labels=kept, **tables)


def router(facts: Snapshot, name: str = "app@docker") -> tuple[str | None, tuple[str, ...]]:
    (found,) = [one for one in rows(facts.predicted_routers, "router", "status", "errors") if one[0] == name]
    return found[1:]


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ([(f"{M}.basicauth.users", "joe:$apr1$x$y")], None),
        ([(f"{M}.basicauth.users", "joe")], "error parsing BasicUser: [secret retiré] seul"),
        ([(f"{M}.basicauth.users", "a:b,joe:c:d")], "error parsing BasicUser: " + ":".join(["[secret retiré]"] * 3)),
        ([(f"{M}.ipallowlist.sourcerange", "10.0.0.0/8, foo.fr")], "cannot parse CIDRs [10.0.0.0/8 foo.fr]: parsing"),
        ([(f"{M}.redirectscheme.permanent", "true")], "you must provide a target scheme"),
        ([(f"{M}.addprefix.prefix", "/x"), (f"{M}.retry.attempts", "2")], "cannot create middleware: multi-types"),
        ([(f"{M}.plugin.geo.allow", "FR")], "plugin: unknown plugin type: geo"),
        (
            [(f"{M}.errors.status", "5xx"), (f"{M}.errors.service", "app")],
            'strconv.Atoi: parsing "5xx": invalid syntax',
        ),
        (
            [(f"{M}.chain.middlewares", "m")],
            "could not instantiate middleware m@docker: recursion detected in m@docker->",
        ),
        ([(f"{M}.headers.customrequestheaders.X-Token", "abc")], None),
    ],
)
def test_a_middleware_of_labels(labels: list[tuple[str, str]], error: str | None) -> None:
    facts = labelled((f"{HTTP}.routers.app.middlewares", "m"), *labels)
    status, errors = router(facts)
    assert status == ("disabled" if error else "enabled")
    assert " ".join(errors).startswith(error or "") and bool(errors) == bool(error)
    [(middleware, said)] = rows(facts.predicted_middlewares, "status", "errors")
    assert (middleware, said) == (status, errors)
    explained = auditlib.explain(facts, "http://app.fr/")
    states = {hop["hop"]: hop["state"] for hop in explained.hops}
    assert states["router"] == ("broken" if error else "ok")
    assert any(said in str(hop["reason"]) for said in errors for hop in explained.hops) is bool(error)


def test_what_the_files_of_the_machine_decide_is_unknown() -> None:
    facts = labelled((f"{HTTP}.routers.app.middlewares", "m"), (f"{M}.basicauth.usersfile", "/users"))
    assert router(facts) == (None, ())
    explained = auditlib.explain(facts, "http://app.fr/")
    states = {hop["hop"]: hop["state"] for hop in explained.hops}
    assert explained.verdict == "unknown"
    assert (states["router"], states["middleware"]) == ("unknown", "unknown")


def test_a_provider_that_was_not_read_is_unknown() -> None:
    facts = labelled((f"{HTTP}.routers.app.middlewares", "auth@file"))
    assert router(facts)[0] == "disabled"  # no provider of files at all
    unread = labelled((f"{HTTP}.routers.app.middlewares", "auth@file"), traefik_static=STATIC)
    assert router(unread) == (None, ())
    assert auditlib.explain(unread, "http://app.fr/").verdict == "unknown"


@pytest.mark.parametrize(
    ("service", "status", "errors"),
    [
        ("api@internal", "disabled", ("api is not enabled",)),
        ("noop@internal", "enabled", ()),
        ("rest@internal", "disabled", ("rest is not enabled",)),
        ("foo@internal", "disabled", ("unknown internal service foo@internal",)),
    ],
)
def test_services_of_traefik_itself(service: str, status: str, errors: tuple[str, ...]) -> None:
    assert router(labelled((f"{HTTP}.routers.app.service", service))) == (status, errors)


def filed(text: str, version: str = "3.7.9") -> Snapshot:
    """The small server, with one file of dynamic configuration as the audit keeps it."""
    payload = {
        "container": "traefik",
        "version": version,
        "path": "/d",
        "mounts": {},
        "files": {"/d/one.yml": {"text": text, "modified": None}},
        "gaps": [],
    }
    containers = [
        {"name": "traefik", "id": "t", "state": "running", "network_mode": "web", "image": f"traefik:v{version}"},
        {"name": "app", "id": "a", "state": "running", "network_mode": "web", "network_ports": ["8000/tcp"]},
    ]
    base = {name: [asdict(row) for row in rows] for name, rows in of_files(payload).tables.items()}
    return labelled(traefik_static=STATIC, containers=containers, **base)


ROUTERS = """
http:
  routers:
    r: {rule: Host(`r.fr`), service: s, middlewares: [m]}
    t: {rule: Host(`t.fr`), service: s, tls: {options: gone}}
    b: {rule: Host(`b.fr`), service: s, tls: {options: bad}}
    one: {rule: Host(`c.fr`), service: s, tls: {options: strict}}
    two: {rule: Host(`c.fr`), service: s, tls: {}}
    x: {rule: Host(`x.fr`), service: x}
    p: {rule: Host(`p.fr`)}
    c: {rule: Path(`/c`), parentRefs: [p], service: gone}
    q: {rule: Host(`q.fr`)}
    d: {rule: Path(`/c`), parentRefs: [q], service: s, observability: {metrics: false}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.3:8000'}]}}
    x: {loadBalancer: {servers: [{url: 'http://10.0.0.3'}], serversTransport: gone}}
  middlewares:
    m: {basicAuth: {users: ['hunter2']}}
tls:
  options:
    strict: {minVersion: VersionTLS13}
    bad: {cipherSuites: [FOO]}
"""


def test_what_a_file_declares() -> None:
    facts = filed(ROUTERS)
    found = {
        name: (status, errors) for name, status, errors in rows(facts.predicted_routers, "router", "status", "errors")
    }
    conflict = "router's TLSOptions configuration is conflicting with other routers on the same entrypoint and host"
    assert found.pop("web-conflicted-one@file")[1][0].startswith(conflict)
    assert found == {
        "app@docker": ("enabled", ()),
        "traefik@docker": ("enabled", ()),
        "r@file": ("disabled", ("error parsing BasicUser: [secret retiré] seul",)),
        "t@file": ("disabled", ("building router handler: unknown TLS options: gone@file",)),
        "b@file": ("disabled", ("building router handler: building TLS config: invalid CipherSuite: FOO",)),
        "web-conflicted-two@file": ("enabled", ()),
        "x@file": (
            "disabled",
            (
                "error building proxy for server URL http://10.0.0.3: getting RoundTripper: "
                "servers transport not found gone@file",
            ),
        ),
        "p@file": (
            "disabled",
            ("building child routers muxer: no child routers could be added to muxer (1 skipped)",),
        ),
        "c@file": ("disabled", ('the service "gone@file" does not exist',)),
        "q@file": (
            "disabled",
            ("building child routers muxer: no child routers could be added to muxer (1 skipped)",),
        ),
        "d@file": ("disabled", ("non-root router cannot have Observability configuration",)),
    }
    assert "hunter2" not in str(facts.tables)
    assert broken(auditlib.explain(facts, "http://p.fr/c"))[0] == "router"


def test_facts_of_before_that_do_not_hold_how_things_are_built_are_unknown() -> None:
    old = filed(ROUTERS)
    tables = {name: table for name, table in old.tables.items() if name != "traefik_file_options"}
    facts = Snapshot(old.hostname, old.collected, tables, {**old.absent, "traefik_file_options": "non lue"})
    assert router(facts, "t@file") == (None, ())
