"""Variables in values: every form, the unknown ones noted, nothing without bounds."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.compose.document import Invalid, Place
from auditlib.compose.interpolate import Variables, substitute

HERE = Place("f.yml", 3)
KNOWN = {"SET": "value", "EMPTY": "", "_X1": "x"}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a${SET}b$SET-c", "avalueb" + "value-c"),
        ("$$SET", "$SET"),
        ("$$$SET", "$value"),
        ("${EMPTY:-d}|${EMPTY-d}|${NONE:-d}|${NONE-d}|${SET:-d}", "d||d|d|value"),
        ("${EMPTY:+r}|${EMPTY+r}|${NONE:+r}|${NONE+r}|${SET:+r}", "|r|||r"),
        ("${SET:?e}|${EMPTY?e}", "value|"),
        ("${NONE:-${OTHER:-$SET}}", "value"),
        ("${NONE:-a:-b}", "a:-b"),
        ("${NONE:-$$x}", "$x"),
        ("${_X1}", "x"),
        ("5$ and $1 and $", "5$ and $1 and $"),
        ("${NONE:-{}}", "{}"),
        ("", ""),
    ],
)
def test_every_form(template: str, made: str) -> None:
    assert substitute(template, Variables(KNOWN), HERE) == made


@pytest.mark.parametrize("template", ["${", "${}", "${1}", "${SET", "${SET!x}", "${ SET}", "${SET:-a\nb}", "${A:-${B}"])
def test_forms_that_compose_refuses(template: str) -> None:
    with pytest.raises(Invalid) as told:
        substitute(template, Variables(KNOWN), HERE)
    assert told.value.place == HERE
    assert "value" not in told.value.reason


def test_unknown_variables_are_noted_only_where_they_are_needed() -> None:
    variables = Variables(KNOWN)
    assert substitute("$A ${B:-} ${SET:-$C} ${D:-$E} ${F:+$G} ${H:?no} ${SET+$I}", variables, HERE) == ("  value    ")
    assert [name for name, _ in variables.missing] == ["A", "E", "I"]
    assert variables.required == [("H", HERE)]


@pytest.mark.parametrize(
    "template", ["${A:-" * 5000 + "}" * 5000, "$BIG" * 100_000, "${BIG}" * 50_000, "${A:-x" * 100_000]
)
def test_hostile_sizes_are_refused_at_once(template: str) -> None:
    started = time.process_time()
    with pytest.raises(Invalid):
        substitute(template, Variables({"BIG": "x" * 10_000}), HERE)
    assert time.process_time() - started < 3


def test_many_values_share_one_bound() -> None:
    variables = Variables({"BIG": "x" * 200_000})
    with pytest.raises(Invalid, match="démesuré"):
        for _ in range(1000):
            substitute("$BIG", variables, HERE)


@given(st.text(alphabet="${}:-+?AB_1 x\n", max_size=40))
def test_any_template_is_replaced_or_refused(template: str) -> None:
    try:
        made = substitute(template, Variables({"A": "a", "B": ""}), HERE)
    except Invalid:
        return
    assert "${A" not in made.replace("$${", "") or "$$" in template
