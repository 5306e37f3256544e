"""ROUTE: what the rules of routers win, lose, and no longer mean."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import Declared, asked
from auditlib.french import listing, quoted
from auditlib.traefik.migration import outdated
from auditlib.traefik.shadowing import CATCH_ALL
from auditlib.traefik.statuses import MAX_USER_PRIORITY


@check(
    "ROUTE-005",
    "high",
    "Aucun routeur n’est masqué par un autre",
    key=("router", "entrypoint"),
    message="Sur le point d’entrée « {entrypoint} », le routeur « {router} » (priorité {priority}) {loses}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("curl -sS {api}",)),
)
def unshadowed_routers(
    shadowing: pd.DataFrame,
    traefik_routers: pd.DataFrame,
    traefik: pd.DataFrame,
    predicted_routers: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Routers that never win, or lose a part of their own domain and path, unless that is a carve-out or Traefik's own.

    What a TCP router takes is told by ROUTE-017.
    """
    declared = Declared.of(predicted_routers, containers)
    http = {row["router"]: row for row in records(traefik_routers) if row["protocol"] == "http"}
    losers: dict[tuple[str, str], list[Record]] = {}
    for row in records(shadowing):
        told_elsewhere = row["other"] is not None and row["other"] not in http
        if row["verdict"] in ("never", "shadowed") and not row["intended"] and not told_elsewhere:
            losers.setdefault((row["router"], row["entrypoint"]), []).append(row)
    for (router, entrypoint), rows in losers.items():
        # One that never wins says it first.
        rows.sort(key=lambda row: (row["verdict"] != "never", row["other"] or ""))
        worst = rows[0]
        others = [row["other"] for row in rows if row["other"]]
        points = http[router]["entrypoints"] or () if router in http else ()
        yield {
            "router": router,
            "entrypoint": entrypoint,
            "verdict": worst["verdict"],
            "others": others,
            "priority": worst["priority"],
            "other_priority": worst["other_priority"],
            "method": worst["method"],
            "url": worst["url"],
            "headers": worst["headers"] or (),
            "wording": {
                "loses": _loses(worst, others),
                "api": asked(traefik, "http", "router", router),
                **_raised(worst, declared, points),
            },
        }


def _loses(row: Record, others: list[str]) -> str:
    if row["other"] is None:
        return "ne gagne jamais : aucune requête ne satisfait sa règle"
    shown = f"« {row['method']} {row['url']} »"
    if row["headers"]:
        shown += f" avec {listing(map(quoted, row['headers']))}"
    taker = f"{quoted(row['other'])} (priorité {row['other_priority']})"
    more = f" ; {listing(map(quoted, others[1:]))} en prend aussi" if len(others) > 1 else ""
    if row["verdict"] == "never":
        return f"ne gagne jamais : {taker} prend toutes ses requêtes, par exemple {shown}{more}"
    return f"perd une partie de son domaine : {taker} prend par exemple {shown}{more}"


def _raised(row: Record, declared: Declared, points: tuple[str, ...]) -> Record:
    """Wording of the mend: a priority above the taker's, where there is room for one."""
    if row["other"] is None:
        return {"remedy": "Corriger la règle, ou retirer ce routeur.", "compose": None, "service": None}
    wanted = row["other_priority"] + 1
    if wanted > MAX_USER_PRIORITY:
        text = f"Restreindre la règle de {quoted(row['other'])} : aucune priorité permise ne passe avant la sienne."
        return {"remedy": text, "compose": None, "service": None}
    option = declared.option("http", row["router"], "priority", wanted, points)
    text = f"Ajouter {option['where']}, ou restreindre la règle de {quoted(row['other'])} à ce qui lui revient."
    return {"remedy": text, "compose": option["compose"], "service": option["service"]}


@check(
    "ROUTE-010",
    "medium",
    "Chaque règle est écrite dans la syntaxe de la version en service",
    key=("router",),
    message="La règle du routeur « {router} », {rule}, {why}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("curl -sS {api}",)),
)
def current_syntax(
    traefik_routers: pd.DataFrame,
    traefik: pd.DataFrame,
    predicted_routers: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """HTTP rules that the running version deprecates, refuses for their old syntax, or takes without meaning them."""
    version = next((row["version"] for row in records(traefik)), None)
    if version is None:
        return
    declared = Declared.of(predicted_routers, containers)
    for row in records(traefik_routers):
        if row["protocol"] != "http" or row["provider"] == "internal" or not row["rule"]:
            continue
        found = outdated(row["rule"], row["rule_syntax"], version)
        if found is None:
            continue
        option = declared.option("http", row["router"], "rule", found.proposal, row["entrypoints"] or ())
        old = row["rule_syntax"] == "v2"
        drop = ", et retirer « ruleSyntax » (ou « core.defaultRuleSyntax »)" if old else ""
        yield {
            "router": row["router"],
            "rule": row["rule"],
            "version": version,
            "proposal": found.proposal,
            "wording": {
                "why": found.why,
                "remedy": f"Écrire {option['where']}{drop}."
                if found.proposal
                else f"Récrire cette règle dans la syntaxe de Traefik 3{drop}.",
                "api": asked(traefik, "http", "router", row["router"]),
                "compose": option["compose"],
                "service": option["service"],
            },
        }


@check(
    "ROUTE-011",
    "high",
    "Aucune requête ne revient à deux routeurs de même priorité",
    key=(),
    message="Sur le point d’entrée « {entrypoint} », {routers} prennent les mêmes requêtes avec la même priorité "
    "({priority}), par exemple « {method} {url} » : Traefik choisit au hasard, à chaque rechargement.{harmless}",
    fix=Fix(
        "Donner une priorité plus grande à celui qui doit gagner, par exemple {where}.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def no_ties(
    shadowing: pd.DataFrame,
    traefik_routers: pd.DataFrame,
    traefik: pd.DataFrame,
    traefik_static: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Pairs of routers that are tied; `low` when both do the same with the request.

    Since 3.7.0, `providers.precedence` decides between two providers, where it is given.
    """
    declared = Declared.of(predicted_routers, containers)
    keys = [row["key"] for row in records(traefik_static)] if traefik_static is not None else []
    decided = any(key.startswith("providers.precedence") for key in keys)
    http = {row["router"]: row for row in records(traefik_routers) if row["protocol"] == "http"}
    for row in records(shadowing):
        if row["verdict"] != "tie" or row["other"] is None or row["router"] > row["other"]:
            continue
        one, other = http.get(row["router"]), http.get(row["other"])
        if one is None or other is None or (decided and one["provider"] != other["provider"]):
            continue
        same = (one["service"], one["middlewares"]) == (other["service"], other["middlewares"])
        option = declared.option("http", row["router"], "priority", row["priority"] + 1, one["entrypoints"] or ())
        yield {
            "subjects": (("router", row["router"]), ("router", row["other"]), ("entrypoint", row["entrypoint"])),
            "severity": "low" if same else "high",
            "routers": [row["router"], row["other"]],
            "entrypoint": row["entrypoint"],
            "priority": row["priority"],
            "method": row["method"],
            "url": row["url"],
            "headers": row["headers"] or (),
            "wording": {
                "routers": listing([quoted(row["router"]), quoted(row["other"])]),
                "harmless": " Les deux mènent au même service par les mêmes middlewares." if same else "",
                "api": asked(traefik, "http", "router", row["router"]),
                **option,
            },
        }


@check(
    "ROUTE-017",
    "high",
    "Aucun routeur TCP ne prend les requêtes HTTP d’un point d’entrée",
    key=("router", "entrypoint"),
    message="Le routeur TCP « {router} » prend toute connexion en clair du point d’entrée « {entrypoint} » "
    "(règle {rule}, sans TLS) : {victims} plus.",
    fix=Fix(
        "Donner à ce routeur un point d’entrée à lui, par exemple {where}, ou la règle d’un domaine avec TLS.",
        ("{compose} up -d {service}",),
        ("curl -sS {api}",),
    ),
)
def no_tcp_capture(
    traefik_static: pd.DataFrame,
    entrypoints: pd.DataFrame,
    traefik_routers: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    containers: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """TCP routers that take every clear connection of an entry point on which HTTP routers answer too.

    Traefik tries TCP routers without TLS before HTTP (`pkg/server/router/tcp/router.go`). An HTTP router that names
    no entry point is on all of them: that alone does not make one an entry point of HTTP.
    """
    routers = traefik_routers if traefik_routers is not None else predicted_routers
    if routers is None:
        raise AbsentTable("traefik_routers", "ni l’API de Traefik ni sa configuration n’ont été lues")
    rows = [row for row in records(routers) if row["status"] != "disabled"]
    declared = Declared.of(predicted_routers, containers)
    known = records(entrypoints)
    default = {row["entrypoint"] for row in known if row["default"] and row["protocol"] != "udp"}
    redirected = {row["entrypoint"] for row in known if row["redirect_to"]}
    clear = [one for one in rows if one["protocol"] == "http" and not one["tls"]]
    for row in rows:
        if row["protocol"] != "tcp" or row["tls"] or not CATCH_ALL.fullmatch(row["rule"] or ""):
            continue
        everywhere = len(default) > 1 and set(row["entrypoints"] or ()) >= default
        for entrypoint in row["entrypoints"] or ():
            here = [one for one in clear if entrypoint in (one["entrypoints"] or ())]
            meant = [one for one in here if everywhere or not _everywhere(one, default)]
            if not meant and entrypoint not in redirected:
                continue
            option = declared.option("tcp", row["router"], "entrypoints", "<point d’entrée>", row["entrypoints"])
            yield {
                "router": row["router"],
                "entrypoint": entrypoint,
                "rule": row["rule"],
                "victims": [one["router"] for one in here],
                "wording": {
                    "victims": _victims([one["router"] for one in here]),
                    "api": asked(traefik, "tcp", "router", row["router"]),
                    **option,
                },
            }


def _everywhere(router: Record, default: set[str]) -> bool:
    """Whether a router seems to name no entry point: it is on all the default ones, of which there are several."""
    split = any(router["router"].startswith(f"{name}-") for name in default)
    return len(default) > 1 and (set(router["entrypoints"] or ()) >= default or split)


def _victims(names: list[str]) -> str:
    if not names:
        return "les routeurs HTTP n’y répondent"
    shown = [quoted(name) for name in names[:3]]
    told = listing([*shown, f"{len(names) - 3} autres"] if len(names) > 3 else shown)
    return f"{told} n’y {'répond' if len(names) == 1 else 'répondent'}"
