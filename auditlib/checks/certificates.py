"""TLS: the certificates that the domains in use are served.

The table `certificates` has three sources: rows of origin « acme » are known when `acme_storage` was read, those of
origin « served » when `tls_probes` was.
"""

import datetime as dt
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from auditlib.addresses import covers, is_public
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.web import Certificate, TlsProbe
from auditlib.findings.check import About, Command, Fault, Fix, check, fact, word
from auditlib.french import listing, quoted
from auditlib.views.routes import Route

# How to look at a certificate: curl tells its names, its dates and its issuer.
LOOK = ("curl -kvsS -o /dev/null {target}",)
UNSERVED = "les certificats servis n’ont pas été lus"

_WEAK_HASHES = {"MD2", "MD5", "SHA1"}
_LEAST_BITS = {"RSA": 2048, "ECDSA": 224}


def target_of(domain: str, probe: TlsProbe | None = None) -> Command:
    """What curl is told to ask this machine's proxy for a domain, where a probe did or at the usual port."""
    host, _, port = ((probe.address if probe else None) or "127.0.0.1:443").rpartition(":")
    url = f"https://{domain}/" if port == "443" else f"https://{domain}:{port}/"
    return Command(f"--resolve {shlex.quote(f'{domain}:{port}:{host}')} {shlex.quote(url)}")


def exact_domain(route: Route) -> str | None:
    """The domain of a route in force; None for any domain, and for a pattern or a wildcard."""
    if not route.domain or route.domain.startswith(("~", "*")) or route.status == "disabled":
        return None
    return route.domain


def live_domains(routes: Rows[Route]) -> Mapping[str, list[Route]]:
    """The domains that routers in force serve with TLS, and their routes."""
    live: dict[str, list[Route]] = {}
    for route in routes:
        if route.tls and (domain := exact_domain(route)):
            live.setdefault(domain, []).append(route)
    return live


class Stored(NamedTuple):
    """A certificate that is stored and can be read, and its end."""

    certificate: Certificate
    end: dt.datetime


def stored(certificates: Rows[Certificate]) -> list[Stored]:
    """The certificates of ACME storages that can be read and have an end."""
    kept = certificates.grouped(Certificate.origin).get("acme", ())
    return [Stored(row, row.not_after) for row in kept if row.valid and row.not_after]


def longest(certificates: Sequence[Stored], domain: str) -> Stored | None:
    """Of stored certificates, the one of a domain that ends last."""
    fit = [held for held in certificates if covers(domain, held.certificate.domains or ())]
    return max(fit, key=lambda held: held.end, default=None)


def served(
    certificates: Rows[Certificate], tls_probes: Rows[TlsProbe] | None
) -> Iterator[tuple[TlsProbe, Certificate]]:
    """Each probe of a domain with the certificate that it was given."""
    given = certificates.grouped(Certificate.origin).get("served", ())
    known = {(certificate.domain, certificate.fingerprint): certificate for certificate in given}
    for probe in tls_probes or ():
        if certificate := known.get((probe.domain, probe.fingerprint)):
            yield probe, certificate


class CertificateFault(Fault):
    """A domain whose certificate is at fault, and how to look at it."""

    domain: str
    target: Command = word()


class DefaultCertificate(CertificateFault):
    """A domain that is served Traefik's own certificate."""

    entrypoint: str
    routers: tuple[str, ...] = fact("Routeurs")
    cert_resolver: str | None
    cause: str = word()
    remedy: str = word()

    @property
    def about(self) -> About:
        """The resolvers of its routers."""
        return {"resolver": self.cert_resolver.split(", ") if self.cert_resolver else ()}


@check(
    "TLS-003",
    "high",
    "Aucun domaine ne reçoit le certificat par défaut de Traefik",
    key=("domain",),
    message="« {domain} » reçoit le certificat par défaut de Traefik, que tout navigateur refuse : {cause}.",
    fix=Fix("{remedy}", (), LOOK),
)
def own_certificates(tls_probes: Rows[TlsProbe], routes: Rows[Route] | None = None) -> Iterator[DefaultCertificate]:
    """Domains that are served « TRAEFIK DEFAULT CERT ». No public authority certifies a name for private use."""
    live = live_domains(routes or Rows())
    for domain, probes in tls_probes.grouped(TlsProbe.domain).items():
        probe = next((probe for probe in probes if probe.default), None)
        if probe is None:
            continue
        routed, public = live.get(domain, []), is_public(domain)
        resolvers = sorted({route.cert_resolver for route in routed if route.cert_resolver})
        yield DefaultCertificate(
            domain=domain,
            entrypoint=probe.entrypoint,
            routers=tuple(sorted({route.router for route in routed})),
            cert_resolver=", ".join(resolvers) or None,
            severity="high" if public else "low",
            cause=_why_default(resolvers, routed=domain in live),
            remedy=_mend_default(resolvers, public=public),
            target=target_of(domain, probe),
        )


def _why_default(resolvers: Sequence[str], *, routed: bool) -> str:
    if resolvers:
        return f"le résolveur {listing(map(quoted, resolvers))} ne lui en a pas donné"
    return "son routeur ne nomme aucun résolveur" if routed else "Traefik n’en a aucun autre pour ce nom"


def _mend_default(resolvers: Sequence[str], *, public: bool) -> str:
    if not public:
        return (
            "Aucune autorité publique ne certifie ce nom : fournir à Traefik un certificat d’une autorité interne "
            "(« tls.certificates » dans un fichier dynamique), ou utiliser un nom d’un domaine public."
        )
    if resolvers:
        return "Corriger ce que le journal de Traefik dit de ce domaine (erreur ACME, résolveur écarté ou absent)."
    return (
        "Donner un résolveur au routeur (« tls.certresolver »), ou fournir un certificat par « tls.certificates » "
        "dans un fichier dynamique."
    )


class OtherNames(CertificateFault):
    """A domain that is served a certificate of other names."""

    entrypoint: str
    domains: tuple[str, ...]
    issuer: str | None
    fingerprint: str | None
    names: str = word()


@check(
    "TLS-004",
    "high",
    "Chaque certificat servi couvre son domaine",
    key=("domain",),
    message="Le certificat servi pour « {domain} » ne couvre {names} : les navigateurs refusent la page.",
    fix=Fix(
        "Obtenir un certificat qui couvre « {domain} » : un résolveur sur son routeur, ou ce nom parmi ceux de "
        "« tls.domains » ; un joker ne couvre qu’un niveau de sous-domaine.",
        (),
        LOOK,
    ),
)
def matching_certificates(certificates: Rows[Certificate], tls_probes: Rows[TlsProbe]) -> Iterator[OtherNames]:
    """Served certificates of other names; Traefik's default one is TLS-003's."""
    seen: set[str] = set()
    for probe, certificate in served(certificates, tls_probes):
        if probe.covers is False and probe.default is False and probe.domain not in seen:
            seen.add(probe.domain)
            names = certificate.domains or ()
            yield OtherNames(
                domain=probe.domain,
                entrypoint=probe.entrypoint,
                domains=names,
                issuer=certificate.issuer,
                fingerprint=certificate.fingerprint,
                names=f"pas ce nom, mais {listing(map(quoted, names), most=5)}" if names else "aucun nom",
                target=target_of(probe.domain, probe),
            )


class Use(NamedTuple):
    """A domain in use and its certificate, with the probe that was given it; without one, it is the stored one."""

    domain: str
    certificate: Certificate
    probe: TlsProbe | None


def _in_use(certificates: Rows[Certificate], routes: Rows[Route], tls_probes: Rows[TlsProbe] | None) -> Iterator[Use]:
    """Each domain in use with its certificate: as served, else as stored.

    Raises AbsentTable once the stored ones are told, when no probe tells what is served.
    """
    asked: set[str] = set()
    for probe, certificate in served(certificates, tls_probes):
        if probe.domain not in asked:
            asked.add(probe.domain)
            yield Use(probe.domain, certificate, probe)
    kept = stored(certificates)
    for domain in live_domains(routes):
        best = longest(kept, domain)
        if best and domain not in asked:
            yield Use(domain, best.certificate, None)
    if tls_probes is None:
        raise AbsentTable("tls_probes", UNSERVED)


class StagingCertificate(CertificateFault):
    """A domain with a certificate of an authority for tests."""

    origin: str
    issuer: str | None
    resolver: str | None
    how: str = word()
    named: str = word()


@check(
    "TLS-005",
    "medium",
    "Aucun domaine n’a de certificat d’une autorité d’essai",
    key=("domain",),
    message="Le certificat {how} pour « {domain} » vient d’une autorité d’essai ({issuer}), qu’aucun navigateur ne "
    "reconnaît.",
    fix=Fix(
        "Retirer « caServer » du résolveur{named} (ou y mettre l’adresse de production), vider son stockage, puis "
        "redémarrer Traefik : il garde sinon les certificats d’essai jusqu’à leur renouvellement.",
        (),
        LOOK,
    ),
)
def production_authority(
    certificates: Rows[Certificate],
    routes: Rows[Route],
    tls_probes: Rows[TlsProbe] | None = None,
) -> Iterator[StagingCertificate]:
    """Certificates of Let's Encrypt's staging authority or of Pebble, served, or stored for a domain in use."""
    for domain, certificate, probe in _in_use(certificates, routes, tls_probes):
        if certificate.staging:
            yield StagingCertificate(
                domain=domain,
                origin=certificate.origin,
                issuer=certificate.issuer,
                resolver=certificate.resolver,
                how="servi" if probe else "gardé",
                named=f" « {certificate.resolver} »" if certificate.resolver else "",
                target=target_of(domain, probe),
            )


class WeakCertificate(CertificateFault):
    """A domain with a certificate whose key or signature browsers refuse."""

    origin: str
    key_type: str | None
    key_size: int | None
    signature: str | None
    fingerprint: str | None
    how: str = word()
    weakness: str = word()


@check(
    "TLS-007",
    "medium",
    "Les clés et les signatures des certificats sont solides",
    key=("domain",),
    message="Le certificat {how} pour « {domain} » est faible : {weakness}.",
    fix=Fix(
        "Remplacer ce certificat par un autre, de clé ECDSA P-256 ou RSA 2048 bits au moins, signé en SHA-256 (option "
        "« keyType » du résolveur pour un certificat ACME).",
        (),
        LOOK,
    ),
)
def strong_certificates(
    certificates: Rows[Certificate],
    routes: Rows[Route],
    tls_probes: Rows[TlsProbe] | None = None,
) -> Iterator[WeakCertificate]:
    """Certificates of domains in use, served else stored, whose key or signature browsers refuse (CA/B Forum 6.1.5)."""
    for domain, certificate, probe in _in_use(certificates, routes, tls_probes):
        if weakness := _weakness(certificate):
            yield WeakCertificate(
                domain=domain,
                origin=certificate.origin,
                key_type=certificate.key_type,
                key_size=certificate.key_size,
                signature=certificate.signature,
                fingerprint=certificate.fingerprint,
                how="servi" if probe else "gardé",
                weakness=weakness,
                target=target_of(domain, probe),
            )


def _weakness(certificate: Certificate) -> str:
    """Why a certificate is weak, as a French clause; "" when it is not, or not known to be."""
    key, bits, reasons = certificate.key_type or "", certificate.key_size, []
    least = _LEAST_BITS.get(key, 0)
    if bits and bits < least:
        reasons.append(f"clé {key} de {bits} bits, {least} au moins sont demandés")
    if "DSA" in key and key != "ECDSA":
        reasons.append("clé DSA, que les navigateurs refusent")
    # Nobody checks the signature of a certificate that signs itself.
    if (certificate.signature or "").replace("-", "") in _WEAK_HASHES and not certificate.self_signed:
        reasons.append(f"signature {certificate.signature}")
    return " ; ".join(reasons)
