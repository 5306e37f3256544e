"""What is expected of a machine: what is true of it now, frozen into a file that a person reads, edits and keeps.

Pure: the file is read with the parameters (`expected`), and written by the command line.
"""

from collections.abc import Iterator, Mapping
from textwrap import wrap

import yaml

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.french import instant, visible
from auditlib.software import is_running
from auditlib.views.ports import Claim

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
    for kind, told in (
        ("port", ports),
        ("container", containers),
        ("domain", domains),
        ("certificate", certificates),
        ("database", databases),
    ):
        try:
            found[kind] = dict(told(snapshot))
        except AbsentTable as absent:
            unread[kind] = absent.reason
    return found, unread


def ports(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each place that is held, as `tcp/0.0.0.0:8002`, and its owner; "" when the owner is not known."""
    first, last = ephemeral(records(snapshot.host)) if "host" in snapshot.tables else (None, None)
    for row in records(snapshot.host_ports):
        if not is_client(row, first, last):
            for name in names(row):
                yield name, "" if row["kind"] == "inconnu" else row["owner"]


def names(host_port: Record) -> list[str]:
    """The places of a row of the view `host_ports`, as subjects of findings."""
    places = (host_port["port"], host_port["port"])
    return [Claim(host_port["protocol"], address, *places).name for address in host_port["addresses"]]


def ephemeral(host: list[Record]) -> tuple[int | None, int | None]:
    """The first and last port that the kernel gives to clients; None when it was not read."""
    machine: Record = next(iter(host), {})
    return machine.get("ephemeral_first"), machine.get("ephemeral_last")


def is_client(row: Record, first: int | None, last: int | None) -> bool:
    """Whether a row of ports is an unconnected UDP socket of the ephemeral range: a client, that listens to nothing."""
    ranged = first is not None and last is not None and first <= row["port"] <= last
    return bool(row["protocol"] == "udp" and ranged and row.get("kind") != "conteneur")


def containers(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each container and its word: its health while it runs and has one, else its state; a start is healthy soon."""
    for row in records(snapshot.containers):
        health = "healthy" if row["health"] == "starting" else row["health"]
        yield row["name"], (health or row["state"]) if is_running(row["state"]) else row["state"]


def domains(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each address that the probes asked and that answered, and the status of its first answer."""
    for row in sorted(records(snapshot.http_probes), key=lambda row: str(row["url"])):
        if row["status"] is not None:
            yield row["url"], str(row["status"])


def certificates(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each domain with a certificate that is not Traefik's default one, and its issuer; what is served comes first."""
    known = [row for row in records(snapshot.certificates) if certifies(row)]
    issuers = {row["domain"]: row for row in sorted(known, key=lambda row: row["origin"] == "served")}
    for _, row in sorted(issuers.items()):
        yield row["domain"], row["issuer"] or ""


def certifies(certificate: Record) -> bool:
    """Whether a row of certificates is a domain's own certificate."""
    return bool(certificate["domain"] and certificate["valid"] is not False and not certificate["default"])


def databases(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each database that runs, and its kind without version."""
    for row in records(snapshot.databases):
        if row["running"] is not False:
            yield row["database"], row["kind"]


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
