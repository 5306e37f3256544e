"""How a hardening check is declared: its words, and one small predicate on a container or on the daemon.

`on_container` and `on_daemon` make a registered check of a predicate. What is common to all of them stands here: which
containers count, where the fault is declared, what mends it, and what of the daemon's settings can be judged.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.findings.commands import compose
from auditlib.french import quoted
from auditlib.parameters import Severity
from auditlib.software import is_up

# A predicate: what is wrong as facts (with `severity` or `wording`, if need be), or None. Its first parameter is a row;
# the others name tables, as lists of rows: those of the container for a table that has containers, else all.
Predicate = Callable[..., Record | None]
_Registering = Callable[[Predicate], Predicate]


def on_container(
    id: str, severity: Severity, title: str, *, fault: str, remedy: str, shows: str, extra: bool = False
) -> _Registering:
    """Register a predicate on a container that is up.

    `fault` follows « Le conteneur « x » », `remedy` is an infinitive that follows the place to edit, and `shows` is the
    template by which `docker inspect` shows the fact, or a whole command. Stopped containers are left alone, as in
    docker-bench-security: they do nothing until something starts them.
    """

    def register(predicate: Predicate) -> Predicate:
        def judge(
            containers: pd.DataFrame, compose_services: pd.DataFrame | None = None, **others: pd.DataFrame
        ) -> Iterator[Record]:
            services = [] if compose_services is None else records(compose_services)
            tables = {name: _by_container(frame) for name, frame in others.items()}
            for row in records(containers):
                given = {
                    name: rows if isinstance(rows, list) else rows.get(row["name"], []) for name, rows in tables.items()
                }
                facts = predicate(row, **given) if is_up(row["state"]) else None
                if facts is not None:
                    wording = {**facts.pop("wording", {}), "where": place(row, services), **compose(row)}
                    yield {"container": row["name"], **facts, "wording": wording}

        _signed(judge, predicate)
        inspected = f"docker inspect --format '{_literal(shows)}' {{container}}"
        check(
            id,
            severity,
            title,
            key=("container",),
            message="Le conteneur « {container} » " + fault + ".",
            fix=Fix(
                "{where}, " + remedy + ", puis recréer le conteneur.",
                ("{compose} up -d {service}",),
                (shows if shows.startswith("docker ") else inspected,),
            ),
            extra=extra,
        )(judge)
        return predicate

    return register


def on_daemon(
    id: str, severity: Severity, title: str, *, fault: str, remedy: str, shows: str | None = None, extra: bool = True
) -> _Registering:
    """Register a predicate on the settings of a Docker daemon of this machine: a row of `docker_daemon`.

    `fault` follows « Le démon Docker de « x » ». An unset option has Docker's default value, unless the file that may
    set it was not read: the check is then not evaluable. One finding per machine, on its first daemon at fault. `shows`
    is the command that shows the setting; without one, the file does.
    """

    def register(predicate: Predicate) -> Predicate:
        def judge(docker_daemon: pd.DataFrame, host: pd.DataFrame, **others: pd.DataFrame) -> Iterator[Record]:
            daemons = records(docker_daemon)
            if not daemons:
                raise NotApplicable("aucun démon Docker n’est décrit sur cette machine")
            tables = {name: records(frame) for name, frame in others.items()}
            known = [row for row in daemons if row["pid"] is not None and readable(row)]
            for row in known:
                if (facts := predicate(row, **tables)) is not None:
                    yield {"host": machine_name(host), "config_file": row["config_file"], **facts}
                    break
            if len(known) < len(daemons):
                raise AbsentTable("docker_daemon", "ses réglages n’ont pas tous pu être lus")

        _signed(judge, predicate)
        check(
            id,
            severity,
            title,
            key=("host",),
            message="Le démon Docker de « {host} » " + fault + ".",
            fix=Fix(
                "Dans « {config_file} », ou là où l’option est donnée à « dockerd », " + remedy + ", puis redémarrer "
                "Docker ; sans « live-restore », ses conteneurs s’arrêtent alors le temps du redémarrage.",
                ("sudo systemctl restart docker",),
                (_literal(shows) if shows else "sudo cat {config_file}",),
            ),
            extra=extra,
        )(judge)
        return predicate

    return register


def readable(daemon: Record) -> bool:
    """Whether all that sets a daemon was read."""
    return daemon["config_exists"] is not None and daemon["config_read"] is not False


def machine_name(host: pd.DataFrame) -> str:
    """The name of the audited machine, subject of what is said of it as a whole."""
    return str(host["name"].iloc[0]) if len(host) else "localhost"


def place(container: Record, services: list[Record]) -> str:
    """Where to edit what declares a container, as the start of a sentence: its service, with file and line if known."""
    if not container["compose_service"]:
        return f"Dans la commande qui crée {quoted(container['name'])}"
    files = container["compose_files"] or ()
    known = next(
        (
            row
            for row in services
            if (row["project"], row["service"]) == (container["compose_project"], container["compose_service"])
            and f"{row['root']}/{row['file']}" in files
        ),
        None,
    )
    where = f" ({quoted(known['file'])}, ligne {known['line']})" if known and known["line"] else ""
    return f"Dans le service compose {quoted(container['compose_service'])}{where}"


def _literal(command: str) -> str:
    """A command whose braces are Go's, as a template that gives it back."""
    return command.replace("{", "{{").replace("}", "}}")


def _by_container(frame: pd.DataFrame) -> Mapping[str, list[Record]] | list[Record]:
    if "container" not in frame.columns:
        return records(frame)
    found: dict[str, list[Record]] = {}
    for row in records(frame):
        found.setdefault(row["container"], []).append(row)
    return found


def _signed(judge: Any, predicate: Predicate) -> None:
    """Tell, as `Snapshot.call` reads it, the tables that a check needs: its own and those of its predicate."""
    own = [one for one in inspect.signature(judge).parameters.values() if one.kind is not one.VAR_KEYWORD]
    wanted = [*inspect.signature(predicate).parameters.values()][1:]
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in wanted]
    judge.__signature__ = inspect.Signature([*own, *keyword])
    judge.__doc__ = predicate.__doc__
