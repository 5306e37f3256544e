"""The parameters of a run: one model, one place where they are validated and explained."""

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from auditlib.french import listing, number, os_error, visible
from auditlib.tables import TABLES

Severity = Literal["critical", "high", "medium", "low", "info"]

# Where a person may write a password by mistake: what was given there is never repeated.
_PRIVATE = ("traefik_api", "traefik_auth_env")


class ParameterError(ValueError):
    """Parameters that cannot be used. The message is French: what was given, why not, what to give."""


class Parameters(BaseModel):
    """What a run is asked. Every field has a default that audits this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    docker_host: str = Field("", description="Adresse du moteur Docker ; vide : celle du client Docker.")
    project_roots: list[str] = Field([], description="Dossiers où chercher les fichiers compose.")
    traefik_api: str = Field("auto", description="Adresse de l’API de Traefik ; auto : trouvée par le moteur Docker.")
    traefik_auth_env: str = Field("", description="Variable d’environnement qui contient utilisateur:mot de passe.")
    timeout_s: float = Field(20.0, gt=0, le=3600, description="Délai accordé à chaque source, en secondes.")
    severities: dict[str, Severity] = Field({}, description="Gravités imposées, par contrôle.")
    fail_on: Literal["never", "critical", "high", "medium", "low", "info"] = Field(
        "never", description="Gravité à partir de laquelle le code de sortie est 1."
    )
    require: list[str] = Field([], description="Sources sans lesquelles l’audit est un échec (code 2).")
    outputs: str = Field("outputs", description="Dossier des exécutions.")
    snapshot: str = Field("", description="Instantané à relire au lieu de collecter.")

    @field_validator("require")
    @classmethod
    def _sources(cls, value: list[str]) -> list[str]:
        known = sorted({table.source for table in TABLES.values() if table.source})
        if unknown := [name for name in value if name not in known]:
            raise ValueError(f"des sources parmi {listing(known)} (« {unknown[0]} » n’en est pas une)")
        return value

    @field_validator("traefik_api")
    @classmethod
    def _address(cls, value: str) -> str:
        if value != "auto" and not value.startswith(("http://", "https://")):
            raise ValueError("« auto » ou une adresse http:// ou https://")
        if "@" in value:
            # Parameters are written in clear into the executed notebooks.
            raise ValueError("une adresse sans mot de passe ; nommez dans traefik_auth_env la variable qui le contient")
        return value

    @field_validator("traefik_auth_env")
    @classmethod
    def _variable(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("le nom d’une variable d’environnement, et non ce qu’elle contient")
        return value


def read(file: Path | None, overrides: dict[str, Any] | None = None) -> Parameters:
    """Read parameters from a YAML `file`, then `overrides`.

    Raises ParameterError if the file cannot be read, is not a YAML mapping, or holds unknown or wrong parameters.
    """
    values = {**(_mapping(file) if file else {}), **(overrides or {})}
    try:
        return Parameters(**values)
    except ValidationError as error:
        raise ParameterError(" ".join(_sentence(problem) for problem in error.errors())) from None


def _mapping(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"Fichier de paramètres introuvable : {file}. Vérifiez le chemin donné à -f.") from None
    except OSError as error:
        raise ParameterError(f"Fichier de paramètres illisible : {file} ({os_error(error)}).") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that does not exist
        where = f", ligne {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        raise ParameterError(f"Fichier de paramètres mal formé : {file}{where}. Corrigez son YAML.") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(f"Fichier de paramètres mal formé : {file}. Attendu : des lignes « nom: valeur ».")
    return values


def override(name: str, value: str) -> Any:
    """The value of `-p name value`: YAML, as papermill reads it, so that numbers and lists can be given.

    Raises ParameterError when the value is not YAML.
    """
    try:
        return yaml.safe_load(value) if value else ""
    except (yaml.YAMLError, ValueError):
        raise ParameterError(
            f"Paramètre « {name} » : valeur illisible « {value} ». Mettez-la entre guillemets."
        ) from None


def _sentence(problem: Any) -> str:
    """One French sentence for one of pydantic's errors."""
    name = visible(".".join(str(part) for part in problem["loc"] if part != "[key]"))
    given = problem.get("input")
    value = "valeur" if problem["loc"][0] in _PRIVATE else f"valeur « {visible('' if given is None else given)} »"
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        return f"Paramètre inconnu : « {name} ». Paramètres possibles : {listing(Parameters.model_fields)}."
    expected = {
        "literal_error": f"attendu : {_words(context.get('expected', ''))}",
        "string_type": "attendu : un texte",
        "list_type": "attendu : une liste",
        "dict_type": "attendu : des lignes « contrôle: gravité »",
        "float_type": "attendu : un nombre",
        "float_parsing": "attendu : un nombre",
        "greater_than": f"attendu : plus de {number(context.get('gt', 0))}",
        "less_than_equal": f"attendu : {number(context.get('le', 0))} au plus",
        "value_error": f"attendu : {context.get('error')}",
    }.get(problem["type"], problem["msg"])
    return f"Paramètre « {name} » : {value} refusée, {expected}."


def _words(choices: str) -> str:
    """Choices as pydantic lists them, in French: « 'high' or 'low' » gives « high ou low »."""
    return choices.replace("'", "").replace(" or ", " ou ")
