"""Reading sources side by side: order, time, failures, and what is said of each."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auditlib.collect.source import Outcome, Reading, Source, Unreadable, gather
from auditlib.facts.tables.docker import Volume
from auditlib.facts.tables.host import Host
from auditlib.parameters import Parameters

ROW = Host(name="serveur", cpus=2)


def source(
    name: str = "s",
    fetch: Callable[..., Any] = lambda parameters, payloads: {},
    rows: Callable[[Any], Reading] = lambda payload: Reading({"host": [ROW]}),
    after: tuple[str, ...] = (),
) -> Source:
    return Source(name, name, ("host",), fetch, rows, after)


def fails(error: BaseException) -> Callable[..., Any]:
    def fetch(*given: Any) -> Any:
        raise error

    return fetch


def read(*sources: Source, timeout_s: float = 5) -> dict[str, Outcome]:
    return gather(sources, Parameters(timeout_s=timeout_s), lambda outcome: None)


def test_a_source_that_was_read() -> None:
    outcome = read(source(fetch=lambda parameters, payloads: {"raw": 1}))["s"]
    assert (outcome.status, outcome.reason, outcome.remedy) == ("ok", "", "")
    assert (outcome.tables, outcome.payload) == ({"host": (ROW,)}, {"raw": 1})


@pytest.mark.parametrize(
    ("reading", "status", "reason"),
    [
        (Reading({}), "ok", ""),
        (Reading({}, note="Lu autrement."), "ok", "Lu autrement."),
        (Reading({}, ["il manque a", "il manque b"], "Donnez a."), "partial", "Il manque a ; il manque b."),
    ],
)
def test_what_lacks_makes_the_source_partial(reading: Reading, status: str, reason: str) -> None:
    outcome = read(source(rows=lambda payload: reading))["s"]
    assert (outcome.status, outcome.reason, outcome.remedy) == (status, reason, reading.remedy)


@pytest.mark.parametrize("status", ["refused", "absent", "failed"])
def test_a_source_that_cannot_be_read_says_why_in_sentences(status: Any) -> None:
    outcome = read(source(fetch=fails(Unreadable(status, "la porte est fermée", "ouvrir la porte"))))["s"]
    assert (outcome.status, outcome.reason, outcome.remedy) == (status, "La porte est fermée.", "Ouvrir la porte.")
    assert (outcome.tables, outcome.payload) == ({}, None)


def not_a_reading(payload: Any) -> Reading:
    return Reading({"host": [Host(name=payload["name"])]})


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (source(fetch=fails(RuntimeError("inattendu"))), "RuntimeError : inattendu"),
        (source(fetch=fails(TimeoutError("mien"))), "TimeoutError : mien"),
        (source(rows=not_a_reading), "KeyError : 'name'"),
        (source(rows=lambda payload: Reading({"host": [Host(name=3)]})), "ValueError : table host, column name (text)"),
        (source(rows=lambda payload: Reading({"host": [ROW, replace(ROW, cpus=4)]})), "ValueError : table host: key"),
        (source(rows=lambda payload: Reading({"host": [Volume(name="a")]})),
         "ValueError : table host: unknown columns"),
        (source(rows=lambda payload: Reading({"undeclared": []})), "KeyError : 'undeclared'"),
        (source(fetch=fails(ValueError("PGPASSWORD=hunter2\n--token   hunter2"))),
         "ValueError : PGPASSWORD=[secret retiré] --token [secret retiré]"),
        (source(fetch=fails(ValueError("x" * 1000))), "ValueError : " + "x" * 200 + ")."),
    ],
)  # fmt: skip
def test_an_unforeseen_answer_is_a_failure_of_that_source_alone(broken: Source, said: str) -> None:
    outcomes = read(broken, source("other"))
    outcome = outcomes["s"]
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"La réponse n’a pas la forme attendue ({said}")
    assert outcome.remedy == "Signalez cette erreur avec le journal de l’exécution."
    assert (outcome.tables, outcome.payload) == ({}, None)
    assert outcomes["other"].status == "ok"


def test_the_log_of_an_unforeseen_answer_has_its_place_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        read(source("engine", fetch=fails(ValueError("DB_PASSWORD=hunter2"))))
    assert "source engine" in caplog.text
    assert "in fetch" in caplog.text
    assert "hunter2" not in caplog.text


def test_sources_are_read_side_by_side() -> None:
    """Each waits for the other: one after the other they would never meet."""
    meeting = threading.Barrier(2)
    outcomes = read(*(source(name, fetch=lambda *given: meeting.wait(3)) for name in ("a", "b")))
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}


def test_a_source_starts_when_those_it_comes_after_have_ended() -> None:
    order = []

    def named(name: str, after: tuple[str, ...] = (), delay_s: float = 0) -> Source:
        def fetch(parameters: Parameters, payloads: Any) -> Any:
            time.sleep(delay_s)
            order.append(name)
            return f"payload of {name}", dict(payloads)

        return source(name, fetch, after=after)

    outcomes = read(named("c", ("a", "b")), named("b", ("a",), 0.05), named("a", (), 0.1))
    assert order == ["a", "b", "c"]
    assert list(outcomes) == ["c", "b", "a"]
    a = ("payload of a", {})
    b = ("payload of b", {"a": a})
    assert outcomes["c"].payload == ("payload of c", {"a": a, "b": b})


@pytest.mark.parametrize(
    "first",
    [
        source("a", fetch=fails(Unreadable("refused", "non"))),
        source("a", fetch=fails(ValueError())),
        source("a", rows=not_a_reading),
        source("a", fetch=lambda *given: time.sleep(5)),
    ],
    ids=["refused", "failed", "another form", "hung"],
)
def test_those_that_come_after_an_unread_source_are_given_none(first: Source) -> None:
    given = {}
    outcomes = read(
        first, source("b", lambda parameters, payloads: given.update(payloads), after=("a",)), timeout_s=0.2
    )
    assert given == {"a": None}
    assert (outcomes["a"].payload, outcomes["b"].status) == (None, "ok")


def test_a_hung_source_costs_its_timeout_and_the_others_go_on() -> None:
    released = threading.Event()
    started = time.monotonic()
    outcomes = read(source("hung", lambda *given: released.wait(30)), source("other"), timeout_s=0.3)
    released.set()
    assert 0.3 <= time.monotonic() - started < 1
    assert outcomes["hung"].status == "failed"
    assert outcomes["hung"].reason == "Aucune réponse complète en 0,3 s."
    assert outcomes["hung"].remedy == "Augmenter timeout_s, ou vérifier que le service répond."
    assert 0.3 <= outcomes["hung"].duration_s < 1
    assert outcomes["other"].status == "ok"
    assert outcomes["other"].duration_s < 0.3


def test_progress_is_told_once_per_source_as_it_ends() -> None:
    told: list[Outcome] = []
    sources = [source("slow", lambda *given: time.sleep(0.2)), source("fast"), source("no", fails(ValueError()))]
    outcomes = gather(sources, Parameters(), told.append)
    assert sorted(outcome.source.name for outcome in told) == ["fast", "no", "slow"]
    assert told[-1].source.name == "slow"
    assert {id(outcome) for outcome in told} == {id(outcome) for outcome in outcomes.values()}


def test_a_progress_line_that_cannot_be_shown_holds_nobody() -> None:
    def closed(outcome: Outcome) -> None:
        raise BrokenPipeError

    ended: list[dict[str, Outcome]] = []
    reader = threading.Thread(
        target=lambda: ended.append(gather([source(), source("b", after=("s",))], Parameters(), closed)), daemon=True
    )
    reader.start()
    reader.join(5)
    assert [outcome.status for outcomes in ended for outcome in outcomes.values()] == ["ok", "ok"]
