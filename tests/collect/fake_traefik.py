"""A Traefik of answers: it serves the parts of a recorded payload under the API's own paths."""

import base64
import ssl
from typing import Any

from .servers import Reply, Request, Web, as_json

NOT_FOUND = Reply(404, b"404 page not found\n", {"Content-Type": "text/plain"})


class FakeTraefik:
    """Serves `parts` below `base`; `host` and `credentials` are what its router asks for, if anything."""

    def __init__(self, parts: dict[str, Any], tls: ssl.SSLContext | None = None) -> None:
        self.parts = parts
        self.base = ""
        self.host = ""
        self.credentials = ""
        self.replies: dict[str, Reply] = {}
        self.web = Web(self.respond, tls)

    def respond(self, request: Request) -> Reply:
        if self.host and request.headers["host"].partition(":")[0] != self.host:
            return NOT_FOUND
        wanted = base64.b64encode(self.credentials.encode()).decode()
        if self.credentials and request.headers.get("authorization") != f"Basic {wanted}":
            return Reply(401, b"401 Unauthorized\n", {"WWW-Authenticate": 'Basic realm="traefik"'})
        part = request.path.removeprefix(f"{self.base}/api/")
        if part in self.replies:
            return self.replies[part]
        return as_json(self.parts[part]) if part in self.parts else NOT_FOUND
