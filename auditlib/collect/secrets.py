"""Secrets, removed before anything is kept. No part of a secret stays, not even a prefix.

Two ways, used together: an allow-list (only what the audit needs is read at all), and `redact`, which takes out of
the free text that remains whatever looks like a secret. Where the end of a secret is not sure, more is removed.
"""

import re

REMOVED = "[secret retiré]"

# Names whose values are secrets. Long words count wherever they stand (PGPASSWORD), short ones only as a whole word
# of the name (`--auth`, `X-Api-Key`): KEYCLOAK_URL and compass are no secrets.
_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|mot[_-]?de[_-]?passe|secret|token|credential|authorization|cookie|hmac"
    r"|(?:api|auth|access|account|app|encryption|license|master|private|shared|signing)keys?(?:$|[^a-z])"
    r"|(?:admin|db|ftp|ldap|mail|root|smtp|user)pass(?:$|[^a-z])"
    r"|requirepass|masterauth|webhook|bearer|signature"
    r"|(?:^|[^a-z0-9])(?:pass|pwd|keys?|auth|kid|salt|session(?:id)?|sig|jwt|dsn|otp|pin)(?:$|[^a-z0-9])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def secret_name(name: str) -> bool:
    """Whether a variable, header, option or label of this name holds a secret."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name).replace("_", "-")))


# "user:", where what follows is not the port of an address.
_LOGIN = r"[^\s/?#@:\[]*:(?!\d{1,5}(?:[/?#,;\s\"'`)\]}]|\Z))"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM blocks, whole or cut.
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), REMOVED),
    # The user info of any URL: scheme://user:password@host. A web address is read as browsers do, and may hold an @
    # further on, in its path; the password of a connection string may hold anything, and the last @ ends it.
    (
        re.compile(
            rf"(https?://)(?:(?:{_LOGIN}[^\s/?#]{{0,2000}}|[^\s/?#\"'`]{{0,2000}}|{_LOGIN}\S{{0,2000}})@)+",
            re.IGNORECASE,
        ),
        r"\1",
    ),
    (
        re.compile(
            rf"(?<![\w+.-])((?!https?:)[A-Za-z][\w+.-]*+://)(?!/)(?:(?:{_LOGIN}\S{{0,2000}}|[^\s/?#\"'`]{{0,2000}})@)+"
        ),
        r"\1",
    ),
    # Go's address of a MySQL server: user:password@tcp(host:port)/name.
    (re.compile(r"(?<![^\s\"'`=])[^\s\"'`@:=]++:\S{0,2000}@(?=(?:tcp|unix)\()"), ""),
    # Whole headers: "Authorization: Token …", "Cookie: a=…; b=…".
    (re.compile(r"((?:authorization|cookie)[ \t]*:[ \t]*)(?![\s\"'`\\])[^\r\n]+", re.IGNORECASE), rf"\1{REMOVED}"),
    # "Bearer …", "Basic …", "Digest username=…"; not "basic authentication", "digest mismatch".
    (
        re.compile(r"\b((?i:bearer|basic))\s+(?!(?i:auth))(?=[\w.-]*[A-Z0-9+/=_~])[A-Za-z0-9+/=._~-]{6,}"),
        rf"\1 {REMOVED}",
    ),
    (re.compile(r"\b(digest)\s+(?=\w+=)[^\r\n]+", re.IGNORECASE), rf"\1 {REMOVED}"),
    # Password hashes: crypt(3) formats, and the {SCHEME} of htpasswd and LDAP. Not the $1$2 of a replacement.
    (
        re.compile(
            r"\$(?:apr1|2[abxy]?|5|6|7|g?y|argon2id?|argon2d|bcrypt|md5|scrypt|sha1|pbkdf2[\w-]*)\$[^\s:\"'`]{8,}"
            r"|\$1\$+[^\s$:]{1,16}\$+[./A-Za-z0-9]{8,}|\{(?:S?SHA\d*|S?MD5|CRYPT|PBKDF2[\w-]*)\}[^\s:\"'`]{8,}"
        ),
        REMOVED,
    ),
    # Tokens that their issuers made recognisable.
    (
        re.compile(
            r"\b(?:eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}"
            r"|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|sk-[\w-]{16,}|sk_(?:live|test)_\w{10,}|AKIA[A-Z0-9]{12,}"
            r"|AIza[\w-]{30,}|dop_v1_\w{20,}|hvs\.[\w-]{20,}|npm_\w{20,}|pypi-[\w-]{20,}|tskey-[\w-]{10,}"
            r"|ya29\.[\w-]{10,})"
        ),
        REMOVED,
    ),
)

# name=value, name: value, "name": "value", [name] => value, --name value: up to where the value starts.
_ASSIGNMENT = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]++)(?:[\\"'`)\]}]*+\s*(?P<sign>=>|:=|=|:)\s*|(?P<blank>\s+)(?!-))(?=\S)"""
)
# A quoted value, whole or cut; the marks may be escaped themselves. What sticks to it belongs to it.
_QUOTED = re.compile(
    r"""(?:(["'])(?:\\.|(?!\1).)*+(?:\1|\Z)|`[^`]*+(?:`|\Z)|(\\+["'])(?:(?!\2).)*+(?:\2|\Z))++[^\s,;:)\]}"'`\\]*""",
    re.DOTALL,
)


def redact(text: str) -> str:
    """Take the secrets out of free text (a message, a label, a line of log). Idempotent."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    pieces, kept, position = [], 0, 0
    while match := _ASSIGNMENT.search(text, position):
        position = match.end("name")
        if _assigns_secret(match):
            end = _end_of_value(text, match.start(), match.end())
            pieces += [text[kept : match.end()], REMOVED]
            kept = position = end
    return "".join([*pieces, text[kept:]])


def _assigns_secret(match: re.Match[str]) -> bool:
    name, text = match["name"], match.string
    # "--password hunter2" is an assignment; "token expired" is a sentence.
    if not secret_name(name) or (match["blank"] and not name.startswith("-")):
        return False
    # The end of an address or of a path: http://auth:9000, /run/secrets/token: permission denied.
    path = text.endswith("/", 0, match.start()) and match["sign"] == ":"
    return not path and not text.startswith(REMOVED, match.end())


def _end_of_value(text: str, name: int, value: int) -> int:
    """Where the value ends that starts at `value`, and whose name starts at `name`."""
    if quoted := _QUOTED.match(text, value):
        return quoted.end()
    blank = re.compile(r"\s|\Z").search(text, value)
    ends = [blank.start() if blank else len(text)]
    if mark := _open_quotation(text[:name]):
        closing = text.find(mark, value)
        if closing >= 0:
            # A string that is all one assignment may hold blanks: 'X-Token: a b'.
            ends = [closing] if text.endswith(mark, 0, name) else [*ends, closing]
    return min(ends)


def _open_quotation(before: str) -> str | None:
    """The quotation mark that is still open at the end of `before`."""
    # In prose an apostrophe is a letter: only those of the last word are marks.
    word = before[max(before.rfind(blank) for blank in " \t\n") + 1 :]
    opened = [mark for mark, where in (("`", before), ('"', before), ("'", word)) if where.count(mark) % 2]
    return max(opened, key=before.rfind, default=None)


def hide_users(text: str) -> str:
    """Take all out of a list of users but its colons and commas: whether each has a password, and nothing else."""
    return ",".join(_hide_user(user) for user in text.split(","))


def _hide_user(user: str) -> str:
    parts = [part and REMOVED for part in user.split(":")]
    # A value that is all removed says nothing of its form: this one does.
    return f"{REMOVED} seul" if parts == [REMOVED] else ":".join(parts)


_GAP = r"(?:\s|/\*.*?\*/)*"
_STRING = (
    r"""(?:\\*`[^`]*(?:`|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"""
    r"""|\\+["'](?:(?!\\+["']).)*(?:\\+["']|\Z))"""
)
# The name and the values of a header or a parameter. The rule may be wrong, cut, or quoted in an error.
_RULE_VALUE = re.compile(
    rf"(?P<matcher>(?:Header|Query)s?(?:Regexp)?)\s*\({_GAP}(?P<first>{_STRING})(?P<rest>(?:{_GAP},{_GAP}{_STRING})*)",
    re.IGNORECASE | re.DOTALL,
)


def redact_rule(rule: str) -> str:
    """Take the secrets out of a Traefik rule, which stays a rule: ``Header(`X-Token`, `[secret retiré]`)``."""
    return redact(_RULE_VALUE.sub(_hide_values, rule))


def _hide_values(match: re.Match[str]) -> str:
    # Version 2 writes Query(`token=value`): name and value in one string.
    name, equals, _ = match["first"].strip("\\`\"'").partition("=")
    if not secret_name(name.replace(REMOVED, "")):
        return match.group()
    first = f"`{name}={REMOVED}`" if equals else match["first"]
    values = [f"`{REMOVED}`"] * len(re.findall(rf",{_GAP}{_STRING}", match["rest"], re.DOTALL))
    return f"{match['matcher']}({', '.join([first, *values])}"
