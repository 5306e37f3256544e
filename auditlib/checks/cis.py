"""How a check of the CIS benchmark is declared: the words that all checks of a container, or of the daemon, share.

`on_container` and `on_daemon` judge one row at a time. What is wrong is said by `when`, and shown by the columns that
`tells` names by their class, as in `tells=(Container.user,)`; or by the decorated function, which returns a fault or a
bool, and whose other parameters name tables. Rules that only inform wait until the whole benchmark is asked for.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Concatenate, NamedTuple, TypeVar

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, Rows
from auditlib.facts.tables.docker import Container, DockerEngine
from auditlib.facts.tables.host import DockerDaemon, Host
from auditlib.findings.check import Fault, Fix, Judge, NotApplicable, check, fault_class
from auditlib.parameters import Severity
from auditlib.software import is_up


class Rule(NamedTuple):
    """A rule of the benchmark; its title is the compliant state."""

    id: str
    severity: Severity
    title: str


class ContainerFault(Fault):
    """What is wrong with a container; `on_container` says with which."""

    container: str = ""


class DaemonFault(Fault):
    """What is wrong with a Docker daemon of this machine; `on_daemon` says with which."""

    host: str = ""
    config_file: str = ""


class EngineFault(Fault):
    """What is wrong with the engine as a whole."""

    host: str


# What judges one row: a fault, or whether something is wrong. Parameters after the first name tables.
ContainerJudge = TypeVar("ContainerJudge", bound=Callable[Concatenate[Container, ...], ContainerFault | bool | None])
DaemonJudge = TypeVar("DaemonJudge", bound=Callable[Concatenate[DockerDaemon, ...], DaemonFault | bool | None])


def on_container(
    rule: Rule,
    *,
    fault: str,
    remedy: str,
    shows: str,
    when: Callable[[Container], bool] | None = None,
    tells: tuple[object, ...] = (),
    extra: bool | None = None,
    whole: tuple[str, ...] = (),
) -> Callable[[ContainerJudge], ContainerJudge]:
    """Register what judges a container that is up: stopped ones do nothing until something starts them.

    Of a table with a column `container`, it is given the rows of the container, or all those of a table of `whole`.
    It raises AbsentTable of a container that cannot be judged; the others are. `fault` follows « Le conteneur « x » »,
    `remedy` is an infinitive that follows the place to edit, and `shows` is the template by which `docker inspect`
    shows the fact, or a whole command.
    """
    shown = shows if shows.startswith("docker ") else f"docker inspect --format '{_literal(shows)}' {{container}}"
    columns = _names(Container, tells)

    class Setting(ContainerFault):
        """A container that is set so."""

        __annotations__ = dict.fromkeys(columns, Any)

    def register(wrong: ContainerJudge) -> ContainerJudge:
        @functools.wraps(_given(wrong), assigned=())
        def judge(containers: Rows[Container], **tables: Rows[Any]) -> Iterator[ContainerFault]:
            unknown: AbsentTable | None = None
            for container in containers:
                own = {name: rows if name in whole else _own(rows, container) for name, rows in tables.items()}
                try:
                    found = is_up(container.state) and wrong(container, **own)
                except AbsentTable as absent:
                    unknown = unknown or absent
                    continue
                if found:
                    setting = Setting(**{column: getattr(container, column) for column in columns})
                    yield replace(setting if found is True else found, container=container.name)
            if unknown:
                raise unknown

        check(
            *rule,
            key=("container",),
            message="Le conteneur « {container} » " + fault + ".",
            fix=Fix("{where}, " + remedy + ", puis recréer le conteneur.", ("{compose} up -d {service}",), (shown,)),
            extra=rule.severity == "info" if extra is None else extra,
            fault=fault_class(wrong) or Setting,
        )(judge)
        return wrong

    if when:
        register(when)
    return register


def on_daemon(
    rule: Rule,
    *,
    fault: str,
    remedy: str,
    shows: str = "",
    when: Callable[[DockerDaemon], bool] | None = None,
    tells: tuple[object, ...] = (),
) -> Callable[[DaemonJudge], DaemonJudge]:
    """Register what judges a Docker daemon of this machine; one finding per machine, on its first daemon at fault.

    An unset option has Docker's default value, unless the file that may set it was not read: the check is then not
    evaluable. `fault` follows « Le démon Docker de « x » ». `shows` is the command that shows the setting; without one,
    the file does.
    """
    columns = _names(DockerDaemon, tells)

    class Setting(DaemonFault):
        """A daemon that is set so."""

        __annotations__ = dict.fromkeys(columns, Any)

    def register(wrong: DaemonJudge) -> DaemonJudge:
        @functools.wraps(_given(wrong), assigned=())
        def judge(docker_daemon: Rows[DockerDaemon], host: Rows[Host], **tables: Rows[Any]) -> Iterator[DaemonFault]:
            if not docker_daemon:
                raise NotApplicable("aucun démon Docker n’est décrit sur cette machine")
            name = machine_name(host)
            known = [daemon for daemon in docker_daemon if _readable(daemon)]
            for daemon in known:
                if found := wrong(daemon, **tables):
                    setting = Setting(**{column: getattr(daemon, column) for column in columns})
                    yield replace(setting if found is True else found, host=name, config_file=daemon.config_file)
                    return
            if len(known) < len(docker_daemon):
                raise AbsentTable("docker_daemon", "ses réglages n’ont pas tous pu être lus")

        check(
            *rule,
            key=("host",),
            message="Le démon Docker de « {host} » " + fault + ".",
            fix=Fix(
                "Dans « {config_file} », ou là où l’option est donnée à « dockerd », " + remedy + ", puis redémarrer "
                "Docker ; sans « live-restore », ses conteneurs s’arrêtent alors le temps du redémarrage.",
                ("sudo systemctl restart docker",),
                (_literal(shows) or "sudo cat {config_file}",),
            ),
            extra=rule.severity == "info",
            fault=fault_class(wrong) or Setting,
        )(judge)
        return wrong

    if when:
        register(when)
    return register


def on_engine(
    rule: Rule, *, about: str = "host", message: str, remedy: str, commands: tuple[str, ...] = (), shows: str
) -> Callable[[Judge], Judge]:
    """Register a check of the engine as a whole, or of its images, networks and sockets; `about` is its key."""
    fix = Fix(remedy, commands, (shows,))
    return check(*rule, key=(about,), message=message, fix=fix, extra=rule.severity == "info")


def security_features(engines: Rows[DockerEngine]) -> set[str]:
    """The security options of the engine, without what they are set to, as in `seccomp`."""
    options = (option for engine in engines for option in engine.security_options or ())
    return {option.partition(",")[0].removeprefix("name=") for option in options}


def machine_name(host: Rows[Host]) -> str:
    """The name of the audited machine, subject of what is said of it as a whole."""
    return host[0].name if host else "localhost"


def _readable(daemon: DockerDaemon) -> bool:
    """Whether all that sets a daemon was read."""
    return daemon.pid is not None and daemon.config_exists is not None and daemon.config_read is not False


def _given(judge: Callable[..., Any]) -> Callable[..., Any]:
    """A judge that was given its row: its parameters are the tables that it needs."""
    return functools.partial(judge, None)


def _own(rows: Rows[Any], container: Container) -> Rows[Any]:
    """The rows of a container, of a table that has containers; else all."""
    column = getattr(type(rows[0]), "container", None) if rows else None
    return rows if column is None else rows.grouped(column).get(container.name, Rows())


def _names(row: type[Row], columns: tuple[Any, ...]) -> list[str]:
    """The names of columns, each the descriptor that reads it. Raises ValueError for those of another class."""
    if alien := [column for column in columns if getattr(column, "__objclass__", None) is not row]:
        raise ValueError(f"{alien} are no columns of {row.__name__}")
    return [column.__name__ for column in columns]


def _literal(command: str) -> str:
    """A command whose braces are Go's, as a template that gives it back."""
    return command.replace("{", "{{").replace("}", "}}")
