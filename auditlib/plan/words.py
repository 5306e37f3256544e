"""What the steps of a plan are in French."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from auditlib.french import listing, quoted
from auditlib.plan.steps import Cut, Step


def interruption(cut: Cut) -> str:
    """What a step interrupts, as a clause."""
    if not cut.containers:
        return "rien n’est interrompu"
    parts = [f"recrée ou redémarre {listing(map(quoted, cut.containers))}"]
    if cut.domains:
        which = f"tous les domaines ({listing(cut.domains)})" if cut.proxy else listing(cut.domains)
        parts.append(f"coupe {which} quelques secondes")
    if cut.databases:
        word = "la base" if len(cut.databases) == 1 else "les bases"
        parts.append(f"arrête {word} {listing(map(quoted, cut.databases))}, dont les clients perdent leur connexion")
    return " ; ".join(parts)


def risk(step: Step) -> str:
    """The risk of a step in one word or two."""
    return "risqué" if step.risky else "sans risque" if step.safe else "interrompt"


def outcome(step: Step) -> Iterator[str]:
    """What the simulation says of a step, as sentences; good first."""
    if step.claims:
        yield f"Résout {_findings(step.claims)}."
    if step.prepares:
        yield f"Prépare l’étape {step.prepares} : ceux qui en ont besoin gardent leurs accès."
    if step.kept:
        yield f"Attention : ne suffit pas à résoudre {_findings(step.kept)}."
    elif not step.claims and not step.prepares:
        yield "Attention : selon la simulation, ne résout rien."
    if step.broken:
        yield f"Attention : fait apparaître {_findings(step.broken)}."
    if step.lost:
        yield f"Attention : rend non évaluable {listing(step.lost)}."


def _findings(identities: Iterable[str]) -> str:
    """Findings by their checks, each with its subjects."""
    found: dict[str, list[str]] = {}
    for one in identities:
        check, *subjects = one.split("|")
        names = [unquote(subject.partition("=")[2]) for subject in subjects]
        found.setdefault(check, []).append(", ".join(names))
    return listing(f"{check} ({' ; '.join(filter(None, names))})" for check, names in found.items())


def title(step: Step) -> str:
    """A step as a heading: its number, its stack and its files."""
    where = f" ({step.place})" if step.place else ""
    return f"Étape {step.number} : {step.stack or 'machine'}{where}"
