"""The plan, simulated: after each step, all checks again on the tables as they would be.

What a step resolves, and what it would break, are what the checks say then, not what was hoped for.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.docker import ContainerNetwork
from auditlib.findings.audit import Audit, Finding, identity
from auditlib.findings.audit import audit as judge
from auditlib.findings.policy import Policy
from auditlib.findings.problems import Problem, problems
from auditlib.french import quoted
from auditlib.plan.choice import Draft, chosen, drafts, interrupted, lost
from auditlib.plan.effects import applied
from auditlib.plan.mends import Way
from auditlib.plan.steps import Cut, Left, Plan, Step
from auditlib.plan.written import Disk, Written, commands, disk, file_name, write


@dataclass
class _State:
    """Where the simulation stands: the tables, what the checks say of them, the files, and who was called what."""

    facts: Snapshot
    policy: Policy
    audit: Audit
    files: Disk
    former: dict[str, str]  # the first name of a container, by its name now
    overrides: dict[str, list[str]]  # what the steps made for a stack, by its Compose command

    @property
    def live(self) -> set[str]:
        """The identities of what is wrong, under the names of the beginning."""
        return {first_identity(one, self.former) for one in self.audit.live}


def first_identity(finding: Finding, former: Mapping[str, str]) -> str:
    """The identity of a finding under the names of the beginning: `former` gives them by the names of now."""
    subjects = ((kind, former.get(name, name)) for kind, name in finding.subjects)
    return identity(finding.check, subjects) if finding.subjects else finding.identity


def plan(snapshot: Snapshot, audit: Audit, policy: Policy | None = None) -> Plan:
    """The plan that mends what an audit by a policy found in a snapshot, as far as programs can mend it."""
    policy = policy or Policy()
    found, reasons = chosen(snapshot, policy, audit)
    state = _State(snapshot, policy, audit, disk(snapshot), {}, {})
    steps: list[Step] = []
    for draft in drafts(snapshot, found):
        if step := _step(len(steps) + 1, draft, state, reasons):
            steps.append(step)
    live = {one.identity: one for one in audit.live}
    finished = _claimed(steps, live, state.live)
    finished = [_preparing(step, finished, found) for step in finished]
    told = {one for step in finished for one in step.claims}
    short = {one: f"l’étape {step.number} ne suffit pas à le résoudre" for step in finished for one in step.kept}
    late = _observed(problems(snapshot, audit), {one: step.number for step in finished for one in step.claims})
    left = [Left(one, (late | reasons | short).get(name, "")) for name, one in live.items() if name not in told]
    return Plan(tuple(finished), tuple(left), live, (audit.score, state.audit.score))


def _observed(found: list[Problem], steps: Mapping[str, int]) -> dict[str, str]:
    """What probes and logs told of a cause that a step ends, which no change of tables shows: why it is in no step."""
    return {
        one.finding.identity: f"découle de {problem.cause.check}, que l’étape {steps[problem.cause.identity]} résout ; "
        "le prochain audit le confirmera"
        for problem in found
        for one in problem.evidence
        if problem.cause.identity in steps and one.finding.check.startswith(("HTTP-", "LOG-"))
    }


def _step(number: int, draft: Draft, state: _State, reasons: dict[str, str]) -> Step | None:
    """Write a step and simulate it, which moves the state; None when nothing of it can be written."""
    facts, before, audit = state.facts, state.live, state.audit
    project = draft.home.project if draft.home else ""
    made = write(facts, file_name(number, project), draft.home, draft.acts, state.files)
    if made.refused:
        why = next(iter(made.refused.values()))
        reasons |= {one.identity: why for one in draft.claims}
    if all(act.first for act in made.done):
        return None
    earlier = state.overrides.setdefault(draft.home.compose, []) if draft.home else []
    forth, back = commands(facts, draft.home, made, earlier)
    earlier += [made.override] if made.override else []
    renames = tuple(act.renamed for act in made.done if act.renamed)
    cut = interrupted(facts, made.done)
    state.facts = applied(facts, *made.done)
    state.audit = judge(state.facts, state.policy)
    state.former |= {new: state.former.get(old, old) for old, new in renames}
    return Step(
        number=number,
        stack=project,
        place=draft.home.place if draft.home else "",
        acts=tuple(made.done),
        files=made.files,
        commands=tuple(forth),
        verify=(),
        back=tuple(back),
        relief=tuple(line for act in made.done for line in act.relief()),
        claims=() if made.refused else tuple(one.identity for one in draft.claims),
        resolved=tuple(sorted(before - state.live)),
        broken=tuple(sorted(state.live - before)),
        kept=(),
        lost=tuple(lost(audit, state.audit)),
        cut=cut,
        override=made.override is not None,
        renames=renames,
        addresses=tuple(_addresses(facts, cut)),
        remarks=tuple(dict.fromkeys([*(line for act in made.done for line in act.remarks(facts)), *_override(made)])),
    )


def _addresses(facts: Snapshot, cut: Cut) -> Iterator[str]:
    """The addresses that containers may lose when they are made again."""
    for place in facts.known(ContainerNetwork) or ():
        if place.container in cut.containers:
            yield from filter(None, (place.ipv4, place.ipv6))


def _override(made: Written) -> list[str]:
    if made.override is None:
        return []
    return [
        f"{quoted(made.override)} surcharge des fichiers qui ne peuvent être corrigés sûrement : le garder auprès "
        "d’eux et le nommer (« -f ») à chaque commande Compose, ou y reporter ce qu’il dit."
    ]


def _claimed(steps: list[Step], live: dict[str, Finding], end: set[str]) -> list[Step]:
    """The steps, each claiming what the simulation sees gone by it, and saying of what it was for what stays."""
    # Gone at the end: by the last step that took it away.
    owner = {one: step.number for step in steps for one in step.resolved if one not in end}
    made = []
    for step in steps:
        claims = tuple(one for one in live if owner.get(one) == step.number)
        verify = [line for one in claims for line in live[one].fix.verify if not _names_any(line, step.addresses)]
        verify = verify or [line for act in step.acts for line in act.verify()]
        kept = tuple(one for one in step.claims if one in end)
        made.append(dataclasses.replace(step, claims=claims, kept=kept, verify=tuple(dict.fromkeys(verify))))
    return made


def _names_any(command: str, addresses: tuple[str, ...]) -> bool:
    return any(re.search(rf"(?<![\d.]){re.escape(one)}(?![\d.])", command) for one in addresses)


def _preparing(step: Step, steps: list[Step], found: list[tuple[Finding, Way]]) -> Step:
    """A step that claims nothing by itself, with the number of the first that needs it."""
    if step.claims:
        return step
    wanted = {finding.identity for finding, way in found if set(way) & set(step.acts)}
    later = next((one.number for one in steps if one.number > step.number and wanted & {*one.claims}), None)
    return dataclasses.replace(step, prepares=later)
