"""Observabilité: what would be seen of a failure, and what the audit itself did not see."""

from collections.abc import Iterator
from operator import itemgetter

from auditlib.checks.containers import Unbounded, Unchecked
from auditlib.checks.databases import NoHealthCheck
from auditlib.checks.waivers import Unread
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.host import Unit
from auditlib.facts.tables.traefik import StaticOption
from auditlib.facts.tables.web import Certificate
from auditlib.findings.audit import Finding
from auditlib.french import day, listing, quoted
from auditlib.recommendations import OBSERVABILITY, Advice, faults, fixes, names, rule
from auditlib.software import image_words, is_running

# Words of images and units: what makes metrics of something else, and what watches certificates by itself.
_EXPORTERS = {"exporter", "cadvisor", "telegraf", "netdata"}
_WATCHERS = {"blackbox", "x509", "ssl", "uptime", "kuma", "gatus", "checkmk", "zabbix", "nagios", "icinga", "netdata"}


def _running(containers: Rows[Container], units: Rows[Unit] | None, words: set[str]) -> list[str]:
    """The containers and units in service whose image or name holds one of these words."""
    running = [container.name for container in _alive(containers) if words & {*image_words(container.image)}]
    active = [unit.unit for unit in units or () if unit.active == "active"]
    return running + [name for name in active if words & {*image_words(name.partition(".")[0])}]


def _searched(units: Rows[Unit] | None) -> str:
    return "les conteneurs" if units is None else "les conteneurs et les unités"


def _alive(containers: Rows[Container]) -> list[Container]:
    return [container for container in containers if is_running(container.state)]


def _option(traefik_static: Rows[StaticOption], name: str) -> bool:
    """Whether Traefik's static configuration in force turns an option on, by itself or by one below it."""
    values = {option.key: option.value for option in traefik_static if option.effective}
    below = any(key.startswith(f"{name}.") for key in values)
    return values.get(name) != "false" and (name in values or below)


@rule(OBSERVABILITY, "Des contrôles de santé partout", "CONT-008", "DB-002")
def health(findings: list[Finding], containers: Rows[Container]) -> Iterator[Advice]:
    """Containers in service without a health check: routed ones and databases first."""
    routed, databases = faults(findings, Unchecked), faults(findings, NoHealthCheck)
    first = [*(fault.container for fault in routed), *(fault.database for fault in databases)]
    unchecked = [container.name for container in _alive(containers) if container.healthcheck is False]
    others = [name for name in unchecked if name not in first]
    if first or others:
        clauses = [f"Routés ou bases de données, sans contrôle de santé : {names(first)}."] if first else []
        clauses += [f"{'Les autres' if first else 'Sans contrôle de santé'} : {names(others, 12)}."] if others else []
        yield Advice(
            " ".join(clauses),
            "Un service bloqué y passe pour sain : ni Docker, ni Traefik, ni Compose ne le sauront.",
            "Leur donner un « healthcheck » sur un même chemin, par exemple « /health » pour ce qui parle HTTP"
            + (", en commençant par les premiers." if first and others else "."),
        )


@rule(OBSERVABILITY, "Des journaux bornés", "CONT-007")
def bounded_logs(findings: list[Finding]) -> Iterator[Advice]:
    """Containers whose logs grow without a limit."""
    if findings:
        containers = [name for fault in faults(findings, Unbounded) for name in fault.containers]
        yield Advice(
            f"Journaux json-file sans limite : {names(containers)}.",
            "Un conteneur bavard remplit le disque, et tout s’arrête avec lui.",
            findings[0].fix.text,
        )


@rule(OBSERVABILITY, "Un journal d’accès")
def access_log(findings: list[Finding], traefik_static: Rows[StaticOption]) -> Iterator[Advice]:
    """Traefik without an access log."""
    if len(traefik_static) and not _option(traefik_static, "accesslog"):
        yield Advice(
            "Traefik ne tient pas de journal d’accès : aucune option « accesslog » n’est en vigueur.",
            "Les erreurs 5xx, les domaines demandés sans route et les lenteurs ne se voient nulle part.",
            "Régler « accesslog.filepath » sur un volume, et « accesslog.format » à « json ».",
        )


@rule(OBSERVABILITY, "Des mesures pour Prometheus")
def metrics(
    findings: list[Finding],
    containers: Rows[Container],
    traefik_static: Rows[StaticOption],
    units: Rows[Unit] | None = None,
) -> Iterator[Advice]:
    """A Prometheus in service, while Traefik gives no metrics or no exporter of the machine was found."""
    running = _prometheus(containers, units)
    if not running:
        return
    silent = len(traefik_static) and not _option(traefik_static, "metrics.prometheus")
    alone = not _running(containers, units, _EXPORTERS)
    clauses = ["Traefik ne donne pas de mesures (« metrics.prometheus »)"] if silent else []
    clauses += [f"aucun exporteur connu n’a été trouvé parmi {_searched(units)}"] if alone else []
    todo = ["Régler « metrics.prometheus » dans Traefik, sur un point d’entrée non publié."] if silent else []
    todo += ["Ajouter node-exporter pour la machine et cAdvisor pour les conteneurs."] if alone else []
    if clauses:
        yield Advice(
            f"Prometheus est en service ({names(running)}), mais {listing(clauses)}.",
            "Il ne peut relever que ce qui est mesuré.",
            " ".join(todo),
        )


def _prometheus(containers: Rows[Container], units: Rows[Unit] | None) -> list[str]:
    exporters = set(_running(containers, units, {"exporter"}))
    return [name for name in _running(containers, units, {"prometheus"}) if name not in exporters]


@rule(OBSERVABILITY, "Les mesures en service", keep=True)
def measured(findings: list[Finding], containers: Rows[Container], units: Rows[Unit] | None = None) -> Iterator[Advice]:
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
    findings: list[Finding],
    certificates: Rows[Certificate],
    containers: Rows[Container],
    units: Rows[Unit] | None = None,
    traefik_static: Rows[StaticOption] | None = None,
) -> Iterator[Advice]:
    """Certificates that end, and no program that is known to watch them."""
    ends = [(row.not_after, row) for row in certificates if row.not_after is not None and row.origin != "traefik_api"]
    if not ends or _running(containers, units, _WATCHERS):
        return
    end, first = min(ends, key=itemgetter(0))
    measured = traefik_static is not None and _option(traefik_static, "metrics.prometheus")
    alert = (
        "Ajouter à Prometheus, s’il ne l’a pas, une alerte sur « traefik_tls_certs_not_after », que Traefik mesure."
        if measured and _prometheus(containers, units)
        else "Ajouter une sonde qui prévient, par exemple blackbox-exporter, Uptime Kuma ou Gatus."
    )
    yield Advice(
        f"Le certificat de {quoted(first.domain or first.common_name)} finit le premier, le "
        f"{day(end)} ; aucun programme connu qui surveille les certificats n’a été trouvé parmi "
        f"{_searched(units)}.",
        "Un renouvellement qui échoue ne se voit qu’à l’expiration, domaine par domaine.",
        alert,
    )


@rule(OBSERVABILITY, "Lire ce que l’audit n’a pas lu", "COLLECT-001")
def unread(findings: list[Finding]) -> Iterator[Advice]:
    """Sources that were not read, with what would read them."""
    if findings:
        sources = [
            f"{quoted(fault.source)} ({(fault.reason or 'sans motif').rstrip('.')})"
            for fault in faults(findings, Unread)
        ]
        yield Advice(
            f"Non lu, ou en partie : {listing(sources)}.",
            "Ce qui n’est pas lu n’est pas jugé : le silence de l’audit n’y vaut pas conformité.",
            fixes(findings, len(findings)),
        )
