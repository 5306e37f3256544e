"""CIS: the swarm that the engine is a node of (CIS Docker Benchmark 1.6, section 7; informational, on demand).

Left out, since the engine's API tells nothing of them: 7.4 (whether the swarm manages the secrets), 7.6 and 7.8 (when
the unlock key and the authority were last changed), 7.9 (whether management and data travel apart).
"""

from collections.abc import Iterator

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.french import plural
from auditlib.views.ports import EVERYWHERE, exposure

# What Docker's documentation advises at most, and its default.
_MANAGERS = 7
_DAYS = 90


def _node(docker_swarm: pd.DataFrame) -> Record:
    """The node that the engine is. Raises NotApplicable outside a swarm."""
    for row in records(docker_swarm):
        return row
    raise NotApplicable("le moteur Docker n’est dans aucun essaim")


def _manager(docker_swarm: pd.DataFrame) -> Record:
    """The node, when it manages the swarm: no other is told its settings."""
    node = _node(docker_swarm)
    if not node["manager"]:
        raise NotApplicable("ce nœud de l’essaim n’en est pas un gestionnaire")
    return node


@check(
    "CIS-7.1",
    "info",
    "L’essaim n’a pas plus de gestionnaires qu’il n’en faut",
    key=("host",),
    message="L’essaim de « {host} » a {count} : {why}.",
    fix=Fix(
        "Promouvoir ou rétrograder un nœud (« docker node promote », « docker node demote ») pour garder un nombre "
        "impair, le plus petit qui tolère les pannes voulues : 1, 3, 5 ou 7.",
        (),
        ("docker node ls",),
    ),
    extra=True,
)
def managers(docker_swarm: pd.DataFrame) -> Iterator[Record]:
    """An even number, which bears no more failures than the odd one below it, or more than seven."""
    node = _manager(docker_swarm)
    count = node["managers"]
    if count is not None and (count % 2 == 0 or count > _MANAGERS):
        why = "au-delà de sept, ils ne font que le ralentir" if count > _MANAGERS else "un de moins suffirait"
        yield {
            "host": node["name"],
            "managers": count,
            "wording": {"count": plural(count, "gestionnaire"), "why": why},
        }


@check(
    "CIS-7.2",
    "info",
    "La gestion de l’essaim n’écoute que sur une adresse choisie",
    key=("host",),
    message="La gestion de l’essaim de « {host} » écoute sur toutes les interfaces, au port {port}.",
    fix=Fix(
        "Fermer ce port aux autres réseaux dans le pare-feu ; l’adresse d’écoute ne se choisit qu’en créant l’essaim "
        "ou en le rejoignant (« --listen-addr »).",
        (),
        ("ss -ltn 'sport = :{port}'",),
    ),
    extra=True,
)
def management(docker_swarm: pd.DataFrame, listeners: pd.DataFrame) -> Iterator[Record]:
    """What listens on the manager's port of this machine, as the kernel shows it."""
    node = _manager(docker_swarm)
    found = [row["address"] for row in records(listeners) if (row["protocol"], row["port"]) == ("tcp", node["port"])]
    if not found:
        raise AbsentTable("listeners", "l’écoute de la gestion de l’essaim n’a pas été vue")
    if exposure(found) == EVERYWHERE:
        yield {"host": node["name"], "port": node["port"], "addresses": found}


@check(
    "CIS-7.3",
    "info",
    "Les réseaux de l’essaim sont chiffrés",
    key=("network",),
    message="Le réseau « {network} » de l’essaim n’est pas chiffré : d’un nœud à l’autre, tout y passe en clair.",
    fix=Fix(
        "Recréer ce réseau avec l’option « encrypted » (« driver_opts » d’un fichier compose, « --opt encrypted » de "
        "« docker network create »), si l’essaim a plusieurs nœuds dont le lien n’est pas sûr.",
        (),
        ("docker network inspect --format '{{{{json .Options}}}}' {network}",),
    ),
    extra=True,
)
def encryption(docker_swarm: pd.DataFrame, networks: pd.DataFrame) -> Iterator[Record]:
    """Overlay networks without the option, the one that publishes ports included."""
    _node(docker_swarm)
    return ({"network": row["name"], "encrypted": False} for row in records(networks) if row["encrypted"] is False)


@check(
    "CIS-7.5",
    "info",
    "Les gestionnaires de l’essaim se verrouillent",
    key=("host",),
    message="Les gestionnaires de l’essaim de « {host} » repartent sans clé : qui a leur disque a ses secrets.",
    fix=Fix(
        "Activer le verrouillage, et garder hors de la machine la clé que la commande affiche : elle sera demandée à "
        "chaque redémarrage de Docker.",
        ("docker swarm update --autolock=true",),
        ("docker info --format '{{{{.Swarm.Cluster.Spec.EncryptionConfig.AutoLockManagers}}}}'",),
    ),
    extra=True,
)
def autolock(docker_swarm: pd.DataFrame) -> Iterator[Record]:
    """Off by default."""
    node = _manager(docker_swarm)
    if node["autolock"] is False:
        yield {"host": node["name"], "autolock": False}


@check(
    "CIS-7.7",
    "info",
    "Les certificats des nœuds de l’essaim sont renouvelés au moins tous les 90 jours",
    key=("host",),
    message="Les certificats des nœuds de l’essaim de « {host} » valent {days} jours, au lieu de 90 au plus.",
    fix=Fix(
        "Revenir à la durée par défaut, ou à une plus courte.",
        ("docker swarm update --cert-expiry 2160h",),
        ("docker info --format '{{{{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}}}'",),
    ),
    extra=True,
)
def node_certificates(docker_swarm: pd.DataFrame) -> Iterator[Record]:
    """Longer than Docker's default."""
    node = _manager(docker_swarm)
    if (node["certificate_days"] or 0) > _DAYS:
        yield {"host": node["name"], "days": node["certificate_days"]}
