"""Files of the file provider as Traefik decodes them. What it refuses, and the values that it reads, are those that
real programs of 3.0.4, 3.3.6, 3.6.15 and 3.7.15 told."""

import re
from typing import Any

import pytest
import yaml

from auditlib.traefik.documents import FileError
from auditlib.traefik.fields import LATEST, Field, Version, structures, version
from auditlib.traefik.files import decode_file
from tests.traefik.dynamic_files import UNKNOWN, alone, every_field, toml, without

VERSIONS = tuple(UNKNOWN)


def at(text: str) -> Version:
    found = version(text)
    assert found
    return found


def test_a_certificate_holds_the_fields_of_the_structure_embedded_in_it() -> None:
    text = "tls: {certificates: [{certFile: /c.pem, keyFile: /k.pem, stores: [default]}]}\n"
    certificate = {"CertFile": "/c.pem", "KeyFile": "/k.pem", "Stores": ["default"]}
    assert decode_file("a.yml", text, LATEST).tree == {"TLS": {"Certificates": [certificate]}}


@pytest.mark.parametrize("suffix", [".yml", ".toml"])
@pytest.mark.parametrize("release", VERSIONS)
def test_a_file_with_every_field_of_a_version_is_read(release: str, suffix: str) -> None:
    tree = without(every_field(), UNKNOWN[release])
    text = toml(tree) if suffix == ".toml" else yaml.safe_dump(tree)
    assert decode_file(f"a{suffix}", text, at(release)).tree
    known = structures(at(release))
    assert _said("Configuration", tree, known) == _reachable("Configuration", known, set())


@pytest.mark.parametrize("release", VERSIONS)
def test_a_field_of_other_versions_is_refused(release: str) -> None:
    for place in UNKNOWN[release]:
        text = yaml.safe_dump(alone(every_field(), tuple(place.split("."))))
        with pytest.raises(FileError) as raised:
            decode_file("a.yml", text, at(release))
        assert str(raised.value) == f"field not found, node: {place.rpartition('.')[2]}"


def _router(text: str, at: Version = LATEST) -> Any:
    tree = decode_file("a.yml", f"http: {{routers: {{a: {{{text}}}}}}}\n", at).tree
    return tree["HTTP"]["Routers"]["a"]


@pytest.mark.parametrize(
    ("text", "router"),
    [
        ("priority: 0x10", {"Priority": 16}),
        ("priority: 010", {"Priority": 8}),
        ("priority: 1_000", {"Priority": 1000}),
        ("rule: 1.5", {"Rule": "1.500000"}),
        ("rule: 1e3", {"Rule": "1000"}),
        ("rule: on", {"Rule": "on"}),
        ("rule: [a, b]", {"Rule": "║24║a║b"}),
        ("rule: {}", {}),
        ("entryPoints: 'a, b'", {"EntryPoints": ["a", "b"]}),
        ("entryPoints: [1, true]", {"EntryPoints": ["1", "true"]}),
        ("entryPoints: []", {}),
        ("tls: [a]", {}),
        ("tls: {domains: text}", {"TLS": {"Domains": []}}),
    ],
)
def test_values_as_go_reads_them(text: str, router: dict[str, Any]) -> None:
    assert _router(text) == router


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("priority: [1]", "strconv.ParseInt: parsing …: invalid syntax"),
        ("rule: 2001-01-01", "field rule uses unsupported type: struct"),
        ("entryPoints: [null]", "unsupported simple value type: invalid"),
        ("entryPoints: [[a]]", "unsupported simple value type: slice"),
        ("entryPoints: [{a: 1}]", "field not found, node: a"),
        ("rule: {a: 1}", "invalid node rule: string"),
    ],
)
def test_values_that_traefik_refuses(text: str, error: str) -> None:
    with pytest.raises(FileError) as raised:
        _router(text)
    assert str(raised.value) == error


def test_what_stands_below_a_map_of_texts_has_a_name_with_dots() -> None:
    text = "http: {middlewares: {m: {headers: {customRequestHeaders: {A: {b: c}, D: e}}}}}\n"
    for release, headers in (("3.7.15", {"A.b": "c", "D": "e"}), ("3.0.4", {"A": "", "D": "e"})):
        middleware = decode_file("a.yml", text, at(release)).tree["HTTP"]["Middlewares"]["m"]
        assert middleware == {"Headers": {"CustomRequestHeaders": headers}}


def test_values_below_a_plugin_keep_the_types_of_lists_alone() -> None:
    text = "http: {middlewares: {m: {plugin: {demo: {n: 5, list: [1, 2], flags: [true], below: [{a: b}]}}}}}\n"
    middleware = decode_file("a.yml", text, LATEST).tree["HTTP"]["Middlewares"]["m"]
    assert middleware == {"Plugin": {"demo": {"n": "5", "list": [1, 2], "flags": [True], "below": [{"a": "b"}]}}}


def test_a_key_that_is_no_text_is_named_after_its_type() -> None:
    tree = decode_file("a.yml", "http: {routers: {1: {rule: x}, b: {rule: y}}}", LATEST).tree
    assert set(tree["HTTP"]["Routers"]) == {"<int Value>", "b"}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_integer_of_toml_has_64_bits(number: int) -> None:
    with pytest.raises(FileError, match="TOML mal formé"):
        decode_file("a.toml", f"elsewhere = {number}\n", LATEST)


Structures = dict[str, tuple[Field, ...]]


def _base(field: Field) -> str:
    return re.sub(r"^(?:\*|\[\]|map:)+", "", field.type)


def _said(owner: str, tree: dict[str, Any], known: Structures) -> set[tuple[str, str]]:
    """The fields, each with its structure, that a tree of this structure says."""
    said = set()
    for field in known[owner]:
        value = next((value for name, value in tree.items() if name.lower() == field.name.lower()), None)
        if value is None:
            continue
        said.add((owner, field.name))
        inner = [value]
        if "map:" in field.type:
            inner = list(value.values())
        elif "[]" in field.type:
            inner = value
        if _base(field) in known:
            said |= {each for one in inner for each in _said(_base(field), one, known)}
    return said


def _reachable(owner: str, known: Structures, found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The fields, each with its structure, that a file can say."""
    for field in known[owner]:
        if (owner, field.name) not in found:
            found.add((owner, field.name))
            if _base(field) in known:
                _reachable(_base(field), known, found)
    return found
