"""Labels that look like Traefik's and are not: what is wrong with each, and how it should be written.

A spelling is only proposed when Traefik's own decoder takes it.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from auditlib.traefik.decoding import HIDDEN, DecodingError, decode_labels, docker_options, json_name
from auditlib.traefik.fields import Version, extra, structures

_DECODED = ("traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default")
_SECTIONS = ("http", "tcp", "udp", "tls", "docker", "enable")
# Labels of Traefik 1, and those of 3 that say the same.
_OLD = {
    "port": "traefik.http.services.{name}.loadbalancer.server.port",
    "protocol": "traefik.http.services.{name}.loadbalancer.server.scheme",
    "frontend.rule": "traefik.http.routers.{name}.rule",
    "frontend.entrypoints": "traefik.http.routers.{name}.entrypoints",
    "frontend.priority": "traefik.http.routers.{name}.priority",
    "backend": "traefik.http.routers.{name}.service",
}
# Words by which people choose among several Traefiks; and those of the Swarm provider.
_CHOICES = re.compile(r"traefik\.(?:constraint|tags$|swarm\.)")
_SWITCH = re.compile(r"traefik\.(?:http|tcp)\.routers\.[^.]+\.tls", re.IGNORECASE)
_YES = frozenset({"yes", "y", "on", "oui", "enabled", "1", "t"})


@dataclass(frozen=True)
class Fault:
    """A label that Traefik does not understand: as it is shown, why in French, and how it should be written."""

    label: str
    shown: str
    said: str
    proposal: str | None
    drops: bool  # Traefik drops the whole container for it


def faults(labels: Mapping[str, str | None], version: Version) -> Iterator[Fault]:
    """The labels of one container that look like Traefik's and that it ignores, or stumbles on."""
    for label in sorted(labels):
        value = HIDDEN if labels[label] is None else labels[label] or ""
        lower = label.lower()
        if lower.startswith(("traefik.enable", "traefik.docker.")):
            yield from _decoded(label, value, version, lambda key, text: docker_options({key: text}, version))
        elif lower.startswith(_DECODED):
            found = list(_decoded(label, value, version, lambda key, text: decode_labels({key: text}, version)))
            yield from found or _switch(label, value, labels)
        else:
            yield from _ignored(label, lower)


def _decoded(label: str, value: str, version: Version, decode: Callable[[str, str], object]) -> Iterator[Fault]:
    """The fault of a label that Traefik decodes, if it cannot."""

    def takes(key: str, text: str) -> bool:
        try:
            decode(key, text)
        except DecodingError:
            return False
        return True

    try:
        decode(label, value)
    except DecodingError as error:
        shown, proposal = label, None
        # What Go's strconv refuses is the value: the name is right.
        if not str(error).startswith("strconv"):
            proposal = next((key for key in _spellings(label, version) if takes(key, value)), None)
        elif value.lower() in _YES and takes(label, "true"):
            shown, proposal = f"{label}={value}", f"{label}=true"
        yield Fault(label, shown, str(error), proposal, drops=True)


def _spellings(label: str, version: Version) -> Iterator[str]:
    """Other ways to write a label, the closest first."""
    parts = [part.strip() for part in label.split(".") if part.strip()]
    parts[0] = parts[0].lower()
    names = _names(version)
    yield ".".join(parts)
    for at in range(1, len(parts)):
        for name in difflib.get_close_matches(parts[at].lower(), names, n=5, cutoff=0.7):
            yield ".".join([*parts[:at], names[name], *parts[at + 1 :]])
    # A name with a dot in it, with a field after it.
    for at in range(4, len(parts) - 1):
        yield ".".join([*parts[: at - 1], f"{parts[at - 1]}-{parts[at]}", *parts[at + 1 :]])


@cache
def _names(version: Version) -> dict[str, str]:
    """The names of fields as people write them, by their lower case."""
    every = [one for fields in (*structures(version).values(), *extra(version).values()) for one in fields]
    found = {one.name.lower(): json_name(one.name) for one in every if one.label != "-"}
    return found | {one.label_name.lower(): one.label_name for one in every if one.label_name}


def _switch(label: str, value: str, labels: Mapping[str, str | None]) -> Iterator[Fault]:
    """`tls` that says neither true nor nothing: Traefik takes it for no TLS, and says nothing."""
    if not _SWITCH.fullmatch(label) or value.lower() in ("true", "") or HIDDEN in value:
        return
    below = [other for other in sorted(labels) if other.lower().startswith(f"{label.lower()}.")]
    if value.lower() != "false":
        said = "Traefik n’y voit pas de TLS"
    elif below:
        said = f"Traefik laisse alors de côté {below[0]}"
    else:
        return
    yield Fault(label, f"{label}={value}", said, f"{label}=true", drops=False)


def _ignored(label: str, lower: str) -> Iterator[Fault]:
    """A label whose beginning is not one that Traefik reads."""
    root, _, rest = lower.partition(".")
    section = rest.partition(".")[0]
    if root != "traefik":
        near = difflib.SequenceMatcher(None, root, "traefik").ratio() >= 0.8
        if near and section in _SECTIONS:
            proposal = f"traefik.{label.partition('.')[2]}"
            yield Fault(label, label, "le premier mot n’est pas « traefik »", proposal, drops=False)
        return
    if not section or _CHOICES.match(lower):
        return
    old = rest if rest in _OLD else None
    close = difflib.get_close_matches(section, _SECTIONS, n=1, cutoff=0.6)
    if old is not None or section in ("frontend", "backend"):
        modern = _OLD[old].format(name="<nom>") if old else None
        yield Fault(label, label, "étiquette de Traefik 1", modern, drops=False)
    elif close and close[0] != section:
        spelled = ".".join(filter(None, ["traefik", close[0], label.partition(".")[2].partition(".")[2]]))
        yield Fault(label, label, "préfixe inconnu", spelled, drops=False)
    elif not close:
        yield Fault(label, label, "préfixe inconnu", None, drops=False)
