"""Connections to this machine's own addresses: each bounded as a whole, under the name that a client would ask for."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from auditlib.addresses import is_loopback
from auditlib.collect.network import require_near
from auditlib.collect.source import connection_fault

WORKERS = 4  # connections under way at once: a look at a proxy, not a load

Address = tuple[str, int]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_HANDSHAKES = {
    "TLSV1_UNRECOGNIZED_NAME": "aucun certificat pour ce nom, et le serveur refuse les autres (sniStrict)",
    "UNEXPECTED_EOF_WHILE_READING": "connexion fermée pendant la négociation TLS",
    "WRONG_VERSION_NUMBER": "ce port ne parle pas TLS",
    "HTTP_REQUEST": "ce port ne parle pas TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "un certificat client est exigé",
    "UNSUPPORTED_PROTOCOL": "version de TLS refusée",
    "TLSV1_ALERT_PROTOCOL_VERSION": "version de TLS refusée",
}


@contextlib.contextmanager
def dial(
    address: Address, own: Collection[str], seconds: float, tls: ssl.SSLContext | None = None, name: str = ""
) -> Iterator[socket.socket]:
    """A connection to an address of this machine: the loopback, or one of its `own` (of containers, of publications).

    It is cut `seconds` after it began, whatever the other side sends, however slowly: then TimeoutError is raised.
    Raises PermissionError for any other address, and OSError for one on no network of this machine's interfaces (that
    of a container of rootless Docker, say, which elsewhere may be anybody's), before anything leaves.
    """
    host, _ = address
    if not is_loopback(host):
        if host not in own:
            raise PermissionError(f"{host} is not an address of this machine")
        require_near(host)
    end = time.monotonic() + seconds
    line = socket.create_connection(address, seconds)
    cut = threading.Event()

    def expire() -> None:
        cut.set()
        with contextlib.suppress(OSError):
            # Not the TLS connection's own method, which the reader may be inside.
            socket.socket.shutdown(line, socket.SHUT_RDWR)

    watchdog = threading.Timer(max(0.0, end - time.monotonic()), expire)
    watchdog.daemon = True
    watchdog.start()
    try:
        if tls:
            line = tls.wrap_socket(line, server_hostname=name, do_handshake_on_connect=False)
            line.do_handshake()
        yield line
    except Exception as error:
        if cut.is_set():
            raise TimeoutError from error
        raise
    finally:
        watchdog.cancel()
        line.close()


def unverified() -> ssl.SSLContext:
    """TLS that accepts any certificate, to read it: only ever used by `dial`, towards this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def fault(error: Exception) -> str:
    """Why a connection failed, as a French clause."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or "erreur inconnue"
        return _HANDSHAKES.get(reason, f"négociation TLS refusée ({reason.replace('_', ' ').lower()})")
    if isinstance(error, http.client.RemoteDisconnected):
        return "connexion fermée sans réponse"
    return connection_fault(error) or "la réponse n’est pas du HTTP"


def each(items: Collection[Asked], ask: Callable[[Asked], Answer], until: float) -> list[tuple[Asked, Answer | None]]:
    """What `ask` answers to each item, a few at a time; None for those whose turn came after `until` (monotonic)."""

    def turn(item: Asked) -> Answer | None:
        return ask(item) if time.monotonic() < until else None

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(zip(items, pool.map(turn, items), strict=True))
