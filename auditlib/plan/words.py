"""What the acts and the steps of a plan are in French."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from auditlib.compose.edit import Flag, Join, Label, Leave, Name, Publish, Restart
from auditlib.facts.snapshot import Snapshot
from auditlib.french import listing, quoted
from auditlib.plan.acts import Act, Create, Mode, Owner
from auditlib.plan.mends import callers
from auditlib.plan.steps import Cut, Step


def describe(act: Act) -> str:
    """One act as a sentence."""
    who = quoted(act.container or getattr(act.operation, "service", ""))
    match act.operation:
        case Publish(wanted=None) as one:
            return f"Ne plus publier le port {one.container_port}/{one.protocol} de {who} sur la machine."
        case Publish(wanted=(address, number)) as one:
            place = f"{f'[{address}]' if ':' in address else address}:{number}" if address else f"le port {number}"
            where = "" if act.container else f", dans {quoted((act.disk or ('', ''))[1])}"
            port = f"{one.container_port}/{one.protocol}"
            return f"Publier le port {port} de {who} sur {place} au lieu de {_old(one)}{where}."
        case Join(network=network):
            return f"Attacher {who} au réseau {quoted(network)}."
        case Leave(network=network):
            return f"Détacher {who} du réseau {quoted(network)}."
        case Name(wanted=None):
            return f"Laisser Compose nommer le conteneur {who}."
        case Name(wanted=wanted):
            return f"Nommer {quoted(wanted)} le conteneur {who}."
        case Label(instead=None) as one:
            return f"Donner à {who} l’étiquette {quoted(f'{one.label}={one.value}')}."
        case Label() as one:
            return f"Remplacer l’étiquette {quoted(one.instead)} de {who} par {quoted(f'{one.label}={one.value}')}."
        case Restart(policy=policy):
            return f"Faire redémarrer {who} de lui-même (« restart: {policy} »)."
        case Flag(flag=flag, wanted=None):
            return f"Retirer l’option {quoted(f'--{flag}')} de {who}."
        case Flag(flag=flag, wanted=wanted):
            return f"Donner à l’option {quoted(f'--{flag}')} de {who} la valeur {quoted(wanted)}."
        case Mode(path=path, was=was, wanted=wanted):
            return f"Ramener les droits de {quoted(path)} de {was} à {wanted}."
        case Owner(path=path, wanted=wanted):
            return f"Rendre {quoted(path)} à {quoted(wanted)}."
        case Create(network=network, internal=internal):
            return f"Créer le réseau {quoted(network)}{', sans accès à l’extérieur' if internal else ''}."
    raise TypeError(act.operation)


def _old(one: Publish) -> str:
    return f"{one.host_port}" if one.wanted and one.wanted[1] != one.host_port else "toutes les interfaces"


def remarks(facts: Snapshot, acts: tuple[Act, ...]) -> Iterator[str]:
    """What a person should know before a step: who may be hindered by it, as far as the audit sees."""
    for act in acts:
        who = quoted(act.container)
        match act.operation:
            case Publish(wanted=("127.0.0.1", number)) if act.container:
                yield f"Depuis une autre machine, {who} ne répondra plus sur le port {number}."
            case Label(label=label, value=value) if label.endswith(".middlewares"):
                names = listing(map(quoted, value.split(",")))
                yield f"Les requêtes passeront par {names} : vérifier que les visiteurs légitimes ne sont pas refusés."
            case Leave():
                unseen = "que l’audit n’a pas vu (fichier de configuration, tâche planifiée)"
                yield f"Un client de {who} {unseen} la perdra."
            case Flag():
                yield f"Ce qui se sert de cette option de {who} devra s’en passer."
            case Name(service=service) if act.container:
                yield f"Ce qui appelle {who} depuis la machine (« docker exec », scripts, sauvegardes) doit suivre."
                if (calling := callers(facts, act.container)) and act.container == service:
                    verb = "l’appelle" if len(calling) == 1 else "l’appellent"
                    stays = "ce nom reste, c’est celui du service sur leurs réseaux"
                    yield f"{listing(map(quoted, calling))} {verb} {quoted(service)} : {stays}."


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
