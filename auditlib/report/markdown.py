"""The report as French Markdown, under the nine headings of an audit written by hand."""

from collections.abc import Iterator

from auditlib.derived import Facts
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.tables.compose import ComposeProblem, Exclusion
from auditlib.facts.tables.databases import AUTHENTICATIONS, Database
from auditlib.findings.audit import Audit
from auditlib.french import day, instant, typography
from auditlib.report import conclusions
from auditlib.report.blocks import Notice, Sentences, markdown_code, markdown_text
from auditlib.report.check_global import script
from auditlib.report.plan import PlanShown, beginning, conclusion
from auditlib.report.shown import Advised, FindingList, ProblemList, show
from auditlib.views.databases import DatabaseReach, trial_commands
from auditlib.views.declarations import Project
from auditlib.views.inventory import PASSIVE, Stack

BLOCKING = ("critical", "high")


def report(facts: Facts) -> str:
    """The whole report. A part whose facts were not collected says « non évaluable » and why."""
    snapshot = facts.snapshot
    parts = [
        f"# Audit runtime de {markdown_text(snapshot.hostname)} – {day(snapshot.collected)}",
        typography(f"État du {instant(snapshot.collected, snapshot.zone)}."),
    ]
    for number, (title, chapter) in enumerate(_CHAPTERS.items(), start=1):
        parts += [typography(f"## {number}. {title}"), *chapter(facts)]
    return "\n\n".join(parts) + "\n"


def _summary(facts: Facts) -> Iterator[str]:
    yield Sentences([*conclusions.executive(facts), *beginning(facts.plan)]).markdown()
    yield "### Sources"
    yield show(facts, "sources").markdown()
    yield "### La machine"
    for table in ("disks", "firewalls", "docker_sockets"):
        yield show(facts, table).markdown()
    yield show(facts, "docker_group", empty="Aucun compte local dans le groupe de Docker.").markdown()


def _inventory(facts: Facts) -> Iterator[str]:
    try:
        stacks = facts.snapshot.rows(Stack)
    except AbsentTable as absent:
        yield Notice(f"Ensembles de conteneurs : non évaluable, {absent.reason}.").markdown()
    else:
        yield "### Actif"
        active = "\n".join(_stack(stack) for stack in stacks if stack.state != PASSIVE)
        yield active or "Aucun conteneur en marche."
        yield "### Passif"
        yield "\n".join(_stack(stack) for stack in stacks if stack.state == PASSIVE) or "Aucun ensemble arrêté."
    yield from _disk(facts)
    yield "### Hors de Docker"
    yield show(facts, "host_services").markdown()
    columns = ("unit", "active", "enabled", "result", "listens", "fragment")
    yield show(facts, "units", *columns).markdown()
    yield "### Dépendances observées"
    yield show(facts, "connections", empty="Aucune connexion établie au moment de la collecte.").markdown()


def _disk(facts: Facts) -> Iterator[str]:
    """What lies on the disk and does not run, what Compose would refuse, what was left aside."""
    try:
        passive = facts.snapshot.rows(Project).grouped(Project.state).get(PASSIVE, ())
    except AbsentTable as absent:
        yield Notice(f"Fichiers compose sur le disque : non évaluable, {absent.reason}.").markdown()
        return
    yield "\n".join(map(_idle, passive)) or "Aucun projet passif sur le disque."
    if problems := facts.snapshot.known(ComposeProblem):
        yield "### Défauts des fichiers compose"
        yield Sentences([_problem(problem) for problem in problems]).markdown()
    if facts.snapshot.known(Exclusion):
        yield "### Laissé de côté : médias, sauvegardes, exports"
        yield show(facts, "exclusions", "folder", "kind", "count", "example").markdown()


def _idle(project: Project) -> str:
    what = "Dockerfile présent" if project.kind == "dockerfile" else "compose présent"
    services = f" ({', '.join(map(markdown_text, project.missing))})" if project.missing else ""
    return typography(f"- **{markdown_text(project.files)}** : {what}{services}, aucun conteneur en marche")


def _problem(problem: ComposeProblem) -> str:
    place = f"{problem.file}, ligne {problem.line}" if problem.line else problem.file or problem.files
    return f"{place} : {problem.reason}."


def _stack(stack: Stack) -> str:
    facts = {
        "Services": ", ".join(map(markdown_text, stack.containers or ())),
        "Arrêtés": ", ".join(map(markdown_text, stack.stopped or ())),
        "Réseaux": ", ".join(map(markdown_text, stack.networks or ())),
        "Ports publiés": ", ".join(stack.ports or ()),
        "Dossier": markdown_text(stack.folder or ""),
    }
    kind = "projet compose" if stack.compose else "conteneur seul"
    lines = [f"- **{markdown_text(stack.stack)}** ({kind}, {stack.state})"]
    lines += [f"  - {label} : {value}" for label, value in facts.items() if value]
    return "\n".join(map(typography, lines))


def _ports(facts: Facts) -> Iterator[str]:
    columns = ("port", "protocol", "owner", "kind", "container_port", "exposure", "addresses", "process")
    yield show(facts, "host_ports", *columns).markdown()
    yield "### Ports internes, non exposés sur l’hôte"
    yield show(facts, "internal_ports").markdown()
    yield "### Ports écoutés dans les conteneurs"
    yield show(facts, "container_ports").markdown()
    yield "### Ports réclamés sans être tenus"
    yield show(facts, "idle_ports", empty="Aucun.").markdown()
    yield "### Collisions réelles et potentielles"
    yield from _checked(facts.audit, "PORT-001", "PORT-002")


def _routing(facts: Facts) -> Iterator[str]:
    columns = (
        "domain",
        "path",
        "router",
        "service",
        "target",
        "port",
        "entrypoints",
        "tls",
        "middlewares",
        "status",
    )
    yield show(facts, "routes", *columns).markdown()
    yield Sentences(conclusions.conclude(facts.snapshot, conclusions.graph)).markdown()
    yield "### ACME"
    storage = ("resolver", "path", "host_path", "mode", "owner", "size", "valid", "certificates", "challenge")
    yield show(facts, "acme_storage", *storage).markdown()
    yield "### Certificats"
    certificate = ("origin", "domain", "domains", "issuer", "not_before", "not_after", "key_type", "key_size")
    yield show(facts, "certificates", *certificate).markdown()
    served = ("domain", "entrypoint", "tls_version", "covers", "default", "trusted", "untrusted", "error")
    yield show(facts, "tls_probes", *served).markdown()
    yield Sentences(conclusions.conclude(facts.snapshot, conclusions.certificates)).markdown()
    yield "### Sondes HTTP"
    probe = ("url", "entrypoint", "status", "latency_ms", "redirects", "final_status", "authentication", "error")
    yield show(facts, "http_probes", *probe).markdown()
    yield Sentences(conclusions.conclude(facts.snapshot, conclusions.probes)).markdown()
    yield "### Journaux"
    yield Sentences(conclusions.conclude(facts.snapshot, conclusions.journals)).markdown()
    event = ("kind", "subject", "named", "cause", "level", "count", "first", "last")
    yield show(facts, "log_events", *event, empty="Aucun événement.").markdown()


def _databases(facts: Facts) -> Iterator[str]:
    try:
        bases = facts.snapshot.rows(Database)
        reach = facts.snapshot.rows(DatabaseReach).by(DatabaseReach.database)
    except AbsentTable as absent:
        yield Notice(f"Bases de données : non évaluable, {absent.reason}.").markdown()
    else:
        shown = "\n\n".join(_database(base, reach[base.database]) for base in bases)
        yield shown or "Aucune base de données trouvée."
        yield "### Chaînes de connexion"
        yield show(facts, "connection_strings", empty="Aucune.").markdown()
        yield "### Commandes exécutées par l’audit"
        columns = ("database", "command", "outcome", "output", "reason")
        yield show(facts, "exec_commands", *columns, empty="Aucune.").markdown()
    yield "### Ports de bases exposés"
    yield from _checked(facts.audit, "PORT-004")


def _database(base: Database, reach: DatabaseReach) -> str:
    """One database as an operator wants it: where, on which volume, as whom, healthy how, and how to test it."""
    lines = [f"- **{markdown_text(base.database)}** ({markdown_text(_title(base))})"]
    lines += [f"  - {label} : {markdown_text(value)}" for label, value in _setting(base, reach).items() if value]
    lines += [f"  - Répond : {_answer(base)}", f"  - Authentification : {_authentication(base)}"]
    lines += [f"  - Remarque : {markdown_text(base.note)}"] if base.note else []
    if not (commands := trial_commands(base)):
        return "\n".join(map(typography, lines))
    lines.append("  - Commandes de test :")
    block = [f"    {line}" for line in markdown_code("\n".join(commands)).splitlines()]
    return "\n".join([*map(typography, lines), "", *block])


def _title(base: Database) -> str:
    place = "machine, hors de Docker" if base.place == "host" else "conteneur"
    return " ".join(filter(None, [base.product or base.kind, base.version])) + f", {place}"


def _setting(base: Database, reach: DatabaseReach) -> dict[str, str | None]:
    """How a database is set up, by French label."""
    lost = "aucun : données perdues avec le conteneur" if base.persistent is False else None
    return {
        "Image": base.image,
        "Port": f"{base.port} ({reach.exposure or 'exposition inconnue'})",
        "Réseaux": ", ".join(reach.networks or ()),
        "Volume": base.volume or lost,
        "Utilisateur": base.user,
        "Bases": ", ".join(base.names or ()),
        "Contrôle de santé": base.healthcheck or ("aucun" if base.container else None),
        "Rôle": base.role,
    }


def _answer(base: Database) -> str:
    asked = f", interrogée à {base.asked_at} depuis {base.asked_from}" if base.asked_at and base.asked_from else ""
    return {True: "oui", False: "non", None: "inconnu"}[base.answers] + asked


def _authentication(base: Database) -> str:
    method = f" ({markdown_text(base.method)})" if base.method else ""
    return AUTHENTICATIONS.get(base.authentication or "", "inconnue") + method


def _checked(audit: Audit, *checks: str) -> Iterator[str]:
    """The findings of some checks, and a word on those that could not be evaluated."""
    results = [result for result in audit.results if result.check in checks]
    unknown = [result for result in results if result.verdict == "unknown"]
    for result in unknown:
        yield Notice(f"{result.check} : non évaluable. {result.reason}").markdown()
    if len(unknown) < len(results):
        findings = [finding for finding in audit.live if finding.check in checks]
        yield FindingList(findings, "Aucune observée.", brief=True).markdown()


def _blocking(facts: Facts) -> Iterator[str]:
    blocking = [problem for problem in facts.problems if problem.severity in BLOCKING]
    yield ProblemList(blocking, "Aucun problème bloquant observé.").markdown()
    unknown = [result for result in facts.audit.results if result.verdict == "unknown"]
    if unknown:
        yield "### Contrôles non évaluables"
        yield Sentences([f"{result.check}, « {result.title} » : {result.reason}" for result in unknown]).markdown()


def _recommendations(facts: Facts) -> Iterator[str]:
    yield Advised(facts.advice).markdown()
    yield "### Constats de gravité moyenne ou moindre"
    lesser = [finding for finding in facts.audit.live if finding.severity not in BLOCKING]
    yield FindingList(lesser, "Aucun.").markdown()
    if facts.audit.waived:
        yield "### Constats acceptés par dérogation"
        yield FindingList(facts.audit.waived).markdown()


def _procedure(facts: Facts) -> Iterator[str]:
    yield (
        "Le script `check_global.sh`, écrit avec ce rapport, contrôle à nouveau cette machine sans rien y modifier. "
        + typography("Il finit par 0 sans écart, 1 avec un écart, 2 s’il ne peut rien vérifier.")
    )
    yield markdown_code(script(facts.snapshot))


def _plan(facts: Facts) -> Iterator[str]:
    yield Sentences(conclusion(facts.plan)).markdown()
    yield PlanShown(facts.plan).markdown()


_CHAPTERS = {
    "Résumé exécutif": _summary,
    "Liste Actif / Passif": _inventory,
    "Tableau des ports (hôte)": _ports,
    "Tableau Traefik Domaine → Route → Service → Port": _routing,
    "État des bases de données (DB)": _databases,
    "Problèmes bloquants et correctifs précis": _blocking,
    "Recommandations": _recommendations,
    "Procédure « check global » réexécutable": _procedure,
    "Plan de corrections": _plan,
}
