"""The health check of a database's container, without its secrets: what it runs, as whom, on which database.

A command of a health check may hold a password in any form (`-phunter2`, `-a hunter2`, a URI): only the words that
are known to be harmless are kept, every other one becomes « … ».
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "…"

_POSTGRES = "-U --username -d --dbname -h --host -p --port -t --timeout"
_MYSQL = "-h --host -P --port -u --user"
# By program: options whose value may be shown, then words that may.
_KNOWN: dict[str, tuple[str, str]] = {
    "pg_isready": (_POSTGRES, "-q --quiet"),
    "psql": (_POSTGRES.removesuffix(" -t --timeout"), "-q -A -t -At -X -w"),
    "redis-cli": ("-h -p -n", "ping PING --raw --no-auth-warning"),
    "valkey-cli": ("-h -p -n", "ping PING --raw --no-auth-warning"),
    "mysqladmin": (_MYSQL, "ping status --silent -s"),
    "mariadb-admin": (_MYSQL, "ping status --silent -s"),
    "healthcheck.sh": ("", "--connect --innodb_initialized --su-mysql --galera_online"),
    "mongosh": ("--host --port", "--quiet --norc --eval"),
    "mongo": ("--host --port", "--quiet --norc --eval"),
    "curl": ("-o --max-time -m", "-f --fail -s --silent -S -sS -fsS -fs -sf -L"),
    "wget": ("-O -T --tries -t", "-q --quiet --spider -qO-"),
}
_GLUE = {"||", "&&", "|", "exit", "1", "grep", "-q", "PONG", "timeout", "sh", "-c"}
_USER_OPTIONS, _DATABASE_OPTIONS = ("-U", "--username", "-u", "--user"), ("-d", "--dbname")
SIMPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,62}")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def read(check: Mapping[str, Any] | None, environment: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """The command of a health check, the user and the database that it names; None where it names none.

    `environment` gives the values of the variables that may be shown.
    """
    test = [str(word) for word in (check or {}).get("Test") or []]
    if not test or test[0] == "NONE":
        return None, None, None
    if test[0] == "CMD-SHELL":
        try:
            words = shlex.split(" ".join(test[1:]))
        except ValueError:
            words = [*" ".join(test[1:]).split()[:1], HIDDEN]
    else:
        words = test[1:]
    shown = list(_shown(words, environment))
    found: dict[str, str] = {}
    for option, value in _pairs(shown):
        for name, options in (("user", _USER_OPTIONS), ("database", _DATABASE_OPTIONS)):
            if option in options and value and SIMPLE.fullmatch(value):
                found.setdefault(name, value)
    collapsed = [word for i, word in enumerate(shown) if word != HIDDEN or i == 0 or shown[i - 1] != HIDDEN]
    return " ".join(collapsed) or None, found.get("user"), found.get("database")


def _shown(words: list[str], environment: Mapping[str, str]) -> Iterator[str]:
    valued, plain, waiting = set[str](), set[str](), False
    for word in words:
        program = PurePosixPath(word).name
        if program in _KNOWN:
            valued, plain = (set(options.split()) for options in _KNOWN[program])
            waiting = False
            yield program
        elif waiting:
            waiting = False
            yield _value(word, environment)
        elif word in valued:
            waiting = True
            yield word
        elif word in plain or word in _GLUE:
            yield word
        elif (option := _attached(word, valued)) is not None:
            yield f"{option}{_value(word.removeprefix(option), environment)}"
        else:
            yield _address(word)


def _attached(word: str, valued: set[str]) -> str | None:
    """The option that a word starts with: `--host=h`, `-uroot`."""
    long, equals, _ = word.partition("=")
    if equals and long in valued:
        return f"{long}="
    short = word[:2]
    return short if short in valued and not short.startswith("--") else None


def _value(word: str, environment: Mapping[str, str]) -> str:
    """A value that may be shown: a simple name or number, or the value of an allowed variable."""
    if variable := _VARIABLE.fullmatch(word):
        word = environment.get(variable[1], "")
    return word if SIMPLE.fullmatch(word) or word == "/dev/null" else HIDDEN


def _address(word: str) -> str:
    """An address without user, query or fragment."""
    try:
        parts = urlsplit(word)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    known = parts.scheme in ("http", "https") and parts.hostname and SIMPLE.fullmatch(parts.hostname)
    harmless = known and "@" not in word and re.fullmatch(r"[\w./-]{0,60}", parts.path)
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}" if harmless else HIDDEN


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Options and their values, apart or attached."""
    for index, word in enumerate(words):
        long, equals, value = word.partition("=")
        if equals:
            yield long, value
        elif re.match(r"-[A-Za-z].", word):
            yield word[:2], word[2:]
        elif word.startswith("-"):
            yield word, words[index + 1] if index + 1 < len(words) else ""
