"""What compose files on the disk say."""

from auditlib.facts.table import Row, columns, flag, integer, prose, several, table, text

code = text  # where a column is named text

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


@columns
class OfRoot(Row):
    """The first column of what is found on the disk."""

    root: str = text("Racine", "Dossier de recherche ; « / » pour un fichier que seul un conteneur nomme.")


@columns
class OfFiles(OfRoot):
    """The first columns of what a set of files says."""

    files: str = text(
        "Fichiers", "Le jeu de fichiers : chemins relatifs à la racine, le premier puis ceux qui le surchargent."
    )


@table(
    "compose_projects",
    "Projets sur le disque",
    "Un jeu de fichiers compose, ou un dossier qui n’a qu’un Dockerfile.",
    key=("root", "files"),
    source="compose",
)
class ComposeProject(OfFiles):
    project: str | None = text("Projet", "Le nom que Compose lui donne.")
    kind: str | None = text("Nature", words={"compose": "compose", "dockerfile": "Dockerfile seul"})
    folder: str | None = text("Dossier", "Relatif à la racine.")
    file: str | None = text("Fichier", "Le premier du jeu, relatif à la racine.")
    path: str | None = text("Chemin", "Chemin complet du premier fichier.")
    default: bool | None = flag("Par défaut", "Vrai si Compose prend ces fichiers sans qu’on les nomme.")
    named: bool | None = flag("Nommé", "Vrai si l’étiquette d’un conteneur nomme ces fichiers.")
    refused: bool | None = flag("Refusé", "Vrai si Compose refuserait ces fichiers.")
    profiles: tuple[str, ...] | None = several("Profils actifs")
    services: tuple[str, ...] | None = several("Services", "Ceux qui démarrent avec le projet.")
    inactive: tuple[str, ...] | None = several("Hors profil", "Services dont le profil n’est pas actif.")


@table(
    "compose_files",
    "Fichiers lus",
    "Tous les fichiers qu’un projet fait lire à Compose.",
    key=("root", "files", "file"),
    source="compose",
)
class ComposeFile(OfFiles):
    file: str = text("Fichier", "Relatif à la racine, ou chemin complet hors d’elle.")
    role: str | None = text("Rôle", "compose, override, include, extends, dotenv, env_file ou label_file.")
    read: bool | None = flag("Lu")
    missing: bool | None = flag("Absent", "Vrai si le fichier n’existe pas.")


@table(
    "compose_problems",
    "Défauts des fichiers compose",
    "Ce que Compose refuserait, et les variables sans valeur.",
    key=("root", "files", "kind", "file", "line", "reason"),
    source="compose",
)
class ComposeProblem(OfFiles):
    project: str | None = text("Projet")
    kind: str = text("Nature", words=PROBLEMS)
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")
    reason: str = prose("Motif")
    variable: str | None = text("Variable")


@table(
    "compose_services",
    "Services des fichiers compose",
    "Un service tel que Compose le comprend : surcharges, extends, include et variables appliqués.",
    key=("root", "files", "service"),
    source="compose",
)
class ComposeService(OfFiles):
    project: str | None = text("Projet")
    service: str = text("Service")
    active: bool | None = flag("Actif", "Faux si son profil n’est pas actif.")
    image: str | None = text("Image")
    image_line: int | None = integer("Ligne de l’image")
    build: bool | None = flag("Construit", "Vrai si l’image se construit sur place.")
    build_context: str | None = text("Dossier de construction")
    container_name: str | None = text("Nom imposé", "Inconnu si Compose le choisit.")
    container_name_line: int | None = integer("Ligne du nom")
    container_name_file: str | None = text("Fichier du nom")
    replicas: int | None = integer("Exemplaires")
    ports: tuple[str, ...] | None = several("Ports", "Sous la forme courte de Compose.")
    ports_line: int | None = integer("Ligne des ports")
    expose: tuple[str, ...] | None = several("Ports internes")
    networks: tuple[str, ...] | None = several("Réseaux", "Leurs noms réels.")
    networks_line: int | None = integer("Ligne des réseaux")
    network_mode: str | None = text("Mode réseau")
    mounts: tuple[str, ...] | None = several("Montages", "type source:destination[:ro] ; un volume porte son nom réel.")
    mounts_line: int | None = integer("Ligne des montages")
    more_mounts: bool | None = flag(
        "Autres montages", "Vrai s’il monte aussi secrets, configurations ou volumes d’un autre."
    )
    environment: tuple[str, ...] | None = several("Variables", "Les noms de celles qui ont une valeur.")
    profiles: tuple[str, ...] | None = several("Profils")
    depends_on: tuple[str, ...] | None = several("Dépend de")
    restart: str | None = text("Redémarrage")
    healthcheck: bool | None = flag("Contrôle de santé")
    config_hash: str | None = text(
        "Empreinte", "Celle que Compose écrirait dans l’étiquette config-hash ; inconnue sans lui."
    )
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_ports",
    "Ports des fichiers compose",
    "Ce que chaque service demande de publier.",
    key=("root", "files", "service", "protocol", "host_ip", "host_port", "host_port_last", "container_port"),
    source="compose",
)
class ComposePort(OfFiles):
    project: str | None = text("Projet")
    service: str = text("Service")
    protocol: str = text("Protocole")
    host_ip: str = text("Adresse", "0.0.0.0 et :: quand le fichier n’en donne pas.")
    host_port: int | None = integer("Port", "Inconnu : choisi par le moteur au démarrage.")
    host_port_last: int | None = integer("Dernier port", "Fin de la plage ; inconnue pour un seul port.")
    container_port: int = integer("Port interne")
    container_port_last: int | None = integer("Dernier port interne", "Inconnu pour un seul port.")
    chosen: bool | None = flag("Choisi", "Vrai si le moteur choisit, parmi tous les ports ou dans la plage.")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_resources",
    "Réseaux et volumes des fichiers compose",
    "Les réseaux et les volumes que les projets déclarent.",
    key=("root", "files", "kind", "key"),
    source="compose",
)
class ComposeResource(OfFiles):
    project: str | None = text("Projet")
    kind: str = text("Nature", words={"network": "réseau", "volume": "volume"})
    key: str = text("Clé", "Le nom dans le fichier.")
    name: str | None = text("Nom réel")
    external: bool | None = flag("Externe", "Vrai si le projet ne le crée pas.")
    used: bool | None = flag("Utilisé", "Vrai si un service qui démarre le demande.")
    driver: str | None = text("Pilote")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_labels",
    "Étiquettes des fichiers compose",
    "Les étiquettes demandées pour les conteneurs ; mêmes règles que celles du moteur.",
    key=("root", "files", "service", "label"),
    source="compose",
)
class ComposeLabel(OfFiles):
    service: str = text("Service")
    label: str = text("Étiquette")
    value: str | None = text("Valeur", "Inconnue si l’audit n’en a pas besoin.")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_environment",
    "Variables des fichiers compose",
    "Les variables des services, sans leurs valeurs, sauf l’utilisateur et la base d’une image de base de données.",
    key=("root", "files", "service", "variable"),
    source="compose",
)
class ComposeVariable(OfFiles):
    service: str = text("Service")
    variable: str = text("Variable")
    value: str | None = text("Valeur", "Inconnue : elle n’est pas gardée.")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_secrets",
    "Secrets en clair",
    "Les secrets écrits dans un fichier compose : leur nom et leur place, jamais leur valeur.",
    key=("root", "files", "service", "kind", "name", "file", "line"),
    source="compose",
)
class ComposeSecret(OfFiles):
    project: str | None = text("Projet")
    service: str = text("Service")
    kind: str = text(
        "Place", words={"environment": "variable", "label": "étiquette", "command": "commande", "build": "construction"}
    )
    name: str = text("Nom")
    default: bool | None = flag("Par défaut", "Vrai si c’est la valeur de repli d’une variable.")
    file: str = text("Fichier", "Relatif à la racine.")
    line: int = integer("Ligne")


@table(
    "compose_connections",
    "Adresses de bases dans les fichiers compose",
    "Les adresses de connexion des variables, sans leurs identifiants.",
    key=("root", "files", "service", "variable"),
    source="compose",
)
class ComposeConnection(OfFiles):
    project: str | None = text("Projet")
    service: str = text("Service")
    variable: str = text("Variable")
    scheme: str | None = text("Protocole")
    host: str | None = text("Machine")
    port: int | None = integer("Port")
    database: str | None = text("Base")
    file: str | None = text("Fichier", "Relatif à la racine.")
    line: int | None = integer("Ligne")


@table(
    "compose_lines",
    "Lignes des fichiers compose",
    "Les lignes que l’on peut corriger sans rien voir de secret ; les autres n’ont que leur numéro.",
    key=("root", "file", "line"),
    source="compose",
)
class ComposeLine(OfRoot):
    file: str = text("Fichier", "Relatif à la racine.")
    line: int = integer("Ligne")
    text: str | None = text("Texte", "Inconnu : la ligne pourrait tenir un secret, et n’est pas gardée.")
    ending: str | None = code("Fin", words={"lf": "saut de ligne", "crlf": "retour et saut de ligne", "none": "aucune"})


@table(
    "exclusions",
    "Exclusions",
    "Ce que la recherche des projets a laissé de côté : ce ne sont pas des services.",
    key=("root", "folder", "kind"),
    source="compose",
)
class Exclusion(OfRoot):
    folder: str = text("Dossier", "Relatif à la racine.")
    kind: str = text("Nature", words=EXCLUSIONS)
    count: int | None = integer("Fichiers", "Inconnu pour un dossier qui n’a pas été ouvert.")
    example: str | None = text("Exemple")
