"""A Docker engine of answers: it serves a payload as recorded, under the engine's own routes."""

import base64
import io
import json
import re
import shutil
import ssl
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .servers import Reply, Request, Web, as_json


class FakeEngine:
    """Serves `payload`; `replies` replace the answers of routes, `files` are what is in every container.

    A file's value is its bytes, the text that a link holds, or None for a folder.
    """

    def __init__(self, payload: dict[str, Any], tls: ssl.SSLContext | None = None) -> None:
        self.payload = payload
        self.replies: dict[str, Reply] = {}
        self.files: dict[str, bytes | str | None] = {}
        self.modes: dict[str, int] = {}
        self.web = Web(self.respond, tls)

    @contextmanager
    def over_socket(self) -> Iterator[str]:
        """Serve on a socket file; gives its address. Socket files need short names: not pytest's folder."""
        folder = Path(tempfile.mkdtemp(prefix="moteur-"))
        folder.chmod(0o755)
        try:
            with self.web.over_socket(folder / "docker.sock"):
                yield f"unix://{folder}/docker.sock"
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def over_tcp(self) -> Iterator[str]:
        with self.web.over_tcp() as port:
            yield f"tcp://localhost:{port}"

    @property
    def asked(self) -> set[str]:
        """The routes that were asked for, without the version of the API."""
        return {_route(request) for request in self.web.requests}

    def respond(self, request: Request) -> Reply:
        route = _route(request)
        if route in self.replies:
            return self.replies[route]
        if request.method != "GET":
            return as_json({"message": "method not allowed"}, 405)
        whole = {
            "/version": self.payload["version"],
            "/info": self.payload["info"],
            "/networks": self.payload["networks"],
            "/volumes": {"Volumes": self.payload["volumes"], "Warnings": None},
            "/images/json": self.payload["images"],
            "/system/df": {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": None},
            "/containers/json": [{"Id": one["Id"], "ImageID": one["Image"]} for one in self._listed(request)],
        }
        if route in whole:
            return as_json(whole[route])
        for container in self.payload["containers"]:
            if route == f"/containers/{container['Id']}/json":
                return as_json(container)
            if route == f"/containers/{container['Id']}/archive":
                return self._archive(request.query["path"])
        for image in self.payload.get("used_images", []):
            if route == f"/images/{image['Id']}/json":
                return as_json(image)
        return as_json({"message": f"No such container or image: {route}"}, 404)

    def _listed(self, request: Request) -> list[dict[str, Any]]:
        everything = request.query.get("all") in ("1", "true", "True")
        return [one for one in self.payload["containers"] if everything or one["State"]["Running"]]

    def _archive(self, path: str) -> Reply:
        if path not in self.files:
            return as_json({"message": f"Could not find the file {path} in container"}, 404)
        content = self.files[path]
        member = tarfile.TarInfo(Path(path).name)
        member.mode = self.modes.get(path, 0o600)
        if content is None:
            member.type = tarfile.DIRTYPE
        elif isinstance(content, str):
            member.type, member.linkname = tarfile.SYMTYPE, content
        else:
            member.size = len(content)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
        stat = base64.b64encode(json.dumps({"name": member.name, "size": member.size}).encode()).decode()
        headers = {"Content-Type": "application/x-tar", "X-Docker-Container-Path-Stat": stat}
        return Reply(200, packed.getvalue(), headers)


def _route(request: Request) -> str:
    return unquote(re.sub(r"^/v\d+\.\d+(?=/)", "", request.path))
