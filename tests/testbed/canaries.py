"""Secrets planted wherever one can stand. None of them may be found in anything an audit writes.

The files under `projets/` and `healthy/` name them as `@canary:PLACE@`; the value is put in when the tree is written.
"""

import base64
import hashlib
import json

from .paths import ACME_STORAGE


def _canary(place: str) -> str:
    """Return a value that says where it was planted, the same at every run."""
    return f"CANARI-{place}-{hashlib.sha256(place.encode()).hexdigest()[:10]}"


def _sha1(password: str) -> str:
    """Return a password's entry in an htpasswd file, in the one scheme that the standard library can write."""
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


ADMIN_PASSWORD = _canary("dashboard-password")
TRAEFIK_AUTH = f"admin:{ADMIN_PASSWORD}"
"""Who may open traefik.4lb.ca: in the healthy variant it is the only way to Traefik's API."""

CANARIES: dict[str, str] = {
    place: _canary(place)
    for place in (
        # Environment of containers
        "env-postgres",  # also inside the connection string DATABASE_URL of media-api
        "env-grafana",
        "env-code-server",
        "env-bouncer-key",
        "env-dns-token",
        "env-media-secret",
        "env-agent-zero",
        # Command lines
        "acme-eab",  # a flag of Traefik
        "command-media-api",  # also in the container's log
        "command-redis",  # only in .env while Redis has no password; then also in a connection string
        "command-backend",  # a process of the host
        # Labels
        "label-rule",  # inside a router's rule: Header(`X-Token`, `…`)
        "label-header",  # a header that a middleware adds
        "label-arbitrary",
        # The file provider
        "file-header",
        # Files that no container reads
        "dotenv-openai",
        "dotenv-robin",
        "backup-dump",
        # Logs
        "log-query",  # query string of a request, in Traefik's access log
        "log-message",  # user information of an address, in Traefik's log
        # acme.json, beside its private keys
        "acme-account",
    )
}
CANARIES |= {
    "acme-email": "canari-acme-email-5b1f0c@4lb.ca",
    "label-basic-auth": "$apr1$CANARI7a$0sUbHkTqCANARIlabelhash",
    "dashboard-password": ADMIN_PASSWORD,
    "file-basic-auth": _sha1(ADMIN_PASSWORD),
}
"""Every planted secret by place; `private_keys` has those that are made at each start."""


def private_keys() -> list[str]:
    """Return the keys of the running testbed's acme.json, as they stand in it."""
    keys: list[str] = []
    for resolver in json.loads(ACME_STORAGE.read_text()).values():
        keys.append(resolver["Account"]["PrivateKey"])
        keys += [certificate["key"] for certificate in resolver["Certificates"]]
    return keys
