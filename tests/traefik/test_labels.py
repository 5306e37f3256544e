"""Labels as Traefik decodes them. The errors are those of real Traefiks, or of the sources of traefik/paerser."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.traefik.decoding import DecodingError, DockerOptions, decode_labels, docker_options
from auditlib.traefik.fields import LATEST, Version, structures, version

V2, V33, V35 = Version(2, 11, 53), Version(3, 3, 7), Version(3, 5, 6)
RELEASES = [
    Version(2, 11, 0),
    Version(2, 11, 44),
    V2,
    *(Version(3, minor, patch) for minor in range(8) for patch in (0, 24)),
]
ROUTER = "traefik.http.routers.a"
SERVICE = "traefik.http.services.s.loadbalancer"


def router(**fields: str) -> dict[str, Any]:
    """The decoded router of labels given by their last word."""
    tree = decode_labels({f"{ROUTER}.{name}": value for name, value in fields.items()}, LATEST)
    return dict(tree["HTTP"]["Routers"]["a"])


def balancer(label: str, value: str, at: Version = LATEST) -> dict[str, Any]:
    return dict(decode_labels({f"{SERVICE}.{label}": value}, at)["HTTP"]["Services"]["s"]["LoadBalancer"])


@pytest.mark.parametrize(
    ("label", "value", "error"),
    [
        ("Traefik.http.routers.a.rule", "x", "invalid label root Traefik"),
        ("traefik.http.router.a.rule", "x", "field not found, node: router"),
        ("traefik.http.routers.a.rul", "x", "field not found, node: rul"),
        ("traefik.http.routers.a.rule ", "x", "field not found, node: rule "),
        ("traefik.http.routers.my.app.rule", "x", "field not found, node: app"),
        ("traefik.http.routers..rule", "x", "invalid element: traefik.http.routers..rule"),
        ("traefik.httpx.routers.a.rule", "x", "field not found, node: httpx"),
        (f"{SERVICE}.servers.port", "80", "field not found, node: servers"),
        ("traefik.http.services", "x", "services cannot be a standalone element (type map[string]*dynamic.Service)"),
        (f"{SERVICE}.healthcheck", "x", "healthcheck cannot be a standalone element (type *dynamic.ServerHealthCheck)"),
        ("traefik.http.routers.a.rule.x", "1", "invalid node rule: string"),
        ("traefik.http.routers.a.priority.x", "1", "invalid node priority: int"),
        ("traefik.http.routers.a.priority", "high", 'strconv.ParseInt: parsing "high": invalid syntax'),
        ("traefik.http.routers.a.priority", "1" * 20, f'strconv.ParseInt: parsing "{"1" * 20}": value out of range'),
        (f"{SERVICE}.passhostheader", "yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        (f"{SERVICE}.healthcheck.interval", "10x", 'time: unknown unit "x" in duration "10x"'),
        (f"{SERVICE}.healthcheck.interval", "1m 3s", 'time: unknown unit "m " in duration "1m 3s"'),
        (f"{SERVICE}.healthcheck.interval", "soon", 'time: invalid duration "soon"'),
        (f"{SERVICE}.server", "x", "invalid slice: node server"),
        (
            "traefik.http.routers.a.[0]",
            "x",
            "invalid leading character '[' in field name (bracket is a slice delimiter): [0]",
        ),
        ("traefik.tcp.routers.a.priority", "", 'strconv.ParseInt: parsing "": invalid syntax'),
    ],
)
def test_one_wrong_label_is_an_error_in_the_words_of_traefik(label: str, value: str, error: str) -> None:
    with pytest.raises(DecodingError) as raised:
        decode_labels({"traefik.http.routers.good.rule": "x", label: value}, LATEST)
    assert str(raised.value) == error


@pytest.mark.parametrize(
    "label",
    [
        "traefik.foo.bar",
        "traefik.frontend.rule",
        "traefik.port",
        "traefik",
        "traefik.tls.options.a.x",
        "com.traefik.http",
    ],
)
def test_other_labels_are_silently_ignored(label: str) -> None:
    assert decode_labels({label: "1"}, LATEST) == {"HTTP": {}, "TCP": {}, "UDP": {}}
    assert docker_options({label: "1"}, LATEST) == DockerOptions()


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True"])
def test_true_as_go_reads_it(value: str) -> None:
    assert docker_options({"traefik.enable": value}, LATEST).enable is True


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "false", "False"])
def test_false_as_go_reads_it(value: str) -> None:
    assert docker_options({"Traefik.enable".lower(): value}, LATEST).enable is False


@pytest.mark.parametrize("value", ["yes", "on", "", "tRUE", " true"])
def test_what_go_reads_as_no_boolean(value: str) -> None:
    with pytest.raises(DecodingError, match="ParseBool"):
        docker_options({"traefik.enable": value}, LATEST)


def test_the_prefix_of_an_option_bites() -> None:
    for label, node in (("traefik.enabled", "enabled"), ("traefik.docker.networks", "networks")):
        with pytest.raises(DecodingError, match=f"field not found, node: {node}"):
            docker_options({label: "true"}, LATEST)


def test_an_empty_network_is_one_that_is_said() -> None:
    assert docker_options({"traefik.docker.network": ""}, LATEST).network == ""
    assert docker_options({"traefik.enable": "true"}, LATEST).network is None


def test_allow_non_running_comes_with_3_6() -> None:
    label = {"traefik.docker.allownonrunning": "true"}
    assert docker_options(label, LATEST).allow_non_running
    with pytest.raises(DecodingError, match="node: allownonrunning"):
        docker_options(label, V35)


def test_names_are_one_whatever_their_case_and_the_last_value_wins() -> None:
    labels = {"traefik.http.Routers.App.Rule": "one", "traefik.HTTP.routers.app.rule": "two", f"{ROUTER}.rule": "x"}
    # In the order of bytes, HTTP and Routers come first.
    assert decode_labels(labels, LATEST)["HTTP"]["Routers"] == {"app": {"Rule": "one"}, "a": {"Rule": "x"}}


@pytest.mark.parametrize(("value", "tls"), [("true", True), ("TRUE", True), ("", True), ("1", False), ("yes", False)])
def test_only_true_and_nothing_switch_tls_on(value: str, *, tls: bool) -> None:
    assert ("TLS" in router(tls=value)) is tls


def test_tls_false_discards_its_resolver() -> None:
    labels = {f"{ROUTER}.tls": "false", f"{ROUTER}.tls.certresolver": "le", f"{ROUTER}.rule": "x"}
    assert decode_labels(labels, LATEST)["HTTP"]["Routers"]["a"] == {"Rule": "x"}


def test_lists_are_split_and_trimmed() -> None:
    assert router(entrypoints="web , websecure,")["EntryPoints"] == ["web", "websecure", ""]
    assert router(entrypoints="", rule="x") == {"Rule": "x"}


def test_domains_have_indexes() -> None:
    labels = {f"{ROUTER}.tls.domains[0].main": "a.fr", f"{ROUTER}.tls.domains[0].sans": "b.fr, c.fr"}
    domains = decode_labels(labels, LATEST)["HTTP"]["Routers"]["a"]["TLS"]["Domains"]
    assert domains == [{"Main": "a.fr", "SANs": ["b.fr", "c.fr"]}]


def test_a_default_that_is_said_changes_nothing() -> None:
    said, other = balancer("passhostheader", "true"), balancer("passhostheader", "false")
    assert said["PassHostHeader"] is True
    assert other["PassHostHeader"] is False
    assert {**said, "PassHostHeader": False} == other
    # A zero that is no default is as good as absent.
    assert router(priority="0", rule="x") == {"Rule": "x"}


def test_fields_come_with_their_versions() -> None:
    assert balancer("server.url", "http://x", V33)["Servers"] == [{"Scheme": "http"}]
    assert balancer("server.url", "http://x")["Servers"] == [{"URL": "http://x"}]
    with pytest.raises(DecodingError, match="node: strategy"):
        balancer("strategy", "p2c", V33)
    assert balancer("strategy", "p2c")["Strategy"] == "p2c"
    with pytest.raises(DecodingError, match="node: ruleSyntax"):
        decode_labels({f"{ROUTER}.ruleSyntax": "v2"}, V2)


def test_what_labels_cannot_say_is_ignored_without_a_word() -> None:
    assert router(parentrefs="x", rule="y") == {"Rule": "y"}


def test_a_plugin_may_say_anything() -> None:
    labels = {"traefik.http.middlewares.m.plugin.demo.a.b": "1", "traefik.http.middlewares.m.plugin.demo.c": "2"}
    assert decode_labels(labels, LATEST)["HTTP"]["Middlewares"]["m"] == {
        "Plugin": {"demo": {"a": {"b": "1"}, "c": "2"}}
    }


def test_a_removed_value_is_taken_for_a_good_one() -> None:
    assert router(priority="[secret retiré]")["Priority"] == "[secret retiré]"


def test_every_version_knows_what_its_fields_are_made_of() -> None:
    for at in RELEASES:
        known = structures(at)
        for fields in known.values():
            for one in fields:
                base = one.type.replace("map:", "").replace("[]", "").replace("*", "")
                scalar = base in {"string", "bool", "int", "int64", "uint", "float64", "duration", "any"}
                assert scalar or base in known, (at, one)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.6.6", (3, 6, 6)),
        ("v3.7.0-rc.1", (3, 7, 0)),
        ("3.6", (3, 6, 999)),
        ("latest", None),
        (None, None),
        ("16", None),
    ],
)
def test_versions(text: str | None, expected: tuple[int, int, int] | None) -> None:
    assert version(text) == expected


@given(st.dictionaries(st.text(string.printable + "é", max_size=40).map("traefik.http.".__add__), st.text(max_size=20)))
def test_any_labels_are_decoded_or_refused(labels: dict[str, str]) -> None:
    try:
        decode_labels(labels, LATEST)
    except DecodingError as error:
        assert str(error)


WORDS = st.sampled_from(
    ["http", "tcp", "routers", "services", "a", "rule", "tls", "domains[0]", "loadbalancer", "server"]
)


@given(st.dictionaries(st.lists(WORDS, min_size=1, max_size=6).map(lambda w: ".".join(["traefik", *w])), st.just("1")))
def test_any_mix_of_known_words_is_decoded_or_refused(labels: dict[str, str]) -> None:
    try:
        tree = decode_labels(labels, LATEST)
    except DecodingError:
        return
    assert set(tree) == {"HTTP", "TCP", "UDP"}
