"""What databases say on the wire before anybody logs in: questions as bytes, answers as facts.

Nothing here reads or writes: a parser takes the bytes that came, whole, cut or foreign, and never raises. Sources:
PostgreSQL's « Message Formats », MySQL's « Protocol::HandshakeV10 », Redis's RESP. PostgreSQL 15, MariaDB 10.11 and
Redis 7.0 are verified on recorded answers of the real programs; MySQL and Valkey are read by their documented form.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from auditlib.collect.secrets import redact

# An account and a database that nobody has: the answer tells the method without naming anybody.
USER, DATABASE = "auditlib", "postgres"

REQUIRED, NONE, REFUSED = "required", "none", "refused"


@dataclass(frozen=True)
class Answer:
    """What a database said of itself. `speaks` is whether it spoke its own protocol; unknown is None."""

    speaks: bool = False
    product: str | None = None
    version: str | None = None
    authentication: str | None = None  # required, none, refused (from here)
    method: str | None = None
    role: str | None = None
    read_only: bool | None = None
    tls: bool | None = None
    note: str = ""  # a French clause


FOREIGN = Answer(note="ce qui répond ne parle pas le protocole attendu")


def text(raw: bytes) -> str:
    """A short word of the peer, as text without its secrets; its length is bounded."""
    return redact(raw[:200].decode("utf-8", "replace").replace("\x00", " ").strip())


# PostgreSQL

SSL_REQUEST = struct.pack("!II", 8, 80877103)


def startup() -> bytes:
    """PostgreSQL's startup packet, protocol 3.0, without any password."""
    pairs = {"user": USER, "database": DATABASE, "application_name": "auditlib"}
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in pairs.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, 196608) + body


_POSTGRES_METHODS = {0: "trust", 2: "kerberos", 3: "password", 5: "md5", 7: "gss", 9: "sspi", 10: "scram-sha-256"}
_POSTGRES_NOTES = {
    "53300": "toutes ses connexions sont prises",
    "57P03": "elle démarre, s’arrête ou se rétablit",
}


def postgres_messages(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The whole messages of PostgreSQL (type, body) at the start of `raw`."""
    position = 0
    while len(raw) >= position + 5:
        (length,) = struct.unpack_from("!I", raw, position + 1)
        end = position + 1 + length
        if length < 4 or end > len(raw):
            return
        yield raw[position : position + 1], raw[position + 5 : end]
        position = end


def postgres_told(raw: bytes) -> bool:
    """Whether PostgreSQL said what it asks, or refused: nothing more comes before a password."""
    return any(kind == b"E" or (kind == b"R" and body[:4] != b"\0\0\0\0") for kind, body in postgres_messages(raw))


def postgres(ssl: bytes, raw: bytes) -> Answer:
    """The method of authentication that PostgreSQL asks an unlikely user of. `ssl` is its answer to SSLRequest."""
    if ssl[:1] not in (b"S", b"N", b"E"):
        return FOREIGN
    tls = ssl[:1] == b"S"
    method = code = None
    for kind, body in postgres_messages(raw):
        if kind == b"R" and len(body) >= 4 and method is None:
            (number,) = struct.unpack_from("!I", body)
            method = _POSTGRES_METHODS.get(number, f"méthode {number}")
        elif kind == b"E":
            code = _postgres_error(body).get("C")
            break
    if method is None and code is None:
        # A byte alone proves nothing: the letters S, N and E begin many a greeting.
        return FOREIGN
    known: dict[str, Any] = {"speaks": True, "product": "PostgreSQL", "tls": tls}
    if method:
        note = _POSTGRES_NOTES.get(code or "", "")
        return Answer(**known, authentication=NONE if method == "trust" else REQUIRED, method=method, note=note)
    if code == "28000":
        note = "pg_hba.conf n’admet pas un compte inconnu depuis cette adresse"
        return Answer(**known, authentication=REFUSED, method="pg_hba.conf", note=note)
    return Answer(**known, note=_POSTGRES_NOTES.get(code or "", f"elle refuse la connexion (code {text_code(code)})"))


def _postgres_error(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse: C is the code, whatever the language of the message."""
    return {field[:1].decode("latin-1"): text(field[1:]) for field in body.split(b"\0") if field}


def text_code(code: str | None) -> str:
    """A SQLSTATE, which is five letters or digits, or nothing that can be told."""
    return code if code and re.fullmatch(r"[0-9A-Z]{5}", code) else "inconnu"


# MySQL and MariaDB

_MYSQL_NOTES = {
    1040: "toutes ses connexions sont prises",
    1129: "elle bloque cette machine après trop de connexions interrompues (mysqladmin flush-hosts)",
    1130: "aucun compte n’est admis depuis cette adresse",
}
_CLIENT_SSL, _PLUGIN_AUTH, _MARIADB_FORK = 0x0800, 0x80000, "5.5.5-"


def mysql_whole(raw: bytes) -> bool:
    """Whether the first packet is there."""
    return len(raw) >= 4 and len(raw) >= 4 + int.from_bytes(raw[:3], "little")


def mysql(raw: bytes) -> Answer:
    """The greeting of MySQL or MariaDB, which comes unasked; whether an account has no password stays unknown."""
    size = int.from_bytes(raw[:3], "little")
    packet = raw[4 : 4 + size]
    if len(raw) < 7 or size < 3 or raw[3] != 0 or len(packet) < size:
        return FOREIGN
    if packet[0] == 0xFF:
        code = int.from_bytes(packet[1:3], "little")
        if not 1000 <= code < 5000:
            return FOREIGN
        refused = REFUSED if code in (1129, 1130) else None
        note = _MYSQL_NOTES.get(code, f"elle refuse la connexion (code {code})")
        product = "MariaDB" if b"MariaDB" in packet else None
        return Answer(speaks=True, product=product, authentication=refused, note=note)
    version, end, rest = packet[1:].partition(b"\0")
    # Connection id 4, salt 8, filler 1, capabilities 2, character set 1, status 2, capabilities 2, salt length 1,
    # reserved 10, salt of 12 and its end, plugin.
    if packet[0] != 10 or not end or not re.match(rb"\d+\.\d+", version) or len(rest) < 15:
        return FOREIGN
    shown = text(version).removeprefix(_MARIADB_FORK)
    mariadb = "mariadb" in shown.lower() or version.startswith(_MARIADB_FORK.encode())
    low, high = int.from_bytes(rest[13:15], "little"), int.from_bytes(rest[18:20], "little")
    capabilities = low | high << 16
    salt = max(13, rest[20] - 8) if len(rest) > 20 else 13
    plugin = text(rest[31 + salt :].partition(b"\0")[0]) if capabilities & _PLUGIN_AUTH else ""
    return Answer(
        speaks=True,
        product="MariaDB" if mariadb else "MySQL",
        version=shown,
        method=plugin or None,
        tls=bool(capabilities & _CLIENT_SSL),
    )


# Redis and Valkey

REDIS = b"PING\r\nINFO server\r\nINFO replication\r\nQUIT\r\n"
_REDIS_COMMANDS = 4
_REDIS_REQUIRED = re.compile(rb"-(?:NOAUTH|ERR operation not permitted|WRONGPASS)")
_REDIS_SHUT = (b"-DENIED", b"-ERR max number of clients")  # and nothing more
_REDIS_NOTES = (
    (rb"-DENIED", "le mode protégé n’admet que cette machine"),
    (rb"-LOADING", "elle charge ses données"),
    (rb"-ERR max number of clients", "toutes ses connexions sont prises"),
    (rb"-MISCONF", "elle refuse d’écrire : sa sauvegarde échoue"),
    (rb"-MASTERDOWN", "elle a perdu sa source de réplication"),
)


def redis_replies(raw: bytes) -> Iterator[bytes]:
    """The whole RESP replies at the start of `raw`: `+…`, `-…` and `$…` (with its content); others end the reading."""
    position = 0
    while (end := raw.find(b"\r\n", position)) >= 0:
        line, position = raw[position:end], end + 2
        if line[:1] in (b"+", b"-"):
            yield line
            continue
        if not re.fullmatch(rb"\$\d{1,6}", line):
            return
        size = int(line[1:])
        if len(raw) < position + size + 2:
            return
        yield b"$" + raw[position : position + size]
        position += size + 2


def redis_told(raw: bytes) -> bool:
    """Whether every command has its reply, the connection was refused, or what came is no reply."""
    if raw.startswith(_REDIS_SHUT) and b"\r\n" in raw:
        return True
    return len(list(redis_replies(raw))) >= _REDIS_COMMANDS or (raw[:1] not in b"+-$" and bool(raw))


def redis(raw: bytes) -> Answer:
    """Whether Redis answers without a password, and what it says of itself when it does."""
    replies = list(redis_replies(raw))
    first = replies[0] if replies else b""
    if _REDIS_REQUIRED.match(first):
        return Answer(speaks=True, authentication=REQUIRED, method="mot de passe")
    for start, note in _REDIS_NOTES:
        if re.match(start, first):
            refused = REFUSED if start == rb"-DENIED" else None
            return Answer(speaks=True, authentication=refused, note=note)
    if first != b"+PONG":
        # A user that may not even PING was still let in without a password.
        if first.startswith(b"-NOPERM"):
            return Answer(speaks=True, authentication=NONE, note="le compte par défaut est restreint")
        return FOREIGN
    told = dict(
        line.partition(":")[::2]
        for reply in replies[1:]
        if reply[:1] == b"$"
        for line in reply[1:].decode("utf-8", "replace").splitlines()
        if ":" in line
    )
    valkey = told.get("valkey_version")
    limited = any(reply.startswith(b"-NOPERM") for reply in replies)
    master = told.get("role")
    return Answer(
        speaks=True,
        product="Valkey" if valkey else "Redis",
        version=word(valkey or told.get("redis_version")),
        authentication=NONE,
        role={"master": "primaire", "slave": "réplique"}.get(master or ""),
        read_only={"master": False, "slave": True}.get(master or ""),
        note="le compte par défaut est restreint" if limited else "",
    )


def redis_secured(raw: bytes) -> Answer:
    """Redis asked over TLS, after it closed a connection in clear; it is silent to who has no certificate."""
    if raw:
        return replace(redis(raw), tls=True)
    return Answer(speaks=True, authentication=REQUIRED, method="certificat", tls=True, note="elle ne parle qu’en TLS")


def word(value: str | None) -> str | None:
    """A version as servers write one: anything else is left out."""
    return value if value and re.fullmatch(r"[\w.+~-]{1,40}", value) else None
