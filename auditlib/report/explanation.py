"""`auditlib.explain`: how a request travels through a snapshot's server, and why it fails, hop by hop."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from auditlib.derived import Facts
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import Snapshot
from auditlib.facts.table import Row, prose, table, text
from auditlib.french import typography, visible
from auditlib.views.known import Known
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
        answering = [one for one in self.candidates if one["matches"]]
        if len(answering) > 1:
            lines.append("  Routeurs dont la règle répond, dans l’ordre de Traefik :")
            lines += [f"    {one['router']} (priorité {one['priority']})" for one in answering[:_SHOWN_CANDIDATES]]
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
            f"<li><code>{_html(one['router'])}</code> (priorité {one['priority']}) : {_html(_matched(one))}</li>"
            for one in self.candidates
        )
        more = f"<details><summary>Routeurs essayés</summary><ol>{tried}</ol></details>" if tried else ""
        causes = "".join(f"<li><code>{_html(cause)}</code></li>" for cause in self.causes)
        found = f"<p>Constats :</p><ul>{causes}</ul>" if causes else ""
        return f'<div class="explanation">{head}<ol class="hops">{hops}</ol>{more}{found}</div>'

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


def journeys(snapshot: Snapshot) -> list[Record]:
    """A request to each domain and path of the routes. Raises AbsentTable when there is no telling the routes."""
    known, urls = Known(snapshot), dict[str, None]()
    for row in records(snapshot.routes):
        named = row["domain"] and not row["domain"].startswith(("~", "*")) and not str(row["path"]).startswith("~")
        if named and row["protocol"] == "http":
            urls[f"{'https' if row['tls'] else 'http'}://{row['domain']}{row['path'] or '/'}"] = None
    return [made for url in list(urls)[:MAX_JOURNEYS] if (made := _journey(known, url))]


def _journey(known: Known, url: str) -> Record | None:
    try:
        walked = trace(known, url)
    except RequestError:
        # A rule may name what no browser can ask.
        return None
    stop = next((hop for hop in walked.hops if hop.state == "broken"), None)
    kept = {"url": url, "verdict": walked.verdict, "router": walked.router, "container": walked.container}
    return {**kept, "stop": stop and stop.hop, "reason": stop and stop.reason}


def of_trace(walked: Trace, facts: Facts) -> Explanation:
    """The explanation of a walk, with the identities of the findings that say more of what is broken."""
    return Explanation(
        walked.url,
        walked.verdict,
        walked.entrypoint,
        walked.router,
        [*walked.ties],
        [{"router": one.router, "priority": one.priority, "matches": one.matches} for one in walked.candidates],
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
    wanted = {(check, (kind, name)) for check, kind, name in walked.faults}
    return [
        one.identity for one in facts.audit.findings if any((one.check, subject) in wanted for subject in one.subjects)
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
