"""TLS: the certificates that Traefik keeps, and renews in time or not."""

import datetime as dt
from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import covers
from auditlib.checks.moments import DAY, now, start
from auditlib.checks.tls_facts import LOOK, UNSERVED, held, live_domains, longest, look, served_to
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.french import day, instant, listing, plural
from auditlib.traefik.fields import Version, version

# Lifetimes and windows of renewal (`pkg/provider/acme/provider.go`, getCertificateRenewDurations).
_HOUR = dt.timedelta(hours=1)
DEFAULT_LIFETIME = 2160  # hours


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
    certificates: pd.DataFrame,
    docker_engine: pd.DataFrame,
    routes: pd.DataFrame,
    tls_probes: pd.DataFrame | None = None,
    acme_storage: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Expired certificates, served or stored, of domains in use. One that is served well has a stored one to spare.

    Traefik's default certificate is TLS-003's.
    """
    live, proxy = live_domains(routes), _proxy(acme_storage)
    well: set[str] = set()
    told: set[str] = set()
    for probe, row in served_to(certificates, tls_probes) if tls_probes is not None else ():
        if row["not_after"] is None or probe["default"]:
            continue
        if row["not_after"] >= now(docker_engine):
            well.add(probe["domain"])
        elif probe["domain"] not in told:
            told.add(probe["domain"])
            yield _expired(probe["domain"], row, proxy, "servi", probe)
    stored = held(certificates, "acme")
    for domain in live:
        best = longest(stored, domain)
        if best and best["not_after"] < now(docker_engine) and domain not in well | told:
            yield _expired(domain, best, proxy, "gardé", None)
    if tls_probes is None:
        raise AbsentTable("tls_probes", UNSERVED)


def _proxy(acme_storage: pd.DataFrame | None) -> str | None:
    return None if acme_storage is None else next((row["container"] for row in records(acme_storage)), None)


def _expired(domain: str, row: Record, proxy: str | None, how: str, probe: Record | None) -> Record:
    renewed = "Traefik aurait dû le renouveler : corriger ce que son journal dit de ce domaine, puis le redémarrer."
    return {
        "domain": domain,
        "origin": row["origin"],
        "issuer": row["issuer"],
        "not_after": row["not_after"],
        "resolver": row["resolver"],
        "fingerprint": row["fingerprint"],
        "wording": {
            "how": how,
            "ended": instant(row["not_after"]),
            "proxy": proxy,
            "remedy": renewed if proxy else "Renouveler ce certificat, puis vérifier que le proxy sert le nouveau.",
            **look(domain, probe),
        },
    }


def window(hours: int, running: Version | None) -> dt.timedelta | None:
    """How long before its end Traefik renews a certificate of this configured lifetime. None: not known.

    Before 3.2, what it does of lifetimes between 30 and 90 days was not studied; without a version, the narrowest.
    """
    days = hours / 24
    if days >= 365:
        return 120 * DAY
    if days >= 90:
        return 30 * DAY
    if days >= 30:
        return 10 * DAY if running is not None and running >= Version(3, 2, 0) else None
    if running is not None and running >= Version(3, 6, 8) and days >= 6:
        return 2 * DAY
    if days >= 7:
        return DAY
    return 6 * _HOUR if days >= 1 else dt.timedelta(minutes=20)


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
    certificates: pd.DataFrame,
    acme_storage: pd.DataFrame,
    docker_engine: pd.DataFrame,
    traefik: pd.DataFrame,
    traefik_static: pd.DataFrame,
    routes: pd.DataFrame,
) -> Iterator[Record]:
    """Stored certificates of domains in use that have been due for more than a day, with Traefik up meanwhile.

    A lifetime of a few days has a window shorter than that: half of it is waited for then. The lifetime that counts
    is the one that the resolver is told (`certificatesDuration`), not the certificate's own.
    """
    running = next((version(row["version"]) for row in records(traefik)), None)
    started, live = start(traefik), live_domains(routes)
    options = {row["key"].lower(): row["value"] for row in records(traefik_static) if row["effective"]}
    stored = held(certificates, "acme")
    for storage in records(acme_storage):
        told = options.get(f"certificatesresolvers.{storage['resolver'].lower()}.acme.certificatesduration")
        hours = int(told) if told and told.isdecimal() else DEFAULT_LIFETIME if told is None else None
        span = None if hours is None else window(hours, running)
        own = [row for row in stored if row["resolver"] == storage["resolver"]]
        if span is None or started is None:
            continue
        for domain, routed in live.items():
            row = longest(own, domain)
            if row is None or all(route["cert_resolver"] != storage["resolver"] for route in routed):
                continue
            moment, due = now(docker_engine), row["not_after"] - span
            patience = min(DAY, span / 2)
            if row["not_after"] <= moment or moment - due <= patience or moment - started <= patience:
                continue
            yield {
                "domain": domain,
                "resolver": storage["resolver"],
                "not_after": row["not_after"],
                "issuer": row["issuer"],
                "fingerprint": row["fingerprint"],
                "started": started,
                "wording": {
                    "container": storage["container"],
                    "ends": instant(row["not_after"]),
                    "left": _span(row["not_after"] - moment),
                    "due": day(due),
                    **look(domain),
                },
            }


def _span(left: dt.timedelta) -> str:
    return plural(left.days, "jour") if left >= DAY else plural(int(left / _HOUR), "heure")


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
    certificates: pd.DataFrame,
    acme_storage: pd.DataFrame,
    routes: pd.DataFrame,
    tls_probes: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Stored certificates that cover no domain in use and are served to none.

    A router that takes any name, or names that match a pattern, may use any of them: nothing is then said.
    """
    rows = [row for row in records(routes) if row["tls"] and row["status"] != "disabled"]
    anyone = [row for row in rows if not row["domain"] or row["domain"].startswith(("~", "*"))]
    if any(not row["router"].endswith("@internal") for row in anyone):
        return
    live = live_domains(routes)
    given = {row["fingerprint"] for row in (records(tls_probes) if tls_probes is not None else [])}
    paths = {row["resolver"]: row["path"] for row in records(acme_storage)}
    for row in held(certificates, "acme"):
        names = [*(row["domains"] or ())]
        if row["fingerprint"] in given or any(covers(domain, names) for domain in live):
            continue
        yield {
            "certificate": f"{row['domain'] or row['common_name']}@{row['resolver']}",
            "domains": names,
            "not_after": row["not_after"],
            "fingerprint": row["fingerprint"],
            "wording": {
                "names": listing(names[:5]) + ("…" if len(names) > 5 else ""),
                "path": paths.get(row["resolver"]),
            },
        }
