"""The project that Compose would make of its files: variables, `extends`, `include`, overrides, names.

Files are read through a function that is given, so that the same code gathers them from the disk and, later, replays
from what was gathered.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auditlib.compose import dotenv
from auditlib.compose.canonical import absolute, canonical, remote
from auditlib.compose.consistency import faults
from auditlib.compose.document import (
    NOWHERE,
    Invalid,
    Map,
    Place,
    Seq,
    Text,
    documents,
    mapping,
    place_of,
    sequence,
    text,
    untagged,
)
from auditlib.compose.interpolate import Variables, interpolate, substitute
from auditlib.compose.merge import dropped, merge, unique
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
    given with --env-file, in place of the folder's `.env`.
    """
    project = Project("", folder, tuple(files))
    loader = _Loader(project, read)
    try:
        loader.load(dict(shell or {}), env_files)
    except _Stop as stop:
        project.problems.append(stop.problem)
    except Invalid as invalid:
        project.problems.append(Problem("invalid", invalid.reason, invalid.place))
    except RecursionError:
        place = Place(files[0], 0)
        project.problems.append(Problem("invalid", "trop de niveaux imbriqués", place))
    project.name = project.name or project_name(posixpath.basename(folder))
    project.problems = list(dict.fromkeys(project.problems))
    return project


def environment(project: Project, service: Map, read: Reader) -> Iterator[tuple[str, Text | None]]:
    """The variables of a service as they are in its container, name and value: `env_file`, then `environment`.

    The value is None when nothing gives one. Raises Invalid and OSError for an `env_file`.
    """
    found: dict[str, Text | None] = {}
    own = {name: value for name, value in (service.get("environment") or {}).items() if value is not None}
    for entry in service.get("env_file") or ():
        path = entry["path"]
        try:
            content = read(path)
        except FileNotFoundError:
            if entry.get("required", True) is False:
                continue
            raise
        for name, value in dotenv.read(content, str(path), {**project.variables, **own}).items():
            found[name] = text(value, place_of(entry))
    for name, value in (service.get("environment") or {}).items():
        known = project.variables.get(name)
        found[name] = value if value is not None else None if known is None else text(known, place_of(name), "$")
    yield from found.items()


class _Loader:
    """Loads one project; keeps what was read and what is wrong."""

    def __init__(self, project: Project, read: Reader) -> None:
        self.project = project
        self.reader = read
        self.merged = 0

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
        project.profiles = tuple(one.strip() for one in known.get("COMPOSE_PROFILES", "").split(",") if one.strip())
        variables = Variables(known)
        try:
            model = self.model(raw, project.folder, variables, ())
        finally:
            self.note(variables)
        if not model.get("services"):
            raise Invalid("aucun service n’est déclaré", Place(project.files[0], 1))
        for kind in ("services", "networks", "volumes", "secrets", "configs"):
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
        """The project's name: of COMPOSE_PROJECT_NAME, of the last file that has one, of the folder."""
        if forced := known.get("COMPOSE_PROJECT_NAME"):
            return forced
        names = [tree["name"] for tree in trees if isinstance(tree, Map) and isinstance(tree.get("name"), str)]
        written = substitute(names[-1], Variables(known), place_of(names[-1])) if names else ""
        return project_name(written) or project_name(posixpath.basename(self.project.folder))

    def note(self, variables: Variables) -> None:
        """Record the variables that were asked for and are unknown."""
        for name, place in variables.required:
            self.project.problems.append(
                Problem("invalid", f"la variable {name}, obligatoire, n’a pas de valeur", place, name)
            )
        for name, place in variables.missing:
            reason = f"la variable {name} n’a pas de valeur : Compose la remplace par rien"
            self.project.problems.append(Problem("variable", reason, place, name))

    def model(
        self, raw: list[tuple[str, list[Any]]], folder: str, variables: Variables, included: tuple[str, ...]
    ) -> Map:
        """The merged files, before names are given."""
        model = mapping({}, Place(raw[0][0], 1))
        for path, trees in raw:
            for tree in trees:
                model = self.override(model, tree, path, folder, variables, (*included, path))
        return model

    def override(
        self, model: Map, tree: Any, path: str, folder: str, variables: Variables, included: tuple[str, ...]
    ) -> Map:
        clean, resets = self.prepared(tree, path, folder, variables)
        services = clean.get("services") or mapping({}, clean.place)
        for name in list(services):
            services[name] = self.extended(name, services, path, variables, resets, ())
        model = dropped(model, resets)
        if includes := clean.pop("include", None):
            self.include(clean, includes, folder, variables, included)
        model = merge(model, clean)
        return mapping(unique(model), model.place)

    def prepared(self, tree: Any, path: str, folder: str, variables: Variables) -> tuple[Map, list[tuple[str, ...]]]:
        """One document: its tags taken out, its variables replaced, its shape checked and made canonical."""
        if tree is None:
            tree = mapping({}, Place(path, 1))
        if not isinstance(tree, Map):
            raise Invalid("le fichier n’est pas un bloc de clés", Place(path, 1))
        clean, resets = untagged(tree)
        filled = interpolate(clean, variables)
        validate(filled, path)
        return canonical(filled, folder), resets

    def extended(
        self,
        name: str,
        services: Map,
        path: str,
        variables: Variables,
        resets: list[tuple[str, ...]],
        trail: tuple[tuple[str, str], ...],
    ) -> Any:
        """A service with what it extends. `resets` of its file apply to the service it extends."""
        service = services[name]
        if not isinstance(service, Map) or not service.get("extends"):
            return service
        extends, place = service["extends"], place_of(service["extends"], place_of(name))
        if (path, name) in trail:
            raise Invalid(f"« extends » tourne en rond : le service « {name[:80]} » s’étend lui-même", place)
        if len(trail) > 50:
            raise Invalid("trop de services étendus", place)
        ref, file = str(extends.get("service")), extends.get("file")
        others, inner, where = services, resets, path
        if file is not None and str(file) != path:
            where = str(file)
            [tree] = self.documents(where, "extends", place_of(file, place))[:1] or [None]
            others, inner = self.base(tree, where, variables)
        elif file is not None:
            where = str(file)
        if ref not in others:
            raise Invalid(f"« extends » désigne le service « {ref[:80]} », qui n’existe pas dans {where}", place)
        base = self.extended(ref, others, where, variables, inner, (*trail, (path, name)))
        if not isinstance(base, Map):
            base = mapping({}, place)
        self.merged += sum(len(item) for item in base.values() if isinstance(item, Map | Seq))
        if self.merged > MAX_MERGED:
            raise Invalid("trop de services étendus", place)
        mine = [tuple(one[2:]) for one in resets if one[:2] == ("services", name) and len(one) > 2]
        made = merge(dropped(base, mine), service, ("services", name))
        made.pop("extends", None)
        return made

    def base(self, tree: Any, path: str, variables: Variables) -> tuple[Map, list[tuple[str, ...]]]:
        clean, resets = self.prepared(tree, path, posixpath.dirname(path), variables)
        return clean.get("services") or mapping({}, clean.place), resets

    def include(self, model: Map, includes: Any, folder: str, variables: Variables, included: tuple[str, ...]) -> None:
        """Add to `model` what other files declare. Raises Invalid when both declare the same thing differently."""
        for entry in includes:
            one = entry if isinstance(entry, Map) else mapping({"path": entry}, place_of(entry))
            place = place_of(one)
            paths = [absolute(path, folder) for path in _several(one.get("path"), place)]
            if not paths:
                raise Invalid("« include » n’a pas de chemin", place)
            for path in paths:
                self.here(path, place)
            if str(paths[0]) in included:
                raise Invalid("« include » tourne en rond", place)
            if len(included) > 20:
                raise Invalid("trop de fichiers inclus les uns par les autres", place)
            own = str(absolute(one["project_directory"], folder)) if one.get("project_directory") else ""
            own = own or posixpath.dirname(paths[0])
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
        folder: str,
        variables: Variables,
        included: tuple[str, ...],
    ) -> Map:
        place, known = place_of(entry), variables.values
        found: dict[str, str] = {}
        if entry.get("env_file"):
            for path in _several(entry["env_file"], place):
                found |= self.dotenv(str(absolute(path, folder)), {**found, **known}, optional=False, asked=place)
        else:
            found = self.dotenv(posixpath.join(own, ".env"), known, optional=True)
        inner = Variables({**found, **known})
        raw = [(path, self.documents(path, "include", place)) for path in paths]
        try:
            return self.model(raw, own, inner, included)
        finally:
            self.note(inner)

    def normalise(self) -> None:
        """Give their names to networks and the like, and its default network to a service that names none."""
        project = self.project
        for name, value in list(project.services.items()):
            service = project.services[name] = value if isinstance(value, Map) else mapping({}, place_of(name))
            if "network_mode" not in service and "provider" not in service and not service.get("networks"):
                service["networks"] = mapping({"default": None}, place_of(name))
            if "default" in (service.get("networks") or ()) and "network_mode" not in service:
                project.networks.setdefault("default", None)
        for resources in (project.networks, project.volumes, project.secrets, project.configs):
            for key, value in resources.items():
                made = mapping(value or {}, place_of(value, place_of(key)))
                if made.get("name") is None:
                    made["name"] = str(key) if made.get("external") is True else f"{project.name}_{key}"
                resources[key] = made

    def env_files(self) -> None:
        """Read the files of variables and of labels of every service that would start."""
        for name, service in self.project.services.items():
            try:
                active = self.project.active(name)
                for entry in service.get("env_file") or ():
                    self.env_file(entry, active=active)
                for path in service.get("label_file") or ():
                    labels = dotenv.read(self.read(str(path), "label_file", place_of(path)), str(path), {})
                    more = {key: text(value, place_of(path)) for key, value in labels.items()}
                    service["labels"] = mapping({**more, **(service.get("labels") or {})}, service.place)
            except _Stop as stop:
                if active:
                    self.project.problems.append(stop.problem)
            except Invalid as invalid:
                if active:
                    self.project.problems.append(Problem("invalid", invalid.reason, invalid.place))

    def env_file(self, entry: Map, *, active: bool) -> None:
        path, place = str(entry["path"]), place_of(entry["path"], place_of(entry))
        try:
            dotenv.read(self.read(path, "env_file", place), path, self.project.variables)
        except _Stop as stop:
            if entry.get("required", True) is not False or "n’existe pas" not in stop.problem.reason:
                raise
            self.project.read.pop(path)


def _several(value: Any, place: Place) -> Seq:
    if isinstance(value, Seq):
        return value
    return sequence([value] if isinstance(value, str) else [], place)
