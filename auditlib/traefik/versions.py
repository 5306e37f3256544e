"""What each version of Traefik does with a request before and while it routes it: one table, one place.

Read in the sources of every tag from v2.11.0 to v3.7.9, and checked on the real programs up to 3.7.15.
"""

import re
from dataclasses import dataclass
from typing import Literal

Version = tuple[int, int, int]

# Beyond any version that exists: an unknown one is taken for the newest.
_NEWEST: Version = (99, 0, 0)


@dataclass(frozen=True)
class Features:
    """What one version does. `encoded` says where it refuses %2F and its kin when the entry point does not say.

    `muxer_v2`: gorilla's muxer, its rules and its 405. `sanitizes`: «//», «/./» and «/../» are collapsed.
    `normalizes`: useless percent-encoding is undone. `routing_path`: reserved characters stay encoded in the path
    that rules see. `wildcards`: «*.d» in Host; `star`: «*» in Host. `underscores`: they may stand in HostSNI.
    `negated_names`: what a negated Host or HostSNI names counts among the names of a rule. `parents`: routers may have
    parents.
    `options_of_router`: 421 is said by the router that a request reaches, not by the host it asks for.
    `strips_connection`: the headers that Connection names, and itself, are gone before rules are tried.
    `strips_prefix`: X-Forwarded-Prefix is a header that only trusted addresses may send; `strips_variants`: so are
    those that are written with an underscore; `protects`: Connection cannot name one of these, whatever its case.
    `splits`: a router on several entry points becomes one router for each, even where nothing asks for it.
    `allows_unsaid`: of the encoded characters of an entry point that says some, the others are allowed.
    """

    version: Version
    muxer_v2: bool
    sanitizes: bool
    normalizes: bool
    routing_path: bool
    wildcards: bool
    star: bool
    underscores: bool
    negated_names: bool
    parents: bool
    options_of_router: bool
    strips_connection: bool
    strips_prefix: bool
    strips_variants: bool
    protects: bool
    splits: bool
    allows_unsaid: bool
    encoded: Literal["accepted", "refused", "refused by the router"]


def number(version: str | None) -> Version:
    """The three numbers of a version as Traefik writes it (v3.7.0-rc.1, 3.6, dev); the newest when it has none."""
    found = re.match(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?", version or "")
    return (int(found[1]), int(found[2] or 0), int(found[3] or 0)) if found else _NEWEST


def features(version: str | None) -> Features:
    """What a version does."""
    at = number(version)
    v2 = at[0] < 3
    return Features(
        version=at,
        muxer_v2=v2,
        sanitizes=at >= ((2, 11, 23) if v2 else (3, 3, 6)),
        normalizes=at >= ((2, 11, 25) if v2 else (3, 4, 1)),
        # v2 has it, but its path matchers stand in sub-routers that do not look at it.
        routing_path=at >= (3, 4, 1),
        wildcards=at >= (3, 7, 0),
        star=at >= (3, 7, 7),
        underscores=at >= ((2, 11, 22) if v2 else (3, 3, 5)),
        # Seen on the programs 3.7.12 and 3.7.13, whose sources were not to be read.
        negated_names=at < (3, 7, 13),
        parents=at >= (3, 6, 0),
        options_of_router=at >= (3, 7, 2) or (3, 6, 18) <= at < (3, 7, 0) or (2, 11, 47) <= at < (3, 0, 0),
        strips_connection=at >= (3, 1, 3) or (2, 11, 9) <= at < (3, 0, 0),
        strips_prefix=at >= ((2, 11, 14) if v2 else (3, 2, 1)),
        strips_variants=at >= ((2, 11, 43) if v2 else (3, 6, 14)),
        protects=at >= ((2, 11, 38) if v2 else (3, 6, 9)),
        splits=(3, 3, 0) <= at <= (3, 3, 2),
        allows_unsaid=at >= ((2, 11, 35) if v2 else (3, 6, 7)),
        encoded=_encoded(at),
    )


def _encoded(at: Version) -> Literal["accepted", "refused", "refused by the router"]:
    if at == (2, 11, 32) or (3, 6, 3) <= at <= (3, 6, 4):
        return "refused"
    if (2, 11, 33) <= at <= (2, 11, 34) or (3, 6, 5) <= at <= (3, 6, 6):
        return "refused by the router"
    return "accepted"
