"""Which way mends each finding, and the acts of all of them by stack, in the order to do them."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from auditlib.facts.snapshot import Snapshot
from auditlib.facts.tables.databases import Database
from auditlib.findings.audit import Audit, Finding
from auditlib.findings.audit import audit as judge
from auditlib.findings.check import WEIGHTS
from auditlib.findings.policy import Policy
from auditlib.plan.acts.act import Act, Edit
from auditlib.plan.effects import applied
from auditlib.plan.mends import ByHand, Way, ways
from auditlib.plan.stacks import Stack, container
from auditlib.plan.steps import Cut
from auditlib.plan.written import Disk, disk, write
from auditlib.software import is_attached
from auditlib.views.proxy import Proxy
from auditlib.views.routes import Route


@dataclass
class Draft:
    """A step before it is written: its stack, its phase, its acts and the findings that it ends."""

    home: Stack | None
    phase: int
    acts: list[Act] = field(default_factory=list)
    claims: list[Finding] = field(default_factory=list)


def chosen(snapshot: Snapshot, policy: Policy, audit: Audit) -> tuple[list[tuple[Finding, Way]], dict[str, str]]:
    """The way of each finding that has one, the gravest first; by identity, why the others have none."""
    taken: dict[Hashable, Act] = {}
    files, settled = disk(snapshot), snapshot
    found: list[tuple[Finding, Way]] = []
    reasons: dict[str, str] = {}
    for finding in audit.live:
        try:
            offered = ways(settled, finding)
        except ByHand as why:
            reasons[finding.identity] = str(why)
            continue
        free = [way for way in offered if all(taken.get(act.target, act) == act for act in way)]
        tried = [(way, _refusal(snapshot, way, taken, files)) for way in free]
        possible = [way for way, refusal in tried if not refusal]
        if possible:
            way = (
                possible[0]
                if len(possible) == 1
                else min(possible, key=lambda way: _harm(snapshot, policy, audit, way))
            )
            _refusal(snapshot, way, taken, files, keep=True)
            taken |= {act.target: act for act in way}
            found.append((finding, way))
            # A port that one idle service gets is free for no other.
            settled = applied(settled, *(act for act in way if isinstance(act, Edit) and act.disk))
        elif tried:
            reasons[finding.identity] = tried[0][1]
        elif offered:
            reasons[finding.identity] = "un constat plus grave demande autre chose du même réglage"
    return found, reasons


def _refusal(snapshot: Snapshot, way: Way, taken: dict[Hashable, Act], files: Disk, *, keep: bool = False) -> str:
    """Why a way cannot be written after those already chosen; "" when it can. `keep` writes it into `files`."""
    known = files if keep else dict(files)
    for act in way:
        if act.target not in taken:
            made = write(snapshot, "essai", act.stack(snapshot), [act], known)
            if made.refused:
                return made.refused[act]
    return ""


def lost(before: Audit, later: Audit) -> list[str]:
    """The checks that were judged, and that are not any more."""
    judged = {result.check for result in before.results if result.verdict in ("pass", "fail")}
    return [result.check for result in later.results if result.verdict == "unknown" and result.check in judged]


def _harm(snapshot: Snapshot, policy: Policy, audit: Audit, way: Way) -> tuple[int, int]:
    """What a way breaks by itself, then what it leaves: the less, the better."""
    later = judge(applied(snapshot, *way), policy)
    before = {one.identity for one in audit.live}
    worse = sum(1 + WEIGHTS[one.severity] for one in later.live if one.identity not in before)
    return worse + 4 * len(lost(audit, later)), sum(WEIGHTS[one.severity] for one in later.live)


def drafts(snapshot: Snapshot, found: Sequence[tuple[Finding, Way]]) -> list[Draft]:
    """The acts by stack and phase: phases in their order, then what is gained for what is cut."""
    made: dict[tuple[int, str], Draft] = {}
    for finding, way in found:
        last: Draft | None = None
        for act in sorted(way, key=lambda act: act.phase):
            if not act.first:
                home = act.stack(snapshot)
                alone = (isinstance(act, Edit) and act.container) or ""
                last = made.setdefault((act.phase, home.compose if home else alone), Draft(home, act.phase))
                last.acts += [act] if act not in last.acts else []
        if last:
            last.claims.append(finding)
    ordered = sorted(made.values(), key=lambda draft: (draft.phase, -_gain(snapshot, draft)))
    for early in dict.fromkeys(act for _, way in found for act in way if act.first):
        needing = (draft for draft in ordered if any(early.prepares(act) for act in draft.acts))
        next(needing).acts.insert(0, early)
    return ordered


def _gain(snapshot: Snapshot, draft: Draft) -> float:
    cut = interrupted(snapshot, draft.acts)
    price = 1 + len(cut.domains) + len(cut.databases) + len(cut.containers) / 10
    return sum(1 + WEIGHTS[finding.severity] for finding in draft.claims) / price


def interrupted(snapshot: Snapshot, acts: Iterable[Act]) -> Cut:
    """What is cut while the containers of some acts are made again, or restarted."""
    names = {name for act in acts for name in (act.recreated, act.restarted) if name}
    up = {name for name in names if (known := container(snapshot, name)) and is_attached(known.state)}
    through = any(proxy.container in up for proxy in snapshot.known(Proxy) or ())
    reached = {route.domain for route in snapshot.known(Route) or () if through or route.container in up}
    domains = {domain for domain in reached if domain and not domain.startswith("~")}
    bases = {base.database for base in snapshot.known(Database) or () if base.container in up}
    return Cut(tuple(sorted(up)), tuple(sorted(domains)), tuple(sorted(bases)), through)
