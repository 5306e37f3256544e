"""Where the testbed keeps everything: one state folder, nothing outside it."""

import os
from pathlib import Path

STATE = Path(os.environ.get("AUDITLIB_TESTBED") or "/var/lib/auditlib-testbed").absolute()
"""The state folder: everything the testbed writes is below it."""

PROGRAMS = STATE / "programs"
"""Programs of other versions than the pinned ones, for the live tests; kept when the server is stopped."""

RUN = STATE / "run"
"""Sockets and pid files."""

LOGS = STATE / "logs"
"""Logs of the engine and of the host services (Traefik's own are in the projects tree)."""

SOCKET = RUN / "docker.sock"
DOCKER_HOST = f"unix://{SOCKET}"
"""What a Docker client needs to reach the private engine, and no other."""

PROJECTS = STATE / "projets"
"""The reference server's projects folder (its `/home/lalpha/projets`)."""

STACK = PROJECTS / "infrastructure" / "unified-stack"
ACME_STORAGE = STACK / "traefik" / "certs" / "acme.json"
TRAEFIK_LOG = STACK / "traefik" / "logs" / "traefik.log"
ACCESS_LOG = STACK / "traefik" / "logs" / "access.log"

AUTHORITY = STATE / "pki" / "ca.pem"
"""The certificate of the test authority that signed what Traefik serves."""

SOURCE = Path(__file__).parent
"""This package: the data it copies."""
