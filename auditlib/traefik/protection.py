"""What middlewares protect: told by their type, and by the name of those that may do anything."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Protection = Literal["intrusion", "filter", "rate", "authentication", "headers"]

# In French, in the order that Traefik had better apply them.
PROTECTIONS: dict[Protection, str] = {
    "intrusion": "filtre d’intrusion",
    "filter": "filtre d’adresses ou de pays",
    "rate": "limite de débit",
    "authentication": "authentification",
    "headers": "en-têtes de sécurité",
}

# The types that let only some addresses in.
ALLOW_LISTS = frozenset({"ipallowlist", "ipwhitelist"})

_BY_TYPE: dict[str, Protection] = {
    "basicauth": "authentication",
    "digestauth": "authentication",
    "ratelimit": "rate",
    "inflightreq": "rate",
    "headers": "headers",
    **dict.fromkeys(ALLOW_LISTS, "filter"),
}
# A name that fits two is the first: CrowdSec authenticates nobody, and who is authenticated may be counted too.
_BY_NAME: tuple[tuple[Protection, re.Pattern[str]], ...] = (
    ("intrusion", re.compile(r"crowdsec|bouncer|waf|modsec|coraza|fail2ban", re.IGNORECASE)),
    ("authentication", re.compile(r"auth|oidc|oauth|sso|jwt|keycloak", re.IGNORECASE)),
    ("filter", re.compile(r"geo|country|(?:allow|white|block|deny)[-_]?list", re.IGNORECASE)),
    ("rate", re.compile(r"(?<![a-z])rate|limit", re.IGNORECASE)),  # no « corporate »
    ("headers", re.compile(r"header", re.IGNORECASE)),
)


def protection(name: str, type_: str | None) -> Protection | Literal["unknown"] | None:
    """What a middleware protects, `name@provider`; None when nothing, « unknown » for a plugin that may be anything.

    A plugin does what its name says; so does a forwardAuth, which asks another program, and authenticates else.
    """
    kind = (type_ or "").lower()
    if kind not in ("forwardauth", "plugin"):
        return _BY_TYPE.get(kind)
    own = name.rpartition("@")[0] or name
    named = next((what for what, pattern in _BY_NAME if pattern.search(own)), None)
    return named or ("authentication" if kind == "forwardauth" else "unknown")


def expanded(names: Iterable[str], chains: Mapping[str, Sequence[str] | None]) -> list[str]:
    """The middlewares of `names` in order, each chain replaced by what it holds.

    `chains` gives what each known middleware chains, if anything. A chain that loops is Traefik's to report.
    """
    waiting, met = list(names), list[str]()
    while waiting:
        name = waiting.pop(0)
        if name not in met:
            met.append(name)
            waiting = [*(chains.get(name) or ()), *waiting]
    return [name for name in met if not chains.get(name)]
