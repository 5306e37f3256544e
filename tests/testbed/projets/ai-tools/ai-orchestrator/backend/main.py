"""The AI Orchestrator's backend: on the reference server a systemd service, here a plain process of the host."""

import argparse
import base64
import hashlib
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The constant of RFC 6455 that turns a client's key into the server's answer."""

REPLIES: dict[str, dict[str, object]] = {
    "/health": {"status": "ok"},
    "/api": {"service": "ai-orchestrator", "version": "1.4.0"},
    "/api/health": {"status": "ok"},
    "/api/tasks": {"tasks": []},
}


class Handler(BaseHTTPRequestHandler):
    """Answer the API with JSON, and greet WebSocket clients."""

    server_version = "ai-orchestrator"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        path = urlsplit(self.path).path.rstrip("/")
        if path == "/ws":
            self.greet()
        elif path in REPLIES:
            self.reply(HTTPStatus.OK, REPLIES[path])
        else:
            self.reply(HTTPStatus.NOT_FOUND, {"detail": "Not Found"})

    do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    def greet(self) -> None:
        """Accept a WebSocket, say hello, and close."""
        key = self.headers.get("Sec-WebSocket-Key")
        if not key:
            self.reply(HTTPStatus.UPGRADE_REQUIRED, {"detail": "WebSocket only"})
            return
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET).encode()).digest()).decode()
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        text = b"bonjour"
        self.wfile.write(bytes([0x81, len(text)]) + text + b"\x88\x00")
        self.close_connection = True

    def reply(self, status: HTTPStatus, document: dict[str, object]) -> None:
        """Answer with a JSON document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--api-key")
    options = parser.parse_args()
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
