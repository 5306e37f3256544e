"""CIS: how the Docker daemon is set, and who may talk to it (CIS Docker Benchmark 1.6, sections 2 and 3)."""

from collections.abc import Iterator

import pandas as pd

from auditlib.addresses import host_and_port, is_loopback
from auditlib.checks.cis import on_daemon
from auditlib.facts.legacy import Record, records
from auditlib.findings.check import Fix, NotApplicable, check


@on_daemon(
    "CIS-2.7",
    "critical",
    "Le démon Docker n’écoute aucune adresse sans exiger de certificat",
    fault="obéit sans certificat à quiconque joint {addresses} : c’est un accès root à la machine",
    remedy="retirer cette adresse de « hosts », ou exiger des certificats (« tlsverify », « tlscacert », « tlscert » "
    "et « tlskey »)",
    shows="ss -ltnp",
    extra=False,
)
def open_tcp(daemon: Record) -> Record | None:
    """TCP addresses without `tlsverify`: TLS alone encrypts, and asks the client for nothing.

    On loopback only, it takes a process of this machine: high. `fd://` leaves the address to systemd.
    """
    addresses = [host for host in daemon["hosts"] or () if host.startswith("tcp://")]
    if not addresses or daemon["tlsverify"]:
        return None
    near = all(is_loopback(host_and_port(host)[0]) for host in addresses)
    return {"addresses": addresses, "tls": daemon["tls"], **({"severity": "high"} if near else {})}


@on_daemon(
    "CIS-2.2",
    "info",
    "Les conteneurs du réseau par défaut ne se voient pas",
    fault="laisse communiquer tous les conteneurs du réseau par défaut",
    remedy="régler « icc » à « false »",
    shows="docker network inspect bridge",
)
def inter_container(daemon: Record) -> Record | None:
    """On by default."""
    return None if daemon["icc"] is False else {"icc": daemon["icc"]}


@on_daemon(
    "CIS-2.3",
    "info",
    "Le niveau de journal du démon Docker est « info »",
    fault="tient son journal au niveau « {log_level} »",
    remedy="régler « log-level » à « info »",
)
def log_level(daemon: Record) -> Record | None:
    """`info` by default."""
    return {"log_level": daemon["log_level"]} if daemon["log_level"] not in (None, "info") else None


@on_daemon(
    "CIS-2.4",
    "info",
    "Le démon Docker peut régler iptables",
    fault="ne règle pas iptables : ni l’isolation des réseaux ni les ports publiés ne sont garantis",
    remedy="retirer « iptables » réglé à « false »",
    shows="sudo iptables -S DOCKER",
)
def iptables(daemon: Record) -> Record | None:
    """On by default."""
    return {"iptables": False} if daemon["iptables"] is False else None


@on_daemon(
    "CIS-2.5",
    "info",
    "Le démon Docker n’a aucun registre sans TLS",
    fault="accepte des registres sans TLS vérifié : {registries}",
    remedy="retirer ces registres de « insecure-registries »",
    shows="docker info --format '{{json .RegistryConfig.InsecureRegistryCIDRs}}'",
)
def insecure_registries(daemon: Record) -> Record | None:
    """None by default, loopback aside."""
    return {"registries": daemon["insecure_registries"]} if daemon["insecure_registries"] else None


@on_daemon(
    "CIS-2.6",
    "info",
    "Le pilote de stockage n’est pas aufs",
    fault="utilise le pilote de stockage « aufs », abandonné",
    remedy="régler « storage-driver » à « overlay2 », après avoir sauvegardé ce que les conteneurs portent",
    shows="docker info --format '{{.Driver}}'",
)
def aufs(daemon: Record, docker_engine: list[Record]) -> Record | None:
    """What the engine says it uses."""
    return {"storage_driver": "aufs"} if any(row["storage_driver"] == "aufs" for row in docker_engine) else None


@on_daemon(
    "CIS-2.8",
    "info",
    "Des limites de ressources par défaut sont réglées",
    fault="ne donne aucune limite de ressources (ulimit) par défaut à ses conteneurs",
    remedy="régler « default-ulimits », par exemple pour « nofile »",
)
def default_ulimits(daemon: Record) -> Record | None:
    """None by default."""
    return None if daemon["default_ulimits"] else {}


@on_daemon(
    "CIS-2.9",
    "info",
    "Le root des conteneurs n’est pas celui de la machine",
    fault="n’isole pas le root des conteneurs de celui de la machine",
    remedy="régler « userns-remap » à « default », en sachant que les volumes existants changent de propriétaire",
    shows="docker info --format '{{.SecurityOptions}}'",
)
def user_namespace(daemon: Record, docker_engine: list[Record]) -> Record | None:
    """Neither user namespaces nor a rootless engine."""
    options = {one.partition(",")[0] for row in docker_engine for one in row["security_options"] or ()}
    return None if daemon["userns_remap"] or options & {"name=userns", "name=rootless"} else {}


@on_daemon(
    "CIS-2.10",
    "info",
    "Le cgroup du démon Docker est celui par défaut",
    fault="met ses conteneurs dans un cgroup particulier, « {cgroup_parent} »",
    remedy="retirer « cgroup-parent » si ses limites ne sont pas voulues",
)
def cgroup_parent(daemon: Record) -> Record | None:
    """None by default."""
    return {"cgroup_parent": daemon["cgroup_parent"]} if daemon["cgroup_parent"] else None


@on_daemon(
    "CIS-2.11",
    "info",
    "La taille de base des conteneurs est celle par défaut",
    fault="donne à chaque conteneur une racine d’une autre taille que celle par défaut (« {base_size} »)",
    remedy="retirer « dm.basesize » de « storage-opts » si aucune image ne demande tant de place",
)
def base_size(daemon: Record) -> Record | None:
    """The device mapper's 10 GiB, as long as nothing needs another size. Of an option given twice, the last counts."""
    options = [one.partition("=") for one in daemon["storage_opts"] or ()]
    told = [value.strip() for key, _, value in options if key.strip().lower() == "dm.basesize"]
    return {"base_size": told[-1]} if told else None


@on_daemon(
    "CIS-2.12",
    "info",
    "Les commandes du client Docker sont soumises à autorisation",
    fault="n’a pas de greffon d’autorisation : qui peut lui parler peut tout lui demander",
    remedy="installer un greffon d’autorisation et le nommer dans « authorization-plugins », si plusieurs comptes s’en "
    "servent",
    shows="docker info --format '{{.Plugins.Authorization}}'",
)
def authorization(daemon: Record) -> Record | None:
    """None by default."""
    return None if daemon["authorization_plugins"] else {}


@on_daemon(
    "CIS-2.13",
    "info",
    "Les journaux des conteneurs sont centralisés",
    fault="garde les journaux des conteneurs sur la machine (pilote « {driver} »)",
    remedy="régler « log-driver » vers un collecteur (« journald », « syslog », « gelf », « fluentd »…)",
    shows="docker info --format '{{.LoggingDriver}}'",
)
def local_logs(daemon: Record) -> Record | None:
    """json-file by default."""
    driver = daemon["log_driver"] or "json-file"
    return {"driver": driver} if driver in ("json-file", "local") else None


@on_daemon(
    "CIS-2.14",
    "info",
    "Les conteneurs ne peuvent pas acquérir de privilèges par défaut",
    fault="laisse par défaut ses conteneurs acquérir de nouveaux privilèges",
    remedy="régler « no-new-privileges » à « true »",
)
def no_new_privileges(daemon: Record) -> Record | None:
    """Off by default."""
    return None if daemon["no_new_privileges"] else {}


@on_daemon(
    "CIS-2.15",
    "info",
    "Les conteneurs survivent à un redémarrage du démon Docker",
    fault="arrête ses conteneurs quand il redémarre",
    remedy="régler « live-restore » à « true »",
    shows="docker info --format '{{.LiveRestoreEnabled}}'",
)
def live_restore(daemon: Record, docker_engine: list[Record]) -> Record | None:
    """Off by default; a swarm forbids it."""
    if any(row["swarm"] == "active" for row in docker_engine):
        raise NotApplicable("un essaim Docker interdit « live-restore »")
    return None if daemon["live_restore"] or any(row["live_restore"] for row in docker_engine) else {}


@on_daemon(
    "CIS-2.16",
    "info",
    "Les ports publiés ne passent pas par un proxy en espace utilisateur",
    fault="lance un processus « docker-proxy » par port publié",
    remedy="régler « userland-proxy » à « false »",
    shows="pgrep -c docker-proxy",
)
def userland_proxy(daemon: Record) -> Record | None:
    """On by default."""
    return None if daemon["userland_proxy"] is False else {}


@on_daemon(
    "CIS-2.17",
    "info",
    "Le filtre seccomp du démon Docker est actif",
    fault="ne filtre les appels au noyau d’aucun conteneur : son profil seccomp est « unconfined »",
    remedy="retirer « seccomp-profile », ou nommer un profil",
    shows="docker info --format '{{.SecurityOptions}}'",
)
def seccomp_profile(daemon: Record, docker_engine: list[Record]) -> Record | None:
    """The default profile, or one of this machine's own, will do."""
    off = any("name=seccomp,profile=unconfined" in (row["security_options"] or ()) for row in docker_engine)
    return {"seccomp_profile": "unconfined"} if off or daemon["seccomp_profile"] == "unconfined" else None


@on_daemon(
    "CIS-2.18",
    "info",
    "Le démon Docker n’a pas de fonctions expérimentales",
    fault="a ses fonctions expérimentales activées",
    remedy="retirer « experimental »",
    shows="docker version --format '{{.Server.Experimental}}'",
)
def experimental(daemon: Record) -> Record | None:
    """Off by default."""
    return {"experimental": True} if daemon["experimental"] else None


# Section 3: the socket

_ALLOWED_MODE = 0o660


@check(
    "CIS-3.15",
    "high",
    "Le socket de Docker appartient à root et à son groupe",
    key=("listener",),
    message="Le socket « {listener} » appartient à « {owner}:{group} » au lieu de « root:{wanted} » : qui le possède "
    "peut tout demander au démon.",
    fix=Fix(
        "Rendre le socket à « root:{wanted} », puis retirer de la configuration du démon ou de « docker.socket » ce "
        "qui lui donne un autre propriétaire.",
        ("sudo chown root:{wanted} {listener}",),
        ("stat -c %U:%G {listener}",),
    ),
)
def socket_owner(
    docker_sockets: pd.DataFrame, docker_daemon: pd.DataFrame | None = None, docker_group: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Sockets of other owners than root and Docker's group: `docker`, the one that the daemon is told, or root.

    A rootless engine's socket belongs to its user. A number in place of a group's name, where the accounts could not be
    read, tells nothing.
    """
    told = [] if docker_daemon is None else [row["group"] for row in records(docker_daemon) if row["group"]]
    for row in _system_sockets(docker_sockets):
        owner, group = row["owner"], row["group"]
        unknown = docker_group is None and str(group).isdecimal() and group != "0"
        right = group in ("docker", "root", "0", *told) or unknown
        if owner not in ("root", "0") or not right:
            yield {
                "listener": row["path"],
                "owner": owner,
                "group": group,
                "wording": {"wanted": next(iter(told), "docker")},
            }


@check(
    "CIS-3.16",
    "high",
    "Le socket de Docker n’est ouvert qu’à root et à son groupe",
    key=("listener",),
    message="Le socket « {listener} » a les droits {mode} au lieu de 660 au plus : {effect}.",
    fix=Fix(
        "Ramener les droits du socket à 660, puis retirer de « docker.socket » (« SocketMode ») ou du démarrage ce qui "
        "les élargit.",
        ("sudo chmod 660 {listener}",),
        ("stat -c %a {listener}",),
    ),
)
def socket_mode(docker_sockets: pd.DataFrame) -> Iterator[Record]:
    """Modes with a bit beyond 660, compared bit by bit: 606, a smaller number than 660, opens the socket to all."""
    for row in _system_sockets(docker_sockets):
        bits = int(row["mode"], 8)
        if beyond := bits & ~_ALLOWED_MODE:
            effect = "tout compte de la machine peut commander Docker" if bits & 0o002 else "des droits y sont de trop"
            yield {
                "listener": row["path"],
                "mode": row["mode"],
                "beyond": f"{beyond:o}",
                "wording": {"effect": effect},
            }


def _system_sockets(docker_sockets: pd.DataFrame) -> list[Record]:
    """Docker's sockets, without those of rootless engines, which are their user's."""
    rows = records(docker_sockets)
    return [row for row in rows if row["daemon"] == "docker" and not row["path"].startswith("/run/user/")]
