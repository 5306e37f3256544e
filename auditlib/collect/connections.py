"""Connection strings, without what they hold of secret."""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from auditlib.software import DATABASES

_KNOWN = [scheme for known in DATABASES.values() for scheme in known.schemes]
_KNOWN += ["amqp", "amqps", "mssql", "sqlserver", "clickhouse", "cockroachdb"]
_SCHEMES = re.compile(rf"(?:{'|'.join(map(re.escape, _KNOWN))})(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
# Names that a database's image is given to create its first user and database: no secrets.
DATABASE_NAMES = frozenset(name for known in DATABASES.values() for name in (*known.users, *known.names))


class Connection(NamedTuple):
    """What a connection string says, each None when it is not told."""

    scheme: str
    host: str
    port: int | None
    database: str | None


def connection(value: str) -> Connection | None:
    """What a connection string says; None for another text."""
    if not _SCHEMES.match(value) or len(value) > 2000:
        return None
    scheme, _, rest = value.partition("://")
    before, _, rest = rest.rpartition("@")
    if "?" in before or "#" in before:
        return None  # a password that holds these marks, or a query that holds an @: nobody can tell
    rest = rest.partition("?")[0].partition("#")[0]
    address, _, path = rest.partition("/")
    try:
        parts = urlsplit(f"//{address.partition(',')[0]}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not re.fullmatch(r"[\w.:-]{1,253}", host):
        return None
    database = unquote(path.partition("/")[0])
    named = database if re.fullmatch(r"[\w.$-]{1,63}", database) else None
    return Connection(scheme.lower(), host, port, named)
