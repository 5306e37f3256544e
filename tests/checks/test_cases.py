"""Every case of every check: its verdict, and the exact sentences and commands of its findings."""

import pytest

from tests.checks.cases import Case, expected, load, said

CASES = load()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.check}: {case.name}" for case in CASES])
def test_case(case: Case) -> None:
    assert said(case) == expected(case)
