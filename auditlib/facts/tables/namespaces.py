"""What the kernel says of the containers' sockets."""

from auditlib.facts.table import Row, integer, table, text

KINDS = {
    "container": "conteneur",
    "unit": "unité systemd",
    "process": "processus",
    "host": "machine",
    "outside": "extérieur",
}


@table(
    "container_listeners",
    "Écoutes dans les conteneurs",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés de chaque conteneur qui a son propre réseau, tels que "
    "le noyau les montre. Les conteneurs du réseau de la machine sont dans ses écoutes ; le DNS de Docker est omis.",
    key=("network_of", "protocol", "family", "address", "port", "pid", "uid"),
    source="namespaces",
)
class ContainerListener(Row):
    container: str | None = text(
        "Conteneur", "Celui qui écoute ; inconnu si plusieurs partagent ce réseau sans qu’on le sache."
    )
    network_of: str = text("Réseau de", "Le conteneur, ou les conteneurs, dont c’est l’espace réseau.")
    protocol: str = text("Protocole")
    family: str | None = text("Famille", "ipv4 ou ipv6.")
    address: str = text("Adresse")
    port: int = integer("Port")
    pid: int | None = integer("PID", "Sur la machine.")
    process: str | None = text("Processus")
    uid: int | None = integer("UID", "Celui du socket, sur la machine.")


@table(
    "connections",
    "Dépendances observées",
    "Les connexions établies au moment de la collecte, vues du client : d’un conteneur ou d’un processus de la machine "
    "vers un conteneur, la machine ou l’extérieur. Ce qu’un processus se dit à lui-même et l’audit sont omis.",
    key=("source_kind", "source", "process", "protocol", "address", "port", "target_kind", "target"),
    source="namespaces",
)
class Connection(Row):
    source: str | None = text("De")
    source_kind: str = text("Nature du client", words=KINDS)
    process: str | None = text("Processus", "Le processus du client.")
    target: str | None = text("Vers", "Inconnu : l’adresse ne dit pas qui répond. À l’extérieur : l’adresse.")
    target_kind: str = text("Nature du serveur", words=KINDS)
    database: str | None = text("Base de données", "La sorte de base qui répond sur ce port, si c’en est une.")
    protocol: str = text("Protocole")
    address: str = text("Adresse", "Celle que le client appelle.")
    port: int = integer("Port", "Celui que le client appelle.")
    sockets: int | None = integer("Connexions")
