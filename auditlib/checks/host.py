"""HOST: the accounts, disks, memory, units and firewall of the machine."""

from collections.abc import Iterator

import pandas as pd

from auditlib.checks.cis import machine_name
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable
from auditlib.findings.check import Fix, NotApplicable, check
from auditlib.french import listing, number, quoted, size
from auditlib.views.ports import EVERYWHERE, exposure


@check(
    "HOST-001",
    "info",
    "Seul root commande Docker",
    key=("host",),
    message="Sur « {host} », des comptes du groupe de Docker ont par lui tous les droits de root : {users}.",
    fix=Fix(
        "Retirer du groupe les comptes qui n’ont pas à administrer la machine ; pour les autres, accepter ce constat.",
        ("sudo gpasswd --delete {first} {group}",),
        ("getent group {group}",),
    ),
)
def commanding(docker_group: pd.DataFrame, host: pd.DataFrame) -> Iterator[Record]:
    """Members of the group that holds Docker's socket, root aside."""
    rows = records(docker_group)
    if rows:
        first = rows[0]
        yield {
            "host": machine_name(host),
            "users": sorted({row["user"] for row in rows}),
            "wording": {"first": first["user"], "group": first["group"]},
        }


# A disk is nearly full from this share on, if less than this is left: a tenth of a large disk is a lot of room.
_FULL, _ROOM = 0.90, 50 * 1024**3
_INODES_LEFT = 0.05


@check(
    "HOST-002",
    "high",
    "Les disques de Docker et des bases de données ont de la place",
    key=("host", "source"),
    message="Sur « {host} », le disque « {disk} » ({holds}) est presque plein : {measure}.",
    fix=Fix(
        "Libérer de la place sur « {disk} » (images inutiles, journaux sans limite, sauvegardes) ou l’agrandir.",
        ("docker system df", "sudo du -xh --max-depth=2 {disk}"),
        ("df -h {disk}", "df -i {disk}"),
    ),
)
def room(disks: pd.DataFrame, host: pd.DataFrame) -> Iterator[Record]:
    """File systems that hold Docker's data or a database's, with little room or few inodes left.

    The share is that of `df`: what root alone may use counts as used.
    """
    for row in records(disks):
        holds = [what for what in row["holds"] or () if what != "racine"]
        used, free = row["used"], row["free"]
        full = None not in (used, free) and used + free > 0 and used / (used + free) >= _FULL and free < _ROOM
        few = row["inodes"] and row["inodes_free"] is not None and row["inodes_free"] < _INODES_LEFT * row["inodes"]
        if not holds or not (full or few):
            continue
        share = number(100 * used / (used + free)) if full else ""
        yield {
            "subjects": (("host", machine_name(host)), ("source", row["mountpoint"])),
            "host": machine_name(host),
            "disk": row["mountpoint"],
            "holds": holds,
            "used": used,
            "free": free,
            "inodes_free": row["inodes_free"],
            "wording": {
                "measure": f"{share} % utilisés, {size(free)} libres"
                if full
                else f"{number(100 - 100 * row['inodes_free'] / row['inodes'])} % des inodes sont pris"
            },
        }


_MEMORY_LEFT = 0.10


@check(
    "HOST-003",
    "medium",
    "La machine a de la mémoire disponible",
    key=("host",),
    message="La machine « {host} » n’a plus que {left} de mémoire disponible sur {total}{swap}.",
    fix=Fix(
        "Trouver ce qui consomme la mémoire, limiter les conteneurs qui ne le sont pas, ou ajouter de la mémoire.",
        ("docker stats --no-stream", "ps -eo pid,rss,comm --sort=-rss"),
        ("free -h",),
    ),
)
def memory(host: pd.DataFrame) -> Iterator[Record]:
    """Less than a tenth of the memory can still be given: the kernel will soon have to kill."""
    for row in records(host):
        total, left, swap = row["memory"], row["memory_available"], row["swap"]
        if total and left is not None and left < _MEMORY_LEFT * total:
            swapped = (
                f", et {size(row['swap_free'])} de swap libre sur {size(swap)}" if swap and row["swap_free"] else ""
            )
            swapped = swapped or (", et plus de swap" if swap and row["swap_free"] == 0 else "")
            yield {
                "host": row["name"],
                "memory": total,
                "memory_available": left,
                "swap_free": row["swap_free"],
                "wording": {"left": size(left), "total": size(total), "swap": swapped},
            }


# What every container needs.
_ENGINE_UNITS = ("docker.service", "docker.socket", "containerd.service")
_STARTED = ("enabled", "enabled-runtime", "generated", "static", "alias", "linked")


@check(
    "HOST-004",
    "high",
    "Aucune unité dont un service dépend n’est en échec",
    key=("unit",),
    message="L’unité « {unit} », lancée au démarrage, est en échec{result} ; en dépend : {dependents}.",
    fix=Fix(
        "Lire le journal de « {unit} », corriger la cause de son échec, puis la relancer.",
        ("journalctl -u {unit} -n 100 --no-pager", "sudo systemctl restart {unit}"),
        ("systemctl status --no-pager {unit}",),
    ),
)
def units_needed(
    units: pd.DataFrame, routes: pd.DataFrame | None = None, listeners: pd.DataFrame | None = None
) -> Iterator[Record]:
    """Failed units of which something depends: the engine's own; and behind a route to a port of the machine.

    A unit that failed listens no more: it is taken for a route's when that route leads to a port where nothing listens
    and a name in it has the unit's, or when it is a socket unit of that port. The first is probable only.
    """
    failed = [row for row in records(units) if row["active"] == "failed" and row["enabled"] in _STARTED]
    silent = _silent(routes, listeners)
    unsure = False
    for row in failed:
        ports = {int(port) for one in row["listens"] or () if (port := one.rpartition(":")[2]).isdecimal()}
        certain = [route for route in silent if route["port"] in ports]
        probable = [route for route in silent if _namesake(row["unit"], route)]
        routed = [] if row["unit"] in _ENGINE_UNITS else certain or probable
        dependents = [_described(route) for route in routed]
        if row["unit"] in _ENGINE_UNITS:
            dependents = ["tous les conteneurs et leurs ports publiés"]
        unsure |= not dependents and (routes is None or listeners is None)
        if dependents:
            yield {
                "unit": row["unit"],
                "confidence": "certain" if certain or row["unit"] in _ENGINE_UNITS else "probable",
                "result": row["result"],
                "exit_status": row["exit_status"],
                "dependents": sorted(dict.fromkeys(dependents)),
                "services": sorted({route["service"] for route in routed if route["service"]}),
                "wording": {"result": f" ({row['result']})" if row["result"] else ""},
            }
    if unsure:
        raise AbsentTable("routes", "des unités sont en échec, et on ne sait pas si un routeur dépend d’elles")


def _silent(routes: pd.DataFrame | None, listeners: pd.DataFrame | None) -> list[Record]:
    """The routes to a port of the machine where nothing listens."""
    if routes is None or listeners is None:
        return []
    heard = {row["port"] for row in records(listeners) if row["protocol"] == "tcp"}
    return [row for row in records(routes) if row["kind"] == "machine" and row["port"] and row["port"] not in heard]


def _namesake(unit: str, route: Record) -> bool:
    """Whether a route's service or router is named after a unit."""
    name = unit.rpartition(".")[0].partition("@")[0].lower()
    return any(name == str(route[kind] or "").partition("@")[0].lower() for kind in ("service", "router"))


def _described(route: Record) -> str:
    where = f"{route['domain'] or ''}{route['path'] or ''}"
    return f"le routeur {quoted(route['router'])}" + (f" ({where})" if where else "")


@check(
    "HOST-005",
    "info",
    "Le pare-feu voit tout ce qui entre",
    key=("host",),
    message="Le pare-feu de « {host} » ({firewalls}) est actif, mais Docker ouvre ses ports publiés sans passer par "
    "lui : {ports}.",
    fix=Fix(
        "Publier sur « 127.0.0.1 » ce qui n’a pas à être joint de l’extérieur, ou filtrer dans la chaîne "
        "« DOCKER-USER », la seule que Docker consulte avant ses propres règles.",
        (),
        ("sudo iptables -S DOCKER-USER", "docker ps --format '{{{{.Names}}}} {{{{.Ports}}}}'"),
    ),
)
def bypassed(
    firewalls: pd.DataFrame,
    publications: pd.DataFrame,
    host: pd.DataFrame,
    docker_engine: pd.DataFrame,
    docker_daemon: pd.DataFrame | None = None,
) -> Iterator[Record]:
    """An active firewall beside ports published on every interface.

    Docker redirects them before the chain that such a firewall rules. It does not when it may not touch iptables, nor
    in a rootless engine, whose ports are those of an ordinary process.
    """
    active = sorted(row["name"] for row in records(firewalls) if row["active"])
    if not active:
        raise NotApplicable("aucun pare-feu actif n’a été vu sur cette machine")
    hands_off = docker_daemon is not None and any(row["iptables"] is False for row in records(docker_daemon))
    options = {one for row in records(docker_engine) for one in row["security_options"] or ()}
    if hands_off or "name=rootless" in options or not any(row["local"] for row in records(docker_engine)):
        raise NotApplicable("les ports que ce moteur publie passent par le pare-feu, ou sont ceux d’une autre machine")
    wide = {
        (row["host_port"], row["protocol"], row["container"])
        for row in records(publications)
        if row["live"] and row["host_port"] and exposure([row["host_ip"]]) == EVERYWHERE
    }
    if wide:
        yield {
            "host": machine_name(host),
            "firewalls": active,
            "ports": [f"{port}/{protocol} ({container})" for port, protocol, container in sorted(wide)],
        }


# Less than this is not worth a line.
_WORTH = 1024**3


@check(
    "HOST-006",
    "info",
    "Docker n’occupe pas de place inutile",
    key=("host",),
    message="Sur « {host} », Docker peut rendre {total} : {parts}.",
    fix=Fix(
        "Relire ce qui ne sert plus, puis nettoyer. Les volumes inutilisés portent peut-être des données : ne les "
        "supprimer qu’un par un.",
        ("docker builder prune", "docker image prune --all"),
        ("docker system df",),
    ),
)
def reclaimable(docker_usage: pd.DataFrame, docker_engine: pd.DataFrame) -> Iterator[Record]:
    """What a clean-up would free, as the engine counts it."""
    kinds = {
        "images": "images",
        "containers": "conteneurs",
        "volumes": "volumes",
        "build_cache": "cache de construction",
    }
    rows = [row for row in records(docker_usage) if row["reclaimable"]]
    total = sum(row["reclaimable"] for row in rows)
    if total >= _WORTH:
        for engine in records(docker_engine):
            yield {
                "host": engine["name"],
                "reclaimable": total,
                "wording": {
                    "total": size(total),
                    "parts": listing(
                        f"{kinds.get(row['kind'], row['kind'])} {size(row['reclaimable'])}" for row in rows
                    ),
                },
            }
