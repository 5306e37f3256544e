"""Which services and TLS options Traefik refuses when a router uses them, in its own words.

`pkg/server/service/service.go`, `pkg/server/service/{tcp,udp}/service.go`, `pkg/proxy/httputil` and
`pkg/tls/tlsmanager.go`, read at v2.11.53, v3.0.4, v3.3.7, v3.6.24 and v3.7.9, and tried on 3.0.4, 3.3.6, 3.6.15 and
3.7.15.
"""

from collections.abc import Iterable, Iterator

from auditlib.traefik.decoding import HIDDEN, Tree, quoted
from auditlib.traefik.golang import url_fault
from auditlib.traefik.middlewares import statuses_faults
from auditlib.traefik.steps import Step, Steps, faults, hidden
from auditlib.traefik.versions import Version

_TWO_TYPES = (
    "cannot create service: multi-types service not supported, consider declaring two different pieces of service "
    "instead"
)
_STRATEGIES = ("wrr", "p2c", "hrw", "leasttime")


def service_steps(name: str, tree: Tree, at: Version, protocol: str = "http") -> Steps:
    """What building a service goes through; `name` is its full name."""
    # The middlewares of a service (3.7) are no type.
    types = [type_ for type_ in tree if type_ != "Middlewares"]
    if len(types) > 1:
        return (Step("fault", _TWO_TYPES),)
    if not types:
        noun = "UDP service" if protocol == "udp" else "service"
        return (Step("fault", f"the {noun} {quoted(name)} does not have any type defined"),)
    body = tree[types[0]] or {}
    if protocol != "http":
        return tuple(_apart(types[0], body, at, protocol))
    steps = {
        "LoadBalancer": _load_balancer,
        "Weighted": _weighted,
        "HighestRandomWeight": _highest_random_weight,
        "Mirroring": _mirroring,
        "Failover": _failover,
    }[types[0]](name, body, at)
    # The chain of a service is built from its end, as that of a router is.
    return (*steps, *(Step("middleware", one) for one in reversed(tree.get("Middlewares") or ())))


def balancer_kind(tree: Tree, at: Version) -> str | None:
    """How Traefik names a service that does not tell its health; None when it tells it."""
    type_ = next((type_ for type_ in tree if type_ != "Middlewares"), "")
    body = tree.get(type_) or {}
    if "HealthCheck" in body:
        return None
    if type_ == "LoadBalancer" and at < (3, 0, 0):
        return "loadbalancer"
    weighted = "WRR" if at >= (3, 6, 0) else "weighted"
    strategies = {"p2c": "P2C", "hrw": "HRW", "leasttime": "LeastTime"}
    return {
        "LoadBalancer": strategies.get(body.get("Strategy") or "", weighted),
        "HighestRandomWeight": "HRW",
        "Mirroring": "mirroring",
        "Failover": "failover",
    }.get(type_, weighted)


def _load_balancer(_name: str, body: Tree, at: Version) -> Iterator[Step]:
    transport = body.get("ServersTransport") or ""
    strategy = body.get("Strategy") or "wrr"
    if at < (3, 2, 0):
        yield Step("transport", transport)
    elif at >= (3, 4, 0) and strategy not in _STRATEGIES:
        yield Step("fault", f"unsupported load-balancer strategy {quoted(strategy)}")
    for server in body.get("Servers") or ():
        yield from server_steps(server.get("URL") or "", transport, at)
    if "HealthCheck" in body and at >= (3, 2, 0):
        yield Step("prober", transport)


def server_steps(url: str, transport: str, at: Version) -> Iterator[Step]:
    """What building one server goes through."""
    yield from hidden(url) if HIDDEN in url else faults(url_fault(url, at), f"error parsing server URL {url}: ")
    if at >= (3, 2, 0) and transport:
        yield Step("proxy", f"{transport} {url}")


def _weighted(_name: str, body: Tree, at: Version) -> Iterator[Step]:
    yield from _children(body, "child" if at >= (3, 6, 0) else "service")


def _highest_random_weight(_name: str, body: Tree, _at: Version) -> Iterator[Step]:
    yield from _children(body, "service")


def _children(body: Tree, kind: str) -> Iterator[Step]:
    for child in body.get("Services") or ():
        yield Step("child" if kind == "child" else "service", child.get("Name") or "")
        if "HealthCheck" in body:
            yield Step("updater", child.get("Name") or "")


def _mirroring(_name: str, body: Tree, _at: Version) -> Iterator[Step]:
    yield Step("service", body.get("Service") or "")
    for mirror in body.get("Mirrors") or ():
        yield Step("service", mirror.get("Name") or "")
        if not 0 <= mirror.get("Percent", 0) <= 100:
            yield Step("fault", "percent must be between 0 and 100")


def _failover(name: str, body: Tree, at: Version) -> Iterator[Step]:
    statuses = (body.get("Errors") or {}).get("Status") or ()
    yield Step("service", body.get("Service") or "")
    if statuses and at >= (3, 7, 0):
        yield from statuses_faults(statuses, f"error creating failover service {name}: creating HTTP code ranges: ")
    else:
        yield Step("updater", body.get("Service") or "")
    yield Step("service", body.get("Fallback") or "")
    if "HealthCheck" in body:
        yield Step("updater", body.get("Fallback") or "")


def _apart(type_: str, body: Tree, at: Version, protocol: str) -> Iterator[Step]:
    """Services of tcp and udp. A server whose address is wrong is left out, and nothing is said of it."""
    if type_ == "Weighted":
        yield from _children(body, "service")
    elif protocol == "tcp" and at >= (3, 0, 0) and body.get("Servers"):
        yield Step("transport", body.get("ServersTransport") or "")


# The names that `crypto/tls` knows.
_SUITES = {
    *(f"TLS_RSA_WITH_{end}" for end in ("RC4_128_SHA", "3DES_EDE_CBC_SHA", "AES_128_CBC_SHA", "AES_256_CBC_SHA")),
    *(f"TLS_RSA_WITH_AES_{end}" for end in ("128_CBC_SHA256", "128_GCM_SHA256", "256_GCM_SHA384")),
    *(
        f"TLS_ECDHE_{key}_WITH_{end}"
        for key in ("ECDSA", "RSA")
        for end in (
            "RC4_128_SHA",
            "AES_128_CBC_SHA",
            "AES_256_CBC_SHA",
            "AES_128_CBC_SHA256",
            "AES_128_GCM_SHA256",
            "AES_256_GCM_SHA384",
            "CHACHA20_POLY1305",
            "CHACHA20_POLY1305_SHA256",
        )
    ),
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_FALLBACK_SCSV",
}
_CURVES = {"secp256r1", "CurveP256", "secp384r1", "CurveP384", "secp521r1", "CurveP521", "x25519", "X25519"}
_CURVES_3_5 = {"x25519mlkem768", "X25519MLKEM768"}
_CURVES_3_7_7 = {"secp256r1mlkem768", "SecP256r1MLKEM768", "secp384r1mlkem1024", "SecP384r1MLKEM1024"}
_CLIENTS = ("NoClientCert", "RequestClientCert", "RequireAnyClientCert")
_CLIENTS_CHECKED = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")


def tls_options_steps(tree: Tree, at: Version) -> Steps:
    """What building TLS options goes through. A version that does not exist is taken for none, silently."""
    return tuple(_tls_options(tree, at))


def _tls_options(tree: Tree, at: Version) -> Iterator[Step]:
    authentication = tree.get("ClientAuth") or {}
    if authentication.get("CAFiles"):
        yield Step("unknown", "les autorités des clients, des fichiers ou des certificats")
    kind = authentication.get("ClientAuthType") or "NoClientCert"
    if kind in _CLIENTS_CHECKED and not authentication.get("CAFiles"):
        yield _tls_fault(f"invalid clientAuthType: {kind}, CAFiles is required")
    if kind not in (*_CLIENTS, *_CLIENTS_CHECKED):
        yield _tls_fault(f"unknown client auth type {quoted(kind)}")
    yield from _unknown_name(tree.get("CipherSuites"), _SUITES, "invalid CipherSuite")
    newer = (_CURVES_3_5 if at >= (3, 5, 0) else set()) | (_CURVES_3_7_7 if at >= (3, 7, 7) else set())
    yield from _unknown_name(tree.get("CurvePreferences"), _CURVES | newer, "invalid CurveID in curvePreferences")


def _unknown_name(names: Iterable[str] | None, known: set[str], words: str) -> Iterator[Step]:
    bad = next((name for name in names or () if name not in known), None)
    if bad is not None:
        yield _tls_fault(f"{words}: {bad}")


def _tls_fault(words: str) -> Step:
    return Step("fault", f"building TLS config: {words}")
