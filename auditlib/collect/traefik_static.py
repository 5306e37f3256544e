"""Traefik's static configuration: the file, the flags and the environment of its container, or of its process.

The first of the three that is present wins, and the others are ignored entirely (Traefik's `cmd/traefik/traefik.go`;
verified on 3.7.15). All three are recorded, with the one that counts marked as effective.
"""

import contextlib
import errno
import io
import posixpath
import re
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
import yaml
from docker.errors import APIError, DockerException

from auditlib.collect import host_traefik
from auditlib.collect.containers import name
from auditlib.collect.engine import ReadOnlyClient, address, archive, connect
from auditlib.collect.secrets import redact, secret_name
from auditlib.collect.source import PATIENCE, Payloads, Reading, Unreadable, connection_fault
from auditlib.facts.tables.traefik import StaticOption
from auditlib.parameters import Parameters
from auditlib.software import is_traefik
from auditlib.traefik.decoding import FALSE, TRUE

EXTENSIONS = (".toml", ".yaml", ".yml")  # in the order Traefik tries them
MAX_FILE = 1_000_000  # bytes; a static configuration is a few kilobytes
MAX_LINKS = 8  # a link to a link…; Linux allows 40

# Segments of a key that are names the user chose: their case counts, the rest of a key is case-insensitive.
_NAMED = ("entrypoints", "certificatesresolvers", "plugins", "localplugins")
# Options whose last word is a secret, whatever it is called elsewhere.
_SECRET_OPTION = re.compile(r"\.(?:eab\..*|headers(?:\..*)?|plugin\..*|.*users|email|username|cert|key|ca)$")


class _Text(yaml.CSafeLoader):
    """YAML whose scalars stay the text that was written (no number, date or boolean is guessed), with merge keys."""

    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("^<<$"))]}  # noqa: RUF012 - PyYAML's own


def proxies(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The containers that run Traefik: by image name, or by the program they start. Running ones come first."""
    found = [c for c in containers if is_traefik(c["Config"].get("Image"), _programs(c))]
    return sorted(found, key=lambda c: (not c["State"].get("Running"), not _publishes_web(c), name(c)))


def _programs(container: dict[str, Any]) -> list[str]:
    return [container.get("Path") or "", *(container.get("Args") or [])[:1]]


def _publishes_web(container: dict[str, Any]) -> bool:
    ports = (container["NetworkSettings"] or {}).get("Ports") or {}
    return any(binding["HostPort"] in ("80", "443") for bindings in ports.values() for binding in bindings or [])


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """Flags, `TRAEFIK_*` variables and configuration files of the Traefik container, or else of the machine's own."""
    engine = payloads["engine"]
    if engine is None:
        raise Unreadable("absent", "le moteur Docker n’a pas été lu", "rendre le moteur Docker lisible")
    found = proxies(engine["containers"])
    alive = any(one["State"].get("Running") for one in found)
    process = host_traefik.running() if engine["local"] and not alive else None
    if not found and process is None:
        also = ", ni aucun sur la machine" if engine["local"] else ""
        raise Unreadable("absent", f"aucun conteneur Traefik n’a été trouvé{also}", "démarrer Traefik")
    if process is not None:
        files, gaps = _first(candidates(process), lambda path: host_traefik.text(path, MAX_FILE))
        return {"container": None, "others": [], "process": process} | _told(process, files, gaps)
    container = found[0]
    with contextlib.closing(connect(address(parameters.docker_host), PATIENCE * parameters.timeout_s)) as client:
        files, gaps = _first(candidates(container), lambda path: file_text(client, container["Id"], path))
    others = [name(other) for other in found[1:] if other["State"].get("Running")]
    return {"container": name(container), "others": others} | _told(container, files, gaps)


def _first(paths: list[str], read: Callable[[str], str | None]) -> tuple[dict[str, str], list[str]]:
    """The text of the first file that is there, by its path; or why it could not be read."""
    for path in paths:
        try:
            content = read(path)
        except (DockerException, requests.RequestException, OSError, tarfile.TarError) as error:
            return {}, [f"{path} ({fault(error)})"]
        if content is not None:
            return {path: content}, []
    return {}, []


def _told(container: dict[str, Any], files: dict[str, str], gaps: list[str]) -> dict[str, Any]:
    environment = [line for line in container["Config"].get("Env") or [] if line.startswith("TRAEFIK_")]
    return {"args": container.get("Args") or [], "environment": environment, "files": files, "unread": gaps}


def bearer(payloads: Payloads) -> dict[str, Any]:
    """The Traefik whose static configuration was read: its container, or the machine's process in that shape.

    Raises Unreadable when none was.
    """
    engine, static = payloads["engine"], payloads["traefik_static"]
    if engine is None or static is None:
        unread = "la configuration statique de Traefik n’a pas été lue"
        raise Unreadable("absent", unread, "rendre lisible la configuration de Traefik")
    if static.get("process"):
        return dict(static["process"])
    container = next((one for one in engine["containers"] if name(one) == static["container"]), None)
    if container is None:
        raise Unreadable("absent", "le conteneur Traefik a disparu", "relancer l’audit")
    return dict(container)


def candidates(container: dict[str, Any]) -> list[str]:
    """Where Traefik looks for its file, in order: `--configFile` if given, then four places (paerser's finder).

    The next place is tried when there is no file, even after `--configFile` (verified on 3.6.6).
    """
    folder = container["Config"].get("WorkingDir") or "/"
    environment = dict(line.partition("=")[::2] for line in container["Config"].get("Env") or [])
    user = (container["Config"].get("User") or "root").partition(":")[0]
    home = environment.get("HOME") or ("/root" if user in ("0", "root") else "/")
    given = [value for option, value in parse_flags(container.get("Args") or []) if option == "configfile"]
    # Go leaves an unset variable empty: without XDG_CONFIG_HOME the second place is /traefik.
    places = ["/etc/traefik", environment.get("XDG_CONFIG_HOME", ""), f"{home}/.config", folder]
    found = [*given[-1:], *(f"{place}/traefik{extension}" for place in places for extension in EXTENSIONS)]
    return list(dict.fromkeys(joined(folder, path) for path in found))


def joined(folder: str, path: str) -> str:
    """A path inside a container, as its process in `folder` means it."""
    return posixpath.normpath(posixpath.join("/", folder, path)).replace("//", "/")


def file_text(client: ReadOnlyClient, container: str, path: str) -> str | None:
    """A file as the container sees it, or None. A GET of the engine's archive: no exec, no access to the disk."""
    for _ in range(MAX_LINKS):
        member, content = _member(client, container, path)
        if member is None or not member.issym():
            return content
        path = joined(posixpath.dirname(path), member.linkname)
    raise OSError(errno.ELOOP, "trop de liens symboliques")


def _member(client: ReadOnlyClient, container: str, path: str) -> tuple[tarfile.TarInfo | None, str | None]:
    """The archive's entry for a path and, of a file, its text. Raises OSError for what is no configuration file."""
    try:
        packed = archive(client, container, path, MAX_FILE, "fichier trop gros")
    except FileNotFoundError:
        return None, None
    with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
        member = opened.next()
        if member is None or member.issym():
            return member, None
        content = opened.extractfile(member)
        if content is None:
            raise IsADirectoryError(errno.EISDIR, path)
        return member, content.read().decode("utf-8", "replace")


def fault(error: Exception) -> str:
    """Why a file could not be read, as a French clause."""
    if isinstance(error, APIError):
        return f"HTTP {error.status_code}"
    return connection_fault(error) or "réponse du moteur Docker inutilisable"


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `traefik_static`, one per option and origin."""
    origins: list[tuple[str, str | None, Mapping[str, str]]] = []
    gaps = [f"fichier illisible : {unread}" for unread in payload["unread"]]
    # A file or a flag wins over what another user's process hides.
    hidden = [] if payload["files"] or payload["args"] else payload.get("process", {}).get("hidden", [])
    gaps += [f"{one} du processus de Traefik illisible sans root" for one in hidden]
    for path, text in payload["files"].items():
        try:
            origins.append(("file", path, dict(parse_file(path, text))))
        except ValueError as error:
            gaps.append(f"fichier {path} mal formé ({error})")
    origins.append(("flags", None, dict(parse_flags(payload["args"]))))
    origins.append(("environment", None, dict(parse_environment(payload["environment"]))))
    present = [origin for origin, _, options in origins if options]
    # A file that is there but could not be read or parsed would still win: then nothing is known to be effective.
    unsure = bool(gaps)
    if payload["others"]:
        gaps.append(
            f"un seul Traefik est audité, {payload['container']} ; aussi trouvés : {', '.join(payload['others'])}"
        )
    table = [
        StaticOption(
            container=payload["container"],
            origin=origin,
            location=location,
            key=key,
            value=None if is_secret(key) else redact(value),
            effective=None if unsure else origin == present[0],
        )
        for origin, location, options in origins
        for key, value in options.items()
    ]
    alone = "Un audit ne juge qu’un Traefik : vérifiez les routes des autres à part." if payload["others"] else ""
    return Reading({"traefik_static": table}, gaps, "Lancez l’audit avec sudo." if hidden else alone)


def options(static: dict[str, Any]) -> tuple[dict[str, str], bool]:
    """The options in force by key, "" for a secret, and whether they are sure; all of them when they are not."""
    read = rows(static).of(StaticOption)
    in_force = {one.key: one.value or "" for one in read if one.effective is not False}
    return in_force, all(one.effective is not None for one in read)


def is_secret(key: str) -> bool:
    """Whether the value of a static option must not be kept."""
    return bool(_SECRET_OPTION.search(f".{key}")) or secret_name(key.rpartition(".")[2])


def normal(key: str) -> str:
    """A key in one spelling for the three origins: lower-case, but for the names that the user chose."""
    parts = key.split(".")
    return ".".join(part if i and parts[i - 1].lower() in _NAMED else part.lower() for i, part in enumerate(parts))


def parse_flags(words: list[str]) -> Iterator[tuple[str, str]]:
    """Options of a command line: `--a.b=c`, `--a.b c`, `--a.b` (true). What is no option is skipped."""
    waiting = [*words]
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            continue
        key, equals, value = word.lstrip("-").partition("=")
        if equals:
            yield normal(key), value
        elif waiting and waiting[0] in TRUE | FALSE:
            # A switch takes no word: Traefik puts it on whatever the word, and reads no further (verified on 3.6.6).
            yield normal(key), "true"
            return
        else:
            yield normal(key), waiting.pop(0) if waiting and not waiting[0].startswith("-") else "true"


def parse_environment(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Options of `TRAEFIK_A_B=c` variables. Traefik lower-cases everything, names included."""
    for line in lines:
        variable, _, value = line.partition("=")
        if variable.startswith("TRAEFIK_"):
            yield variable.removeprefix("TRAEFIK_").replace("_", ".").lower(), value


def parse_file(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Options of a YAML or TOML file, flattened. Raises ValueError with a French cause when it is neither."""
    try:
        tree = tomllib.loads(text) if path.endswith(".toml") else yaml.load(text, _Text)  # noqa: S506 - a safe loader
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        kind = "TOML" if path.endswith(".toml") else "YAML"
        raise ValueError(f"ligne {mark.line + 1}" if mark else f"{kind} invalide") from None
    if not tree or not isinstance(tree, Mapping):
        raise ValueError("aucune option" if tree else "vide")
    return ((normal(key), value) for key, value in _flatten(tree, ""))


def _flatten(tree: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        # An empty mapping (`api: {}`) switches its option on.
        if not tree and prefix:
            yield prefix, "true"
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list) and any(isinstance(item, Mapping) for item in tree):
        for index, item in enumerate(tree):
            yield from _flatten(item, f"{prefix}[{index}]")
    elif isinstance(tree, list):
        yield prefix, ",".join(str(item) for item in tree)
    else:
        yield prefix, ("true" if tree is True else "false" if tree is False else str(tree))
