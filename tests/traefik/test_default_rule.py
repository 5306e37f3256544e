"""The default rule's template and the constraints: the usual forms, and what is not known."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.traefik.docker_provider import Container, Decision, Settings
from auditlib.traefik.fields import LATEST
from auditlib.traefik.label_constraints import ConstraintError, matches
from auditlib.traefik.merge import load
from auditlib.traefik.templates import DEFAULT_RULE, ExecutionError, Model, Unsupported, malformed, normalize, render

MODEL = Model("my-app-1", "my_app.1", {"domain": "a.fr", "empty": "", "hidden": None, "list": "x.y"})


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (DEFAULT_RULE, "Host(`my-app-1`)"),
        ("Host(`{{ .Name }}.fr`)", "Host(`my-app-1.fr`)"),
        ("Host(`{{.ContainerName}}`)", "Host(`my_app.1`)"),
        ('Host(`{{ index .Labels "domain" }}`)', "Host(`a.fr`)"),
        ('Host(`{{ .Name }}.{{ index .Labels "none" }}`)', "Host(`my-app-1.`)"),
        ("Host(`{{ .Labels.domain }}`)", "Host(`a.fr`)"),
        ("Host(`{{ trimPrefix `my-` .Name | upper }}`)", "Host(`APP-1`)"),
        ('{{ if index .Labels "domain" }}A{{ else }}B{{ end }}', "A"),
        ('{{ if index .Labels "none" }}A{{ else if .Name }}C{{ else }}B{{ end }}', "C"),
        ('{{ if index .Labels "empty" }}{{ index .Labels "hidden" }}{{ end }}', ""),
        ('{{ default "x" (index .Labels "empty") }}', "x"),
        ('{{ index .Labels "list" | splitList "." | last }}', "y"),
        ('{{ replace "-" "." .Name }}', "my.app.1"),
        ("a  {{- .Name -}}  b", "amy-app-1b"),
        ("{{/* nothing */}}x", "x"),
    ],
)
def test_the_usual_forms(template: str, rule: str) -> None:
    assert render(template, MODEL) == rule


@pytest.mark.parametrize(
    "template",
    [
        '{{ index .Labels "hidden" }}',
        "{{ randAlpha 8 }}",
        "{{ range .Labels }}x{{ end }}",
        "{{ if .Name }}x",
        "{{ $x := .Name }}",
        "{{ .Name",
        "{{ end }}",
        "{{ }}",
    ],
)
def test_what_is_not_known_is_said_so(template: str) -> None:
    with pytest.raises(Unsupported):
        render(template, MODEL)


# As 3.0.4 and 3.7.15 say it.
@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{ .Name", "template: defaultRule:1: unclosed action"),
        ("Host(`a`) ||\n{{ end }}", "template: defaultRule:2: unexpected {{end}}"),
        ("{{ else }}", "template: defaultRule:1: unexpected {{else}}"),
        ("{{ if .Name }}x", "template: defaultRule:1: unexpected EOF"),
        ("{{ }}", "template: defaultRule:1: missing value for command"),
        ("{{ genPassword 8 }}", 'template: defaultRule:1: function "genPassword" not defined'),
        ("{{ if false }}{{ name }}{{ end }}x", 'template: defaultRule:1: function "name" not defined'),
        ("{{ .Name | uper }}", 'template: defaultRule:1: function "uper" not defined'),
        (DEFAULT_RULE, None),
        ("{{/* genPassword */}}{{ range .Labels }}x{{ end }}", None),
        ('{{ index .Labels "genPassword" }}{{ .genPassword }}{{ `end` }}', None),
        ("{{ if eq .Name `a` }}a{{ else if true }}b{{ else }}c{{ end }}", None),
        ("{{ [secret retiré] }}", None),
    ],
)
def test_a_template_that_go_cannot_parse(template: str, fault: str | None) -> None:
    assert malformed(template) == fault


@pytest.mark.parametrize(
    "template",
    [
        "{{ .Unknown }}",
        "{{ .Name.x }}",
        "{{ .Labels.domain.x }}",
        "{{ trunc .Name .Name }}",
        '{{ index .Labels "domain" "x" }}',
        "{{ normalize }}",
        "{{ .Labels.none | upper }}",
    ],
)
def test_a_template_that_go_cannot_execute(template: str) -> None:
    assert malformed(template) is None
    with pytest.raises(ExecutionError):
        render(template, MODEL)


def test_a_branch_that_is_not_taken_is_not_executed() -> None:
    assert render("{{ if .Name }}a{{ else }}{{ .Unknown }}{{ end }}", MODEL) == "a"


def test_a_label_that_is_not_there() -> None:
    assert render("Host(`{{ .Labels.none }}`)", MODEL) == "Host(`<no value>`)"
    assert render("{{ if .Labels.none }}a{{ else }}b{{ end }}", MODEL) == "b"
    assert render('{{ .Labels.none | default "c" }}', MODEL) == "c"


def _decided(template: str) -> Decision:
    """What becomes of a container without labels."""
    container = Container("app", "a1", "running", None, "bridge", {}, {"bridge": "172.17.0.2"}, ("80/tcp",), {})
    return load([container], Settings(version=LATEST, default_rule=template))[0][0]


def test_a_default_rule_that_cannot_be_used() -> None:
    parsed, executed, empty = _decided("{{ end }}"), _decided("{{ .Unknown }}"), _decided("")
    assert (parsed.outcome, parsed.why.step) == ("dropped", "default_rule")
    assert parsed.why.log == "Error while initializing provider *docker.Provider"
    assert (executed.outcome, executed.why.step) == ("dropped", "rule")
    assert executed.why.log == "Error while parsing default rule"
    assert executed.built and executed.built.services
    assert (empty.outcome, empty.why.log) == ("dropped", "Undefined rule")
    assert _decided(DEFAULT_RULE).outcome == "routed"


@given(st.text('{}.-|()`" Nameindxl', max_size=40))
def test_any_template_is_evaluated_or_refused(template: str) -> None:
    malformed(template)
    with contextlib.suppress(Unsupported, ExecutionError):
        assert isinstance(render(template, MODEL), str)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("/my_app.1", "my-app-1"),
        ("web_my_proj", "web-my-proj"),
        ("__a__", "a"),
        ("Café²", "Café²"),
        ("", ""),
        ("-", ""),
    ],
)
def test_names_are_normalised_as_go_does(name: str, normal: str) -> None:
    assert normalize(name) == normal


LABELS = {"env": "prod", "tier": "web-1", "hidden": None}


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("", True),
        ("Label(`env`, `prod`)", True),
        ('Label("env", "dev")', False),
        ("Label(`none`, ``)", True),
        ("!Label(`env`, `dev`)", True),
        ("LabelRegex(`tier`, `web-\\d`)", True),
        ("LabelRegex(`tier`, `^web$`)", False),
        ("LabelRegex(`tier`, `(?=web)`)", False),
        ("Label(`env`, `dev`) || Label(`tier`, `web-1`) && Label(`env`, `prod`)", True),
        ("(Label(`env`, `dev`) || Label(`env`, `prod`)) && !Label(`tier`, `x`)", True),
        ("Label(`hidden`, `x`)", None),
        ("Label(`hidden`, `x`) || Label(`env`, `prod`)", True),
        ("Label(`hidden`, `x`) && Label(`env`, `dev`)", False),
        ("!Label(`hidden`, `x`)", None),
    ],
)
def test_constraints(expression: str, answer: bool | None) -> None:
    assert matches(expression, LABELS) is answer


@pytest.mark.parametrize(
    "expression",
    [
        "Label(`a`)",
        "Label(`a`, `b`",
        "label(`a`, `b`)",
        "Label(`a`, `b`) Label(`a`, `b`)",
        "&&",
        "'a'",
        "!" * 200,
        "Foo()",
    ],
)
def test_wrong_constraints_drop_everything(expression: str) -> None:
    with pytest.raises(ConstraintError):
        matches(expression, LABELS)


@given(st.text('Label(`envprod`,) !&|"', max_size=40))
def test_any_expression_is_evaluated_or_refused(expression: str) -> None:
    with contextlib.suppress(ConstraintError):
        assert matches(expression, LABELS) in (True, False, None)
