"""A file of Traefik's file provider as Traefik decodes it (`pkg/provider/file`, `traefik/paerser` package file).

YAML or TOML, root sections http, tcp, udp and tls; what else stands at the root is ignored. A Go template is said as
such: what it evaluates to is not known here.
"""

import posixpath
import re
from dataclasses import dataclass

from auditlib.traefik.decoding import DecodingError, Tree, decode
from auditlib.traefik.documents import FileError, toml_tree, yaml_tree
from auditlib.traefik.fields import Version, structures

EXTENSIONS = (".toml", ".yaml", ".yml")
SECTIONS = ("http", "tcp", "udp", "tls")


@dataclass(frozen=True)
class Declared:
    """What a file declares; `templated` when it is a Go template, whose declarations are not known."""

    tree: Tree
    templated: bool = False


def supported(path: str) -> bool:
    """Whether Traefik reads a file of this name."""
    return posixpath.splitext(path)[1].lower() in EXTENSIONS


def decode_file(path: str, text: str, version: Version) -> Declared:
    """What a file declares, as `{"HTTP": {"Routers": …}, …}`. Raises FileError when Traefik refuses it."""
    if "{{" in text:
        return Declared({}, templated=True)
    try:
        root = (toml_tree if path.lower().endswith(".toml") else yaml_tree)(text, SECTIONS)
        if not root.children:
            return Declared({})
        return Declared(decode(root, "Configuration", structures(version), "file", version))
    except DecodingError as error:
        # Go quotes the value that is wrong, which may be a secret.
        message = re.sub(r'(parsing|duration|unit) ".*"', r"\1 …", str(error), flags=re.DOTALL)
        raise FileError(message, error.line) from None
