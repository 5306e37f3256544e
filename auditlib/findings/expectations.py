"""What is expected of a machine: what is true of it now, frozen into a file that a person reads, edits and keeps.

Pure: the file is read with the parameters (`expected`), and written by the command line.
"""

from collections.abc import Iterator, Mapping
from textwrap import wrap

import yaml

from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.host import Host
from auditlib.facts.tables.web import Certificate, HttpProbe
from auditlib.french import instant, visible
from auditlib.software import is_running
from auditlib.views.ports import HostPort, ephemeral, is_client

# The words of the containers that are expected to run; any other word only asks that the container be there.
RUNNING = frozenset({"running", "healthy"})

Expectations = dict[str, dict[str, str]]

_HEADINGS = {
    "port": "Ports de la machine : qui doit les tenir (rien : n’importe qui). Un port absent d’ici et tenu est un "
    "constat faible ; un port d’ici que rien ne tient, un constat élevé.",
    "container": "Conteneurs : « healthy » ou « running » pour celui qui doit tourner, rien pour celui qui doit "
    "seulement exister.",
    "domain": "Adresses servies par le proxy : le statut HTTP que la sonde doit recevoir.",
    "certificate": "Domaines qui doivent avoir un certificat ; l’émetteur est noté pour mémoire, car il change d’un "
    "renouvellement à l’autre.",
    "database": "Bases de données qui doivent tourner, et leur sorte.",
}


def freeze(snapshot: Snapshot) -> tuple[Expectations, dict[str, str]]:
    """What is true of a snapshot, by kind, and why each kind that could not be told was left out (French clauses)."""
    found: Expectations = {}
    unread: dict[str, str] = {}
    for kind, facts in (
        ("port", ports),
        ("container", containers),
        ("domain", domains),
        ("certificate", certificates),
        ("database", databases),
    ):
        try:
            found[kind] = dict(facts(snapshot))
        except AbsentTable as absent:
            unread[kind] = absent.reason
    return found, unread


def ports(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each place that is held, as `tcp/0.0.0.0:8002`, and its owner; "" when the owner is not known."""
    clients = ephemeral(snapshot.known(Host))
    for port in snapshot.rows(HostPort):
        if not is_client(port, clients):
            for place in port.places:
                yield place, "" if port.kind == "inconnu" else port.owner


def containers(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each container and its word: its health while it runs and has one, else its state; a start is healthy soon."""
    for container in snapshot.rows(Container):
        health = "healthy" if container.health == "starting" else container.health
        state = container.state or ""
        yield container.name, (health or state) if is_running(state) else state


def domains(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each address that the probes asked and that answered, and the status of its first answer."""
    for probe in sorted(snapshot.rows(HttpProbe), key=lambda probe: probe.url):
        if probe.status is not None:
            yield probe.url, str(probe.status)


def certificates(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each domain with a certificate that is not Traefik's default one, and its issuer; what is served comes first."""
    issuers: dict[str, str] = {}
    for certificate in sorted(snapshot.rows(Certificate), key=lambda certificate: certificate.origin == "served"):
        if certificate.domain and certifies(certificate):
            issuers[certificate.domain] = certificate.issuer or ""
    yield from sorted(issuers.items())


def certifies(certificate: Certificate) -> bool:
    """Whether a certificate is a domain's own."""
    return bool(certificate.domain) and certificate.valid is not False and not certificate.default


def databases(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each database that runs, and its kind without version."""
    for database in snapshot.rows(Database):
        if database.running is not False:
            yield database.database, database.kind or ""


def document(snapshot: Snapshot) -> str:
    """The YAML of what is true of a snapshot, with French comments: the file that the parameter `expected` names."""
    found, unread = freeze(snapshot)
    lines = [
        f"# Ce qui doit être vrai de {visible(snapshot.hostname)}, tel que constaté le "
        f"{instant(snapshot.collected, snapshot.zone)}.",
        "# À relire : retirez ce qui n’a pas à durer, corrigez ce qui n’était pas comme voulu.",
        "# Pour que les audits suivants le vérifient, nommez ce fichier dans le paramètre « expected ».",
    ]
    for kind, heading in _HEADINGS.items():
        lines += ["", *(f"# {line}" for line in wrap(heading, 110))]
        if kind in unread:
            lines.append(f"# Rien n’est figé ici : {visible(unread[kind])}.")
        elif not found[kind]:
            lines.append("# Il n’y en a pas.")
        else:
            lines += [f"{kind}:", *_mapping(found[kind])]
    return "\n".join(lines) + "\n"


def _mapping(values: Mapping[str, str]) -> Iterator[str]:
    """Lines of YAML, one per name: a status is a number, nothing is left empty, whatever the names hold."""
    for name, value in values.items():
        yield f"  {_scalar(name)}: {value if value.isascii() and value.isdecimal() else _scalar(value)}".rstrip()


def _scalar(text: str) -> str:
    """A text as YAML on one line; what is neither ASCII nor a Latin letter is escaped, between double quotes."""
    if not text:
        return ""
    if all(" " <= char <= "~" or "À" <= char <= "ɏ" for char in text):
        dumped = yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=float("inf"))
        return str(dumped).strip()[1:-1]
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if " " <= char <= "~":
        return f"\\{char}" if char in '"\\' else char
    return f"\\U{ord(char):08X}"
