"""Traefik's effective static options and its entry points, with or without its API."""

import re
from collections.abc import Iterable, Iterator, Mapping

from auditlib.addresses import host_and_port
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Row, Rows, asdict, flag, integer, several, table, text, view
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import StaticOption, Traefik, TraefikEntrypoint
from auditlib.traefik.decoding import TRUE
from auditlib.traefik.fields import Version
from auditlib.traefik.fields import version as version_of
from auditlib.traefik.versions import features


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
    underscores: str | None = text(
        "En-têtes à tiret bas", "http.underscoreHeadersStrategy : keep, delete ou reject ; inconnu : gardés."
    )
    aliases: str | None = text(
        "En-têtes ambigus",
        "http.aliasHeadersStrategy, de même ; leur nom a autre chose que lettres, chiffres et tirets.",
    )
    model: bool | None = flag(
        "Modèle", "Vrai s’il donne des options à ses routeurs, qui prennent alors son nom en préfixe."
    )


@view(Entrypoint)
def entrypoints(
    traefik_static: Rows[StaticOption] | None = None,
    traefik_entrypoints: Rows[TraefikEntrypoint] | None = None,
    traefik: Rows[Traefik] | None = None,
    containers: Rows[Container] | None = None,
) -> Iterator[Entrypoint]:
    """Entry points, from the API when it was read. Raises AbsentTable when neither tells them."""
    static = options(traefik_static) if traefik_static is not None else {}
    if traefik_entrypoints is not None:
        for point in traefik_entrypoints:
            shared = {name: value for name, value in asdict(point).items() if name != "address"}
            model = bool(point.tls or point.middlewares) or _has_model(point.entrypoint, static)
            yield Entrypoint(**shared, model=model)
    elif traefik_static is not None:
        version = running_version(traefik, traefik_static, containers or ())
        yield from _static(static, allowed=features(version and ".".join(map(str, version))).allows_unsaid)
    else:
        raise AbsentTable("traefik_static", "la configuration statique de Traefik n’a pas été lue")


def running_version(
    traefik: Iterable[Traefik] | None, traefik_static: Iterable[StaticOption], containers: Iterable[Container]
) -> Version | None:
    """The version of the running Traefik: as its API says, else as the tag of its image says."""
    names = {option.container for option in traefik_static}
    images = [container.image or "" for container in containers if container.name in names]
    tags = [image.partition("@")[0].rpartition(":")[2] for image in images]
    versions = map(version_of, [*(api.version for api in traefik or ()), *tags])
    return next((version for version in versions if version), None)


def _has_model(name: str, static: Mapping[str, str]) -> bool:
    """Whether the static options alone, TLS and middlewares aside, make an entry point change its routers."""
    own = (f"entrypoints.{name}.observability", f"entrypoints.{name}.http.encodedcharacters", "core.defaultrulesyntax")
    return any(key.startswith(own) for key in static)


def _static(static: Mapping[str, str], *, allowed: bool) -> Iterator[Entrypoint]:
    """Entry points of the static configuration; without any, one named « http »; that of Traefik itself where needed.

    `allowed`: whether the encoded characters of which an entry point says nothing are allowed.
    """
    addresses = {key.split(".")[1]: "" for key in static if re.match(r"entrypoints\.[^.]+(?:\.|$)", key)}
    addresses |= {
        key.split(".")[1]: value for key, value in static.items() if re.fullmatch(r"entrypoints\.[^.]+\.address", key)
    }
    if not addresses.keys() - {"traefik"}:
        addresses["http"] = ":80"
    if _is_needed(static) and "traefik" not in addresses:
        addresses["traefik"] = ":8080"
    marked = {name for name in addresses if true(static.get(f"entrypoints.{name}.asdefault"))}
    for name, address in addresses.items():
        default = name in marked if marked else name != "traefik"
        yield _point(name, address, static, default=default, allowed=allowed)


def _is_needed(static: Mapping[str, str]) -> bool:
    """Whether Traefik serves something of its own on the entry point « traefik » (`SetEffectiveConfiguration`)."""
    if true(static.get("api.insecure")) or true(static.get("providers.rest.insecure")):
        return True
    return any(
        _is_on(static, option)
        and static.get(f"{option}.entrypoint", "traefik") == "traefik"
        and not true(static.get(f"{option}.manualrouting"))
        for option in ("ping", "metrics.prometheus")
    )


def _is_on(static: Mapping[str, str], option: str) -> bool:
    """Whether an option that may be empty is on: it or one below it is said, and it is not said to be false."""
    said = any(key == option or key.startswith(f"{option}.") for key in static)
    return said and static.get(option, "").lower() in ("", "true")


_ENCODED = {
    "slash": "%2F",
    "backslash": "%5C",
    "nullcharacter": "%00",
    "semicolon": "%3B",
    "percent": "%25",
    "questionmark": "%3F",
    "hash": "%23",
}


def _point(name: str, address: str, static: Mapping[str, str], *, default: bool, allowed: bool) -> Entrypoint:
    """One entry point of the static configuration. How it handles requests, unknown: as its version does."""
    http = f"entrypoints.{name}.http"
    forwarded = f"entrypoints.{name}.forwardedheaders"
    tls = _is_on(static, f"{http}.tls")
    lists = [value for key, value in static.items() if key.startswith(f"{http}.middlewares")]
    middlewares = tuple(middleware for value in lists for middleware in _list(value))
    sanitizes = static.get(f"{http}.sanitizepath")
    characters = f"{http}.encodedcharacters"
    unsaid = "true" if allowed else "false"
    refused = tuple(
        code for word, code in _ENCODED.items() if not true(static.get(f"{characters}.allowencoded{word}", unsaid))
    )
    insecure = true(static.get(f"{forwarded}.insecure"))
    return Entrypoint(
        entrypoint=name,
        protocol=address.partition("/")[2].lower() or "tcp",
        port=host_and_port(address)[1],
        default=default,
        tls=tls,
        redirect_to=static.get(f"{http}.redirections.entrypoint.to") or None,
        middlewares=middlewares,
        sanitizes_path=None if sanitizes is None else true(sanitizes),
        refused_characters=refused if any(key.startswith(characters) for key in static) else None,
        encodes_semicolons=true(static.get(f"{http}.encodequerysemicolons")),
        trusted=("0.0.0.0/0", "::/0") if insecure else _list(static.get(f"{forwarded}.trustedips", "")),
        underscores=static.get(f"{http}.underscoreheadersstrategy") or None,
        aliases=static.get(f"{http}.aliasheadersstrategy") or None,
        model=bool(tls or middlewares) or _has_model(name, static),
    )


def _list(value: str) -> tuple[str, ...]:
    """The items of a comma-separated option."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def true(value: str | None) -> bool:
    """Whether an option is on, as Go reads it."""
    return value in TRUE


def options(traefik_static: Iterable[StaticOption]) -> dict[str, str]:
    """The effective static options. Raises AbsentTable when they are not known."""
    rows = list(traefik_static)
    if any(option.effective is None for option in rows):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")
    return {option.key: option.value or "" for option in rows if option.effective}


def precedence(traefik_static: Iterable[StaticOption] | None) -> tuple[str, ...]:
    """The providers in the order of `providers.precedence`; none where it is not given, or not known for certain."""
    own = re.compile(r"providers\.precedence(?:\[(\d+)\])?")
    found = [
        (int(match[1] or 0), option.value or "")
        for option in traefik_static or ()
        if option.effective and (match := own.fullmatch(option.key))
    ]
    return tuple(provider.lower() for _, value in sorted(found) for provider in _list(value))
