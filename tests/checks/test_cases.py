"""Every case of every check: its verdict, and the exact sentences and commands of its findings."""

from collections import defaultdict

import pytest

from tests.checks.cases import Case, expected, load, said

CASES = defaultdict[str, list[Case]](list)
for case in load():
    CASES[case.check].append(case)


@pytest.mark.parametrize("check", CASES)
def test_cases(check: str) -> None:
    wrong = [case for case in CASES[check] if said(case) != expected(case)]
    assert {case.name: said(case) for case in wrong} == {case.name: expected(case) for case in wrong}


def test_the_cases_of_a_check_have_names_of_their_own() -> None:
    assert [check for check, cases in CASES.items() if len({case.name for case in cases}) < len(cases)] == []
