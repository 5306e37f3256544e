"""Which variables a refused project lacks: whoever started it may have had them in a shell."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from auditlib.compose.document import Place
from auditlib.compose.project import Problem, Project

# What a variable may stand for: a path, a number, a duration or a size, a yes, a word.
_VALUES = ("/x", "1", "5m", "true", "x")
MOST = 40  # loadings


def faults_for_want(refused: Project, loaded: Callable[[Mapping[str, str]], Project]) -> list[Problem]:
    """What Compose refuses for want of each variable that it cannot do without, with its name.

    `loaded` loads the project with some variables more. Nothing when something else is wrong too, or may be.
    """
    ranks: dict[str, int] = {}
    places: dict[Place, set[str]] = defaultdict(set)  # where each was asked for
    project = refused
    for _ in range(MOST):
        for problem in project.problems:
            if problem.name:
                places[problem.place].add(problem.name)
        faults = {problem.place for problem in project.problems if problem.kind != "variable"}
        if not faults:
            return [fault for name in ranks for fault in _faults(loaded(_given({**ranks, name: None})), name)]
        fresh = {problem.name for problem in project.problems if problem.name} - ranks.keys()
        # Another value for what stands where something is wrong still.
        wrong = {name for place in faults for name in places[place] if ranks.get(name, 0) < len(_VALUES) - 1}
        if not fresh and not wrong:
            return []
        ranks |= dict.fromkeys(fresh, 0) if fresh else {name: ranks[name] + 1 for name in wrong}
        project = loaded(_given(ranks))
    return []


def _faults(project: Project, name: str) -> list[Problem]:
    """What is refused of a project that lacks this variable alone."""
    faults = [problem for problem in project.problems if problem.kind != "variable"]
    asked = [problem for problem in faults if problem.name == name]
    return asked or [
        replace(problem, reason=f"{problem.reason}, faute de valeur pour la variable {name}", name=name)
        for problem in faults
    ]


def _given(ranks: Mapping[str, int | None]) -> dict[str, str]:
    return {name: _VALUES[rank] for name, rank in ranks.items() if rank is not None}
