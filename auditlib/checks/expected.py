"""PORT and EXPECT: who holds the ports, and what a person expects of the machine."""

from collections.abc import Callable, Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.host import Listener
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.findings.expectations import RUNNING, certifies, ephemeral, is_client, names
from auditlib.french import listing, quoted
from auditlib.software import is_running
from auditlib.views.ports import claim

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

Wanted = dict[str, str | None]


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
def listeners_owned(listeners: Rows[Listener], host: pd.DataFrame) -> Iterator[Record]:
    """Listeners without container, unit and process. Without root, processes of others are not seen at all."""
    machine = records(host)
    if machine and not machine[0]["root"]:
        raise AbsentTable("listeners", "sans root, les processus des autres utilisateurs ne se voient pas")
    first, last = ephemeral(machine)
    told = set()
    for row in listeners:
        key = (row["protocol"], row["port"])
        if row["container"] or row["unit"] or row["process"] or is_client(row, first, last) or key in told:
            continue
        told.add(key)
        one = claim(row)
        yield {
            "port": one.name if one else "",
            "user": row["user"],
            "wording": {
                "number": row["port"],
                "who": f"l’utilisateur est {quoted(row['user'])}, sans processus" if row["user"] else "aucun processus",
            },
        }


@check(
    "PORT-008",
    "low",
    "Les ports tenus sont ceux qui sont attendus",
    key=("port",),
    message="{told}.",
    fix=Fix("{mend}", ("ss -Hlntup sport = :{number}",)),
)
def ports_expected(
    expected: pd.DataFrame | None = None,
    host_ports: pd.DataFrame | None = None,
    listeners: Rows[Listener] | None = None,
    publications: pd.DataFrame | None = None,
    host: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Places that are held and not expected; expected ones that nothing holds, or another owner (high)."""
    wanted = _wanted(expected, "port")
    if not wanted:
        raise NotApplicable("aucun port attendu n’est donné (paramètre « expected »)")
    if host_ports is None:
        raise AbsentTable("listeners", "ni les écoutes de la machine ni les ports publiés n’ont été lus")
    first, last = ephemeral(records(host)) if host is not None else (None, None)
    held = [row for row in records(host_ports) if not is_client(row, first, last)]
    owners: dict[str, list[Record]] = {}
    for row in held:
        for name in names(row):
            owners.setdefault(name, []).append(row)
        new = [name for name in names(row) if name not in wanted]
        if new:
            who = "un propriétaire inconnu" if row["kind"] == "inconnu" else quoted(row["owner"])
            yield {
                "port": new[0],
                "places": new,
                "expected": None,
                "owners": [row["owner"]],
                "wording": {
                    "told": f"Le port {_place(new)} est tenu par {who}, et n’est pas attendu",
                    "mend": f"Fermer ce port s’il n’a pas à être ouvert. {_WHERE}",
                    "number": row["port"],
                },
            }
    # A publication may have no listener, a listener no container's name: one alone does not tell what is missing.
    if listeners is None:
        raise AbsentTable("listeners", "les écoutes de la machine n’ont pas été lues")
    if publications is None:
        raise AbsentTable("publications", "les ports publiés par Docker n’ont pas été lus")
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, owner in wanted.items():
        groups.setdefault((owner or "", name.partition("/")[0], name.rpartition(":")[2]), []).append(name)
    for (owner, _, port), places in groups.items():
        gone = [name for name in places if name not in owners]
        taken = [name for name in places if name in owners and not _is_owned(owners[name], owner)]
        for missing in (gone, taken):
            if missing:
                yield _lost(missing, owner, port, owners)


def _is_owned(rows: list[Record], owner: str) -> bool:
    """Whether the expected owner is among those of a place, or may be: one of them is not known."""
    return not owner or any(row["owner"] == owner or row["kind"] == "inconnu" for row in rows)


def _place(places: list[str]) -> str:
    return f"{places[0]} ({listing(places[1:])} aussi)" if places[1:] else places[0]


def _lost(missing: list[str], owner: str, port: str, owners: dict[str, list[Record]]) -> Record:
    now = sorted({row["owner"] for name in missing for row in owners.get(name, [])})
    due = f" devait l’être par {quoted(owner)}" if owner else ""
    if now:
        told = f"est tenu par {listing(map(quoted, now))}, et{due}"
        mend = f"Libérer ce port, puis redémarrer {quoted(owner)}"
    else:
        told = f"n’est plus tenu{f' : il{due}' if due else ''}"
        mend = f"Redémarrer {quoted(owner) if owner else 'ce qui le tenait'}"
    return {
        "port": missing[0],
        "places": missing,
        "expected": owner or None,
        "owners": now,
        "severity": "high",
        "wording": {
            "told": f"Le port attendu {_place(missing)} {told}",
            "mend": f"{mend}. {_WHERE}",
            "number": port if port.isdecimal() else None,
        },
    }


def _wanted(expected: pd.DataFrame | None, kind: str) -> Wanted:
    rows = records(expected) if expected is not None else []
    return {row["name"]: row["value"] for row in rows if row["kind"] == kind}


def _containers(wanted: Wanted, known: list[Record]) -> Iterator[Record]:
    found = {row["name"]: row for row in known}
    for name, word in wanted.items():
        row = found.get(name)
        if row is None:
            told, now, mend, names = "n’existe plus", None, "Le recréer depuis son fichier compose.", {}
        else:
            now, up = _state(row), is_running(row["state"])
            if word not in RUNNING or (up and (word, now) != ("healthy", "unhealthy")):
                continue
            told, names = f"est {_word(now)}", {"container": name}
            mend = f"{'Lire' if up else 'Le démarrer, et lire'} son journal et son contrôle de santé."
        as_wanted = f", et devait être {_word(word)}" if word else ""
        finding = _finding("container", name, word, now, f"Le conteneur attendu {quoted(name)} {told}{as_wanted}", mend)
        finding["wording"]["started"] = None if row is None or up else name
        yield finding | names


def _state(row: Record) -> str:
    return str((row["health"] or row["state"]) if is_running(row["state"]) else row["state"])


def _word(state: str | None) -> str:
    return _STATES.get(state or "", f"dans l’état {quoted(state)}")


def _domains(wanted: Wanted, known: list[Record]) -> Iterator[Record]:
    for url, status in wanted.items():
        answers = [row for row in known if row["url"] == url]
        seen = sorted({str(row["status"]) for row in answers if row["status"] is not None})
        if seen if not status else status in seen:
            continue
        if seen:
            told = f"répond {listing(seen)} au lieu de {status}"
        elif answers:
            told = f"ne répond plus ({answers[0]['error'] or 'sans réponse'})"
        else:
            told = "n’est plus servie : aucun routeur n’y mène"
        mend = "Suivre la requête par « auditlib explain » et remettre la route ou le service en état."
        yield _finding("domain", url, status, listing(seen) or None, f"L’adresse attendue {url} {told}", mend) | {
            "gone": not answers,
            "url": url,
        }


def _certificates(wanted: Wanted, known: list[Record]) -> Iterator[Record]:
    there = {row["domain"] for row in known if certifies(row)}
    for domain, issuer in wanted.items():
        if domain not in there:
            told = f"Le domaine {quoted(domain)} n’a plus le certificat attendu"
            mend = "Vérifier le résolveur ACME de son routeur et le journal de Traefik."
            yield _finding("certificate", domain, issuer, None, told, mend) | {"gone": True}


def _databases(wanted: Wanted, known: list[Record]) -> Iterator[Record]:
    there = {row["database"]: row for row in known}
    for name, kind in wanted.items():
        row = there.get(name)
        up = row is not None and row["running"] is not False
        now = row["kind"] if row and up else None
        if up and (not kind or kind == now):
            continue
        told = f"est du genre {now}, et non {kind}" if up else "ne tourne plus" if row else "a disparu"
        mend = "La redémarrer, ou la restaurer depuis sa sauvegarde."
        yield _finding("database", name, kind, now, f"La base attendue {quoted(name)} {told}", mend) | {"gone": not row}


def _finding(kind: str, name: str, expected: str | None, now: str | None, told: str, mend: str) -> Record:
    return {
        "expected": expected,
        "now": now,
        "subjects": ((kind, name),),
        "wording": {"told": told, "mend": f"{mend} {_WHERE}"},
    }


# By kind: who judges, the table it reads, the sources that fill it, and what they read, in French.
_JUDGES: dict[str, tuple[Callable[[Wanted, list[Record]], Iterator[Record]], str, frozenset[str], str]] = {
    "container": (_containers, "containers", frozenset({"engine"}), "les conteneurs"),
    "domain": (_domains, "http_probes", frozenset({"probes"}), "les réponses du proxy"),
    "certificate": (_certificates, "certificates", frozenset({"acme", "tls"}), "les certificats"),
    "database": (_databases, "databases", frozenset({"databases"}), "les bases de données"),
}


@check(
    "EXPECT-001",
    "high",
    "Les conteneurs, domaines, certificats et bases attendus sont là",
    key=("container",),
    message="{told}.",
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
    expected: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
    http_probes: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    databases: pd.DataFrame | None = None,
    sources: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """What a person expects that is gone, or is not as expected. What is new is no finding.

    A container expected healthy may be starting; the issuer of a certificate is not judged, since authorities change
    it at will.
    """
    given = {kind: _wanted(expected, kind) for kind in _JUDGES}
    if not any(given.values()):
        raise NotApplicable("ni conteneur, ni domaine, ni certificat, ni base attendus ne sont donnés")
    tables = {
        "containers": containers,
        "http_probes": http_probes,
        "certificates": certificates,
        "databases": databases,
    }
    states = {row["source"]: row["status"] for row in records(sources)} if sources is not None else {}
    lacking: list[tuple[str, str]] = []
    for kind, (judge, table, read_by, what) in _JUDGES.items():
        frame = tables[table]
        if given[kind] and frame is None:
            lacking.append((table, f"{what} n’ont pas été lus"))
            continue
        unreached = [source for source in read_by if states.get(source, "ok") != "ok"]
        for row in judge(given[kind], records(frame)) if frame is not None else ():
            # What a source did not reach is not gone.
            if row.pop("gone", False) and unreached:
                lacking.append((table, f"{what} n’ont pas tous été lus"))
            else:
                yield row
    if lacking:
        raise AbsentTable(*lacking[0])
