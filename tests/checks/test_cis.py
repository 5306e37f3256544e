"""How checks of the CIS benchmark are declared: what they read, and the mistakes that are refused when they are."""

import pytest

from auditlib.checks.cis import ContainerFault, Rule, on_container, on_daemon
from auditlib.facts.table import inputs
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.host import DockerDaemon
from auditlib.findings.check import CHECKS

RULE = Rule("CIS-0.0", "info", "Tout va bien")
WORDS = {"fault": "est mal réglé", "remedy": "le régler", "shows": "docker info"}


class Unset(ContainerFault):
    """A container that lacks a setting."""

    setting: str


def unset(container: Container) -> Unset | None:
    return Unset(setting=container.name)


@pytest.mark.parametrize(
    ("check", "reads"),
    [
        ("CIS-5.5", {"containers": False}),
        ("CIS-5.19", {"containers": False, "docker_daemon": False}),
        ("CIS-5.26", {"containers": False, "docker_daemon": True}),
        ("CIS-2.2", {"docker_daemon": False, "host": False}),
        ("CIS-2.9", {"docker_daemon": False, "host": False, "docker_engine": False}),
    ],
)
def test_a_check_reads_the_table_of_its_rows_and_those_that_its_function_names(
    check: str, reads: dict[str, bool]
) -> None:
    assert inputs(CHECKS[check].function) == reads


def test_a_column_of_another_table_is_refused() -> None:
    with pytest.raises(ValueError, match="are no columns of Container"):
        on_container(RULE, **WORDS, when=lambda _: True, tells=(DockerDaemon.cgroup_parent,))
    with pytest.raises(ValueError, match="are no columns of DockerDaemon"):
        on_daemon(RULE, **WORDS, when=lambda _: True, tells=(Container.cgroup_parent,))


@pytest.mark.parametrize("field", ["fault", "remedy"])
def test_words_that_name_what_is_not_told_are_refused(field: str) -> None:
    words = {**WORDS, field: "est « {user} »"}
    with pytest.raises(ValueError, match="'user'"):
        on_container(RULE, **words, when=lambda _: True, tells=(Container.image,))
    with pytest.raises(ValueError, match="'user'"):
        on_daemon(RULE, **words, when=lambda _: True)
    with pytest.raises(ValueError, match="'user'"):
        on_container(RULE, **words)(unset)
    assert RULE.id not in CHECKS
