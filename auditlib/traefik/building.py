"""What Traefik finds when it builds what a router uses (`pkg/server/service`, `pkg/server/middleware`).

Services and middlewares are built where they are used, in Traefik's order; what is found of each is kept, as its API
keeps it. What cannot be told from what is known here is said to be so, and is never taken for sound.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from auditlib.traefik.decoding import quoted
from auditlib.traefik.steps import Step, Steps
from auditlib.traefik.versions import Version

# The Go types of internal services, which Traefik writes when it wants them to tell their health.
_INTERNAL_TYPES = {"api": "*mux.Router", "dashboard": "dashboard.Handler", "noop": "http.HandlerFunc"}
# Deeper than any chain that a person wrote.
_MAX_DEPTH = 100


@dataclass(frozen=True)
class Part:
    """A service, a middleware or TLS options: the steps of its building, None when they are not known.

    `silent`: how Traefik names a service that does not tell its health; None: it tells it.
    """

    steps: Steps | None
    silent: str | None = None


@dataclass(frozen=True)
class References:
    """What the routers of one protocol may refer to, by full names; None: nothing is known of it.

    `providers`: those of which all is known, None for all of them. `plugins`: the plugins that the static
    configuration declares; `internal`: why internal services are not there, by name, "" for those that are.
    """

    services: Mapping[str, Part] | None = None
    middlewares: Mapping[str, Part] | None = None
    tls_options: Mapping[str, Part] | None = None
    transports: Collection[str] | None = None
    providers: Collection[str] | None = None
    plugins: Collection[str] | None = ()
    internal: Mapping[str, str] | None = None

    def missing(self, name: str, known: Collection[str] | None) -> bool | None:
        """Whether a name stands for nothing; None when this is not known."""
        if known is not None and name in known:
            return False
        elsewhere = self.providers is not None and name.rpartition("@")[2] not in self.providers
        return None if known is None or elsewhere else True


def sound(names: Iterable[str]) -> dict[str, Part]:
    """Objects that nothing is wrong with."""
    return dict.fromkeys(names, Part(()))


class Built(NamedTuple):
    """How a building ended: Traefik's error, if any, and whether all of it was known."""

    fault: str | None = None
    sure: bool = True


@dataclass
class Finding:
    """What was found of one object: its errors, whether one of them disables it, whether all was known."""

    errors: list[str] = field(default_factory=list)
    disabled: bool = False
    sure: bool = True

    def add(self, error: str, *, critical: bool) -> None:
        """Add an error, once."""
        if error not in self.errors:
            self.errors.append(error)
            self.disabled = self.disabled or critical

    @property
    def status(self) -> str | None:
        """The status that the API shows; None when it is not known."""
        if self.disabled:
            return "disabled"
        if not self.sure:
            return None
        return "warning" if self.errors else "enabled"


def qualified(reference: str, owner: str) -> str:
    """A reference without provider is to the provider of the one who refers."""
    # Traefik takes the second part of the owner's name for its provider, even of « a@file@docker ».
    return reference if "@" in reference else f"{reference}@{owner.split('@')[1]}"


Stack = tuple[str, ...]


class Builder:
    """Builds the services and middlewares of one protocol, and keeps what it finds of them."""

    def __init__(self, references: References, version: Version, protocol: str = "http") -> None:
        self.references = references
        self.version = version
        self.protocol = protocol
        self.services: dict[str, Finding] = {}
        self.middlewares: dict[str, Finding] = {}
        # What was built once is not built again, but for what failed.
        self.done: dict[str, Built] = {}
        # One stack since both have the same guard; before, services had none.
        shared = version >= (3, 6, 8) or (2, 11, 36) <= version < (3, 0, 0)
        self.guarded = shared and protocol == "http"

    def service(self, name: str, stack: Stack = (), *, nested: bool = False) -> Built:
        """Build a service, by its full name."""
        noun = "UDP service" if self.protocol == "udp" else "service"
        if name.endswith("@internal") and self.protocol == "http":
            return self._internal(name, nested=nested)
        missing = self.references.missing(name, self.references.services)
        if missing:
            return Built(f"the {noun} {quoted(name)} does not exist")
        part = (self.references.services or {}).get(name)
        if missing is None or part is None or part.steps is None:
            return Built(sure=False)
        finding = self.services.setdefault(name, Finding())
        if finding.disabled and self.protocol == "http" and self.version >= (3, 0, 0):
            # A service that failed is not built again: its errors are said together.
            return Built(", ".join(finding.errors))
        entry = f"service:{name}"
        if entry in stack:
            built = Built(self._recursion("service", name, stack, entry)) if self.guarded else Built(sure=False)
        else:
            built = self._steps(name, part.steps, (*stack, entry))
        finding.sure = finding.sure and built.sure
        if built.fault and self._keeps(part.steps):
            finding.add(built.fault, critical=True)
        return built

    def _keeps(self, steps: Steps) -> bool:
        """Whether the API says of a service what is wrong with it, and not of the router only."""
        if self.protocol == "http" or (steps and steps[0].kind == "fault"):
            return True
        # Seen of 3.7.10 and 3.7.12: since then services of tcp and udp tell what is wrong with their parts.
        return bool(steps) and steps[0].kind == "service" and self.version >= (3, 7, 12)

    def chain(self, names: Collection[str], stack: Stack = ()) -> Built:
        """Build middlewares, by their full names: from the last to the first."""
        sure = True
        for name in reversed([*names]):
            built = self.middleware(name, stack)
            sure = sure and built.sure
            if built.fault:
                return Built(built.fault, sure)
        return Built(sure=sure)

    def middleware(self, name: str, stack: Stack = ()) -> Built:
        """Build a middleware, by its full name."""
        missing = self.references.missing(name, self.references.middlewares)
        if missing:
            return Built(f"middleware {quoted(name)} does not exist")
        part = (self.references.middlewares or {}).get(name)
        if missing is None or part is None or part.steps is None:
            return Built(sure=False)
        finding = self.middlewares.setdefault(name, Finding())
        entry = f"middleware:{name}"
        if entry in stack:
            built = Built(self._recursion("middleware", name, stack, entry))
        else:
            built = self._steps(name, part.steps, (*stack, entry))
        finding.sure = finding.sure and built.sure
        if built.fault:
            finding.add(built.fault, critical=True)
        return built

    def tls_options(self, name: str) -> Built:
        """Build TLS options, by their full name."""
        known = self.references.tls_options
        if name == "default" and known is not None and name not in known:
            return Built()
        missing = self.references.missing(name, known)
        if missing:
            return Built(f"unknown TLS options: {name}")
        part = (known or {}).get(name)
        if missing is None or part is None or part.steps is None:
            return Built(sure=name == "default" and known is None)
        return self._steps(name, part.steps, ())

    def _internal(self, name: str, *, nested: bool) -> Built:
        """Services of Traefik itself (`pkg/server/service/internalhandler.go`)."""
        if nested and (self.version < (2, 11, 14) or (3, 0, 0) <= self.version < (3, 2, 1)):
            # These versions know them only from a router or a middleware.
            return Built(f"the service {quoted(name)} does not have any type defined")
        if self.references.internal is None:
            return Built(sure=False)
        fault = self.references.internal.get(name, f"unknown internal service {name}")
        return Built(fault or None)

    def _recursion(self, kind: str, name: str, stack: Stack, entry: str) -> str:
        passed = [*stack, entry]
        if not self.guarded:
            passed = [one.removeprefix("middleware:") for one in passed if one.startswith("middleware:")]
        return f"could not instantiate {kind} {name}: recursion detected in {'->'.join(passed)}"

    def _steps(self, name: str, steps: Steps, stack: Stack) -> Built:
        key = stack[-1] if stack else ""
        if key in self.done:
            return self.done[key]
        if len(stack) > _MAX_DEPTH:
            return Built(sure=False)
        sure = True
        for step in steps:
            built = self._step(name, step, stack)
            sure = sure and built.sure
            if built.fault:
                return Built(built.fault, sure)
        if key:
            self.done[key] = Built(sure=sure)
        return Built(sure=sure)

    def _step(self, owner: str, step: Step, stack: Stack) -> Built:
        match step.kind:
            case "fault":
                return Built(step.value)
            case "middleware":
                return self.middleware(qualified(step.value, owner), stack)
            case "service" | "child":
                of_service = bool(stack) and stack[-1].startswith("service:")
                built = self.service(qualified(step.value, owner), stack, nested=of_service)
                if built.fault and step.kind == "child":
                    return Built(f"building HTTP service {quoted(step.value)}: {built.fault}", built.sure)
                return built
            case "updater":
                return self._updater(owner, step.value)
            case "transport" | "proxy" | "prober":
                return self._transport(owner, step)
            case "plugin":
                known = self.references.plugins
                unknown = known is not None and step.value not in known
                return Built(f"plugin: unknown plugin type: {step.value}") if unknown else Built(sure=False)
        return Built(sure=False)

    def _updater(self, owner: str, name: str) -> Built:
        full = qualified(name, owner)
        part = (self.references.services or {}).get(full)
        if full.endswith("@internal"):
            kind = _INTERNAL_TYPES.get(full.partition("@")[0], "…")
            return Built(f"child service {name} of {owner} not a healthcheck.StatusUpdater ({kind})")
        if part is None or part.silent is None:
            return Built()
        reason = f"healthCheck not enabled in config for this {part.silent} service"
        return Built(f"cannot register {name} as updater for {owner}: {reason}")

    def _transport(self, owner: str, step: Step) -> Built:
        reference, _, url = step.value.partition(" ")
        if not reference:
            return Built()
        name = qualified(reference, owner)
        missing = self.references.missing(name, self.references.transports)
        if not missing:
            return Built(sure=missing is not None)
        if self.protocol == "tcp":
            new = self.version >= (3, 5, 2)
            return Built(
                f"no transport configuration found for {quoted(name)}" if new else f"TCP dialer not found {name}"
            )
        words = f"servers transport not found {name}"
        if step.kind == "proxy":
            words = f"error building proxy for server URL {url}: getting RoundTripper: {words}"
        elif step.kind == "prober":
            words = f"getting RoundTripper: {words}"
        return Built(words)
