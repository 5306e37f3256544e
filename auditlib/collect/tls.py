"""The certificate that the local proxy really serves for each live domain, read by a handshake and then judged."""

import ssl
import time
from functools import partial
from typing import Any

from auditlib.addresses import covers, joined
from auditlib.collect import certificates, proxy
from auditlib.collect.dial import Address, dial, fault, unverified
from auditlib.collect.proxy import Proxy, Target
from auditlib.collect.source import PATIENCE, Payloads, Reading
from auditlib.facts.tables.web import Certificate, TlsProbe
from auditlib.parameters import Parameters

MAX_NAMES = 200
LONGEST = 10.0  # seconds for one name, two handshakes included

# OpenSSL's X509_V_ERR codes (x509_vfy.h).
_UNTRUSTED = {
    9: "il n’est pas encore valable",
    10: "il a expiré",
    18: "il est auto-signé",
    19: "son autorité racine est inconnue de cette machine",
    20: "son autorité est inconnue de cette machine",
    21: "sa chaîne est incomplète, ou son autorité inconnue de cette machine",
    26: "il n’est pas fait pour un serveur",
    66: "sa clé est trop faible",
    68: "sa signature est trop faible",
}


def fetch(parameters: Parameters, payloads: Payloads) -> dict[str, Any]:
    """One answer for each live name and entry point; those that came too late are counted in `late`."""
    until = time.monotonic() + PATIENCE * parameters.timeout_s
    found = proxy.find(payloads)
    # Half of a name's time for each of its two handshakes.
    seconds = min(parameters.timeout_s / 4, LONGEST) / 2
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_default_certs()
    trusting.check_hostname = False
    contexts = trusting, unverified()
    return proxy.answers(found, found.tls(), MAX_NAMES, partial(_handshake, found, contexts, seconds), until)


def _handshake(
    found: Proxy, contexts: tuple[ssl.SSLContext, ssl.SSLContext], seconds: float, target: Target
) -> dict[str, Any]:
    """What is served for a name. Verified first: a certificate that this machine does not trust is asked for again."""
    answer: dict[str, Any] = {"domain": target.domain, "entrypoint": target.entrypoint, "untrusted": None}
    for context in contexts:
        for address in found.gates[target.entrypoint].addresses:
            try:
                return {**answer, **_read(address, found, seconds, context, target.domain)}
            except ssl.SSLCertVerificationError as error:
                answer["untrusted"] = error.verify_code
                break
            except (OSError, ValueError) as error:
                answer |= {"address": joined(*address), "error": fault(error)}
                if not isinstance(error, ConnectionRefusedError):
                    return answer
        else:
            return answer  # nothing listens at any address of this entry point
    return answer


def _read(address: Address, found: Proxy, seconds: float, context: ssl.SSLContext, name: str) -> dict[str, Any]:
    with dial(address, found.own, seconds, context, name) as line:
        assert isinstance(line, ssl.SSLSocket)  # noqa: S101 - what a context makes
        der = line.getpeercert(binary_form=True) or b""
        return {"address": joined(*address), "error": None, "tls_version": line.version(), "der": der.hex()}


def rows(payload: dict[str, Any]) -> Reading:
    """Rows of `tls_probes` and `certificates`."""
    pairs = [(answer, _certificate(answer)) for answer in payload["answers"]]
    served = {(row.domain, row.fingerprint): row for _, row in pairs if row}
    probes = [_probe(answer, row) for answer, row in pairs]
    return proxy.reading(payload, {"tls_probes": probes, "certificates": list(served.values())})


def _certificate(answer: dict[str, Any]) -> Certificate | None:
    """The certificate that was served, if one was."""
    if not answer.get("der"):
        return None
    return certificates.from_der(bytes.fromhex(answer["der"]), Certificate(origin="served", domain=answer["domain"]))


def _probe(answer: dict[str, Any], certificate: Certificate | None) -> TlsProbe:
    answered, code = "tls_version" in answer, answer["untrusted"]
    untrusted = None if code is None else _UNTRUSTED.get(code, f"sa chaîne est refusée (code {code} d’OpenSSL)")
    readable = certificate if certificate and certificate.valid else None
    return TlsProbe(
        domain=answer["domain"],
        entrypoint=answer["entrypoint"],
        address=answer.get("address"),
        answered=answered,
        error=answer.get("error"),
        tls_version=answer.get("tls_version"),
        fingerprint=readable.fingerprint if readable else None,
        covers=covers(answer["domain"], readable.domains or ()) if readable else None,
        default=readable.default if readable else None,
        trusted=(code is None) if answered else None,
        untrusted=untrusted,
    )
