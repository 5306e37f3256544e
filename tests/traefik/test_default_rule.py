"""The default rule's template and the constraints: the usual forms, and what is not known."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.traefik.label_constraints import ConstraintError, matches
from auditlib.traefik.templates import DEFAULT_RULE, Model, Unsupported, normalize, render

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
        "{{ .Unknown }}",
        "{{ genPassword 8 }}",
        "{{ range .Labels }}x{{ end }}",
        "{{ if .Name }}x",
        "{{ $x := .Name }}",
        "{{ .Name",
        "{{ end }}",
        "{{ trunc .Name .Name }}",
        "{{ }}",
    ],
)
def test_what_is_not_known_is_said_so(template: str) -> None:
    with pytest.raises(Unsupported):
        render(template, MODEL)


@given(st.text('{}.-|()`" Nameindxl', max_size=40))
def test_any_template_is_evaluated_or_refused(template: str) -> None:
    with contextlib.suppress(Unsupported):
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
