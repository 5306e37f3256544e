"""Traefik's own log, as entries: version 2 (logrus) and 3 (zerolog), text or JSON, coloured or not. Pure.

Sources of the forms: logrus' TextFormatter, zerolog's ConsoleWriter, Traefik's `pkg/logs`. Version 3 writes in colours
on its standard output, and a message may hold line breaks. Every step is linear in the length of the text, which
anybody who can reach the proxy may write to.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Characters of an entry that are read. Docker cuts the lines of its logs at 16 kB.
MAX_ENTRY = 16_000

_LEVELS = {
    **dict.fromkeys(("TRC", "TRAC", "trace"), "trace"),
    **dict.fromkeys(("DBG", "DEBU", "debug"), "debug"),
    **dict.fromkeys(("INF", "INFO", "info"), "info"),
    **dict.fromkeys(("WRN", "WARN", "warn", "warning"), "warning"),
    **dict.fromkeys(("ERR", "ERRO", "error"), "error"),
    **dict.fromkeys(("FTL", "FATA", "fatal"), "fatal"),
    **dict.fromkeys(("PNC", "PANI", "panic"), "panic"),
}

# Colours, and the control characters that no log needs (a log truncated while it is written to begins with NULs).
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_TIME = r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))"
_STARTS = (
    re.compile(rf"{_TIME} (?P<level>TRC|DBG|INF|WRN|ERR|FTL|PNC|\?\?\?)(?: |$)"),  # zerolog
    re.compile(rf'time="{_TIME}" level=(?P<level>[a-z]+) ?'),  # logrus
    re.compile(rf"(?P<level>TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[{_TIME}\] ?"),  # logrus on a terminal
    re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?P<bare>)"),  # Go's own, without a zone: its time is not known
    re.compile(r"(?P<crash>)(?=panic: |fatal error: )"),
)
# The common access log, and what an access log in JSON always has.
_ACCESS = re.compile(r'\S{1,200} - [^\[]{1,400} \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "')
_ACCESS_KEY = '"DownstreamStatus":'

# name=value at the end of a text line. An open quotation ends with the line, so that no part is read twice.
# One of Traefik's names holds a blank.
_FIELD = re.compile(
    r'(?<!\S)(ACME CA|[A-Za-z_][\w.]*+)=("(?:[^"\\]|\\.)*+(?:"|\Z)\S*+|\[[^\]\n]*+\]?\S*+|\S*+)', re.DOTALL
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CALLER = re.compile(r"\S+\.go:\d+ >(?: |$)")


@dataclass(frozen=True)
class Entry:
    """One entry of the log. `time` is None when neither it nor any entry before it tells."""

    time: dt.datetime | None
    level: str | None
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    form: str = ""

    @property
    def said(self) -> str:
        """The message and its error, which is where version 3 puts the reason, and sometimes all there is."""
        return " ".join(filter(None, (self.message, self.fields.get("error"), self.fields.get("err"))))


def clean(text: str) -> str:
    """Text without colours and control characters, which can always be stored as UTF-8."""
    return _CONTROL.sub("", _COLOUR.sub("", text))


def is_access(line: str) -> bool:
    """Whether a line is of the access log, which may share the standard output with this log."""
    return bool(_ACCESS.match(line)) or (line.startswith("{") and _ACCESS_KEY in line)


def entries(text: str) -> Iterator[Entry]:
    """The entries of a log, in order. Lines that begin none belong to the one before them."""
    last: dt.datetime | None = None
    for lines in _grouped(text):
        entry = _entry("\n".join(lines), last)
        if entry is not None:
            last = entry.time or last
            yield entry


def _grouped(text: str) -> Iterator[list[str]]:
    """The lines of each entry, cleaned and cut."""
    group: list[str] = []
    length = 0
    for raw in text.split("\n"):
        line = clean(_cut(raw))
        if is_access(line):
            continue
        if line.startswith("{") or any(start.match(line) for start in _STARTS):
            if group:
                yield group
            group, length = [], 0
        if length + len(line) <= MAX_ENTRY:
            group.append(line)
            length += len(line)
    if group:
        yield group


def _cut(line: str) -> str:
    """A line of bounded length. The word where it is cut goes too: half a secret would not be recognised."""
    return line if len(line) <= MAX_ENTRY else line[:MAX_ENTRY].rpartition(" ")[0]


def _entry(text: str, last: dt.datetime | None) -> Entry | None:
    if text.startswith("{"):
        return _of_json(text, last)
    for start in _STARTS:
        if found := start.match(text):
            return _of_text(found, text[found.end() :], last)
    return Entry(last, None, text.strip()) if text.strip() else None


def _of_json(text: str, last: dt.datetime | None) -> Entry:
    try:
        values = json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return Entry(last, None, text.strip())
    known = {str(key): clean(_text(value)) for key, value in values.items()}
    message = known.pop("message", None) or known.pop("msg", "")
    time, level = instant(known.pop("time", "")), _LEVELS.get(known.pop("level", ""))
    return Entry(time or last, level, message.strip(), known, "json")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _of_text(start: re.Match[str], rest: str, last: dt.datetime | None) -> Entry:
    parts = start.groupdict()
    time = instant(parts.get("time") or "") or last
    if "crash" in parts:
        return Entry(last, "panic", rest.strip(), form="texte")
    if "bare" in parts:
        return Entry(last, None, rest.strip(), form="texte")
    message, fields = _split_fields(rest)
    if caller := _CALLER.match(message):
        message = message[caller.end() :]
    message = fields.pop("msg", message)
    return Entry(time, _LEVELS.get(parts["level"]), message.strip(), fields, "texte")


def _split_fields(rest: str) -> tuple[str, dict[str, str]]:
    """A message and the run of fields that ends it: fields quoted inside a message are part of the message."""
    found = list(_FIELD.finditer(rest))
    begin = len(rest)
    run: list[re.Match[str]] = []
    for one in reversed(found):
        if rest[one.end() : begin].strip():
            break
        begin = one.start()
        run.append(one)
    return rest[:begin], {one[1]: _unquoted(one[2]) for one in reversed(run)}


def _unquoted(value: str) -> str:
    """A value as it was before Go quoted it; a list loses its marks: `["a","b"]` gives `a b`."""
    if value.startswith("["):
        return " ".join(re.findall(r"[^\s\[\],\"]+", value))
    if not value.startswith('"'):
        return value
    inner = value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:]
    return clean(re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), inner, flags=re.DOTALL))


def instant(text: str) -> dt.datetime | None:
    """An RFC 3339 time with its zone, in UTC, or None."""
    try:
        # Python reads microseconds, Go writes nanoseconds.
        moment = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return moment.astimezone(dt.UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
