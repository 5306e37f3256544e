"""Random dynamic configurations: middlewares, services, TLS options and routers, sound ones and others.

An object's name begins with its family: « basicAuth-7 ».
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from auditlib.traefik.fields import version as version_of
from auditlib.traefik.files import FileError, decode_file
from auditlib.traefik.versions import Version, number
from tests.traefik.predictions import written

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
_NETWORKS = (
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
_STATUSES = (
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
_URLS = (
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
            {"excludedIPs": chance.sample(_NETWORKS, 2)},
            {"depth": 1, "excludedIPs": ["zz"]},
            {"ipv6Subnet": chance.choice([-1, 0, 64, 128, 129])},
        ]
    )


def _some(chance: random.Random, pool: tuple[str, ...], most: int = 2) -> list[str]:
    return chance.sample(pool, chance.randint(1, most))


def _ranges(chance: random.Random) -> Value:
    strategy = {"ipStrategy": _strategy(chance)} if chance.random() < 0.4 else {}
    return {"sourceRange": _some(chance, _NETWORKS) if chance.random() < 0.9 else [], **strategy}


def _compress(chance: random.Random) -> Value:
    parts: list[Value] = [
        {"excludedContentTypes": _some(chance, _TYPES)},
        {"includedContentTypes": _some(chance, _TYPES)},
        {"defaultEncoding": chance.choice(["gzip", "br", "deflate", "zstd"])},
        {"encodings": _some(chance, ("gzip", "br", "zstd", "deflate", ""))},
        {"minResponseBodyBytes": chance.choice([-3, 0, 5])},
    ]
    return {key: value for part in chance.sample(parts, chance.choice([1, 1, 2])) for key, value in part.items()}


def _headers(chance: random.Random) -> Value:
    parts: list[Value] = [
        {"accessControlAllowOriginListRegex": _some(chance, _REGEXPS)},
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
    return _some(chance, (sound, f"u{sound}", "joe", f"{sound}:x", "", ":" * (parts - 1), "a:b", "a:b:c"))


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
        "status": _some(chance, _STATUSES),
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
    "plugin": lambda chance: {name: {"a": "b"} for name in _some(chance, ("foo", "bar"))},
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
    "stripPrefixRegex": lambda chance: {"regex": [f" {one}" for one in _some(chance, _REGEXPS)]},
    # Since 3.7.
    "encodedCharacters": lambda _: {"allowEncodedSlash": True},
}


def _retry_3_7(chance: random.Random) -> Value:
    return {
        "attempts": chance.choice([0, 2]),
        "status": _some(chance, _STATUSES),
        "disableRetryOnNetworkError": chance.random() < 0.5,
    }


def middlewares(chance: random.Random, version: str, each: int) -> dict[str, Value]:
    """Middlewares of all types that a version knows, and a few of two types."""
    made: dict[str, Value] = {"ok": {"addPrefix": {"prefix": "/x"}}}
    for family, make in MIDDLEWARES.items():
        for at in range(each):
            made[f"{family}-{at}"] = {family: make(chance)}
    for at in range(each):
        pair = chance.sample([*MIDDLEWARES], 2)
        made[f"two types-{at}"] = {one: MIDDLEWARES[one](chance) for one in pair}
        made[f"retry by status-{at}"] = {"retry": _retry_3_7(chance)}
        # What only the files of the machine tell: unknown, whatever Traefik finds.
        made[f"files-{at}"] = chance.choice(
            [
                {"basicAuth": {"usersFile": "/none"}},
                {"digestAuth": {"usersFile": "/none", "users": ["a:b:c"]}},
                {"forwardAuth": {"address": "http://a", "tls": {"ca": "none"}}},
                {"forwardAuth": {"address": "http://a", "tls": {"cert": "none", "key": "none"}}},
            ]
        )
        made[f"status rewrites-{at}"] = {
            "errors": {"status": ["500"], "service": "s", "statusRewrites": {chance.choice(_STATUSES) or "1": 404}}
        }
    return known(made, "middlewares", version)


def services(chance: random.Random, version: str, each: int) -> dict[str, Value]:
    """Services of all types; one child at most is wrong, since Traefik takes them in a random order."""
    names = [
        "s",
        "healthy",
        "none",
        "loadBalancer-1",
        "failover-0",
        "mirroring-0",
        "weighted-0",
        "api@internal",
        "weighted-2",
    ]
    # Versions before 3.6.8 do not survive a service that contains itself.
    guarded = number(version) >= (3, 6, 8)

    def child(family: str, at: int) -> str:
        itself = f"{family}-{at}" if guarded else "none"
        # Only names made before: no other circle than its own.
        return chance.choice([*names[:4], *names[:2], names[7], itself, *(f"{family}-{one}" for one in range(at))])

    def health(share: float) -> Value:
        return {"healthCheck": {}} if chance.random() < share else {}

    made: dict[str, Value] = {
        "s": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}},
        "healthy": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}], "healthCheck": {"path": "/"}}},
    }
    for at in range(3 * each):
        made[f"loadBalancer-{at}"] = {"loadBalancer": {"servers": [{"url": chance.choice(_URLS)}]}}
    for at in range(each):
        balancer = {
            "servers": [{"url": "http://127.0.0.1:1"}],
            "serversTransport": chance.choice(["none", "t", "t@file"]),
        }
        probed = {"healthCheck": {"path": "/"}} if chance.random() < 0.4 else {}
        served = {} if chance.random() < 0.3 else {"servers": balancer["servers"]}
        made[f"transport-{at}"] = {
            "loadBalancer": {"serversTransport": balancer["serversTransport"], **served, **probed}
        }
        strategy = chance.choice(["wrr", "p2c", "hrw", "leasttime", "WRR", "foo"])
        made[f"strategy-{at}"] = {"loadBalancer": {"servers": balancer["servers"], "strategy": strategy}}
        for family in ("weighted", "highestRandomWeight"):
            members = ["healthy", child(family, at)]
            made[f"{family}-{at}"] = {
                family: {"services": [{"name": name, "weight": 1} for name in members], **health(0.3)}
            }
        percent = chance.choice([-1, 0, 50, 101])
        made[f"mirroring-{at}"] = {
            "mirroring": {
                "service": child("mirroring", at),
                "mirrors": [{"name": child("mirroring", at), "percent": percent}],
                **health(0.3),
            }
        }
        made[f"failover-{at}"] = {
            "failover": {"service": child("failover", at), "fallback": child("failover", at), **health(0.3)}
        }
        errors = {"errors": {"status": _some(chance, _STATUSES)}}
        made[f"failover by status-{at}"] = {"failover": {"service": "s", "fallback": "s", **errors}}
        made[f"middlewares of service-{at}"] = {
            **made["s"],
            "middlewares": [chance.choice(["ok", "none", "addPrefix-0", "errors-0", "chain-0"])],
        }
    made["two types-s"] = {**made["s"], **made["weighted-0"]}
    made["no type-s"] = {}
    return known(made, "services", version)


def tls_options(chance: random.Random) -> dict[str, Value]:
    """TLS options, some of which cannot be built."""
    parts: list[Callable[[], Value]] = [
        lambda: {"minVersion": chance.choice(["VersionTLS12", "x"])},
        lambda: {
            "cipherSuites": _some(chance, ("TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "FOO"))
        },
        lambda: {
            "curvePreferences": _some(chance, ("X25519", "secp521r1", "x25519mlkem768", "secp256r1mlkem768", "P1"))
        },
        lambda: {
            "clientAuth": {
                "clientAuthType": chance.choice(
                    [
                        "NoClientCert",
                        "RequireAnyClientCert",
                        "VerifyClientCertIfGiven",
                        "RequireAndVerifyClientCert",
                        "Foo",
                    ]
                )
            }
        },
        lambda: {"alpnProtocols": ["x"]},
    ]
    made: dict[str, Value] = {"strict": {"minVersion": "VersionTLS12"}}
    made |= {f"files-{name}": {"clientAuth": {"caFiles": [name]}} for name in ("a", "b")}
    for at in range(25):
        chosen = chance.sample(parts, chance.choice([1, 2]))
        made[f"tls-{at}"] = {key: value for part in chosen for key, value in part().items()}
    return made


def known(made: dict[str, Value], kind: str, version: str) -> dict[str, Value]:
    """The objects that a version can decode."""
    running = version_of(version)
    assert running is not None

    def decodes(name: str, value: Value) -> bool:
        try:
            decode_file("one.yml", written({"http": {kind: {name: value}}}), running)
        except FileError:
            return False
        return True

    return {name: value for name, value in made.items() if decodes(name, value) or not value}


def routers(chance: random.Random, at: Version, parts: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    """A router for each object, then routers with several faults, in conflict about TLS options, and with parents."""
    made: dict[str, Value] = {}

    def add(name: str, **given: Any) -> None:
        made[name] = {
            "rule": f"Host(`{name.replace(' ', '-').lower()}.fr`)",
            "entryPoints": ["web"],
            "service": "s",
            **given,
        }

    for name in parts["middlewares"]:
        add(f"m {name}", middlewares=[name])
    for name in parts["services"]:
        add(f"s {name}", service=name)
    for name in (*parts["options"], "none", "none@docker", "default"):
        add(f"o {name}", tls={"options": name}, entryPoints=["websecure"])
    for name in ("api", "ping", "rest", "noop", "foo", "acme-http"):
        add(f"internal-{name}", service=f"{name}@internal")
    decided = [name for name in parts["middlewares"] if not name.startswith("files")]
    for one in range(40):
        add(
            f"router-{one}",
            entryPoints=chance.choice([["web"], ["web", "none"], ["none"], ["web", "websecure"]]),
            middlewares=chance.sample([*decided, "none"], chance.choice([0, 1, 2])),
            **chance.choice([{}, {"priority": 2**63 - 2}, {"priority": -3}, {"rule": "Host("}, {"rule": "Foo(`a`)"}]),
            **chance.choice([{}, {}, {"tls": {}}, {"tls": {"options": chance.choice(["none", "strict"])}}]),
        )
        if chance.random() < 0.3:
            made[f"router-{one}"]["service"] = chance.choice(["none", "loadBalancer-0", "s@docker", "weighted-0"])
    for one in range(30):
        hosts = " || ".join(f"Host(`c{chance.randrange(12)}.fr`)" for _ in range(chance.choice([1, 1, 2])))
        rule = chance.choice(
            [f"({hosts}) && PathPrefix(`/{one}`)"] * 4 + [f"PathPrefix(`/{one}`)", f"HostRegexp(`c{one}`)"]
        )
        options = chance.choice([{}, {}, {"options": "strict"}, {"options": "tls-0"}, {"options": "none"}])
        points = chance.choice([["websecure"], ["web", "websecure"], ["websecure", "none"]])
        add(f"conflict-{one}", rule=rule, tls=options, entryPoints=points)
    if at >= (3, 6, 0):
        made |= _tree(chance)
    return made


def _tree(chance: random.Random) -> dict[str, Value]:
    """Families of routers: roots, and children of anything, themselves among it."""
    made: dict[str, Value] = {}
    for family in range(25):
        names = [f"parents-{family}-{one}" for one in range(chance.choice([2, 3, 4, 5]))]
        for at, name in enumerate(names):
            child = at > 0 and chance.random() < 0.9
            given: Value = {"rule": f"PathPrefix(`/{family}/{at}`)"}
            if child:
                given["parentRefs"] = chance.sample([*names, "none"], chance.choice([1, 1, 1, 2]))
            if not child or chance.random() < 0.05:
                given["entryPoints"] = ["web"]
            if chance.random() < (0.7 if child else 0.1):
                given["service"] = chance.choice(["s", "s", "s", "none", "loadBalancer-0"])
            if child and chance.random() < 0.08:
                given["tls"] = {}
            if child and chance.random() < 0.05:
                given["observability"] = {"metrics": False}
            if chance.random() < 0.1:
                given["middlewares"] = ["none"]
            if chance.random() < 0.05:
                given["rule"] = "Host("
            made[name] = given
    return made


def streams(chance: random.Random, version: str) -> dict[str, dict[str, dict[str, Value]]]:
    """Routers, services and middlewares of tcp and udp. What a rule may be is not tried here."""
    made: dict[str, dict[str, dict[str, Value]]] = {}
    for protocol in ("tcp", "udp"):
        server = {"address": "127.0.0.1:1"}
        found: dict[str, Value] = {"s": {"loadBalancer": {"servers": [server]}}, "no type": {}}
        found["two types"] = {**found["s"], "weighted": {"services": [{"name": "s", "weight": 1}]}}
        found["address"] = {"loadBalancer": {"servers": [{"address": "nowhere"}]}}
        for at in range(8):
            name = chance.choice(["s", "none", "no type", "two types", *(f"weighted-{one}" for one in range(at))])
            found[f"weighted-{at}"] = {"weighted": {"services": [{"name": name, "weight": 1}]}}
        shields: dict[str, Value] = {}
        if protocol == "tcp" and number(version) >= (3, 0, 0):
            for at in range(6):
                transport = {"serversTransport": chance.choice(["none", "t"])}
                servers = {"servers": [server]} if chance.random() < 0.7 else {}
                found[f"transport-{at}"] = {"loadBalancer": {**transport, **servers}}
        if protocol == "tcp":
            for at in range(15):
                kinds = chance.sample(["ipAllowList", "ipWhiteList", "inFlightConn"], chance.choice([1, 1, 2]))
                values: Value = {kind: {"sourceRange": _some(chance, _NETWORKS)} for kind in kinds}
                shields[f"shield-{at}"] = values | (
                    {"inFlightConn": {"amount": -1}} if "inFlightConn" in values else {}
                )
        routers: dict[str, Value] = {f"s {name}": {"service": name} for name in found}
        routers |= {f"m {name}": {"service": "s", "middlewares": [name]} for name in shields}
        routers |= {"none": {"service": "none"}, "no service": {}, "points": {"service": "s", "entryPoints": ["none"]}}
        rule = {"rule": "HostSNI(`*`)"} if protocol == "tcp" else {}
        if protocol == "tcp":
            options = {"none": "none", "strict": "strict", "bad": "bad"}
            routers |= {f"o {name}": {"service": "s", "tls": {"options": name}} for name in options}
            routers["o default"] = {"service": "s", "tls": {}}
        point = "web" if protocol == "tcp" else "datagrams"
        made[protocol] = {
            "routers": {name: {"entryPoints": [point], **rule, **given} for name, given in routers.items()},
            "services": found,
            **(
                {"middlewares": shields, "serversTransports": {"t": {"dialTimeout": "1s"}}} if protocol == "tcp" else {}
            ),
        }
    return made
