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

from auditlib.compose.document import NOWHERE, Invalid, Map, Place, Seq, mapping, place_of, sequence  # noqa: E402
from auditlib.compose.ports import Published  # noqa: E402


@functools.cache
def _validator() -> Any:
    return Draft7Validator(json.loads((files("auditlib.compose") / "compose-spec.json").read_text("utf-8")))


def validate(tree: Any, file: str) -> None:
    """Raises Invalid with the line and the French reason of the first fault; no value is quoted."""
    written = _written(tree)
    if error := best_match(_validator().iter_errors(written)):
        # Of several accepted shapes, the reader is told about the one that fails deepest.
        raise Invalid(_reason(error), _place(written, error, file))


def _written(tree: Any) -> Any:
    """The tree without the ports that were parsed already: there may be many, and they are right."""
    services = tree.get("services")
    if not isinstance(services, Map):
        return tree
    made = mapping(services, services.place)
    for name, one in services.items():
        if isinstance(one, Map) and isinstance(asked := one.get("ports"), Seq):
            left = sequence([item for item in asked if not isinstance(item, Published)], asked.place)
            made[name] = mapping({**one, "ports": left}, one.place)
    return mapping({**tree, "services": made}, tree.place)


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
    if error.validator == "uniqueItems":
        return f"« {where} » contient deux fois la même valeur"
    return f"« {where} » n’a pas la forme attendue"
