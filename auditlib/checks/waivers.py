"""COLLECT and WAIVER: the audit itself: what it could not read, and waivers, which must not outlive their reason."""

from collections.abc import Iterator

from auditlib.facts.table import Rows
from auditlib.facts.tables.host import STATUSES, SourceStatus
from auditlib.facts.tables.policy import WaiverState
from auditlib.findings.check import Fault, Fix, NotApplicable, check, word
from auditlib.french import day


class Unread(Fault):
    """A source that was not read, or not wholly."""

    source: str
    status: str
    reason: str | None
    remedy: str | None
    outcome: str = word()
    why: str = word()
    mend: str = word()


@check(
    "COLLECT-001",
    "info",
    "Chaque source a été lue en entier",
    key=("source",),
    message="La source « {source} » a été {outcome} : {why}.",
    fix=Fix("{mend}.", (), ()),
)
def read(sources: Rows[SourceStatus]) -> Iterator[Unread]:
    """Sources that were refused, failed or were read in part; and absent ones, when something can be done about it.

    What the machine simply does not have needs no remedy, and is told by the coverage.
    """
    if not sources:
        raise NotApplicable("cet instantané ne dit rien de ses sources")
    for source in sources:
        status, reason, remedy = source.status, source.reason, source.remedy
        if status in ("partial", "refused", "failed") or (status == "absent" and remedy):
            yield Unread(
                source=source.source,
                status=status,
                reason=reason,
                remedy=remedy,
                outcome={"failed": "lue sans succès", "absent": "cherchée en vain"}.get(status, STATUSES[status]),
                why=_clause(reason) if reason else "aucun motif n’a été donné",
                mend=remedy.rstrip(".") if remedy else "Relancer la collecte avec sudo, puis lire son journal",
            )


def _clause(sentence: str) -> str:
    proper = sentence.startswith(("Traefik", "Docker", "Compose"))
    return (sentence if proper else sentence[:1].lower() + sentence[1:]).rstrip(".")


_WHERE = "Dans le paramètre « waivers », ou le fichier qu’il nomme : "


class UselessWaiver(Fault):
    """A waiver that designates nothing."""

    source: str
    check: str
    subject: str


class ExpiredWaiver(UselessWaiver):
    """A waiver that holds no more."""

    expires: str
    author: str | None = word()
    day: str = word()
    effect: str = word()


@check(
    "WAIVER-001",
    "medium",
    "Aucune dérogation n’a expiré",
    key=("source",),
    message="La dérogation de {author} pour {check} sur « {subject} » a expiré le {day} : {effect}.",
    fix=Fix(_WHERE + "retirer la dérogation si le constat est corrigé, sinon la renouveler avec une nouvelle date."),
)
def waivers_in_force(waivers: Rows[WaiverState]) -> Iterator[ExpiredWaiver]:
    """Waivers whose last day is past at the time of the snapshot."""
    for waiver in _given(waivers):
        if waiver.expired and waiver.expires:
            yield ExpiredWaiver(
                source=_source(waiver),
                check=waiver.check,
                subject=waiver.subject,
                expires=waiver.expires.date().isoformat(),
                author=waiver.author,
                day=day(waiver.expires),
                effect="ses constats sont revenus" if waiver.matches else "elle ne désigne plus rien",
            )


@check(
    "WAIVER-002",
    "info",
    "Chaque dérogation désigne un constat",
    key=("source",),
    message="La dérogation pour {check} sur « {subject} » ne désigne aucun constat.",
    fix=Fix(_WHERE + "la retirer si le constat est corrigé, ou corriger le contrôle ou le sujet qu’elle nomme."),
)
def waivers_of_use(waivers: Rows[WaiverState]) -> Iterator[UselessWaiver]:
    """Waivers in force that match no finding."""
    for waiver in _given(waivers):
        if not waiver.matches and not waiver.expired:
            yield UselessWaiver(source=_source(waiver), check=waiver.check, subject=waiver.subject)


def _given(waivers: Rows[WaiverState]) -> Rows[WaiverState]:
    if not waivers:
        raise NotApplicable("aucune dérogation n’est donnée")
    return waivers


def _source(waiver: WaiverState) -> str:
    return f"waivers {waiver.check} {waiver.subject}"
