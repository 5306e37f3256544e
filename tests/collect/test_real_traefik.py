"""A real Traefik of the loopback, as the audit sees it from outside: its routes, its certificates, its faults."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlib.collect import probes, tls, traefik_api
from auditlib.collect.source import Unreadable
from auditlib.parameters import Parameters

from .certificates import Authority

TRAEFIK = Path(sys.executable).with_name("traefik")
pytestmark = pytest.mark.skipif(not TRAEFIK.exists(), reason="no traefik beside this Python: the live extra brings it")

PARAMETERS = Parameters(timeout_s=4)


def dynamic(folder: Path, closed: int, mute: int) -> dict[str, Any]:
    """Routes that answer, and routes that fail in each of the ways that a probe must tell."""
    services = {
        "ferme": [{"url": f"http://127.0.0.1:{closed}"}],
        "muet": [{"url": f"http://127.0.0.1:{mute}"}],
        "vide": [],
    }
    routers = {"sain": "noop@internal", "strict": "noop@internal", **{name: name for name in services}}
    told: dict[str, Any] = {
        name: {"rule": f"Host(`{name}.fr`)", "service": service, "entryPoints": ["websecure"], "tls": {}}
        for name, service in routers.items()
    }
    told["strict"]["tls"] = {"options": "strict"}
    told["secret"] = {**told["sain"], "rule": "Host(`sain.fr`) && PathPrefix(`/secret`)", "middlewares": ["garde"]}
    told["partout"] = {**told["sain"], "rule": "HostRegexp(`.+`)", "priority": 1}
    return {
        "tls": {
            "certificates": [{"certFile": str(folder / "cert.pem"), "keyFile": str(folder / "key.pem")}],
            "options": {"strict": {"sniStrict": True}},
        },
        "http": {
            "routers": told,
            "services": {name: {"loadBalancer": {"servers": servers}} for name, servers in services.items()},
            "middlewares": {"garde": {"basicAuth": {"users": ["a:$apr1$x$y"]}}},
        },
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def payloads(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the source of Traefik's API gave, while that Traefik runs."""
    folder = tmp_path_factory.mktemp("traefik")
    authority.server("sain.fr")
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_bytes((authority.folder / name).read_bytes())
    clear, secure, api = free_port(), free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        (folder / "dynamic.yml").write_text(
            yaml.safe_dump(dynamic(folder, free_port(), mute.getsockname()[1])), "utf-8"
        )
        options = {
            "global.checknewversion": "false",
            "global.sendanonymoususage": "false",
            "entrypoints.web.address": f"127.0.0.1:{clear}",
            "entrypoints.web.http.redirections.entrypoint.to": "websecure",
            "entrypoints.websecure.address": f"127.0.0.1:{secure}",
            "entrypoints.traefik.address": f"127.0.0.1:{api}",
            "api.insecure": "true",
            "providers.file.filename": f"{folder}/dynamic.yml",
        }
        with (folder / "log").open("w") as log:
            command = [str(TRAEFIK), *(f"--{key}={value}" for key, value in options.items())]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield {"engine": None, "traefik_api": wait(f"http://127.0.0.1:{api}")}
        finally:
            process.terminate()
            process.wait()


def wait(address: str) -> dict[str, Any]:
    """The API's answers, once the routes of the file are loaded."""
    end = time.monotonic() + 15
    while True:
        with contextlib.suppress(Unreadable):
            parameters = Parameters(traefik_api=address, timeout_s=4)
            answers = traefik_api.fetch(parameters, {"engine": None, "traefik_static": None})
            if "sain@file" in answers["rawdata"]["routers"]:
                return answers
        assert time.monotonic() < end, "Traefik did not start"
        time.sleep(0.1)


def test_the_certificates_that_it_serves(payloads: dict[str, Any]) -> None:
    reading = tls.rows(tls.fetch(PARAMETERS, payloads))
    told = {row.domain: row for row in reading.tables["tls_probes"]}
    sane = told["sain.fr"]
    assert (sane.covers, sane.default, sane.trusted) == (True, False, False)
    for domain in ("ferme.fr", "muet.fr", "vide.fr"):
        row = told[domain]
        assert (row.covers, row.default, row.trusted) == (False, True, False)
        assert row.untrusted == "il est auto-signé"
    assert not told["strict.fr"].answered
    assert told["strict.fr"].error == "aucun certificat pour ce nom, et le serveur refuse les autres (sniStrict)"
    assert reading.note.endswith(" : partout@file.")


def test_what_it_answers(payloads: dict[str, Any]) -> None:
    reading = probes.rows(probes.fetch(PARAMETERS, payloads))
    rows = reading.tables["http_probes"]
    told = {f"{row.domain}{row.path}": row for row in rows if row.entrypoint == "websecure"}
    assert {name: (row.status, row.own_answer) for name, row in told.items() if row.status} == {
        "sain.fr/": (418, False),
        "sain.fr/secret": (401, False),
        "ferme.fr/": (502, True),
        "vide.fr/": (503, True),
    }
    assert told["sain.fr/secret"].authentication == "Basic"
    # A backend that takes the connection and says nothing: told with the time that it took.
    assert told["muet.fr/"].error == "délai dépassé"
    assert 950 <= told["muet.fr/"].latency_ms < 1500
    assert "sniStrict" in told["strict.fr/"].error
    redirected = {row.domain: row for row in rows if row.entrypoint == "web"}
    assert {row.status for row in redirected.values()} == {301}
    assert (redirected["sain.fr"].final_status, redirected["vide.fr"].final_status) == (418, 503)
    assert redirected["sain.fr"].redirects == (told["sain.fr/"].url,)
