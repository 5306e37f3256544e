"""PORT and EXPECT: who holds the ports, and what a person expects of the machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.databases import Database
from auditlib.facts.tables.docker import Container, Publication
from auditlib.facts.tables.host import Host, Listener, SourceStatus
from auditlib.facts.tables.policy import Expectation
from auditlib.facts.tables.web import Certificate, HttpProbe
from auditlib.findings.check import UNSAID, Fault, Fix, NotApplicable, check, fact, word
from auditlib.findings.expectations import RUNNING, certifies
from auditlib.french import listing, quoted
from auditlib.software import is_running
from auditlib.views.ports import HostPort, claim, ephemeral, is_client

_WHERE = "Sinon, corriger le fichier que nomme le paramètre « expected »."
_STATES = {
    "running": "en marche",
    "healthy": "en bonne santé",
    "unhealthy": "en mauvaise santé",
    "starting": "en cours de démarrage",
    "exited": "arrêté",
    "restarting": "en train de redémarrer",
    "paused": "en pause",
}

# What is expected of one kind of things: a value, or none, by name.
Wanted = Mapping[str, str | None]


class Unowned(Fault):
    """A port that something listens on, and nothing tells who."""

    port: str
    user: str | None
    number: int = word()
    who: str = word()


@check(
    "PORT-007",
    "info",
    "Chaque écoute de la machine a un propriétaire identifié",
    key=("port",),
    message="Le port {port} est à l’écoute, et rien ne dit qui le tient : {who}.",
    fix=Fix(
        "Chercher qui le tient. Sans processus, c’est le noyau lui-même (WireGuard, NFS, iSCSI) ou un espace de noms "
        "que l’audit ne voit pas.",
        ("ss -Hlntup sport = :{number}",),
    ),
)
def listeners_owned(listeners: Rows[Listener], host: Rows[Host]) -> Iterator[Unowned]:
    """Listeners without container, unit and process. Without root, processes of others are not seen at all."""
    if host and not host[0].root:
        raise AbsentTable("listeners", "sans root, les processus des autres utilisateurs ne se voient pas")
    clients = ephemeral(host)
    faults: dict[tuple[str, int], Unowned] = {}
    for row in listeners:
        place = claim(row)
        if place is None or row.container or row.unit or row.process or is_client(row, clients):
            continue
        who = f"l’utilisateur est {quoted(row.user)}, sans processus" if row.user else "aucun processus"
        faults.setdefault((row.protocol, row.port), Unowned(port=place.name, user=row.user, number=row.port, who=who))
    yield from faults.values()


class PortChange(Fault):
    """A port that is held and was not expected, or was expected and is not held as it was to be."""

    port: str
    places: tuple[str, ...] = fact("Joignable par")
    expected: str | None = fact("Attendu", about="owner")
    owners: tuple[str, ...] = fact("Tenu par")
    change: str = word()
    mend: str = word()
    number: str | int | None = word()


@check(
    "PORT-008",
    "low",
    "Les ports tenus sont ceux qui sont attendus",
    key=("port",),
    message="{change}.",
    fix=Fix("{mend}", ("ss -Hlntup sport = :{number}",)),
)
def ports_expected(
    expected: Rows[Expectation] | None = None,
    host_ports: Rows[HostPort] | None = None,
    listeners: Rows[Listener] | None = None,
    publications: Rows[Publication] | None = None,
    host: Rows[Host] | None = None,
) -> Iterator[PortChange]:
    """Places that are held and not expected; expected ones that nothing holds, or another owner (high)."""
    wanted = _wanted(expected, "port")
    if not wanted:
        raise NotApplicable("aucun port attendu n’est donné (paramètre « expected »)")
    if host_ports is None:
        raise AbsentTable("listeners", "ni les écoutes de la machine ni les ports publiés n’ont été lus")
    clients = ephemeral(host)
    holders: dict[str, list[HostPort]] = {}
    for port in host_ports:
        places = [] if is_client(port, clients) else port.places
        for place in places:
            holders.setdefault(place, []).append(port)
        if new := [place for place in places if place not in wanted]:
            yield _new(port, new)
    # A publication may have no listener, a listener no container's name: one alone does not tell what is missing.
    if listeners is None:
        raise AbsentTable("listeners", "les écoutes de la machine n’ont pas été lues")
    if publications is None:
        raise AbsentTable("publications", "les ports publiés par Docker n’ont pas été lus")
    yield from _lost(wanted, holders)


def _new(port: HostPort, places: list[str]) -> PortChange:
    who = "un propriétaire inconnu" if port.kind == "inconnu" else quoted(port.owner)
    return PortChange(
        port=places[0],
        places=tuple(places),
        expected=None,
        owners=(port.owner,),
        change=f"Le port {_place(places)} est tenu par {who}, et n’est pas attendu",
        mend=f"Fermer ce port s’il n’a pas à être ouvert. {_WHERE}",
        number=port.port,
    )


def _place(places: list[str]) -> str:
    return f"{places[0]} ({listing(places[1:])} aussi)" if places[1:] else places[0]


def _lost(wanted: Wanted, holders: Mapping[str, list[HostPort]]) -> Iterator[PortChange]:
    """The expected places that nothing holds, and those that another than the expected owner does."""
    # The addresses of one port are told together.
    groups: dict[tuple[str, str, str], list[str]] = {}
    for place, owner in wanted.items():
        groups.setdefault((owner or "", place.partition("/")[0], place.rpartition(":")[2]), []).append(place)
    for (owner, _, number), places in groups.items():
        due = f" devait l’être par {quoted(owner)}" if owner else ""
        if gone := [place for place in places if place not in holders]:
            change = f"n’est plus tenu : il{due}" if due else "n’est plus tenu"
            mend = f"Redémarrer {quoted(owner) if owner else 'ce qui le tenait'}"
            yield _change(gone, owner, [], number, change, mend)
        if taken := [place for place in places if place in holders and not _is_owned(holders[place], owner)]:
            owners = sorted({port.owner for place in taken for port in holders[place]})
            change = f"est tenu par {listing(map(quoted, owners))}, et{due}"
            yield _change(taken, owner, owners, number, change, f"Libérer ce port, puis redémarrer {quoted(owner)}")


def _is_owned(ports: list[HostPort], owner: str) -> bool:
    """Whether the expected owner is among those of a place, or may be: one of them is not known."""
    return not owner or any(port.owner == owner or port.kind == "inconnu" for port in ports)


def _change(places: list[str], owner: str, owners: list[str], number: str, change: str, mend: str) -> PortChange:
    return PortChange(
        port=places[0],
        places=tuple(places),
        expected=owner or None,
        owners=tuple(owners),
        severity="high",
        change=f"Le port attendu {_place(places)} {change}",
        mend=f"{mend}. {_WHERE}",
        number=number if number.isdecimal() else None,
    )


def _wanted(expected: Rows[Expectation] | None, kind: str) -> Wanted:
    return {row.name: row.value for row in expected or () if row.kind == kind}


class Unmet(Fault):
    """A thing that is not there, or not as it is expected to be. `gone`: not there, as far as its source tells."""

    expected: str | None = fact("Attendu")
    now: str | None = fact("Constaté")
    container: str = fact(default=UNSAID)
    url: str = fact(default=UNSAID, about="url")
    change: str = word()
    mend: str = word()
    started: str | None = word(default=None)
    gone: bool = word(default=False)


def _containers(wanted: Wanted, containers: Rows[Container]) -> Iterator[Unmet]:
    known = containers.by(Container.name)
    for name, state in wanted.items():
        subjects, title = (("container", name),), f"Le conteneur attendu {quoted(name)}"
        due = f", et devait être {_word(state)}" if state else ""
        container = known.get(name)
        if container is None:
            mend = f"Le recréer depuis son fichier compose. {_WHERE}"
            yield Unmet(subjects=subjects, expected=state, now=None, change=f"{title} n’existe plus{due}", mend=mend)
            continue
        up = is_running(container.state)
        now = str((container.health or container.state) if up else container.state)
        if state in RUNNING and (not up or (state, now) == ("healthy", "unhealthy")):
            yield Unmet(
                subjects=subjects,
                expected=state,
                now=now,
                container=name,
                change=f"{title} est {_word(now)}{due}",
                mend=f"{'Lire' if up else 'Le démarrer, et lire'} son journal et son contrôle de santé. {_WHERE}",
                started=None if up else name,
            )


def _word(state: str) -> str:
    return _STATES.get(state, f"dans l’état {quoted(state)}")


def _domains(wanted: Wanted, probes: Rows[HttpProbe]) -> Iterator[Unmet]:
    for url, status in wanted.items():
        answers = probes.grouped(HttpProbe.url).get(url, ())
        seen = sorted({str(answer.status) for answer in answers if answer.status is not None})
        if seen if not status else status in seen:
            continue
        if seen:
            change = f"répond {listing(seen)} au lieu de {status}"
        elif answers:
            change = f"ne répond plus ({answers[0].error or 'sans réponse'})"
        else:
            change = "n’est plus servie : aucun routeur n’y mène"
        yield Unmet(
            subjects=(("domain", url),),
            expected=status,
            now=listing(seen) or None,
            url=url,
            change=f"L’adresse attendue {url} {change}",
            mend=f"Suivre la requête par « auditlib explain » et remettre la route ou le service en état. {_WHERE}",
            gone=not answers,
        )


def _certificates(wanted: Wanted, certificates: Rows[Certificate]) -> Iterator[Unmet]:
    there = {certificate.domain for certificate in certificates if certifies(certificate)}
    for domain, issuer in wanted.items():
        if domain not in there:
            yield Unmet(
                subjects=(("certificate", domain),),
                expected=issuer,
                now=None,
                change=f"Le domaine {quoted(domain)} n’a plus le certificat attendu",
                mend=f"Vérifier le résolveur ACME de son routeur et le journal de Traefik. {_WHERE}",
                gone=True,
            )


def _databases(wanted: Wanted, databases: Rows[Database]) -> Iterator[Unmet]:
    known = databases.by(Database.database)
    for name, kind in wanted.items():
        database = known.get(name)
        up = database is not None and database.running is not False
        now = database.kind if database and up else None
        if up and kind in (None, "", now):
            continue
        change = f"est du genre {now}, et non {kind}" if up else "ne tourne plus" if database else "a disparu"
        yield Unmet(
            subjects=(("database", name),),
            expected=kind,
            now=now,
            change=f"La base attendue {quoted(name)} {change}",
            mend=f"La redémarrer, ou la restaurer depuis sa sauvegarde. {_WHERE}",
            gone=database is None,
        )


@dataclass(frozen=True)
class Kind:
    """How one kind of things is judged: on which table, the sources that fill it, and what they read, in French."""

    judge: Callable[[Wanted, Rows[Any]], Iterator[Unmet]]
    table: str
    sources: frozenset[str]
    title: str


_KINDS = {
    "container": Kind(_containers, "containers", frozenset({"engine"}), "les conteneurs"),
    "domain": Kind(_domains, "http_probes", frozenset({"probes"}), "les réponses du proxy"),
    "certificate": Kind(_certificates, "certificates", frozenset({"acme", "tls"}), "les certificats"),
    "database": Kind(_databases, "databases", frozenset({"databases"}), "les bases de données"),
}


@check(
    "EXPECT-001",
    "high",
    "Les conteneurs, domaines, certificats et bases attendus sont là",
    key=("container",),
    message="{change}.",
    fix=Fix(
        "{mend}",
        ("docker start {started}",),
        (
            "docker inspect --format '{{{{json .State}}}}' {container}",
            "curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",
        ),
    ),
)
def expected_there(
    expected: Rows[Expectation] | None = None,
    containers: Rows[Container] | None = None,
    http_probes: Rows[HttpProbe] | None = None,
    certificates: Rows[Certificate] | None = None,
    databases: Rows[Database] | None = None,
    sources: Rows[SourceStatus] | None = None,
) -> Iterator[Unmet]:
    """What a person expects that is gone, or is not as expected. What is new is no finding.

    A container expected healthy may be starting; the issuer of a certificate is not judged, since authorities change
    it at will.
    """
    wanted = {name: _wanted(expected, name) for name in _KINDS}
    if not any(wanted.values()):
        raise NotApplicable("ni conteneur, ni domaine, ni certificat, ni base attendus ne sont donnés")
    rows = {"container": containers, "domain": http_probes, "certificate": certificates, "database": databases}
    unreached = {source.source for source in sources or () if source.status != "ok"}
    lacking: list[AbsentTable] = []
    for name, kind in _KINDS.items():
        known = rows[name]
        if wanted[name] and known is None:
            lacking.append(AbsentTable(kind.table, f"{kind.title} n’ont pas été lus"))
        for fault in kind.judge(wanted[name], known) if known is not None else ():
            # What a source did not reach is not gone.
            if fault.gone and kind.sources & unreached:
                lacking.append(AbsentTable(kind.table, f"{kind.title} n’ont pas tous été lus"))
            else:
                yield fault
    if lacking:
        raise lacking[0]
