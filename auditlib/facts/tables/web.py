"""What is served: the storage of certificates, the certificates, and what the local proxy answers."""

from auditlib.facts.table import Table, flag, instant, integer, several, size, text

KINDS = {"file": "fichier", "directory": "dossier", "other": "autre"}
ORIGINS = {"acme": "stockage ACME", "served": "servi", "traefik_api": "API de Traefik"}

ACME_STORAGE = Table(
    "acme_storage",
    "Stockage ACME",
    "Le fichier où chaque résolveur de Traefik garde ses certificats. Ni clé, ni compte, ni adresse n’en est gardé.",
    ("container", "resolver"),
    (
        text("container", "Conteneur"),
        text("resolver", "Résolveur"),
        text("path", "Chemin", "Dans le conteneur."),
        text("host_path", "Sur la machine", "Inconnu hors d’un montage.", missing="aucun montage"),
        flag("persistent", "Persistant", "Vrai s’il est sur un volume ou un dossier de la machine."),
        flag("exists", "Présent"),
        text("kind", "Nature", words=KINDS),
        text("mode", "Droits", "En octal."),
        text("owner", "Propriétaire", "Nom, sinon identifiant."),
        text("group", "Groupe"),
        size("size", "Taille"),
        instant("modified", "Modifié"),
        flag("valid", "Valide", "Faux : Traefik ne peut pas le lire. Vide, il est valide."),
        text("cause", "Cause", "Pourquoi il n’est pas valide."),
        integer("certificates", "Certificats", "Ceux de ce résolveur."),
        text("challenge", "Défi", "http-01, tls-alpn-01 ou dns-01."),
        text("ca_server", "Autorité", "L’adresse à laquelle les certificats sont demandés."),
    ),
    source="acme",
)

CERTIFICATES = Table(
    "certificates",
    "Certificats",
    "Les certificats des sources qui ont été lues : stockage ACME, connexions au proxy local, API de Traefik (3.7).",
    ("origin", "resolver", "domain", "fingerprint"),
    (
        text("origin", "Origine", words=ORIGINS),
        text("resolver", "Résolveur"),
        text("domain", "Domaine", "Celui pour lequel il est gardé ou servi ; inconnu par l’API."),
        text("common_name", "Nom commun"),
        several("domains", "Domaines couverts"),
        text("issuer", "Émetteur"),
        instant("not_before", "Début"),
        instant("not_after", "Fin"),
        text("key_type", "Clé", "RSA, ECDSA ou Ed25519."),
        integer("key_size", "Bits"),
        text("signature", "Signature", "L’algorithme de hachage, ou celui de la clé quand il n’en a pas."),
        flag("staging", "Essai", "Vrai s’il vient d’une autorité d’essai, qu’aucun navigateur ne reconnaît."),
        flag("self_signed", "Auto-signé"),
        flag("default", "Par défaut", "Vrai si c’est le certificat que Traefik fabrique faute d’un autre."),
        text("serial", "Numéro de série", "En hexadécimal."),
        text("fingerprint", "Empreinte SHA-256"),
        flag("valid", "Lisible"),
        text("cause", "Cause", "Pourquoi il n’a pas pu être lu."),
    ),
    source="acme",
)

TLS_PROBES = Table(
    "tls_probes",
    "Certificats servis",
    "Le certificat que le proxy local présente pour chaque domaine vivant, et ce qu’il vaut.",
    ("domain", "entrypoint"),
    (
        text("domain", "Domaine"),
        text("entrypoint", "Point d’entrée"),
        text("address", "Adresse", "Celle qui a été interrogée, sur cette machine."),
        flag("answered", "Répond", "Vrai si la connexion TLS aboutit."),
        text("error", "Erreur"),
        text("tls_version", "Version"),
        text("fingerprint", "Empreinte SHA-256", "Celle du certificat présenté."),
        flag("covers", "Couvre le domaine"),
        flag("default", "Par défaut", "Vrai si c’est le certificat que Traefik fabrique faute d’un autre."),
        flag("trusted", "Reconnu", "Vrai si cette machine reconnaît l’autorité et les dates du certificat."),
        text("untrusted", "Motif", "Pourquoi il n’est pas reconnu."),
    ),
    source="tls",
)

HTTP_PROBES = Table(
    "http_probes",
    "Sondes HTTP",
    "Ce que le proxy local répond à un GET pour chaque domaine et chemin vivants. Rien d’autre n’est interrogé.",
    ("url", "entrypoint"),
    (
        text("url", "URL"),
        text("domain", "Domaine"),
        text("path", "Chemin"),
        text("entrypoint", "Point d’entrée"),
        text("address", "Adresse", "Celle qui a été interrogée, sur cette machine."),
        integer("status", "Statut", "De la première réponse ; inconnu sans réponse."),
        integer("latency_ms", "Latence (ms)", "Jusqu’aux en-têtes de la première réponse, ou jusqu’à l’erreur."),
        text("error", "Erreur"),
        text("router", "Routeur", "Celui qui a répondu, quand le journal des accès le dit."),
        several("redirects", "Redirections", "Les adresses annoncées, sans leurs paramètres."),
        flag("loop", "Boucle", "Vrai si les redirections tournent en rond."),
        integer("final_status", "Statut final", "Au bout des redirections qui restent sur ce proxy."),
        text("tls_version", "TLS"),
        text("fingerprint", "Empreinte SHA-256", "Celle du certificat présenté."),
        text("server", "Serveur", "L’en-tête Server."),
        text("content_type", "Type"),
        text("hsts", "HSTS", "L’en-tête Strict-Transport-Security."),
        text("content_type_options", "X-Content-Type-Options"),
        text("frame_options", "X-Frame-Options"),
        text("csp", "CSP", "Le début de l’en-tête Content-Security-Policy."),
        text("authentication", "Authentification", "Les méthodes que demande l’en-tête WWW-Authenticate."),
        integer("body_bytes", "Corps (octets)", "Lu jusqu’à 64 Kio."),
        flag("own_answer", "Réponse de Traefik", "Vrai si le corps est le texte de Traefik lui-même pour ce statut."),
    ),
    source="probes",
)

TABLES = (ACME_STORAGE, CERTIFICATES, TLS_PROBES, HTTP_PROBES)
