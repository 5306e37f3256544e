"""Running the workbook: the notebooks through papermill, side by side, then the exports."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from auditlib import folders
from auditlib.facts import snapshot
from auditlib.facts.tables.host import STATUSES, SourceStatus
from auditlib.findings.audit import Audit
from auditlib.findings.policy import Policy
from auditlib.french import duration, os_error, visible
from auditlib.parameters import FILE, Parameters, document
from auditlib.report.exports import export
from auditlib.run.engines import IN_PROCESS, ISOLATED, kernels_stopped_on_error, stop_kernels

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
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths or not paths[0].name.startswith(COLLECTION):
        raise folders.RunError(
            f"Aucun carnet 00_*.ipynb dans {folder}. Donnez le dossier des carnets avec --notebooks."
        )
    return paths


def run(parameters: Parameters, folder: Path, say: Say, *, fast: bool = False) -> Done:
    """Run every notebook of `folder` and export the report. `say` is told of the progress, line by line.

    `fast` executes the notebooks in this process, one after the other, instead of isolated kernels.
    Raises RunError with a French sentence when nothing can be reported: no collection, a full disk, all notebooks
    failed. What was done until then is kept, and the sentence says where; so does KeyboardInterrupt.
    """
    paths = notebooks(folder)
    draft = folders.Draft(folders.outputs_folder(parameters.outputs), dt.datetime.now(dt.UTC))
    try:
        with draft, _journal(draft.path), kernels_stopped_on_error():
            folders.write(draft.path / FILE, document(parameters))
            failed = _Notebooks(draft.path, parameters, say, fast=fast).execute(paths)
            return _report(draft, parameters, say, failed)
    except (folders.RunError, snapshot.SnapshotError) as error:
        raise folders.RunError(f"{error}{_kept(draft)}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(draft)) from None


def _kept(draft: folders.Draft) -> str:
    return f" Ce qui a été fait est gardé dans {draft.kept}." if draft.kept else ""


def _report(draft: folders.Draft, parameters: Parameters, say: Say, failed: Sequence[str]) -> Done:
    started = time.monotonic()
    name = draft.reserve(snapshot.read(draft.path).hostname).name
    audit = export(draft.path, Policy.of(parameters), name)
    say(f"Rapport : {duration(time.monotonic() - started)}")
    log.info("report: %.1f s", time.monotonic() - started)
    home = draft.complete()
    folders.owned_by_caller(home)
    return Done(home, audit, tuple(failed))


class _Ended(NamedTuple):
    """A notebook that ended: how long it took, and why it failed if it did."""

    name: str
    seconds: float
    failure: str | None


class _Notebooks:
    """The execution of the notebooks of one run, into its folder."""

    def __init__(self, folder: Path, parameters: Parameters, say: Say, *, fast: bool) -> None:
        self.folder = folder
        self.carnets = folder / folders.NOTEBOOKS
        self.replayed = str(folders.find(parameters.snapshot)) if parameters.snapshot else ""
        self.values = parameters.model_dump(mode="json")
        self.say = say
        self.engine, self.at_once = (IN_PROCESS, 1) if fast else (ISOLATED, KERNELS)
        self.running: set[Future[_Ended]] = set()
        self.ended: list[_Ended] = []

    def execute(self, paths: Sequence[Path]) -> list[str]:
        """Execute the first notebook, then the others a few at once. Returns the names of those that failed."""
        self.carnets.mkdir()
        first, *others = paths
        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                self.say("Lecture de l’instantané…" if self.replayed else "Collecte des faits…")
                self._follow(pool, [first], len(paths), snapshot=self.replayed, destination=_SNAPSHOT)
                if not (self.folder / snapshot.FOLDER / snapshot.MANIFEST).is_file():
                    why = self.ended[0].failure or "aucun instantané"
                    raise folders.RunError(f"La collecte n’a pas abouti : {why}.")
                for line in _sources(self.folder):
                    self.say(line)
                self._follow(pool, others, len(paths), snapshot=_SNAPSHOT)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                # Leaving the pool waits for what runs in it; a kernel that is just starting is there the next time.
                while any(future.running() for future in self.running):
                    stop_kernels()
                    time.sleep(0.1)
                raise
        failures = [ended for ended in self.ended if ended.failure]
        if len(failures) == len(paths):
            raise folders.RunError(f"Tous les carnets ont échoué ; le premier : {self.ended[0].failure}.")
        return [ended.name for ended in failures]

    def _follow(self, pool: ThreadPoolExecutor, paths: Sequence[Path], total: int, **own: str) -> None:
        """Execute notebooks, with parameters of their own, and tell each as it ends, before another takes its place.

        What this process prints while it executes a notebook itself would be an output of that notebook.
        """
        waiting = [*paths]
        while waiting or self.running:
            while waiting and len(self.running) < self.at_once:
                self.running.add(pool.submit(self._execute, waiting.pop(0), **own))
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                self.running.remove(future)
                name, seconds, failure = ended = future.result()
                self.ended.append(ended)
                outcome = f"échec : {visible(failure)}" if failure else duration(seconds)
                self.say(f"[{len(self.ended)}/{total}] {name} : {outcome}")

    def _execute(self, path: Path, **own: str) -> _Ended:
        """Execute one notebook; if it fails, it is kept with its traceback."""
        started = time.monotonic()
        target = self.carnets / path.name
        log.info("%s starts", path.name)
        error = self._papermill(path, target, {**self.values, **own})
        _forget_paths(target)
        seconds = time.monotonic() - started
        log.info("%s ends: %.1f s", path.name, seconds)
        return _Ended(path.stem, seconds, error.strip().splitlines()[-1].rstrip(".") if error else None)

    def _papermill(self, path: Path, target: Path, values: Mapping[str, Any]) -> str | None:
        """Execute one notebook through papermill. Returns why it failed. Raises RunError when the disk refuses."""
        declared = papermill.inspect_notebook(str(path))
        try:
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters={name: value for name, value in values.items() if name in declared},
                engine_name=self.engine,
                kernel_name="python3",
                progress_bar=False,
                # papermill's own `cwd` changes the directory of this whole process, threads included.
                resources={"metadata": {"path": str(self.carnets)}},
            )
        except OSError as error:
            raise folders.RunError(f"Écriture du carnet {target.name} : {os_error(error)}.") from error
        except PapermillExecutionError as error:
            log.error("%s: %s", path.name, error)
            return str(error.evalue) if _ours(error.ename) else f"{error.ename} : {error.evalue}"
        except Exception as error:  # a dead kernel, a cell that takes too long: the other notebooks go on
            log.exception("%s", path.name)
            return f"{type(error).__name__} : {error}"
        return None


def _ours(name: str) -> bool:
    """Errors whose message is a French sentence that stands by itself."""
    return name in ("RunError", "SnapshotError", "ParameterError", "AbsentTable")


def _forget_paths(notebook: Path) -> None:
    """Take this machine's paths out of papermill's notes: the notebook is shared."""
    if notebook.is_file():
        node = nbformat.read(notebook, as_version=4)
        for name in ("input_path", "output_path", "environment_variables"):
            node.metadata.get("papermill", {}).pop(name, None)
        folders.write(notebook, nbformat.writes(node) + "\n")


def _sources(run_folder: Path) -> Iterator[str]:
    """One line for each source: read or not, and why."""
    for source in snapshot.read(run_folder).rows(SourceStatus):
        yield f"    {source.source:<15} {STATUSES.get(source.status or '', 'inconnue')}{_detail(source)}"


def _detail(source: SourceStatus) -> str:
    if source.status == "ok":
        return f" en {duration(source.duration_s)}" if source.duration_s is not None else ""
    return " : " + " ".join(visible(part) for part in (source.reason, source.remedy) if part)


class _Journal(logging.FileHandler):
    """A journal that a full disk silences: the run itself says it, once and in French."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the record."""


@contextmanager
def _journal(folder: Path) -> Iterator[None]:
    """Write what happens into the journal of the run."""
    handler = _Journal(folder / folders.JOURNAL, encoding="utf-8")
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
        with suppress(OSError):
            handler.close()
