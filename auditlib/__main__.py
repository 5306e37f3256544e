"""`python -m auditlib`, and the console script."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # jsonschema's optional IRI checker builds 35 parsers when it is imported, a second that no command needs; without
    # it jsonschema does not check IRIs, which no Jupyter schema has. papermill and nbconvert import it indirectly.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None forbids its import
    try:
        from auditlib.run.cli import main as command_line  # noqa: PLC0415

        code = command_line()
    except KeyboardInterrupt:  # while modules are still being imported
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
