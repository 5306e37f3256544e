"""What the checks on certificates ask: the domains in use, what they are served, what is stored for them.

The table `certificates` has three sources: rows of origin « acme » are known when `acme_storage` was read, those of
origin « served » when `tls_probes` was.
"""

from collections.abc import Iterable, Iterator

import pandas as pd

from auditlib.addresses import covers
from auditlib.facts.legacy import Record, records

# How to look at a certificate: curl tells its names, its dates and its issuer.
LOOK = ("curl -kvsS -o /dev/null --resolve {resolve} {url}",)
UNSERVED = "les certificats servis n’ont pas été lus"


def live_domains(routes: pd.DataFrame) -> dict[str, list[Record]]:
    """The domains that routers in force serve with TLS, and their routes."""
    found: dict[str, list[Record]] = {}
    for row in records(routes):
        if row["domain"] and row["tls"] and row["status"] != "disabled" and not row["domain"].startswith(("~", "*")):
            found.setdefault(row["domain"], []).append(row)
    return found


def look(domain: str, probe: Record | None = None) -> Record:
    """Wording of a command that asks this machine's proxy for a domain."""
    host, _, port = ((probe or {}).get("address") or "127.0.0.1:443").rpartition(":")
    at = f":{port}" if port != "443" else ""
    return {"resolve": f"{domain}:{port}:{host}", "url": f"https://{domain}{at}/"}


def held(certificates: pd.DataFrame, origin: str) -> list[Record]:
    """The certificates of an origin that can be read and have an end."""
    return [row for row in records(certificates) if row["origin"] == origin and row["valid"] and row["not_after"]]


def served_to(certificates: pd.DataFrame, tls_probes: pd.DataFrame) -> Iterator[tuple[Record, Record]]:
    """Each probe of a domain with the certificate that it was given."""
    known = {(row["domain"], row["fingerprint"]): row for row in records(certificates) if row["origin"] == "served"}
    for probe in records(tls_probes):
        if certificate := known.get((probe["domain"], probe["fingerprint"])):
            yield probe, certificate


def longest(certificates: Iterable[Record], domain: str) -> Record | None:
    """Of stored certificates, the one of a domain that ends last."""
    fit = [row for row in certificates if covers(domain, row["domains"] or ())]
    return max(fit, key=lambda row: row["not_after"], default=None)
