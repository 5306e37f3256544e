"""NET: the networks that containers and Traefik share, or do not."""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.findings.commands import compose
from auditlib.french import listing, quoted
from auditlib.software import is_attached


def _attachments(container_networks: pd.DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in records(container_networks):
        found.setdefault(row["container"], []).append(row["network"])
    return found


@check(
    "NET-001",
    "high",
    "Chaque conteneur routé est attaché au réseau désigné à Traefik",
    key=("container",),
    message="Le conteneur « {container} » n’est pas attaché au réseau « {network} » que {designation} : "
    "{fallback}.{hint}",
    fix=Fix(
        "{durable}, puis le recréer. Pour rétablir sans attendre : attacher le conteneur et le redémarrer, car Traefik "
        "ne relit les adresses qu’à un démarrage, un arrêt ou un changement de santé. Autre remède : retirer l’option, "
        "si plusieurs réseaux sont voulus.",
        ("docker network connect {network} {container}", "docker restart {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",),
    ),
)
def designated_network(
    routed: pd.DataFrame, proxy: pd.DataFrame, container_networks: pd.DataFrame, containers: pd.DataFrame
) -> Iterator[Record]:
    """Routed containers that are not on the network of their label, else of `providers.docker.network`.

    Traefik takes the address on that network; without it, it warns and takes another, at random when there are
    several (`getIPAddress`, verified on 3.0 to 3.7). A container on the host's network has no address to choose.
    """
    settings, attached = records(proxy)[0], _attachments(container_networks)
    known = {row["name"]: row for row in records(containers)}
    asking = [row for row in records(routed) if row["docker"]]
    if not settings["designated"] and not any(row["network_label"] for row in asking):
        raise NotApplicable("aucun réseau n’est désigné à Traefik, ni par étiquette ni par option")
    for row in asking:
        container, name = known[row["container"]], row["container"]
        # A label that is there but empty overrides the option with "no network wanted".
        label = row["network_label"]
        network = label if label is not None else settings["designated"]
        networks = attached.get(name, [])
        mode = container["network_mode"] or ""
        if not network or network in networks or mode in ("host", "none") or mode.startswith("container:"):
            continue
        yield {
            "container": name,
            "network": network,
            "networks": networks,
            "wording": {
                "designation": "son étiquette « traefik.docker.network » désigne"
                if label
                else "l’option « providers.docker.network » désigne",
                "fallback": _fallback(networks, row["reached"]),
                "hint": _prefixed(network, networks) if label else "",
                "durable": f"Déclarer le réseau {quoted(network)} (« external: true ») dans le fichier compose, "
                "l’ajouter aux réseaux du service"
                if container["compose_project"]
                else f"Donner le réseau {quoted(network)} à la commande qui le crée (« --network »)",
                **compose(container),
            },
        }


def _fallback(networks: list[str], reached: tuple[str, ...] | None) -> str:
    if not networks:
        return "il n’est sur aucun réseau, et Traefik l’ignore"
    if len(networks) == 1:
        return f"Traefik se rabat sur {quoted(networks[0])}"
    now = f", actuellement {listing(quoted(network) for network in reached)}" if reached else ""
    return f"Traefik se rabat au hasard sur {listing(map(quoted, networks), 'ou')}{now}"


def _prefixed(label: str, networks: list[str]) -> str:
    """Compose prefixes a network's name by its project, and the label wants the real name."""
    real = next((network for network in networks if network.endswith(f"_{label}")), None)
    return f" L’étiquette veut le nom complet, {quoted(real)}." if real else ""


@check(
    "NET-002",
    "critical",
    "Chaque conteneur routé partage un réseau avec Traefik",
    key=("container",),
    message="Le conteneur « {container} » ne partage aucun réseau avec Traefik (« {proxy} ») : {where}. "
    "Toute requête vers lui finit en erreur 504.",
    fix=Fix(
        "Attacher « {container} » à un réseau de Traefik, durablement dans {place}, puis le redémarrer "
        "pour que Traefik relise son adresse.",
        ("docker network connect {shared} {container}", "docker restart {container}", "{compose} up -d {service}"),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container} {proxy}",),
    ),
)
def shared_network(
    routed: pd.DataFrame, proxy: pd.DataFrame, container_networks: pd.DataFrame, containers: pd.DataFrame
) -> Iterator[Record]:
    """Routed containers on none of Traefik's networks. On the host's network, Traefik reaches every bridge."""
    settings, attached = records(proxy)[0], _attachments(container_networks)
    if not settings["container"] or settings["network_mode"] == "host":
        raise NotApplicable("Traefik utilise le réseau de la machine, d’où tous les réseaux Docker sont joignables")
    known = {row["name"]: row for row in records(containers)}
    traefik = sorted(settings["networks"])
    for row in records(routed):
        container = known[row["container"]]
        networks, mode = attached.get(row["container"], []), container["network_mode"] or ""
        if set(networks) & set(traefik) or mode == "host" or mode.startswith("container:"):
            continue
        yield {
            "container": row["container"],
            "proxy": settings["container"],
            "networks": networks,
            "proxy_networks": traefik,
            "wording": {
                "where": f"il est sur {listing(map(quoted, networks)) or 'aucun réseau'}, "
                f"Traefik sur {listing(map(quoted, traefik)) or 'aucun réseau'}",
                "place": "son fichier compose" if container["compose_project"] else "la commande qui le crée",
                "shared": settings["designated"] or (traefik[0] if traefik else None),
                **compose(container),
            },
        }


@check(
    "NET-003",
    "medium",
    "Un réseau est désigné à Traefik pour chaque conteneur routé qui en a plusieurs",
    key=("container",),
    message="Le conteneur « {container} » est sur {networks}, et aucun réseau n’est désigné à Traefik : il en prend un "
    "au hasard à chaque mise à jour{now}{effect}.",
    fix=Fix(
        "Désigner le réseau : étiquette « traefik.docker.network={shared} » du service, ou option "
        "« providers.docker.network » de Traefik pour tous, puis recréer le service.",
        ("{compose} up -d {service}",),
        (
            "docker inspect --format '{{{{index .Config.Labels \"traefik.docker.network\"}}}}' {container}",
            "docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}",
        ),
    ),
)
def network_chosen(
    routed: pd.DataFrame, proxy: pd.DataFrame, container_networks: pd.DataFrame, containers: pd.DataFrame
) -> Iterator[Record]:
    """Routed containers on several networks, without a label or an option that names one.

    `getIPAddress` then takes the first of a Go map, whose order is random. `info` when Traefik is on all of them: any
    choice answers.
    """
    settings, attached = records(proxy)[0], _attachments(container_networks)
    known = {row["name"]: row for row in records(containers)}
    traefik = set(settings["networks"] or ())
    everywhere = not settings["container"] or settings["network_mode"] == "host"
    for row in records(routed):
        label = row["network_label"]
        designated = label if label is not None else settings["designated"]
        networks = sorted(attached.get(row["container"], []))
        mode = known[row["container"]]["network_mode"] or ""
        if not row["docker"] or designated or len(networks) < 2 or mode == "host" or mode.startswith("container:"):
            continue
        shared = networks if everywhere else [network for network in networks if network in traefik]
        # On none of Traefik's networks, which one it takes changes nothing: NET-002 tells it.
        if shared:
            lost = [network for network in networks if network not in shared]
            yield {
                "container": row["container"],
                "networks": networks,
                "shared": shared,
                "severity": "medium" if lost else "info",
                "wording": {
                    "networks": listing(map(quoted, networks)),
                    "now": f", actuellement {listing(map(quoted, row['reached']))}" if row["reached"] else "",
                    "effect": f", et ne joint pas {listing(map(quoted, lost))}"
                    if lost
                    else ", qu’il joint tous pour le moment",
                    "shared": shared[0],
                    **compose(known[row["container"]]),
                },
            }


@check(
    "NET-004",
    "high",
    "Aucun nom n’est celui de deux projets sur un même réseau",
    key=("network", "container"),
    message="Sur le réseau « {network} », {names} répond pour {holders}, de projets différents : qui l’appelle tombe "
    "tantôt sur l’un, tantôt sur l’autre.",
    fix=Fix(
        "Donner à chacun un nom à lui : changer le nom du service ou l’alias (« aliases: » sous « networks: »), ou "
        "retirer du réseau « {network} » celui que personne n’y appelle. Pour l’instant, appeler chacun par son nom de "
        "conteneur.",
        (),
        ("docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {first} {second}",),
    ),
)
def names_distinct(container_networks: pd.DataFrame, containers: pd.DataFrame) -> Iterator[Record]:
    """DNS names that containers in service, paused ones included, of different projects have on one network.

    Docker's DNS answers with all of them, and compares names without case (libnetwork, `addNameToIP`). It serves no
    name on the default bridge. Containers of no project are each a project of their own.
    """
    attached = {row["name"]: row for row in records(containers) if is_attached(row["state"])}
    named: dict[tuple[str, str], set[str]] = {}
    for row in records(container_networks):
        if row["container"] in attached and row["network"] not in ("bridge", "host", "none"):
            for alias in row["aliases"] or ():
                named.setdefault((row["network"], alias.lower()), set()).add(row["container"])
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (network, alias), holders in named.items():
        if len({attached[one]["compose_project"] or f"\0{one}" for one in holders}) > 1:
            groups.setdefault((network, tuple(sorted(holders))), []).append(alias)
    for (network, found), aliases in groups.items():
        yield {
            "network": network,
            "containers": list(found),
            "aliases": sorted(aliases),
            "subjects": (("network", network), *(("container", one) for one in found)),
            "wording": {
                "names": f"le nom {listing(map(quoted, sorted(aliases)))}"
                if len(aliases) == 1
                else f"chacun des noms {listing(map(quoted, sorted(aliases)))}",
                "holders": listing(
                    f"{quoted(one)} ({attached[one]['compose_project'] or 'sans projet'})" for one in found
                ),
                "first": found[0],
                "second": found[1],
            },
        }
