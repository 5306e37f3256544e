"""What is recommended: on the reference server, on the cases of the checks, and on facts that no check judges.

Sentences are written with ordinary spaces.
"""

import datetime as dt
import inspect
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import VIEWS
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.docker import ContainerLabel
from auditlib.findings.audit import Audit
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS
from auditlib.findings.policy import Policy
from auditlib.french import typography
from auditlib.parameters import Waiver
from auditlib.recommendations import HEADINGS, RULES, Recommendation, Rule, Section, recommend
from auditlib.report.shown import Advised
from tests.checks.cases import GIVEN, Case, load
from tests.conftest import MOMENT, replay, snapshot_of

FOLDER = Path(__file__).parent
CASES: dict[tuple[str, str], list[Case]] = defaultdict(list)
for one in load():
    CASES[one.check, one.verdict].append(one)
# Rules that tell what is wrong, with each check they rest on.
PAIRS = [(rule, check) for rule in RULES for check in rule.checks if not rule.keep]


def each(pairs: list[tuple[Rule, str]]) -> pytest.MarkDecorator:
    """The decorator of a test of pairs."""
    return pytest.mark.parametrize(("rule", "check"), pairs, ids=[f"{rule.title}: {check}" for rule, check in pairs])


def told(sections: list[Section]) -> dict[str, Any]:
    """Sections as the expected files hold them."""
    return {
        section.heading: {
            "nothing": section.nothing,
            "advised": [_said(one) for one in section.advised],
            "kept": [_said(one) for one in section.kept],
            "unknown": list(section.unknown),
        }
        for section in sections
    }


def _said(one: Recommendation) -> dict[str, str]:
    return {"title": one.title, "seen": one.seen, "why": one.why, "todo": one.todo, "rests": one.rests}


def spaced(value: Any) -> Any:
    """The same, with the spaces of French."""
    match value:
        case dict():
            return {key: spaced(one) for key, one in value.items()}
        case list():
            return [spaced(one) for one in value]
        case str():
            return typography(value)
    return value


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_reference_server(variant: str) -> None:
    snapshot = replay(variant)
    expected = yaml.safe_load((FOLDER / f"{variant}.yaml").read_text("utf-8"))
    assert spaced(told(recommend(snapshot, judge(snapshot)))) == spaced(expected)


# What the audit that a person wrote of the reference server recommends, and where it is found.
BY_HAND = [
    ("Réseaux", "Attacher tout conteneur routé à « unified-net »"),
    ("Réseaux", "retirer l’option « providers.docker.network »"),
    ("Réseaux", "Laisser Compose nommer les conteneurs, ou préfixer leur nom"),
    ("Réseaux", "Publier « backend » sur un autre port de la machine (8003 est libre)"),
    ("Routage", "laisser le reste aux étiquettes"),
    ("Routage", "« ai-api@file » et « ai-ws@file » : déclarés en fichier, vers « ai-orchestrator-backend.service »"),
    ("Routage", "« crowdsec@file », « geoblock@file », « rate-limit@file » et « security-headers@file » : déclarés en"),
    ("Sécurité", "« crowdsec@file » (7 routeurs), « geoblock@file » (7 routeurs), « rate-limit@file » (2 routeurs)"),
    ("Sécurité", "Garder la lecture seule"),
    ("Sécurité", "Retirer « api.insecure »"),
    ("Sécurité", "annonce la version 3.6.7"),
    ("Observabilité", "En service : « prometheus » et « grafana »"),
    ("Observabilité", "par exemple « /health »"),
]


@pytest.mark.parametrize(("heading", "words"), BY_HAND)
def test_what_a_person_recommended(faulty: Snapshot, heading: str, words: str) -> None:
    section = next(one for one in recommend(faulty, judge(faulty)) if one.heading == heading)
    said = " ".join(" ".join(_said(one).values()) for one in [*section.advised, *section.kept])
    assert typography(words) in typography(said)


NOTHING = {name: table.rows([]) for name, table in TABLES.items()}


def judged(case: Case, rule: Rule) -> Section:
    """What a rule says under its heading when one check judged a case; tables the case lacks are empty."""
    filled = Snapshot("serveur", MOMENT, {**NOTHING, **case.snapshot.tables}, {})
    return next(one for one in recommend(filled, case.audit, [rule]) if one.heading == rule.heading)


@each(PAIRS)
def test_a_rule_speaks_of_the_findings_of_each_of_its_checks(rule: Rule, check: str) -> None:
    speaking = [
        one.rests
        for case in CASES[check, "fail"]
        for one in judged(case, rule).advised
        if one.title == rule.title and check in one.rests
    ]
    # Publications are told once: those that a check of ports judges are not told again as merely open to all.
    apart = check.startswith("PORT-") and "CIS-5.14" in rule.checks
    assert bool(speaking) is not apart


@each(PAIRS)
def test_a_rule_is_silent_when_its_checks_find_nothing(rule: Rule, check: str) -> None:
    for case in CASES[check, "pass"]:
        assert [one for one in judged(case, rule).advised if check in one.rests] == []


@each([(rule, check) for rule, check in PAIRS if check not in GIVEN])
def test_a_heading_says_which_checks_could_not_be_judged(rule: Rule, check: str) -> None:
    nothing_read = Case(check, "nothing was read", {}, "unknown", "Elle n’a pas été lue.", [])
    for case in [nothing_read, *CASES[check, "unknown"]]:
        section = judged(case, rule)
        assert f"{check} : {case.reason}" in section.unknown
        assert section.nothing in (None, "Rien à recommander parmi ce qui a pu être évalué.")


def test_an_audit_that_ran_no_check_recommends_nothing_of_findings() -> None:
    snapshot = snapshot_of()
    for section in recommend(snapshot, judge(snapshot, checks=[])):
        assert section.advised == []
        assert section.nothing == "Rien à recommander parmi ce qui a pu être évalué."
        assert any("n’a pas été exécuté" in reason for reason in section.unknown)


def test_every_rule_names_known_checks_tables_and_heading() -> None:
    for rule in RULES:
        assert set(rule.checks) <= set(CHECKS)
        assert rule.heading in HEADINGS
        tables = list(inspect.signature(rule.function).parameters)[1:]
        assert set(tables) <= {*TABLES, *VIEWS}
        assert rule.checks or tables


# Rules on facts alone: tables, and the sentences of the rule: seen and to do. None: nothing is said.
PROMETHEUS = {"name": "prom", "image": "prom/prometheus:v3", "state": "running", "healthcheck": True}
TRAEFIK = {"container": "t", "origin": "flags", "effective": True}
CERTIFICATE = {"origin": "acme", "resolver": "le", "domain": "a.fr", "fingerprint": "0", "not_after": "2027-01-01"}
ROUTER = {"protocol": "http", "tls": True}
FACTS: list[tuple[str, str, dict[str, list[dict[str, Any]]], tuple[str, str] | None]] = [
    (
        "containers without a health check",
        "Des contrôles de santé partout",
        {
            "containers": [
                {"name": "web", "image": "web", "state": "running", "healthcheck": False},
                {"name": "idle", "image": "idle", "state": "exited", "healthcheck": False},
                {"name": "sound", "image": "sound", "state": "running", "healthcheck": True},
            ]
        },
        (
            "Sans contrôle de santé : « web ».",
            "Leur donner un « healthcheck » sur un même chemin, par exemple « /health » pour ce qui parle HTTP.",
        ),
    ),
    (
        "every container has a health check, or it is not known",
        "Des contrôles de santé partout",
        {"containers": [{"name": "a", "state": "running", "healthcheck": True}, {"name": "b", "state": "running"}]},
        None,
    ),
    (
        "no access log",
        "Un journal d’accès",
        {"traefik_static": [{**TRAEFIK, "key": "log.level", "value": "INFO"}]},
        (
            "Traefik ne tient pas de journal d’accès : aucune option « accesslog » n’est en vigueur.",
            "Régler « accesslog.filepath » sur un volume, et « accesslog.format » à « json ».",
        ),
    ),
    (
        "an access log turned off",
        "Un journal d’accès",
        {"traefik_static": [{**TRAEFIK, "key": "accesslog", "value": "false"}]},
        (
            "Traefik ne tient pas de journal d’accès : aucune option « accesslog » n’est en vigueur.",
            "Régler « accesslog.filepath » sur un volume, et « accesslog.format » à « json ».",
        ),
    ),
    (
        "an access log",
        "Un journal d’accès",
        {"traefik_static": [{**TRAEFIK, "key": "accesslog.format", "value": "json"}]},
        None,
    ),
    ("no Traefik", "Un journal d’accès", {"traefik_static": []}, None),
    (
        "Prometheus without metrics of Traefik, nor exporter",
        "Des mesures pour Prometheus",
        {
            "containers": [PROMETHEUS],
            "units": [],
            "traefik_static": [{**TRAEFIK, "key": "metrics.prometheus", "value": "false"}],
        },
        (
            "Prometheus est en service (« prom »), mais Traefik ne donne pas de mesures (« metrics.prometheus ») et "
            "aucun exporteur connu n’a été trouvé parmi les conteneurs et les unités.",
            "Régler « metrics.prometheus » dans Traefik, sur un point d’entrée non publié. Ajouter node-exporter pour "
            "la machine et cAdvisor pour les conteneurs.",
        ),
    ),
    (
        "Prometheus on the host, with an exporter there",
        "Des mesures pour Prometheus",
        {
            "containers": [],
            "units": [
                {"unit": "prometheus.service", "active": "active"},
                {"unit": "prometheus-node-exporter.service", "active": "active"},
            ],
            "traefik_static": [{**TRAEFIK, "key": "metrics.prometheus.entrypoint", "value": "metrics"}],
        },
        None,
    ),
    (
        "no Prometheus in service",
        "Des mesures pour Prometheus",
        {"containers": [{**PROMETHEUS, "state": "exited"}], "units": [], "traefik_static": []},
        None,
    ),
    (
        "certificates that nothing is known to watch",
        "Une alerte avant la fin des certificats",
        {"certificates": [CERTIFICATE], "containers": []},
        (
            "Le certificat de « a.fr » finit le premier, le 1er janvier 2027 ; aucun programme connu qui surveille les "
            "certificats n’a été trouvé parmi les conteneurs.",
            "Ajouter une sonde qui prévient, par exemple blackbox-exporter, Uptime Kuma ou Gatus.",
        ),
    ),
    (
        "a program that watches certificates",
        "Une alerte avant la fin des certificats",
        {"certificates": [CERTIFICATE], "containers": [{**PROMETHEUS, "image": "louislam/uptime-kuma:1"}]},
        None,
    ),
    ("no certificate", "Une alerte avant la fin des certificats", {"certificates": [], "containers": []}, None),
    (
        "TLS options that differ on one domain",
        "Les mêmes options TLS pour un même domaine",
        {
            "traefik_routers": [
                {**ROUTER, "router": "a@docker", "tls_options": "modern@file"},
                {**ROUTER, "router": "b@docker", "tls_options": "default"},
            ],
            "routes": [
                {"domain": "a.fr", "protocol": "http", "router": "a@docker", "server": "x"},
                {"domain": "a.fr", "protocol": "http", "router": "b@docker", "server": "x"},
            ],
        },
        (
            "Options TLS différentes selon le routeur d’un même domaine : « a.fr » (default et modern@file).",
            "Donner les mêmes options à tous les routeurs de chaque domaine, ou les déclarer au point d’entrée.",
        ),
    ),
    (
        "TLS options that differ from one domain to another",
        "Les mêmes options TLS pour un même domaine",
        {
            "traefik_routers": [
                {**ROUTER, "router": "a@docker", "tls_options": "modern@file"},
                {**ROUTER, "router": "b@docker", "tls_options": "default"},
            ],
            "routes": [
                {"domain": "a.fr", "protocol": "http", "router": "a@docker", "server": "x"},
                {"domain": "b.fr", "protocol": "http", "router": "b@docker", "server": "x"},
            ],
        },
        None,
    ),
]


def with_views(tables: dict[str, list[dict[str, Any]]]) -> Snapshot:
    """A snapshot of tables and of views that are given rather than computed."""
    snapshot = snapshot_of(**{name: rows for name, rows in tables.items() if name in TABLES})
    for name in set(tables) - set(TABLES):
        snapshot._views[name] = VIEWS[name].table.rows(tables[name])
    return snapshot


@pytest.mark.parametrize(("title", "tables", "said"), [one[1:] for one in FACTS], ids=[one[0] for one in FACTS])
def test_facts(title: str, tables: dict[str, list[dict[str, Any]]], said: tuple[str, str] | None) -> None:
    sections = recommend(with_views(tables), Audit([], []))
    assert [(one.seen, one.todo) for one in _of(sections, title)] == ([said] if said else [])


@pytest.mark.parametrize("title", sorted({title for _, title, _, _ in FACTS}))
def test_facts_that_were_not_read_are_said_to_be(title: str) -> None:
    sections = recommend(snapshot_of(), Audit([], []))
    assert _of(sections, title) == []
    assert [r for one in sections for r in one.unknown if r.startswith(f"« {title} »") and "n’a pas été lue" in r] != []


def _of(sections: list[Section], title: str) -> list[Recommendation]:
    return [one for section in sections for one in section.advised if one.title == title]


def test_a_network_that_is_not_there_is_not_recommended(faulty: Snapshot) -> None:
    label = {"container": "jsr-dev", "label": "traefik.docker.network", "value": "traefik_public"}
    snapshot = faulty.changed({"labels": [*faulty.rows(ContainerLabel), label]})
    [advice] = [
        one
        for section in recommend(snapshot, judge(snapshot))
        for one in section.advised
        if one.title.startswith("Un seul réseau")
    ]
    assert "traefik_public" in advice.seen
    assert "traefik_public" not in advice.todo
    assert "« unified-net »" in typography(advice.todo).replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0, ["Expirent bientôt : CONT-006 sur « web », le 23 novembre 2026."]),
        (30, ["Expirent bientôt : CONT-006 sur « web », le 23 décembre 2026."]),
        (31, []),
        (-1, []),
        (None, []),
    ],
)
def test_waivers_that_end_within_a_month(days: int | None, said: list[str]) -> None:
    end = None if days is None else MOMENT.date() + dt.timedelta(days=days)
    waiver = Waiver(check="CONT-006", subject="web", reason="plus tard", author="moi", expires=end)
    snapshot = snapshot_of()
    title = "Des dérogations qui ne survivent pas à leur motif"
    assert [one.seen for one in _of(recommend(snapshot, Audit([], []), Policy(waivers=(waiver,))), title)] == said


def test_a_name_from_the_machine_cannot_make_markup() -> None:
    name = "<b>*x*</b>\u202e"
    containers = [{"name": name, "image": "web", "state": "running", "healthcheck": False}]
    shown = Advised(recommend(snapshot_of(containers=containers), Audit([], [])))
    assert "&lt;b&gt;*x*&lt;/b&gt;⟨202E⟩" in shown._repr_html_()
    assert "\\<b\\>\\*x\\*\\</b\\>⟨202E⟩" in shown.markdown()
    assert name not in shown._repr_html_() + shown.markdown() + repr(shown)


def test_the_report_leads_its_recommendations_with_them(faulty_report: str) -> None:
    section = faulty_report.partition("\n## 7. ")[2].partition("\n## 8. ")[0]
    headings = [line.removeprefix("### ") for line in section.splitlines() if line.startswith("### ")]
    assert headings == [*HEADINGS, "Constats de gravité moyenne ou moindre"]
    assert section.index("**Un seul réseau entre Traefik et ce qu’il sert.**") < section.index("**NET-007**")
