"""What the entries of Traefik's log mean: their kind, what they are about, and why. Pure.

The texts are those of Traefik's sources, versions 2.11 to 3.7; the tests hold a line of each, from real programs where
one could be made to write it.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from auditlib.collect.secrets import redact, redact_rule
from auditlib.collect.traefik_log import Entry
from auditlib.facts.tables.logs import LEVELS, LogEvent

MAX_EVENTS = 400  # rows of the table: groups beyond (hostile or endless messages) are counted, not kept
MAX_GROUPS = 2_000  # the same, before secrets are taken out
MAX_TEXT = 400  # characters of an example or a name
MAX_SEARCHED = 3_000  # characters of a message in which names are looked for
MAX_LISTED = 100  # containers or domains of one row

# Recognised in this order, by any of the texts: what holds another's words comes before it.
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "static_invalid",
        (
            "incompatible deprecated ",
            "option has been removed in",
            "failed to decode configuration from",
        ),
    ),
    (
        "configuration_failed",
        ("Error while building configuration", "Error occurred during watcher callback", "Cannot start the provider"),
    ),
    ("container_gone", ("Failed to inspect container",)),
    ("network_missing", ("Could not find network named",)),
    ("network_fallback", ("Defaulting to first available network",)),
    ("address_missing", ("unable to find the IP address for the container", "Unable to get IP address for container")),
    ("port_missing", ("error: port is missing",)),
    ("container_skipped", ("Skip container",)),
    ("field_unknown", ("field not found, node:",)),
    ("label_invalid", ("invalid label root", "invalid element")),
    ("name_duplicate", ("defined multiple times with different configurations",)),
    ("service_ambiguous", ("cannot be linked automatically with multiple Services", "too many services")),
    ("middleware_invalid", ("invalid middleware ", "plugin: unknown plugin type")),
    ("entrypoint_missing", ("EntryPoint doesn't exist", "No valid entryPoint for this router")),
    ("rule_invalid", ("error while parsing rule", "error while adding rule")),
    ("resolver_missing", ("uses a nonexistent", "uses a non-existent")),
    ("resolver_skipped", ("skipped from the resolvers list",)),
    ("acme_obtain", ("Unable to obtain ACME certificate for domains",)),
    ("acme_renew", ("Error renewing",)),
    ("docker_version", ("is too old",)),
    (
        "provider_failed",
        (
            "Provider error, retrying in",
            "Provider connection error",
            "Failed to retrieve information of the docker client",
        ),
    ),
    ("file_duplicate", ("already configured, skipping",)),
    ("health_failed", ("Health check failed",)),
    ("tls_options", ("different TLS options", "unknown TLS options")),
    (
        "tls_default_duplicate",
        ("Default TLS Store defined in multiple providers", "Default TLS Options defined in multiple providers"),
    ),
    ("priority_excessive", ("exceeds the max user-defined priority",)),
    ("hostsni_without_tls", ("has HostSNI matcher, but no TLS on router",)),
    ("plugins_disabled", ("Plugins are disabled because an error has occurred",)),
    (
        "upstream_tls",
        (
            "first record does not look like a TLS handshake",
            "server gave HTTP response to HTTPS client",
            "x509:",
        ),
    ),
    ("constraint_invalid", ("Error matching constraints expression",)),
    ("server_invalid", ("error parsing server URL",)),
    ("gateway_error", ("502 Bad Gateway", "504 Gateway Timeout")),
    ("acme_renewing", ("Renewing ACME certificate", "Renewing certificate from LE")),
    ("acme_check", ("Testing certificate renew",)),
    ("update_available", ("A new release of Traefik has been found", "A new release has been found")),
    ("started", ("Traefik version ",)),
    ("stopping", ("I have to go...", "use of closed network connection", "Cannot retrieve data context canceled")),
    (
        "advice",
        ("encoded characters in the request path", "aliasHeadersStrategy is not configured"),
    ),
)
# Texts without which these are other kinds' words: a certificate may be refused elsewhere too.
_NEEDED = {
    "container_gone": "No such container",
    "docker_version": "client version",
    "upstream_tls": "500 Internal Server Error",
}
# Kinds that are also worth a line at debug level, where whole configurations are written too.
_OF_DEBUG = {"gateway_error", "network_missing"}
# Kinds that are about Traefik itself, or about what is no more.
_OF_NOTHING = {"started", "stopping", "acme_check", "update_available", "advice", "container_gone"}
# Kinds without a text of their own.
_UNKNOWN = {"other", "crash"}
_GRAVE = {"warning", "error", "fatal", "panic"}
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}

_REFERENCE = re.compile(r'\b(?:middleware|the service) "([^"]{1,300})" does not exist')
_NO_ENTRYPOINT = re.compile(r"entryPoint \"[^\"]{1,300}\" doesn't exist", re.IGNORECASE)

# What a message names, by kind: the first group.
_NAMED: Mapping[str, re.Pattern[str]] = {
    "network_missing": re.compile(r"network named [\"']?([^\"'\s]+)"),
    # 3.7 names it; before, the network's whole structure was written: (&{"name" "address" …}). Version 2: (&{name …}).
    "network_fallback": re.compile(r'available network \((?:&\{)?"?([^"\s)]+)'),
    "field_unknown": re.compile(r"field not found, node: (\S+)"),
    "container_skipped": re.compile(r"field not found, node: (\S+)|(?:parsing|converting) \"?([^\":]+)"),
    "label_invalid": re.compile(r"invalid (?:label root|element) (\S+)"),
    "reference_missing": _REFERENCE,
    "middleware_invalid": re.compile(r'invalid middleware "([^"]+)"|unknown plugin type: (\S+)'),
    "entrypoint_missing": re.compile(r"entryPoint \"([^\"]+)\" doesn't exist"),
    "resolver_missing": re.compile(r"nonexistent resolver: (\S+)"),
    "tls_options": re.compile(r"unknown TLS options: (\S+)"),
    "update_available": re.compile(r"has been found: (\S+?)\.?(?:\s|$)"),
    "started": re.compile(r"Traefik version (\S+)"),
    "static_invalid": re.compile(r"node: (\S+)|failed to decode configuration from (\w+)"),
    "docker_version": re.compile(r"client version (\S+) is too old"),
    "configuration_failed": re.compile(r"\.(?:ya?ml|toml): ([^\n]{1,200})"),
    "gateway_error": re.compile(r"dial tcp (\S+?):? "),
}
# Fields that name it when the message does not.
_NAMING_FIELDS: Mapping[str, tuple[str, ...]] = {
    "resolver_missing": ("certificateResolver", "resolver"),
    "entrypoint_missing": ("entryPointName",),
    "health_failed": ("targetURL",),
    "plugins_disabled": ("plugins",),
    "file_duplicate": ("routerName", "serviceName", "middlewareName"),
}

# Why a provider cannot be read.
_REFUSALS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("permission", re.compile(r"permission denied|forbidden|unauthorized|\b40[13]\b", re.IGNORECASE)),
    ("connection", re.compile(r"cannot connect|dial |no such (?:file|host)|connection refused|EOF", re.IGNORECASE)),
)
# Why an authority gave nothing, by the words of RFC 8555 and of the lego library. The first that fits.
_CAUSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("rate_limited", re.compile(r"rateLimited|\b429\b|too many (?:certificates|failed|new orders|requests)")),
    ("caa", re.compile(r"error:caa|\bCAA\b")),
    ("credentials", re.compile(r"credentials|unrecognized DNS provider|API ?(?:key|token)", re.IGNORECASE)),
    ("dns", re.compile(r"error:dns|NXDOMAIN|no valid A(?:AAA)? records|DNS problem|SERVFAIL")),
    ("name", re.compile(r"rejectedIdentifier|malformed|not a (?:public|valid) (?:suffix|domain)|Domain name")),
    ("account", re.compile(r"accountDoesNotExist|userActionRequired|externalAccountRequired|EAB\b|badNonce")),
    ("unreachable", re.compile(r"error:connection|Timeout during connect|Connection refused|Fetching http")),
    ("challenge", re.compile(r"unauthorized|Invalid response|incorrectResponse|challenge|propagation", re.IGNORECASE)),
    (
        "authority",
        re.compile(r"get directory at|cannot get ACME client|dial tcp|lookup |context deadline|TLS handshake"),
    ),
)

_DOMAINS = re.compile(
    r"(?<![\w.*-])(?:\*\.)?(?:[A-Za-z0-9_](?:[\w-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][\w-]{1,61}(?![\w-])"
)
_RENEWED = re.compile(r"\{Main:(\S{1,300}?) SANs:\[([^\]]*)\]\}|\"main\":\"([^\"]+)\"", re.IGNORECASE)
_CONTAINER = re.compile(r"for (?:the )?container [\"']?/?([\w.-]+)")
_SKIPPED = re.compile(r"Skip container ([\w.-]+)")
_IDENTIFIED = re.compile(r"(?:(.{1,300})-)?([0-9a-f]{64})")
_FILE = re.compile(r"(?<![\w/.-])((?:/[^:\"\n]{1,300}?|[\w./@-]{1,300}?)\.(?:ya?ml|toml))\b")
_PROVIDER = re.compile(r"\*(\w+)\.Provider\b")
_LINE = re.compile(r"\bline (\d{1,7})\b|\.(?:ya?ml|toml):(\d{1,7})\b|\((\d{1,7}), \d+\)")
_ROUTER_OF_V2 = re.compile(r"\bRouter (\S+) (?:uses a nonexistent|cannot be linked)")
_HOST_OF_TLS = re.compile(r"on the same host ([^,\s]+)")

# What makes two messages of one sort differ.
_VARIABLE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{12,}|\d+(?:[.:]\d+)*(?:[mµn]?s)?", re.IGNORECASE)


@lru_cache(2048)
def kind_of(said: str) -> str | None:
    """The kind of what an entry says, or None."""
    for kind, texts in _TEXTS:
        if any(text in said for text in texts) and _NEEDED.get(kind, "") in said:
            return kind
    if _REFERENCE.search(said):
        return "reference_missing"
    return "entrypoint_missing" if _NO_ENTRYPOINT.search(said) else None


def classify(entry: Entry) -> str | None:
    """The kind of an entry; "other" for a warning or an error that is of no known kind, None for what is neither."""
    if entry.level in ("debug", "trace"):
        kind = kind_of(entry.said) if entry.said.startswith(("50", "'50", "Could not find network")) else None
        return kind if kind in _OF_DEBUG else None
    kind = kind_of(entry.said)
    if entry.level == "panic" and kind is None:
        return "crash"
    return kind or ("other" if entry.level in _GRAVE else None)


@dataclass
class _Group:
    """Entries of one kind about one thing."""

    row: LogEvent
    latest: Entry
    count: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    level: str | None = None
    containers: dict[str, None] = field(default_factory=dict)

    def add(self, entry: Entry, row: LogEvent) -> None:
        self.row, self.latest = row, entry
        self.merge(1, entry.time, entry.time, entry.level, row.containers or ())

    def merge(
        self,
        count: int,
        first: dt.datetime | None,
        last: dt.datetime | None,
        level: str | None,
        containers: Iterable[str],
    ) -> None:
        self.count += count
        if len(self.containers) < MAX_LISTED:
            self.containers |= dict.fromkeys(containers)
        self.first = min(filter(None, (self.first, first)), default=None)
        self.last = max(filter(None, (self.last, last)), default=None)
        self.level = max(filter(None, (self.level, level)), key=lambda level: _RANKS[level], default=None)


def events(entries: Iterable[Entry], names: Mapping[str, str]) -> tuple[list[LogEvent], int]:
    """Rows of `log_events`, and how many entries were in no row since there were too many sorts.

    `names` gives the container of an identifier. Entries are grouped before secrets are taken out, which costs more
    than all the rest, and again afterwards, since two messages may differ by their secrets only.
    """
    raw: dict[tuple[str | None, ...], _Group] = {}
    left_out = 0
    for entry in entries:
        kind = classify(entry)
        if kind is None:
            continue
        row = _about(kind, entry, names)
        key = _key(row)
        if key not in raw and len(raw) >= MAX_GROUPS:
            left_out += 1
            continue
        raw.setdefault(key, _Group(row, entry)).add(entry, row)
    kept: dict[tuple[str | None, ...], _Group] = {}
    for group in raw.values():
        row = _without_secrets(group)
        merged = kept.setdefault(_key(row), _Group(row, group.latest))
        merged.row, merged.latest = row, group.latest
        merged.merge(group.count, group.first, group.last, group.level, row.containers or ())
    # The most frequent first: they are what is kept.
    ordered = sorted(kept.values(), key=lambda group: -group.count)
    left_out += sum(group.count for group in ordered[MAX_EVENTS:])
    return [_row(group) for group in ordered[:MAX_EVENTS]], left_out


def _key(row: LogEvent) -> tuple[str | None, ...]:
    """What makes two entries of one sort."""
    return row.kind, row.subject_kind, row.subject, row.named, row.cause


def _without_secrets(group: _Group) -> LogEvent:
    row = group.row
    # Redacted as it was written: a secret whose digits are gone would not be recognised.
    named = _sense(_short(group.latest.said) or "") if row.kind in _UNKNOWN else _short(row.named)
    return replace(
        row,
        subject=_short(row.subject),
        named=named,
        provider=_short(row.provider),
        router=_short(row.router),
        containers=tuple(filter(None, map(_short, group.containers))),
        domains=tuple(filter(None, map(_short, row.domains or ()))),
        file=_short(row.file),
    )


def _row(group: _Group) -> LogEvent:
    return replace(
        group.row,
        containers=tuple(group.containers),
        level=group.level,
        count=group.count,
        first=group.first,
        last=group.last,
        example=_short(group.latest.said),
    )


def _sense(said: str) -> str | None:
    """A message of no known kind without what makes it differ from others of its sort."""
    return _VARIABLE.sub("…", " ".join(said.split())) or None


def _about(kind: str, entry: Entry, names: Mapping[str, str]) -> LogEvent:
    """What an entry is about; nothing is redacted yet."""
    fields, said = entry.fields, _beginning(entry.said)
    containers, domains = _containers(entry, names), _domains(kind, entry)
    broken = kind == "configuration_failed"
    file = _first(_FILE, said) if broken else fields.get("filename") or fields.get("origin")
    line = _LINE.search(said) if broken else None
    router = fields.get("routerName") or _first(_ROUTER_OF_V2, said)
    provider = fields.get("providerName") or _first(_PROVIDER, said)
    subject_kind, subject = _subject(
        kind,
        {
            "domain": next(iter(domains), None),
            "file": file,
            "router": router,
            "service": fields.get("serviceName"),
            "middleware": fields.get("middlewareName"),
            "container": next(iter(containers), None),
            "resolver": fields.get("resolver") or _resolver(provider),
            "entrypoint": fields.get("entryPointName"),
            "provider": provider,
        },
    )
    return LogEvent(
        kind=kind,
        subject_kind=subject_kind,
        subject=subject,
        named=_named(kind, entry, said),
        cause=_cause(kind, said),
        provider=provider,
        router=router or None,
        containers=tuple(containers),
        domains=tuple(domains),
        file=file or None,
        line=int(next(filter(None, line.groups()))) if line else None,
    )


def _resolver(provider: str | None) -> str | None:
    """The ACME resolver that is a provider of certificates."""
    return provider.removesuffix(".acme") if provider and ".acme" in provider else None


def _subject(kind: str, subjects: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    """What an entry of a kind is about, of all that it names in order of preference: its nature and its name."""
    if kind in _OF_NOTHING:
        return None, None
    if kind == "constraint_invalid":  # one fault of the provider, told of every container
        subjects = {"provider": subjects["provider"]}
    elif subjects["container"] and kind != "name_duplicate":  # a container's own service is named after it
        subjects = {"container": subjects["container"], **subjects}
    return next(((nature, name) for nature, name in subjects.items() if name), (None, None))


def _named(kind: str, entry: Entry, said: str) -> str | None:
    if kind in _UNKNOWN:
        return _sense(said)
    if kind == "advice":
        return " ".join(entry.message.split()[:8])
    if (pattern := _NAMED.get(kind)) and (found := pattern.search(said)):
        return next(filter(None, found.groups()), None)
    return next((entry.fields[name] for name in _NAMING_FIELDS.get(kind, ()) if entry.fields.get(name)), None)


def _cause(kind: str, said: str) -> str | None:
    known = {"acme_obtain": _CAUSES, "acme_renew": _CAUSES, "provider_failed": _REFUSALS}.get(kind)
    return next((cause for cause, pattern in known if pattern.search(said)), "other") if known else None


def _containers(entry: Entry, names: Mapping[str, str]) -> list[str]:
    """The containers an entry is about: by identifier where it is known, else by the name that is written."""
    written = " ".join(filter(None, (entry.fields.get("container"), entry.fields.get("configuration")))).split()
    # "<service>-<64 hexadecimal digits>"; the container may be no more, and its name then unknown.
    identified = [found for word in written if (found := _IDENTIFIED.fullmatch(word))]
    known = [names[found[2]] for found in identified if found[2] in names]
    if known:
        return list(dict.fromkeys(known))[:MAX_LISTED]
    said = _beginning(entry.said)
    named = _CONTAINER.findall(said)[:1] or [found[1] for found in identified if found[1]]
    return list(dict.fromkeys(named or _SKIPPED.findall(said)[:1]))[:MAX_LISTED]


def _domains(kind: str, entry: Entry) -> list[str]:
    if kind == "acme_obtain":
        # Version 2 writes them inside the message: …for domains \"a,b\": the reason.
        told = entry.fields.get("domains") or entry.message.partition("for domains")[2].partition(":")[0]
        return list(dict.fromkeys(one.lower() for one in _DOMAINS.findall(told)))[:MAX_LISTED]
    if kind in ("acme_renew", "acme_renewing") and (found := _RENEWED.search(_beginning(entry.message))):
        told = " ".join(filter(None, found.groups()))
        return list(dict.fromkeys(one.lower() for one in _DOMAINS.findall(told)))[:MAX_LISTED]
    if kind == "tls_options" and (host := _first(_HOST_OF_TLS, _beginning(entry.said))):
        return [host.lower()[:253]]
    return []


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _beginning(text: str) -> str:
    """The beginning of a long message; the word where it is cut goes too."""
    return text if len(text) <= MAX_SEARCHED else text[:MAX_SEARCHED].rpartition(" ")[0]


@lru_cache(4096)
def _short(text: str | None) -> str | None:
    """Text as it may be kept: without secrets, then cut."""
    if not text:
        return None
    kept = redact(redact_rule(text))
    return kept if len(kept) <= MAX_TEXT else kept[: MAX_TEXT - 1] + "…"
