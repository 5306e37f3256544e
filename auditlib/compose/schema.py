"""Whether a file has the shape that the Compose specification gives."""

import functools
import json
import sys
from importlib.resources import files
from typing import Any

# jsonschema's optional IRI checker builds 35 parsers when it is imported: two seconds for what no schema here has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None forbids its import

from jsonschema import Draft7Validator, ValidationError  # noqa: E402
from jsonschema.exceptions import best_match  # noqa: E402
from jsonschema.validators import extend  # noqa: E402

from auditlib.compose.document import NOWHERE, Invalid, Place, place_of  # noqa: E402


def _accept(*_: Any) -> None:
    """No error: Compose drops most repetitions before it looks at the schema (`merge.unique` tells the others)."""


@functools.cache
def _validator() -> Any:
    return extend(Draft7Validator, {"uniqueItems": _accept})(
        json.loads((files("auditlib.compose") / "compose-spec.json").read_text("utf-8"))
    )


def validate(tree: Any, file: str) -> None:
    """Raises Invalid with the line and the French reason of the first fault; no value is quoted."""
    if error := best_match(_validator().iter_errors(tree)):
        # Of several accepted shapes, the reader is told about the one that fails deepest.
        raise Invalid(_reason(error), _place(tree, error, file))


def _place(tree: Any, error: ValidationError, file: str) -> Place:
    place, value = place_of(tree, Place(file, 1)), tree
    for step in error.absolute_path:
        if isinstance(value, dict):
            place = place_of(next((key for key in value if key == step), None), place)
        value = value[step]
    if error.validator == "additionalProperties":
        return place_of(next(iter(_unknown(error)), None), place)
    found = place_of(value)
    return found if found is not NOWHERE and not isinstance(value, dict) else place


def _unknown(error: ValidationError) -> list[Any]:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return [key for key in error.instance if key not in known and not str(key).startswith("x-")]


def _reason(error: ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path))[:100] or "le fichier"
    if error.validator == "additionalProperties":
        names = ", ".join(f"« {str(name)[:40]} »" for name in _unknown(error)[:3])
        return f"clé inconnue dans « {where} » : {names}"
    if error.validator == "required" and isinstance(error.instance, dict):
        names = ", ".join(f"« {name} »" for name in error.validator_value if name not in error.instance)
        return f"il manque {names} dans « {where} »"
    return f"« {where} » n’a pas la forme attendue"
