"""Random values of middlewares, by type: sound ones and others."""

import random
from collections.abc import Callable, Mapping
from typing import Any

Value = dict[str, Any]
_REGEXPS = (
    *(
        "^a",
        "",
        "(a|b)+c?",
        "[a-z]+",
        r"\d{2,3}",
        "(?i)x",
        "(?P<n>a)",
        "(?<n>a)",
        "a{1000}",
        "[[:alpha:]]",
        r"\pL",
        "a|",
        "é",
    ),
    *(
        "(",
        "a)",
        "[a",
        "*a",
        "a**",
        "a{1001}",
        "(?!a)",
        "(?<=a)b",
        r"\q",
        "a\\",
        "[z-a]",
        r"\1",
        "(?P<n",
        "((a{99}){99})",
    ),
    *("+", "(*)", "[[:foo:]]", r"\pX", "(?z)", "x{3,2}", r"\C", "(?P<>a)", "a??+", "[]a]", "[^]", "(?i", "(?:"),
)
NETWORKS = (
    *(
        "10.0.0.0/8",
        "192.168.1.7",
        "::1",
        "fe80::/10",
        "0.0.0.0/0",
        "10.0.0.1/32",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/08",
    ),
    *(
        "10.0.0.0/33",
        "foo.fr",
        "",
        "10.0.0",
        "::/129",
        "010.0.0.1",
        "10.0.0.0/",
        "fe80::1%eth0",
        "1::2::3",
        "10.0.0.0/-1",
    ),
)
STATUSES = (
    "500",
    "500-599",
    "404",
    "5xx",
    "",
    "500-",
    "-500",
    "400-499-x",
    "99999999999999999999",
    "+5",
    "5 0",
    "0x1",
)
_EXPRESSIONS = (
    *("NetworkErrorRatio() > 0.5", "LatencyAtQuantileMS(50.0) > 100", "ResponseCodeRatio(500, 600, 0, 600) >= 0.25"),
    *("NetworkErrorRatio() > 0.1 || LatencyAtQuantileMS(9.0) <= 10", "(NetworkErrorRatio() != 0.1)", ""),
    *("NetworkErrorRatio( > 0.5", "Nope() > 0.5", "NetworkErrorRatio()", "NetworkErrorRatio() > 1", "0.5 < 0.6"),
    *("LatencyAtQuantileMS(50) > 100", "ResponseCodeRatio(500) > 0.2", "!(NetworkErrorRatio() > 0.5)", "x", "5"),
    *(
        "NetworkErrorRatio() && NetworkErrorRatio() > 0.1",
        'LatencyAtQuantileMS("a") > 1',
        "LatencyAtQuantileMS(5.0) > 0.5",
    ),
    *(
        "NetworkErrorRatio() == 1",
        "Attempts() < 2",
        "NetworkErrorRatio() > 0.5 NetworkErrorRatio()",
        "(NetworkErrorRatio() > 0.5",
    ),
)
_RETRIES = (
    *("IsNetworkError()", "IsNetworkError() && Attempts() < 2", "ResponseCode() == 502 || Attempts() <= 3"),
    *('RequestMethod() == "GET"', "Attempts()", "Attempts() < 2.5", 'RequestMethod() < "a"', "Foo()", "Attempts() <"),
    *("IsNetworkError() == 1", "RequestMethod() == 1", "!IsNetworkError()", "IsNetworkError(1)"),
)
_TYPES = ("text/html", "a/b; q=1", "a/b; q", "foo bar", "", "a/", "a/b c", "a/b; q=1; q=2", "a", 'a/b; q="x y"', "A/B;")
URLS = (
    *(
        "http://127.0.0.1:1",
        "https://a.fr/x?y=1#z",
        "http://[::1]:80",
        "web:80",
        "h2c://a",
        "http://a_b",
        "http://a:",
        "",
    ),
    *("http://127.0.0.1:abc", "http://a b", "http://a%zz/", "http://a/%zz", "127.0.0.1:80", "://a", "http://[::1"),
    *(
        "http://[::1]x",
        "http://a[b:c@x",
        "http://u:p@a",
        "http://::1:80",
        "http://[zz]:80",
        "1http://b",
        "http://a:80:90",
    ),
    *("http://a^b", "/x", "a/b:c", "http://a:-1", "http://é.fr", "http://[]:80", "http://a|b", "//a:b"),
)


def _source(chance: random.Random) -> Value:
    parts: list[Value] = [{"requestHost": True}, {"requestHeaderName": "X-A"}, {"ipStrategy": _strategy(chance)}]
    chosen = chance.sample(parts, chance.choice([0, 1, 1, 2, 3]))
    return {"sourceCriterion": {key: value for part in chosen for key, value in part.items()}} if chosen else {}


def _strategy(chance: random.Random) -> Value:
    return chance.choice(
        [
            {"depth": chance.choice([-1, 0, 2])},
            {"excludedIPs": chance.sample(NETWORKS, 2)},
            {"depth": 1, "excludedIPs": ["zz"]},
            {"ipv6Subnet": chance.choice([-1, 0, 64, 128, 129])},
        ]
    )


def some(chance: random.Random, pool: tuple[str, ...], most: int = 2) -> list[str]:
    """A few of a pool."""
    return chance.sample(pool, chance.randint(1, most))


def _ranges(chance: random.Random) -> Value:
    strategy = {"ipStrategy": _strategy(chance)} if chance.random() < 0.4 else {}
    return {"sourceRange": some(chance, NETWORKS) if chance.random() < 0.9 else [], **strategy}


def _compress(chance: random.Random) -> Value:
    parts: list[Value] = [
        {"excludedContentTypes": some(chance, _TYPES)},
        {"includedContentTypes": some(chance, _TYPES)},
        {"defaultEncoding": chance.choice(["gzip", "br", "deflate", "zstd"])},
        {"encodings": some(chance, ("gzip", "br", "zstd", "deflate", ""))},
        {"minResponseBodyBytes": chance.choice([-3, 0, 5])},
    ]
    return {key: value for part in chance.sample(parts, chance.choice([1, 1, 2])) for key, value in part.items()}


def _headers(chance: random.Random) -> Value:
    parts: list[Value] = [
        {"accessControlAllowOriginListRegex": some(chance, _REGEXPS)},
        {"customRequestHeaders": {"X-A": chance.choice(["", "b"])}},
        {"frameDeny": chance.random() < 0.5},
        {"stsSeconds": chance.choice([0, 10])},
        {"accessControlMaxAge": chance.choice([0, 10])},
        {"contentSecurityPolicy": chance.choice(["", "x"])},
        {"allowedHosts": chance.choice([[], ["a"]])},
        {"addVaryHeader": chance.random() < 0.5},
        {"isDevelopment": chance.random() < 0.5},
    ]
    return {key: value for part in chance.sample(parts, chance.choice([1, 1, 2])) for key, value in part.items()}


def _users(chance: random.Random, parts: int) -> list[str]:
    sound = ":".join(f"p{n}" for n in range(parts))
    return some(chance, (sound, f"u{sound}", "joe", f"{sound}:x", "", ":" * (parts - 1), "a:b", "a:b:c"))


# One of each type: a value, or a part of it. What a version does not know is left out by `known`.
MIDDLEWARES: Mapping[str, Callable[[random.Random], Value]] = {
    "addPrefix": lambda chance: {"prefix": chance.choice(["", "/x", "x"])},
    "basicAuth": lambda chance: {"users": _users(chance, 2), "realm": "r"},
    "buffering": lambda chance: {
        **{key: chance.choice([-5, -1, 0, 0, 9]) for key in ("memRequestBodyBytes", "maxResponseBodyBytes")},
        "maxRequestBodyBytes": chance.choice([1, 2, -3]),
        "retryExpression": chance.choice(_RETRIES),
    },
    "chain": lambda chance: {
        "middlewares": chance.sample(["addPrefix-0", "none", "retry-1", "chain-0", "ok", "ok@docker"], 2)
    },
    "circuitBreaker": lambda chance: {"expression": chance.choice(_EXPRESSIONS)},
    "compress": _compress,
    "contentType": lambda _: {},
    "digestAuth": lambda chance: {"users": _users(chance, 3), "realm": "r"},
    "errors": lambda chance: {
        "status": some(chance, STATUSES),
        "service": chance.choice(["s", "s", "none", "loadBalancer-0", "api@internal", "ping@internal", "foo@internal"]),
        "query": "/",
    },
    "forwardAuth": lambda chance: {
        "address": chance.choice(["", "http://a", "http://a:%zz"]),
        "authResponseHeadersRegex": chance.choice(_REGEXPS),
        **({"tls": {chance.choice(["cert", "key"]): "x"}} if chance.random() < 0.3 else {}),
    },
    "grpcWeb": lambda _: {"allowOrigins": ["*"]},
    "headers": _headers,
    "inFlightReq": lambda chance: {"amount": chance.choice([-2, 1, 5]), **_source(chance)},
    "ipAllowList": lambda chance: {
        **_ranges(chance),
        **({"rejectStatusCode": chance.choice([0, 200, 306, 404, 418, 999])} if chance.random() < 0.3 else {}),
    },
    "ipWhiteList": _ranges,
    "passTLSClientCert": lambda _: {"pem": True},
    "plugin": lambda chance: {name: {"a": "b"} for name in some(chance, ("foo", "bar"))},
    "rateLimit": lambda chance: {
        "average": chance.choice([-1, 1, 100]),
        "period": chance.choice(["1s", "0s", "-1s", "-1500ms", "-90m", "-1500ns", "-36h5s", "-7ns", "2h"]),
        "burst": chance.choice([-3, 0, 5]),
        **_source(chance),
    },
    "redirectRegex": lambda chance: {"regex": chance.choice(_REGEXPS), "replacement": "x"},
    "redirectScheme": lambda chance: {"scheme": chance.choice(["", "https", "ht tp"]), "port": "443"},
    "replacePath": lambda _: {"path": ""},
    "replacePathRegex": lambda chance: {"regex": f" {chance.choice(_REGEXPS)} ", "replacement": "x"},
    "retry": lambda chance: {"attempts": chance.choice([-2, 0, 2]), "initialInterval": chance.choice(["-1s", "1s"])},
    "stripPrefix": lambda _: {"prefixes": ["a"]},
    "stripPrefixRegex": lambda chance: {"regex": [f" {one}" for one in some(chance, _REGEXPS)]},
    # Since 3.7.
    "encodedCharacters": lambda _: {"allowEncodedSlash": True},
}


def retry_3_7(chance: random.Random) -> Value:
    """A retry by status, since 3.7."""
    return {
        "attempts": chance.choice([0, 2]),
        "status": some(chance, STATUSES),
        "disableRetryOnNetworkError": chance.random() < 0.5,
    }
