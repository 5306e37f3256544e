"""What is served: the storage of certificates, the certificates, and what the local proxy answers."""

import datetime as dt

from auditlib.facts.table import Row, flag, instant, integer, octets, several, table, text

KINDS = {"file": "fichier", "directory": "dossier", "other": "autre"}
ORIGINS = {"acme": "stockage ACME", "served": "servi", "traefik_api": "API de Traefik"}


@table(
    "acme_storage",
    "Stockage ACME",
    "Le fichier où chaque résolveur de Traefik garde ses certificats. Ni clé, ni compte, ni adresse n’en est gardé.",
    key=("container", "resolver"),
    source="acme",
)
class AcmeStorage(Row):
    container: str | None = text("Conteneur")
    resolver: str = text("Résolveur")
    path: str | None = text("Chemin", "Dans le conteneur.")
    host_path: str | None = text("Sur la machine", "Inconnu hors d’un montage.", missing="aucun montage")
    persistent: bool | None = flag("Persistant", "Vrai s’il est sur un volume ou un dossier de la machine.")
    exists: bool | None = flag("Présent")
    kind: str | None = text("Nature", words=KINDS)
    mode: str | None = text("Droits", "En octal.")
    owner: str | None = text("Propriétaire", "Nom, sinon identifiant.")
    group: str | None = text("Groupe")
    size: int | None = octets("Taille")
    modified: dt.datetime | None = instant("Modifié")
    valid: bool | None = flag("Valide", "Faux : Traefik ne peut pas le lire. Vide, il est valide.")
    cause: str | None = text("Cause", "Pourquoi il n’est pas valide.")
    certificates: int | None = integer("Certificats", "Ceux de ce résolveur.")
    challenge: str | None = text("Défi", "http-01, tls-alpn-01 ou dns-01.")
    ca_server: str | None = text("Autorité", "L’adresse à laquelle les certificats sont demandés.")


@table(
    "certificates",
    "Certificats",
    "Les certificats des sources qui ont été lues : stockage ACME, connexions au proxy local, API de Traefik (3.7).",
    key=("origin", "resolver", "domain", "fingerprint"),
    source="acme",
)
class Certificate(Row):
    origin: str = text("Origine", words=ORIGINS)
    resolver: str | None = text("Résolveur")
    domain: str | None = text("Domaine", "Celui pour lequel il est gardé ou servi ; inconnu par l’API.")
    common_name: str | None = text("Nom commun")
    domains: tuple[str, ...] | None = several("Domaines couverts")
    issuer: str | None = text("Émetteur")
    not_before: dt.datetime | None = instant("Début")
    not_after: dt.datetime | None = instant("Fin")
    key_type: str | None = text("Clé", "RSA, ECDSA ou Ed25519.")
    key_size: int | None = integer("Bits")
    signature: str | None = text("Signature", "L’algorithme de hachage, ou celui de la clé quand il n’en a pas.")
    staging: bool | None = flag("Essai", "Vrai s’il vient d’une autorité d’essai, qu’aucun navigateur ne reconnaît.")
    self_signed: bool | None = flag("Auto-signé")
    default: bool | None = flag("Par défaut", "Vrai si c’est le certificat que Traefik fabrique faute d’un autre.")
    serial: str | None = text("Numéro de série", "En hexadécimal.")
    fingerprint: str | None = text("Empreinte SHA-256")
    valid: bool | None = flag("Lisible")
    cause: str | None = text("Cause", "Pourquoi il n’a pas pu être lu.")


@table(
    "tls_probes",
    "Certificats servis",
    "Le certificat que le proxy local présente pour chaque domaine vivant, et ce qu’il vaut.",
    key=("domain", "entrypoint"),
    source="tls",
)
class TlsProbe(Row):
    domain: str = text("Domaine")
    entrypoint: str = text("Point d’entrée")
    address: str | None = text("Adresse", "Celle qui a été interrogée, sur cette machine.")
    answered: bool | None = flag("Répond", "Vrai si la connexion TLS aboutit.")
    error: str | None = text("Erreur")
    tls_version: str | None = text("Version")
    fingerprint: str | None = text("Empreinte SHA-256", "Celle du certificat présenté.")
    covers: bool | None = flag("Couvre le domaine")
    default: bool | None = flag("Par défaut", "Vrai si c’est le certificat que Traefik fabrique faute d’un autre.")
    trusted: bool | None = flag("Reconnu", "Vrai si cette machine reconnaît l’autorité et les dates du certificat.")
    untrusted: str | None = text("Motif", "Pourquoi il n’est pas reconnu.")


# What Traefik itself answers when a server does not.
GATEWAY_ERRORS = (502, 503, 504)


@table(
    "http_probes",
    "Sondes HTTP",
    "Ce que le proxy local répond à un GET pour chaque domaine et chemin vivants. Rien d’autre n’est interrogé.",
    key=("url", "entrypoint"),
    source="probes",
)
class HttpProbe(Row):
    url: str = text("URL")
    domain: str | None = text("Domaine")
    path: str | None = text("Chemin")
    entrypoint: str = text("Point d’entrée")
    address: str | None = text("Adresse", "Celle qui a été interrogée, sur cette machine.")
    status: int | None = integer("Statut", "De la première réponse ; inconnu sans réponse.")
    latency_ms: int | None = integer("Latence (ms)", "Jusqu’aux en-têtes de la première réponse, ou jusqu’à l’erreur.")
    error: str | None = text("Erreur")
    router: str | None = text("Routeur", "Celui qui a répondu, quand le journal des accès le dit.")
    redirects: tuple[str, ...] | None = several("Redirections", "Les adresses annoncées, sans leurs paramètres.")
    loop: bool | None = flag("Boucle", "Vrai si les redirections tournent en rond.")
    final_status: int | None = integer("Statut final", "Au bout des redirections qui restent sur ce proxy.")
    tls_version: str | None = text("TLS")
    fingerprint: str | None = text("Empreinte SHA-256", "Celle du certificat présenté.")
    server: str | None = text("Serveur", "L’en-tête Server.")
    content_type: str | None = text("Type")
    hsts: str | None = text("HSTS", "L’en-tête Strict-Transport-Security.")
    content_type_options: str | None = text("X-Content-Type-Options")
    frame_options: str | None = text("X-Frame-Options")
    csp: str | None = text("CSP", "Le début de l’en-tête Content-Security-Policy.")
    authentication: str | None = text("Authentification", "Les méthodes que demande l’en-tête WWW-Authenticate.")
    body_bytes: int | None = integer("Corps (octets)", "Lu jusqu’à 64 Kio.")
    own_answer: bool | None = flag(
        "Réponse de Traefik", "Vrai si le corps est le texte de Traefik lui-même pour ce statut."
    )
