"""The tests of the audit."""

import sys

# As the command line does: an optional part of jsonschema that nothing here needs takes two seconds to import.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
