"""`auditlib.explain`: how a request travels through a snapshot's server, and why it fails, hop by hop."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from auditlib.derived import Facts
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, Rows, prose, table, text
from auditlib.french import typography, visible
from auditlib.views.known import Known
from auditlib.views.routes import Route
from auditlib.views.walk import RequestError, Trace, trace

__all__ = ["Explanation", "RequestError", "explain"]

VERDICTS = {
    "ok": "la requête arrive à destination",
    "broken": "la requête échoue",
    "unrouted": "aucun routeur ne prend cette requête",
    "unknown": "l’instantané ne permet pas de conclure",
}
HOPS = {
    "port": "Port",
    "entrypoint": "Point d’entrée",
    "router": "Routeur",
    "middleware": "Middleware",
    "service": "Service",
    "server": "Serveur",
    "container": "Conteneur",
    "network": "Réseau",
    "listening": "Port écouté",
    "probe": "Sonde",
    "file": "Fichier",
    "domain": "Domaine",
}
STATES = {"ok": "bon", "broken": "rompu", "unknown": "inconnu"}
_MARKS = {"ok": "✓", "broken": "✗", "unknown": "?"}
_SHOWN_CANDIDATES = 10
_OBSERVED = ("status", "latency_ms", "error", "router")  # of the probe that was made of the request


@dataclass(frozen=True)
class Explanation:
    """How one request travels. Its fields are those of the JSON form; in a notebook it shows itself."""

    url: str
    verdict: str
    entrypoint: str | None
    router: str | None
    ties: list[str]
    candidates: list[dict[str, Any]]
    middlewares: list[str]
    service: str | None
    server: str | None
    container: str | None
    network: str | None
    hops: list[dict[str, str]]
    causes: list[str]
    observed: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """The explanation as plain values, as `auditlib explain --format json` writes it."""
        return asdict(self)

    def json(self) -> str:
        """The explanation as JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)

    @property
    def broken(self) -> dict[str, str] | None:
        """The first broken hop, None when there is none."""
        return next((hop for hop in self.hops if hop["state"] == "broken"), None)

    def text(self) -> str:
        """The explanation as French lines for a terminal."""
        lines = [f"{self.url} : {VERDICTS[self.verdict]}."]
        lines += [f"  {_MARKS[hop['state']]} {_hop(hop)}" for hop in self.hops]
        answering = [candidate for candidate in self.candidates if candidate["matches"]]
        if len(answering) > 1:
            lines.append("  Routeurs dont la règle répond, dans l’ordre de Traefik :")
            first = answering[:_SHOWN_CANDIDATES]
            lines += [f"    {candidate['router']} (priorité {candidate['priority']})" for candidate in first]
        lines += [f"  Constat : {cause}" for cause in self.causes]
        return typography(visible_lines(lines))

    def markdown(self) -> str:
        """The same as Markdown: a literal block, in which nothing is read as markup."""
        return "\n".join(f"    {line}" for line in self.text().splitlines())

    def _repr_html_(self) -> str:
        head = f"<p><code>{_html(self.url)}</code> : <strong>{_html(VERDICTS[self.verdict])}</strong>.</p>"
        hops = "".join(
            f'<li class="{hop["state"]}">{_MARKS[hop["state"]]} {_html(HOPS[hop["hop"]])} '
            f"<code>{_html(hop['name'])}</code> {_html(hop['reason'])}</li>"
            for hop in self.hops
        )
        tried = "".join(
            f"<li><code>{_html(router['router'])}</code> (priorité {router['priority']}) : "
            f"{_html(_matched(router))}</li>"
            for router in self.candidates
        )
        more = f"<details><summary>Routeurs essayés</summary><ol>{tried}</ol></details>" if tried else ""
        causes = "".join(f"<li><code>{_html(cause)}</code></li>" for cause in self.causes)
        findings = f"<p>Constats :</p><ul>{causes}</ul>" if causes else ""
        return f'<div class="explanation">{head}<ol class="hops">{hops}</ol>{more}{findings}</div>'

    def __repr__(self) -> str:
        return self.text()


def explain(
    facts: Facts | Snapshot,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    client_ip: str = "127.0.0.1",
) -> Explanation:
    """How a request travels through a server, hop by hop, and why it fails.

    A port in the URL is a port of the machine. Raises RequestError, in French, for what is no web address.
    """
    facts = facts if isinstance(facts, Facts) else Facts(facts)
    return of_trace(trace(Known(facts.snapshot), url, method, headers, client_ip), facts)


@table(
    "journeys",
    "Trajets",
    "Une requête vers chaque domaine et chemin connus : où elle arrive, sinon où elle s’arrête.",
    key=("url",),
)
class Journey(Row):
    """A request to a known domain and path: where it arrives, or where it stops."""

    url: str = text("Adresse")
    verdict: str | None = text("Verdict", words=VERDICTS)
    router: str | None = text("Routeur")
    container: str | None = text("Conteneur")
    stop: str | None = text("S’arrête à", "La première étape rompue.", words=HOPS)
    reason: str | None = prose("Motif")


MAX_JOURNEYS = 500


def journeys(snapshot: Snapshot) -> Rows[Journey]:
    """A request to each domain and path of the routes. Raises AbsentTable when there is no telling the routes."""
    known, urls = Known(snapshot), dict.fromkeys(_urls(snapshot.rows(Route)))
    return Journey.table.rows(journey for url in list(urls)[:MAX_JOURNEYS] if (journey := _journey(known, url)))


def _urls(routes: Rows[Route]) -> Iterator[str]:
    """The addresses that routes name: those of regular expressions and wildcards name none."""
    for route in routes:
        named = route.domain and not route.domain.startswith(("~", "*")) and not (route.path or "").startswith("~")
        if named and route.protocol == "http":
            yield f"{'https' if route.tls else 'http'}://{route.domain}{route.path or '/'}"


def _journey(known: Known, url: str) -> Journey | None:
    try:
        walked = trace(known, url)
    except RequestError:
        # A rule may name what no browser can ask.
        return None
    stop = next((hop for hop in walked.hops if hop.state == "broken"), None)
    return Journey(
        url=url,
        verdict=walked.verdict,
        router=walked.router,
        container=walked.container,
        stop=stop.hop if stop else None,
        reason=stop.reason if stop else None,
    )


def of_trace(walked: Trace, facts: Facts) -> Explanation:
    """The explanation of a walk, with the identities of the findings that say more of what is broken."""
    return Explanation(
        walked.url,
        walked.verdict,
        walked.entrypoint,
        walked.router,
        [*walked.ties],
        [asdict(candidate) for candidate in walked.candidates],
        [*walked.middlewares],
        walked.service,
        walked.server,
        walked.container,
        walked.network,
        [asdict(hop) for hop in walked.hops],
        _causes(walked, facts),
        {name: getattr(walked.observed, name) for name in _OBSERVED} if walked.observed else None,
    )


def _causes(walked: Trace, facts: Facts) -> list[str]:
    """Identities of the findings of the walk's faults: of the same check, about the same thing."""
    if not walked.faults:
        return []
    faults = {(check, (kind, name)) for check, kind, name in walked.faults}
    return [
        finding.identity
        for finding in facts.audit.findings
        if any((finding.check, subject) in faults for subject in finding.subjects)
    ]


def _hop(hop: Mapping[str, str]) -> str:
    name = f" {hop['name']}" if hop["name"] else ""
    return f"{HOPS[hop['hop']]}{name}{' : ' + hop['reason'] if hop['reason'] else ''}"


def _matched(candidate: Mapping[str, Any]) -> str:
    return "sa règle répond" if candidate["matches"] else "sa règle ne répond pas"


def visible_lines(lines: list[str]) -> str:
    """Lines of text in which nothing from the machine is invisible, a line end included."""
    return "\n".join(visible(line) for line in lines)


def _html(text: str) -> str:
    return escape(typography(visible(text)))
