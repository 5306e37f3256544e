"""Traefik's access log: requests, their figures by router, and who answered a probe. Pure.

Forms: `common` (nine fields of the usual log, then count, router, server and duration), `genericCLF` (3.5 and later:
without the last four) and JSON. Headers, the user agent among them, are left out unless the configuration keeps them.
"""

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from auditlib.collect.secrets import redact
from auditlib.collect.traefik_log import MAX_ENTRY, clean, instant, is_access
from auditlib.facts.tables.logs import AccessStat, UnroutedHost

MAX_HOSTS = 50  # rows of `access_unrouted`: anybody may ask for any name
MAX_ROUTERS = 1_000  # rows of `access_stats`: the log is the administrator's, but its lines are not all his
# How far the clock of a log may be from the moment a request was sent.
TOLERANCE = dt.timedelta(seconds=2)
AGENT = "auditlib/"  # what the audit's own requests call themselves

_HEAD = re.compile(
    r'\S+ - (?P<user>[^\[]*) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>\S+)" '
    r"(?P<status>\d{3}|-) (?P<size>\d+|-)(?= |$)"
)
_TAIL = re.compile(r' (?P<count>\d+|-) "(?P<router>[^"]*)" "(?P<url>[^"]*)" (?P<ms>\d+)ms$')
_AGENT = re.compile(r' "[^"]*" "(?P<agent>[^"]*)"')

# The bodies of Traefik's own answers, in bytes, by status (`pkg/proxy/httputil`): an application's differ.
_OWN_BODIES = {500: 21, 502: 11, 503: 20, 504: 15}
_NAME = re.compile(r"[\w.:\[\]-]{1,253}")


@dataclass(frozen=True)
class Request:
    """One request. None is what the form does not say; `router` "" is that no router took it."""

    time: dt.datetime | None
    method: str
    path: str  # without its query
    status: int
    size: int | None
    duration_ms: int | None
    host: str | None = None
    router: str | None = None
    service: str | None = None
    server: str | None = None  # "" when the answer was given before any server
    agent: str | None = None
    form: str = "common"

    @property
    def probe(self) -> bool:
        """Whether the audit itself made it, as far as the log tells."""
        return bool(self.agent and self.agent.startswith(AGENT))

    @property
    def made_by_traefik(self) -> bool:
        """Whether no application gave this answer: no server was chosen, or the body is Traefik's own error."""
        return self.server == "" or _OWN_BODIES.get(self.status) == self.size


def requests(text: str) -> Iterator[Request | None]:
    """The requests of a log, in order; None for one that cannot be read. Lines of Traefik's own log are skipped."""
    for raw in text.split("\n"):
        if not is_access(raw.lstrip("\x00")):
            continue
        line = clean(raw)
        if len(line) > MAX_ENTRY:
            yield None
        else:
            yield _of_json(line) if line.startswith("{") else _of_text(line)


def _of_json(line: str) -> Request | None:
    try:
        said = json.loads(line)
        status = int(said["DownstreamStatus"])
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
        return None
    path = _str(said.get("RequestPath"))
    host = _str(said.get("RequestHost")) or _str(said.get("RequestAddr"))
    duration = said.get("Duration")
    return Request(
        time=instant(_str(said.get("StartUTC")) or _str(said.get("time"))),
        method=_str(said.get("RequestMethod")),
        path=_path(path),
        status=status,
        size=_int(said.get("DownstreamContentSize")),
        duration_ms=round(duration / 1e6) if _int(duration) is not None else None,
        host=host_name(host) or None,
        router=_str(said.get("RouterName")),
        service=_str(said.get("ServiceName")) or None,
        server=_str(said.get("ServiceURL")) or _str(said.get("ServiceAddr")),
        agent=_str(said.get("request_User-Agent")) or None,
        form="json",
    )


def _of_text(line: str) -> Request | None:
    head = _HEAD.match(line)
    if head is None or not head["status"].isdigit():
        return None
    tail = _TAIL.search(line, head.end())
    agent = _AGENT.match(line, head.end())
    size = head["size"]
    return Request(
        time=_clf_time(head["time"]),
        method=head["method"],
        path=_path(head["path"]),
        status=int(head["status"]),
        size=int(size) if size.isdigit() and len(size) < 19 else None,
        duration_ms=int(tail["ms"]) if tail and len(tail["ms"]) < 19 else None,
        router=_dashed(tail["router"]) if tail else None,
        server=_dashed(tail["url"]) if tail else None,
        agent=_dashed(agent["agent"]) or None if agent else None,
        form="common" if tail else "genericCLF",
    )


def _str(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _dashed(value: str) -> str:
    return "" if value == "-" else value


def _path(target: str) -> str:
    """A path without its query, which may hold secrets."""
    return re.split(r"[?#;]", target, maxsplit=1)[0]


def host_name(host: str) -> str:
    """A host as names are compared: without its port, lower-case."""
    return re.sub(r":\d+$", "", host.strip().lower()).removesuffix(".")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _clf_time(text: str) -> dt.datetime | None:
    """`02/Jan/2006:15:04:05 +0000`, in UTC. Not strptime: its month names are those of the machine's language."""
    found = re.fullmatch(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", text)
    if not found or found[2] not in _MONTHS:
        return None
    month = _MONTHS.index(found[2]) + 1
    return instant(f"{found[3]}-{month:02}-{found[1]}T{found[4]}{found[5]}:{found[6]}")


@dataclass
class _Figures:
    """What was asked of one router."""

    statuses: Counter[int] = field(default_factory=Counter)
    traefik_5xx: int = 0
    refused: int = 0
    durations: list[int] = field(default_factory=list)
    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def add(self, request: Request) -> None:
        self.statuses[request.status // 100] += 1
        self.traefik_5xx += request.status >= 500 and request.made_by_traefik
        self.refused += 400 <= request.status < 500 and request.server == ""
        if request.duration_ms is not None and request.status != 101:  # a WebSocket lasts as long as its page is open
            self.durations.append(request.duration_ms)
        if request.time:
            self.first = min(filter(None, (self.first, request.time)))
            self.last = max(filter(None, (self.last, request.time)))


def statistics(asked: Iterable[Request]) -> tuple[list[AccessStat], list[UnroutedHost]]:
    """Rows of `access_stats` and of `access_unrouted`. The audit's own probes are the caller's to leave out."""
    routed: dict[tuple[str | None, str | None], _Figures] = {}
    unrouted: dict[str | None, _Figures] = {}
    for request in asked:
        if request.router == "":
            host = _kept(request.host) if not request.host or _NAME.fullmatch(request.host) else "nom mal formé"
            # Room for names that come later; a flood of names leaves those that were asked for more than once.
            if host not in unrouted and len(unrouted) >= 100 * MAX_HOSTS:
                unrouted = dict(_most_asked(unrouted, MAX_HOSTS))
            unrouted.setdefault(host, _Figures()).add(request)
        else:
            key = (_kept(request.router), _kept(request.service))
            if key in routed or len(routed) < MAX_ROUTERS:
                routed.setdefault(key, _Figures()).add(request)
    return (
        [_row(router, service, figures) for (router, service), figures in routed.items()],
        [
            UnroutedHost(host=host, requests=n.statuses.total(), first=n.first, last=n.last)
            for host, n in _most_asked(unrouted, MAX_HOSTS)
        ],
    )


@lru_cache(4096)
def _kept(name: str | None) -> str | None:
    """A name as it may be kept."""
    return redact(name)[:400] if name else None


def _most_asked(unrouted: dict[str | None, _Figures], count: int) -> list[tuple[str | None, _Figures]]:
    return sorted(unrouted.items(), key=lambda item: -item[1].statuses.total())[:count]


def _row(router: str | None, service: str | None, figures: _Figures) -> AccessStat:
    durations = sorted(figures.durations)
    return AccessStat(
        router=router,
        service=service,
        requests=figures.statuses.total(),
        status_1xx=figures.statuses[1],
        status_2xx=figures.statuses[2],
        status_3xx=figures.statuses[3],
        status_4xx=figures.statuses[4],
        status_5xx=figures.statuses[5],
        traefik_5xx=figures.traefik_5xx,
        application_5xx=figures.statuses[5] - figures.traefik_5xx,
        refused=figures.refused,
        p50_ms=_rank(durations, 50),
        p95_ms=_rank(durations, 95),
        max_ms=durations[-1] if durations else None,
        first=figures.first,
        last=figures.last,
    )


def _rank(ordered: Sequence[int], percent: int) -> int | None:
    """A percentile by the nearest rank: a value that was measured."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def router_of(
    asked: Iterable[Request], host: str, path: str, sent: dt.datetime, tolerance: dt.timedelta = TOLERANCE
) -> str | None:
    """The router that answered a GET of the audit's, found in the access log by name, path and time.

    None when it cannot be told: no such request in the log, a form that does not name hosts (all but JSON), or several
    routers that answered such requests within `tolerance`; and when no router took the request. Where the
    log keeps user agents, only the audit's own requests count; elsewhere another visitor's may, which is harmless
    while all got the same router.
    """
    wanted, place = host_name(host), _path(path) or "/"
    found = [
        one
        for one in asked
        if one.method == "GET"
        and one.host == wanted
        and one.path == place
        and one.time is not None
        and abs(one.time - sent) <= tolerance
        and (one.agent is None or one.probe)
    ]
    routers = {one.router for one in [one for one in found if one.probe] or found}
    return (routers.pop() or None) if len(routers) == 1 else None
