"""The lines of compose files that can be shown and mended: those that hold no secret by their place in the file.

A line is kept only when everything written on it stands at a place where no secret is expected, and when `redact`
would leave it as it is. Values of variables, health checks, free commands, contents of secrets and the values of
extensions are never kept; nor is a line of a text that spans several. The number of every line is.
"""

import re
from collections.abc import Iterator

import yaml

from auditlib.collect.containers import label_value
from auditlib.collect.secrets import redact, secret_name
from auditlib.facts.tables.compose import ComposeLine
from auditlib.french import visible

MAX_LINES = 5_000
MAX_LENGTH = 400
MAX_VALUES = 50_000  # of one file, aliases developed

# What may stand under a service, whole: none of it is a place for secrets.
_OPEN = {"ports", "networks", "container_name", "image", "restart", "expose", "depends_on", "profiles", "network_mode"}
_OPEN |= {"hostname", "pull_policy", "privileged", "read_only", "volumes", "user", "working_dir", "cap_add", "cap_drop"}
_OPEN |= {"extra_hosts", "pid", "ipc", "init", "stop_grace_period", "mem_limit", "cpus", "pids_limit", "security_opt"}
# Under `services.x.healthcheck` and the like: the keys that hold numbers and durations.
_PLAIN = frozenset(["interval", "timeout", "retries", "start_period", "disable"])
# Under a network or a volume of the file; `driver_opts` of a volume may hold the password of a share.
_RESOURCE = frozenset(["external", "name", "driver", "internal", "attachable", "enable_ipv6", "ipam"])
# An option of a command and a value that is a switch, a number, an address, a path, a plain word or a variable.
_FLAG = re.compile(
    r"--?(?P<name>[A-Za-z][\w.-]*)(?:=(?:true|false|\d{1,6}[a-z]{0,2}|[\w.-]*:\d{1,5}|/[\w./-]*"
    r"|[a-z]{1,20}(?:-[a-z]{1,20}){0,3}|[A-Z]{3,8}|\$\{\w+\}|https?://[\w.:-]+(?:/[\w.-]*)*))?"
)
_DEFAULT = re.compile(r"\$\{(\w+):?[-?+]")
# A comment is prose when it is plain words and numbers of ports, and announces no secret.
_MARKS = re.compile(r"[\s.,;:!?'’()/«»\"&+<>→–—=#-]+")
_WORD = re.compile(r"[^\W\d_]+|\d{1,5}|")
_ANNOUNCES = re.compile(
    r"\bpass(?:e|word|wd|phrase)?\b|secret|token|mdp|\bcl[ée]s?\b|login|\buser|ident|jeton|\bcodes?\b|auth|pwd|\bkeys?\b",
    re.IGNORECASE,
)
# What YAML counts as the end of a line and an editor may not: their numbers would differ.
_OTHER_BREAKS = re.compile("\r(?!\n)|[\x85\u2028\u2029]")

_Path = tuple[str, ...]


def lines(root: str, file: str, content: str) -> Iterator[ComposeLine]:
    """Each line of a file: its number, and its text when it can be kept; `ending` tells how it ends.

    Nothing for a file that is not YAML, or too long.
    """
    raw = re.findall(r"[^\n]*\n|[^\n]+\Z", content)
    if len(raw) > MAX_LINES or _OTHER_BREAKS.search(content):
        return
    try:
        shown, hidden = _judged(yaml.compose(content, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    for index, line in enumerate(raw):
        text = line.removesuffix("\n")
        body = text.removesuffix("\r")
        kept = index not in hidden and _kept(body, written=index in shown)
        yield ComposeLine(
            root=root,
            file=file,
            line=index + 1,
            text=body if kept else None,
            ending="none" if line == text else "crlf" if text != body else "lf",
        )


def _judged(root: yaml.Node | None) -> tuple[set[int], set[int]]:
    """The lines where something harmless is written, and those where something else is.

    Raises ValueError for a file of too many values.
    """
    shown: set[int] = set()
    hidden: set[int] = set()
    for count, (node, path) in enumerate(_scalars(root, ())):
        if count > MAX_VALUES:
            raise ValueError("too many values")
        first, last = node.start_mark.line, node.end_mark.line
        # A block text ends at the start of the line after it.
        last -= node.end_mark.column == 0 and last > first
        (shown if first == last and _harmless(node, path) else hidden).update(range(first, last + 1))
    return shown, hidden


def _kept(line: str, *, written: bool) -> bool:
    """Whether a line whose values are harmless can be kept, comment included."""
    if (
        len(line) > MAX_LENGTH
        or redact(line) != line
        or visible(line) != line
        or any(map(secret_name, _DEFAULT.findall(line)))
    ):
        return False
    if not written:
        # Blank, a comment alone, or a bracket: nothing else has no value.
        return not line.strip() or _prose(line.strip()) or bool(re.fullmatch(r"[\s\[\]{},-]*|---\s*", line))
    comment = re.search(r"(?:^|\s)(#.*)$", line)
    # A « # » inside quotation marks is no comment, and is judged as one: hidden when in doubt.
    return comment is None or _prose(comment[1])


def _prose(comment: str) -> bool:
    return not _ANNOUNCES.search(comment) and all(map(_WORD.fullmatch, _MARKS.split(comment)))


def _scalars(node: yaml.Node | None, path: _Path) -> Iterator[tuple[yaml.ScalarNode, _Path]]:
    """Every scalar of a document and its place: keys stand at the place of their value, ended by « : »."""
    if isinstance(node, yaml.ScalarNode):
        yield node, path
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, (*path, "[]"))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            yield from _scalars(key, (*path, name, ":"))
            # What an alias repeats is judged where it is written too, by the strictest of its places.
            yield from _scalars(value, (*path, name))


def _harmless(node: yaml.ScalarNode, path: _Path) -> bool:
    """Whether no secret is expected of this scalar at this place."""
    key = path[-1:] == (":",)
    match path[:-1] if key else path:
        case (_,):
            return key or path[0] in ("name", "version")
        case ("services", _, "volumes", *_) if "@" in node.value:
            return False  # the source of a share may hold its user and password
        case ("services", _) | ("networks" | "volumes", _):
            return key or not node.value
        case ("services", _, name):
            return key or name in _OPEN or (name in ("command", "labels") and not node.value)
        case ("services", _, "labels", *inner):
            return _label(node, inner, key=key)
        case ("services", _, "command", "[]"):
            flag = _FLAG.fullmatch(node.value)
            return bool(flag and not secret_name(flag["name"]))
        case ("services", _, "healthcheck", name):
            return name in _PLAIN or (key and name == "test")
        case ("services", _, name, *_):
            return name in _OPEN
        case ("networks" | "volumes", _, name, *_):
            return name in _RESOURCE
    return False


def _label(node: yaml.ScalarNode, inner: list[str], *, key: bool) -> bool:
    """Whether the audit would keep this label of a service, as it stands."""
    if inner == ["[]"]:
        name, _, value = node.value.partition("=")
    else:
        name, value = inner[0], "" if key else node.value
    return bool(label_value(name, value) == value)
