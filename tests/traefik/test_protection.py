"""What a middleware protects, by its type and by its name; what a chain holds."""

import pytest

from auditlib.traefik.protection import expanded, protection


@pytest.mark.parametrize(
    ("name", "type_", "protects"),
    [
        ("login@file", "basicAuth", "authentication"),
        ("login@file", "basicauth", "authentication"),
        ("login@file", "digestAuth", "authentication"),
        ("authelia@docker", "forwardAuth", "authentication"),
        ("visitors@docker", "forwardAuth", "authentication"),
        ("corporate-sso@file", "forwardAuth", "authentication"),
        ("crowdsec-bouncer@docker", "forwardAuth", "intrusion"),
        ("crowdsec-auth@docker", "forwardAuth", "intrusion"),
        ("geo@file", "forwardAuth", "filter"),
        ("oidc@file", "plugin", "authentication"),
        ("limited-auth@file", "plugin", "authentication"),
        ("crowdsec@file", "plugin", "intrusion"),
        ("geoblock@file", "plugin", "filter"),
        ("my-ratelimit@file", "plugin", "rate"),
        ("secure-headers@file", "plugin", "headers"),
        ("corporate@file", "plugin", "unknown"),
        ("sablier@auth", "plugin", "unknown"),
        ("crowdsec", "plugin", "intrusion"),
        ("auth@file", "ipAllowList", "filter"),
        ("auth@file", "ipWhiteList", "filter"),
        ("auth@file", "rateLimit", "rate"),
        ("auth@file", "inFlightReq", "rate"),
        ("auth@file", "headers", "headers"),
        ("auth@file", "compress", None),
        ("auth@file", None, None),
    ],
)
def test_what_a_middleware_protects(name: str, type_: str | None, protects: str | None) -> None:
    assert protection(name, type_) == protects


def test_chains_are_replaced_by_what_they_hold_in_order() -> None:
    chains = {"all": ["first", "inner", "all"], "inner": ["second", "missing"], "last": None, "empty": []}
    assert expanded(["all", "last", "first", "empty"], chains) == ["first", "second", "missing", "last", "empty"]
