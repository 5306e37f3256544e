"""Acts of a plan, as tests write them: of a service alone, or of a container that runs it (`on`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from auditlib.compose.edit import check_path
from auditlib.compose.overrides import Now, Override
from auditlib.compose.ports import Published
from auditlib.compose.unified import diff
from auditlib.compose.written import Line
from auditlib.plan.acts.act import Edit
from auditlib.plan.acts.flag import Flag
from auditlib.plan.acts.label import Label
from auditlib.plan.acts.name import Name
from auditlib.plan.acts.networks import Join, Leave
from auditlib.plan.acts.publish import Publish
from auditlib.plan.acts.restart import Restart


def publish(service: str, protocol: str, host: int, target: int, wanted: tuple[str, int] | None) -> Publish:
    return Publish(None, service, Published(protocol, host, target), wanted)


def join(service: str, network: str) -> Join:
    return Join(None, service, network)


def leave(service: str, network: str) -> Leave:
    return Leave(None, service, network)


def name(service: str, wanted: str | None) -> Name:
    return Name(None, service, wanted)


def label(service: str, key: str, value: str, instead: str | None = None) -> Label:
    return Label(None, service, key, value, instead)


def restart(service: str, policy: str) -> Restart:
    return Restart(None, service, policy)


def flag(service: str, option: str, wanted: str | None) -> Flag:
    return Flag(None, service, option, wanted)


def on(container: str, act: Edit) -> Edit:
    """An act of a container that runs the service."""
    return replace(act, container=container)


def patch(lines: Sequence[Line], path: str, acts: Sequence[Edit]) -> str:
    """The diff of a file after some acts. Raises Unsafe."""
    check_path(path)
    edited = list(lines)
    for act in acts:
        edited = act.edited(edited)
    return diff(list(lines), edited, path)


def override(acts: Sequence[Edit], now: Mapping[str, Now]) -> str:
    """The compose file that says some acts over others. Raises Unsafe."""
    file = Override(now)
    for act in acts:
        act.override(file)
    return file.text()
