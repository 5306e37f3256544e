"""What a source is, and how sources are read side by side, each within its time.

A source is a dumb `fetch` (input and output only) and a pure `rows` (raw payload to rows of tables). A source that
cannot be read is recorded with the reason and what would mend it; the others go on.
"""

import logging
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from auditlib.collect.secrets import redact
from auditlib.facts.table import R, Row, Rows
from auditlib.facts.tables import TABLES
from auditlib.french import number, os_error, sentence
from auditlib.parameters import Parameters

log = logging.getLogger(__name__)

# What one silent request may take of its source's time: the rest is left to keep what was read, or to say why not.
PATIENCE = 0.7

Status = Literal["ok", "partial", "refused", "absent", "failed"]
Payloads = Mapping[str, Any]


class Unreadable(Exception):  # noqa: N818 - a state of the source, not a programming error
    """A source that cannot be read: `reason` and `remedy` are French clauses, without a full stop."""

    def __init__(self, status: Status, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason
        self.remedy = remedy


@dataclass
class Reading:
    """What `rows` made of a payload: rows by table, and what is missing from them.

    A table that could not be read is not in `tables`. `gaps` are French clauses; any gap makes the source partial.
    `note` is said of a source that was read wholly.
    """

    tables: Mapping[str, Sequence[Row]]
    gaps: list[str] = field(default_factory=list)
    remedy: str = ""
    note: str = ""

    def of(self, row: type[R]) -> Sequence[R]:
        """The rows of one table. Raises KeyError when it could not be read."""
        return cast(Sequence[R], self.tables[row.table.name])


@dataclass(frozen=True)
class Source:
    """One source of facts. `after` names the sources whose payloads its `fetch` is given (None if unread)."""

    name: str
    title: str
    tables: tuple[str, ...]
    fetch: Callable[[Parameters, Payloads], Any]
    rows: Callable[[Any], Reading]
    after: tuple[str, ...] = ()
    local: bool = False  # reads this very machine: says nothing of an engine that runs elsewhere


@dataclass
class Outcome:
    """How the reading of one source went."""

    source: Source
    status: Status
    reason: str = ""
    remedy: str = ""
    duration_s: float = 0.0
    tables: Mapping[str, Rows[Row]] = field(default_factory=dict)
    payload: Any = None


def gather(
    sources: Sequence[Source], parameters: Parameters, progress: Callable[[Outcome], None]
) -> dict[str, Outcome]:
    """Read all `sources` concurrently; a source starts when those it comes after have ended.

    Each costs at most `parameters.timeout_s`. `progress` is called with each outcome, as it comes.
    """
    futures: dict[str, Future[Outcome]] = {source.name: Future() for source in sources}

    def work(source: Source) -> None:
        payloads = {name: futures[name].result().payload for name in source.after}
        outcome = _read(source, parameters, payloads)
        try:
            progress(outcome)
        except OSError as error:  # whoever watched is gone; the collection goes on
            log.warning("progress of %s not shown: %s", source.name, error)
        finally:  # nobody may wait for ever
            futures[source.name].set_result(outcome)

    for source in sources:
        threading.Thread(target=work, args=(source,), name=source.name, daemon=True).start()
    return {name: future.result() for name, future in futures.items()}


def _read(source: Source, parameters: Parameters, payloads: Payloads) -> Outcome:
    started = time.monotonic()
    try:
        outcome = interpret(source, _bounded(lambda: source.fetch(parameters, payloads), parameters.timeout_s))
    except Unreadable as unreadable:
        outcome = Outcome(source, unreadable.status, sentence([unreadable.reason]), sentence([unreadable.remedy]))
    except Exception as error:  # a source may answer anything at all, and the other sources must go on
        log.error("source %s\n%s", source.name, redact(traceback.format_exc()))
        said = redact(" ".join(str(error).split()))[:200]
        reason = f"La réponse n’a pas la forme attendue ({type(error).__name__} : {said})."
        outcome = Outcome(source, "failed", reason, "Signalez cette erreur avec le journal de l’exécution.")
    outcome.duration_s = time.monotonic() - started
    return outcome


def interpret(source: Source, payload: Any) -> Outcome:
    """The outcome of a payload that was fetched. Raises what `rows` raises for a payload of another form.

    Also raises ValueError when its rows do not make the declared tables.
    """
    reading = source.rows(payload)
    tables = {name: TABLES[name].rows(rows) for name, rows in reading.tables.items()}
    status: Status = "partial" if reading.gaps else "ok"
    reason = sentence(reading.gaps) or reading.note
    return Outcome(source, status, reason, reading.remedy, tables=tables, payload=payload)


def _bounded(fetch: Callable[[], Any], timeout_s: float) -> Any:
    """Call `fetch` in a thread that is abandoned after `timeout_s`: no client's own timeout covers everything."""
    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(fetch())
        except BaseException as error:  # handed over to the caller, whatever it is
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return done.result(timeout_s)
    except TimeoutError:
        if done.done():
            raise
        raise Unreadable(
            "failed",
            f"aucune réponse complète en {number(timeout_s, 1)} s",
            "augmenter timeout_s, ou vérifier que le service répond",
        ) from None


def causes(error: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """The error, and every error it wraps: the libraries hide the system's own inside their arguments."""
    if id(error) in seen:
        return
    yield error
    seen |= {id(error)}
    for inner in (error.__cause__, error.__context__, *error.args, getattr(error, "reason", None)):
        if isinstance(inner, BaseException):
            yield from causes(inner, seen)


def connection_fault(error: BaseException) -> str | None:
    """Why a connection failed, as a French clause: the system's own reason among the causes of `error`."""
    for cause in causes(error):
        # These number their errors in their own way: 1 is no EPERM, -2 is no ENOENT.
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "le certificat TLS n’est pas reconnu"
        if isinstance(cause, ssl.SSLError):
            return "la connexion TLS échoue"
        if isinstance(cause, socket.gaierror):
            return "nom de machine inconnu"
        if isinstance(cause, TimeoutError) or (isinstance(cause, OSError) and cause.errno):
            return os_error(cause)
    return None
