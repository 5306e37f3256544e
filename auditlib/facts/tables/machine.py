"""What the machine itself says."""

from auditlib.facts.table import Table, flag, instant, integer, size, text

HOST = Table(
    "host",
    "Machine",
    "La machine auditée, une ligne.",
    ("name",),
    (
        text("name", "Machine"),
        text("os", "Système"),
        text("kernel", "Noyau"),
        text("architecture", "Architecture"),
        integer("cpus", "Processeurs"),
        size("memory", "Mémoire"),
        size("memory_available", "Mémoire disponible", "Ce que le noyau peut donner sans swap, caches rendus compris."),
        size("swap", "Swap"),
        size("swap_free", "Swap libre"),
        integer("ephemeral_first", "Premier port éphémère", "Les ports que le noyau donne aux clients."),
        integer("ephemeral_last", "Dernier port éphémère"),
        instant("booted", "Démarrée"),
        flag("root", "Audit en root", "Faux : les processus des autres utilisateurs sont restés inconnus."),
    ),
    source="host",
)

LISTENERS = Table(
    "listeners",
    "Écoutes de la machine",
    "Les sockets TCP à l’écoute et les sockets UDP non connectés, tels que le noyau les montre.",
    ("protocol", "family", "address", "port", "pid"),
    (
        text("protocol", "Protocole"),
        text("family", "Famille", "ipv4 ou ipv6."),
        text("address", "Adresse"),
        integer("port", "Port"),
        integer("pid", "PID"),
        text("process", "Processus"),
        text("user", "Utilisateur"),
        text("unit", "Unité systemd"),
        text("container", "Conteneur", "Le conteneur qui écoute, ou celui que sert docker-proxy."),
    ),
    source="listeners",
)

TABLES = (HOST, LISTENERS)
