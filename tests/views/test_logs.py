"""What the logs tell once they are tables."""

import datetime as dt
import re
from typing import Any

import pytest

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.logs import AccessStat, LogEvent
from auditlib.report.conclusions import conclude, journals
from auditlib.views.logs import errors, newer_version, share_of_5xx
from tests.conftest import snapshot_of

DAY = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def test_the_logs_of_the_reference_server(faulty: Snapshot) -> None:
    *said, requests = conclude(faulty, journals)
    assert said == [
        "Aucune erreur dans le journal de Traefik.",
        "Avertissements : repli sur un autre réseau (jsr-dev) et réseau désigné absent du conteneur (jsr-dev).",
        "ACME : les échéances des certificats sont vérifiées, sans erreur.",
        "Version plus récente de Traefik annoncée : 3.6.7.",
    ]
    assert re.fullmatch(r"\d+ requêtes routées au journal d’accès, dont [\d,]+ % de 5xx\.", requests)


def event(kind: str, **columns: Any) -> dict[str, Any]:
    return {"kind": kind, "subject": None, "named": None, "level": "error", "count": 1, "last": DAY, **columns}


def test_errors_are_those_of_traefik_s_work() -> None:
    events = LogEvent.table.rows(
        [
            event("stopping"),
            event("other", level="warning"),
            event("acme_renew", level="info"),
            event("other", count=3, named="x"),
        ]
    )
    assert [(error.kind, error.count) for error in errors(events)] == [("other", 3), ("acme_renew", 1)]


@pytest.mark.parametrize(
    ("announced", "started", "running", "newer"),
    [
        (["3.6.7"], ["3.6.6"], None, "3.6.7"),
        (["3.6.7"], ["3.6.6"], "3.6.7", None),  # updated since, and the API says so
        (["3.6.7"], ["3.6.6", "3.6.7"], None, None),  # updated since, as the log says
        (["3.6.7", "3.10.0", "3.9.1"], [], "3.6.6", "3.10.0"),
        (["3.6.7"], [], None, "3.6.7"),
        (["latest"], ["3.6.6"], None, None),
        ([], ["3.6.6"], None, None),
    ],
)
def test_the_version_that_is_announced(
    announced: list[str], started: list[str], running: str | None, newer: str | None
) -> None:
    events = [event("update_available", named=version) for version in announced]
    events += [event("started", named=version, last=DAY + dt.timedelta(i)) for i, version in enumerate(started)]
    assert newer_version(LogEvent.table.rows(events), running) == newer


def test_the_share_of_5xx() -> None:
    assert share_of_5xx([]) is None
    assert share_of_5xx([AccessStat(requests=3, status_5xx=1), AccessStat(requests=1, status_5xx=0)]) == 0.25


def test_what_is_concluded_of_a_log_with_errors() -> None:
    facts = snapshot_of(
        log_events=[
            event("acme_obtain", subject_kind="domain", subject="a.fr", cause="rate_limited", count=4),
            event("resolver_skipped", subject_kind="resolver", subject="le"),
            event("reference_missing", subject_kind="router", subject="x@docker", named="auth@file", count=7),
        ],
        access_stats=[{"router": "x@docker", "requests": 200, "status_5xx": 3}],
    )
    assert conclude(facts, journals) == [
        "12 erreurs dans le journal de Traefik : middleware ou service absent (x@docker), certificat non obtenu (a.fr) "
        "et résolveur ACME écarté (le).",
        "ACME, échecs : a.fr (limite de l’autorité atteinte) et le (résolveur ACME écarté).",
        "200 requêtes routées au journal d’accès, dont 1,5 % de 5xx.",
    ]
