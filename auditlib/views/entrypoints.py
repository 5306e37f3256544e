"""Traefik's effective static options and its entry points, with or without its API."""

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from auditlib.addresses import host_and_port
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, flag, integer, several, table, text, view
from auditlib.traefik.decoding import TRUE


@table(
    "entrypoints",
    "Points d’entrée en vigueur",
    "Ceux de l’API de Traefik, sinon ceux de sa configuration statique.",
    key=("entrypoint",),
)
class Entrypoint(Row):
    """An entry point of Traefik, from its API or from its static configuration."""

    entrypoint: str = text("Point d’entrée")
    protocol: str | None = text("Protocole")
    port: int | None = integer("Port", "Dans l’espace réseau de Traefik.")
    default: bool | None = flag("Par défaut")
    tls: bool | None = flag("TLS")
    redirect_to: str | None = text("Redirige vers")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    sanitizes_path: bool | None = flag("Nettoie les chemins")
    refused_characters: tuple[str, ...] | None = several(
        "Caractères refusés", "Encodés ; inconnu : ce que fait la version."
    )
    encodes_semicolons: bool | None = flag("Encode les points-virgules")
    trusted: tuple[str, ...] | None = several(
        "Relais de confiance", "Réseaux dont les en-têtes X-Forwarded sont gardés."
    )
    model: bool | None = flag(
        "Modèle", "Vrai s’il donne des options à ses routeurs, qui prennent alors son nom en préfixe."
    )


@view(Entrypoint)
def entrypoints(
    traefik_static: pd.DataFrame | None = None, traefik_entrypoints: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Entry points, from the API when it was read. Raises AbsentTable when neither tells them."""
    static = options(traefik_static) if traefik_static is not None else {}
    if traefik_entrypoints is not None:
        for row in records(traefik_entrypoints):
            kept = {name: row[name] for name in Entrypoint.table.names if name in row}
            yield kept | {"model": _modelled(row["entrypoint"], row, static)}
        return
    if traefik_static is None:
        raise AbsentTable("traefik_static", "la configuration statique de Traefik n’a pas été lue")
    yield from _static(static)


def _modelled(name: str, row: Record, static: Mapping[str, str]) -> bool:
    own = (f"entrypoints.{name}.observability", f"entrypoints.{name}.http.encodedcharacters", "core.defaultrulesyntax")
    return bool(row["tls"] or row["middlewares"] or any(key.startswith(own) for key in static))


def _static(static: Mapping[str, str]) -> Iterator[Record]:
    """Entry points of the static configuration; without any, one named « http »; `api.insecure` makes its own."""
    addresses = {key.split(".")[1]: "" for key in static if re.match(r"entrypoints\.[^.]+(?:\.|$)", key)}
    addresses |= {
        key.split(".")[1]: value for key, value in static.items() if re.fullmatch(r"entrypoints\.[^.]+\.address", key)
    }
    addresses = addresses or {"http": ":80"}
    if true(static.get("api.insecure")) and "traefik" not in addresses:
        addresses["traefik"] = ":8080"
    marked = {name for name in addresses if true(static.get(f"entrypoints.{name}.asdefault"))}
    for name, address in addresses.items():
        prefix = f"entrypoints.{name}.http"
        _, _, protocol = address.partition("/")
        listed = [value for key, value in static.items() if re.fullmatch(rf"{re.escape(prefix)}\.middlewares.*", key)]
        row: Record = {
            "entrypoint": name,
            "protocol": protocol or "tcp",
            "port": host_and_port(address)[1],
            "default": name in marked if marked else name != "traefik",
            "tls": any(key == f"{prefix}.tls" or key.startswith(f"{prefix}.tls.") for key in static),
            "redirect_to": static.get(f"{prefix}.redirections.entrypoint.to") or None,
            "middlewares": [one.strip() for value in listed for one in value.split(",") if one.strip()],
        }
        yield row | _handling(f"entrypoints.{name}", static) | {"model": _modelled(name, row, static)}


_ENCODED = {
    "slash": "%2F",
    "backslash": "%5C",
    "nullcharacter": "%00",
    "semicolon": "%3B",
    "percent": "%25",
    "questionmark": "%3F",
    "hash": "%23",
}


def _handling(prefix: str, static: Mapping[str, str]) -> Record:
    """How an entry point handles requests before any rule; unknown: as its version does."""
    sanitizes = static.get(f"{prefix}.http.sanitizepath")
    allowed = f"{prefix}.http.encodedcharacters"
    said = any(key.startswith(allowed) for key in static)
    refused = [code for word, code in _ENCODED.items() if not true(static.get(f"{allowed}.allowencoded{word}"))]
    forwarded = f"{prefix}.forwardedheaders"
    trusted = [one.strip() for one in static.get(f"{forwarded}.trustedips", "").split(",") if one.strip()]
    return {
        "sanitizes_path": None if sanitizes is None else true(sanitizes),
        "refused_characters": refused if said else None,
        "encodes_semicolons": true(static.get(f"{prefix}.http.encodequerysemicolons")),
        "trusted": ["0.0.0.0/0", "::/0"] if true(static.get(f"{forwarded}.insecure")) else trusted,
    }


def true(value: str | None) -> bool:
    """Whether an option is on, as Go reads it."""
    return value in TRUE


def options(traefik_static: pd.DataFrame) -> dict[str, str]:
    """The effective static options. Raises AbsentTable when they are not known."""
    rows = records(traefik_static)
    if any(row["effective"] is None for row in rows):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")
    return {row["key"]: row["value"] or "" for row in rows if row["effective"]}
