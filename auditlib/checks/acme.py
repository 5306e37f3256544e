"""ACME: where certificates are kept, and the resolvers that routers name."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from auditlib.checks.certificates import exact_domain
from auditlib.checks.logs import start
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.logs import LogEvent
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.facts.tables.web import AcmeStorage, TlsProbe
from auditlib.findings.check import About, Fault, Fix, NotApplicable, Subject, check, fact, word
from auditlib.french import instant, listing, quoted
from auditlib.views.routes import Route

_RESOLVER = re.compile(r"certificatesresolvers\.([^.]+)\.[^.]+")


class StorageFault(Fault):
    """A storage of certificates at fault."""

    container: str | None
    resolver: str = fact(about="resolver")
    path: str | None


def _subjects(storage: AcmeStorage) -> tuple[Subject, ...]:
    resolver = ("source", f"certificatesResolvers.{storage.resolver}")
    return (("container", storage.container), resolver) if storage.container else (resolver,)


def _bearer(storage: AcmeStorage) -> str:
    """Whose storage it is; nothing for a Traefik of the machine itself."""
    return f" (conteneur {quoted(storage.container)})" if storage.container else ""


def _folder(storage: AcmeStorage) -> str:
    return posixpath.dirname(storage.path or "") or "/"


class OpenStorage(StorageFault):
    """A storage that others than its owner may read."""

    host_path: str | None
    mode: str
    owner: str | None
    bearer: str = word()
    effect: str = word()
    own: str | None = word()
    unmounted: str = word()


@check(
    "ACME-001",
    "critical",
    "Le stockage ACME n’est lisible que de son propriétaire",
    key=("container", "resolver"),
    message="Le stockage « {path} » du résolveur « {resolver} »{bearer} a les droits {mode} : {effect}.",
    fix=Fix(
        "Ôter tout droit au groupe et aux autres, puis redémarrer Traefik : il ne relit le stockage qu’à son "
        "démarrage.{unmounted}",
        ("chmod 600 {host_path}", "docker restart {container}"),
        ("docker exec {container} ls -ln {path}", "stat -c %a {own}"),
    ),
)
def private_storage(
    acme_storage: Rows[AcmeStorage],
    log_events: Rows[LogEvent] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[OpenStorage]:
    """Storages that others may read. Traefik then skips the resolver, at its start only (`local_store.go`).

    Critical once the log says that it did; until then, its next start will.
    """
    skipped = _skipped(log_events, traefik)
    for storage in acme_storage:
        if storage.mode is None or not int(storage.mode, 8) & 0o077 or storage.kind == "directory":
            continue
        seen = storage.resolver in skipped
        yield OpenStorage(
            subjects=_subjects(storage),
            container=storage.container,
            resolver=storage.resolver,
            path=storage.path,
            host_path=storage.host_path,
            mode=storage.mode,
            owner=storage.owner,
            severity="critical" if seen else "high",
            bearer=_bearer(storage),
            effect="Traefik a écarté ce résolveur, et sert son certificat par défaut"
            if seen
            else "au prochain démarrage, Traefik écartera ce résolveur et servira son certificat par défaut",
            own=None if storage.container else storage.host_path,
            unmounted="" if storage.host_path else " Ce fichier n’est sur aucun montage de la machine.",
        )


def _skipped(log_events: Rows[LogEvent] | None, traefik: Rows[Traefik] | None) -> Mapping[str, LogEvent]:
    """The resolvers that this run of Traefik says it skipped, as far as its log tells them by name."""
    started = start(traefik)
    return {
        event.subject: event
        for event in log_events or ()
        if (event.kind, event.subject_kind) == ("resolver_skipped", "resolver")
        and event.subject is not None
        and (started is None or event.last is None or event.last >= started)
    }


class UselessStorage(StorageFault):
    """A storage that is missing or cannot be read, or lacks the certificates that routers wait for."""

    exists: bool | None
    valid: bool | None
    cause: str | None
    certificates: int | None
    domains: tuple[str, ...] = fact(about="domain")
    bearer: str = word()
    state: str = word()
    users: str = word()
    remedy: str = word()

    @property
    def form(self) -> str:
        """Whether the storage cannot be used, or only holds nothing."""
        return "broken" if self.exists is False or self.valid is False else "empty"


@check(
    "ACME-002",
    "high",
    "Le stockage ACME est présent, valide et garni",
    key=("container", "resolver"),
    message="Le stockage « {path} » du résolveur « {resolver} »{bearer} {state}{users}.",
    fix=Fix(
        "{remedy}",
        ("docker logs --since 24h {container}",),
        ("docker exec {container} ls -ln {path}",),
    ),
)
def stored_certificates(
    acme_storage: Rows[AcmeStorage], routes: Rows[Route] | None = None, tls_probes: Rows[TlsProbe] | None = None
) -> Iterator[UselessStorage]:
    """Storages that are missing, are no file, cannot be read by Traefik, or are empty while routers use the resolver.

    A domain that is served a certificate of its own has it from elsewhere: it misses nothing in the storage. Whether
    a resolver is in use is not known without the routes, and an empty storage is then nothing.
    """
    served = {probe.domain for probe in tls_probes or () if probe.covers and probe.default is False}
    for storage in acme_storage:
        lacking = tuple(sorted(_users(storage.resolver, routes) - served))
        broken = storage.exists is False or storage.valid is False
        if not broken and not (storage.certificates == 0 and lacking):
            continue
        yield UselessStorage(
            subjects=_subjects(storage),
            container=storage.container,
            resolver=storage.resolver,
            path=storage.path,
            exists=storage.exists,
            valid=storage.valid,
            cause=storage.cause,
            certificates=storage.certificates,
            domains=lacking,
            bearer=_bearer(storage),
            state=_state(storage),
            users=_waiting(lacking),
            remedy=_remedy(storage),
        )
    if routes is None:
        raise AbsentTable("traefik_routers", "les routeurs de Traefik n’ont pas été lus")


def _users(resolver: str, routes: Rows[Route] | None) -> set[str]:
    """The domains whose routers ask this resolver for a certificate. Patterns ask for none."""
    asking = [route for route in routes or () if route.cert_resolver == resolver]
    return {domain for route in asking if (domain := exact_domain(route))}


def _waiting(domains: Sequence[str]) -> str:
    """Who waits for the certificates of an empty storage, as the end of a clause; "" when nobody does."""
    if not domains:
        return ""
    verb = "attend" if len(domains) == 1 else "attendent"
    return f", alors que {listing(map(quoted, domains), most=5)} {verb} un certificat"


def _state(storage: AcmeStorage) -> str:
    if storage.exists is False:
        return "est absent"
    if storage.valid is False:
        return f"ne peut être lu par Traefik ({storage.cause or 'contenu non valide'})"
    return "ne contient aucun certificat"


def _remedy(storage: AcmeStorage) -> str:
    if storage.exists is False:
        return (
            f"Monter dans le conteneur un dossier de la machine sur « {_folder(storage)} », où Traefik puisse écrire, "
            "puis le redémarrer : il crée le fichier lui-même."
        )
    if storage.kind == "directory":
        return (
            "Docker crée un dossier quand le fichier à monter n’existe pas : le supprimer, créer à sa place un "
            "fichier vide aux droits 600, puis recréer le conteneur."
        )
    if storage.valid is False:
        return (
            "Restaurer ce fichier d’une sauvegarde, ou le vider (droits 600) pour que Traefik redemande tous les "
            "certificats, puis le redémarrer ; une autorité limite le nombre de demandes par semaine."
        )
    return "Chercher dans le journal de Traefik pourquoi aucun certificat n’est obtenu, et corriger cette cause."


class LostStorage(StorageFault):
    """A storage that goes with its container."""

    certificates: int | None
    folder: str = word()
    copied: str | None = word()


@check(
    "ACME-003",
    "high",
    "Le stockage ACME est sur un montage persistant",
    key=("container", "resolver"),
    message="Le stockage « {path} » du résolveur « {resolver} » n’est sur aucun montage persistant du conteneur "
    "« {container} » : recréer le conteneur perd les certificats et le compte, et l’autorité limite les nouvelles "
    "demandes.",
    fix=Fix(
        "Copier le fichier hors du conteneur avant de le recréer, puis monter sur « {folder} » un dossier de la "
        "machine qui le contient (droits 600).",
        ("docker cp {copied} acme.json",),
        ("docker inspect --format '{{{{json .Mounts}}}}' {container}",),
    ),
)
def persistent_storage(acme_storage: Rows[AcmeStorage]) -> Iterator[LostStorage]:
    """Storages on no volume and no bind mount."""
    for storage in acme_storage:
        if storage.persistent is False and storage.container:
            yield LostStorage(
                subjects=_subjects(storage),
                container=storage.container,
                resolver=storage.resolver,
                path=storage.path,
                certificates=storage.certificates,
                folder=_folder(storage),
                # Nothing to copy of a file that is not there.
                copied=None if storage.exists is False else f"{storage.container}:{storage.path}",
            )


class NoResolver(Fault):
    """A router that names a resolver that Traefik does not have."""

    router: str
    resolver: str
    domains: tuple[str, ...] = fact(about="domain")
    known: tuple[str, ...] = fact("Résolveurs déclarés")
    reason: str = word()
    effect: str = word()
    remedy: str = word()
    proxy: str | None = word()

    @property
    def about(self) -> About:
        """Its domains, and the resolver: one that Traefik skipped, or the option that lacks."""
        if self.resolver in self.known:
            return {**super().about, "resolver": [self.resolver]}
        return {**super().about, "option": [f"résolveur {self.resolver.lower()}"]}


@check(
    "ACME-004",
    "high",
    "Chaque résolveur nommé par un routeur existe",
    key=("router",),
    message="Le routeur « {router} » demande ses certificats au résolveur « {resolver} », {reason} : {effect}.",
    fix=Fix("{remedy}", ("docker restart {proxy}",), ("docker logs --since 10m {proxy}",)),
)
def known_resolvers(
    routes: Rows[Route],
    traefik_static: Rows[StaticOption],
    log_events: Rows[LogEvent] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[NoResolver]:
    """Routers that name a resolver that the static configuration lacks, or that Traefik says it skipped.

    Traefik serves them all the same, with another certificate; its API reports nothing of it.
    """
    asking = _asking(routes)
    if not asking:
        raise NotApplicable("aucun routeur ne demande de certificat à un résolveur")
    known, skipped = _declared(traefik_static), _skipped(log_events, traefik)
    for router, (resolver, domains) in asking.items():
        if resolver in known and resolver not in skipped:
            continue
        cause = _dropped(skipped[resolver]) if resolver in known else _undeclared(resolver, known)
        yield NoResolver(
            router=router,
            resolver=resolver,
            domains=tuple(sorted(domains)),
            known=tuple(sorted(known)),
            reason=cause.reason,
            effect=_without(sorted(domains)),
            remedy=cause.remedy,
            proxy=traefik_static[0].container if traefik_static else None,
        )


def _asking(routes: Rows[Route]) -> Mapping[str, tuple[str, set[str]]]:
    """The routers that ask a resolver for certificates, with its name and their domains."""
    asking: dict[str, tuple[str, set[str]]] = {}
    for route in routes:
        if route.cert_resolver and route.tls and route.status != "disabled":
            _, domains = asking.setdefault(route.router, (route.cert_resolver, set()))
            domains |= {route.domain} if route.domain else set()
    return asking


def _declared(traefik_static: Rows[StaticOption]) -> set[str]:
    """The resolvers of the static configuration in force. Raises AbsentTable when it is not known which one that is."""
    if any(option.effective is None for option in traefik_static):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")
    effective = [option.key for option in traefik_static if option.effective]
    return {named[1] for key in effective if (named := _RESOLVER.match(key))}


def _without(domains: Sequence[str]) -> str:
    """What lacks without a resolver, for the domains that ask for it."""
    if not domains:
        return "aucun certificat ne vient de lui"
    verb = "ne peut" if len(domains) == 1 else "ne peuvent"
    return f"{listing(map(quoted, domains), most=5)} {verb} avoir de certificat par lui"


class Cause(NamedTuple):
    """Why Traefik does not have a resolver, and what to do."""

    reason: str
    remedy: str


def _dropped(event: LogEvent) -> Cause:
    when = f" le {instant(event.last)}" if event.last else ""
    return Cause(
        f"que Traefik a écarté à son démarrage{when}",
        "Corriger ce qui fait écarter le résolveur, le plus souvent les droits de son stockage (600), puis redémarrer "
        "Traefik.",
    )


def _undeclared(resolver: str, known: set[str]) -> Cause:
    near = next((name for name in known if name.lower() == resolver.lower()), None)
    declare = f"déclarer « certificatesResolvers.{resolver} » dans la configuration statique, puis redémarrer Traefik."
    if near:
        remedy = f"Les noms tiennent compte des majuscules : écrire « {near} », ou {declare}"
    elif known:
        remedy = f"Nommer un résolveur qui existe ({listing(map(quoted, sorted(known)))}), ou {declare}"
    else:
        remedy = declare[0].upper() + declare[1:]
    return Cause("qui n’existe pas", remedy)
