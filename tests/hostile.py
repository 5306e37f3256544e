"""A snapshot whose names are attacks: on HTML, Markdown, shells, terminals and the eye."""

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows, asdict
from auditlib.facts.tables import TABLES

ATTACKS = (
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror='window.pwned=1'>",
    "</table></section><svg onload=window.pwned=1>",
    "[lien](javascript:window.pwned=1)",
    "a|b\\|c`d`",
    "$(touch pwned); `touch pwned` && touch pwned #",
    "\x1b[31mrouge\x1b[0m\x07\r\nligne",
    "\u202egnp.exe\u200b\u2066x",
    "{{7*7}}{% raw %}${7*7}",
    "x" * 180,
    "https://mauvais.example/" + "y" * 90,
    "&lt;b&gt; 'simple' \"double\"",
)

# What must stay what it is for the facts to hold together: kinds, states, addresses, protocols and numbers.
_NAMES = {"image", "process", "user", "label", "value", "rule", "reason", "os", "kernel", "version", "folder", "tags"}
_NAMES |= {"compose_dir", "middlewares", "errors", "aliases", "mountpoint", "source_path", "start_error"}
_NAMES |= {"resolver", "issuer", "common_name", "redirects", "server", "content_type", "csp", "cause", "error"}
_NAMES |= {"healthcheck", "output", "names", "method", "product", "variable", "command", "data_dir", "found_by"}


def hostile_names(facts: Snapshot) -> Snapshot:
    """The same server with an attack added to every name that a stranger may choose."""
    tables = {name: _hostile(name, rows) for name, rows in facts.tables.items()}
    return Snapshot("serveur", facts.collected, tables, facts.absent, duration_s=facts.duration_s, zone=facts.zone)


def _hostile(name: str, rows: Rows[Row]) -> Rows[Row]:
    changed = []
    for i, row in enumerate(rows):
        values = asdict(row)
        for column in row.table.columns:
            if column.name in _NAMES and column.kind in ("text", "prose"):
                values[column.name] = _attack(i, values[column.name])
            elif column.name in _NAMES and column.kind == "list":
                values[column.name] = tuple(_attack(i, item) for item in values[column.name] or ())
        if name == "containers":
            values["start_error"] = ATTACKS[i % len(ATTACKS)]
        changed.append(values)
    return TABLES[name].rows(changed)


def _attack(index: int, value: object) -> object:
    return value if not isinstance(value, str) else f"{value}{ATTACKS[index % len(ATTACKS)]}"
