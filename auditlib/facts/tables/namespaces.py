"""What the kernel says of the containers' sockets."""

from auditlib.facts.table import Table, integer, text

KINDS = {
    "container": "conteneur",
    "unit": "unité systemd",
    "process": "processus",
    "host": "machine",
    "outside": "extérieur",
}

CONTAINER_LISTENERS = Table(
    "container_listeners",
    "Écoutes dans les conteneurs",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés de chaque conteneur qui a son propre réseau, tels que "
    "le noyau les montre. Les conteneurs du réseau de la machine sont dans ses écoutes ; le DNS de Docker est omis.",
    ("network_of", "protocol", "family", "address", "port", "pid", "uid"),
    (
        text(
            "container", "Conteneur", "Celui qui écoute ; inconnu si plusieurs partagent ce réseau sans qu’on le sache."
        ),
        text("network_of", "Réseau de", "Le conteneur, ou les conteneurs, dont c’est l’espace réseau."),
        text("protocol", "Protocole"),
        text("family", "Famille", "ipv4 ou ipv6."),
        text("address", "Adresse"),
        integer("port", "Port"),
        integer("pid", "PID", "Sur la machine."),
        text("process", "Processus"),
        integer("uid", "UID", "Celui du socket, sur la machine."),
    ),
    source="namespaces",
)

CONNECTIONS = Table(
    "connections",
    "Dépendances observées",
    "Les connexions établies au moment de la collecte, vues du client : d’un conteneur ou d’un processus de la machine "
    "vers un conteneur, la machine ou l’extérieur. Ce qu’un processus se dit à lui-même et l’audit sont omis.",
    ("source_kind", "source", "process", "protocol", "address", "port", "target_kind", "target"),
    (
        text("source", "De"),
        text("source_kind", "Nature du client", words=KINDS),
        text("process", "Processus", "Le processus du client."),
        text("target", "Vers", "Inconnu : l’adresse ne dit pas qui répond. À l’extérieur : l’adresse."),
        text("target_kind", "Nature du serveur", words=KINDS),
        text("database", "Base de données", "La sorte de base qui répond sur ce port, si c’en est une."),
        text("protocol", "Protocole"),
        text("address", "Adresse", "Celle que le client appelle."),
        integer("port", "Port", "Celui que le client appelle."),
        integer("sockets", "Connexions"),
    ),
    source="namespaces",
)

TABLES = (CONTAINER_LISTENERS, CONNECTIONS)
