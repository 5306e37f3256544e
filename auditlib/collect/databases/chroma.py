"""What ChromaDB says over HTTP: the heartbeat of its API v2, else v1, its version, and whether it wants a token.

Verified on recorded answers of ChromaDB 1.5; older servers, which have API v1 only, are read by their documentation.
"""

import http.client
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from auditlib.collect.databases.wire import FOREIGN, NONE, REQUIRED, Answer, word
from auditlib.version import __version__

# Version 1 of the server answers 410 to API v1; before 0.6 there was no v2.
APIS = ("v2", "v1")
_COLLECTIONS = {
    "v2": "/api/v2/tenants/default_tenant/databases/default_database/collections?limit=1",
    "v1": "/api/v1/collections?limit=1",
}
_SHUT = (401, 403)
_HEARTBEAT = "nanosecond heartbeat"


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes


class _Bytes(io.BytesIO):
    """Bytes that several answers are read from: http.client closes its file after each."""

    def makefile(self, mode: str) -> "_Bytes":
        return self

    def close(self) -> None:
        pass


def requests(api: str, host: str) -> bytes:
    """Heartbeat, version and collections, asked in a row on one connection that the last one closes."""
    paths = (f"/api/{api}/heartbeat", f"/api/{api}/version", _COLLECTIONS[api])
    common = f"Host: {host}\r\nUser-Agent: auditlib/{__version__}\r\nAccept: application/json\r\n"
    closing = (*[""] * (len(paths) - 1), "Connection: close\r\n")
    return "".join(
        f"GET {path} HTTP/1.1\r\n{common}{last}\r\n" for path, last in zip(paths, closing, strict=True)
    ).encode()


def replies(raw: bytes) -> list[Reply]:
    """The HTTP answers at the start of `raw`, up to the first that is cut or is none."""
    source = _Bytes(raw)
    found: list[Reply] = []
    while source.tell() < len(raw) and len(found) < len(_COLLECTIONS) + 1:
        response = http.client.HTTPResponse(source, method="GET")  # type: ignore[arg-type]  # only its makefile is used
        try:
            response.begin()
            found.append(Reply(response.status, response.read()))
        except (http.client.HTTPException, ValueError, OverflowError, OSError):
            break
    return found


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def alive(raw: bytes) -> bool:
    """Whether the first answer is ChromaDB's heartbeat."""
    first = next(iter(replies(raw)), None)
    told = _json(first.body) if first and first.status == 200 else None
    return isinstance(told, dict) and _HEARTBEAT in told


def chroma(raws: Sequence[bytes]) -> Answer:
    """Whether ChromaDB is alive, and lists its collections to anybody. One sequence of answers per API asked."""
    for api, raw in zip(APIS, raws, strict=False):
        first, version, listed, *_ = [*replies(raw), None, None, None]
        if first and first.status in _SHUT:
            return Answer(speaks=True, authentication=REQUIRED, method=f"jeton (HTTP {first.status})")
        if not alive(raw):
            continue
        number = _json(version.body) if version and version.status == 200 else None
        status = listed.status if listed else None
        shut = status in _SHUT
        return Answer(
            speaks=True,
            product="ChromaDB",
            version=word(number) if isinstance(number, str) else None,
            authentication=REQUIRED if shut else NONE if status == 200 else None,
            method=f"jeton (HTTP {status})" if shut else None,
            note=f"API {api}",
        )
    return FOREIGN
