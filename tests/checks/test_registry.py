"""What every check must hold, whatever it looks for."""

import dataclasses
import random
import re
import shlex
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest

from auditlib import findings
from auditlib.findings import CHECKS, SEVERITIES_FR, Check, Finding
from auditlib.french import typography
from auditlib.snapshot import Snapshot
from auditlib.tables import TABLES
from tests.checks.cases import Case, expected, load, said
from tests.conftest import snapshot_of

CASES: dict[str, list[Case]] = defaultdict(list)
for one in load():
    CASES[one.check].append(one)
FAILING = [case for cases in CASES.values() for case in cases if case.verdict == "fail"]
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
EVERY_FAILURE = pytest.mark.parametrize("case", FAILING, ids=[f"{case.check}: {case.name}" for case in FAILING])


CATALOGUE = {
    "COMPOSE-001": ("medium", "Aucun conteneur ne porte un nom générique"),
    "CONT-001": ("high", "Aucun conteneur n’est en mauvaise santé"),
    "CONT-002": ("high", "Aucun conteneur ne redémarre en boucle"),
    "EXPECT-001": ("high", "Les conteneurs, domaines, certificats et bases attendus sont là"),
    "NET-001": ("high", "Chaque conteneur routé est attaché au réseau désigné à Traefik"),
    "NET-002": ("critical", "Chaque conteneur routé partage un réseau avec Traefik"),
    "NET-003": ("medium", "Un réseau est désigné à Traefik pour chaque conteneur routé qui en a plusieurs"),
    "NET-004": ("high", "Aucun nom n’est celui de deux projets sur un même réseau"),
    "NET-005": ("medium", "Aucun réseau Docker ne recouvre un autre réseau"),
    "NET-006": ("info", "Chaque réseau Docker sert à un conteneur"),
    "NET-007": ("medium", "Aucune base ne partage de réseau avec qui ne s’en sert pas"),
    "NET-008": ("medium", "Chaque réseau externe d’un fichier compose existe"),
    "PORT-001": ("critical", "Aucun port publié n’est pris par un autre"),
    "PORT-002": ("medium", "Rien de ce qui est à l’arrêt ne réclame un port déjà pris"),
    "PORT-003": ("low", "Rien de ce qui est à l’arrêt ne réclame le même port qu’un autre"),
    "PORT-004": ("critical", "Aucun port de base de données n’est publié sur toutes les interfaces"),
    "PORT-005": ("medium", "Aucune interface interne n’est ouverte sur toutes les interfaces"),
    "PORT-006": ("medium", "Aucun conteneur routé n’est joignable sans passer par Traefik"),
    "PORT-007": ("info", "Chaque écoute de la machine a un propriétaire identifié"),
    "PORT-008": ("low", "Les ports tenus sont ceux qui sont attendus"),
    "PORT-009": ("low", "Aucun port publié n’est pris dans ceux que le noyau donne aux clients"),
    "PORT-010": ("info", "Chaque service est publié sur les mêmes familles d’adresses que ses voisins"),
    "ROUTE-001": ("critical", "Traefik sert tous les routeurs, services et middlewares déclarés"),
    "ROUTE-014": ("high", "L’API de Traefik n’est pas servie sans authentification au-delà de la machine"),
    "WAIVER-001": ("medium", "Aucune dérogation n’a expiré"),
    "WAIVER-002": ("info", "Chaque dérogation désigne un constat"),
}


def test_ids_severities_and_titles() -> None:
    assert {check.id: (check.severity, check.title) for check in CHECKS.values()} == CATALOGUE


# Waivers and expectations are given with the parameters: they are never unknown, there are only none.
GIVEN = {"WAIVER-001", "WAIVER-002", "PORT-008", "EXPECT-001"}


@EVERY
def test_every_check_has_cases_of_each_kind(check: Check) -> None:
    assert {case.verdict for case in CASES[check.id]} >= {"pass", "fail", "na" if check.id in GIVEN else "unknown"}


def test_no_case_is_of_an_unknown_check() -> None:
    assert set(CASES) == set(CHECKS)


@EVERY
def test_the_cases_tell_every_command_of_a_check(check: Check) -> None:
    told = [finding for case in CASES[check.id] for finding in case.findings]
    for field, templates in (("commands", check.fix.commands), ("verify", check.fix.verify)):
        commands = {command for finding in told for command in finding.get(field, [])}
        programs = {shlex.split(command)[0] for command in commands}
        assert programs >= {template.split()[0] for template in templates if template[0].isalpha()}
    assert any("fix" in finding for finding in told) and any("evidence" in finding for finding in told)


@EVERY
def test_an_emptied_check_breaks_its_cases(check: Check) -> None:
    emptied = dataclasses.replace(check, function=lambda: [])
    broken = [case for case in CASES[check.id] if said(emptied, case) != expected(case)]
    assert {case.verdict for case in broken} >= {"fail", "na" if check.id in GIVEN else "unknown"}


@EVERY
def test_nothing_there_is_conforming_and_nothing_read_is_unknown(check: Check) -> None:
    there = snapshot_of(**{name: [] for name in TABLES})
    assert findings.run(there, checks=[check]).results[0].verdict in ("pass", "na")
    unread = findings.run(snapshot_of(), checks=[check]).results[0]
    if check.id in GIVEN:
        assert unread.verdict == "na"
        return
    assert (unread.verdict, unread.reason) == ("unknown", "Elle n’a pas été lue.")


@EVERY_FAILURE
def test_the_order_of_rows_changes_nothing(case: Case) -> None:
    shuffled = {name: random.Random(7).sample(rows, len(rows)) for name, rows in case.tables.items()}
    assert _found(snapshot_of(**shuffled), case) == _found(case.snapshot, case)


@EVERY
def test_inputs_are_left_as_they_were(check: Check) -> None:
    snapshot = snapshot_of(**next(case.tables for case in FAILING if case.check == check.id))
    before = {name: frame.copy(deep=True) for name, frame in snapshot.tables.items()}
    assert findings.run(snapshot, checks=[check]).findings
    for name, frame in before.items():
        pd.testing.assert_frame_equal(snapshot.tables[name], frame)


def _found(snapshot: Snapshot, case: Case) -> list[Finding]:
    return list(findings.run(snapshot, checks=[CHECKS[case.check]]).findings)


# French, as it is written


@EVERY
def test_titles_are_sentences_of_the_compliant_state(check: Check) -> None:
    assert re.match(r"[A-ZÀÉ][^.!?]*[^.!? ]$", check.title)
    assert _well_written(typography(check.title))


@EVERY_FAILURE
def test_what_is_said_is_well_written(case: Case) -> None:
    for finding in _found(case.snapshot, case):
        machine = sorted(filter(None, _words(finding.evidence)), key=len, reverse=True)
        own = re.sub("|".join(map(re.escape, machine)), "x", finding.message)
        assert _well_written(own)
        assert finding.message.endswith((".", "»."))
        assert _well_written(finding.fix.text) and finding.fix.text.endswith(".")
        assert finding.severity in SEVERITIES_FR


def _words(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [word for item in (value.values() if isinstance(value, dict) else value) for word in _words(item)]
    return [typography(str(value))] if value is not None else []


def _well_written(text: str) -> bool:
    """No breakable space where French forbids one, no straight apostrophe, no double space."""
    return not re.search(r" [;:!?%»]|« |'| {2}|\.\.\.|\bNone\b|\bnan\b|<NA>", re.sub(r"`[^`]*`", "", text))
