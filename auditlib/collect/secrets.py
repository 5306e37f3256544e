"""Secrets, removed before anything is kept. No part of a secret stays, not even a prefix.

Two ways, used together: an allow-list (only what the audit needs is read at all), and `redact`, which takes out of
the free text that remains whatever looks like a secret.
"""

import re

REMOVED = "[secret retiré]"

# Names whose values are secrets. Long words count wherever they stand (PGPASSWORD), short ones only as a whole word
# of the name (`--auth`, `X-Api-Key`): KEYCLOAK_URL and compass are no secrets.
_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|mot[_-]?de[_-]?passe|secret|token|credential|authorization|cookie|apikey|hmac"
    r"|requirepass|masterauth|webhook|bearer|signature"
    r"|(?:^|[^a-z0-9])(?:pass|pwd|keys?|auth|kid|salt|session(?:id)?|sig|jwt|dsn|otp|pin)(?:$|[^a-z0-9])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def secret_name(name: str) -> bool:
    """Whether a variable, header, option or label of this name holds a secret."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name).replace("_", "-")))


_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM blocks, whole or cut.
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), REMOVED),
    # The user info of any URL: scheme://user:password@host. A web address may hold an @ further on, in its path;
    # in a connection string the last @ ends the password, which may hold anything.
    (re.compile(r"((?!https?:)\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'`<>]*@"), r"\1"),
    (re.compile(r"(https?://)[^\s/?#\"'`<>]*@", re.IGNORECASE), r"\1"),
    # "Authorization: Basic …", "Bearer …".
    (re.compile(r"\b(bearer|basic|digest)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    # Password hashes: crypt(3) formats, htpasswd's {SHA}.
    (re.compile(r"\$(?:apr1|[0-9a-z]{1,12})\$[^\s:,\"'`]{8,}|\{S?SHA\d*\}[A-Za-z0-9+/=]{8,}"), REMOVED),
    # Tokens that their issuers made recognisable.
    (
        re.compile(
            r"\b(?:eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}"
            r"|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|sk-[\w-]{16,}|sk_(?:live|test)_\w{10,}|AKIA[A-Z0-9]{12,}"
            r"|AIza[\w-]{30,}|dop_v1_\w{20,}|hvs\.[\w-]{20,}|npm_\w{20,}|pypi-[\w-]{20,}|ya29\.[\w-]{10,})"
        ),
        REMOVED,
    ),
)

# name=value, name: value, "name": "value", --name value, where the name says secret.
_ASSIGNMENT = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]*)(?P<quote>["']?)(?P<sign>\s*[=:]\s*|(?<=[\w-])\s+(?!-))"""
    r"""(?P<value>"[^"]*"|'[^']*'|`[^`]*`|[^\s,;&"'`)\]}]+)"""
)


def redact(text: str) -> str:
    """Take the secrets out of free text (a message, a label, a line of log). Idempotent."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _ASSIGNMENT.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    # "--password hunter2" is an assignment; "token expired" is a sentence.
    spaced = not match["sign"].strip()
    option = match.string[max(0, match.start() - 2) : match.start()].endswith("-")
    if not secret_name(name) or (spaced and not option) or REMOVED.startswith(value.strip("\"'`")):
        return match.group()
    return f"{name}{match['quote']}{match['sign']}{REMOVED}"


_STRING = r"""(?:`[^`]*`|"(?:[^"\\]|\\.)*")"""
_RULE_VALUE = re.compile(
    rf"(?P<matcher>(?:Header|Query)s?(?:Regexp)?)\s*\(\s*(?P<first>{_STRING})(?P<rest>(?:\s*,\s*{_STRING})*)\s*,?\s*\)",
    re.IGNORECASE,
)


def redact_rule(rule: str) -> str:
    """Take the secrets out of a Traefik rule, which stays a rule: ``Header(`X-Token`, `[secret retiré]`)``."""
    return redact(_RULE_VALUE.sub(_hide_values, rule))


def _hide_values(match: re.Match[str]) -> str:
    # Version 2 writes Query(`token=value`): name and value in one string.
    name, equals, _ = match["first"][1:-1].partition("=")
    if not secret_name(name):
        return match.group()
    first = f"`{name}={REMOVED}`" if equals else match["first"]
    values = [f"`{REMOVED}`"] * len(re.findall(_STRING, match["rest"]))
    return f"{match['matcher']}({', '.join([first, *values])})"
