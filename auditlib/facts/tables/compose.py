"""What compose files on the disk say."""

from auditlib.facts.table import Table, flag, integer, prose, several, text

PROBLEMS = {
    "invalid": "refusé par Compose",
    "unreadable": "illisible",
    "variable": "variable sans valeur",
    "remote": "sur une autre machine",
}
EXCLUSIONS = {
    "media": "médias",
    "backup": "sauvegardes",
    "dump": "exports et archives",
    "dependencies": "dépendances et caches",
    "link": "liens symboliques",
}

_ROOT = text("root", "Racine", "Dossier de recherche ; « / » pour un fichier que seul un conteneur nomme.")
_FILES = text(
    "files", "Fichiers", "Le jeu de fichiers : chemins relatifs à la racine, le premier puis ceux qui le surchargent."
)
_WHERE = (
    text("file", "Fichier", "Relatif à la racine."),
    integer("line", "Ligne"),
)

PROJECTS = Table(
    "compose_projects",
    "Projets sur le disque",
    "Un jeu de fichiers compose, ou un dossier qui n’a qu’un Dockerfile.",
    ("root", "files"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet", "Le nom que Compose lui donne."),
        text("kind", "Nature", words={"compose": "compose", "dockerfile": "Dockerfile seul"}),
        text("folder", "Dossier", "Relatif à la racine."),
        text("file", "Fichier", "Le premier du jeu, relatif à la racine."),
        text("path", "Chemin", "Chemin complet du premier fichier."),
        flag("default", "Par défaut", "Vrai si Compose prend ces fichiers sans qu’on les nomme."),
        flag("named", "Nommé", "Vrai si l’étiquette d’un conteneur nomme ces fichiers."),
        flag("refused", "Refusé", "Vrai si Compose refuserait ces fichiers."),
        several("profiles", "Profils actifs"),
        several("services", "Services", "Ceux qui démarrent avec le projet."),
        several("inactive", "Hors profil", "Services dont le profil n’est pas actif."),
    ),
    source="compose",
)

FILES = Table(
    "compose_files",
    "Fichiers lus",
    "Tous les fichiers qu’un projet fait lire à Compose.",
    ("root", "files", "file"),
    (
        _ROOT,
        _FILES,
        text("file", "Fichier", "Relatif à la racine, ou chemin complet hors d’elle."),
        text("role", "Rôle", "compose, override, include, extends, dotenv, env_file ou label_file."),
        flag("read", "Lu"),
        flag("missing", "Absent", "Vrai si le fichier n’existe pas."),
    ),
    source="compose",
)

PROBLEMS_TABLE = Table(
    "compose_problems",
    "Défauts des fichiers compose",
    "Ce que Compose refuserait, et les variables sans valeur.",
    ("root", "files", "kind", "file", "line", "reason"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("kind", "Nature", words=PROBLEMS),
        *_WHERE,
        prose("reason", "Motif"),
        text("variable", "Variable"),
    ),
    source="compose",
)

SERVICES = Table(
    "compose_services",
    "Services des fichiers compose",
    "Un service tel que Compose le comprend : surcharges, extends, include et variables appliqués.",
    ("root", "files", "service"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("service", "Service"),
        flag("active", "Actif", "Faux si son profil n’est pas actif."),
        text("image", "Image"),
        integer("image_line", "Ligne de l’image"),
        flag("build", "Construit", "Vrai si l’image se construit sur place."),
        text("build_context", "Dossier de construction"),
        text("container_name", "Nom imposé", "Inconnu si Compose le choisit."),
        integer("container_name_line", "Ligne du nom"),
        text("container_name_file", "Fichier du nom"),
        integer("replicas", "Exemplaires"),
        several("ports", "Ports", "Sous la forme courte de Compose."),
        integer("ports_line", "Ligne des ports"),
        several("expose", "Ports internes"),
        several("networks", "Réseaux", "Leurs noms réels."),
        integer("networks_line", "Ligne des réseaux"),
        text("network_mode", "Mode réseau"),
        several("mounts", "Montages", "type source:destination[:ro] ; un volume porte son nom réel."),
        integer("mounts_line", "Ligne des montages"),
        flag("more_mounts", "Autres montages", "Vrai s’il monte aussi secrets, configurations ou volumes d’un autre."),
        several("environment", "Variables", "Les noms de celles qui ont une valeur."),
        several("profiles", "Profils"),
        several("depends_on", "Dépend de"),
        text("restart", "Redémarrage"),
        flag("healthcheck", "Contrôle de santé"),
        text(
            "config_hash", "Empreinte", "Celle que Compose écrirait dans l’étiquette config-hash ; inconnue sans lui."
        ),
        *_WHERE,
    ),
    source="compose",
)

PORTS = Table(
    "compose_ports",
    "Ports des fichiers compose",
    "Ce que chaque service demande de publier.",
    ("root", "files", "service", "protocol", "host_ip", "host_port", "host_port_last", "container_port"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("service", "Service"),
        text("protocol", "Protocole"),
        text("host_ip", "Adresse", "0.0.0.0 et :: quand le fichier n’en donne pas."),
        integer("host_port", "Port", "Inconnu : choisi par le moteur au démarrage."),
        integer("host_port_last", "Dernier port", "Fin de la plage ; inconnue pour un seul port."),
        integer("container_port", "Port interne"),
        integer("container_port_last", "Dernier port interne", "Inconnu pour un seul port."),
        flag("chosen", "Choisi", "Vrai si le moteur choisit, parmi tous les ports ou dans la plage."),
        *_WHERE,
    ),
    source="compose",
)

RESOURCES = Table(
    "compose_resources",
    "Réseaux et volumes des fichiers compose",
    "Les réseaux et les volumes que les projets déclarent.",
    ("root", "files", "kind", "key"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("kind", "Nature", words={"network": "réseau", "volume": "volume"}),
        text("key", "Clé", "Le nom dans le fichier."),
        text("name", "Nom réel"),
        flag("external", "Externe", "Vrai si le projet ne le crée pas."),
        flag("used", "Utilisé", "Vrai si un service qui démarre le demande."),
        text("driver", "Pilote"),
        *_WHERE,
    ),
    source="compose",
)

LABELS = Table(
    "compose_labels",
    "Étiquettes des fichiers compose",
    "Les étiquettes demandées pour les conteneurs ; mêmes règles que celles du moteur.",
    ("root", "files", "service", "label"),
    (
        _ROOT,
        _FILES,
        text("service", "Service"),
        text("label", "Étiquette"),
        text("value", "Valeur", "Inconnue si l’audit n’en a pas besoin."),
        *_WHERE,
    ),
    source="compose",
)

ENVIRONMENT = Table(
    "compose_environment",
    "Variables des fichiers compose",
    "Les variables des services, sans leurs valeurs, sauf l’utilisateur et la base d’une image de base de données.",
    ("root", "files", "service", "variable"),
    (
        _ROOT,
        _FILES,
        text("service", "Service"),
        text("variable", "Variable"),
        text("value", "Valeur", "Inconnue : elle n’est pas gardée."),
        *_WHERE,
    ),
    source="compose",
)

SECRETS = Table(
    "compose_secrets",
    "Secrets en clair",
    "Les secrets écrits dans un fichier compose : leur nom et leur place, jamais leur valeur.",
    ("root", "files", "service", "kind", "name", "file", "line"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("service", "Service"),
        text(
            "kind",
            "Place",
            words={"environment": "variable", "label": "étiquette", "command": "commande", "build": "construction"},
        ),
        text("name", "Nom"),
        flag("default", "Par défaut", "Vrai si c’est la valeur de repli d’une variable."),
        *_WHERE,
    ),
    source="compose",
)

CONNECTIONS = Table(
    "compose_connections",
    "Adresses de bases dans les fichiers compose",
    "Les adresses de connexion des variables, sans leurs identifiants.",
    ("root", "files", "service", "variable"),
    (
        _ROOT,
        _FILES,
        text("project", "Projet"),
        text("service", "Service"),
        text("variable", "Variable"),
        text("scheme", "Protocole"),
        text("host", "Machine"),
        integer("port", "Port"),
        text("database", "Base"),
        *_WHERE,
    ),
    source="compose",
)

LINES = Table(
    "compose_lines",
    "Lignes des fichiers compose",
    "Les lignes que l’on peut corriger sans rien voir de secret ; les autres n’ont que leur numéro.",
    ("root", "file", "line"),
    (
        _ROOT,
        *_WHERE,
        text("text", "Texte", "Inconnu : la ligne pourrait tenir un secret, et n’est pas gardée."),
        text("ending", "Fin", words={"lf": "saut de ligne", "crlf": "retour et saut de ligne", "none": "aucune"}),
    ),
    source="compose",
)

EXCLUDED = Table(
    "exclusions",
    "Exclusions",
    "Ce que la recherche des projets a laissé de côté : ce ne sont pas des services.",
    ("root", "folder", "kind"),
    (
        _ROOT,
        text("folder", "Dossier", "Relatif à la racine."),
        text("kind", "Nature", words=EXCLUSIONS),
        integer("count", "Fichiers", "Inconnu pour un dossier qui n’a pas été ouvert."),
        text("example", "Exemple"),
    ),
    source="compose",
)

TABLES = (
    PROJECTS,
    FILES,
    PROBLEMS_TABLE,
    SERVICES,
    PORTS,
    RESOURCES,
    LABELS,
    ENVIRONMENT,
    SECRETS,
    CONNECTIONS,
    LINES,
    EXCLUDED,
)
