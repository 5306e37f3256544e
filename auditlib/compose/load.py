"""The project that Compose would make of its files: variables, `extends`, `include`, overrides, names.

Files are read through a function that is given, so that the same code gathers them from the disk and, later, replays
from what was gathered.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from auditlib.compose import dotenv
from auditlib.compose.canonical import canonical, with_defaults
from auditlib.compose.consistency import check, faults
from auditlib.compose.decode import decoded, located, pairs
from auditlib.compose.document import (
    NOWHERE,
    Invalid,
    Map,
    Place,
    Seq,
    documents,
    mapping,
    place_of,
    sequence,
    text,
    untagged,
)
from auditlib.compose.environment import environment
from auditlib.compose.interpolate import Variables, interpolate, required, substitute
from auditlib.compose.lacking import faults_for_want
from auditlib.compose.merge import dropped, merge, unique
from auditlib.compose.mounts import Folder, remote
from auditlib.compose.project import Problem, Project, Reader, Role
from auditlib.compose.schema import validate

MAX_FILES = 100  # of one project
MAX_MERGED = 500_000  # values copied by `extends`, all told


class _Stop(Exception):  # noqa: N818 - carries a problem that ends the loading
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def project_name(name: str) -> str:
    """A name as Compose normalises it: small letters, digits, `-` and `_`, and no sign first."""
    return "".join(re.findall("[a-z0-9_-]", name.lower())).lstrip("_-")


def load(
    files: Sequence[str],
    folder: str,
    read: Reader,
    shell: Mapping[str, str] | None = None,
    env_files: Sequence[str] = (),
) -> Project:
    """The project of these absolute paths; the later override the earlier. Never raises for what files hold.

    `folder` is the project's own; `shell` holds the variables of whoever would run Compose; `env_files` are those
    given with --env-file, in place of the folder's `.env`. Where the files are refused for want of variables alone, the
    problems name them.
    """
    known = dict(shell or {})
    project = _loaded(files, folder, read, known, env_files)
    if project.refused and any(problem.name for problem in project.problems):
        lacking = faults_for_want(project, lambda more: _loaded(files, folder, read, {**more, **known}, env_files))
        if lacking:
            project.problems = [problem for problem in project.problems if problem.kind == "variable"] + lacking
    return project


def _loaded(
    files: Sequence[str], folder: str, read: Reader, shell: dict[str, str], env_files: Sequence[str]
) -> Project:
    project = Project("", folder, tuple(files))
    loader = _Loader(project, read)
    try:
        loader.load(dict(shell), env_files)
    except _Stop as stop:
        project.problems.append(stop.problem)
    except Invalid as invalid:
        project.problems.append(Problem("invalid", invalid.reason, invalid.place, invalid.name))
    except RecursionError:
        place = Place(files[0], 0)
        project.problems.append(Problem("invalid", "trop de niveaux imbriqués", place))
    project.name = project.name or project_name(posixpath.basename(folder))
    project.problems = list(dict.fromkeys(project.problems))
    return project


class _Loader:
    """Loads one project; keeps what was read and what is wrong."""

    def __init__(self, project: Project, read: Reader) -> None:
        self.project = project
        self.reader = read
        self.merged = 0
        self.home = ""  # of whoever would run Compose

    def read(self, path: str, role: Role, asked: Place = NOWHERE) -> str:
        """The text of a file. Raises _Stop when it cannot be read."""
        self.here(path, asked)
        if path not in self.project.read and len(self.project.read) >= MAX_FILES:
            raise _Stop(Problem("invalid", f"plus de {MAX_FILES} fichiers", asked))
        self.project.read.setdefault(path, role)
        try:
            return self.reader(path)
        except FileNotFoundError:
            place = asked if asked.line else Place(path, 0)
            raise _Stop(Problem("unreadable", f"le fichier {path} n’existe pas", place)) from None
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise _Stop(Problem("unreadable", f"le fichier {path} ne peut être lu ({said})", Place(path, 0))) from None

    @staticmethod
    def here(path: str, asked: Place) -> None:
        """Raises _Stop for a file of another machine."""
        if remote(path):
            raise _Stop(Problem("remote", "un fichier est demandé à une autre machine : il n’est pas lu", asked))

    def load(self, shell: dict[str, str], env_files: Sequence[str]) -> None:
        project = self.project
        self.home = shell.get("HOME", "")
        found: dict[str, str] = {}
        for path in env_files or [posixpath.join(project.folder, ".env")]:
            found |= self.dotenv(path, {**found, **shell}, optional=not env_files)
        known = {**found, **shell}
        project.variables = known
        raw = [
            (path, self.documents(path, "compose" if not rank else "override"))
            for rank, path in enumerate(project.files)
        ]
        project.name = self.name([tree for _, trees in raw for tree in trees], known)
        known["COMPOSE_PROJECT_NAME"] = project.name
        # Without any, the empty name is the one profile that is active.
        project.profiles = tuple(one.strip() for one in known.get("COMPOSE_PROFILES", "").split(","))
        variables = Variables(known)
        try:
            folder = Folder(project.folder, self.home)
            model = located(self.model(raw, folder, variables, ()), folder)
        finally:
            self.note(variables)
        if not model:
            raise Invalid("le fichier ne déclare rien", Place(project.files[0], 1))
        for kind in ("services", "networks", "volumes", "secrets", "configs", "models"):
            setattr(project, kind, model.get(kind) or mapping({}, Place(project.files[0], 0)))
        self.normalise()
        self.env_files()
        for reason, place in faults(project):
            project.problems.append(Problem("invalid", reason, place))

    def documents(self, path: str, role: Role, asked: Place = NOWHERE) -> list[Any]:
        return documents(self.read(path, role, asked), path)

    def dotenv(self, path: str, known: Mapping[str, str], *, optional: bool, asked: Place = NOWHERE) -> dict[str, str]:
        try:
            return dotenv.read(self.read(path, "dotenv", asked), path, known)
        except _Stop as stop:
            if optional and "n’existe pas" in stop.problem.reason:
                self.project.read.pop(path)
                return {}
            raise

    def name(self, trees: list[Any], known: Mapping[str, str]) -> str:
        """The project's name: of COMPOSE_PROJECT_NAME, of the last file that has one, of the folder. Raises Invalid."""
        if forced := known.get("COMPOSE_PROJECT_NAME"):
            if project_name(forced) != forced:
                raise Invalid("COMPOSE_PROJECT_NAME n’est pas un nom de projet", Place(self.project.files[0], 0))
            return forced
        names = [tree["name"] for tree in trees if isinstance(tree, Map) and isinstance(tree.get("name"), str)]
        written = substitute(names[-1], Variables(known), place_of(names[-1])) if names else ""
        return project_name(written) or project_name(posixpath.basename(self.project.folder))

    def note(self, variables: Variables) -> None:
        """Record the variables that were asked for and are unknown."""
        for name, place in variables.required:
            self.project.problems.append(Problem("invalid", required(name), place, name))
        for name, place in variables.missing:
            reason = f"la variable {name} n’a pas de valeur : Compose la remplace par rien"
            self.project.problems.append(Problem("variable", reason, place, name))

    def model(
        self, raw: list[tuple[str, list[Any]]], folder: Folder, variables: Variables, included: tuple[str, ...]
    ) -> Map:
        """The merged files, before paths are absolute and names are given."""
        model = mapping({}, Place(raw[0][0] if raw else "", 1))
        for path, trees in raw:
            for tree in trees:
                model = self.override(model, tree, path, folder, variables, (*included, path))
        model = with_defaults(model)
        check(model)
        return model

    def override(
        self, model: Map, tree: Any, path: str, folder: Folder, variables: Variables, included: tuple[str, ...]
    ) -> Map:
        """The files so far with one document more: what is checked is what the files make together."""
        clean, resets = self.prepared(tree, path, variables)
        if "services" in clean:
            services = _mapping(clean["services"], clean.place)
            for name in list(services):
                services[name] = self.extended(name, services, path, path, variables, resets, folder, ())
        model = dropped(model, resets)
        if "include" in clean:
            self.include(clean, clean.pop("include"), folder, variables, included)
        model = unique(merge(model, clean))
        validate(model, path)
        model.pop("version", None)
        return mapping(unique(canonical(model)), model.place)

    def prepared(self, tree: Any, path: str, variables: Variables) -> tuple[Map, list[tuple[str, ...]]]:
        """One document: its tags taken out, its variables replaced."""
        if not isinstance(tree, Map):
            raise Invalid("le fichier n’est pas un bloc de clés", Place(path, 1))
        clean, resets = untagged(tree)
        return interpolate(clean, variables), resets

    def extended(
        self,
        name: str,
        services: Map,
        path: str,
        first: str,
        variables: Variables,
        resets: list[tuple[str, ...]],
        folder: Folder,
        trail: tuple[tuple[str, str], ...],
    ) -> Any:
        """A service with what it extends. `first` is the file of the project where the chain starts.

        `resets` of the file at hand apply to the service that is extended.
        """
        service = services[name]
        if service is None:
            return None
        if not isinstance(service, Map):
            raise Invalid("un bloc de clés est attendu", place_of(service, place_of(name)))
        if "extends" not in service:
            return service
        extends, place = service["extends"], place_of(service["extends"], place_of(name))
        asked = extends if isinstance(extends, Map) else mapping({"service": extends}, place)
        ref, file = asked.get("service"), asked.get("file")
        if not isinstance(ref, str):
            raise Invalid("« extends » ne nomme pas de service", place)
        others, where = services, path
        inner: list[tuple[str, ...]] = []
        if isinstance(file, str):
            where = str(folder.file(file))
            near = folder.part(posixpath.dirname(where))
            others, inner = self.base(where, near, variables, place_of(file, place))
        if ref not in others:
            raise Invalid(f"« extends » désigne le service « {ref[:80]} », qui n’existe pas dans {where}", place)
        # Compose takes every chain for one of its first file, and of those that are named.
        step = (where if isinstance(file, str) else first, name)
        if step in trail:
            raise Invalid(f"« extends » tourne en rond : le service « {name[:80]} » s’étend lui-même", place)
        if len(trail) > 50:
            raise Invalid("trop de services étendus", place)
        base = self.extended(ref, others, where, first, variables, inner, folder, (*trail, step))
        if base is None:
            return service
        self.merged += sum(len(item) for item in base.values() if isinstance(item, Map | Seq))
        if self.merged > MAX_MERGED:
            raise Invalid("trop de services étendus", place)
        mine = [tuple(one[2:]) for one in resets if one[:2] == ("services", name) and len(one) > 2]
        made = merge(dropped(base, mine), service, ("services", name))
        made.pop("extends", None)
        services[name] = made
        return made

    def base(self, path: str, folder: Folder, variables: Variables, asked: Place) -> tuple[Map, list[tuple[str, ...]]]:
        """The services of a file that is extended, which nothing checks, and what its last document resets.

        `folder` is that of the file, seen from the one of the project.
        """
        model = mapping({}, Place(path, 1))
        resets: list[tuple[str, ...]] = []
        self.here(path, asked)
        for tree in self.documents(path, "extends", asked):
            clean, resets = self.prepared(tree, path, variables)
            model = unique(canonical(unique(merge(dropped(model, resets), clean))))
        model = located(model, folder)
        if not isinstance(model.get("services"), Map):
            raise Invalid(f"« extends » désigne un fichier sans service : {path}", asked)
        return model["services"], resets

    def include(
        self, model: Map, includes: Any, folder: Folder, variables: Variables, included: tuple[str, ...]
    ) -> None:
        """Add to `model` what other files declare. Raises Invalid when both declare the same thing differently."""
        if includes is not None and not isinstance(includes, Seq):
            raise Invalid("« include » n’est pas une liste", place_of(includes, model.place))
        for entry in includes or ():
            one = entry if isinstance(entry, Map) else mapping({"path": entry}, place_of(entry))
            place = place_of(one)
            paths = [folder.file(path) for path in _several(one.get("path"), place)]
            for path in paths:
                self.here(path, place)
            if paths and str(paths[0]) in included:
                raise Invalid("« include » tourne en rond", place)
            if len(included) > 20:
                raise Invalid("trop de fichiers inclus les uns par les autres", place)
            own = str(folder.absolute(one["project_directory"])) if one.get("project_directory") else ""
            own = own or (posixpath.dirname(paths[0]) if paths else folder.path)
            imported = self.imported([str(path) for path in paths], own, one, folder, variables, included)
            for kind in ("services", "networks", "volumes", "secrets", "configs", "models"):
                target = mapping(model.get(kind) or {}, place_of(model.get(kind), place))
                for name, value in (imported.get(kind) or {}).items():
                    if name in target and target[name] != value:
                        raise Invalid(f"« {name[:80]} » est aussi déclaré, autrement, par un fichier inclus", place)
                    target[name] = value
                if target:
                    model[kind] = target

    def imported(
        self,
        paths: list[str],
        own: str,
        entry: Map,
        folder: Folder,
        variables: Variables,
        included: tuple[str, ...],
    ) -> Map:
        place, known = place_of(entry), variables.values
        found: dict[str, str] = {}
        if entry.get("env_file"):
            for path in _several(entry["env_file"], place):
                found |= self.dotenv(str(folder.file(path)), {**found, **known}, optional=False, asked=place)
        else:
            found = self.dotenv(posixpath.join(own, ".env"), known, optional=True)
        inner = Variables({**found, **known})
        raw = [(path, self.documents(path, "include", place)) for path in paths]
        try:
            return located(self.model(raw, Folder(own, self.home), inner, included), folder.part(own))
        finally:
            self.note(inner)

    def normalise(self) -> None:
        """Give their names to networks and the like, and its default network to a service that names none."""
        project = self.project
        for name, value in list(project.services.items()):
            service = project.services[name] = decoded(value)
            if "network_mode" not in service and "provider" not in service and not service.get("networks"):
                service["networks"] = mapping({"default": None}, place_of(name))
            if "default" in (service.get("networks") or ()) and "network_mode" not in service:
                project.networks.setdefault("default", None)
        for resources in (project.networks, project.volumes, project.secrets, project.configs):
            for key, value in resources.items():
                made = mapping(value or {}, place_of(value, place_of(key)))
                if made.get("name") is None:
                    made["name"] = str(key) if made.get("external") is True else f"{project.name}_{key}"
                if "labels" in made:
                    made["labels"] = pairs(made["labels"], made.place)
                resources[key] = made

    def env_files(self) -> None:
        """Read the files of variables and of labels of every service that would start."""
        for name, service in self.project.services.items():
            active = self.project.active(name)
            try:
                for entry in service.get("env_file") or ():
                    self.env_file(entry)
                for path in service.get("label_file") or ():
                    labels = dotenv.read(self.read(str(path), "label_file", place_of(path)), str(path), {})
                    more = {key: text(value, place_of(path)) for key, value in labels.items()}
                    service["labels"] = mapping({**more, **(service.get("labels") or {})}, service.place)
                list(environment(self.project, service, self.reader))
            except _Stop as stop:
                if active:
                    self.project.problems.append(stop.problem)
            except Invalid as invalid:
                if active:
                    self.project.problems.append(Problem("invalid", invalid.reason, invalid.place, invalid.name))

    def env_file(self, entry: Map) -> None:
        path, place = str(entry["path"]), place_of(entry["path"], place_of(entry))
        try:
            self.read(path, "env_file", place)
        except _Stop as stop:
            if entry.get("required", True) is not False or "n’existe pas" not in stop.problem.reason:
                raise
            self.project.read.pop(path)


def _mapping(value: Any, place: Place) -> Map:
    if not isinstance(value, Map):
        raise Invalid("un bloc de clés est attendu", place_of(value, place))
    return value


def _several(value: Any, place: Place) -> Seq:
    if isinstance(value, Seq):
        return value
    return sequence([value] if isinstance(value, str) else [], place)
