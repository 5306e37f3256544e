"""Random dynamic configurations: middlewares, services, TLS options and routers, sound ones and others.

An object's name begins with its family: « basicAuth-7 ».
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from auditlib.traefik.fields import version as version_of
from auditlib.traefik.files import FileError, decode_file
from auditlib.traefik.versions import Version, number
from tests.live.values import MIDDLEWARES, NETWORKS, STATUSES, URLS, Value, retry_3_7, some
from tests.traefik.predictions import written


def middlewares(chance: random.Random, version: str, each: int) -> dict[str, Value]:
    """Middlewares of all types that a version knows, and a few of two types."""
    made: dict[str, Value] = {"ok": {"addPrefix": {"prefix": "/x"}}}
    for family, make in MIDDLEWARES.items():
        for at in range(each):
            made[f"{family}-{at}"] = {family: make(chance)}
    for at in range(each):
        pair = chance.sample([*MIDDLEWARES], 2)
        made[f"two types-{at}"] = {one: MIDDLEWARES[one](chance) for one in pair}
        made[f"retry by status-{at}"] = {"retry": retry_3_7(chance)}
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
            "errors": {"status": ["500"], "service": "s", "statusRewrites": {chance.choice(STATUSES) or "1": 404}}
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
        made[f"loadBalancer-{at}"] = {"loadBalancer": {"servers": [{"url": chance.choice(URLS)}]}}
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
        errors = {"errors": {"status": some(chance, STATUSES)}}
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
            "cipherSuites": some(chance, ("TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "FOO"))
        },
        lambda: {
            "curvePreferences": some(chance, ("X25519", "secp521r1", "x25519mlkem768", "secp256r1mlkem768", "P1"))
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
                values: Value = {kind: {"sourceRange": some(chance, NETWORKS)} for kind in kinds}
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
