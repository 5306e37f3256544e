"""French as it is written: no-break spaces, plurals, dates, sizes, and text made safe to show.

Sources of the rules: Imprimerie nationale, « Lexique des règles typographiques »; Unicode names of the spaces.
"""

import datetime as dt
import errno
import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_decimal

NARROW = "\u202f"  # narrow no-break space: before ; ! ? and between thousands
NO_BREAK = "\u00a0"  # no-break space: before : and %, inside « »

_CODE = re.compile(r"`[^`]*`")


def typography(sentence: str) -> str:
    """Turn the ordinary spaces that French forbids to break into no-break ones.

    Only replaces a space by a space, never inserts: idempotent, and the length is kept. Code spans between
    backquotes are left alone, and so are URLs, which hold no space.
    """
    pieces, end = [], 0
    for code in _CODE.finditer(sentence):
        pieces += [_no_break(sentence[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*pieces, _no_break(sentence[end:])])


def _no_break(prose: str) -> str:
    prose = re.sub(r" (?=[;!?])", NARROW, prose)
    prose = re.sub(r" (?=[:%»])|(?<=«) ", NO_BREAK, prose)
    # A quantity and its unit, an hour: "3 s", "1 Go", "14 h 05".
    return re.sub(r"(?<=\d) (?=(?:[kKMGT]?o|[KMGT]io|ms|s|min|h|j)\b)|(?<=\d h) (?=\d\d\b)", NO_BREAK, prose)


def number(value: float, decimals: int = 0) -> str:
    """A quantity: « 12 345,6 ». Never for a port, a priority or a version, which are identifiers."""
    return str(format_decimal(round(value, decimals), locale="fr"))


def plural(count: int, singular: str, several: str | None = None) -> str:
    """« 0 conteneur », « 1 conteneur », « 2 conteneurs »: French is singular below two."""
    word = singular if count < 2 else several or re.sub(r"(?<!s)(?= |$)", "s", singular, count=1)
    return f"{number(count)} {word}"


def listing(items: Iterable[str], last: str = "et", *, most: int | None = None) -> str:
    """« a, b et c »; of more than `most` items the first ones: « a et b… »."""
    words = list(items)
    told = words[:most]
    text = f" {last} ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))
    return f"{text}…" if len(told) < len(words) else text


def quoted(name: object) -> str:
    """A name inside French quotation marks."""
    return f"« {name} »"


def day(moment: dt.date) -> str:
    """« 1er janvier 2026 »."""
    date = format_date(moment, "d MMMM y", locale="fr")
    return date.replace("1 ", "1er ", 1) if moment.day == 1 else date


def instant(moment: dt.datetime, zone: str = "UTC") -> str:
    """« 1er janvier 2026 à 14 h 05 », in the given time zone; « (UTC) » is added when it is that one."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{day(local)} à {local.hour} h {local.minute:02}" + (" (UTC)" if zone == "UTC" else "")


def duration(seconds: float) -> str:
    """« 0,4 s », « 2 min 05 s », « 3 h 10 min », « 12 j »."""
    if round(seconds) < 60:
        return f"{number(seconds, 1 if seconds < 10 else 0)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {rest:02} s"
    return f"{hours} h {minutes_left:02} min" if hours < 48 else f"{hours // 24} j"


def size(octets: int) -> str:
    """« 512 o », « 1,5 Gio », in multiples of 1024."""
    value, units = float(octets), ["o", "Kio", "Mio", "Gio", "Tio"]
    while round(value) >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{number(value, 0 if value >= 100 else 1)} {units[0]}"


# Control characters (C0, C1, DEL) move a terminal's cursor or hide text; bidirectional controls, invisible separators
# and blank letters make a name read as another (Unicode Technical Report 36); XML forbids U+FFFE and U+FFFF.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\ud800-\udfff]"
)


def visible(hostile: object) -> str:
    """Text from the machine, made safe to show anywhere: every invisible character becomes its code, `⟨1B⟩`."""
    return _INVISIBLE.sub(lambda match: f"⟨{ord(match.group()):02X}⟩", str(hostile))


def sentence(parts: Sequence[str]) -> str:
    """Join clauses into one sentence: first letter upper-case, a full stop at the end."""
    joined = " ; ".join(part.strip().rstrip(".") for part in parts if part.strip())
    return f"{joined[:1].upper()}{joined[1:]}." if joined else ""


_ERRNO = {
    errno.ENOENT: "fichier ou dossier absent",
    errno.EACCES: "permission refusée",
    errno.EPERM: "opération interdite",
    errno.ENOSPC: "disque plein",
    errno.EDQUOT: "quota de disque atteint",
    errno.EROFS: "système de fichiers en lecture seule",
    errno.ENOTDIR: "ce n’est pas un dossier",
    errno.EISDIR: "c’est un dossier",
    errno.EEXIST: "existe déjà",
    errno.ENAMETOOLONG: "nom trop long",
    errno.ECONNREFUSED: "connexion refusée",
    errno.ECONNRESET: "connexion coupée",
    errno.EPIPE: "connexion coupée",
    errno.ETIMEDOUT: "délai dépassé",
    errno.EHOSTUNREACH: "machine injoignable",
    errno.ENETUNREACH: "réseau injoignable",
    errno.EADDRINUSE: "adresse déjà utilisée",
}


def os_error(error: OSError) -> str:
    """What the system refused, as a French clause: « permission refusée »."""
    if isinstance(error, TimeoutError):
        return _ERRNO[errno.ETIMEDOUT]
    return _ERRNO.get(error.errno or 0) or visible(error.strerror or error)
