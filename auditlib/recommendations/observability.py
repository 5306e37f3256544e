"""Observabilité: what would be seen of a failure, and what the audit itself did not see."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.audit import Finding
from auditlib.french import day, listing, quoted
from auditlib.recommendations import OBSERVABILITY, Advice, facts, names, rows, rule
from auditlib.software import image_words, is_running

# Words of images and units: what makes metrics of something else, and what watches certificates by itself.
_EXPORTERS = {"exporter", "cadvisor", "telegraf", "netdata"}
_WATCHERS = {"blackbox", "x509", "ssl", "uptime", "kuma", "gatus", "checkmk", "zabbix", "nagios", "icinga", "netdata"}


def _running(containers: pd.DataFrame, units: pd.DataFrame | None, words: set[str]) -> list[str]:
    """The containers and units in service whose image or name holds one of these words."""
    found = [row["name"] for row in _alive(containers) if words & set(image_words(row["image"]))]
    active = [row["unit"] for row in rows(units) if row["active"] == "active"]
    return found + [unit for unit in active if words & set(image_words(unit.partition(".")[0]))]


def _searched(units: pd.DataFrame | None) -> str:
    return "les conteneurs" if units is None else "les conteneurs et les unités"


def _alive(containers: pd.DataFrame) -> list[Record]:
    return [row for row in records(containers) if is_running(row["state"])]


def _option(traefik_static: pd.DataFrame, name: str) -> bool:
    """Whether Traefik's static configuration in force turns an option on, by itself or by one below it."""
    told = {row["key"]: row["value"] for row in records(traefik_static) if row["effective"]}
    below = any(key.startswith(f"{name}.") for key in told)
    return told.get(name) != "false" and (name in told or below)


@rule(OBSERVABILITY, "Des contrôles de santé partout", "CONT-008", "DB-002")
def health(found: list[Finding], containers: pd.DataFrame) -> Iterator[Advice]:
    """Containers in service without a health check: routed ones and databases first."""
    first = [str(one.evidence.get("container") or one.evidence["database"]) for one in found]
    others = [row["name"] for row in _alive(containers) if row["healthcheck"] is False and row["name"] not in first]
    if first or others:
        said = [f"Routés ou bases de données, sans contrôle de santé : {names(first)}."] if first else []
        said += [f"{'Les autres' if first else 'Sans contrôle de santé'} : {names(others, 12)}."] if others else []
        yield Advice(
            " ".join(said),
            "Un service bloqué y passe pour sain : ni Docker, ni Traefik, ni Compose ne le sauront.",
            "Leur donner un « healthcheck » sur un même chemin, par exemple « /health » pour ce qui parle HTTP"
            + (", en commençant par les premiers." if first and others else "."),
        )


@rule(OBSERVABILITY, "Des journaux bornés", "CONT-007")
def bounded_logs(found: list[Finding]) -> Iterator[Advice]:
    """Containers whose logs grow without a limit."""
    if found:
        yield Advice(
            f"Journaux json-file sans limite : {names(facts(found, 'containers'))}.",
            "Un conteneur bavard remplit le disque, et tout s’arrête avec lui.",
            found[0].fix.text,
        )


@rule(OBSERVABILITY, "Un journal d’accès")
def access_log(found: list[Finding], traefik_static: pd.DataFrame) -> Iterator[Advice]:
    """Traefik without an access log."""
    if len(traefik_static) and not _option(traefik_static, "accesslog"):
        yield Advice(
            "Traefik ne tient pas de journal d’accès : aucune option « accesslog » n’est en vigueur.",
            "Les erreurs 5xx, les domaines demandés sans route et les lenteurs ne se voient nulle part.",
            "Régler « accesslog.filepath » sur un volume, et « accesslog.format » à « json ».",
        )


@rule(OBSERVABILITY, "Des mesures pour Prometheus")
def metrics(
    found: list[Finding],
    containers: pd.DataFrame,
    traefik_static: pd.DataFrame,
    units: pd.DataFrame | None = None,
) -> Iterator[Advice]:
    """A Prometheus in service, while Traefik gives no metrics or no exporter of the machine was found."""
    running = _prometheus(containers, units)
    if not running:
        return
    silent = len(traefik_static) and not _option(traefik_static, "metrics.prometheus")
    alone = not _running(containers, units, _EXPORTERS)
    said = ["Traefik ne donne pas de mesures (« metrics.prometheus »)"] if silent else []
    said += [f"aucun exporteur connu n’a été trouvé parmi {_searched(units)}"] if alone else []
    todo = ["Régler « metrics.prometheus » dans Traefik, sur un point d’entrée non publié."] if silent else []
    todo += ["Ajouter node-exporter pour la machine et cAdvisor pour les conteneurs."] if alone else []
    if said:
        yield Advice(
            f"Prometheus est en service ({names(running)}), mais {listing(said)}.",
            "Il ne peut relever que ce qui est mesuré.",
            " ".join(todo),
        )


def _prometheus(containers: pd.DataFrame, units: pd.DataFrame | None) -> list[str]:
    exporters = set(_running(containers, units, {"exporter"}))
    return [name for name in _running(containers, units, {"prometheus"}) if name not in exporters]


@rule(OBSERVABILITY, "Les mesures en service", keep=True)
def measured(found: list[Finding], containers: pd.DataFrame, units: pd.DataFrame | None = None) -> Iterator[Advice]:
    """Prometheus, Grafana and the exporters that run."""
    running = [*_prometheus(containers, units), *_running(containers, units, {"grafana"})]
    exporters = _running(containers, units, _EXPORTERS)
    if running:
        yield Advice(
            f"En service : {names(running)}"
            + (f", avec les exporteurs {names(exporters)}." if exporters else ", sans exporteur connu."),
            "Ce que Prometheus relève vraiment, et sur quoi il alerte, n’est pas lu par l’audit.",
            "Les garder, et vérifier dans Prometheus (« /targets ») que chaque cible est relevée.",
        )


@rule(OBSERVABILITY, "Une alerte avant la fin des certificats", "TLS-001", "TLS-002")
def certificates_watched(
    found: list[Finding],
    certificates: pd.DataFrame,
    containers: pd.DataFrame,
    units: pd.DataFrame | None = None,
    traefik_static: pd.DataFrame | None = None,
) -> Iterator[Advice]:
    """Certificates that end, and no program that is known to watch them."""
    known = [row for row in records(certificates) if row["not_after"] is not None and row["origin"] != "traefik_api"]
    if not known or _running(containers, units, _WATCHERS):
        return
    first = min(known, key=lambda row: row["not_after"])
    measured = traefik_static is not None and _option(traefik_static, "metrics.prometheus")
    alert = (
        "Ajouter à Prometheus, s’il ne l’a pas, une alerte sur « traefik_tls_certs_not_after », que Traefik mesure."
        if measured and _prometheus(containers, units)
        else "Ajouter une sonde qui prévient, par exemple blackbox-exporter, Uptime Kuma ou Gatus."
    )
    yield Advice(
        f"Le certificat de {quoted(first['domain'] or first['common_name'])} finit le premier, le "
        f"{day(first['not_after'])} ; aucun programme connu qui surveille les certificats n’a été trouvé parmi "
        f"{_searched(units)}.",
        "Un renouvellement qui échoue ne se voit qu’à l’expiration, domaine par domaine.",
        alert,
    )


@rule(OBSERVABILITY, "Lire ce que l’audit n’a pas lu", "COLLECT-001")
def unread(found: list[Finding]) -> Iterator[Advice]:
    """Sources that were not read, with what would read them."""
    if found:
        told = [
            f"{quoted(one.evidence['source'])} ({(one.evidence['reason'] or 'sans motif').rstrip('.')})"
            for one in found
        ]
        yield Advice(
            f"Non lu, ou en partie : {listing(told)}.",
            "Ce qui n’est pas lu n’est pas jugé : le silence de l’audit n’y vaut pas conformité.",
            " ".join(dict.fromkeys(one.fix.text for one in found)),
        )
