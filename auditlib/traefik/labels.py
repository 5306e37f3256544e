"""The labels of a container as Traefik decodes them: one bad label, and the whole container is dropped.

The rules are those of `traefik/paerser` (`parser/labels_decode.go`): only labels under a few prefixes are read,
whatever their case; the root must be « traefik » exactly; names compare without case, the first in the order of
bytes gives its own, and the last value wins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditlib.traefik.decoding import DecodingError, Node, Tree, decode
from auditlib.traefik.fields import Version, extra, structures

_DYNAMIC = ("traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default")
_OPTIONS = ("traefik.docker.", "traefik.enable")


@dataclass(frozen=True)
class Options:
    """What labels say to the Docker provider itself; None: nothing."""

    enable: bool | None = None
    network: str | None = None
    allow_non_running: bool = False


def options(labels: Mapping[str, str], version: Version) -> Options:
    """`traefik.enable` and `traefik.docker.*`. Raises DecodingError with the error that Traefik logs."""
    root = _nodes(labels, _OPTIONS)
    if root is None:
        return Options()
    tree = decode(root, "Labels", extra(version.known), "label")
    docker = tree.get("Docker", {})
    # A false that is said is dropped by the decoder as a zero; here it is what matters.
    said = root.child("enable") is not None
    return Options(
        tree.get("Enable", False) if said else None, docker.get("Network"), docker.get("AllowNonRunning", False)
    )


def dynamic(labels: Mapping[str, str], version: Version) -> Tree:
    """The dynamic configuration that labels declare: `{"HTTP": {"Routers": {name: {…}}, …}, "TCP": …}`.

    Raises DecodingError with the error that Traefik logs.
    """
    root = _nodes(labels, _DYNAMIC)
    tree = decode(root, "Configuration", structures(version.known), "label") if root else {}
    return {protocol: tree.get(protocol, {}) for protocol in ("HTTP", "TCP", "UDP")}


def _nodes(labels: Mapping[str, str], prefixes: Iterable[str]) -> Node | None:
    """The tree of the labels under these prefixes, or None when there is none."""
    lower = tuple(prefixes)
    keys = sorted((key for key in labels if key.lower().startswith(lower)), key=_bytes)
    root: Node | None = None
    for key in keys:
        parts = _parts(key)
        node = root = root or Node(parts[0])
        for part in parts[1:]:
            found = node.child(part)
            if found is None:
                found = Node(part)
                node.children.append(found)
            node = found
        node.value = labels[key]
    return root


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _parts(key: str) -> list[str]:
    """The elements of a label's name; an index is an element of its own."""
    split = key.split(".")
    if split[0] != "traefik":
        raise DecodingError(f"invalid label root {split[0]}")
    parts: list[str] = []
    for element in split:
        if not element:
            raise DecodingError(f"invalid element: {key}")
        if element.startswith("["):
            said = "invalid leading character '[' in field name (bracket is a slice delimiter)"
            raise DecodingError(f"{said}: {element}")
        left = element.find("[")
        # paerser itself fails on a « ] » that nothing opens; the field is then unknown.
        parts += [element[:left], element[left:]] if element.endswith("]") and left > 0 else [element]
    return parts
