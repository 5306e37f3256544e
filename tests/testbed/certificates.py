"""A test authority, and the acme.json that Traefik would have written had that authority been reachable."""

import base64
import datetime as dt
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .canaries import CANARIES

DOMAINS = ("files.4lb.ca", "ai.4lb.ca", "jsr.4lb.ca", "traefik.4lb.ca")
ISSUED = dt.timedelta(days=30)
REMAINING = dt.timedelta(days=60)
"""Issued a month ago for the usual 90 days: Traefik does not want to renew yet."""


YEAR = dt.timedelta(days=365)


class Authority:
    """A certificate and the key that signs with it."""

    def __init__(self, name: str, parent: "Authority | None" = None) -> None:
        """Make an authority, signed by its parent or by itself."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        signer = parent or self
        now = dt.datetime.now(dt.UTC)
        builder = _builder(self.name, signer.name, self.key, now - YEAR, now + 10 * YEAR)
        usage = x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def issue(self, domain: str) -> tuple[bytes, bytes]:
        """Return the certificate of a domain and its private key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = _builder(_name(domain), self.name, key, now - ISSUED, now + REMAINING)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), secret

    def pem(self) -> bytes:
        """Return the authority's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def write(storage: Path, authority: Path) -> None:
    """Write Traefik's certificate storage (readable by its owner alone) and the authority's certificate."""
    root = Authority("4LB Test Root")
    issuer = Authority("4LB Test R1", root)
    certificates = []
    for domain in DOMAINS:
        certificate, key = issuer.issue(domain)
        chain = certificate + issuer.pem()
        certificates.append(
            {"domain": {"main": domain}, "certificate": _base64(chain), "key": _base64(key), "Store": "default"}
        )
    document = {"letsencrypt": {"Account": _account(), "Certificates": certificates}}
    for path, content in ((authority, root.pem()), (storage, json.dumps(document, indent=2).encode())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)


def _account() -> dict[str, object]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    email = CANARIES["acme-email"]
    # Nothing listens there: a Traefik that tried to renew would say so in its log.
    address = f"https://127.0.0.1:14000/acct/{CANARIES['acme-account']}"
    body = {"status": "valid", "contact": [f"mailto:{email}"]}
    registration = {"body": body, "uri": address}
    return {"Email": email, "Registration": registration, "PrivateKey": _base64(secret), "KeyType": "2048"}


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(start).not_valid_after(end)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
