"""The re-runnable check of this very server, as a POSIX shell script written from a snapshot.

What the script looks at again is fixed when it is written: the containers that ran, the networks of what is routed,
the ports and their owners, the domains, the databases, the ACME storage. Everything it says is French, everything it
runs only reads. All text from the machine is quoted by `shlex`; text that hides a control character cannot be typed
again, and is told as not verified.

Its functions are in `check_global.sh`, which is the whole script but for what is this server's own: each `@name@` there
stands for lines.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.table import Rows
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Container, DockerEngine
from auditlib.facts.tables.host import Host
from auditlib.facts.tables.web import AcmeStorage, HttpProbe
from auditlib.french import day, instant, typography, visible
from auditlib.software import borrows, database_of, is_up
from auditlib.version import __version__
from auditlib.views.databases import trial_commands
from auditlib.views.ports import HostPort, ephemeral
from auditlib.views.proxy import Proxy, RoutedContainer
from auditlib.views.routes import Route

_TEMPLATE = Path(__file__).with_suffix(".sh")

# Where the Docker client looks by itself.
_DEFAULT_ENGINES = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")
# An address of the engine that a client can be given again, as it was shown: nothing was taken out of it.
_ENGINE = re.compile(r"(?:unix|tcp|ssh|fd|http|https)://[\w.@:/\[\]%~+-]+")
# Names of hosts and paths that need no more than quoting in a URL.
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)

_HELP = """\
Usage : sh check_global.sh [--help]

Contrôle de la machine « {host} », écrit d’après l’audit du {day}.
Regarde à nouveau, sans rien modifier : conteneurs, réseaux, ports, domaines, bases de données et stockage ACME.
Une ligne par vérification : « ok », « ÉCART », ou « non vérifié » quand un outil ou un droit manque.

Code de sortie : 0 aucun écart ; 1 au moins un écart ; 2 impossible (Docker absent ou injoignable, rien de vérifiable).
"""


def script(snapshot: Snapshot) -> str:
    """The text of `check_global.sh`: POSIX, UTF-8, and the same for the same snapshot."""
    host = visible(snapshot.hostname)
    lines = {
        "host": [host],
        "moment": [instant(snapshot.collected, snapshot.zone)],
        "help": [shlex.quote(typography(_HELP.format(host=host, day=day(snapshot.collected))))],
        "engine": [*_engine(snapshot)],
        "agent": [shlex.quote(f"auditlib/{__version__}")],
        "sections": [*_sections(snapshot)],
    }

    def written(place: re.Match[str]) -> str:
        return "".join(f"{line}{place['end']}" for line in lines[place["name"]])

    return re.sub(r"@(?P<name>[a-z]+)@(?P<end>\n?)", written, _TEMPLATE.read_text("utf-8"))


def _engine(snapshot: Snapshot) -> Iterator[str]:
    """The audited engine, where the client would not find it by itself."""
    endpoint = next((engine.endpoint for engine in snapshot.known(DockerEngine) or ()), None)
    if not endpoint or endpoint in _DEFAULT_ENGINES:
        return
    if _ENGINE.fullmatch(endpoint):
        yield f"DOCKER_HOST={shlex.quote(endpoint)}"
        yield "export DOCKER_HOST"
    else:
        yield f"# Moteur contrôlé : celui que désigne DOCKER_HOST (à l’audit : {visible(endpoint)})."


def _sections(snapshot: Snapshot) -> Iterator[str]:
    """The verifications, each section under its title."""
    for title, section in _SECTIONS.items():
        yield from ("", _call("titre", title))
        try:
            yield from list(section(snapshot)) or ["echo '  rien à vérifier'"]
        except AbsentTable as absent:
            yield _call("inverifie", f"{title} : {absent.reason}")


def _call(function: str, *words: object) -> str:
    """One line of the script: a function of it and its words.

    A word that hides something, or a name that a program would take for an option, is not repeated.
    """
    texts = [str(word) for word in words]
    if any(visible(text) != text for text in texts) or texts[0].startswith("-"):
        return f"inverifie {shlex.quote(typography('nom illisible : ' + ' '.join(map(visible, texts))))}"
    if function in ("titre", "inverifie"):
        texts = [typography(text) for text in texts]
    return " ".join([function, *map(shlex.quote, texts)])


def _remote(snapshot: Snapshot) -> bool:
    """Whether the engine is known to run on another machine: this one's ports and files are not its own."""
    return any(engine.local is False for engine in snapshot.known(DockerEngine) or ())


def _containers(snapshot: Snapshot) -> Iterator[str]:
    """Containers that ran or that the engine must keep running; healthy where they say how to tell."""
    for container in snapshot.rows(Container):
        if is_up(container.state) or container.restart_policy == "always":
            yield _call("conteneur", container.name, "sain" if container.healthcheck else "")


def _networks(snapshot: Snapshot) -> Iterator[str]:
    """Traefik on its networks, and what it routes on the network it takes the addresses of."""
    proxy, containers = snapshot.rows(Proxy)[0], snapshot.rows(Container).by(Container.name)
    bearer = proxy.network_container or proxy.container
    if not bearer or proxy.network_mode == "host":
        return
    yield from (_call("attache", bearer, network) for network in sorted(proxy.networks or ()))
    for routed in snapshot.rows(RoutedContainer):
        networks = _usable_networks(routed, proxy)
        if networks and _on_networks(containers.get(routed.container)):
            yield _call("attache", routed.container, *networks)


def _usable_networks(routed: RoutedContainer, proxy: Proxy) -> list[str]:
    """The network that is designated to Traefik for a container; when none is, those that Traefik is on."""
    designated = proxy.designated if routed.network_label is None else routed.network_label
    return [designated] if designated else sorted(proxy.networks or ())


def _on_networks(container: Container | None) -> bool:
    """Whether a container may be on Docker's networks: not when it shares a network, or has none."""
    mode = container.network_mode if container else None
    return mode != "none" and not borrows(mode)


def _ports(snapshot: Snapshot) -> Iterator[str]:
    """The ports of the machine and their owners. A port that the kernel chose changes at each start: left out."""
    clients = ephemeral(snapshot.known(Host)) or ()
    for port in snapshot.rows(HostPort):
        if port.kind == "conteneur" and port.container_port is not None:
            yield _call("publie", port.owner, f"{port.container_port}/{port.protocol}", port.port)
        elif port.kind == "unité" or port.port not in clients:
            owner = f"{port.owner} ({port.process})" if port.process else port.owner
            yield _call("ecoute", port.port, port.protocol, port.process or "", owner)


def _domains(snapshot: Snapshot) -> Iterator[str]:
    """Each URL that the audit asked for, with the status it had; else each domain, for any answer of a program.

    What Traefik said itself, and what a program failed at, is not to be found again.
    """
    routes, probes = snapshot.rows(Route), snapshot.known(HttpProbe) or ()
    if _remote(snapshot):
        yield _call("inverifie", "le moteur est sur une autre machine : ses domaines ne passent pas par celle-ci")
        return
    for probe in probes:
        kept = probe.status and probe.status < 500 and not probe.own_answer
        yield _domain(probe.url, probe.status if kept else "", probe.address)
    for url in _unprobed(routes, probes):
        yield _domain(url, "", None)


def _unprobed(routes: Rows[Route], probes: Iterable[HttpProbe]) -> Iterator[str]:
    """A URL for each domain and scheme without a probe: its root where it is routed, else each of its paths."""
    probed = {(probe.domain, probe.url.partition(":")[0]) for probe in probes}
    paths: dict[tuple[str, str], set[str]] = {}
    for route in routes:
        domain, scheme = route.domain or "", "https" if route.tls else "http"
        if route.protocol == "http" and _DOMAIN.fullmatch(domain) and (domain, scheme) not in probed:
            paths.setdefault((scheme, domain), set()).add(route.path or "/")
    for (scheme, domain), routed in sorted(paths.items()):
        for path in ["/"] if "/" in routed else sorted(routed):
            yield f"{scheme}://{domain}{quote(path, safe='/%:@!$&+,;=~*()')}"


def _domain(url: str, expected: object, address: str | None) -> str:
    try:
        parts = urlsplit(url)
        asked = parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        return _call("inverifie", f"{url} : adresse mal formée")
    host, _, port = (address or f"127.0.0.1:{asked}").rpartition(":")
    if port == str(asked):
        return _call("domaine", url, expected, "--resolve", f"{parts.hostname}:{asked}:{host}")
    return _call("domaine", url, expected, "--connect-to", f"{parts.hostname}:{asked}:{host}:{port}")


def _databases(snapshot: Snapshot) -> Iterator[str]:
    """The databases that ran: a fixed command that reads, else their port on the machine."""
    remote = _remote(snapshot)
    for database in snapshot.rows(Database):
        if database.running is not False:
            yield _database(database, remote=remote)


def _database(database: Database, *, remote: bool) -> str:
    name = database.database
    if words := _trial(database, remote=remote):
        return _call("base", name, *words)
    port = next((address.rpartition(":")[2] for address in database.addresses or ()), None)
    if port and not remote:
        return _call("ecoute", port, "tcp", "" if database.container else database.process or "", name)
    return _call("inverifie", f"{name} : ni commande fixe pour {database.kind}, ni port sur cette machine")


def _trial(database: Database, *, remote: bool) -> list[str]:
    """The words of the fixed command that tries a database, where the script can run one; else none."""
    # HTTP is asked from the machine, by the database's address: that of a container changes, but is all there is.
    over_http = database_of(database.kind or "").over_http
    inside = database.container and not database.container.startswith("-") and not over_http
    commands = trial_commands(database)
    if not commands or not (inside or (over_http and not remote)):
        return []
    # Already quoted, with its control characters made visible: split again, so that one rule quotes all.
    program, *words = shlex.split(commands[-1])
    bounded = ["curl", "-f", "--noproxy", "*", "--max-time", "10"] if program == "curl" else [program]
    return [*bounded, *words]


def _storages(snapshot: Snapshot) -> Iterator[str]:
    """The files of ACME keys, one line each however many resolvers share it."""
    files = {
        (storage.host_path or storage.container, storage.path): storage
        for storage in snapshot.rows(AcmeStorage)
        if storage.kind in (None, "file") and storage.path is not None
    }
    remote = _remote(snapshot)
    for storage in files.values():
        here = None if remote else storage.host_path
        if here or storage.container:
            yield _call("mode", storage.container or "", storage.path, here or "")


_SECTIONS: dict[str, Callable[[Snapshot], Iterator[str]]] = {
    "Conteneurs": _containers,
    "Réseaux du proxy": _networks,
    "Ports de la machine": _ports,
    "Domaines, à travers le proxy local": _domains,
    "Bases de données": _databases,
    "Stockage ACME": _storages,
}
