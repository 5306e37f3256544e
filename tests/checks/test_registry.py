"""What every check must hold, whatever it looks for."""

import dataclasses
import random
import re
import shlex
from collections import defaultdict
from typing import Any

import pytest

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables import TABLES
from auditlib.findings.audit import Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import CHECKS, SEVERITIES_FR, Check
from auditlib.french import typography
from auditlib.report.shown import fact_labels
from tests.checks.cases import Case, expected, load, said
from tests.conftest import snapshot_of

CASES: dict[str, list[Case]] = defaultdict(list)
for one in load():
    CASES[one.check].append(one)
FAILING = [case for cases in CASES.values() for case in cases if case.verdict == "fail"]
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
EVERY_FAILURE = pytest.mark.parametrize("case", FAILING, ids=[f"{case.check}: {case.name}" for case in FAILING])


CATALOGUE = {
    "CIS-2.2": ("info", "Les conteneurs du réseau par défaut ne se voient pas"),
    "CIS-2.3": ("info", "Le niveau de journal du démon Docker est « info »"),
    "CIS-2.4": ("info", "Le démon Docker peut régler iptables"),
    "CIS-2.5": ("info", "Le démon Docker n’a aucun registre sans TLS"),
    "CIS-2.6": ("info", "Le pilote de stockage n’est pas aufs"),
    "CIS-2.7": ("critical", "Le démon Docker n’écoute aucune adresse sans exiger de certificat"),
    "CIS-2.8": ("info", "Des limites de ressources par défaut sont réglées"),
    "CIS-2.9": ("info", "Le root des conteneurs n’est pas celui de la machine"),
    "CIS-2.10": ("info", "Le cgroup du démon Docker est celui par défaut"),
    "CIS-2.11": ("info", "La taille de base des conteneurs est celle par défaut"),
    "CIS-2.12": ("info", "Les commandes du client Docker sont soumises à autorisation"),
    "CIS-2.13": ("info", "Les journaux des conteneurs sont centralisés"),
    "CIS-2.14": ("info", "Les conteneurs ne peuvent pas acquérir de privilèges par défaut"),
    "CIS-2.15": ("info", "Les conteneurs survivent à un redémarrage du démon Docker"),
    "CIS-2.16": ("info", "Les ports publiés ne passent pas par un proxy en espace utilisateur"),
    "CIS-2.17": ("info", "Le filtre seccomp du démon Docker est actif"),
    "CIS-2.18": ("info", "Le démon Docker n’a pas de fonctions expérimentales"),
    "CIS-3.15": ("high", "Le socket de Docker appartient à root et à son groupe"),
    "CIS-3.16": ("high", "Le socket de Docker n’est ouvert qu’à root et à son groupe"),
    "CIS-4.1": ("info", "Chaque conteneur tourne sous un compte qui n’est pas root"),
    "CIS-4.6": ("info", "Chaque image utilisée déclare un contrôle de santé"),
    "CIS-5.1": ("info", "Le mode essaim de Docker n’est pas actif sans besoin"),
    "CIS-5.2": ("medium", "Chaque conteneur est confiné par AppArmor là où le démon en dispose"),
    "CIS-5.3": ("info", "Aucun conteneur ne quitte le confinement de SELinux là où le démon en dispose"),
    "CIS-5.4": ("medium", "Aucun conteneur n’a de capacité du noyau au-delà de celles par défaut"),
    "CIS-5.5": ("critical", "Aucun conteneur n’est privilégié"),
    "CIS-5.6": ("high", "Aucun dossier sensible de la machine n’est monté en écriture"),
    "CIS-5.7": ("info", "Aucun serveur SSH n’écoute dans un conteneur"),
    "CIS-5.8": ("info", "Aucun port privilégié de la machine n’est publié"),
    "CIS-5.9": ("info", "Aucun port n’est publié sans que le conteneur y écoute"),
    "CIS-5.10": ("medium", "Aucun conteneur n’utilise le réseau de la machine"),
    "CIS-5.11": ("info", "Chaque conteneur a une limite de mémoire"),
    "CIS-5.12": ("info", "Chaque conteneur a une part ou une limite de processeur"),
    "CIS-5.13": ("info", "La racine de chaque conteneur est en lecture seule"),
    "CIS-5.14": ("low", "Chaque port publié l’est sur une adresse précise"),
    "CIS-5.15": ("info", "Aucun conteneur en échec n’est relancé plus de cinq fois"),
    "CIS-5.16": ("high", "Aucun conteneur ne voit les processus de la machine"),
    "CIS-5.17": ("medium", "Aucun conteneur ne partage la mémoire IPC de la machine"),
    "CIS-5.18": ("info", "Aucun périphérique de la machine n’est donné à un conteneur"),
    "CIS-5.19": ("info", "Les limites de ressources de chaque conteneur sont réglées"),
    "CIS-5.20": ("medium", "Aucun montage ne se propage vers la machine"),
    "CIS-5.21": ("low", "Aucun conteneur ne partage le nom de la machine"),
    "CIS-5.22": ("high", "Aucun conteneur n’est sans filtre seccomp"),
    "CIS-5.25": ("info", "Chaque conteneur est dans le cgroup par défaut"),
    "CIS-5.26": ("info", "Aucun conteneur ne peut acquérir de nouveaux privilèges"),
    "CIS-5.27": ("info", "Chaque conteneur a un contrôle de santé"),
    "CIS-5.28": ("info", "Chaque conteneur tourne sur l’image que désigne son étiquette"),
    "CIS-5.29": ("info", "Le nombre de processus de chaque conteneur est limité"),
    "CIS-5.30": ("info", "Aucun conteneur n’utilise le réseau par défaut de Docker"),
    "CIS-5.31": ("medium", "Aucun conteneur ne renonce à l’espace utilisateur du démon"),
    "CIS-5.32": ("high", "Le socket de Docker n’est monté dans aucun conteneur"),
    "CIS-6.1": ("info", "La plupart des images de la machine servent"),
    "CIS-6.2": ("info", "Les conteneurs arrêtés ne s’accumulent pas"),
    "CIS-7.1": ("info", "L’essaim n’a pas plus de gestionnaires qu’il n’en faut"),
    "CIS-7.2": ("info", "La gestion de l’essaim n’écoute que sur une adresse choisie"),
    "CIS-7.3": ("info", "Les réseaux de l’essaim sont chiffrés"),
    "CIS-7.5": ("info", "Les gestionnaires de l’essaim se verrouillent"),
    "CIS-7.7": ("info", "Les certificats des nœuds de l’essaim sont renouvelés au moins tous les 90 jours"),
    "COLLECT-001": ("info", "Chaque source a été lue en entier"),
    "ACME-001": ("critical", "Le stockage ACME n’est lisible que de son propriétaire"),
    "ACME-002": ("high", "Le stockage ACME est présent, valide et garni"),
    "ACME-003": ("high", "Le stockage ACME est sur un montage persistant"),
    "ACME-004": ("high", "Chaque résolveur nommé par un routeur existe"),
    "COMPOSE-001": ("medium", "Aucun conteneur ne porte un nom générique"),
    "COMPOSE-002": ("medium", "Chaque fichier compose est lisible, valide et sans variable inconnue"),
    "COMPOSE-003": ("medium", "Chaque conteneur en marche est celui que décrit son fichier compose"),
    "COMPOSE-004": ("info", "Chaque projet du disque a quelque chose en marche"),
    "COMPOSE-005": ("medium", "Aucun fichier compose ne contient de secret en clair"),
    "COMPOSE-006": ("low", "Chaque conteneur en marche a encore son service dans un fichier compose"),
    "CONT-001": ("high", "Aucun conteneur n’est en mauvaise santé"),
    "CONT-002": ("high", "Aucun conteneur ne redémarre en boucle"),
    "DB-001": ("critical", "Chaque base de données répond à son propre protocole"),
    "DB-002": ("low", "Chaque base de données en conteneur a un contrôle de santé"),
    "DB-003": ("high", "Les données de chaque base en conteneur sont sur un volume ou un dossier monté"),
    "DB-004": ("high", "Aucune base ne répond sans mot de passe hors de son projet"),
    "DB-005": ("high", "Aucune base de la machine n’écoute au-delà de la boucle locale"),
    "DB-006": ("medium", "Chaque chaîne de connexion mène à une seule base"),
    "DB-007": ("info", "Chaque base de données sert à quelque chose"),
    "CONT-003": ("high", "Aucun conteneur qui devrait tourner n’est arrêté en erreur"),
    "CONT-004": ("medium", "Chaque service routé et chaque base de données redémarre de lui-même"),
    "CONT-005": ("high", "Aucun conteneur n’a été tué faute de mémoire"),
    "CONT-006": ("low", "Chaque image a une version fixe"),
    "CONT-007": ("low", "Les journaux des conteneurs sont bornés"),
    "CONT-008": ("low", "Chaque service routé a un contrôle de santé"),
    "HOST-001": ("info", "Seul root commande Docker"),
    "HOST-002": ("high", "Les disques de Docker et des bases de données ont de la place"),
    "HOST-003": ("medium", "La machine a de la mémoire disponible"),
    "HOST-004": ("high", "Aucune unité dont un service dépend n’est en échec"),
    "HOST-005": ("info", "Le pare-feu voit tout ce qui entre"),
    "HOST-006": ("info", "Docker n’occupe pas de place inutile"),
    "EXPECT-001": ("high", "Les conteneurs, domaines, certificats et bases attendus sont là"),
    "HTTP-001": ("critical", "Chaque route vivante répond"),
    "HTTP-002": ("high", "Chaque route est servie par le routeur prévu"),
    "HTTP-003": ("low", "Les réponses portent les en-têtes de sécurité"),
    "HTTP-004": ("medium", "Rien n’est servi en HTTP clair sans redirection"),
    "HTTP-005": ("high", "Aucune interface d’administration ne répond sans authentification"),
    "HTTP-006": ("critical", "Aucune redirection ne tourne en rond"),
    "LOG-001": ("high", "Aucune demande récente de certificat n’a échoué"),
    "LOG-002": ("medium", "Le journal de Traefik ne contient aucune erreur récente inexpliquée"),
    "LOG-003": ("info", "Traefik est à jour de ce que son journal annonce"),
    "LOG-004": ("medium", "Aucun routeur ne répond trop souvent par une erreur de serveur"),
    "NET-001": ("high", "Chaque conteneur routé est attaché au réseau désigné à Traefik"),
    "NET-002": ("critical", "Chaque conteneur routé partage un réseau avec Traefik"),
    "NET-003": ("medium", "Un réseau est désigné à Traefik pour chaque conteneur routé qui en a plusieurs"),
    "NET-004": ("high", "Aucun nom n’est celui de deux projets sur un même réseau"),
    "NET-005": ("medium", "Aucun réseau Docker ne recouvre un autre réseau"),
    "NET-006": ("info", "Chaque réseau Docker sert à un conteneur"),
    "NET-007": ("medium", "Aucune base ne partage de réseau avec qui ne s’en sert pas"),
    "NET-008": ("medium", "Chaque réseau externe d’un fichier compose existe"),
    "PORT-001": ("critical", "Aucun port publié n’est pris par un autre"),
    "PORT-002": ("medium", "Rien de ce qui est à l’arrêt ne réclame un port déjà pris"),
    "PORT-003": ("low", "Rien de ce qui est à l’arrêt ne réclame le même port qu’un autre"),
    "PORT-004": ("critical", "Aucun port de base de données n’est publié sur toutes les interfaces"),
    "PORT-005": ("medium", "Aucune interface interne n’est ouverte sur toutes les interfaces"),
    "PORT-006": ("medium", "Aucun conteneur routé n’est joignable sans passer par Traefik"),
    "PORT-007": ("info", "Chaque écoute de la machine a un propriétaire identifié"),
    "PORT-008": ("low", "Les ports tenus sont ceux qui sont attendus"),
    "PORT-009": ("low", "Aucun port publié n’est pris dans ceux que le noyau donne aux clients"),
    "PORT-010": ("info", "Chaque service est publié sur les mêmes familles d’adresses que ses voisins"),
    "ROUTE-001": ("critical", "Traefik sert tous les routeurs, services et middlewares déclarés"),
    "ROUTE-002": ("high", "Chaque conteneur qui demande à être routé l’est"),
    "ROUTE-003": ("critical", "Aucun nom de Traefik n’est déclaré différemment par plusieurs conteneurs"),
    "ROUTE-004": ("high", "Aucun service de Traefik n’est partagé par plusieurs projets"),
    "ROUTE-005": ("high", "Aucun routeur n’est masqué par un autre"),
    "ROUTE-006": ("critical", "Le port que Traefik utilise est écouté dans chaque conteneur routé"),
    "ROUTE-007": ("high", "Aucun serveur n’est en panne aux yeux de Traefik"),
    "ROUTE-008": ("medium", "Aucun domaine public n’est servi sans TLS"),
    "ROUTE-009": ("medium", "Chaque routeur a les protections de ses voisins"),
    "ROUTE-010": ("medium", "Chaque règle est écrite dans la syntaxe de la version en service"),
    "ROUTE-011": ("high", "Aucune requête ne revient à deux routeurs de même priorité"),
    "ROUTE-012": ("info", "Chaque domaine déclaré sur le disque a un routeur en service"),
    "ROUTE-013": ("low", "Chaque domaine est déclaré en un seul endroit"),
    "ROUTE-014": ("high", "L’API de Traefik n’est pas servie sans authentification au-delà de la machine"),
    "ROUTE-015": ("high", "Quelque chose répond à l’adresse de chaque serveur de la machine"),
    "ROUTE-016": ("high", "Chaque adresse que Traefik utilise est celle d’un conteneur qu’il peut atteindre"),
    "ROUTE-017": ("high", "Aucun routeur TCP ne prend les requêtes HTTP d’un point d’entrée"),
    "ROUTE-018": ("high", "Chaque fichier de configuration dynamique est valide"),
    "ROUTE-019": ("medium", "Toute la configuration statique de Traefik est prise en compte"),
    "ROUTE-020": ("critical", "Traefik peut interroger le moteur Docker"),
    "ROUTE-021": ("medium", "Chaque étiquette destinée à Traefik est comprise de lui"),
    "TLS-001": ("critical", "Aucun domaine n’a de certificat expiré"),
    "TLS-002": ("high", "Les certificats sont renouvelés à temps"),
    "TLS-003": ("high", "Aucun domaine ne reçoit le certificat par défaut de Traefik"),
    "TLS-004": ("high", "Chaque certificat servi couvre son domaine"),
    "TLS-005": ("medium", "Aucun domaine n’a de certificat d’une autorité d’essai"),
    "TLS-006": ("low", "Chaque certificat gardé sert à un domaine"),
    "TLS-007": ("medium", "Les clés et les signatures des certificats sont solides"),
    "WAIVER-001": ("medium", "Aucune dérogation n’a expiré"),
    "WAIVER-002": ("info", "Chaque dérogation désigne un constat"),
}


def test_ids_severities_and_titles() -> None:
    assert {check.id: (check.severity, check.title) for check in CHECKS.values()} == CATALOGUE


# Waivers and expectations are given with the parameters, sources with every snapshot: they are never unknown.
GIVEN = {"WAIVER-001", "WAIVER-002", "COLLECT-001", "PORT-008", "EXPECT-001"}


@EVERY
def test_every_check_has_cases_of_each_kind(check: Check) -> None:
    assert {case.verdict for case in CASES[check.id]} >= {"pass", "fail", "na" if check.id in GIVEN else "unknown"}


def test_no_case_is_of_an_unknown_check() -> None:
    assert set(CASES) == set(CHECKS)


@EVERY
def test_the_cases_tell_every_command_of_a_check(check: Check) -> None:
    told = [finding for case in CASES[check.id] for finding in case.findings]
    for field, templates in (("commands", check.fix.commands), ("verify", check.fix.verify)):
        commands = {command for finding in told for command in finding.get(field, [])}
        programs = {shlex.split(command)[0] for command in commands}
        assert programs >= {template.split()[0] for template in templates if template[0].isalpha()}
    assert any("fix" in finding for finding in told) and any("evidence" in finding for finding in told)


@EVERY
def test_an_emptied_check_breaks_its_cases(check: Check) -> None:
    emptied = dataclasses.replace(check, function=lambda: [])
    broken = [case for case in CASES[check.id] if said(emptied, case) != expected(case)]
    assert {case.verdict for case in broken} >= {"fail", "na" if check.id in GIVEN else "unknown"}


@EVERY
def test_nothing_there_is_conforming_and_nothing_read_is_unknown(check: Check) -> None:
    there = snapshot_of(**{name: [] for name in TABLES})
    assert judge(there, checks=[check]).results[0].verdict in ("pass", "na")
    unread = judge(snapshot_of(), checks=[check]).results[0]
    if check.id in GIVEN:
        assert unread.verdict == "na"
        return
    assert (unread.verdict, unread.reason) == ("unknown", "Elle n’a pas été lue.")


# What a finding may be about: the contract of constats.json.
KINDS = {
    "container", "image", "volume", "network", "port", "router", "service", "middleware", "entrypoint", "domain",
    "certificate", "database", "compose_project", "compose_file", "listener", "unit", "source", "host",
}  # fmt: skip


@EVERY_FAILURE
def test_a_finding_is_about_things_of_known_kinds_that_have_a_name(case: Case) -> None:
    audit = judge(case.snapshot, checks=[CHECKS[case.check]])
    subjects = [subject for finding in audit.findings for subject in finding.subjects]
    assert {kind for kind, _ in subjects} <= KINDS
    assert "None" not in {name for _, name in subjects}


@EVERY_FAILURE
def test_each_fact_of_the_evidence_has_a_french_label(case: Case) -> None:
    for finding in _found(case.snapshot, case):
        assert finding.evidence.keys() <= (fact_labels() | finding.fault.labels()).keys()


@EVERY_FAILURE
def test_the_order_of_rows_changes_nothing(case: Case) -> None:
    shuffled = {name: random.Random(7).sample(rows, len(rows)) for name, rows in case.tables.items()}
    assert _found(snapshot_of(**shuffled), case) == _found(case.snapshot, case)


def _found(snapshot: Snapshot, case: Case) -> list[Finding]:
    return list(judge(snapshot, checks=[CHECKS[case.check]]).findings)


# French, as it is written


@EVERY
def test_titles_are_sentences_of_the_compliant_state(check: Check) -> None:
    assert re.match(r"[A-ZÀÉ][^.!?]*[^.!? ]$", check.title)
    assert _well_written(typography(check.title))


@EVERY_FAILURE
def test_what_is_said_is_well_written(case: Case) -> None:
    for finding in _found(case.snapshot, case):
        machine = sorted(filter(None, _words(finding.evidence)), key=len, reverse=True)
        own = re.sub("|".join(map(re.escape, machine)), "x", finding.message)
        assert _well_written(own)
        assert finding.message.endswith((".", "»."))
        assert _well_written(finding.fix.text) and finding.fix.text.endswith(".")
        assert finding.severity in SEVERITIES_FR


def _words(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [word for item in (value.values() if isinstance(value, dict) else value) for word in _words(item)]
    return [typography(str(value))] if value is not None else []


def _well_written(text: str) -> bool:
    """No breakable space where French forbids one, no straight apostrophe, no double space."""
    return not re.search(r" [;:!?%»]|« |'| {2}|\.\.\.|\bNone\b|\bnan\b|<NA>", re.sub(r"`[^`]*`", "", text))
