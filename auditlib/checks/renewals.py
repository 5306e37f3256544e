"""TLS: the certificates that Traefik keeps, and renews in time or not."""

import datetime as dt
from collections.abc import Iterator, Mapping

from auditlib.addresses import covers
from auditlib.checks.certificates import (
    LOOK,
    UNSERVED,
    CertificateFault,
    Stored,
    exact_domain,
    live_domains,
    longest,
    served,
    stored,
    target_of,
)
from auditlib.checks.logs import DAY, now, start
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import DockerEngine
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.facts.tables.web import AcmeStorage, Certificate, TlsProbe
from auditlib.findings.check import Fault, Fix, check, fact, word
from auditlib.french import day, instant, listing, plural
from auditlib.traefik.fields import Version, version
from auditlib.views.routes import Route

_HOUR = dt.timedelta(hours=1)


class Expired(CertificateFault):
    """A domain whose certificate has expired."""

    origin: str
    issuer: str | None
    not_after: dt.datetime
    resolver: str | None = fact(about="resolver")
    fingerprint: str | None
    how: str = word()
    ended: str = word()
    proxy: str | None = word()
    remedy: str = word()


@check(
    "TLS-001",
    "critical",
    "Aucun domaine n’a de certificat expiré",
    key=("domain",),
    message="Le certificat {how} pour « {domain} » a expiré le {ended} : les navigateurs refusent la page.",
    fix=Fix(
        "{remedy}",
        ("docker logs --since 24h {proxy}",),
        LOOK,
    ),
)
def in_date(
    certificates: Rows[Certificate],
    docker_engine: Rows[DockerEngine],
    routes: Rows[Route],
    tls_probes: Rows[TlsProbe] | None = None,
    acme_storage: Rows[AcmeStorage] | None = None,
) -> Iterator[Expired]:
    """Expired certificates, served or stored, of domains in use. One that is served well has a stored one to spare.

    Traefik's default certificate is TLS-003's.
    """
    proxy = acme_storage[0].container if acme_storage else None
    judged, expired = set[str](), set[str]()
    for probe, certificate in served(certificates, tls_probes):
        end = certificate.not_after
        if end is None or probe.default:
            continue
        judged.add(probe.domain)
        if end < now(docker_engine) and probe.domain not in expired:
            expired.add(probe.domain)
            yield _expired(probe.domain, certificate, end, proxy, probe)
    kept = stored(certificates)
    for domain in live_domains(routes):
        best = longest(kept, domain)
        if best and domain not in judged and best.end < now(docker_engine):
            yield _expired(domain, best.certificate, best.end, proxy, None)
    if tls_probes is None:
        raise AbsentTable("tls_probes", UNSERVED)


def _expired(
    domain: str, certificate: Certificate, end: dt.datetime, proxy: str | None, probe: TlsProbe | None
) -> Expired:
    renewed = "Traefik aurait dû le renouveler : corriger ce que son journal dit de ce domaine, puis le redémarrer."
    return Expired(
        domain=domain,
        origin=certificate.origin,
        issuer=certificate.issuer,
        not_after=end,
        resolver=certificate.resolver,
        fingerprint=certificate.fingerprint,
        how="servi" if probe else "gardé",
        ended=instant(end),
        proxy=proxy,
        remedy=renewed if proxy else "Renouveler ce certificat, puis vérifier que le proxy sert le nouveau.",
        target=target_of(domain, probe),
    )


# Lifetimes of certificates in days, since which version of Traefik, and how long before their end it renews them
# (`pkg/provider/acme/provider.go`, getCertificateRenewDurations): the first that fits.
_EVER = Version(0, 0, 0)
_WINDOWS = (
    (365, _EVER, 120 * DAY),
    (90, _EVER, 30 * DAY),
    (30, _EVER, 10 * DAY),
    (6, Version(3, 6, 8), 2 * DAY),
    (7, _EVER, DAY),
    (1, _EVER, 6 * _HOUR),
    (0, _EVER, dt.timedelta(minutes=20)),
)
_DEFAULT_LIFETIME = 2160  # hours


def _window(hours: int, running: Version | None) -> dt.timedelta | None:
    """How long before its end Traefik renews a certificate of this configured lifetime. None: not known.

    Before 3.2, what it does of lifetimes between 30 and 90 days was not studied; without a version, the narrowest.
    """
    days, running = hours / 24, running or _EVER
    if 30 <= days < 90 and running < Version(3, 2, 0):
        return None
    return next(window for least, since, window in _WINDOWS if days >= least and running >= since)


def _lifetime(resolver: str, options: Mapping[str, str | None]) -> int | None:
    """The lifetime, in hours, of the certificates that a resolver asks for; None when it cannot be read."""
    hours = options.get(f"certificatesresolvers.{resolver.lower()}.acme.certificatesduration")
    if hours is None:
        return _DEFAULT_LIFETIME
    return int(hours) if hours.isdecimal() else None


class Late(CertificateFault):
    """A domain whose stored certificate Traefik should have renewed."""

    resolver: str = fact(about="resolver")
    not_after: dt.datetime
    issuer: str | None
    fingerprint: str | None
    started: dt.datetime
    container: str | None = word()
    ends: str = word()
    left: str = word()
    due: str = word()


@check(
    "TLS-002",
    "high",
    "Les certificats sont renouvelés à temps",
    key=("domain",),
    message="Le certificat de « {domain} » (résolveur « {resolver} ») expire le {ends}, dans {left} : Traefik doit le "
    "renouveler depuis le {due}, et n’y arrive pas.",
    fix=Fix(
        "Chercher dans le journal de Traefik pourquoi le renouvellement échoue (« Error renewing »), corriger la cause "
        "(port 80 fermé, DNS, accès au fournisseur DNS), puis redémarrer Traefik : il essaie de nouveau à ce moment.",
        ("docker logs --since 48h {container}", "docker restart {container}"),
        LOOK,
    ),
)
def renewed_in_time(
    certificates: Rows[Certificate],
    acme_storage: Rows[AcmeStorage],
    docker_engine: Rows[DockerEngine],
    traefik: Rows[Traefik],
    traefik_static: Rows[StaticOption],
    routes: Rows[Route],
) -> Iterator[Late]:
    """Stored certificates of domains in use that have been due for more than a day, with Traefik up meanwhile.

    A lifetime of a few days has a window shorter than that: half of it is waited for then. The lifetime that counts
    is the one that the resolver is told (`certificatesDuration`), not the certificate's own.
    """
    started, running = start(traefik), version(traefik[0].version) if traefik else None
    options = {option.key.lower(): option.value for option in traefik_static if option.effective}
    for storage in acme_storage:
        hours = _lifetime(storage.resolver, options)
        window = None if hours is None else _window(hours, running)
        if window is None or started is None:
            continue
        patience = min(DAY, window / 2)
        for domain, (certificate, end) in _renewed(storage.resolver, certificates, routes):
            moment, due = now(docker_engine), end - window
            if moment < end and moment - due > patience and moment - started > patience:
                yield Late(
                    domain=domain,
                    resolver=storage.resolver,
                    not_after=end,
                    issuer=certificate.issuer,
                    fingerprint=certificate.fingerprint,
                    started=started,
                    container=storage.container,
                    ends=instant(end),
                    left=_left(end - moment),
                    due=day(due),
                    target=target_of(domain),
                )


def _renewed(resolver: str, certificates: Rows[Certificate], routes: Rows[Route]) -> Iterator[tuple[str, Stored]]:
    """The domains whose routers ask a resolver, each with the certificate of its storage that ends last."""
    own = [held for held in stored(certificates) if held.certificate.resolver == resolver]
    for domain, routed in live_domains(routes).items():
        best = longest(own, domain)
        if best and any(route.cert_resolver == resolver for route in routed):
            yield domain, best


def _left(left: dt.timedelta) -> str:
    return plural(left.days, "jour") if left >= DAY else plural(int(left / _HOUR), "heure")


class Useless(Fault):
    """A stored certificate that covers no domain in use."""

    certificate: str = fact("Certificat")
    domains: tuple[str, ...] = fact(about="domain")
    not_after: dt.datetime
    fingerprint: str | None
    names: str = word()
    path: str | None = word()


@check(
    "TLS-006",
    "low",
    "Chaque certificat gardé sert à un domaine",
    key=("certificate",),
    message="Le certificat gardé « {certificate} » ({names}) ne couvre aucun domaine servi ; Traefik continue de le "
    "renouveler, et un échec restera sans effet.",
    fix=Fix(
        "Si ce domaine ne doit plus être servi, retirer ce certificat du stockage « {path} » (Traefik arrêté). Sinon, "
        "remettre en marche ce qui le servait.",
    ),
)
def useful_certificates(
    certificates: Rows[Certificate],
    acme_storage: Rows[AcmeStorage],
    routes: Rows[Route],
    tls_probes: Rows[TlsProbe] | None = None,
) -> Iterator[Useless]:
    """Stored certificates that cover no domain in use and are served to none.

    A router that takes any name, or names that match a pattern, may use any of them: nothing is then said.
    """
    if any(_takes_any(route) for route in routes):
        return
    live = live_domains(routes)
    given = {probe.fingerprint for probe in tls_probes or ()}
    storages = acme_storage.by(AcmeStorage.resolver)
    for certificate, end in stored(certificates):
        names, storage = certificate.domains or (), storages.get(certificate.resolver or "")
        if certificate.fingerprint in given or any(covers(domain, names) for domain in live):
            continue
        yield Useless(
            certificate=f"{certificate.domain or certificate.common_name}@{certificate.resolver}",
            domains=names,
            not_after=end,
            fingerprint=certificate.fingerprint,
            names=listing(names, most=5),
            path=storage.path if storage else None,
        )


def _takes_any(route: Route) -> bool:
    """Whether a router in force takes, with TLS, names that its rule does not write."""
    live = route.tls and route.status != "disabled" and not route.router.endswith("@internal")
    return bool(live) and exact_domain(route) is None
