"""What every router in force wins and loses on its entry points, from the tables of a snapshot."""

from collections.abc import Iterator

from auditlib.facts.table import Row, Rows, flag, integer, several, table, text, view
from auditlib.facts.tables.traefik import StaticOption, Traefik, TraefikEntrypoint, TraefikRouter
from auditlib.traefik.muxer import Muxer
from auditlib.traefik.shadowing import Fate, fates
from auditlib.views.entrypoints import precedence
from auditlib.views.known import entry_points, routers

VERDICTS = {
    "wins": "gagne",
    "shadowed": "masqué en partie",
    "never": "ne gagne jamais",
    "tie": "ex æquo",
    "unknown": "indéterminé",
}
RELATIONS = {
    "narrower": "plus étroit",
    "wider": "plus large",
    "crossing": "croisé",
    "same": "identique",
    "internal": "interne à Traefik",
    "unknown": "inconnu",
}


@table(
    "shadowing",
    "Masquage des routeurs",
    "Ce que chaque routeur gagne ou perd, par point d’entrée, avec une requête qui le montre.",
    key=("router", "entrypoint", "verdict", "other"),
)
class Shadowing(Row):
    """A router that never or only partly answers, and the one that answers instead."""

    router: str = text("Routeur")
    entrypoint: str = text("Point d’entrée")
    verdict: str = text("Verdict", words=VERDICTS)
    other: str | None = text("L’autre routeur", "Celui qui prend la requête, ou qui est à égalité.", missing="aucun")
    relation: str | None = text("L’autre est", "Par le domaine et le chemin, vu du routeur.", words=RELATIONS)
    intended: bool | None = flag(
        "Voulu", "L’autre est plus étroit, ou interne à Traefik : une exception, et non un défaut."
    )
    priority: int | None = integer("Priorité")
    other_priority: int | None = integer("Priorité de l’autre")
    method: str | None = text("Méthode")
    url: str | None = text("URL", "Une requête qui le montre.")
    headers: tuple[str, ...] | None = several("En-têtes", "Ceux de cette requête.")
    client: str | None = text("Client", "L’adresse d’où elle vient.")


@view(Shadowing)
def shadowing(
    traefik: Rows[Traefik],
    traefik_entrypoints: Rows[TraefikEntrypoint],
    traefik_routers: Rows[TraefikRouter],
    traefik_static: Rows[StaticOption] | None = None,
) -> Iterator[Shadowing]:
    """What every HTTP router in force wins and loses on each of its entry points."""
    version = next((api.version for api in traefik), None)
    order = precedence(traefik_static)
    muxer = Muxer(version, entry_points(traefik_entrypoints), routers(traefik_routers), order)
    for entrypoint in sorted({name for router in muxer.routers.values() for name in router.entrypoints}):
        for tls in (False, True):
            for fate in fates(muxer, entrypoint, tls=tls):
                yield _row(entrypoint, fate)


def _row(entrypoint: str, fate: Fate) -> Shadowing:
    request = fate.request
    return Shadowing(
        router=fate.router.name,
        entrypoint=entrypoint,
        verdict=fate.verdict,
        other=fate.other.name if fate.other else None,
        relation=fate.relation,
        intended=fate.intended,
        priority=fate.router.rank,
        other_priority=fate.other.rank if fate.other else None,
        method=request.method if request else None,
        url=f"{'https' if request.tls else 'http'}://{request.host}{request.target}" if request else None,
        headers=tuple(f"{name}: {value}" for name, value in request.headers) if request else None,
        client=request.client_ip if request else None,
    )
