"""Random routers and requests, from a grammar that knows every matcher and the corners where they differ."""

import random
from typing import Any

from auditlib.traefik.requests import Request

_HOSTS = ["a.fr", "b.fr", "x.a.fr", "y.x.a.fr", "A.Fr", "a.fr.", "xn--caf-dma.fr", "127.0.0.1", "::1", "localhost"]
_ODD_HOSTS = ["*.a.fr", "*.x.a.fr", "*", "*a.fr", "*.", "a.fr:80", "[::1]", "*.a.fr."]
_HOST_EXPRESSIONS = [
    "a",
    r"^a\.fr$",
    r"^[a-z]+\.a\.fr$",
    "A",
    ".+",
    ".*",
    r"\.fr\.?$",
    "^$",
    "(?i)^A",
    r"^(?:a|b)\.fr$",
    "{sub:[a-z]+}.a.fr",
]
_HOST_TEMPLATES = ["{sub:[a-z]+}.a.fr", "{any}.fr", "a.fr", "{x:.+}", "{a}.{b}.fr", r"{n:\d+}.0.0.1", "{h:[^:]+}"]
_SEGMENTS = [
    "api",
    "API",
    "v1",
    "a",
    "b",
    "foo bar",
    "é",
    "(x)",
    "a;b",
    "a+b",
    "a:b",
    "a@b",
    "a=b",
    "~u",
    "a%2Fb",
    "{id}",
]
_PATH_EXPRESSIONS = [
    "^/api",
    "v[0-9]",
    "/a/?$",
    "(?i)^/API/",
    "é",
    r"^/\w+/\w+",
    "%2F",
    "[(]x",
    "^/a b|^/foo bar",
    "[^/]$",
    ".",
]
_PATH_TEMPLATES = ["/{id}", "/api/{id:[0-9a-z]+}", "/{a}/{b}", "/api", "/a/{rest:.*}", "/{é:.}", "/"]
_SENT = [
    "api",
    "API",
    "v1",
    "a",
    "b",
    "",
    ".",
    "..",
    ".a",
    "foo%20bar",
    "foo+bar",
    "é",
    "%C3%A9",
    "%c3%a9",
    "(x)",
    "%28x%29",
]
_SENT += [
    "a;b",
    "a%3Bb",
    "a%3bb",
    "a+b",
    "a%2Bb",
    "a:b",
    "a%3Ab",
    "a@b",
    "a%40b",
    "a=b",
    "~u",
    "%7Eu",
    "a%2Fb",
    "a%2fb",
]
_SENT += [
    "a%252Fb",
    "%61pi",
    "%41PI",
    "%2e",
    "%2E%2e",
    "a%5Cb",
    "a%00b",
    "%7Bid%7D",
    "{id}",
    '"',
    "<",
    "[x]",
    "a|b",
    "a'b",
]
_SENT += ["\udcff", "%FF", "a\\b", "*", "a,b", "a!b", "a%21b", "$", "1"]
_BAD = ["%zz", "%", "a b", "a#b", "%4"]
_NAMES = [
    "X-A",
    "x-a",
    "X-B",
    "X-Forwarded-Proto",
    "X-Real-Ip",
    "X-Forwarded-Port",
    "x_a",
    "Connection",
    "Upgrade",
    "Accept",
]
_VALUES = ["1", "0", "0, 1", "a", "abc", "B", "http", "https", "websocket", "Upgrade", "127.0.0.1", "80", "é"]
_NETWORKS = [
    "127.0.0.1",
    "127.0.0.0/8",
    "127.0.0.2/32",
    "10.0.0.0/8",
    "::1",
    "0.0.0.0/0",
    "::ffff:127.0.0.0/104",
    "127.0.0.3/31",
]
_KEYS = ["a", "b", "é", "a b", ""]
_METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "CUSTOM"]
_INVALID = [
    "Host(`a.fr`",
    "Hosts(`a`)",
    "Host(`a`,`b`,`c`) && Path()",
    "HostRegexp(`(`)",
    "Path(`x`)",
    "Host('a.fr')",
    "Host(`é.fr`)",
]
_INVALID += [
    "Host(`a.fr`)\n|| Host(`b.fr`)",
    "pathPrefix(`/a`)",
    "Host(``)",
    "ClientIP(`localhost`)",
    "Query(`a`) | Query(`b`)",
    "",
]


def rule(chance: random.Random, syntax: str) -> str:
    """A rule that may be wrong."""
    if chance.random() < 0.04:
        return chance.choice(_INVALID)
    text = _tree(chance, syntax, chance.choice([0, 0, 1, 1, 1, 2, 3]))
    return text + chance.choice([""] * 8 + [" ", "\n", " // end", "  /* end */ "])


def _tree(chance: random.Random, syntax: str, depth: int) -> str:
    if not depth or chance.random() < 0.2:
        return "!" * (chance.random() < 0.15) + _matcher(chance, syntax)
    glue = chance.choice([" && ", " && ", " || ", "&&", " &&\n", " /* or */ || "])
    text = glue.join(_tree(chance, syntax, depth - 1) for _ in range(chance.choice([2, 2, 3])))
    return text if chance.random() < 0.4 else "!" * (chance.random() < 0.15) + f"({text})"


def _matcher(chance: random.Random, syntax: str) -> str:
    name, args = (_v2 if syntax == "v2" else _v3)(chance)
    name = chance.choice([name] * 9 + [name.lower(), name.upper(), name.capitalize()])
    comma = chance.choice([",", ", ", ",\n"])
    return f"{name}({comma.join(_literal(chance, one) for one in args)}{chance.choice([''] * 9 + [','])})"


def _literal(chance: random.Random, text: str) -> str:
    if chance.random() < 0.9:
        return f"`{text}`"
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\u{ord(c):04x}" for c in text) + '"'


def _path(chance: random.Random) -> str:
    end = chance.choice(["", "", "/"])
    return "/" + "/".join(chance.choice(_SEGMENTS) for _ in range(chance.choice([0, 1, 1, 2]))) + end


def _v3(chance: random.Random) -> tuple[str, list[str]]:
    name = chance.choices(
        ["Host", "HostRegexp", "Path", "PathPrefix", "PathRegexp", "Method", "Header", "HeaderRegexp", "Query",
         "QueryRegexp", "ClientIP"],
        [6, 2, 3, 6, 2, 1, 2, 1, 2, 1, 1],
    )[0]  # fmt: skip
    match name:
        case "Host":
            return name, [chance.choice(_HOSTS if chance.random() < 0.7 else _ODD_HOSTS)]
        case "HostRegexp":
            return name, [chance.choice(_HOST_EXPRESSIONS)]
        case "Path" | "PathPrefix":
            return name, [_path(chance)]
        case "PathRegexp":
            return name, [chance.choice(_PATH_EXPRESSIONS)]
        case "Method":
            return name, [chance.choice(_METHODS)]
        case "Header":
            return name, [chance.choice(_NAMES), chance.choice(_VALUES)]
        case "HeaderRegexp":
            return name, [chance.choice(_NAMES), chance.choice(["^1$", "a", ".", "(?i)b", "^http"])]
        case "Query":
            return name, [chance.choice(_KEYS[:-1]), chance.choice(_VALUES)][: chance.choice([1, 2])]
        case "QueryRegexp":
            return name, [chance.choice(_KEYS[:-1]), chance.choice(["^[0-9]+$", "a", "."])][: chance.choice([1, 2, 2])]
    return name, [chance.choice(_NETWORKS)]


def _v2(chance: random.Random) -> tuple[str, list[str]]:
    name = chance.choice(
        [
            "Host",
            "HostHeader",
            "HostRegexp",
            "Path",
            "PathPrefix",
            "Method",
            "Headers",
            "HeadersRegexp",
            "Query",
            "ClientIP",
        ]
    )
    count = chance.choice([1, 1, 2])
    match name:
        case "Host" | "HostHeader":
            return name, [chance.choice(_HOSTS + _ODD_HOSTS) for _ in range(count)]
        case "HostRegexp":
            return name, [chance.choice(_HOST_TEMPLATES) for _ in range(count)]
        case "Path" | "PathPrefix":
            return name, [chance.choice([_path(chance), chance.choice(_PATH_TEMPLATES)]) for _ in range(count)]
        case "Method":
            return name, [chance.choice(_METHODS) for _ in range(count)]
        case "Headers":
            return name, [text for _ in range(count) for text in (chance.choice(_NAMES), chance.choice(_VALUES))]
        case "HeadersRegexp":
            return name, [text for _ in range(count) for text in (chance.choice(_NAMES), chance.choice(["^1$", "."]))]
        case "Query":
            return name, [chance.choice(["a=1", "a=", "b={x:[0-9]+}", "a={x}", "é=1", "a"]) for _ in range(count)]
    return name, [chance.choice(_NETWORKS) for _ in range(count)]


def router(chance: random.Random, rules: list[str]) -> dict[str, Any]:
    """A router's rule, syntax and priority; some have the rule of another."""
    syntax = chance.choice(["v3"] * 5 + ["v2"])
    text = chance.choice(rules) if rules and chance.random() < 0.05 else rule(chance, syntax)
    rules.append(text)
    priority = chance.choice([None] * 6 + [chance.choice([1, 2, 20, 40, -1, 2**63 - 1001, 2**63 - 1000, 0])])
    given = {"rule": text, "ruleSyntax": "v2" if syntax == "v2" else None, "priority": priority}
    return {key: value for key, value in given.items() if value is not None}


def request(chance: random.Random, *, tls: bool) -> Request:
    """A request, now and then one that is refused."""
    target = "/" + "/".join(chance.choice(_SENT) for _ in range(chance.choice([0, 1, 1, 2, 2, 3])))
    target += chance.choice(["", "", "/"]) + (chance.choice(_BAD) if chance.random() < 0.03 else "")
    if chance.random() < 0.35:
        target += "?" + chance.choice(["&", ";"]).join(_parameter(chance) for _ in range(chance.choice([1, 1, 2, 3])))
    host: str | None = chance.choice(
        _HOSTS if chance.random() < 0.85 else ["z.fr", "a.fr..", "", "é.fr", "{a}.fr", "a_b.fr"]
    )
    version = "1.0" if chance.random() < 0.08 else "1.1"
    if host and ":" in host:
        host = f"[{host}]"
    if host and chance.random() < 0.15:
        host += chance.choice([":80", ":", ":8080", "."])
    if chance.random() < 0.3 and version == "1.0":
        host = None
    if host and chance.random() < 0.03:
        target = f"http://{chance.choice(['b.fr', 'A.FR:8080'])}{target}"
    if chance.random() < 0.01:
        target = "*"
    headers = [(chance.choice(_NAMES), chance.choice(_VALUES)) for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 3]))]
    method = chance.choice(["GET"] * 8 + _METHODS)
    client = chance.choice(["127.0.0.1"] * 3 + ["127.0.0.2"])
    sni = chance.choice([None, "a.fr", "b.fr", "x.a.fr", "z.fr"]) if tls else None
    return Request(host, target, method, tuple(headers), client, tls, sni, version)


def _parameter(chance: random.Random) -> str:
    value = chance.choice(["1", "0", "a", "abc", "", "%31", "+", "%zz", "%C3%A9", "é"])
    name = chance.choice(["a", "b", "é", "%C3%A9", "a+b", "a%20b", "A", ""])
    return chance.choice([f"{name}={value}", f"{name}={value}", name, f"{name}={value}=1"])
