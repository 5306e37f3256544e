"""Compose files on the disk: those of the folders searched, and those that containers' labels name.

`fetch` gathers the text of every file that Compose would read; `rows` loads the projects again from these texts.
Where Docker Compose is, it is asked too: the two must agree.
"""

import contextlib
import json
import os
import posixpath
import time
from collections.abc import Iterator
from typing import Any

from auditlib.collect import compose_program, compose_rows
from auditlib.collect.compose_rows import FileSet
from auditlib.collect.projects import Search, owner, read_text
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable
from auditlib.compose import dotenv, names
from auditlib.compose.agreement import disagreements
from auditlib.compose.document import Invalid
from auditlib.compose.load import load
from auditlib.compose.project import Project
from auditlib.facts.tables.compose import Exclusion
from auditlib.french import os_error
from auditlib.parameters import Parameters

MAX_TOTAL = 8 * 1024 * 1024  # characters of all files together
_LABEL = "com.docker.compose.project"


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """The texts of all compose files found, and of the files they refer to; what was left aside.

    Raises Unreadable when no folder is given and no container names a file.
    """
    deadline = time.monotonic() + PATIENCE * parameters.timeout_s
    search = Search(deadline)
    roots = list(dict.fromkeys(os.path.abspath(os.path.expanduser(one)) for one in parameters.project_roots))  # noqa: PTH100, PTH111
    for root in roots:
        search.root(root)
    engine = payloads.get("engine") or {}
    labelled = list(_labelled(engine)) if engine.get("local") else []
    if not parameters.project_roots and not labelled:
        raise Unreadable(
            "absent",
            "aucun dossier de projets n’est donné, et aucun conteneur ne nomme de fichier compose",
            "donner project_roots, les dossiers où chercher les fichiers compose",
        )
    texts = _Texts()
    sets = _sets(search, labelled, texts)
    owners: dict[str, dict[str, str]] = {}
    for one in sets:
        if time.monotonic() > deadline:
            search.gaps.append("les fichiers n’ont pas tous été lus dans le délai")
            break
        owners.setdefault(one["folder"], owner(one["folder"]))
        one["asked"] = not any(problem.kind == "remote" for problem in _load(one, texts.read, owners).problems)
    if program := compose_program.find():
        for one in sets:
            if one.get("asked"):
                one["told"] = compose_program.ask(program["path"], one, _shell(one, owners), deadline)
    return {
        "program": program,
        "roots": roots,
        "sets": sets,
        "texts": texts.known,
        "owners": owners,
        "dockerfiles": search.dockerfiles,
        "excluded": list(search.excluded.values()),
        "gaps": search.gaps,
    }


class _Texts:
    """Reads files once, and keeps what they say: a text, or why not."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.total = 0

    def read(self, path: str) -> str:
        if path not in self.known:
            try:
                text = read_text(path)
                self.total += len(text)
                if self.total > MAX_TOTAL:
                    raise OSError(0, "trop de fichiers au total", path)
                self.known[path] = {"text": text}
            except ValueError as error:  # a path that holds a NUL
                raise FileNotFoundError(2, "n’existe pas", path) from error
            except OSError as error:
                reason = os_error(error) if error.errno else str(error.strerror)
                # What a name leads to through a file is not there either.
                absent = isinstance(error, FileNotFoundError | NotADirectoryError)
                self.known[path] = {"error": reason, "absent": absent}
        return replayed(self.known, path)


def replayed(texts: dict[str, dict[str, Any]], path: str) -> str:
    """The text of a file that was gathered. Raises OSError as reading it did."""
    one = texts.get(path, {"absent": True, "error": "n’existe pas"})
    if "text" in one:
        return str(one["text"])
    kind = FileNotFoundError if one["absent"] else OSError
    raise kind(2 if one["absent"] else 5, one["error"], path)


def _labelled(engine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The sets of files that the labels of containers name."""
    for container in engine.get("containers", []):
        labels = (container.get("Config") or {}).get("Labels") or {}
        files, folder = labels.get(f"{_LABEL}.config_files"), labels.get(f"{_LABEL}.working_dir")
        if files and folder and posixpath.isabs(folder):
            env_files = labels.get(f"{_LABEL}.environment_file") or ""
            yield {
                "folder": posixpath.normpath(folder),
                "files": [posixpath.normpath(posixpath.join(folder, file)) for file in files.split(",")],
                "project": labels.get(_LABEL),
                "env_files": [posixpath.join(folder, file) for file in env_files.split(",") if file],
            }


def _sets(search: Search, labelled: list[dict[str, Any]], texts: _Texts) -> list[dict[str, Any]]:
    """The sets of files to load: as containers were started with, then as they stand on the disk."""
    sets: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in labelled:
        path = one["files"][0]
        sets.setdefault(_real(one["files"]), {**one, "path": path, "root": "/", "named": True, "default": False})
    started = {files[:1]: one for files, one in sets.items()}
    for one in _on_disk(search, texts):
        real = _real(one["files"])
        if known := sets.get(real) or started.get(real[:1]):
            known["default"] = one["default"]
            if len(known["files"]) == len(one["files"]) and _real([known["folder"]]) == _real([one["folder"]]):
                # The same place by another way: people know it by the folder that was searched.
                known |= {key: one[key] for key in ("root", "folder", "files")}
        else:
            sets[real] = one
    for one in sets.values():
        if one["root"] == "/":
            inside = [root for root, _ in search.names if one["files"][0].startswith(f"{root.rstrip('/')}/")]
            one["root"] = max(inside, key=len, default="/")
    # A file that a container was started with is no set of its own.
    taken = {file for one in sets.values() if one["named"] for file in one["files"][1:]}
    return [one for one in sets.values() if one["named"] or len(one["files"]) > 1 or one["files"][0] not in taken]


def _on_disk(search: Search, texts: _Texts) -> Iterator[dict[str, Any]]:
    """The sets of files of the folders that were searched."""
    for (root, folder), found in search.names.items():
        variables: dict[str, str] = {}
        with contextlib.suppress(OSError, Invalid):
            path = posixpath.join(folder, ".env")
            variables = dotenv.read(texts.read(path), path, {})
        default = names.chosen_files(variables) or names.default_files(found)
        for some in names.sets(found, variables):
            files = [posixpath.normpath(posixpath.join(folder, name)) for name in some]
            one = {"folder": folder, "files": files, "project": None, "env_files": [], "path": files[0]}
            yield {**one, "root": root, "named": False, "default": some == default}


def _real(paths: list[str]) -> tuple[str, ...]:
    """Where paths really lead, links followed; a loop of links leads to itself."""
    return tuple(os.path.realpath(path) for path in paths)


def _shell(one: dict[str, Any], owners: dict[str, dict[str, str]]) -> dict[str, str]:
    shell = dict(owners.get(one["folder"], {}))
    if one["project"]:  # as given with -p, or computed: what Compose wrote is what it used
        shell["COMPOSE_PROJECT_NAME"] = one["project"]
    return shell


def _load(one: dict[str, Any], read: Any, owners: dict[str, dict[str, str]]) -> Project:
    return load(one["files"], one["folder"], read, _shell(one, owners), one["env_files"])


def _confirm(one: FileSet, version: str) -> str | None:
    """A French clause on what Docker Compose, which was asked, makes otherwise of a set of files; None if nothing."""
    told = one.raw["told"]
    try:
        answer = json.loads(told["text"].replace("$$", "$")) if told["code"] == 0 else None
        found = list(disagreements(one.project, answer, one.read))
    except (ValueError, KeyError, TypeError, AttributeError, OSError, Invalid):
        return None
    if not found:
        return None
    shown = compose_rows.relative(one.raw["files"][0], one.root)
    clauses = " ; ".join(compose_rows.shown(clause) for clause in found[:5])
    return f"Docker Compose {version} comprend autrement le fichier {shown} ({clauses})"


def _alone(sets: list[FileSet]) -> list[FileSet]:
    """The sets without those that are a part of another: included by it, unless somebody started them alone."""
    parts = {posixpath.normpath(path) for one in sets for path, role in one.project.read.items() if role == "include"}
    return [one for one in sets if one.raw["named"] or one.raw["files"][0] not in parts]


def _exclusion(raw: dict[str, Any]) -> Exclusion:
    return Exclusion(
        root=raw["root"],
        folder=compose_rows.relative(raw["folder"], raw["root"]),
        kind=raw["kind"],
        count=raw["count"],
        example=compose_rows.shown(raw["example"]) or None,
    )


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of every table of compose files."""

    def read(path: str) -> str:
        return replayed(payload["texts"], path)

    owners = payload["owners"]
    found = [one for one in payload["sets"] if one["folder"] in owners]
    sets = _alone([FileSet(one, _load(one, read, owners), read) for one in found])
    gaps = list(payload["gaps"])
    if program := payload.get("program"):
        asked = [one for one in sets if one.raw.get("told")]
        gaps += filter(None, (_confirm(one, program["version"]) for one in asked))
    tables = compose_rows.tables(sets)
    dockerfiles = compose_rows.dockerfiles(payload["dockerfiles"], [one.project for one in sets])
    tables |= {
        "compose_projects": [*tables["compose_projects"], *dockerfiles],
        "compose_lines": [*compose_rows.lines(sets)],
        "exclusions": [_exclusion(one) for one in payload["excluded"]],
    }
    remedy = "Vérifiez project_roots, et les droits sur ces dossiers." if payload["gaps"] else ""
    note = (
        ""
        if payload["roots"]
        else "Aucun dossier de projets donné : seuls les fichiers que nomment les conteneurs sont lus."
    )
    return Reading(tables, gaps, remedy, note)
