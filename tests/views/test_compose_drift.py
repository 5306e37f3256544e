"""What differs between a file and a container, on shapes that the cases of COMPOSE-003 do not show."""

from typing import Any

import pytest

from auditlib.views.compose_drift import differences


def service(**more: Any) -> dict[str, Any]:
    made = dict.fromkeys(("network_mode", "image", "image_line", "networks", "networks_line", "mounts", "mounts_line"))
    return {**made, "environment": (), "more_mounts": False, "folder": "/srv/shop", **more}


def container(**more: Any) -> dict[str, Any]:
    return {"image": "nginx:1", "compose_dir": "/srv/shop", **more}


def found(one: dict[str, Any], other: dict[str, Any] | None = None, **rows: list[dict[str, Any]]) -> list[str]:
    written = {name: rows.get(f"asked_{name}", []) for name in ("ports", "labels", "environment")}
    live = {name: rows.get(name, []) for name in ("publications", "labels", "networks", "mounts", "environment")}
    return list(differences(one, written, other or container(), live))


@pytest.mark.parametrize(
    ("wanted", "used", "same"),
    [
        ("nginx", "nginx:latest", True),
        ("docker.io/library/nginx:1", "nginx:1", True),
        ("registry.example:5000/nginx", "registry.example:5000/nginx:latest", True),
        ("nginx:1@sha256:ab", "nginx:1@sha256:ab", True),
        ("nginx:1", "sha256:0123", True),
        (None, "shop-web", True),
        ("nginx:1", "nginx:2", False),
        ("ghcr.io/acme/nginx:1", "nginx:1", False),
    ],
)
def test_images(wanted: str | None, used: str, same: bool) -> None:
    assert (found(service(image=wanted), container(image=used)) == []) is same


def asked(ip: str, first: int | None, inside: int, last: int | None = None, **more: Any) -> dict[str, Any]:
    row = {"protocol": "tcp", "host_ip": ip, "host_port": first, "host_port_last": last, "container_port": inside}
    return {**row, "container_port_last": None, "chosen": first is None, "line": 3, **more}


def published(ip: str, port: int, inside: int) -> dict[str, Any]:
    return {"protocol": "tcp", "host_ip": ip, "host_port": port, "container_port": inside}


BOTH = ("0.0.0.0", "::")


@pytest.mark.parametrize(
    ("wanted", "live", "told"),
    [
        ([asked(ip, 80, 80) for ip in BOTH], [published("0.0.0.0", 80, 80)], []),
        (
            [asked("0.0.0.0", 80, 80)],
            [published(ip, 80, 80) for ip in BOTH],
            ["port 0.0.0.0:80→80 demandé (ligne 3) et non publié", "port 80→80 publié et absent du fichier"],
        ),
        ([asked("127.0.0.1", None, 80)], [published("127.0.0.1", 32768, 80)], []),
        ([asked("127.0.0.1", None, 80)], [], ["port 127.0.0.1:choisi→80 demandé (ligne 3) et non publié"]),
        (
            [asked("127.0.0.1", 8000, 80, 8010, chosen=True)],
            [published("127.0.0.1", 8011, 80)],
            [
                "port 127.0.0.1:8000-8010→80 demandé (ligne 3) et non publié",
                "port 127.0.0.1:8011→80 publié et absent du fichier",
            ],
        ),
        (
            [asked("127.0.0.1", 8000, 80, 8001, container_port_last=81)],
            [published("127.0.0.1", 8000, 80)],
            ["port 127.0.0.1:8001→81 demandé (ligne 3) et non publié"],
        ),
    ],
)
def test_ports(wanted: list[dict[str, Any]], live: list[dict[str, Any]], told: list[str]) -> None:
    assert found(service(), asked_ports=wanted, publications=live) == told


def mount(kind: str, destination: str, source: str | None = None, volume: str | None = None) -> dict[str, Any]:
    return {"type": kind, "source": source, "volume": volume, "destination": destination, "writable": True}


ELSEWHERE = ["montage « /data » d’une autre source"]


@pytest.mark.parametrize(
    ("wanted", "live", "told"),
    [
        ("volume :/data", mount("volume", "/data", volume="0" * 64), []),
        ("bind ~/data:/data", mount("bind", "/data", "/home/me/data"), []),
        ("bind /srv/a:b:/data", mount("bind", "/data", "/srv/a:b"), []),
        ("tmpfs :/data", mount("tmpfs", "/data"), []),
        ("bind [secret retiré]:/data", mount("bind", "/data", "/srv/x"), []),
        ("volume shop_data:/data", mount("volume", "/data", volume="other"), ELSEWHERE),
        ("volume shop_data:/data", mount("bind", "/data", "/x"), ELSEWHERE),
        ("bind /srv/shopping/x:/data", mount("bind", "/data", "/home/shopping/x"), ELSEWHERE),
        ("bind /srv/a:/data:ro", mount("bind", "/data", "/srv/a"), ["montage « /data » inscriptible"]),
    ],
)
def test_mounts(wanted: str, live: dict[str, Any], told: list[str]) -> None:
    assert found(service(mounts=(wanted,)), container(compose_dir="/home"), mounts=[live]) == told
