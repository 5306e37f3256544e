"""What databases say, and who is configured to reach them."""

from auditlib.facts.table import Table, flag, integer, prose, seconds, several, text

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

DATABASES = Table(
    "databases",
    "Bases de données",
    "Les bases trouvées dans les conteneurs et sur la machine, et ce qu’elles disent sans mot de passe.",
    ("database",),
    (
        text("database", "Base", "Le conteneur, ou l’unité (sinon le processus) de la machine."),
        text("kind", "Sorte"),
        text("product", "Produit", "Celui qui répond : MariaDB, Valkey…"),
        text("version", "Version", "Celle que la base dit ; ChromaDB 1.x dit « 1.0.0 » quelle qu’elle soit."),
        text("place", "Lieu", words=PLACES),
        text("container", "Conteneur"),
        text("unit", "Unité systemd"),
        text("process", "Processus"),
        text("image", "Image"),
        several("found_by", "Reconnue par", "image, programme, port ou volume."),
        flag("running", "En marche"),
        flag("answers", "Répond", "Parle son propre protocole ; inconnu si elle n’a pu être interrogée."),
        text("asked_at", "Interrogée à", "L’adresse et le port de la dernière question."),
        text("asked_via", "Par", words=ROUTES),
        text("asked_from", "Depuis", "L’adresse de cette machine, vue de la base : l’accès peut en dépendre."),
        text(
            "authentication",
            "Authentification",
            "Vue de cette adresse ; elle peut différer d’un autre conteneur. Inconnue pour MySQL, qui ne la dit pas.",
            words=AUTHENTICATIONS,
        ),
        text("method", "Méthode", "Celle que la base demande à un compte inconnu."),
        flag("tls", "TLS proposé"),
        text("role", "Rôle", "primaire ou réplique."),
        flag("read_only", "Lecture seule"),
        prose("note", "Remarque"),
        integer("port", "Port", "Dans l’espace réseau de la base."),
        flag(
            "published", "Publiée", "Vrai si son port est publié sur la machine ; inconnu pour une base de la machine."
        ),
        several("addresses", "Adresses sur la machine", "Où son port est publié, ou à l’écoute."),
        text("data_dir", "Dossier de données", "Dans le conteneur, tel que l’image ou la commande le dit."),
        text("volume", "Volume", "Le volume ou le dossier monté qui porte les données."),
        flag("persistent", "Données gardées", "Faux si elles disparaissent avec le conteneur."),
        text("user", "Utilisateur"),
        several("names", "Noms des bases", "Par l’environnement, le contrôle de santé ou la base elle-même."),
        text("healthcheck", "Contrôle de santé", "Sa commande ; ce qui peut être un secret y est remplacé par « … »."),
    ),
    source="databases",
)

CONNECTION_STRINGS = Table(
    "connection_strings",
    "Chaînes de connexion",
    "Les bases que les variables des conteneurs désignent. Ni utilisateur ni mot de passe n’en est gardé.",
    ("container", "variable", "host", "port"),
    (
        text("container", "Conteneur"),
        text("variable", "Variable"),
        text("kind", "Sorte"),
        text("scheme", "Schéma", "Inconnu pour une paire HOST et PORT."),
        text("host", "Hôte", "Inconnu si l’adresse n’a pu être lue sans risque d’y lire un mot de passe."),
        integer("port", "Port"),
        text("database", "Base désignée"),
        text("target", "Cible", "Ce que cet hôte est pour ce conteneur.", words=TARGETS),
        several("targets", "Conteneurs visés"),
        several("networks", "Réseaux communs", "Ceux par lesquels le nom se résout."),
    ),
    source="databases",
)

EXEC_COMMANDS = Table(
    "exec_commands",
    "Commandes exécutées",
    "Les commandes fixes, en lecture, que l’audit a lancées dans les conteneurs par « docker exec ».",
    ("database", "command"),
    (
        text("database", "Base"),
        text("container", "Conteneur"),
        text("command", "Commande"),
        text("outcome", "Issue", words=EXECUTED),
        integer("exit_code", "Code de sortie"),
        several("output", "Réponse", "Ses premières lignes."),
        prose("reason", "Motif"),
        seconds("duration_s", "Durée"),
    ),
    source="databases",
)

TABLES = (DATABASES, CONNECTION_STRINGS, EXEC_COMMANDS)
