"""Entry points and routers as the muxer takes them."""

from dataclasses import dataclass, field

from auditlib.traefik.requests import Handling

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

    `priority` None or 0: the length of the rule in bytes. `parents`: it is then reached only through them.
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
        return self.priority or len(self.rule.encode("utf-8", "surrogatepass"))

    @property
    def provider(self) -> str:
        """What follows the @ of its name."""
        return self.name.rpartition("@")[2]
