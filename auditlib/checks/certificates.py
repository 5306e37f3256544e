"""TLS: the certificates that the domains in use are served."""

from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import is_public
from auditlib.checks.tls_facts import LOOK, UNSERVED, held, live_domains, longest, look, served_to
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.french import listing, quoted

_WEAK_HASHES = {"MD2", "MD5", "SHA1"}
_LEAST_BITS = {"RSA": 2048, "ECDSA": 224}


@check(
    "TLS-003",
    "high",
    "Aucun domaine ne reçoit le certificat par défaut de Traefik",
    key=("domain",),
    message="« {domain} » reçoit le certificat par défaut de Traefik, que tout navigateur refuse : {cause}.",
    fix=Fix("{remedy}", (), LOOK),
)
def own_certificates(tls_probes: pd.DataFrame, routes: pd.DataFrame | None = None) -> Iterator[Record]:
    """Domains that are served « TRAEFIK DEFAULT CERT ». No public authority certifies a name for private use."""
    live = live_domains(routes) if routes is not None else {}
    seen: set[str] = set()
    for probe in records(tls_probes):
        domain = probe["domain"]
        if not probe["default"] or domain in seen:
            continue
        seen.add(domain)
        public = is_public(domain)
        resolvers = sorted({row["cert_resolver"] for row in live.get(domain, []) if row["cert_resolver"]})
        yield {
            "domain": domain,
            "entrypoint": probe["entrypoint"],
            "routers": sorted({row["router"] for row in live.get(domain, [])}),
            "cert_resolver": ", ".join(resolvers) or None,
            "severity": "high" if public else "low",
            "wording": {
                "cause": _why_default(resolvers, domain in live),
                "remedy": _mend_default(resolvers, public=public),
                **look(domain, probe),
            },
        }


def _why_default(resolvers: list[str], known: bool) -> str:
    if resolvers:
        return f"le résolveur {listing(map(quoted, resolvers))} ne lui en a pas donné"
    return "son routeur ne nomme aucun résolveur" if known else "Traefik n’en a aucun autre pour ce nom"


def _mend_default(resolvers: list[str], *, public: bool) -> str:
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
def matching_certificates(certificates: pd.DataFrame, tls_probes: pd.DataFrame) -> Iterator[Record]:
    """Served certificates of other names; Traefik's default one is TLS-003's."""
    seen: set[str] = set()
    for probe, row in served_to(certificates, tls_probes):
        if probe["covers"] is False and probe["default"] is False and probe["domain"] not in seen:
            seen.add(probe["domain"])
            names = [*(row["domains"] or ())]
            shown = listing(map(quoted, names[:5])) + ("…" if len(names) > 5 else "")
            yield {
                "domain": probe["domain"],
                "entrypoint": probe["entrypoint"],
                "domains": names,
                "issuer": row["issuer"],
                "fingerprint": row["fingerprint"],
                "wording": {
                    "names": f"pas ce nom, mais {shown}" if names else "aucun nom",
                    **look(probe["domain"], probe),
                },
            }


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
    certificates: pd.DataFrame,
    routes: pd.DataFrame,
    tls_probes: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Certificates of Let's Encrypt's staging authority or of Pebble, served, or stored for a domain in use."""
    for domain, row, probe in _in_use(certificates, routes, tls_probes):
        if row["staging"]:
            yield _staging(domain, row, probe)


def _in_use(
    certificates: pd.DataFrame, routes: pd.DataFrame, tls_probes: pd.DataFrame | None
) -> Iterator[tuple[str, Record, Record | None]]:
    """Each domain in use with its certificate: as served, with the probe that saw it, else as stored.

    Raises AbsentTable once the stored ones are told, when no probe tells what is served.
    """
    asked: set[str] = set()
    for probe, row in served_to(certificates, tls_probes) if tls_probes is not None else ():
        if probe["domain"] not in asked:
            yield probe["domain"], row, probe
        asked.add(probe["domain"])
    stored = held(certificates, "acme")
    for domain in live_domains(routes):
        best = longest(stored, domain)
        if best and domain not in asked:
            yield domain, best, None
    if tls_probes is None:
        raise AbsentTable("tls_probes", UNSERVED)


def _staging(domain: str, row: Record, probe: Record | None) -> Record:
    return {
        "domain": domain,
        "origin": row["origin"],
        "issuer": row["issuer"],
        "resolver": row["resolver"],
        "wording": {
            "how": "gardé" if probe is None else "servi",
            "named": f" « {row['resolver']} »" if row["resolver"] else "",
            **look(domain, probe),
        },
    }


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
    certificates: pd.DataFrame,
    routes: pd.DataFrame,
    tls_probes: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Certificates of domains in use, served else stored, whose key or signature browsers refuse (CA/B Forum 6.1.5)."""
    for domain, row, probe in _in_use(certificates, routes, tls_probes):
        if weakness := _weakness(row):
            yield _weak(domain, row, weakness, probe)


def _weakness(row: Record) -> str:
    """Why a certificate is weak, as a French clause; "" when it is not, or not known to be."""
    least = _LEAST_BITS.get(row["key_type"] or "")
    said = []
    if least and row["key_size"] and row["key_size"] < least:
        said.append(f"clé {row['key_type']} de {row['key_size']} bits, {least} au moins sont demandés")
    if row["key_type"] and "DSA" in row["key_type"] and row["key_type"] != "ECDSA":
        said.append("clé DSA, que les navigateurs refusent")
    # Nobody checks the signature of a certificate that signs itself.
    if (row["signature"] or "").replace("-", "") in _WEAK_HASHES and not row["self_signed"]:
        said.append(f"signature {row['signature']}")
    return " ; ".join(said)


def _weak(domain: str, row: Record, weakness: str, probe: Record | None) -> Record:
    return {
        "domain": domain,
        "origin": row["origin"],
        "key_type": row["key_type"],
        "key_size": row["key_size"],
        "signature": row["signature"],
        "fingerprint": row["fingerprint"],
        "wording": {
            "how": "servi" if row["origin"] == "served" else "gardé",
            "weakness": weakness,
            **look(domain, probe),
        },
    }
