"""What differs between a file and a container, on shapes that the cases of COMPOSE-003 do not show."""

from typing import Any

import pytest

from auditlib.facts.tables.compose import ComposePort, ComposeProject, ComposeService
from auditlib.facts.tables.docker import Container, Mount, Publication
from auditlib.views.compose_drift import Live, Written, differences

PROJECT = ComposeProject(root="/srv", files="shop/compose.yml", folder="shop")


def service(**columns: Any) -> ComposeService:
    return ComposeService(
        root="/srv", files="shop/compose.yml", service="web", environment=(), more_mounts=False, **columns
    )


def container(image: str = "nginx:1", folder: str = "/srv/shop") -> Container:
    return Container(name="shop-web-1", image=image, compose_dir=folder)


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
    written, live = Written(PROJECT, service(image=wanted)), Live(container(image=used))
    assert ([*differences(written, live)] == []) is same


def asked(
    ip: str, first: int | None, inside: int, last: int | None = None, *, inside_last: int | None = None
) -> ComposePort:
    return ComposePort(
        root="/srv",
        files="shop/compose.yml",
        service="web",
        protocol="tcp",
        host_ip=ip,
        host_port=first,
        host_port_last=last,
        container_port=inside,
        container_port_last=inside_last,
        # A range for one port lets the engine choose.
        chosen=first is None or (last is not None and inside_last is None),
        line=3,
    )


def published(ip: str, port: int, inside: int) -> Publication:
    return Publication(
        container="shop-web-1", protocol="tcp", host_ip=ip, host_port=port, container_port=inside, live=True
    )


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
            [asked("127.0.0.1", 8000, 80, 8010)],
            [published("127.0.0.1", 8011, 80)],
            [
                "port 127.0.0.1:8000-8010→80 demandé (ligne 3) et non publié",
                "port 127.0.0.1:8011→80 publié et absent du fichier",
            ],
        ),
        (
            [asked("127.0.0.1", 8000, 80, 8001, inside_last=81)],
            [published("127.0.0.1", 8000, 80)],
            ["port 127.0.0.1:8001→81 demandé (ligne 3) et non publié"],
        ),
    ],
)
def test_ports(wanted: list[ComposePort], live: list[Publication], told: list[str]) -> None:
    assert [*differences(Written(PROJECT, service(), wanted), Live(container(), live))] == told


def mount(kind: str, destination: str, source: str | None = None, volume: str | None = None) -> Mount:
    return Mount(
        container="shop-web-1", type=kind, source=source, volume=volume, destination=destination, writable=True
    )


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
def test_mounts(wanted: str, live: Mount, told: list[str]) -> None:
    written = Written(PROJECT, service(mounts=(wanted,)))
    assert [*differences(written, Live(container(folder="/home"), mounts=[live]))] == told
