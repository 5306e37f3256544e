"""What databases say, and who is configured to reach them."""

from auditlib.facts.table import Row, flag, integer, prose, seconds, several, table, text

AUTHENTICATIONS = {"required": "demandée", "none": "aucune", "refused": "accès refusé d’ici"}
PLACES = {"container": "conteneur", "host": "machine"}
ROUTES = {
    "container": "adresse du conteneur",
    "published": "port publié",
    "host": "écoute de la machine",
    "exec": "docker exec",
}
TARGETS = {
    "container": "conteneur",
    "several": "plusieurs conteneurs",
    "host": "machine",
    "external": "extérieur",
    "unresolved": "non résolu",
}
EXECUTED = {
    "ok": "réussie",
    "error": "en erreur",
    "refused": "refusée",
    "timeout": "trop longue",
    "skipped": "non faite",
}


@table(
    "databases",
    "Bases de données",
    "Les bases trouvées dans les conteneurs et sur la machine, et ce qu’elles disent sans mot de passe.",
    key=("database",),
    source="databases",
)
class Database(Row):
    database: str = text("Base", "Le conteneur, ou l’unité (sinon le processus) de la machine.")
    kind: str | None = text("Sorte")
    product: str | None = text("Produit", "Celui qui répond : MariaDB, Valkey…")
    version: str | None = text("Version", "Celle que la base dit ; ChromaDB 1.x dit « 1.0.0 » quelle qu’elle soit.")
    place: str | None = text("Lieu", words=PLACES)
    container: str | None = text("Conteneur")
    unit: str | None = text("Unité systemd")
    process: str | None = text("Processus")
    image: str | None = text("Image")
    found_by: tuple[str, ...] | None = several("Reconnue par", "image, programme, port ou volume.")
    running: bool | None = flag("En marche")
    answers: bool | None = flag("Répond", "Parle son propre protocole ; inconnu si elle n’a pu être interrogée.")
    asked_at: str | None = text("Interrogée à", "L’adresse et le port de la dernière question.")
    asked_via: str | None = text("Par", words=ROUTES)
    asked_from: str | None = text("Depuis", "L’adresse de cette machine, vue de la base : l’accès peut en dépendre.")
    authentication: str | None = text(
        "Authentification",
        "Vue de cette adresse ; elle peut différer d’un autre conteneur. Inconnue pour MySQL, qui ne la dit pas.",
        words=AUTHENTICATIONS,
    )
    method: str | None = text("Méthode", "Celle que la base demande à un compte inconnu.")
    tls: bool | None = flag("TLS proposé")
    role: str | None = text("Rôle", "primaire ou réplique.")
    read_only: bool | None = flag("Lecture seule")
    note: str | None = prose("Remarque")
    port: int | None = integer("Port", "Dans l’espace réseau de la base.")
    published: bool | None = flag(
        "Publiée", "Vrai si son port est publié sur la machine ; inconnu pour une base de la machine."
    )
    addresses: tuple[str, ...] | None = several("Adresses sur la machine", "Où son port est publié, ou à l’écoute.")
    data_dir: str | None = text("Dossier de données", "Dans le conteneur, tel que l’image ou la commande le dit.")
    volume: str | None = text("Volume", "Le volume ou le dossier monté qui porte les données.")
    persistent: bool | None = flag("Données gardées", "Faux si elles disparaissent avec le conteneur.")
    user: str | None = text("Utilisateur")
    names: tuple[str, ...] | None = several(
        "Noms des bases", "Par l’environnement, le contrôle de santé ou la base elle-même."
    )
    healthcheck: str | None = text(
        "Contrôle de santé", "Sa commande ; ce qui peut être un secret y est remplacé par « … »."
    )


@table(
    "connection_strings",
    "Chaînes de connexion",
    "Les bases que les variables des conteneurs désignent. Ni utilisateur ni mot de passe n’en est gardé.",
    key=("container", "variable", "host", "port"),
    source="databases",
)
class ConnectionString(Row):
    container: str = text("Conteneur")
    variable: str = text("Variable")
    kind: str | None = text("Sorte")
    scheme: str | None = text("Schéma", "Inconnu pour une paire HOST et PORT.")
    host: str | None = text("Hôte", "Inconnu si l’adresse n’a pu être lue sans risque d’y lire un mot de passe.")
    port: int | None = integer("Port")
    database: str | None = text("Base désignée")
    target: str | None = text("Cible", "Ce que cet hôte est pour ce conteneur.", words=TARGETS)
    targets: tuple[str, ...] | None = several("Conteneurs visés")
    networks: tuple[str, ...] | None = several("Réseaux communs", "Ceux par lesquels le nom se résout.")


@table(
    "exec_commands",
    "Commandes exécutées",
    "Les commandes fixes, en lecture, que l’audit a lancées dans les conteneurs par « docker exec ».",
    key=("database", "command"),
    source="databases",
)
class ExecCommand(Row):
    database: str = text("Base")
    container: str | None = text("Conteneur")
    command: str = text("Commande")
    outcome: str | None = text("Issue", words=EXECUTED)
    exit_code: int | None = integer("Code de sortie")
    output: tuple[str, ...] | None = several("Réponse", "Ses premières lignes.")
    reason: str | None = prose("Motif")
    duration_s: float | None = seconds("Durée")
