"""Running the workbook: the notebooks through papermill, side by side, then the exports."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from auditlib import report, runs, snapshot
from auditlib.engines import ENGINE, kernels_stopped_on_error
from auditlib.findings import Audit
from auditlib.french import duration, visible
from auditlib.parameters import Parameters, Severity
from auditlib.schema import Row, records
from auditlib.tables import STATUSES

log = logging.getLogger(__name__)

# Kernels at once. On two cores a third one still gains, since a kernel that starts mostly waits.
KERNELS = 3
# Only the first notebook touches the machine; it gives the others their snapshot.
COLLECTION = "00"
# Where a notebook finds the snapshot of its run: the run folder can be moved or archived as a whole.
_SNAPSHOT = f"../{snapshot.FOLDER}"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """A run that is done: where it is, what it found, and the notebooks that failed."""

    folder: Path
    audit: Audit
    failed: tuple[str, ...]


def notebooks(folder: Path) -> list[Path]:
    """The numbered notebooks of a folder, in reading order. Raises RunError when there is none."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found or not found[0].name.startswith(COLLECTION):
        raise runs.RunError(f"Aucun carnet 00_*.ipynb dans {folder}. Donnez le dossier des carnets avec --notebooks.")
    return found


def run(parameters: Parameters, folder: Path, say: Say) -> Done:
    """Run every notebook of `folder` and export the report. `say` is told of the progress, line by line.

    Raises RunError or SnapshotError with a French sentence when nothing can be reported: no collection, a full disk,
    all notebooks failed. What was done until then is kept, and the sentence says where.
    """
    paths = notebooks(folder)
    moment = dt.datetime.now(dt.UTC)
    draft = runs.Draft(runs.outputs_folder(parameters.outputs), moment)
    try:
        with draft, _journal(draft.path), kernels_stopped_on_error():
            return _run(draft, paths, parameters, say)
    except (runs.RunError, snapshot.SnapshotError) as error:
        kept = f" Ce qui a été fait est gardé dans {draft.kept}." if draft.kept else ""
        raise runs.RunError(f"{error}{kept}") from error


def _run(draft: runs.Draft, paths: Sequence[Path], parameters: Parameters, say: Say) -> Done:
    carnets = draft.path / runs.NOTEBOOKS
    carnets.mkdir()
    failures: dict[str, str] = {}

    def step(number: int, path: Path, seconds: float, failure: str | None) -> None:
        if failure:
            failures[path.stem] = failure
        state = f"échec : {visible(failure)}" if failure else duration(seconds)
        say(f"[{number}/{len(paths)}] {path.stem} : {state}")

    given = {**parameters.model_dump(), "snapshot": str(runs.find(parameters.snapshot)) if parameters.snapshot else ""}
    with ThreadPoolExecutor(KERNELS) as pool:
        try:
            say("Lecture de l’instantané…" if parameters.snapshot else "Collecte des faits…")
            started = time.monotonic()
            failure = pool.submit(_execute, paths[0], carnets, {**given, "destination": _SNAPSHOT}).result()
            step(1, paths[0], time.monotonic() - started, failure)
            if not (draft.path / snapshot.FOLDER / snapshot.MANIFEST).is_file():
                raise runs.RunError(f"La collecte n’a pas abouti : {failure or 'aucun instantané'}.")
            for line in _sources(draft.path):
                say(line)
            for number, (path, seconds, failed) in enumerate(_rest(pool, paths[1:], carnets, given), start=2):
                step(number, path, seconds, failed)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if len(failures) == len(paths):
        raise runs.RunError(f"Tous les carnets ont échoué ; le premier : {failures[paths[0].stem]}.")
    started = time.monotonic()
    audit = report.export(draft.path, parameters.severities)
    seconds = time.monotonic() - started
    say(f"Rapport : {duration(seconds)}")
    runs.owned_by_caller(draft.path)
    home = draft.complete(snapshot.read(draft.path).hostname)
    runs.owned_by_caller(home.parent)
    return Done(home, audit, tuple(failures))


def _rest(
    pool: ThreadPoolExecutor, paths: Sequence[Path], carnets: Path, given: Mapping[str, Any]
) -> Iterator[tuple[Path, float, str | None]]:
    """Execute notebooks that only read the snapshot, a few at once; gives each as it ends, with what it took."""

    def timed(path: Path) -> tuple[float, str | None]:
        started = time.monotonic()
        failure = _execute(path, carnets, {**given, "snapshot": _SNAPSHOT})
        return time.monotonic() - started, failure

    waiting: dict[Future[tuple[float, str | None]], Path] = {pool.submit(timed, path): path for path in paths}
    for future in as_completed(waiting):
        yield waiting[future], *future.result()


def _execute(path: Path, carnets: Path, given: Mapping[str, Any]) -> str | None:
    """Execute one notebook into `carnets`. Returns why it failed, as one line; it is kept with its traceback."""
    target = carnets / path.name
    declared = papermill.inspect_notebook(str(path))
    log.info("%s starts", path.name)
    failure = None
    try:
        papermill.execute_notebook(
            str(path),
            str(target),
            parameters={name: value for name, value in given.items() if name in declared},
            engine_name=ENGINE,
            kernel_name="python3",
            progress_bar=False,
            # papermill's own `cwd` changes the directory of this whole process, threads included.
            resources={"metadata": {"path": str(carnets)}},
        )
    except PapermillExecutionError as error:
        failure = f"{error.ename} : {error.evalue}" if not _ours(error.ename) else error.evalue
        log.error("%s: %s", path.name, error)
    except Exception as error:  # a dead kernel, a cell that takes too long: the other notebooks go on
        failure = f"{type(error).__name__} : {error}"
        log.exception("%s", path.name)
    _forget_paths(target)
    log.info("%s ends", path.name)
    return failure.strip().splitlines()[-1].rstrip(".") if failure else None


def _ours(name: str) -> bool:
    """Errors whose message is a French sentence that stands by itself."""
    return name in ("RunError", "SnapshotError", "ParameterError", "AbsentTable")


def _forget_paths(notebook: Path) -> None:
    """Take this machine's paths out of papermill's notes: the notebook is shared."""
    if notebook.is_file():
        node = nbformat.read(notebook, as_version=4)
        for name in ("input_path", "output_path", "environment_variables"):
            node.metadata.get("papermill", {}).pop(name, None)
        runs.write(notebook, nbformat.writes(node) + "\n")


def _sources(run_folder: Path) -> Iterator[str]:
    """One line for each source: read or not, and why."""
    for row in records(snapshot.read(run_folder).sources):
        yield f"    {row['source']:<15} {STATUSES[row['status']]}{_detail(row)}"


def _detail(row: Row) -> str:
    if row["status"] == "ok":
        return f" en {duration(row['duration_s'])}"
    return " : " + " ".join(visible(part) for part in (row["reason"], row["remedy"]) if part)


def severities(run_folder: Path) -> dict[str, Severity]:
    """The severities that a run was asked for, from the parameters papermill wrote into its notebooks."""
    for notebook in sorted((run_folder / runs.NOTEBOOKS).glob("*.ipynb")):
        node = nbformat.read(notebook, as_version=4)
        given = node.metadata.get("papermill", {}).get("parameters", {})
        if "severities" in given:
            return dict(given["severities"])
    return {}


@contextmanager
def _journal(folder: Path) -> Iterator[None]:
    """Write what happens into the journal of the run."""
    handler = logging.FileHandler(folder / runs.JOURNAL, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
