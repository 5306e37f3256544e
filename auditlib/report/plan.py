"""The plan as it is read: an overview, then each step with its commands, its verification and its way back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from auditlib.facts.table import Row, integer, several, table, text
from auditlib.facts.table import prose as clause
from auditlib.findings.check import SEVERITIES_FR
from auditlib.french import listing, number, plural, sentence, typography
from auditlib.plan.steps import Left, Plan, Step
from auditlib.plan.words import interruption, outcome, risk, title
from auditlib.report.blocks import Grid, Notice, Sentences, Shown, markdown_code, markdown_text, plain, prose
from auditlib.report.shown import FindingList


@table("plan", "Étapes", "Les étapes du plan, dans l’ordre.", key=("step",))
class StepOverview(Row):
    """A step of the plan in one line."""

    step: int = integer("Étape")
    stack: str | None = text("Ensemble")
    resolved: tuple[str, ...] | None = several("Résout")
    risk: str | None = text("Risque")
    cut: str | None = clause("Interruption")


_HOW = (
    "Les commandes se lancent avec bash, dans l’ordre, depuis le dossier de ce rapport.",
    "Pour revenir en arrière : de la dernière étape faite à la première.",
    "Le plan fait, relancer l’audit : « check_global.sh » décrit encore la machine d’avant.",
)
_LEFT = "Le correctif de chacun est donné avec lui, parmi les constats."


@dataclass(frozen=True)
class PlanShown:
    """The whole plan."""

    plan: Plan

    @property
    def _overview(self) -> Grid:
        steps = [
            StepOverview(
                step=step.number,
                stack=step.stack or "machine",
                resolved=tuple(dict.fromkeys(self.plan.findings[claim].check for claim in step.claims)),
                risk=risk(step),
                cut=sentence([interruption(step.cut)]),
            )
            for step in self.plan.steps
        ]
        return Grid(StepOverview.table.rows(steps), StepOverview.table)

    def _repr_html_(self) -> str:
        if not self.plan.steps and not self.plan.left:
            return Notice(_NOTHING, "good")._repr_html_()
        parts = [self._overview._repr_html_(), Sentences(_HOW)._repr_html_()] if self.plan.steps else []
        parts += [_step_html(step) for step in self.plan.steps]
        if self.plan.left:
            parts += [f"<h3>{prose(_BY_HAND)}</h3>", *(part._repr_html_() for part in _left(self.plan.left))]
        return "".join(parts)

    def markdown(self) -> str:
        """The overview, the steps, then what is for a person."""
        if not self.plan.steps and not self.plan.left:
            return _NOTHING
        parts = [self._overview.markdown(), Sentences(_HOW).markdown()] if self.plan.steps else []
        parts += [_step_markdown(step) for step in self.plan.steps]
        if self.plan.left:
            parts += [typography(f"### {_BY_HAND}"), *(part.markdown() for part in _left(self.plan.left))]
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return "\n".join(f"{title(step)} : {' '.join(outcome(step))}" for step in self.plan.steps) or _NOTHING


_NOTHING = "Rien à corriger parmi ce qui a pu être évalué."
_BY_HAND = "À faire à la main"


def conclusion(plan: Plan) -> list[str]:
    """The plan in a few sentences."""
    if not plan.steps and not plan.left:
        return [_NOTHING]
    sentences = [*_solved(plan)] if plan.steps else []
    if plan.left:
        worst = SEVERITIES_FR[plan.left[0].finding.severity]
        remain = "reste" if len(plan.left) == 1 else "restent"
        count = plural(len(plan.left), "constat")
        sentences.append(f"{count} {remain} à traiter à la main, le pire de gravité {worst}.")
    return sentences


# What the steps of each risk are, in a sentence.
_RISKS = {
    "sans risque": "Sans risque",
    "interrompt": "Interrompent un service quelques secondes",
    "risqué": "Risquées",
}


def _solved(plan: Plan) -> Iterator[str]:
    """How many findings the steps solve, which steps are risky, and what the score would become."""
    solve = "résout" if len(plan.steps) == 1 else "résolvent"
    count, total = sum(len(step.claims) for step in plan.steps), plural(len(plan.findings), "constat")
    yield f"{plural(len(plan.steps), 'étape')} {solve} {count} des {total}, selon la simulation."
    for kind, words in _RISKS.items():
        if numbers := [str(step.number) for step in plan.steps if risk(step) == kind]:
            yield f"{words} : {'étape' if len(numbers) == 1 else 'étapes'} {listing(numbers)}."
    before, after = plan.scores
    if before is not None and after is not None:
        yield f"La note passerait de {number(before)} à {number(after)} sur 100."


def beginning(plan: Plan) -> list[str]:
    """Where to begin, in a sentence."""
    if not plan.steps:
        return []
    first = plan.steps[0]
    solved = listing(dict.fromkeys(plan.findings[claim].check for claim in first.claims))
    end = f"résout {solved}" if solved else f"prépare l’étape {first.prepares}"
    return [f"Par où commencer : l’étape 1 du plan, « {first.stack or 'machine'} », {end}."]


def _acts(step: Step) -> list[str]:
    return [act.describe() for act in step.acts]


def _effects(step: Step) -> list[str]:
    return [*outcome(step), f"{risk(step).capitalize()} : {interruption(step.cut)}.", *step.remarks]


def _blocks(step: Step) -> Iterator[tuple[str, Sequence[str]]]:
    yield "Commandes :", step.commands
    if step.relief:
        yield "Sans attendre, jusqu’à cette étape :", step.relief
    yield "Vérifier :", step.verify
    yield "Revenir en arrière :", step.back


def _step_html(step: Step) -> str:
    level = "high" if step.risky else "good" if step.safe else "medium"
    lines = "".join(f"<li>{prose(line)}</li>" for line in _acts(step))
    effects = "".join(f"<li>{prose(line)}</li>" for line in _effects(step))
    blocks = "".join(
        f"<p><strong>{prose(name)}</strong></p><pre><code>{escape(chr(10).join(commands))}</code></pre>"
        for name, commands in _blocks(step)
        if commands
    )
    files = "".join(
        f"<details><summary>{escape(name)}</summary><pre><code>{escape(content)}</code></pre></details>"
        for name, content in step.files.items()
    )
    return (
        f'<article class="finding {level}"><h4><strong>{prose(title(step))}</strong> · '
        f'<span class="badge {level}">{prose(risk(step))}</span></h4>'
        f"<ul>{lines}</ul><ul>{effects}</ul>{blocks}{files}</article>"
    )


def _step_markdown(step: Step) -> str:
    parts = [f"### {markdown_text(plain(title(step)))}"]
    parts.append("\n".join(f"- {markdown_text(plain(line))}" for line in [*_acts(step), *_effects(step)]))
    for name, commands in _blocks(step):
        if commands:
            parts += [typography(name), markdown_code("\n".join(commands))]
    for name, content in step.files.items():
        parts += [f"`{name}`", markdown_code(content.rstrip("\n"), "diff" if name.endswith(".patch") else "yaml")]
    return "\n\n".join(parts)


def _left(left: Sequence[Left]) -> list[Shown]:
    """The findings for a person; before them, why a mend that a program could try is in no step."""
    reasons = [
        f"{kept.finding.check} ({', '.join(name for _, name in kept.finding.subjects)}) : {kept.reason}."
        for kept in left
        if kept.reason
    ]
    return [Sentences([_LEFT, *reasons]), FindingList([kept.finding for kept in left], brief=True)]
