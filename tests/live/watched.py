"""A real Traefik that watches one file of configuration: what it makes of one text after another."""

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.live.programs import api, free_ports, program

MARKER = "MARKER"  # stands in a text for the name of its router by which it is seen to be loaded
_REFUSED = ("Error occurred during watcher callback", "Error while building configuration (for the first time)")


@dataclass
class Watching:
    """A running Traefik, its API and its file."""

    address: str
    folder: Path
    suffix: str = ".yml"
    loads: int = 0
    read: int = field(default=0)  # bytes of the log that were read

    def load(self, text: str) -> dict[str, Any] | str:
        """What the API then shows of the text, or the error with which Traefik refuses it."""
        self.loads += 1
        name = f"marker-{self.loads}"
        part = self.folder / "part"
        part.write_text(text.replace(MARKER, name), "utf-8")
        part.replace(self.folder / f"dynamic{self.suffix}")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if (error := self.refusal()) is not None:
                return error
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                shown: dict[str, Any] = api(self.address, "/api/rawdata")
                if f"{name}@file" in shown.get("routers", {}):
                    return shown
            time.sleep(0.01)
        raise AssertionError(f"neither loaded nor refused:\n{text}")

    def refusal(self) -> str | None:
        """The error of the last refusal that the log tells since it was last read."""
        with (self.folder / "traefik.log").open("rb") as log:
            log.seek(self.read)
            lines = log.read().rpartition(b"\n")[0]
        self.read += len(lines) + 1 if lines else 0
        events = [json.loads(line) for line in lines.splitlines()]
        return next((str(event["error"]) for event in reversed(events) if event.get("message") in _REFUSED), None)


@contextlib.contextmanager
def watching(version: str, folder: Path, suffix: str = ".yml") -> Iterator[Watching]:
    """A Traefik of a version, whose file has that suffix and is empty for now."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    static = {
        "entryPoints": {"traefik": {"address": address}, "web": {"address": "127.0.0.1:0"}},
        "api": {"insecure": True},
        "providers": {
            "file": {"filename": str(folder / f"dynamic{suffix}"), "watch": True},
            "providersThrottleDuration": "1ms",
        },
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR", "format": "json", "filePath": str(folder / "traefik.log")},
    }
    (folder / "traefik.yml").write_text(yaml.safe_dump(static), "utf-8")
    (folder / f"dynamic{suffix}").write_text("", "utf-8")
    (folder / "traefik.log").touch()
    with (folder / "output").open("wb") as output:
        command = [program(version), f"--configFile={folder / 'traefik.yml'}"]
        running = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                api(address, "/api/rawdata")
                break
            time.sleep(0.1)
        yield Watching(address, folder, suffix)
    finally:
        running.terminate()
        running.wait(20)
