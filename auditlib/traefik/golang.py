"""What Go's own library says of values that it refuses, in its own words: Traefik writes them as they are.

Packages regexp/syntax, net, net/http, net/url, mime, strconv and time.
"""

import ipaddress
import re
from http import HTTPStatus

import re2

from auditlib.traefik.decoding import quoted
from auditlib.traefik.versions import Version

# Go's words for what RE2 refuses, by RE2's.
_REGEXP = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
_LOOKBEHIND = re.compile(r"\(\?<[=!].*", re.DOTALL)


def regexp_fault(expression: str) -> str | None:
    """Why `regexp.Compile` refuses an expression."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    if escape := re.search(r"(?<!\\)(?:\\\\)*(\\C)", expression):
        return f"error parsing regexp: invalid escape sequence: `{escape[1]}`"
    try:
        re2.compile(expression, options)
    except re2.error as error:
        return f"error parsing regexp: {_of_re2(expression, error)}"
    return None


def _of_re2(expression: str, error: re2.error) -> str:
    said = error.args[0]
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if lookbehind := _LOOKBEHIND.search(expression):
        return f"invalid named capture: `{lookbehind[0]}`"
    what, _, where = said.partition(": ")
    return f"{_REGEXP.get(what, what)}: `{where}`"


def integer_fault(text: str) -> str | None:
    """Why `strconv.Atoi` refuses a number."""
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        return f"strconv.Atoi: parsing {quoted(text)}: invalid syntax"
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        return f"strconv.Atoi: parsing {quoted(text)}: value out of range"
    return None


def is_network(text: str) -> bool:
    """Whether `net.ParseIP` or `net.ParseCIDR` takes an address or a network."""
    address, slash, length = text.partition("/")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if "%" in address:
        return False
    return not slash or (bool(re.fullmatch(r"\d{1,7}", length, re.ASCII)) and int(length) <= parsed.max_prefixlen)


def is_status(code: int) -> bool:
    """Whether `http.StatusText` knows a status."""
    return code in {status.value for status in HTTPStatus}


def duration_text(nanoseconds: int) -> str:
    """A duration as `time.Duration` writes itself: -1m30s, 1.5ms."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest < 10**9:
        for unit, name in ((10**6, "ms"), (10**3, "µs"), (1, "ns")):
            if rest >= unit:
                return f"{sign}{_decimal(rest, unit)}{name}"
        return "0s"
    minutes, seconds = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    return sign + (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{_decimal(seconds)}s"


def _decimal(amount: int, unit: int = 10**9) -> str:
    whole, part = divmod(amount, unit)
    digits = str(part).zfill(len(str(unit)) - 1).rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def media_type_fault(text: str) -> str | None:
    """Why `mime.ParseMediaType` refuses a media type."""
    base = text.partition(";")[0].strip().lower()
    kind = _TOKEN.match(base)
    if kind is None:
        return "mime: no media type"
    if kind.end() < len(base):
        if base[kind.end()] != "/":
            return "mime: expected slash after first token"
        subtype = _TOKEN.match(base, kind.end() + 1)
        if subtype is None:
            return "mime: expected token after slash"
        if subtype.end() < len(base):
            return "mime: unexpected content after media subtype"
    return _parameters_fault(text[text.find(";") :] if ";" in text else "")


_PARAMETER = re.compile(rf'\s*;\s*({_TOKEN.pattern})\s*=\s*({_TOKEN.pattern}|"(?:[^"\\\r\n]|\\.)*")')


def _parameters_fault(rest: str) -> str | None:
    names: set[str] = set()
    while rest.strip():
        parameter = _PARAMETER.match(rest)
        if parameter is None:
            return None if rest.strip() == ";" else "mime: invalid media parameter"
        name = parameter[1].lower()
        if name in names:
            return "mime: duplicate parameter name"
        names.add(name)
        rest = rest[parameter.end() :]
    return None


# What may stand in the host of an address besides letters and digits, and in its user part.
_HOST = re.compile(r"[\w.~$&'()*+,;=:\[\]<>\"!%-]", re.ASCII)
_USER = re.compile(r"[\w.~:$&'()*+,;=%@!-]*", re.ASCII)
_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


def url_fault(text: str, version: Version) -> str | None:
    """Why the `url.Parse` of the Go that a Traefik was made with refuses an address."""
    fault = _address_fault(text.partition("#")[0], version) or _escapes(text.partition("#")[2])
    return f"parse {quoted_printable(text)}: {fault}" if fault else None


def quoted_printable(text: str) -> str:
    """Go's %q of any text."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", quoted(text))


def _address_fault(text: str, version: Version) -> str | None:
    if re.search(r"[\x00-\x1f\x7f]", text):
        return "net/url: invalid control character in URL"
    if text.startswith(":"):
        return "missing protocol scheme"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    rest = (text[scheme.end() :] if scheme else text).partition("?")[0]
    if not rest.startswith("/"):
        # « host:80 » is a scheme and what it calls opaque.
        no_scheme = not scheme and ":" in rest.partition("/")[0]
        return "first path segment in URL cannot contain colon" if no_scheme else None
    if not rest.startswith("//") or (not scheme and rest.startswith("///")):
        return _escapes(rest)
    authority, _, path = rest[2:].partition("/")
    return _authority_fault(authority, version) or _escapes(path)


def _escapes(text: str) -> str | None:
    bad = _ESCAPE.search(text)
    return f"invalid URL escape {quoted(text[bad.start() : bad.start() + 3])}" if bad else None


def _authority_fault(authority: str, version: Version) -> str | None:
    user, at, host = authority.rpartition("@")
    fault = _host_fault(host, version)
    if fault or not at:
        return fault
    return None if _USER.fullmatch(user) else "net/url: invalid userinfo"


def _host_fault(host: str, version: Version) -> str | None:
    # Go 1.24.8 and 1.25.2 read what stands in brackets; Go 1.26 wants brackets around what holds several colons.
    reads_brackets = version >= (3, 5, 4) or (2, 11, 30) <= version < (3, 0, 0)
    wants_brackets = version >= (3, 7, 7) or (3, 6, 23) <= version < (3, 7, 0) or (2, 11, 52) <= version < (3, 0, 0)
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            return "missing ']' in host"
        if fault := _port_fault(host[end + 1 :]):
            return fault
        inside = host[1:end].partition("%25")[0]
        if reads_brackets and not (":" in inside and is_network(inside)):
            return f"invalid host: {_unreadable(inside)}"
        host = inside
    elif ":" in host:
        colon = host.find(":") if wants_brackets else host.rfind(":")
        if fault := _port_fault(host[colon:]):
            return fault
    if fault := _escapes(host):
        return fault
    bad = next((character for character in host if character.isascii() and not _HOST.match(character)), None)
    return f"invalid character {quoted(bad)} in host name" if bad else None


def _unreadable(address: str) -> str:
    if is_network(address):
        return "invalid IPv6 literal"
    return f"ParseAddr({quoted(address)}): unable to parse IP"


def _port_fault(port: str) -> str | None:
    return None if re.fullmatch(r"(?::\d*)?", port, re.ASCII) else f"invalid port {quoted(port)} after host"
