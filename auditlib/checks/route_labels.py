"""ROUTE: what the labels of containers ask of Traefik, and what its Docker provider makes of it."""

from collections.abc import Iterator, Mapping

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.findings.check import Fix, check
from auditlib.findings.commands import asked, compose
from auditlib.french import listing, quoted
from auditlib.software import is_up
from auditlib.traefik.decoding import FALSE
from auditlib.traefik.fields import LATEST
from auditlib.traefik.spelling import Fault, faults
from auditlib.views.decisions import running_version
from auditlib.views.entrypoints import options
from auditlib.views.proxy import traefiks

_ROUTING = ("traefik.http.routers.", "traefik.http.services.", "traefik.tcp.", "traefik.udp.")

# What to do, by the step where Traefik's Docker provider stopped.
_REMEDIES = {
    "provider": "Activer le fournisseur Docker de Traefik (« providers.docker »), ou retirer ces étiquettes.",
    "disabled": "Ajouter l’étiquette « traefik.enable=true » au service, puis le recréer.",
    "constraints": "Donner au conteneur l’étiquette que demande « providers.docker.constraints », ou corriger cette "
    "option.",
    "stopped": "Lire pourquoi il s’est arrêté (`docker logs`), puis le démarrer.",
    "health": "Corriger le contrôle de santé ou ce qu’il constate : Traefik n’écrit rien de ces conteneurs dans son "
    "journal.",
    "options": "Corriger l’étiquette, puis recréer le conteneur.",
    "labels": "Corriger l’étiquette, puis recréer le conteneur : une seule fausse les fait perdre toutes.",
    "address": "Attacher le conteneur à un réseau de Traefik dans son fichier compose, puis le recréer.",
    "port": "Ajouter l’étiquette « traefik.http.services.<service>.loadbalancer.server.port » avec le port que le "
    "programme écoute, puis recréer le conteneur.",
    "url": "Garder l’étiquette de l’adresse ou celles du port et du schéma, pas les deux.",
    "services": "Nommer le service du routeur par l’étiquette « traefik.http.routers.<routeur>.service ».",
    "rule": "Donner au routeur une règle, par l’étiquette « traefik.http.routers.<routeur>.rule ».",
    "event": "Redémarrer le conteneur : Traefik ne relit les étiquettes qu’à un démarrage, un arrêt ou un changement "
    "de santé.",
    "disabled_router": "Corriger ce que Traefik refuse, puis recréer le conteneur.",
}
# Steps that no change of the container's own labels mends.
_NOT_ITS_LABELS = ("stopped", "event", "provider")


def _labels(labels: pd.DataFrame) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for row in records(labels):
        found.setdefault(row["container"], {})[row["label"]] = row["value"]
    return found


def _asks(labels: Mapping[str, str | None]) -> bool:
    """Whether labels ask for a route: enabled, or not said but with a router or a service."""
    lower = {label.lower(): value for label, value in labels.items()}
    if "traefik.enable" in lower:
        return lower["traefik.enable"] not in FALSE
    # A rule that stands elsewhere (« traefik.http.router.x.rule ») asks too, though Traefik refuses it.
    return any(
        label.startswith(_ROUTING) or (label.startswith("traefik.http.") and label.endswith(".rule")) for label in lower
    )


@check(
    "ROUTE-002",
    "high",
    "Chaque conteneur qui demande à être routé l’est",
    key=("container",),
    message="Le conteneur « {container} » demande à être routé, mais {effect}. {reason}",
    fix=Fix(
        "{remedy}",
        ("docker start {stopped}", "docker unpause {paused}", "docker restart {missed}", "{compose} up -d {service}"),
        ("curl -sS {url}",),
    ),
)
def routed_as_asked(
    containers: pd.DataFrame,
    labels: pd.DataFrame,
    docker_decisions: pd.DataFrame,
    traefik: pd.DataFrame | None = None,
    provider_differences: pd.DataFrame | None = None,
    predicted_routers: pd.DataFrame | None = None,
    container_listeners: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """Containers that ask for a route and have no live router, with the first cause in Traefik's own order.

    Left to others: names declared twice (ROUTE-003), routers that Traefik's API says are disabled (ROUTE-001), a
    provider that does not answer (ROUTE-020), and stacks that are wholly stopped (ROUTE-012). Replicas, and what
    `docker compose run` leaves behind, are served by the container of their service that is routed.
    """
    said, known = _labels(labels), {row["name"]: row for row in records(containers)}
    decisions = {row["container"]: row for row in records(docker_decisions)}
    routed = {_service(known[name]) for name, row in decisions.items() if row["decision"] == "routed"} - {None}
    alive = {row["compose_project"] for row in known.values() if row["compose_project"] and is_up(row["state"])}
    api = next((row["url"] for row in records(traefik)), None) if traefik is not None else None
    silent = _silent(provider_differences, predicted_routers)
    heard = records(container_listeners) if container_listeners is not None else None
    proxies = [name for name in traefiks(known.values(), heard) if is_up(known[name]["state"])]
    for name, decision in decisions.items():
        container = known[name]
        if not _asks(said.get(name, {})):
            continue
        fault = _lost(decision) or silent.get(name)
        others = decision["decision"] != "routed" and _service(container) in routed
        # Constraints share the containers of a machine among several Traefiks: one that is not seen may route it.
        others = others or (fault is not None and fault[0] == "constraints" and len(proxies) > 1)
        if fault is None or others or (decision["step"] == "stopped" and not _meant_to_run(container, alive)):
            continue
        step, effect, reason = fault
        paused = step == "stopped" and container["state"] == "paused"
        reason = "Le conteneur est en pause." if paused else reason
        yield {
            "container": name,
            "step": step,
            "reason": reason,
            "routers": decision["lost"] or decision["routers"],
            "confidence": "probable" if step in ("constraints", "provider") else "certain",
            "wording": {
                "effect": effect,
                "remedy": "Le reprendre."
                if paused
                else _REMEDIES.get(step, "Corriger ses étiquettes, puis recréer le conteneur."),
                "stopped": name if step == "stopped" and not paused else None,
                "paused": name if paused else None,
                "missed": name if step == "event" else None,
                "url": f"{api}/api/rawdata" if api else None,
                **({"compose": None, "service": None} if step in _NOT_ITS_LABELS else compose(container)),
            },
        }


def _service(container: Record) -> tuple[str, str] | None:
    project, service = container["compose_project"], container["compose_service"]
    return (project, service) if project and service else None


def _meant_to_run(container: Record, alive: set[str]) -> bool:
    """Whether a stopped container is a fault by itself: not with its whole stack, nor a task that ended well."""
    if container["compose_project"]:
        return container["compose_project"] in alive
    if is_up(container["state"]):
        return True
    return container["exit_code"] != 0 or container["restart_policy"] not in (None, "no")


def _lost(decision: Record) -> tuple[str, str, str] | None:
    """The step where the provider gave a container up, or some of its routers: its effect, and why."""
    if decision["step"] == "conflict":
        return None
    if decision["decision"] in ("filtered", "dropped"):
        return decision["step"], "n’a aucun routeur en service", decision["reason"]
    pairs = zip(decision["lost"] or (), decision["losses"] or (), strict=False)
    # What several containers declare differently is told once, for all of them.
    own = [(name, why) for name, why in pairs if "plusieurs conteneurs" not in why]
    if not own:
        return None
    return "services", f"perd {listing(quoted(name) for name, _ in own)}", " ".join(dict.fromkeys(w for _, w in own))


def _silent(
    provider_differences: pd.DataFrame | None, predicted_routers: pd.DataFrame | None
) -> dict[str, tuple[str, str, str]]:
    """Containers whose routers Traefik must have and has not, or must refuse as far as its API was not read."""
    found: dict[str, tuple[str, str, str]] = {}
    if provider_differences is not None:
        for row in records(provider_differences):
            missing = row["kind"] == "router" and row["side"] == "predicted" and row["cause"] == "missed_event"
            for name in row["containers"] or () if missing else ():
                found[name] = ("event", f"Traefik n’a pas {quoted(row['name'])}", row["reason"])
    elif predicted_routers is not None:
        states: dict[str, list[Record]] = {}
        for row in records(predicted_routers):
            for name in row["containers"] or ():
                states.setdefault(name, []).append(row)
        for name, rows in states.items():
            if all(row["status"] == "disabled" for row in rows):
                why = listing(rows[0]["errors"] or ("sans motif donné",))
                refused = f"Traefik doit refuser {quoted(rows[0]['router'])} ({why})."
                found[name] = ("disabled_router", "n’a aucun routeur en service", refused)
    return found


@check(
    "ROUTE-003",
    "critical",
    "Aucun nom de Traefik n’est déclaré différemment par plusieurs conteneurs",
    key=(),
    message="Le {noun} « {name} » est déclaré par {owners} avec des configurations différentes : Traefik l’écarte "
    "partout, {lost}.",
    fix=Fix(
        "Donner à chacun un nom de {noun} à lui dans ses étiquettes, par exemple « {proposal} » pour « {renamed} », "
        "puis recréer le conteneur.{hint}",
        ("{compose} up -d {service}",),
        ("curl -sS {url}",),
    ),
)
def distinct_names(
    containers: pd.DataFrame, docker_names: pd.DataFrame, traefik: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Names that several containers declare differently. Identical labels on two services differ by their service."""
    known = {row["name"]: row for row in records(containers)}
    for row in records(docker_names):
        if not row["dropped"]:
            continue
        router = row["kind"] == "router"
        alike = len({known[name]["compose_project"] for name in row["containers"]}) == 1
        hint = " S’ils doivent partager ce routeur, nommer son service dans les étiquettes de chacun."
        yield {
            "subjects": ((row["kind"], row["name"]),),
            "kind": row["kind"],
            "name": row["name"],
            "protocol": row["protocol"],
            "containers": row["containers"],
            "wording": {
                "noun": "routeur" if router else row["kind"],
                "lost": "et aucun ne répond" if router else "et les routeurs qui le nomment sont désactivés",
                "hint": hint if alike and router else "",
                "url": asked(traefik, row["protocol"], row["kind"], row["name"]),
                **_renaming(row, known),
            },
        }


@check(
    "ROUTE-004",
    "high",
    "Aucun service de Traefik n’est partagé par plusieurs projets",
    key=("service",),
    message="Le service « {service} » est déclaré par {owners}, de projets différents ({projects}) : Traefik "
    "réunit leurs serveurs, et les requêtes vont tantôt à l’un, tantôt à l’autre.",
    fix=Fix(
        "Donner à chaque projet un nom de service à lui dans ses étiquettes, par exemple « {proposal} » pour "
        "« {renamed} », puis recréer le conteneur.",
        ("{compose} up -d {service_name}",),
        ("curl -sS {url}",),
    ),
)
def unshared_services(
    containers: pd.DataFrame, docker_names: pd.DataFrame, traefik: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Services whose servers are containers of several projects; a container of no project is one by itself.

    Containers of no project that run one image are replicas that somebody started by hand.
    """
    known = {row["name"]: row for row in records(containers)}
    for row in records(docker_names):
        projects = {known[name]["compose_project"] or name for name in row["containers"]}
        made = {(known[name]["compose_project"], known[name]["image"]) for name in row["containers"]}
        replicas = len(made) == 1 and all(not project and image for project, image in made)
        if row["kind"] != "service" or row["dropped"] or len(projects) < 2 or replicas:
            continue
        renaming = _renaming(row, known)
        yield {
            "service": row["name"],
            "protocol": row["protocol"],
            "containers": row["containers"],
            "projects": sorted(projects),
            "wording": {
                **renaming,
                "service": row["name"],
                "service_name": renaming["service"],
                "url": asked(traefik, row["protocol"], "service", row["name"]),
            },
        }


def _renaming(row: Record, known: Mapping[str, Record]) -> Record:
    """Wording for the one to rename: the last of those that share a name."""
    last = known[row["containers"][-1]]
    own = row["name"].rpartition("@")[0]
    suffix = last["compose_project"] or last["name"]
    if len({known[name]["compose_project"] for name in row["containers"]}) == 1:
        suffix = last["compose_service"] or last["name"]
    owners = listing(map(quoted, row["containers"]))
    return {"owners": owners, "proposal": f"{own}-{suffix}", "renamed": last["name"], **compose(last)}


@check(
    "ROUTE-021",
    "medium",
    "Chaque étiquette destinée à Traefik est comprise de lui",
    key=("container",),
    message="Le conteneur « {container} » porte des étiquettes que Traefik {effect} : {shown}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .Config.Labels}}}}' {container}",),
    ),
)
def understood_labels(
    containers: Rows[Container],
    labels: pd.DataFrame,
    traefik_static: Rows[StaticOption],
    traefik: Rows[Traefik] | None = None,
) -> Iterator[Record]:
    """Labels that look like Traefik's and that it ignores, or that make it drop the container.

    Labels that a constraint or the default rule of this Traefik refers to are somebody's own, and left alone.
    """
    static = options(traefik_static)
    mine = f"{static.get('providers.docker.constraints', '')} {static.get('providers.docker.defaultrule', '')}"
    if not any(key == "providers.docker" or key.startswith("providers.docker.") for key in static):
        return
    version = running_version(traefik, traefik_static, containers) or LATEST
    said = _labels(labels)
    for container in records(containers):
        own = said.get(container["name"], {})
        if own.get("traefik.enable") in FALSE:
            continue
        found = [one for one in faults(own, version) if one.label not in mine]
        if found:
            yield {
                "container": container["name"],
                "labels": [one.shown for one in found],
                "errors": [one.said for one in found],
                "proposals": [one.proposal for one in found if one.proposal],
                "drops": any(one.drops for one in found),
                # A label of somebody's own may only look like Traefik's.
                "confidence": "certain" if all(one.proposal or one.drops for one in found) else "hint",
                "wording": {
                    "effect": "ne comprend pas, et qui lui font écarter tout le conteneur"
                    if any(one.drops for one in found)
                    else "ignore sans rien dire",
                    "shown": [f"{quoted(one.shown)} ({one.said})" for one in found],
                    "remedy": _spelled(found),
                    **compose(container),
                },
            }


def _spelled(found: list[Fault]) -> str:
    known = [f"{quoted(one.proposal)} au lieu de {quoted(one.shown)}" for one in found if one.proposal]
    others = [quoted(one.shown) for one in found if not one.proposal]
    parts = [f"Écrire {listing(known)}"] if known else []
    parts += [f"{'corriger ou retirer' if known else 'Corriger ou retirer'} {listing(others)}"] if others else []
    return f"{', '.join(parts)}, puis recréer le conteneur."
