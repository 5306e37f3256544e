"""Random TCP routers and connections, from both grammars of TCP rules and the values that Traefik refuses in them."""

import random
from typing import Any

from auditlib.traefik.requests import Request

_NAMES = ["a.fr", "b.fr", "x.a.fr", "*", "localhost"]
_ODD_NAMES = ["A.Fr", "a.fr.", "a_b.fr", "*.a.fr", "*.X.a.fr", "*.", "*.bar", "*a.fr", "é.fr", "a b", "a.fr:443", "::1"]
_EXPRESSIONS = [r"^a\.fr$", r".+\.a\.fr", "a", ".*", "^$", "^[A-Z]", "(?i)^A", "{sub:[a-z]+}.a.fr", r"^(a|b)\.fr$"]
_BAD_EXPRESSIONS = ["(", "[a", "a**", "*", "a)", "é", "(?=a)", "x{2,1}", "[b-a]", r"\8", r"a\p{Xx}", "(?P<n", "\\"]
_TEMPLATES = ["{sub:[a-z]+}.a.fr", "{any}.fr", "a.fr", "A.fr", "{x:.+}", "{a}.{b}.fr", "{n:[0-9]{1,3}}.fr", "a.f"]
_BAD_TEMPLATES = ["{sub:}", "{:x}", "{}", "{a", "a}", "{x:(}.fr", "{x:[a}", "{x:a**}", "}{"]
_PROTOCOLS = ["foo", "bar", "h2", "http/1.1"]
_NETWORKS = ["127.0.0.1", "127.0.0.0/8", "127.0.0.2/32", "::ffff:127.0.0.2", "10.0.0.0/8", "::1"]
_BAD_NETWORKS = ["localhost", "10.0.0.0/33", "10.0.0", "fe80::1%lo"]
_INVALID = ["Host(`a.fr`)", "HostSNI(`a.fr`", "hostSni(`*`)", "HostSNI('a.fr')", "HostSNI(`a.fr`)\n&& ALPN(`foo`)", "",
            "HostSNI(`a.fr`) &&", "PathPrefix(`/`) && HostSNI(`*`)", "HostSNI(`*`) || Method(`GET`)"]  # fmt: skip
_CATCH_ALL = ["HostSNI(`*`)", "HostSNI ( `*` )", "hostsni(`*`)", '(HostSNI("*"))', "!HostSNI(`*`)", "!!HOSTSNI(`*`,)",
              "HostSNI(`*`) /* all */"]  # fmt: skip
# What the default TLS options accept, so that a handshake never fails for want of a common protocol.
ACCEPTED = ["h2", "http/1.1", "foo", "bar"]


def router(chance: random.Random, *, tls: bool) -> dict[str, Any]:
    """A router's rule, syntax, priority and TLS, any of them may be wrong."""
    syntax = chance.choice(["v3"] * 3 + ["v2"] * 2)
    text = _rule(chance, syntax, named=tls or chance.random() < 0.1)
    priority = chance.choice([None] * 7 + [chance.choice([1, 12, 40, -1, -2, 2**63 - 1001, 2**63 - 1000, 0])])
    given = {"rule": text, "ruleSyntax": syntax if syntax == "v2" else None, "priority": priority}
    return {key: value for key, value in given.items() if value is not None} | ({"tls": {}} if tls else {})


def _rule(chance: random.Random, syntax: str, *, named: bool) -> str:
    kind = chance.random()
    if kind < 0.05:
        return chance.choice(_INVALID)
    if kind < 0.2:
        return chance.choice(_CATCH_ALL)
    text = _tree(chance, syntax, chance.choice([0, 0, 1, 1, 2]), named=named)
    return text + chance.choice([""] * 8 + [" ", "\n", " // end"])


def _tree(chance: random.Random, syntax: str, depth: int, *, named: bool) -> str:
    negation = "!" * (chance.random() < 0.15)
    if not depth:
        return negation + _matcher(chance, syntax, named=named)
    glue = chance.choice([" && ", " || ", "&&", " &&\n", " || "])
    text = glue.join(_tree(chance, syntax, depth - 1, named=named) for _ in range(chance.choice([2, 2, 3])))
    return text if chance.random() < 0.4 else f"{negation}({text})"


def _matcher(chance: random.Random, syntax: str, *, named: bool) -> str:
    name = chance.choice(["HostSNI"] * 5 + ["HostSNIRegexp"] * 2 + ["ALPN", "ClientIP"] if named else
                         ["ClientIP"] * 3 + ["HostSNI", "HostSNIRegexp", "ALPN"])  # fmt: skip
    # Several values are what only version 2 knows; none, and an empty one, are refused everywhere.
    count = chance.choice([1, 1, 1, 2] if syntax == "v2" else [1] * 15 + [2])
    count = 0 if chance.random() < 0.01 else count
    args = ["" if chance.random() < 0.01 else _value(chance, name, syntax, named=named) for _ in range(count)]
    spelled = chance.choice([name] * 9 + [name.lower(), name.upper(), name.capitalize()])
    return f"{spelled}({chance.choice([',', ', ']).join(f'`{arg}`' for arg in args)})"


def _value(chance: random.Random, name: str, syntax: str, *, named: bool) -> str:
    right = chance.random() < 0.93
    match name:
        case "HostSNI":
            return chance.choice((_NAMES if named else ["*"]) if chance.random() < 0.75 else _ODD_NAMES)
        case "HostSNIRegexp" if syntax == "v2":
            return chance.choice(_TEMPLATES if right else _BAD_TEMPLATES)
        case "HostSNIRegexp":
            return chance.choice(_EXPRESSIONS if right else _BAD_EXPRESSIONS)
        case "ALPN":
            return chance.choice(_PROTOCOLS if right else ["acme-tls/1"])
    return chance.choice(_NETWORKS if right else _BAD_NETWORKS)


def connection(chance: random.Random, *, tls: bool) -> Request:
    """A connection, and the client that makes it."""
    client = f"127.0.0.{chance.choice([1, 1, 2, 3])}"
    if not tls:
        return Request("", client_ip=client)
    names = ["a.fr", "b.fr", "x.a.fr", "y.x.a.fr", "A.Fr", "X.A.fr", "localhost", "z.fr", "a_b.fr", "12.fr", None]
    offered = chance.sample(["foo", "bar", "http/1.1", "h2"], chance.choice([0, 1, 1, 2, 4]))
    return Request("", client_ip=client, tls=True, sni=chance.choice(names), alpn=tuple(offered))
