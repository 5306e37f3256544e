"""Which values of a middleware Traefik refuses when a router uses it, in its own words.

`pkg/server/middleware/middlewares.go` (types) and the constructors of `pkg/middlewares/*` and `pkg/middlewares/tcp/*`,
read at v2.11.53, v3.0.4, v3.3.7, v3.6.24 and v3.7.9, and tried on 3.0.4, 3.3.6, 3.6.15 and 3.7.15. Those that no value
can make fail (contentType, grpcWeb, passTLSClientCert, replacePath, stripPrefix, encodedCharacters) have no rule here.
"""

from collections.abc import Callable, Iterator, Sequence

from auditlib.traefik.decoding import HIDDEN, Tree
from auditlib.traefik.expressions import CIRCUIT_BREAKER, RETRY, expression_fault
from auditlib.traefik.golang import (
    duration_text,
    integer_fault,
    is_network,
    is_status,
    media_type_fault,
    regexp_fault,
)
from auditlib.traefik.steps import Step, Steps, faults, hidden
from auditlib.traefik.versions import Version

_TWO_TYPES = (
    "cannot create middleware: multi-types middleware not supported, consider declaring two different pieces of "
    "middleware instead"
)


def middleware_steps(name: str, tree: Tree, at: Version, protocol: str = "http") -> Steps:
    """What building a middleware goes through; `name` is its full name."""
    types = [*tree]
    if not types:
        # An empty middleware is none at all, or one of no type.
        fault = f'invalid middleware "{name}" configuration: invalid middleware type or middleware does not exist'
        return (Step("fault", fault),)
    if protocol == "tcp":
        # Of several types the last one in the order of `pkg/server/middleware/tcp` counts.
        order = ("InFlightConn", "IPAllowList", "IPWhiteList") if at < (3, 0, 0) else _TCP_TYPES
        last = max(types, key=lambda type_: order.index(type_) if type_ in order else -1)
        return tuple(_TCP.get(last, _nothing)(tree[last], at))
    if len(types) > 1:
        return (Step("fault", _TWO_TYPES),)
    return tuple(_HTTP.get(types[0], _nothing)(tree[types[0]] or {}, at))


_TCP_TYPES = ("InFlightConn", "IPWhiteList", "IPAllowList")


def _nothing(_tree: Tree, _at: Version) -> Iterator[Step]:
    return iter(())


def _add_prefix(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/addprefix/add_prefix.go`."""
    if not tree.get("Prefix"):
        yield Step("fault", "prefix cannot be empty")


def _basic_auth(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/auth/basic_auth.go`."""
    yield from _users(tree, "BasicUser", 2)
    if not tree.get("Users") and not tree.get("UsersFile"):
        # 2.11.41 to .46, 3.6.11 to .17, 3.7.0 and 3.7.1 panic, and load nothing at all of the configuration.
        if at >= (3, 7, 2) or (3, 6, 18) <= at < (3, 7, 0) or (2, 11, 47) <= at < (3, 0, 0):
            yield Step("fault", "no users found in ")
        elif at >= (3, 7, 0) or (3, 6, 11) <= at < (3, 7, 0) or (2, 11, 41) <= at < (3, 0, 0):
            yield Step("unknown", "cette version de Traefik s’arrête sur un basicAuth sans utilisateur")


def _digest_auth(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/auth/digest_auth.go`."""
    yield from _users(tree, "DigestUser", 3)


def _users(tree: Tree, word: str, parts: int) -> Iterator[Step]:
    """`pkg/middlewares/auth/auth.go`: users are of two or three parts."""
    if tree.get("UsersFile"):
        yield Step("unknown", "le contenu du fichier des utilisateurs")
    for user in tree.get("Users") or ():
        if user == HIDDEN:
            yield Step("unknown", "les utilisateurs, que l’audit n’a pas gardés")
        elif user.count(":") != parts - 1:
            yield Step("fault", f"error parsing {word}: {user}")
            return


def _buffering(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/buffering/buffering.go`, oxy `buffer/options.go`."""
    for kind, field in (
        ("mem", "MemRequestBodyBytes"),
        ("max", "MaxRequestBodyBytes"),
        ("mem", "MemResponseBodyBytes"),
        ("max", "MaxResponseBodyBytes"),
    ):
        if (size := tree.get(field, 0)) < 0:
            yield Step("fault", f"{kind} bytes should be >= 0 got {size}")
            return
    if expression := tree.get("RetryExpression"):
        yield from hidden(expression) if HIDDEN in expression else faults(expression_fault(expression, RETRY))


def _chain(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/chain/chain.go`: built from its end."""
    for name in reversed(tree.get("Middlewares") or ()):
        yield Step("middleware", name)


def _circuit_breaker(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/circuitbreaker/circuit_breaker.go`, oxy `cbreaker/predicates.go`."""
    expression = tree.get("Expression", "")
    yield from hidden(expression) if HIDDEN in expression else faults(expression_fault(expression, CIRCUIT_BREAKER))


def _compress(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/compress/compress.go`."""
    excluded, included = tree.get("ExcludedContentTypes") or (), tree.get("IncludedContentTypes") or ()
    if excluded and included:
        yield Step("fault", "excludedContentTypes and includedContentTypes options are mutually exclusive")
        return
    for word, types in (("excluded", excluded), ("included", included)):
        within = f"parsing {word} media type: " if at >= (3, 0, 0) else ""
        for type_ in types:
            yield from faults(media_type_fault(type_), within)
    if at < (3, 2, 0):
        return
    encodings = tree.get("Encodings") or ()
    if not encodings:
        yield Step("fault", "at least one encoding must be specified")
    for encoding in encodings:
        if encoding not in ("gzip", "br", "zstd"):
            yield Step("fault", f"unsupported encoding: {encoding}")
    default = tree.get("DefaultEncoding")
    if default and default not in encodings:
        yield Step("fault", f"unsupported default encoding: {default}")


def _errors(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/customerrors/custom_errors.go`: the status rewrites (3.4 on) come last."""
    yield from statuses_faults(tree.get("Status") or ())
    yield Step("service", tree.get("Service", ""))
    if at >= (3, 4, 0):
        yield from statuses_faults(tree.get("StatusRewrites") or ())


def statuses_faults(ranges: Sequence[str] | Tree, within: str = "") -> Iterator[Step]:
    """`pkg/types/http_code_range.go`: « 500 » or « 500-599 »; what follows a second « - » is not read."""
    for block in ranges:
        low, *rest = block.split("-")
        for code in (low, rest[0] if rest else low):
            if fault := integer_fault(code):
                yield Step("fault", f"{within}{fault}")
                return


def _forward_auth(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/auth/forward.go`, `pkg/types/tls.go`."""
    if tls := tree.get("TLS"):
        if tls.get("CA"):
            yield Step("unknown", "l’autorité de forwardAuth, un fichier ou un certificat")
        if bool(tls.get("Cert")) is not bool(tls.get("Key")):
            yield Step("fault", "unable to create client TLS configuration: both TLS cert and key must be defined")
        elif tls.get("Cert"):
            yield Step("unknown", "le certificat de forwardAuth, un fichier ou son contenu")
    if expression := tree.get("AuthResponseHeadersRegex"):
        yield from _regexp(expression, f"error compiling regular expression {expression}: ")


def _regexp(expression: str, within: str = "") -> Iterator[Step]:
    yield from hidden(expression) if HIDDEN in expression else faults(regexp_fault(expression), within)


def _headers(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/headers/headers.go`, `pkg/config/dynamic/middlewares.go` (Has…HeadersDefined)."""
    if not any(value or (value == 0 and _zero_counts(field, at)) for field, value in tree.items()):
        yield Step("fault", "headers configuration not valid")
        return
    for expression in tree.get("AccessControlAllowOriginListRegex") or ():
        yield from _regexp(expression, "error occurred during origin parsing: ")


def _zero_counts(field: str, at: Version) -> bool:
    """Whether a number that is said to be 0 is said at all."""
    since_3_7 = {"STSSeconds": (3, 7, 0), "AccessControlMaxAge": (3, 7, 6)}
    since_3_6 = {"STSSeconds": (3, 6, 10), "AccessControlMaxAge": (3, 6, 22)}
    since = since_3_7 if at >= (3, 7, 0) else since_3_6
    return field in since and at >= since[field]


def _ip_allow_list(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/ipallowlist/ip_allowlist.go`."""
    yield from _source_range(tree, "sourceRange is empty, IPAllowLister not created", "cannot parse CIDRs")
    yield from _strategy(tree.get("IPStrategy"), at)


def _ip_white_list(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/ipwhitelist/ip_whitelist.go`."""
    yield from _source_range(tree, "sourceRange is empty, IPWhiteLister not created", "cannot parse CIDR whitelist")
    yield from _strategy(tree.get("IPStrategy"), at)


def _source_range(tree: Tree, empty: str, within: str) -> Iterator[Step]:
    ranges = tree.get("SourceRange") or ()
    if not ranges:
        yield Step("fault", empty)
        return
    code = tree.get("RejectStatusCode", 0)
    if code and not is_status(code):
        yield Step("fault", f"invalid HTTP status code {code}")
    yield from _networks(ranges, f"{within} [{' '.join(ranges)}]: ")


def _networks(ranges: Sequence[str], within: str = "") -> Iterator[Step]:
    """`pkg/ip/checker.go`; the network that could not be read is what Traefik writes: « <nil> »."""
    bad = next((text for text in ranges if not is_network(text)), None)
    if bad is not None:
        yield from faults(f"{within}parsing CIDR trusted IPs <nil>: invalid CIDR address: {bad}")


def _strategy(tree: Tree | None, at: Version, within: str = "") -> Iterator[Step]:
    """`pkg/config/dynamic/middlewares.go`, IPStrategy.Get: the depth comes before the networks."""
    if tree is None:
        return
    if tree.get("Depth", 0) <= 0 and tree.get("ExcludedIPs"):
        yield from _networks(tree["ExcludedIPs"], within)
        return
    length = tree.get("IPv6Subnet")
    if at >= (3, 2, 0) and length is not None and not 0 < length <= 128:
        fault = f"invalid IPv6 subnet {length} value, should be greater to 0 and lower or equal to 128"
        yield Step("fault", within + fault)


def _in_flight(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/inflightreq/inflight_req.go`."""
    yield from _source(tree.get("SourceCriterion"), at, "error creating requests limiter: ")


def _source(tree: Tree | None, at: Version, within: str) -> Iterator[Step]:
    """`pkg/middlewares/extractor.go`: a limit counts by one criterion."""
    tree = tree or {}
    address, header, host = tree.get("IPStrategy") is not None, tree.get("RequestHeaderName"), tree.get("RequestHost")
    pairs = {
        "iPStrategy and RequestHeaderName": address and header,
        "iPStrategy and RequestHost": address and host,
        "requestHost and RequestHeaderName": header and host,
    }
    if pair := next((words for words, both in pairs.items() if both), None):
        yield Step("fault", f"{within}{pair} are mutually exclusive")
        return
    yield from _strategy(tree.get("IPStrategy"), at, within)


def _rate_limit(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/ratelimiter/rate_limiter.go`."""
    yield from _source(tree.get("SourceCriterion"), at, "getting source extractor: " if at >= (3, 4, 0) else "")
    if (period := tree.get("Period", 0)) < 0:
        yield Step("fault", f"negative value not valid for period: {duration_text(period)}")
    if (tree.get("Redis") or {}).get("TLS"):
        yield Step("unknown", "les certificats de Redis")


def _redirect_regex(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/redirect/redirect.go`."""
    yield from _regexp(tree.get("Regex", ""))


def _redirect_scheme(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/redirect/redirect_scheme.go`."""
    if not tree.get("Scheme"):
        yield Step("fault", "you must provide a target scheme")


def _replace_path_regex(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/replacepathregex/replace_path_regex.go`."""
    expression = tree.get("Regex", "")
    yield from _regexp(expression.strip(), f"error compiling regular expression {expression}: ")


def _retry(tree: Tree, at: Version) -> Iterator[Step]:
    """`pkg/middlewares/retry/retry.go`; the statuses since 3.7."""
    statuses = (tree.get("Status") or ()) if at >= (3, 7, 0) else ()
    if tree.get("DisableRetryOnNetworkError") and not statuses:
        yield Step("fault", "retry middleware requires at least HTTP status codes or retry on TCP")
    if (attempts := tree.get("Attempts", 0)) <= 0:
        yield Step("fault", f"incorrect (or empty) value for attempt ({attempts})")
    yield from statuses_faults(statuses, "creating HTTP code ranges: ")


def _strip_prefix_regex(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/middlewares/stripprefixregex/strip_prefix_regex.go`."""
    for expression in tree.get("Regex") or ():
        yield from _regexp(expression.strip())


def _plugin(tree: Tree, _at: Version) -> Iterator[Step]:
    """`pkg/server/middleware/plugins.go`: one plugin, of those that the static configuration declares."""
    if len(tree) != 1:
        yield Step("fault", "plugin: invalid configuration: no configuration or too many plugin definition")
    else:
        yield Step("plugin", next(iter(tree)))


_HTTP: dict[str, Callable[[Tree, Version], Iterator[Step]]] = {
    "AddPrefix": _add_prefix,
    "BasicAuth": _basic_auth,
    "Buffering": _buffering,
    "Chain": _chain,
    "CircuitBreaker": _circuit_breaker,
    "Compress": _compress,
    "DigestAuth": _digest_auth,
    "Errors": _errors,
    "ForwardAuth": _forward_auth,
    "Headers": _headers,
    "InFlightReq": _in_flight,
    "IPAllowList": _ip_allow_list,
    "IPWhiteList": _ip_white_list,
    "Plugin": _plugin,
    "RateLimit": _rate_limit,
    "RedirectRegex": _redirect_regex,
    "RedirectScheme": _redirect_scheme,
    "ReplacePathRegex": _replace_path_regex,
    "Retry": _retry,
    "StripPrefixRegex": _strip_prefix_regex,
}
_TCP: dict[str, Callable[[Tree, Version], Iterator[Step]]] = {
    "IPAllowList": _ip_allow_list,
    "IPWhiteList": _ip_white_list,
}
