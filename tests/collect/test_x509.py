"""Certificates as rows: what they say, from PEM, from a connection, from Traefik's API; and what cannot be read."""

import base64
import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect import certificates, traefik_api
from auditlib.facts.tables.web import Certificate
from tests.conftest import PAYLOADS, payload

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def name(common: str, organisation: str = "") -> x509.Name:
    given = {NameOID.COMMON_NAME: common, NameOID.ORGANIZATION_NAME: organisation}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in given.items() if value])


def made(
    subject: x509.Name,
    issuer: x509.Name | None = None,
    names: tuple[x509.GeneralName, ...] = (),
    key: Any = None,
) -> x509.Certificate:
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).serial_number(255)
    builder = builder.public_key(key.public_key()).not_valid_before(NOON).not_valid_after(NOON + dt.timedelta(90))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


PLACE = Certificate(origin="served", domain="a.fr")


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def test_what_a_certificate_says() -> None:
    names = (x509.DNSName("B.fr"), x509.DNSName("*.a.fr"), x509.RFC822Name("moi@a.fr"))
    certificate = made(name("a.fr"), name("R3", "Let's Encrypt"), names)
    row = certificates.from_der(der(certificate), PLACE)
    assert row == Certificate(
        origin="served",
        domain="a.fr",
        common_name="a.fr",
        domains=("*.a.fr", "b.fr"),
        issuer="R3",
        not_before=dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC),
        not_after=dt.datetime(2027, 2, 21, 12, tzinfo=dt.UTC),
        key_type="ECDSA",
        key_size=256,
        signature="SHA256",
        staging=False,
        self_signed=False,
        default=False,
        serial="ff",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid=True,
    )
    Certificate.table.rows([row])


@pytest.mark.parametrize(
    ("key", "kind", "size", "signature"),
    [
        (rsa.generate_private_key(65537, 1024), "RSA", 1024, "SHA256"),
        (ec.generate_private_key(ec.SECP384R1()), "ECDSA", 384, "SHA256"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", None, None),
    ],
)
def test_keys(key: Any, kind: str, size: int | None, signature: str | None) -> None:
    row = certificates.from_pem(pem(made(name("a.fr"), key=key)), PLACE)
    assert (row.key_type, row.key_size, row.signature) == (kind, size, signature)
    assert row.self_signed
    assert row.domains == ()


@pytest.mark.parametrize(
    ("issuer", "staging"),
    [
        (name("(STAGING) Counterfeit Cashew R10", "(STAGING) Let's Encrypt"), True),
        (name("Fake LE Intermediate X1"), True),
        (name("Pebble Intermediate CA 4f8d"), True),
        (name("", "(STAGING) Internet Security"), True),
        (name("R3", "Let's Encrypt"), False),
        (name("Staging Area Ltd"), False),
    ],
)
def test_authorities_of_trial(issuer: x509.Name, staging: bool) -> None:
    assert certificates.from_pem(pem(made(name("a.fr"), issuer)), PLACE).staging is staging


def test_the_leaf_of_a_chain_is_the_first_and_keys_are_left() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf, root = made(name("a.fr"), name("R")), made(name("R"))
    chain = secret + pem(leaf) + pem(root)
    assert certificates.leaf(chain) == pem(leaf).strip()
    assert certificates.from_pem(chain, PLACE).common_name == "a.fr"
    assert b"PRIVATE" not in (certificates.leaf(chain) or b"")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "aucun certificat PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "aucun certificat PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificat X.509 mal formé"),
        (b"-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----", "certificat X.509 mal formé"),
        (b"-----BEGIN CERTIFICATE-----\n" + b"MIIB" * 30, "aucun certificat PEM"),
    ],
)
def test_what_cannot_be_read(content: bytes, cause: str) -> None:
    assert certificates.from_pem(content, PLACE) == replace(PLACE, valid=False, cause=cause)


WHOLE = der(made(name("a.fr", "Société"), name("R"), (x509.DNSName("a.fr"), x509.DNSName("*.b.fr"))))


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=0, max_size=4))
def test_a_damaged_certificate_is_a_row_all_the_same(position: int, damage: bytes) -> None:
    row = certificates.from_der(WHOLE[:position] + damage + WHOLE[position + len(damage) + 1 :], PLACE)
    assert row.valid or row.cause == "certificat X.509 mal formé"
    Certificate.table.rows([row])


def test_what_traefik_tells_of_its_certificates() -> None:
    recorded = json.loads((PAYLOADS / "certificates-3.7.15.json").read_text("utf-8"))
    api = {**payload("faulty", "traefik_api"), "version": {"Version": "3.7.15"}, "certificates": recorded}
    rows = traefik_api.rows(api).tables["certificates"]
    assert len(Certificate.table.rows(rows)) == 2
    told = {row.common_name: row for row in rows}
    first = told["a.example.com"]
    assert first.domains == ("*.b.example.com", "a.example.com")
    assert (first.key_type, first.key_size, first.signature) == ("RSA", 2048, "SHA256")
    assert (first.origin, first.default, first.staging) == ("traefik_api", False, False)
    assert first.not_after == "2027-01-24T09:45:41Z"
    assert len(first.fingerprint) == 64
    assert int(first.serial, 16) == 476619333799838403917575824902967086526382013567
    assert told["bientot.example.com"].key_type == "ECDSA"


def test_before_37_and_when_the_list_is_refused() -> None:
    api = payload("faulty", "traefik_api")
    assert "certificates" not in traefik_api.rows(api).tables
    shut = traefik_api.rows({**api, "certificates": None, "shut": "l’API répond HTTP 500 à /api/certificates"})
    assert shut.gaps == ["l’API répond HTTP 500 à /api/certificates"]
    assert "certificates" not in shut.tables


def test_base64_of_a_chain_as_traefik_stores_it() -> None:
    sample = json.loads((PAYLOADS / "acme-3.7.15-sample.json").read_text("utf-8"))
    [stored] = sample["le"]["Certificates"]
    row = certificates.from_pem(base64.b64decode(stored["certificate"]), PLACE)
    assert row.domains == ("a.example.com", "b.example.com")
    assert row.issuer == "Fake R1"
