"""What the machine itself says."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, octets, table, text


@table("host", "Machine", "La machine auditée, une ligne.", key=("name",), source="host")
class Host(Row):
    name: str = text("Machine")
    os: str | None = text("Système")
    kernel: str | None = text("Noyau")
    architecture: str | None = text("Architecture")
    cpus: int | None = integer("Processeurs")
    memory: int | None = octets("Mémoire")
    memory_available: int | None = octets(
        "Mémoire disponible", "Ce que le noyau peut donner sans swap, caches rendus compris."
    )
    swap: int | None = octets("Swap")
    swap_free: int | None = octets("Swap libre")
    ephemeral_first: int | None = integer("Premier port éphémère", "Les ports que le noyau donne aux clients.")
    ephemeral_last: int | None = integer("Dernier port éphémère")
    booted: dt.datetime | None = instant("Démarrée")
    root: bool | None = flag("Audit en root", "Faux : les processus des autres utilisateurs sont restés inconnus.")


@table(
    "listeners",
    "Écoutes de la machine",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés, tels que le noyau les montre.",
    key=("protocol", "family", "address", "port", "pid"),
    source="listeners",
)
class Listener(Row):
    protocol: str = text("Protocole")
    family: str = text("Famille", "ipv4 ou ipv6.")
    address: str = text("Adresse")
    port: int = integer("Port")
    pid: int | None = integer("PID")
    process: str | None = text("Processus")
    user: str | None = text("Utilisateur")
    unit: str | None = text("Unité systemd")
    container: str | None = text("Conteneur", "Le conteneur qui écoute, ou celui que sert docker-proxy.")
