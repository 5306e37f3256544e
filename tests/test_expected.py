"""The generated files of `tests/expected` are what the code says."""

import pytest

from tests.expected import FILES, FOLDER


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == FILES[name](), "make attendus, then read the difference"


def test_every_file_there_is_generated() -> None:
    assert {path.name for path in FOLDER.glob("*.*") if path.suffix != ".py"} == set(FILES)
