"""Parameters: what is accepted, and one French sentence for what is not."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import ALL
from auditlib.french import listing
from auditlib.parameters import FILE, ParameterError, Parameters, document, kept, override, read

SEVERITIES = "critical, high, medium, low ou info"
SOURCES = listing(sorted(source.name for source in ALL))


def _refusal(values: dict[str, Any], file: Path | None = None) -> str:
    with pytest.raises(ParameterError) as caught:
        read(file, values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("docker_host", 5, "valeur « 5 » refusée, attendu : un texte."),
        ("docker_host", None, "valeur «  » refusée, attendu : un texte."),
        ("outputs", ["a"], "valeur « ['a'] » refusée, attendu : un texte."),
        ("timeout_s", 0, "valeur « 0 » refusée, attendu : plus de 0."),
        ("timeout_s", 3601, "valeur « 3601 » refusée, attendu : 3\u202f600 au plus."),
        ("timeout_s", "vite", "valeur « vite » refusée, attendu : un nombre."),
        ("timeout_s", None, "valeur «  » refusée, attendu : un nombre."),
        ("timeout_s", [], "valeur « [] » refusée, attendu : un nombre."),
        ("probe_http", "peut-être", "valeur « peut-être » refusée, attendu : true ou false."),
        ("probe_http", [], "valeur « [] » refusée, attendu : true ou false."),
        ("exec_checks", "peut-être", "valeur « peut-être » refusée, attendu : true ou false."),
        ("exec_checks", [], "valeur « [] » refusée, attendu : true ou false."),
        ("fail_on", "always", f"valeur « always » refusée, attendu : never, {SEVERITIES}."),
        ("severities", "high", "valeur « high » refusée, attendu : des lignes « nom: valeur »."),
        ("require", "engine", "valeur « engine » refusée, attendu : une liste."),
        (
            "require",
            ["engine", "x"],
            f"valeur « ['engine', 'x'] » refusée, attendu : des sources parmi {SOURCES} (« x » n’en est pas une).",
        ),
        ("traefik_api", "ftp://h", "valeur refusée, attendu : « auto » ou une adresse http:// ou https://."),
        ("traefik_api", "", "valeur refusée, attendu : « auto » ou une adresse http:// ou https://."),
    ],
)
def test_a_wrong_value(name: str, value: Any, sentence: str) -> None:
    assert _refusal({name: value}) == f"Paramètre « {name} » : {sentence}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"severities": {"PORT-001": "grave"}},
            f"Paramètre « severities.PORT-001 » : valeur « grave » refusée, attendu : {SEVERITIES}.",
        ),
        ({"severities": {1: "high"}}, "Paramètre « severities.1 » : valeur « 1 » refusée, attendu : un texte."),
        ({"require": [5]}, "Paramètre « require.0 » : valeur « 5 » refusée, attendu : un texte."),
    ],
)
def test_a_wrong_part_of_a_value(values: dict[str, Any], sentence: str) -> None:
    assert _refusal(values) == sentence


def test_an_unknown_parameter() -> None:
    names = listing(Parameters.model_fields)
    assert _refusal({"time\x1bout": 3}) == f"Paramètre inconnu : « time⟨1B⟩out ». Paramètres possibles : {names}."


def test_every_wrong_parameter_is_told() -> None:
    message = _refusal({"timeout_s": 0, "fail_on": "x", "zzz": 1})
    assert [message.count(f"« {name} »") for name in ("timeout_s", "fail_on", "zzz")] == [1, 1, 1]


_NAMED = "une adresse sans mot de passe ; nommez dans traefik_auth_env la variable qui le contient"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("traefik_api", "http://admin:hunter2@traefik.fr", _NAMED),
        ("traefik_api", ["http://admin:hunter2@traefik.fr"], "un texte"),
        ("traefik_auth_env", "admin:hunter2", "le nom d’une variable d’environnement, et non ce qu’elle contient"),
        ("traefik_auth_env", {"admin": "hunter2"}, "un texte"),
    ],
)
def test_a_password_is_refused_and_never_repeated(name: str, value: Any, wanted: str) -> None:
    assert _refusal({name: value}) == f"Paramètre « {name} » : valeur refusée, attendu : {wanted}."


@pytest.mark.parametrize(
    "values",
    [
        {"traefik_api": "https://traefik.fr:8443/base", "traefik_auth_env": "TRAEFIK_AUTH"},
        {"traefik_api": "http://10.0.0.1:8080"},
        {"timeout_s": "2.5"},
        {"require": ["engine", "host", "listeners", "traefik_api", "traefik_static"]},
        {"severities": {"PORT-001": "info"}, "fail_on": "high"},
        {},
    ],
)
def test_good_values(values: dict[str, Any]) -> None:
    parameters = read(None, values)
    assert {name: getattr(parameters, name) for name in values} == {
        name: float(value) if name == "timeout_s" else value for name, value in values.items()
    }


_YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(Parameters.model_fields)), _YAML)
def test_any_value_is_accepted_or_refused_in_french(name: str, value: Any) -> None:
    try:
        read(None, {name: value})
    except ParameterError as error:
        message = str(error)
        assert message.startswith("Paramètre « ") and f"« {name}" in message and message.endswith(".")
        said = ("attendu : ", "Attendu : ", "il manque", "introuvable", "illisible", "mal formé", "inconnu")
        assert any(word in message for word in said) and "nput should" not in message


# The file


def _file(folder: Path, content: str | bytes) -> Path:
    file = folder / "audit.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_the_file_then_the_command_line(tmp_path: Path) -> None:
    file = _file(tmp_path, "timeout_s: 5\noutputs: ailleurs\n")
    parameters = read(file, {"timeout_s": 7})
    assert (parameters.timeout_s, parameters.outputs, parameters.fail_on) == (7, "ailleurs", "never")


@pytest.mark.parametrize("content", ["", "# rien\n", "---\n", "null\n", "{}\n"])
def test_an_empty_file_gives_the_defaults(tmp_path: Path, content: str) -> None:
    assert read(_file(tmp_path, content)) == Parameters()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("timeout_s: [1\nfail_on: x\n", ", ligne 2. Corrigez son YAML."),
        ("a: b: c\n", ", ligne 1. Corrigez son YAML."),
        (b"outputs: \xff\n", ". Corrigez son YAML."),
        ("outputs: 2026-13-45\n", ". Corrigez son YAML."),
        ("outputs: !!python/object:os.system x\n", ", ligne 1. Corrigez son YAML."),
        ("- timeout_s\n", ". Attendu : des lignes « nom: valeur »."),
        ("[]\n", ". Attendu : des lignes « nom: valeur »."),
        ("false\n", ". Attendu : des lignes « nom: valeur »."),
        ("texte\n", ". Attendu : des lignes « nom: valeur »."),
        ("1: 2\n", ". Attendu : des lignes « nom: valeur »."),
    ],
)
def test_a_broken_file(tmp_path: Path, content: str | bytes, what: str) -> None:
    file = _file(tmp_path, content)
    assert _refusal({}, file) == f"Fichier mal formé : {file}{what}"


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    missing = tmp_path / "audit.yaml"
    assert _refusal({}, missing) == f"Fichier introuvable : {missing}. Vérifiez le chemin donné."
    assert _refusal({}, tmp_path) == f"Fichier illisible : {tmp_path} (c’est un dossier)."


# The command line


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("", ""), ("[a, b]", ["a", "b"]), ("http://x:80", "http://x:80"), ("'5'", "5")]
)
def test_override(text: str, value: Any) -> None:
    assert override("name", text) == value


@pytest.mark.parametrize("text", ["[a", "2026-13-45", "a: b: c", "%"])
def test_an_unreadable_override(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        override("outputs", text)
    assert str(caught.value) == f"Paramètre « outputs » : valeur illisible « {text} ». Mettez-la entre guillemets."


# Waivers and expectations

WAIVER = {"check": "PORT-004", "subject": "chromadb", "reason": "bureau", "author": "Ana", "expires": "2027-01-31"}


def test_waivers_are_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(yaml.safe_dump([WAIVER]))
    (tmp_path / "audit.yaml").write_text("waivers: waivers.yaml\n")
    (waiver,) = read(tmp_path / "audit.yaml").waivers
    assert (waiver.check, waiver.expires) == ("PORT-004", dt.date(2027, 1, 31))
    assert read(None, {"waivers": str(tmp_path / "waivers.yaml")}).waivers == [waiver]
    assert read(None, {"waivers": ""}).waivers == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason": None}, "Paramètre « waivers.0.reason » : valeur «  » refusée, attendu : un texte."),
        ({"reason": ""}, "Paramètre « waivers.0.reason » : valeur «  » refusée, attendu : un texte."),
        ({"expires": "bientôt"}, "Paramètre « waivers.0.expires » : valeur « bientôt » refusée, attendu : une date, "
         "comme 2027-01-31."),
        ({"subject": "re:("}, "Paramètre « waivers.0.subject » : valeur « re:( » refusée, attendu : une expression "
         "régulière bien formée après « re: »."),
        ({"raison": "x"}, "Paramètre inconnu : « waivers.0.raison ». Attendu : check, subject, reason, author et "
         "expires."),
    ],
)  # fmt: skip
def test_a_waiver_that_is_not_whole_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read(None, {"waivers": [{**WAIVER, **change}]})
    assert str(refused.value) == said


def test_a_waiver_without_a_reason_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^Paramètre « waivers.0.reason » : il manque\.$"):
        read(None, {"waivers": [{name: value for name, value in WAIVER.items() if name != "reason"}]})


def test_expectations_are_texts_whatever_yaml_reads() -> None:
    asked = read(None, {"expected": {"domain": {"https://a.fr/": 200}, "container": {"web": None}}})
    assert asked.expected == {"domain": {"https://a.fr/": "200"}, "container": {"web": ""}}
    with pytest.raises(ParameterError, match="des rubriques parmi port, container, domain, certificate et database"):
        read(None, {"expected": {"porte": {}}})


def test_the_parameters_of_a_run_are_read_back_but_for_where_it_is(tmp_path: Path) -> None:
    waiver = {"check": "NET-001", "subject": "app", "reason": "voulu", "author": "é", "expires": dt.date(2027, 1, 31)}
    asked = Parameters(
        severities={"PORT-004": "low"}, waivers=[waiver], expected={"port": {"tcp/80": "traefik"}}, outputs="ailleurs"
    )
    (tmp_path / FILE).write_text(document(asked), "utf-8")
    assert read(None, None, kept(tmp_path)) == asked.model_copy(update={"outputs": "outputs"})
    assert kept(tmp_path / "another") == {}
