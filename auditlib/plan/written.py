"""The files and the commands of a step: a patch where the files are known, else an override; then one `up -d`.

Commands are run from the folder of the run, where the files stand under `correctifs/`.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auditlib.addresses import EVERY_ADDRESS
from auditlib.compose.edit import check_path
from auditlib.compose.overrides import Now, Override
from auditlib.compose.unified import diff
from auditlib.compose.written import Line, Unsafe
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.compose import ComposeLine
from auditlib.facts.tables.docker import ContainerNetwork, Publication
from auditlib.plan.acts.act import Act, Commands, Edit
from auditlib.plan.stacks import Stack, container

FOLDER = "correctifs"
Disk = dict[tuple[str, str], list[Line]]


@dataclass
class Written:
    """What stands for a step: its files by name, the acts that could be written, and why others could not."""

    files: dict[str, str] = field(default_factory=dict)
    patch: str | None = None
    override: str | None = None
    done: list[Act] = field(default_factory=list)
    refused: dict[Act, str] = field(default_factory=dict)


def disk(snapshot: Snapshot) -> Disk:
    """The known lines of the compose files, by root and file."""
    lines: Disk = {}
    for row in sorted(snapshot.known(ComposeLine) or (), key=lambda row: row.line):
        lines.setdefault((row.root, row.file), []).append(Line(row.text, row.ending or "lf"))
    return lines


def write(snapshot: Snapshot, name: str, home: Stack | None, acts: Sequence[Act], known: Disk) -> Written:
    """Write the edits of a step into files called after `name`, and into `known`, where later steps find them."""
    written = Written()
    before, over = dict(known), list[Edit]()
    for act in acts:
        reason = _refusal(home, act, known, before)
        if reason is None:
            written.done.append(act)
        elif home is None or not isinstance(act, Edit) or act.container is None:
            written.refused[act] = reason
        else:
            try:
                _override(snapshot, (*over, act), (*written.done, act))
            except Unsafe:
                written.refused[act] = reason
            else:
                over.append(act)
                written.done.append(act)
    changed = [key for key in known if known[key] != before.get(key)]
    if changed:
        written.patch = f"{name}.patch"
        written.files[written.patch] = "".join(diff(before[key], known[key], key[1]) for key in changed)
    if over:
        written.override = f"{name}.override.yml"
        written.files[written.override] = _override(snapshot, over, written.done)
    return written


def _refusal(home: Stack | None, act: Act, known: Disk, before: Disk) -> str | None:
    """Why an act is not done by itself nor by an edit of a file of its stack, which is then made; None when it is."""
    if not isinstance(act, Edit):
        return None
    if home is None:
        # Made by no project: what the engine itself can change is all there is.
        return None if act.by_engine else "aucun fichier compose connu ne décrit ce conteneur"
    reason = "les lignes de ses fichiers ne sont pas connues"
    for file in home.files:
        key = (home.root, file)
        if key not in known:
            continue
        try:
            check_path(file)
            edited = act.edited(known[key])
            diff(before[key], edited, file)
        except Unsafe as unsafe:
            reason = str(unsafe)
        else:
            known[key] = edited
            return None
    return reason


def _override(snapshot: Snapshot, over: Sequence[Edit], done: Iterable[Act]) -> str:
    """The override of some acts. Some list a key of a service anew: also what its files change of it then.

    Raises Unsafe.
    """
    listed = {(type(act), act.container) for act in over if act.whole}
    edits = [act for act in done if isinstance(act, Edit) and (act in over or (type(act), act.container) in listed)]
    file = Override(_now(snapshot, edits))
    for act in edits:
        act.override(file)
    return file.text()


def _now(snapshot: Snapshot, acts: Iterable[Edit]) -> Mapping[str, Now]:
    """What the services of some acts are before them, as their containers show."""
    places = snapshot.known(ContainerNetwork) or ()
    services = {}
    for act in acts:
        known = container(snapshot, act.container)
        own = f"{known.compose_project if known else None}_default"
        attached = {place.network for place in places if place.container == act.container}
        mode = (known and known.network_mode) or ""
        joined = mode == "host" or mode.startswith("container:")
        ports = tuple(dict.fromkeys(_ports(snapshot, act.container)))
        services[act.service] = Now(ports, own in attached, mode if joined else None)
    return services


def _ports(snapshot: Snapshot, name: str | None) -> Iterator[str]:
    """The ports of a container in Compose's short form, those of both families without address."""
    for row in snapshot.known(Publication) or ():
        if row.container != name:
            continue
        everywhere = row.host_ip in EVERY_ADDRESS
        address = "" if everywhere else f"[{row.host_ip}]:" if ":" in row.host_ip else f"{row.host_ip}:"
        chosen = row.host_port is None or row.chosen
        host = "" if chosen and row.host_port_last is None else _range(row)
        suffix = "" if row.protocol == "tcp" else f"/{row.protocol}"
        yield f"{address}{host}{':' if host or address else ''}{row.container_port}{suffix}"


def _range(row: Publication) -> str:
    return f"{row.host_port}-{row.host_port_last}" if row.host_port_last else str(row.host_port)


def commands(snapshot: Snapshot, home: Stack | None, written: Written, earlier: Sequence[str] = ()) -> Commands:
    """The commands of a step and its way back, in the order to run them.

    `earlier` are the overrides that earlier steps gave its stack: without them, Compose would undo those steps.
    """
    own = [(act.first, act.commands(snapshot, home)) for act in written.done]
    forth = [line for first, lines in own if first for line in lines.forth]
    back = list[str]()
    if written.patch and home:
        place = f'-p1 -d {shlex.quote(home.root)} -i "$PWD"/{FOLDER}/{shlex.quote(written.patch)}'
        forth.append(f"patch -N {place}")
        back.append(f"patch -R {place}")
    for first, lines in own:
        if not first:
            forth += lines.forth
            back += lines.back
    restarted = dict.fromkeys(act.restarted for act in written.done if act.restarted)
    forth += [f"docker restart {shlex.quote(name)}" for name in restarted]
    made_again = [act.service for act in written.done if isinstance(act, Edit) and act.recreated]
    if made_again and home:
        services = " ".join(map(shlex.quote, dict.fromkeys(made_again)))
        kept = "".join(map(_named, earlier))
        forth.append(f"{home.compose}{kept}{_named(written.override) if written.override else ''} up -d {services}")
        back.append(f"{home.compose}{kept} up -d {services}")
    back += [line for first, lines in own if first for line in lines.back]
    return Commands(forth, back)


def _named(name: str) -> str:
    return f' -f "$PWD"/{FOLDER}/{shlex.quote(name)}'


def file_name(number: int, project: str) -> str:
    """The name of the files of a step: its number and its project, as the name of a file."""
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', project).strip('._-') or 'machine'}"
