"""The report as French Markdown, under the nine headings of an audit written by hand."""

from collections.abc import Iterator

from auditlib.derived import Facts
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.tables import databases
from auditlib.findings.audit import Audit
from auditlib.french import day, instant, typography
from auditlib.report import conclusions
from auditlib.report.blocks import Notice, Sentences, markdown_code, markdown_text
from auditlib.report.check_global import script
from auditlib.report.plan import PlanShown, beginning, conclusion
from auditlib.report.shown import Advised, FindingList, ProblemList, show
from auditlib.views.databases import trial_commands
from auditlib.views.inventory import PASSIVE

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
        stacks = records(facts.stacks)
    except AbsentTable as absent:
        yield Notice(f"Ensembles de conteneurs : non évaluable, {absent.reason}.").markdown()
    else:
        yield "### Actif"
        yield "\n".join(map(_stack, (row for row in stacks if row["state"] != PASSIVE))) or "Aucun conteneur en marche."
        yield "### Passif"
        yield "\n".join(map(_stack, (row for row in stacks if row["state"] == PASSIVE))) or "Aucun ensemble arrêté."
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
        passive = [row for row in records(facts.projects) if row["state"] == PASSIVE]
    except AbsentTable as absent:
        yield Notice(f"Fichiers compose sur le disque : non évaluable, {absent.reason}.").markdown()
        return
    yield "\n".join(map(_idle, passive)) or "Aucun projet passif sur le disque."
    if problems := _rows(facts, "compose_problems"):
        yield "### Défauts des fichiers compose"
        yield Sentences([_problem(row) for row in problems]).markdown()
    if _rows(facts, "exclusions"):
        yield "### Laissé de côté : médias, sauvegardes, exports"
        yield show(facts, "exclusions", "folder", "kind", "count", "example").markdown()


def _idle(row: Record) -> str:
    what = "Dockerfile présent" if row["kind"] == "dockerfile" else "compose présent"
    services = f" ({', '.join(map(markdown_text, row['missing']))})" if row["missing"] else ""
    return typography(f"- **{markdown_text(row['files'])}** : {what}{services}, aucun conteneur en marche")


def _problem(row: Record) -> str:
    place = f"{row['file']}, ligne {row['line']}" if row["line"] else row["file"] or row["files"]
    return f"{place} : {row['reason']}."


def _stack(row: Record) -> str:
    facts = [
        f"Services : {', '.join(map(markdown_text, row['containers']))}",
        f"Arrêtés : {', '.join(map(markdown_text, row['stopped']))}" if row["stopped"] else "",
        f"Réseaux : {', '.join(map(markdown_text, row['networks']))}" if row["networks"] else "",
        f"Ports publiés : {', '.join(row['ports'])}" if row["ports"] else "",
        f"Dossier : {markdown_text(row['folder'])}" if row["folder"] else "",
    ]
    kind = "projet compose" if row["compose"] else "conteneur seul"
    lines = [
        f"- **{markdown_text(row['stack'])}** ({kind}, {row['state']})",
        *(f"  - {fact}" for fact in facts if fact),
    ]
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
    told = ("kind", "subject", "named", "cause", "level", "count", "first", "last")
    yield show(facts, "log_events", *told, empty="Aucun événement.").markdown()


def _databases(facts: Facts) -> Iterator[str]:
    try:
        rows, reach = records(facts.databases), records(facts.database_reach)
    except AbsentTable as absent:
        yield Notice(f"Bases de données : non évaluable, {absent.reason}.").markdown()
    else:
        places = {row["database"]: row for row in reach}
        yield "\n\n".join(_database(row, places[row["database"]]) for row in rows) or "Aucune base de données trouvée."
        yield "### Chaînes de connexion"
        yield show(facts, "connection_strings", empty="Aucune.").markdown()
        yield "### Commandes exécutées par l’audit"
        columns = ("database", "command", "outcome", "output", "reason")
        yield show(facts, "exec_commands", *columns, empty="Aucune.").markdown()
    yield "### Ports de bases exposés"
    yield from _checked(facts.audit, "PORT-004")


def _database(row: Record, place: Record) -> str:
    """One database as an operator wants it: where, on which volume, as whom, healthy how, and how to test it."""
    words = databases.AUTHENTICATIONS
    method = f" ({markdown_text(row['method'])})" if row["method"] else ""
    answers = {True: "oui", False: "non", None: "inconnu"}[row["answers"]]
    asked = (
        f", interrogée à {row['asked_at']} depuis {row['asked_from']}" if row["asked_at"] and row["asked_from"] else ""
    )
    facts = {
        "Image": row["image"],
        "Port": f"{row['port']} ({place['exposure'] or 'exposition inconnue'})",
        "Réseaux": ", ".join(place["networks"] or ()),
        "Volume": row["volume"] or ("aucun : données perdues avec le conteneur" if row["persistent"] is False else ""),
        "Utilisateur": row["user"],
        "Bases": ", ".join(row["names"] or ()),
        "Contrôle de santé": row["healthcheck"] or ("aucun" if row["container"] else ""),
        "Rôle": row["role"],
    }
    lines = [f"- **{markdown_text(row['database'])}** ({markdown_text(_title(row))})"]
    lines += [f"  - {label} : {markdown_text(value)}" for label, value in facts.items() if value]
    lines.append(f"  - Répond : {answers}{asked}")
    lines.append(f"  - Authentification : {words.get(row['authentication'] or '', 'inconnue')}{method}")
    lines += [f"  - Remarque : {markdown_text(row['note'])}"] if row["note"] else []
    commands = trial_commands(row)
    lines += ["  - Commandes de test :"] if commands else []
    block = [f"    {line}" for line in markdown_code("\n".join(commands)).splitlines()] if commands else []
    return "\n".join([*map(typography, lines), *(["", *block] if block else [])])


def _title(row: Record) -> str:
    place = "machine, hors de Docker" if row["place"] == "host" else "conteneur"
    return " ".join(filter(None, [row["product"] or row["kind"], row["version"]])) + f", {place}"


def _checked(audit: Audit, *ids: str) -> Iterator[str]:
    """The findings of some checks, and a word on those that could not be evaluated."""
    for result in (result for result in audit.results if result.check in ids and result.verdict == "unknown"):
        yield Notice(f"{result.check} : non évaluable. {result.reason}").markdown()
    judged = [result for result in audit.results if result.check in ids and result.verdict != "unknown"]
    found = [finding for finding in audit.live if finding.check in ids]
    if judged:
        yield FindingList(found, "Aucune observée.", brief=True).markdown()


def _blocking(facts: Facts) -> Iterator[str]:
    found = [problem for problem in facts.problems if problem.severity in BLOCKING]
    yield ProblemList(found, "Aucun problème bloquant observé.").markdown()
    yield from _unknown(facts.audit)


def _recommendations(facts: Facts) -> Iterator[str]:
    yield Advised(facts.advice).markdown()
    yield "### Constats de gravité moyenne ou moindre"
    found = [finding for finding in facts.audit.live if finding.severity not in BLOCKING]
    yield FindingList(found, "Aucun.").markdown()
    yield from _waived(facts.audit)


def _waived(audit: Audit) -> Iterator[str]:
    if audit.waived:
        yield "### Constats acceptés par dérogation"
        yield FindingList(audit.waived).markdown()


def _unknown(audit: Audit) -> Iterator[str]:
    unknown = [result for result in audit.results if result.verdict == "unknown"]
    if unknown:
        yield "### Contrôles non évaluables"
        yield Sentences([f"{one.check}, « {one.title} » : {one.reason}" for one in unknown]).markdown()


def _procedure(facts: Facts) -> Iterator[str]:
    yield (
        "Le script `check_global.sh`, écrit avec ce rapport, contrôle à nouveau cette machine sans rien y modifier. "
        + typography("Il finit par 0 sans écart, 1 avec un écart, 2 s’il ne peut rien vérifier.")
    )
    yield markdown_code(script(facts.snapshot))


def _rows(facts: Facts, name: str) -> list[Record]:
    frame = getattr(facts, name, None)
    return [] if frame is None else records(frame)


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
