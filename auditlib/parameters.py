"""The parameters of a run: one model, one place where they are validated and explained."""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from auditlib.facts.tables import TABLES
from auditlib.facts.tables.policy import EXPECTED_KINDS
from auditlib.french import listing, number, os_error, visible

Severity = Literal["critical", "high", "medium", "low", "info"]

# In the folder of a run: what it was asked.
FILE = "parametres.yaml"

# Where a person may write a password by mistake: what was given there is never repeated.
_PRIVATE = ("traefik_api", "traefik_auth_env")


class ParameterError(ValueError):
    """Parameters that cannot be used. The message is French: what was given, why not, what to give."""


class Waiver(BaseModel):
    """A finding that somebody accepted: which, why, who, until when (the last day included)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    author: str = Field(min_length=1)
    expires: dt.date | None = None

    @field_validator("subject")
    @classmethod
    def _pattern(cls, value: str) -> str:
        if value.startswith("re:"):
            try:
                re.compile(value.removeprefix("re:"))
            except re.error:
                raise ValueError("une expression régulière bien formée après « re: »") from None
        return value


class Parameters(BaseModel):
    """What a run is asked. Every field has a default that audits this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    docker_host: str = Field("", description="Adresse du moteur Docker ; vide : celle du client Docker.")
    project_roots: list[str] = Field([], description="Dossiers où chercher les fichiers compose.")
    traefik_api: str = Field("auto", description="Adresse de l’API de Traefik ; auto : trouvée par le moteur Docker.")
    traefik_auth_env: str = Field("", description="Variable d’environnement qui contient utilisateur:mot de passe.")
    probe_http: bool = Field(True, description="Demander au proxy local chaque domaine et chemin vivants (GET).")
    exec_checks: bool = Field(True, description="Questions posées aux bases par docker exec, en lecture seule.")
    timeout_s: float = Field(20.0, gt=0, le=3600, description="Délai accordé à chaque source, en secondes.")
    severities: dict[str, Severity] = Field({}, description="Gravités imposées, par contrôle.")
    waivers: list[Waiver] = Field([], description="Constats acceptés, ou le fichier qui les contient.")
    expected: dict[str, dict[str, str]] = Field(
        {}, description="Ce qui doit être vrai de la machine, ou le fichier qui le contient (auditlib expect)."
    )
    cis: Literal["essentiel", "complet"] = Field("essentiel", description="Contrôles CIS : essentiel ou complet.")
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

    @field_validator("expected", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        """YAML reads the status 200 as a number, and an empty value as none."""
        if not isinstance(value, dict):
            return value
        return {kind: _texts(names) if isinstance(names, dict) else names for kind, names in value.items()}

    @field_validator("expected")
    @classmethod
    def _kinds(cls, value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        if unknown := [kind for kind in value if kind not in EXPECTED_KINDS]:
            raise ValueError(f"des rubriques parmi {listing(EXPECTED_KINDS)} (« {unknown[0]} » n’en est pas une)")
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


def _texts(names: dict[Any, Any]) -> dict[Any, Any]:
    scalar = (int, float)
    return {
        name: "" if value is None else str(value) if isinstance(value, scalar) else value
        for name, value in names.items()
    }


def document(parameters: Parameters) -> str:
    """Parameters as the YAML that `read` reads, but for where the run and its snapshot are: both may be moved."""
    values = parameters.model_dump(mode="json", exclude={"outputs", "snapshot"})
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False)


def read(
    file: Path | None, overrides: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None
) -> Parameters:
    """Read parameters from a YAML `file`; `overrides` win over it, and it wins over `defaults`.

    `waivers` and `expected` may name a file, relative to the current folder or to that of `file`: what it holds is
    taken in its place. Raises ParameterError if a file cannot be read or is not the YAML that is due, or for unknown
    or wrong parameters.
    """
    values = {**(defaults or {}), **(_content(file, dict) if file else {}), **(overrides or {})}
    for name, kind in (("waivers", list), ("expected", dict)):
        if isinstance(given := values.get(name), str):
            values[name] = _named(name, _beside(given, file), kind) if given else kind()
    try:
        return Parameters(**values)
    except ValidationError as error:
        raise ParameterError(" ".join(_sentence(problem) for problem in error.errors())) from None


def _named(name: str, file: Path, kind: type) -> Any:
    """What the file that the parameter `name` names holds."""
    try:
        return _content(file, kind)
    except ParameterError as error:
        raise ParameterError(f"Paramètre « {name} » : {str(error)[:1].lower()}{str(error)[1:]}") from None


def _beside(name: str, file: Path | None) -> Path:
    """The file that a parameter names: from the current folder, else from the folder of the parameters."""
    path = Path(name).expanduser()
    return path if path.exists() or file is None else file.parent / path


def kept(run: Path) -> dict[str, Any]:
    """The parameters that a run was given, from its own file; none where it has no such file.

    Raises ParameterError if the file cannot be read.
    """
    file = run / FILE
    return dict(_content(file, dict)) if file.is_file() else {}


def _content(file: Path, kind: type) -> Any:
    """What a YAML file holds, of the kind that is due; nothing when it is empty."""
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"Fichier introuvable : {visible(file)}. Vérifiez le chemin donné.") from None
    except OSError as error:
        raise ParameterError(f"Fichier illisible : {visible(file)} ({os_error(error)}).") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that does not exist
        where = f", ligne {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        raise ParameterError(f"Fichier mal formé : {visible(file)}{where}. Corrigez son YAML.") from None
    if values is None:
        return kind()
    if not isinstance(values, kind) or (isinstance(values, Mapping) and not all(isinstance(n, str) for n in values)):
        due = "des lignes « nom: valeur »" if kind is dict else "une liste"
        raise ParameterError(f"Fichier mal formé : {visible(file)}. Attendu : {due}.")
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
    if problem["type"] == "missing":
        return f"Paramètre « {name} » : il manque."
    if problem["type"] == "extra_forbidden" and len(problem["loc"]) > 1:
        return f"Paramètre inconnu : « {name} ». Attendu : {listing(Waiver.model_fields)}."
    if problem["type"] == "extra_forbidden":
        return f"Paramètre inconnu : « {name} ». Paramètres possibles : {listing(Parameters.model_fields)}."
    expected = {
        "literal_error": f"attendu : {_words(context.get('expected', ''))}",
        "string_type": "attendu : un texte",
        "bool_type": "attendu : true ou false",
        "bool_parsing": "attendu : true ou false",
        "list_type": "attendu : une liste",
        "dict_type": "attendu : des lignes « nom: valeur »",
        "model_type": "attendu : des lignes « nom: valeur »",
        "string_too_short": "attendu : un texte",
        "date_from_datetime_parsing": "attendu : une date, comme 2027-01-31",
        "date_type": "attendu : une date, comme 2027-01-31",
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
