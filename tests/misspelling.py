"""Whether `make check` sees each misspelt column of the checks: `python -m tests.misspelling [MODULE…]`.

In a copy of the package, one name at a time is misspelt in `checks/`: a column that code reads, a field that a template
names, a field of a key. Code is given to mypy as `make check` does; templates and keys to the import of the checks,
which `make check` does too. Writes what nothing saw; the exit status is 1 if there is any. Takes minutes, which is why
it is no test.
"""

import ast
import importlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mypy.dmypy_server import Server
from mypy.main import process_options

from auditlib import folders
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES

_FIELD = re.compile(r"(?<!\{)\{(?P<name>[a-z_]\w*)(?::\w+)?\}(?!\})")


class Misspelling(NamedTuple):
    """One name of a module: in code or in a declaration, and where it ends in the bytes of the module."""

    kind: str
    name: str
    line: int
    end: int

    def applied(self, source: bytes) -> bytes:
        """The module with a letter too many."""
        return source[: self.end] + b"x" + source[self.end :]


def misspellings(source: bytes, columns: set[str]) -> Iterator[Misspelling]:
    """Every column that a module reads, and every field that its declarations name."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in columns:
            assert node.end_lineno is not None and node.end_col_offset is not None
            yield Misspelling("column", node.attr, node.end_lineno, starts[node.end_lineno - 1] + node.end_col_offset)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for keyword in call.keywords:
            if keyword.arg == "key" and isinstance(keyword.value, ast.Tuple):
                for item in keyword.value.elts:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        place = starts[item.lineno - 1] + (item.end_col_offset or 0) - 1
                        yield Misspelling("key", item.value, item.lineno, place)
    for text in _declared_texts(tree):
        assert text.end_lineno is not None and text.end_col_offset is not None
        first = starts[text.lineno - 1] + text.col_offset
        written = source[first : starts[text.end_lineno - 1] + text.end_col_offset].decode()
        for match in _FIELD.finditer(written):
            place = first + len(written[: match.end("name")].encode())
            yield Misspelling("template", match["name"], source.count(b"\n", 0, place) + 1, place)


def _declared_texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """The texts of declarations: those of decorators and of calls outside functions."""
    for statement in tree.body:
        parts: list[ast.expr] = []
        if isinstance(statement, ast.FunctionDef):
            parts = statement.decorator_list
        elif isinstance(statement, ast.Expr | ast.Assign):
            parts = [statement.value]
        for node in (node for part in parts for node in ast.walk(part)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node


def imports(folder: Path) -> bool:
    """Whether the checks of a copy of the package can be imported, in a child of this process."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            import auditlib

            auditlib.__path__.insert(0, str(folder / "auditlib"))
            importlib.import_module("auditlib.checks")
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


class Types:
    """mypy over a copy of the package, kept warm."""

    def __init__(self, folder: Path) -> None:
        self.sources, options = process_options(["-p", "auditlib", "--cache-fine-grained"], require_targets=False)
        self.server = Server(options, str(folder / "status.json"))

    def agree(self) -> bool:
        """Whether mypy finds no error now."""
        return not self.server.check(self.sources, export_types=False, is_tty=False, terminal_width=80)["status"]


def main(names: list[str]) -> int:
    """Misspell each name of the modules, all by default; the exit status."""
    import auditlib.views  # noqa: F401 - imported for what they register

    project = folders.project()
    columns = {name for table in TABLES.values() for name in table.names}
    columns |= {name for view in VIEWS.values() for name in view.table.names}
    unseen, counts = 0, dict.fromkeys(("column", "key", "template"), 0)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        shutil.copytree(project / "auditlib", copy / "auditlib", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(project / "pyproject.toml", copy)
        os.chdir(copy)
        types = Types(copy)
        for module in sorted(Path("auditlib/checks").glob("*.py")):
            source = module.read_bytes()
            for one in misspellings(source, columns) if not names or module.stem in names else ():
                module.write_bytes(one.applied(source))
                counts[one.kind] += 1
                if types.agree() if one.kind == "column" else imports(copy):
                    unseen += 1
                    print(f"{module}:{one.line}: nothing sees {one.kind} {one.name}x")
                module.write_bytes(source)
            if not types.agree():
                raise RuntimeError(f"mypy refuses {module} as it is")
    print(", ".join(f"{count} of kind {kind}" for kind, count in counts.items()), f": {unseen} unseen")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
