"""What MongoDB says on the wire before anybody logs in: OP_MSG and the little of BSON that it takes.

Sources: MongoDB's « Wire Protocol » and bsonspec.org. No MongoDB is packaged for the tests: this is read by its
documented form, checked against the messages that PyMongo's own encoder makes.
"""

import struct
from collections.abc import Iterator
from typing import Any

from auditlib.collect.databases.wire import FOREIGN, NONE, REQUIRED, Answer, word

_OP_MSG = 2013
_MAX_MESSAGE = 1_000_000  # bytes; the answers read here are a few kilobytes


def mongo_message(number: int, command: str, **options: int | bool | str) -> bytes:
    """An OP_MSG that runs `command` on the database admin."""
    elements = b"".join(_bson_element(key, value) for key, value in {command: 1, **options, "$db": "admin"}.items())
    document = struct.pack("<i", len(elements) + 5) + elements + b"\0"
    body = struct.pack("<I", 0) + b"\0" + document
    return struct.pack("<iiii", 16 + len(body), number, 0, _OP_MSG) + body


def _bson_element(key: str, value: int | bool | str) -> bytes:
    name = key.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + name + bytes([value])
    if isinstance(value, int):
        return b"\x10" + name + struct.pack("<i", value)
    raw = value.encode() + b"\0"
    return b"\x02" + name + struct.pack("<i", len(raw)) + raw


MONGO = (
    mongo_message(1, "hello"),
    mongo_message(2, "buildInfo"),
    mongo_message(3, "listDatabases", nameOnly=True),
)


def mongo_whole(raw: bytes) -> bool:
    """Whether the first message is there, or what came is none."""
    if len(raw) < 16:
        return False
    length, _, _, kind = struct.unpack_from("<iiii", raw)
    return kind != _OP_MSG or not 16 < length < _MAX_MESSAGE or len(raw) >= length


def mongo_document(raw: bytes) -> dict[str, Any] | None:
    """The fields that the audit reads of the first OP_MSG in `raw`; None when it is not one."""
    if len(raw) < 26 or not mongo_whole(raw):
        return None
    length, _, _, kind = struct.unpack_from("<iiii", raw)
    if kind != _OP_MSG or raw[20] != 0 or len(raw) < length:
        return None
    try:
        return dict(_bson(raw[21:length]))
    except (struct.error, ValueError, IndexError):
        return None


_BSON_FIXED = {0x01: 8, 0x07: 12, 0x09: 8, 0x0A: 0, 0x06: 0, 0x11: 8, 0x12: 8, 0x13: 16, 0xFF: 0, 0x7F: 0}


def _bson(raw: bytes) -> Iterator[tuple[str, Any]]:
    """Numbers, booleans and strings at the top of a BSON document; the rest is skipped by its size.

    Raises ValueError, IndexError or struct.error where it is malformed.
    """
    (size,) = struct.unpack_from("<i", raw)
    if size > len(raw):
        raise ValueError("cut")
    position = 4
    while raw[position]:
        kind, end = raw[position], raw.index(b"\0", position + 1)
        key, position = raw[position + 1 : end].decode("utf-8", "replace"), end + 1
        if kind == 0x02:
            (length,) = struct.unpack_from("<i", raw, position)
            if length < 1:
                raise ValueError("string")
            yield key, raw[position + 4 : position + 3 + length].decode("utf-8", "replace")
            position += 4 + length
        elif kind == 0x10:
            yield key, struct.unpack_from("<i", raw, position)[0]
            position += 4
        elif kind == 0x08:
            yield key, bool(raw[position])
            position += 1
        elif kind in (0x03, 0x04):
            (length,) = struct.unpack_from("<i", raw, position)
            if length < 5:
                raise ValueError("document")
            position += length
        elif kind == 0x05:
            (length,) = struct.unpack_from("<i", raw, position)
            if length < 0:
                raise ValueError("binary")
            position += 5 + length
        else:
            if kind == 0x01:
                yield key, struct.unpack_from("<d", raw, position)[0]
            elif kind not in _BSON_FIXED:
                raise ValueError("type")
            position += _BSON_FIXED[kind]


def mongo(hello: bytes, build: bytes, listing: bytes) -> Answer:
    """What MongoDB says of itself, and whether it lists its databases to anybody."""
    greeting, built, listed = (mongo_document(raw) for raw in (hello, build, listing))
    if greeting is None or "ok" not in greeting:
        return FOREIGN
    version = word(str((built or {}).get("version") or ""))
    authentication = None
    if listed is not None and "ok" in listed:
        # 13 is Unauthorized, 18 AuthenticationFailed; any other failure says nothing of authentication.
        authentication = NONE if listed["ok"] else REQUIRED if listed.get("code") in (13, 18) else None
    primary = greeting.get("isWritablePrimary", greeting.get("ismaster"))
    read_only = greeting.get("readOnly", None if primary is None else not primary)
    return Answer(
        speaks=True,
        product="MongoDB",
        version=version,
        authentication=authentication,
        method="compte" if authentication == REQUIRED else None,
        role={True: "primaire", False: "réplique"}.get(primary) if isinstance(primary, bool) else None,
        read_only=read_only if isinstance(read_only, bool) else None,
    )
