"""The files and the commands of a step: a patch where the files are known, else an override; then one `up -d`.

Commands are run from the folder of the run, where the files stand under `correctifs/`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from auditlib.addresses import EVERY_ADDRESS
from auditlib.compose.edit import Join, Operation, Publish, Restart, check_path
from auditlib.compose.edit import applied as edited
from auditlib.compose.overrides import Now, override
from auditlib.compose.unified import diff
from auditlib.compose.written import Line, Unsafe
from auditlib.facts.legacy import Record
from auditlib.facts.snapshot import Snapshot
from auditlib.plan.acts import Act, Create, Mode, Owner, Stack, container, rows

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
    found: Disk = {}
    for row in sorted(rows(snapshot, "compose_lines"), key=lambda row: row["line"]):
        found.setdefault((row["root"], row["file"]), []).append(Line(row["text"], row["ending"]))
    return found


def write(snapshot: Snapshot, name: str, home: Stack | None, acts: Sequence[Act], known: Disk) -> Written:
    """Write the edits of a step into files called after `name`, and into `known`, where later steps find them."""
    made = Written()
    before, over = dict(known), list[Act]()
    for act in acts:
        if isinstance(act.operation, Create | Mode | Owner):
            made.done.append(act)
        elif home is None:
            # Made by no project: what the engine itself can change is all there is.
            if isinstance(act.operation, Join | Restart):
                made.done.append(act)
            else:
                made.refused[act] = "aucun fichier compose connu ne décrit ce conteneur"
        elif reason := _into_files(home, act.operation, known, before):
            try:
                if act.container is None:
                    raise Unsafe(reason)
                _override(snapshot, (*over, act), (*made.done, act))
            except Unsafe as refusal:
                made.refused[act] = reason or str(refusal)
            else:
                over.append(act)
                made.done.append(act)
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


def _override(snapshot: Snapshot, over: Sequence[Act], done: Sequence[Act]) -> str:
    """The override of some acts. It lists all the ports of a service anew: also those that its files move."""
    listed = {act.container for act in over if isinstance(act.operation, Publish)}
    told = [act for act in done if act in over or (act.container in listed and isinstance(act.operation, Publish))]
    return override([act.operation for act in told], _now(snapshot, told))  # type: ignore[misc]


def _into_files(home: Stack, operation: Operation, known: Disk, before: Disk) -> str:
    """Edit the file that writes a service; why none can be edited surely, "" when one was."""
    reason = "les lignes de ses fichiers ne sont pas connues"
    for file in home.files:
        key = (home.root, file)
        if key not in known:
            continue
        try:
            check_path(file)
            now = edited(known[key], operation)
            diff(before[key], now, file)
        except Unsafe as refusal:
            reason = str(refusal)
        else:
            known[key] = now
            return ""
    return reason


def _now(snapshot: Snapshot, acts: Sequence[Act]) -> dict[str, Now]:
    """What the services of some acts are before them, as their containers show."""
    found = {}
    for act in acts:
        row = container(snapshot, act.container)
        own = f"{row.get('compose_project')}_default"
        attached = {one["network"] for one in rows(snapshot, "container_networks") if one["container"] == act.container}
        mode = row.get("network_mode") or ""
        joined = mode == "host" or mode.startswith("container:")
        ports = tuple(dict.fromkeys(_ports(snapshot, act.container)))
        found[act.operation.service] = Now(ports, own in attached, mode if joined else None)  # type: ignore[union-attr]
    return found


def _ports(snapshot: Snapshot, name: str | None) -> Iterator[str]:
    """The ports of a container in Compose's short form, those of both families without address."""
    own = [row for row in rows(snapshot, "publications") if row["container"] == name]
    for row in own:
        everywhere = row["host_ip"] in EVERY_ADDRESS
        address = "" if everywhere else f"[{row['host_ip']}]:" if ":" in row["host_ip"] else f"{row['host_ip']}:"
        chosen = row["host_port"] is None or row["chosen"]
        host = "" if chosen and row["host_port_last"] is None else _range(row)
        suffix = "" if row["protocol"] == "tcp" else f"/{row['protocol']}"
        yield f"{address}{host}{':' if host or address else ''}{row['container_port']}{suffix}"


def _range(row: Record) -> str:
    return f"{row['host_port']}-{row['host_port_last']}" if row["host_port_last"] else str(row["host_port"])


def commands(
    snapshot: Snapshot, home: Stack | None, made: Written, earlier: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The commands of a step and its way back, in the order to run them.

    `earlier` are the overrides that earlier steps gave its stack: without them, Compose would undo those steps.
    """
    forth, back = [], []
    up = list(dict.fromkeys(act.operation.service for act in made.done if home and act.recreates))  # type: ignore[union-attr]
    for act in made.done:
        one, name = act.operation, shlex.quote(act.container or "")
        match one:
            case Create():
                network = shlex.quote(one.network)
                forth.append(f"docker network create {'--internal ' if one.internal else ''}{network}")
    if made.patch and home:
        place = f'-p1 -d {shlex.quote(home.root)} -i "$PWD"/{FOLDER}/{shlex.quote(made.patch)}'
        forth.append(f"patch -N {place}")
        back.append(f"patch -R {place}")
    for act in made.done:
        one, name = act.operation, shlex.quote(act.container or "")
        match one:
            case Mode(path=path, was=was, wanted=wanted):
                forth.append(f"sudo chmod {wanted} {shlex.quote(path)}")
                back.append(f"sudo chmod {was} {shlex.quote(path)}")
            case Owner(path=path, was=was, wanted=wanted):
                forth.append(f"sudo chown {shlex.quote(wanted)} {shlex.quote(path)}")
                back.append(f"sudo chown {shlex.quote(was)} {shlex.quote(path)}")
            case Restart(policy=policy):
                old = container(snapshot, act.container)["restart_policy"] or "no"
                forth.append(f"docker update --restart {shlex.quote(policy)} {name}")
                back.append(f"docker update --restart {shlex.quote(old)} {name}")
            case Join(network=network) if home is None:
                forth += [f"docker network connect {shlex.quote(network)} {name}", f"docker restart {name}"]
                back.append(f"docker network disconnect {shlex.quote(network)} {name}")
    restarted = [
        act.operation.restart for act in made.done if isinstance(act.operation, Mode) and act.operation.restart
    ]
    forth += [f"docker restart {shlex.quote(name)}" for name in dict.fromkeys(restarted)]
    if up and home:
        services = " ".join(map(shlex.quote, up))
        kept = "".join(_named(name) for name in earlier)
        forth.append(f"{home.compose}{kept}{_named(made.override) if made.override else ''} up -d {services}")
        back.append(f"{home.compose}{kept} up -d {services}")
    for act in made.done:
        if isinstance(act.operation, Create):
            back.append(f"docker network rm {shlex.quote(act.operation.network)}")
    return forth, back


def _named(name: str) -> str:
    return f' -f "$PWD"/{FOLDER}/{shlex.quote(name)}'


def relief(made: Written) -> list[str]:
    """What may be done at once, without making anything again: a container attached to one more network."""
    joins = [act for act in made.done if isinstance(act.operation, Join) and act.container and act.phase == 0]
    return [
        line
        for act in joins
        for line in (
            f"docker network connect {shlex.quote(act.operation.network)} {shlex.quote(act.container or '')}",  # type: ignore[union-attr]
            f"docker restart {shlex.quote(act.container or '')}",
        )
    ]


def file_name(number: int, project: str) -> str:
    """The name of the files of a step: its number and its project, as the name of a file."""
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', project).strip('._-') or 'machine'}"
