"""X.509 certificates as rows of `certificates`: what a certificate says of itself, never a private key."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from auditlib.collect.secrets import redact
from auditlib.facts.tables.web import Certificate

DEFAULT_NAME = "TRAEFIK DEFAULT CERT"
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Let's Encrypt: « (STAGING) … » since 2021, « Fake LE … » before; Pebble, its test server.
_STAGING = re.compile(r"\(STAGING\)|^Fake LE |^Pebble ", re.IGNORECASE)
_CURVES = (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)


def leaf(pem: bytes) -> bytes | None:
    """The first certificate of a PEM chain, or None. What else stands there (a key) is left behind."""
    block = _BLOCK.search(pem)
    return block.group() if block else None


def from_pem(pem: bytes, place: Certificate) -> Certificate:
    """The row of a certificate: its place, with what the first of a PEM chain says, or why it cannot be read."""
    block = leaf(pem)
    if block is None:
        return unreadable(place, "aucun certificat PEM")
    return _described(x509.load_pem_x509_certificate, block, place)


def from_der(der: bytes, place: Certificate) -> Certificate:
    """The row of a certificate: its place, with what it says in a TLS connection, or why it cannot be read."""
    return _described(x509.load_der_x509_certificate, der, place)


def unreadable(place: Certificate, cause: str) -> Certificate:
    """The row of a certificate that cannot be read."""
    return replace(place, valid=False, cause=cause)


def _described(load: Callable[[bytes], x509.Certificate], content: bytes, place: Certificate) -> Certificate:
    # The library reads a certificate as it is asked for its parts: any of them may be malformed.
    try:
        return _row(load(content), place)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return unreadable(place, "certificat X.509 mal formé")


def _row(certificate: x509.Certificate, place: Certificate) -> Certificate:
    common_name, issuer = _named(certificate.subject), _named(certificate.issuer)
    organisation = _attribute(certificate.issuer, NameOID.ORGANIZATION_NAME)
    hashed, (key_type, key_size) = certificate.signature_hash_algorithm, _key(certificate)
    return replace(
        place,
        common_name=common_name,
        domains=_domains(certificate),
        issuer=issuer,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_size=key_size,
        signature=hashed.name.upper() if hashed else None,
        staging=bool(_STAGING.search(issuer or "") or _STAGING.search(organisation or "")),
        self_signed=certificate.subject == certificate.issuer,
        default=common_name == DEFAULT_NAME,
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid=True,
    )


def _domains(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that it covers; mail addresses are personal and cover nothing here."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return tuple(sorted({*(name.lower() for name in names.get_values_for_type(x509.DNSName)), *addresses}))


def _key(certificate: x509.Certificate) -> tuple[str, int | None]:
    """The type of a certificate's key, and its size in bits."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECDSA", key.key_size
    return "Ed25519" if isinstance(key, _CURVES[0]) else type(key).__name__, None


def _named(name: x509.Name) -> str | None:
    """What a subject or an issuer is called: its common name, else its organisation."""
    return _attribute(name, NameOID.COMMON_NAME) or _attribute(name, NameOID.ORGANIZATION_NAME)


def _attribute(name: x509.Name, kind: x509.ObjectIdentifier) -> str | None:
    values = [str(attribute.value) for attribute in name.get_attributes_for_oid(kind)]
    return redact(values[0]) if values and values[0] else None


def of_api(certificate: dict[str, Any]) -> Certificate:
    """One certificate as Traefik's API tells it (`/api/certificates`, 3.7.0 and later)."""
    issuer = certificate.get("issuerCN") or certificate.get("issuerOrg") or None
    organisation = certificate.get("issuerOrg") or ""
    # Go says SHA256-RSA, ECDSA-SHA256, Ed25519.
    algorithm = re.search(r"SHA\d+|MD5|MD2", certificate.get("signatureAlgorithm") or "")
    key_type = certificate.get("keyType") or None
    serial = str(certificate.get("serialNumber") or "")
    return Certificate(
        origin="traefik_api",
        common_name=certificate.get("commonName") or None,
        domains=tuple(sorted(certificate.get("sans") or [])),
        issuer=issuer,
        not_before=certificate.get("notBefore"),
        not_after=certificate.get("notAfter"),
        key_type=key_type,
        key_size=certificate.get("keySize") or None if key_type in ("RSA", "ECDSA") else None,
        signature=algorithm.group() if algorithm else None,
        staging=bool(_STAGING.search(issuer or "") or _STAGING.search(organisation)),
        # The API tells two names of each side, not the whole: the same ones are not yet the same authority.
        self_signed=None,
        default=certificate.get("commonName") == DEFAULT_NAME,
        serial=f"{int(serial):x}" if serial.isdecimal() else None,
        fingerprint=certificate.get("certFingerprint") or certificate.get("name"),
        valid=True,
    )
