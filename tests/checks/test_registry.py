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
    "ACME-001": ("critical", "Le stockage ACME n’est lisible que de son propriétaire"),
    "ACME-002": ("high", "Le stockage ACME est présent, valide et garni"),
    "ACME-003": ("high", "Le stockage ACME est sur un montage persistant"),
    "ACME-004": ("high", "Chaque résolveur nommé par un routeur existe"),
    "COMPOSE-001": ("medium", "Aucun conteneur ne porte un nom générique"),
    "CONT-001": ("high", "Aucun conteneur n’est en mauvaise santé"),
    "CONT-002": ("high", "Aucun conteneur ne redémarre en boucle"),
    "HTTP-001": ("critical", "Chaque route vivante répond"),
    "HTTP-002": ("high", "Chaque route est servie par le routeur prévu"),
    "HTTP-003": ("low", "Les réponses portent les en-têtes de sécurité"),
    "HTTP-004": ("medium", "Rien n’est servi en HTTP clair sans redirection"),
    "HTTP-005": ("high", "Aucune interface d’administration ne répond sans authentification"),
    "HTTP-006": ("critical", "Aucune redirection ne tourne en rond"),
    "LOG-001": ("high", "Aucune demande récente de certificat n’a échoué"),
    "LOG-002": ("medium", "Le journal de Traefik ne contient aucune erreur récente inexpliquée"),
    "LOG-003": ("info", "Traefik est à jour de ce que son journal annonce"),
    "LOG-004": ("medium", "Aucun routeur ne répond trop souvent par une erreur de serveur"),
    "NET-001": ("high", "Chaque conteneur routé est attaché au réseau désigné à Traefik"),
    "NET-002": ("critical", "Chaque conteneur routé partage un réseau avec Traefik"),
    "PORT-001": ("critical", "Aucun port publié n’est pris par un autre"),
    "PORT-002": ("medium", "Aucun conteneur arrêté ne réclame un port déjà pris"),
    "PORT-004": ("critical", "Aucun port de base de données n’est publié sur toutes les interfaces"),
    "ROUTE-001": ("critical", "Traefik sert tous les routeurs, services et middlewares déclarés"),
    "ROUTE-014": ("high", "L’API de Traefik n’est pas servie sans authentification au-delà de la machine"),
    "TLS-001": ("critical", "Aucun domaine n’a de certificat expiré"),
    "TLS-002": ("high", "Les certificats sont renouvelés à temps"),
    "TLS-003": ("high", "Aucun domaine ne reçoit le certificat par défaut de Traefik"),
    "TLS-004": ("high", "Chaque certificat servi couvre son domaine"),
    "TLS-005": ("medium", "Aucun domaine n’a de certificat d’une autorité d’essai"),
    "TLS-006": ("low", "Chaque certificat gardé sert à un domaine"),
    "TLS-007": ("medium", "Les clés et les signatures des certificats sont solides"),
    "WAIVER-001": ("medium", "Aucune dérogation n’a expiré"),
    "WAIVER-002": ("info", "Chaque dérogation désigne un constat"),
}


def test_ids_severities_and_titles() -> None:
    assert {check.id: (check.severity, check.title) for check in CHECKS.values()} == CATALOGUE


# Waivers are given with the parameters: they are never unknown, there are only none.
GIVEN = {"WAIVER-001", "WAIVER-002"}


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
