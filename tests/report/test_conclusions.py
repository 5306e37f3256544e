"""What each chapter concludes, in French."""

from typing import Any

import pytest

from auditlib import checks, views  # noqa: F401 - some for what they register
from auditlib.collect import ALL
from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.findings.audit import Audit, Finding, Result
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import Fix, Verdict
from auditlib.parameters import Severity
from auditlib.report import conclusions
from auditlib.report.conclusions import Chapter, conclude, executive, verdict
from auditlib.views.declarations import Project
from auditlib.views.inventory import ACTIVE, PASSIVE, Stack
from tests.conftest import derived, snapshot_of

# The reference server is a container host of tests: it has no systemd.
ALL_READ = [f"{len(ALL) - 1} sources lues entièrement sur {len(ALL)}.", "La machine n’est pas gérée par systemd."]


@pytest.mark.parametrize(
    ("chapter", "faulty_says", "healthy_says"),
    [
        (conclusions.collection, ALL_READ, ALL_READ),
        (
            conclusions.inventory,
            [
                "17 conteneurs en marche sur 17, dans 5 ensembles.",
                "8 projets sur le disque, dont 3 passifs : Robin_IA/Dockerfile, "
                "ai-tools/ai-orchestrator/docker-compose.legacy.yml et web-apps/4lb-welcome/docker-compose.yml.",
                "Hors de Docker, à l’écoute sur la machine : ai-orchestrator-backend.service et mariadb.service.",
            ],
            [
                "17 conteneurs en marche sur 17, dans 5 ensembles.",
                "8 projets sur le disque, dont 3 passifs : Robin_IA/Dockerfile, "
                "ai-tools/ai-orchestrator/docker-compose.legacy.yml et web-apps/4lb-welcome/docker-compose.yml.",
                "Hors de Docker, à l’écoute sur la machine : ai-orchestrator-backend.service et mariadb.service.",
            ],
        ),
        (
            conclusions.ports,
            [
                "10 ports de la machine, dont 9 sur toutes les interfaces.",
                "Réclamé sans être tenu : 8002/tcp (ai-orchestrator / backend).",
            ],
            [
                "8 ports de la machine, dont 3 sur toutes les interfaces.",
                "Réclamé sans être tenu : 8003/tcp (ai-orchestrator / backend).",
            ],
        ),
        (
            conclusions.routing,
            [
                "4 domaines : ai.4lb.ca, files.4lb.ca, jsr.4lb.ca et traefik.4lb.ca.",
                "Servis par un processus de la machine : ai.4lb.ca/api et ai.4lb.ca/ws.",
            ],
            [
                "4 domaines : ai.4lb.ca, files.4lb.ca, jsr.4lb.ca et traefik.4lb.ca.",
                "Servis par un processus de la machine : ai.4lb.ca/api et ai.4lb.ca/ws.",
            ],
        ),
        (
            conclusions.graph,
            [
                "Aucun chemin rompu entre un domaine et son réseau.",
                "Hors du réseau désigné à Traefik : jsr-dev sur « traefik-net ».",
            ],
            ["Aucun chemin rompu entre un domaine et son réseau."],
        ),
    ],
    ids=["collection", "inventory", "ports", "routing", "graph"],
)
def test_the_reference_server(
    faulty: Snapshot, healthy: Snapshot, chapter: Chapter, faulty_says: list[str], healthy_says: list[str]
) -> None:
    assert conclude(faulty, chapter) == faulty_says
    assert conclude(healthy, chapter) == healthy_says


def test_databases_of_the_reference_server(faulty: Snapshot) -> None:
    first, *rest = conclude(faulty, conclusions.databases)
    assert first.startswith("4 bases de données : chromadb (ChromaDB ")
    assert first.endswith(" ; 4 répondent.")
    assert rest == [
        "Répondent sans mot de passe, vues de cette machine : chromadb et redis.",
        "Ouverte sur toutes les interfaces de la machine : chromadb.",
        "2 chaînes de connexion dans l’environnement des conteneurs, toutes résolues.",
    ]


def test_databases_in_every_state() -> None:
    base = {"kind": "Redis", "running": True, "container": "x", "persistent": True, "healthcheck": "redis-cli ping"}
    facts = snapshot_of(
        databases=[
            {**base, "database": "muette", "answers": False, "healthcheck": None},
            {**base, "database": "inconnue", "answers": None, "persistent": False},
            {**base, "database": "ouverte", "answers": True, "authentication": "none", "addresses": ["[::]:6379"]},
        ],
        connection_strings=[
            {"container": "a", "variable": "X_URL", "host": "nulle-part", "port": 1, "target": "unresolved"},
            {"container": "a", "variable": "Y_URL", "host": "deux", "port": 1, "target": "several"},
            {"container": "a", "variable": "Z_URL", "target": None},
        ],
    )
    assert conclude(facts, conclusions.databases) == [
        "3 bases de données : inconnue (Redis), muette (Redis) et ouverte (Redis) ; 1 répond.",
        "Ne répond pas : muette.",
        "Sans réponse connue : inconnue.",
        "Répond sans mot de passe, vue de cette machine : ouverte.",
        "Ouverte sur toutes les interfaces de la machine : ouverte.",
        "Sans contrôle de santé : muette.",
        "Données perdues avec le conteneur : inconnue.",
        "3 chaînes de connexion dans l’environnement des conteneurs. Vers un nom inconnu, ou commun à plusieurs "
        "conteneurs : a X_URL et a Y_URL.",
    ]
    none = snapshot_of(databases=[], connection_strings=[])
    assert conclude(none, conclusions.databases) == ["Aucune base de données."]


def test_the_summary_of_the_reference_server(faulty: Snapshot, healthy: Snapshot) -> None:
    audit = judge(faulty)
    said = {finding.identity: finding.message for finding in audit.findings}
    chroma = said["PORT-004|container=chromadb|port=tcp/0.0.0.0:8000"]
    graver = [
        f"{chroma} Explique aussi : DB-004, NET-007 et CIS-5.14.",
        f"{said['ROUTE-014|entrypoint=traefik|router=api@internal']} Explique aussi : PORT-005 et CIS-5.14.",
        f"{said['DB-004|database=redis']} Explique aussi : NET-007.",
        said["NET-001|container=jsr-dev"],
    ]
    assert executive(derived(faulty, audit)) == [
        "Note 49 sur 100, pour 99 % des contrôles évalués ; le plus grave est de gravité critique.",
        "17 conteneurs en marche sur 17, dans 5 ensembles.",
        "10 ports de la machine, dont 9 sur toutes les interfaces.",
        "4 domaines : ai.4lb.ca, files.4lb.ca, jsr.4lb.ca et traefik.4lb.ca.",
        conclude(faulty, conclusions.databases)[0],
        "Aucune collision de ports en cours ; collision au prochain démarrage : tcp/0.0.0.0:8002.",
        "Stockage ACME du résolveur « letsencrypt » : /certs/acme.json, droits 600, propriétaire root, 4 certificats.",
        "12 sondes à travers le proxy local : 5 fois 200, 4 fois 301, 1 fois 401, 1 fois 404 et 1 fois 426.",
        *graver,
        "Non lu, ou en partie : systemd (La machine n’est pas gérée par systemd).",
    ]
    assert executive(Facts(healthy))[0] == (
        "Note 99 sur 100, pour 99 % des contrôles évalués ; le plus grave est de gravité faible."
    )


@pytest.mark.parametrize("chapter", [conclusions.inventory, conclusions.routing, conclusions.graph])
def test_what_was_not_read_is_said(chapter: Chapter) -> None:
    assert conclude(snapshot_of(), chapter) == ["Non évaluable : elle n’a pas été lue."]


STORAGE = {"container": "t", "resolver": "le", "path": "/acme.json", "mode": "644", "owner": "root"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"persistent": True, "exists": True, "valid": True, "certificates": 1},
         "/acme.json, droits 644, propriétaire root, 1 certificat."),
        ({"persistent": False, "exists": True, "valid": False, "cause": "JSON mal formé (ligne 2)"},
         "/acme.json, qui n’est pas sur un montage persistant, droits 644, propriétaire root, illisible "
         "(JSON mal formé (ligne 2))."),
        ({"persistent": True, "exists": False}, "/acme.json, absent."),
        ({"persistent": True}, "/acme.json, qui n’a pas pu être lu."),
    ],
)  # fmt: skip
def test_what_is_said_of_a_storage(row: dict[str, Any], sentence: str) -> None:
    facts = snapshot_of(acme_storage=[{**STORAGE, **row}], certificates=[])
    assert conclude(facts, conclusions.certificates) == [f"Stockage ACME du résolveur « le » : {sentence}"]


def test_certificates_that_are_not_the_right_ones() -> None:
    served = {"entrypoint": "s", "answered": True, "default": False, "trusted": True, "covers": True}
    kept = {"origin": "acme", "resolver": "le", "valid": True}
    facts = snapshot_of(
        certificates=[
            {**kept, "domain": "b.fr", "not_after": "2027-03-01T10:00:00Z", "fingerprint": "1"},
            {**kept, "domain": "a.fr", "not_after": "2027-02-01T10:00:00Z", "fingerprint": "2"},
            {**kept, "domain": "c.fr", "valid": False, "cause": "certificat X.509 mal formé"},
        ],
        tls_probes=[
            {**served, "domain": "a.fr"},
            {**served, "domain": "b.fr", "covers": False, "trusted": False, "default": True},
            {**served, "domain": "c.fr", "covers": False},
            {**served, "domain": "d.fr", "trusted": False},
            {"entrypoint": "s", "domain": "e.fr", "answered": False},
        ],
    )
    assert conclude(facts, conclusions.certificates) == [
        "Premier certificat à expirer : a.fr, le 1er février 2027.",
        "2 domaines servis avec un certificat à leur nom, sur 5.",
        "Sans connexion TLS : e.fr.",
        "Certificat par défaut de Traefik pour : b.fr.",
        "Certificat d’un autre nom pour : c.fr.",
        "Certificat que cette machine ne reconnaît pas pour : d.fr.",
    ]


def test_what_the_proxy_answered() -> None:
    def probe(path: str, **told: Any) -> dict[str, Any]:
        return {"url": f"https://a.fr{path}", "entrypoint": "s", **told}

    facts = snapshot_of(
        http_probes=[
            probe("/", status=200),
            probe("/b", status=502),
            probe("/c", error="délai dépassé", latency_ms=5000),
            probe("/d", status=302, loop=True),
        ]
    )
    assert conclude(facts, conclusions.probes) == [
        "4 sondes à travers le proxy local : 1 fois 200, 1 fois 302 et 1 fois 502.",
        "Sans réponse utile : https://a.fr/b (502) et https://a.fr/c (délai dépassé).",
        "Redirection qui tourne en rond : https://a.fr/d.",
    ]
    assert conclude(snapshot_of(http_probes=[]), conclusions.probes) == ["Aucune sonde à travers le proxy local."]


def test_sources_that_were_not_read_and_what_would_mend_them() -> None:
    facts = snapshot_of(
        sources=[
            {"source": "engine", "status": "ok"},
            {"source": "listeners", "status": "partial", "reason": "Sans root.", "remedy": "Relancez avec sudo."},
            {"source": "traefik_api", "status": "absent", "reason": "Aucun Traefik."},
        ]
    )
    assert conclude(facts, conclusions.collection) == [
        "1 source lue entièrement sur 3.",
        "Sans root. Relancez avec sudo.",
        "Aucun Traefik.",
    ]
    summary = executive(Facts(facts))
    assert summary[0] == "Pas de note : 1 % des contrôles ont pu être évalués, et il en faut 80 %."
    assert summary[1:-1] == ["Non évaluable : elle n’a pas été lue."]
    assert summary[-1] == "Non lu, ou en partie : listeners (Sans root) et traefik_api (Aucun Traefik)."


def test_stacks_that_are_stopped_in_part_or_wholly() -> None:
    containers = [
        {"name": name, "state": state, "compose_project": project}
        for name, state, project in (
            ("a1", "running", "a"),
            ("a2", "exited", "a"),
            ("a3", "created", "a"),
            ("b1", "exited", "b"),
            ("c1", "dead", None),
        )
    ]
    facts = snapshot_of(containers=containers, container_networks=[], publications=[])
    assert conclude(facts, conclusions.inventory) == [
        "1 conteneur en marche sur 5, dans 3 ensembles.",
        "En partie arrêté : a (a2 et a3).",
        "Arrêtés : b et c1.",
    ]


def test_a_machine_without_docker_has_ports_all_the_same() -> None:
    listener = {"protocol": "tcp", "family": "ipv4", "address": "0.0.0.0", "port": 22, "unit": "ssh.service"}
    assert conclude(snapshot_of(listeners=[listener]), conclusions.ports) == [
        "1 port de la machine, qui est sur toutes les interfaces.",
        "Seules les écoutes de la machine sont connues : les ports publiés par Docker n’ont pas été lus.",
    ]


def test_an_empty_machine() -> None:
    facts = snapshot_of(containers=[], container_networks=[], publications=[], listeners=[])
    assert conclude(facts, conclusions.inventory) == [
        "Aucun conteneur.",
        "Hors de Docker, à l’écoute sur la machine : rien.",
    ]
    assert conclude(facts, conclusions.ports) == ["Aucun port de la machine."]


def test_ports_that_docker_alone_tells() -> None:
    publication = {"container": "a", "protocol": "tcp", "container_port": 80, "host_ip": "0.0.0.0", "host_port": 80}
    facts = snapshot_of(publications=[{**publication, "live": True}])
    assert conclude(facts, conclusions.ports) == [
        "1 port de la machine, qui est sur toutes les interfaces.",
        "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues.",
    ]


def test_ports_of_nobody_known() -> None:
    heard = [
        {"protocol": protocol, "family": "ipv4", "address": "127.0.0.1", "port": port}
        for protocol, port in (("tcp", 22), ("udp", 53))
    ]
    assert conclude(snapshot_of(publications=[], listeners=heard), conclusions.ports) == [
        "2 ports de la machine, dont aucun sur toutes les interfaces.",
        "Sans propriétaire connu : 22/tcp et 53/udp.",
    ]


def _routed(*routers: dict[str, Any], **tables: Any) -> Snapshot:
    given = [
        {"protocol": "http", "status": "enabled", "service": "x@file", "tls": True, **router} for router in routers
    ]
    servers = {"traefik_services": [{"service": "x@file", "protocol": "http"}], "traefik_servers": []}
    return snapshot_of(traefik_routers=given, **{**servers, **tables})


def test_routers_that_are_disabled_and_domains_in_clear() -> None:
    facts = _routed(
        {"router": "b@file", "rule": "Host(`b.fr`)", "status": "disabled"},
        {"router": "a@file", "rule": "Host(`a.fr`)", "tls": False},
        {"router": "t@file", "rule": "HostSNI(`t.fr`)", "protocol": "tcp", "tls": False},
        {"router": "r@internal", "rule": "Host(`own.fr`)"},
    )
    assert conclude(facts, conclusions.routing) == [
        "3 domaines : a.fr, b.fr et t.fr.",
        "Routeur désactivé : b@file.",
        "Servi aussi, ou seulement, sans TLS : a.fr.",
    ]


def test_no_domain_at_all() -> None:
    assert conclude(_routed(), conclusions.routing) == ["Aucun domaine."]


def test_a_broken_way() -> None:
    facts = _routed({"router": "b@file", "rule": "Host(`b.fr`)", "status": "disabled"})
    assert conclude(facts, conclusions.graph) == ["Chemin rompu pour : b.fr."]


# None, one, two


def _bases(*answers: bool | None) -> dict[str, Any]:
    base = {"kind": "Redis", "running": True, "persistent": True, "container": "x", "healthcheck": "redis-cli ping"}
    strings = [{"container": "a", "variable": f"U{n}", "target": "container"} for n in range(len(answers))]
    found = [{**base, "database": f"b{n}", "answers": one} for n, one in enumerate(answers)]
    return {"databases": found, "connection_strings": strings}


def _served(*covers: bool) -> dict[str, Any]:
    probe = {"entrypoint": "s", "answered": True, "default": False, "trusted": True}
    return {
        "certificates": [],
        "tls_probes": [{**probe, "domain": f"d{n}.fr", "covers": c} for n, c in enumerate(covers)],
    }


def _asked(*statuses: int) -> dict[str, Any]:
    return {
        "http_probes": [{"url": f"https://a.fr/{n}", "entrypoint": "s", "status": s} for n, s in enumerate(statuses)]
    }


def _stopped(*projects: str) -> dict[str, Any]:
    containers = [{"name": f"{one}1", "state": "exited", "compose_project": one} for one in projects]
    return {"containers": containers, "container_networks": [], "publications": []}


@pytest.mark.parametrize(
    ("chapter", "facts", "sentences"),
    [
        (conclusions.certificates, _served(), ["Aucun domaine à servir en TLS."]),
        (conclusions.certificates, _served(False), ["Aucun domaine servi avec un certificat à son nom, sur 1."]),
        (conclusions.certificates, _served(True, False), ["1 domaine servi avec un certificat à son nom, sur 2."]),
        (conclusions.certificates, _served(True, True), ["2 domaines servis avec un certificat à leur nom, sur 2."]),
        (conclusions.probes, _asked(200), ["1 sonde à travers le proxy local : 1 fois 200."]),
        (conclusions.databases, _bases(True), ["1 base de données : b0 (Redis) ; elle répond."]),
        (conclusions.databases, _bases(False), ["1 base de données : b0 (Redis) ; elle n’a pas répondu."]),
        (conclusions.databases, _bases(True, True), ["2 bases de données : b0 (Redis) et b1 (Redis) ; 2 répondent."]),
        (conclusions.databases, _bases(False, None),
         ["2 bases de données : b0 (Redis) et b1 (Redis) ; aucune n’a répondu."]),
        (conclusions.inventory, _stopped("a"), ["Aucun conteneur en marche sur 1, dans 1 ensemble.", "Arrêté : a."]),
        (conclusions.inventory, _stopped("a", "b"),
         ["Aucun conteneur en marche sur 2, dans 2 ensembles.", "Arrêtés : a et b."]),
    ],
)  # fmt: skip
def test_words_agree_with_their_number(chapter: Chapter, facts: dict[str, Any], sentences: list[str]) -> None:
    said = conclude(snapshot_of(**facts), chapter)
    assert said[: len(sentences)] == sentences


@pytest.mark.parametrize(
    ("count", "resolved"),
    [
        (1, "1 chaîne de connexion dans l’environnement des conteneurs, résolue."),
        (2, "2 chaînes de connexion dans l’environnement des conteneurs, toutes résolues."),
    ],
)
def test_connection_strings_agree_with_their_number(count: int, resolved: str) -> None:
    assert conclude(snapshot_of(**_bases(*[True] * count)), conclusions.databases)[-1] == resolved


@pytest.mark.parametrize(
    ("passive", "sentence"),
    [
        ([], "Aucun projet sur le disque."),
        ([False], "1 projet sur le disque, qui n’est pas passif."),
        ([True], "1 projet sur le disque, qui est passif : r0/compose.yml."),
        ([False, False], "2 projets sur le disque, dont aucun passif."),
        ([True, False], "2 projets sur le disque, dont 1 passif : r0/compose.yml."),
        ([True, True], "2 projets sur le disque, dont 2 passifs : r0/compose.yml et r1/compose.yml."),
    ],
)
def test_projects_agree_with_their_number(passive: list[bool], sentence: str) -> None:
    stacks = Stack.table.rows([])
    states = [PASSIVE if one else ACTIVE for one in passive]
    projects = Project.table.rows(
        Project(root="/srv", files=f"r{n}/compose.yml", state=one, refused=False) for n, one in enumerate(states)
    )
    assert [*conclusions.inventory(stacks, projects=projects)][1] == sentence


# The audit as a whole


def _audit(*results: tuple[Severity, Verdict], found: tuple[Severity, ...] = ()) -> Audit:
    judged = [Result(f"X-{number:03}", "Rien", one[1], one[0]) for number, one in enumerate(results)]
    said = [
        Finding(f"X|{n}", "X-001", severity, "certain", (), f"Constat {n}.", {}, Fix(""))
        for n, severity in enumerate(found)
    ]
    return Audit(judged, said)


@pytest.mark.parametrize(
    ("audit", "sentence"),
    [
        (_audit(), "Aucun contrôle n’a pu être évalué : l’audit ne donne pas de note."),
        (_audit(("high", "unknown")), "Aucun contrôle n’a pu être évalué : l’audit ne donne pas de note."),
        (
            _audit(("high", "pass")),
            "Note 100 sur 100, pour 100 % des contrôles évalués ; aucun constat.",
        ),
        (
            _audit(("high", "pass"), ("low", "fail"), ("critical", "unknown"), found=("low",)),
            "Pas de note : 67 % des contrôles ont pu être évalués, et il en faut 80 %.",
        ),
        (
            _audit(*[("low", "pass")] * 3, ("low", "fail"), ("critical", "unknown"), found=("low",)),
            "Note 75 sur 100, pour 80 % des contrôles évalués ; le plus grave est de gravité faible.",
        ),
        (
            _audit(*[("critical", "pass")] * 9, ("critical", "fail"), found=("critical",)),
            "Note 49 sur 100, pour 100 % des contrôles évalués ; le plus grave est de gravité critique.",
        ),
    ],
)
def test_the_score_never_stands_alone(audit: Audit, sentence: str) -> None:
    assert verdict(audit) == sentence


@pytest.mark.parametrize(
    ("audit", "sentences"),
    [
        (_audit(("high", "pass")), ["Aucun constat.", "1 contrôle conforme sur 1 évalué."]),
        (
            _audit(("high", "fail"), ("low", "unknown"), found=("high", "high", "info")),
            [
                "3 constats : 2 de gravité élevée et 1 de gravité information.",
                "Aucun contrôle conforme sur 1 évalué.",
                "Non évaluable : X-001.",
            ],
        ),
    ],
)
def test_the_conclusion_on_findings(audit: Audit, sentences: list[str]) -> None:
    assert conclusions.findings(audit) == sentences


def test_five_grave_problems_are_quoted_and_the_others_counted() -> None:
    audit = _audit(("high", "fail"), found=("critical",) * 4 + ("high",) * 3 + ("low",))
    said = executive(derived(snapshot_of(), audit))
    assert [one for one in said if one.startswith("Constat")] == [f"Constat {number}." for number in range(5)]
    assert said[-1] == "Et 2 autres problèmes graves."
