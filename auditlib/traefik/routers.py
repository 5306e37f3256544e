"""Entry points and routers as the muxer takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from auditlib.traefik.requests import Handling
from auditlib.traefik.tcp_rules import is_catch_all

MAX_USER_PRIORITY = 2**63 - 1 - 1000
# Traefik says « disabled » of such a parent, and its children are served all the same.
STILL_SERVES = "router has both a service and is referenced as a parent by other routers"


@dataclass(frozen=True)
class EntryPoint:
    """One entry point: its name, and how it handles requests.

    `default`: it gets the routers that name no entry point; `tls`: its routers serve TLS unless they say how.
    """

    name: str
    handling: Handling = field(default_factory=Handling)
    default: bool = True
    tls: bool = False


@dataclass(frozen=True)
class Router:
    """One router. `entrypoints` are the effective ones, `tls` whether it serves TLS connections.

    `priority` None or 0: the length of the rule in bytes, -1 for the TCP rule that takes all. `parents`: it is then
    reached only through them.
    `options`: its TLS options, by their full name. `protocol`: http or tcp. `serves`: it is in the muxer; one that
    Traefik could not build is not, but its hosts choose TLS options all the same.
    """

    name: str
    rule: str
    entrypoints: tuple[str, ...] = ()
    tls: bool = False
    priority: int | None = None
    syntax: str | None = None
    parents: tuple[str, ...] = ()
    options: str = "default"
    protocol: str = "http"
    serves: bool = True

    @property
    def rank(self) -> int:
        """The priority that Traefik sorts by: an exact integer, which never passes through a float."""
        if not self.priority and self.protocol == "tcp" and is_catch_all(self.rule):
            return -1
        return self.priority or len(self.rule.encode("utf-8", "surrogatepass"))

    @property
    def provider(self) -> str:
        """What follows the @ of its name."""
        return self.name.rpartition("@")[2]

    def order(self, precedence: Sequence[str]) -> tuple[int, int]:
        """What Traefik sorts routers by: priority, then the place of the provider in `providers.precedence`.

        A provider that is not listed comes after those that are, and one that is listed twice counts where it is last.
        """
        parts = self.name.split("@")
        provider = parts[1] if len(parts) == 2 else ""
        places = [at for at, name in enumerate(precedence) if name == provider]
        return -self.rank, max(places, default=len(precedence))
