"""The files and the commands of a step: a patch where the files are known, else an override; then one `up -d`.

Commands are run from the folder of the run, where the files stand under `correctifs/`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
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
from auditlib.software import borrows

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
    files: Disk = {}
    for line in sorted(snapshot.known(ComposeLine) or (), key=lambda line: line.line):
        files.setdefault((line.root, line.file), []).append(Line(line.text, line.ending or "lf"))
    return files


def write(snapshot: Snapshot, name: str, home: Stack | None, acts: Sequence[Act], known: Disk) -> Written:
    """Write the edits of a step into files called after `name`, and into `known`, where later steps find them."""
    made = Written()
    before, over = dict(known), list[Edit]()
    for act in acts:
        refusal = ""
        if isinstance(act, Edit) and home is None:
            # Made by no project: what the engine itself can change is all there is.
            refusal = "" if act.by_engine else "aucun fichier compose connu ne décrit ce conteneur"
        elif isinstance(act, Edit) and home:
            refusal = _into_files(home, act, known, before)
            if refusal and act.container and _overrides(snapshot, (*over, act), (*made.done, act)):
                refusal = ""
                over.append(act)
        if refusal:
            made.refused[act] = refusal
        else:
            made.done.append(act)
    changed = [key for key in known if known[key] != before.get(key)]
    if changed:
        made.patch = f"{name}.patch"
        made.files[made.patch] = "".join(diff(before[key], known[key], key[1]) for key in changed)
    if over:
        made.override = f"{name}.override.yml"
        made.files[made.override] = _override(snapshot, over, made.done)
    return made


def _into_files(home: Stack, act: Edit, known: Disk, before: Disk) -> str:
    """Edit the file that writes a service; why none can be edited surely, "" when one was."""
    reason = "les lignes de ses fichiers ne sont pas connues"
    for file in home.files:
        key = (home.root, file)
        if key not in known:
            continue
        try:
            check_path(file)
            edited = act.edited(known[key])
            diff(before[key], edited, file)
        except Unsafe as refusal:
            reason = str(refusal)
        else:
            known[key] = edited
            return ""
    return reason


def _overrides(snapshot: Snapshot, over: Sequence[Edit], done: Sequence[Act]) -> bool:
    """Whether an override can say some acts."""
    try:
        _override(snapshot, over, done)
    except Unsafe:
        return False
    return True


def _override(snapshot: Snapshot, over: Sequence[Edit], done: Sequence[Act]) -> str:
    """The override of some acts, and of what others change in the files of a key that it lists anew. Raises Unsafe."""
    listed = {(type(act), act.container) for act in over if act.whole}
    edits = [act for act in done if isinstance(act, Edit)]
    said = [act for act in edits if act in over or (type(act), act.container) in listed]
    file = Override({act.service: _now(snapshot, act.container) for act in said})
    for act in said:
        act.override(file)
    return file.text()


def _now(snapshot: Snapshot, name: str | None) -> Now:
    """What a service is before any act, as its container shows."""
    known = container(snapshot, name)
    mode = known.network_mode if known else None
    attached = {place.network for place in snapshot.known(ContainerNetwork) or () if place.container == name}
    return Now(
        ports=tuple(dict.fromkeys(_ports(snapshot, name))),
        default=known is not None and f"{known.compose_project}_default" in attached,
        network_mode=mode if borrows(mode) else None,
    )


def _ports(snapshot: Snapshot, name: str | None) -> Iterator[str]:
    """The ports of a container in Compose's short form, those of both families without address."""
    for row in snapshot.known(Publication) or ():
        if row.container == name:
            everywhere = row.host_ip in EVERY_ADDRESS
            address = "" if everywhere else f"[{row.host_ip}]:" if ":" in row.host_ip else f"{row.host_ip}:"
            chosen = row.host_port is None or row.chosen
            host = "" if chosen and row.host_port_last is None else _range(row)
            suffix = "" if row.protocol == "tcp" else f"/{row.protocol}"
            yield f"{address}{host}{':' if host or address else ''}{row.container_port}{suffix}"


def _range(row: Publication) -> str:
    return f"{row.host_port}-{row.host_port_last}" if row.host_port_last else str(row.host_port)


def commands(snapshot: Snapshot, home: Stack | None, made: Written, earlier: Sequence[str] = ()) -> Commands:
    """The commands of a step and its way back, in the order to run them.

    `earlier` are the overrides that earlier steps gave its stack: without them, Compose would undo those steps.
    """
    first, then = ([act.commands(snapshot, home) for act in made.done if act.first == early] for early in (True, False))
    forth = [line for own in first for line in own.forth]
    back = []
    if made.patch and home:
        place = f'-p1 -d {shlex.quote(home.root)} -i "$PWD"/{FOLDER}/{shlex.quote(made.patch)}'
        forth.append(f"patch -N {place}")
        back.append(f"patch -R {place}")
    forth += [line for own in then for line in own.forth]
    back += [line for own in then for line in own.back]
    restarted = dict.fromkeys(act.restarted for act in made.done if act.restarted)
    forth += [f"docker restart {shlex.quote(name)}" for name in restarted]
    again = dict.fromkeys(act.service for act in made.done if isinstance(act, Edit) and act.recreated)
    if again and home:
        services = " ".join(map(shlex.quote, again))
        kept = "".join(_named(name) for name in earlier)
        forth.append(f"{home.compose}{kept}{_named(made.override) if made.override else ''} up -d {services}")
        back.append(f"{home.compose}{kept} up -d {services}")
    return Commands(forth, back + [line for own in first for line in own.back])


def _named(name: str) -> str:
    return f' -f "$PWD"/{FOLDER}/{shlex.quote(name)}'


def file_name(number: int, project: str) -> str:
    """The name of the files of a step: its number and its project, as the name of a file."""
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', project).strip('._-') or 'machine'}"
