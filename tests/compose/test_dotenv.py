"""`.env` files: agreement with Compose is tested by the oracle; here, lines, bounds and what is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.compose.document import Invalid, Place
from auditlib.compose.dotenv import read


def test_forms() -> None:
    content = (
        "\ufeff# c\nA=1\r\nexport B = two words # no\nC='$A'\nD=\"$A\\n"
        '\\$A"\nE: e\nF\nG\nH=\nI=x#y\n1BAD=1\nJ="a\nb"\nK=${A}${Z:-z}'
    )
    assert read(content, ".env", {"F": "known"}) == {
        "A": "1",
        "B": "two words",
        "C": "$A",
        "D": "1\n$A",
        "E": "e",
        "F": "known",
        "H": "",
        "I": "x#y",
        "1BAD": "1",
        "J": "a\nb",
        "K": "1z",
    }


def test_what_is_known_already_wins_over_the_file_in_references() -> None:
    assert read("A=file\nB=$A", ".env", {"A": "shell"}) == {"A": "file", "B": "shell"}


@pytest.mark.parametrize(
    ("content", "line"),
    [("A=1\nnot a line\n", 2), ('A=1\n\n# c\nB="open\nC=2\n', 4), ("A=1\nB=${\n", 2), ("a;b=1", 1)],
)
def test_a_line_that_cannot_be_read_is_told_without_its_content(content: str, line: int) -> None:
    with pytest.raises(Invalid) as told:
        read(content, "/p/.env", {})
    assert told.value.place == Place("/p/.env", line)
    assert "open" not in told.value.reason


def test_a_file_cannot_grow_without_bounds() -> None:
    bomb = "A0=xxxxxxxxxx\n" + "".join(f"A{n}={f'$A{n - 1}' * 10}\n" for n in range(1, 12))
    started = time.process_time()
    with pytest.raises(Invalid):
        read(bomb, ".env", {})
    assert time.process_time() - started < 3


@given(st.text(alphabet="AB= \n\t'\"\\$#{}:é", max_size=60))
def test_any_text_is_read_or_refused(content: str) -> None:
    try:
        made = read(content, ".env", {})
    except Invalid as told:
        assert told.place.line <= content.count("\n") + 1
    else:
        assert all(name == name.strip() for name in made)
