"""What each chapter concludes, in French."""

from typing import Any

import pytest

from auditlib import checks, conclusions, findings, routing  # noqa: F401 - some for what they register
from auditlib.conclusions import Chapter, conclude, executive, verdict
from auditlib.findings import Audit, Finding, Fix, Result, Severity, Verdict
from auditlib.snapshot import Snapshot
from tests.conftest import snapshot_of


@pytest.mark.parametrize(
    ("chapter", "faulty_says", "healthy_says"),
    [
        (conclusions.collection, ["6 sources lues entièrement sur 6."], ["6 sources lues entièrement sur 6."]),
        (
            conclusions.inventory,
            [
                "17 conteneurs en marche sur 17, dans 5 ensembles.",
                "Hors de Docker, à l’écoute sur la machine : ai-orchestrator-backend.service et mariadb.service.",
            ],
            [
                "17 conteneurs en marche sur 17, dans 5 ensembles.",
                "Hors de Docker, à l’écoute sur la machine : ai-orchestrator-backend.service et mariadb.service.",
            ],
        ),
        (
            conclusions.ports,
            ["10 ports de la machine, dont 9 sur toutes les interfaces."],
            ["8 ports de la machine, dont 3 sur toutes les interfaces."],
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


def test_the_summary_of_the_reference_server(faulty: Snapshot, healthy: Snapshot) -> None:
    audit = findings.run(faulty)
    graver = [finding.message for finding in audit.findings if finding.severity in ("critical", "high")]
    assert len(graver) == 3
    assert executive(faulty, audit) == [
        "Note 65 sur 100, pour 100 % des contrôles évalués ; le plus grave est de gravité critique.",
        "17 conteneurs en marche sur 17, dans 5 ensembles.",
        "10 ports de la machine, dont 9 sur toutes les interfaces.",
        "4 domaines : ai.4lb.ca, files.4lb.ca, jsr.4lb.ca et traefik.4lb.ca.",
        *graver,
    ]
    assert executive(healthy, findings.run(healthy))[0] == (
        "Note 100 sur 100, pour 100 % des contrôles évalués ; aucun constat."
    )


@pytest.mark.parametrize("chapter", [conclusions.inventory, conclusions.ports, conclusions.routing, conclusions.graph])
def test_what_was_not_read_is_said(chapter: Chapter) -> None:
    assert conclude(snapshot_of(), chapter) == ["Non évaluable : elle n’a pas été lue."]


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
    summary = executive(facts, findings.run(facts))
    assert summary[0] == "Aucun contrôle n’a pu être évalué : l’audit ne donne pas de note."
    assert summary[1:4] == ["Non évaluable : elle n’a pas été lue."] * 3
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
        "En partie arrêtés : a (a2 et a3).",
        "Arrêtés : b et c1.",
    ]


def test_an_empty_machine() -> None:
    facts = snapshot_of(containers=[], container_networks=[], publications=[], listeners=[])
    assert conclude(facts, conclusions.inventory) == [
        "0 conteneur en marche sur 0, dans 0 ensemble.",
        "Hors de Docker, à l’écoute sur la machine : rien.",
    ]
    assert conclude(facts, conclusions.ports) == ["0 port de la machine, dont 0 sur toutes les interfaces."]


def test_ports_that_docker_alone_tells() -> None:
    publication = {"container": "a", "protocol": "tcp", "container_port": 80, "host_ip": "0.0.0.0", "host_port": 80}
    facts = snapshot_of(publications=[{**publication, "live": True}])
    assert conclude(facts, conclusions.ports) == [
        "1 port de la machine, dont 1 sur toutes les interfaces.",
        "Seuls les ports publiés par Docker sont connus : les écoutes de la machine n’ont pas été lues.",
    ]


def test_ports_of_nobody_known() -> None:
    heard = [
        {"protocol": protocol, "family": "ipv4", "address": "127.0.0.1", "port": port}
        for protocol, port in (("tcp", 22), ("udp", 53))
    ]
    assert conclude(snapshot_of(publications=[], listeners=heard), conclusions.ports) == [
        "2 ports de la machine, dont 0 sur toutes les interfaces.",
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
        "Routeurs désactivés : b@file.",
        "Servis aussi, ou seulement, sans TLS : a.fr.",
    ]


def test_no_domain_at_all() -> None:
    assert conclude(_routed(), conclusions.routing) == ["0 domaine : aucun."]


def test_a_broken_way() -> None:
    facts = _routed({"router": "b@file", "rule": "Host(`b.fr`)", "status": "disabled"})
    assert conclude(facts, conclusions.graph) == ["Chemin rompu pour : b.fr."]


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
        (_audit(("high", "pass")), "Note 100 sur 100, pour 100 % des contrôles évalués ; aucun constat."),
        (
            _audit(("high", "pass"), ("low", "fail"), ("critical", "unknown"), found=("low",)),
            "Note 80 sur 100, pour 67 % des contrôles évalués ; le plus grave est de gravité faible.",
        ),
    ],
)
def test_the_score_never_stands_alone(audit: Audit, sentence: str) -> None:
    assert verdict(audit) == sentence


@pytest.mark.parametrize(
    ("audit", "sentences"),
    [
        (_audit(("high", "pass")), ["0 constat.", "1 contrôle conforme sur 1 évalué."]),
        (
            _audit(("high", "fail"), ("low", "unknown"), found=("high", "high", "info")),
            [
                "3 constats : 2 de gravité élevée et 1 de gravité information.",
                "0 contrôle conforme sur 1 évalué.",
                "Non évaluables : X-001.",
            ],
        ),
    ],
)
def test_the_conclusion_on_findings(audit: Audit, sentences: list[str]) -> None:
    assert conclusions.findings(audit) == sentences


def test_five_grave_findings_are_quoted_and_the_others_counted() -> None:
    said = executive(snapshot_of(), _audit(("high", "fail"), found=("critical",) * 4 + ("high",) * 3 + ("low",)))
    assert [one for one in said if one.startswith("Constat")] == [f"Constat {number}." for number in range(5)]
    assert said[-1] == "Et 2 autres constats graves."
