"""ROUTE: where Traefik's configuration comes from: its static sources, its files, and the Docker engine."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from auditlib.checks.routes import reads_docker
from auditlib.facts.snapshot import AbsentTable
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, DockerEngine
from auditlib.facts.tables.logs import LogEvent
from auditlib.facts.tables.traefik import FileRouter, StaticOption, Traefik, TraefikFile, TraefikRouter, TraefikService
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.findings.commands import api_url
from auditlib.french import listing, plural, quoted
from auditlib.traefik.fields import UNTOLD, Version
from auditlib.traefik.versions import number
from auditlib.views.entrypoints import options, running_version
from auditlib.views.predicted import PredictedService
from auditlib.views.routes import Route


class Scattered(Fault):
    """A domain whose routers are declared by labels, and by files that need not."""

    domain: str
    labels: tuple[str, ...] = fact("Étiquettes")
    files: tuple[str, ...]
    containers: tuple[str, ...]
    first: str = word()
    api: str | None = word()


@check(
    "ROUTE-013",
    "low",
    "Chaque domaine est déclaré en un seul endroit",
    key=("domain",),
    message="Les routes de « {domain} » sont réparties sans nécessité entre les étiquettes ({labels}) et les fichiers "
    "({files}), alors que ces derniers ne mènent qu’à des conteneurs ({containers}), dont les étiquettes suffiraient.",
    fix=Fix(
        "Déclarer ces routes ({files}) par les étiquettes des conteneurs ({containers}), puis les retirer des fichiers "
        "de Traefik.",
        ("docker inspect --format '{{{{json .Config.Labels}}}}' {first}",),
        ("curl -sS {api}",),
    ),
)
def one_place(
    routes: Rows[Route], traefik_services: Rows[TraefikService], traefik: Rows[Traefik] | None = None
) -> Iterator[Scattered]:
    """Domains with routers of labels, and of files that labels could declare as well.

    A file is needed for what is not a container of this engine and for services made of others, which no label can
    declare. Its middlewares are no routes.
    """
    simple = {service.service for service in traefik_services if service.type in (None, "loadBalancer")}
    for domain, routers in _declared(routes).items():
        labels = sorted(name for name in routers if name.endswith("@docker"))
        files = sorted(name for name, ways in routers.items() if name.endswith("@file") and _labelled(ways, simple))
        if labels and files:
            owners = sorted({way.container for name in files for way in routers[name] if way.container})
            yield Scattered(
                domain=domain,
                labels=tuple(labels),
                files=tuple(files),
                containers=tuple(owners),
                first=owners[0],
                api=api_url(traefik, "rawdata"),
            )


def _declared(routes: Rows[Route]) -> Mapping[str, Mapping[str, list[Route]]]:
    """The routes in force of each domain that is a name, by router."""
    domains: dict[str, dict[str, list[Route]]] = {}
    for route in routes:
        if route.domain and not route.domain.startswith("~") and route.status != "disabled":
            domains.setdefault(route.domain, {}).setdefault(route.router, []).append(route)
    return domains


def _labelled(routes: Sequence[Route], simple: Collection[str]) -> bool:
    """Whether the labels of containers could declare the routes of a router."""
    return all(route.kind == "conteneur" and route.service in simple for route in routes)


class Broken(Fault):
    """A file of dynamic configuration that Traefik refuses."""

    source: str
    location: str | None
    line: int | None
    error: str | None
    position: str = word()
    place: str = word()
    effect: str = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The provider of files."""
        return {"provider": ("file",)}


@check(
    "ROUTE-018",
    "high",
    "Chaque fichier de configuration dynamique est valide",
    key=("source",),
    message="Le fichier {source}{position} est refusé par Traefik ({error}) : {effect}.",
    fix=Fix(
        "Corriger {place}, puis vérifier que Traefik le relit. Une écriture en deux temps (vider, puis "
        "remplir) peut lui faire appliquer un fichier vide : écrire à côté, puis renommer.",
        (),
        ("curl -sS {api}",),
    ),
)
def valid_files(
    traefik_files: Rows[TraefikFile],
    traefik_file_routers: Rows[FileRouter] | None = None,
    traefik_routers: Rows[TraefikRouter] | None = None,
    traefik: Rows[Traefik] | None = None,
) -> Iterator[Broken]:
    """Files that Traefik refuses: one, and the provider gives nothing, or keeps what it had read before."""
    held = None if traefik_routers is None else any(router.provider == "file" for router in traefik_routers)
    for file in traefik_files:
        if file.status == "broken":
            others = [router.router for router in traefik_file_routers or () if router.path != file.path]
            position = f", ligne {file.line}" if file.line else ""
            yield Broken(
                source=file.path,
                location=file.location,
                line=file.line,
                error=file.error,
                position=f"{position}," if position else "",
                place=(file.location or file.path) + position,
                effect=_file_effect(held, others),
                api=api_url(traefik, "rawdata"),
            )
    if any(file.status == "unreadable" for file in traefik_files):
        raise AbsentTable("traefik_files", "un fichier de configuration dynamique n’a pas pu être lu")


def _file_effect(held: bool | None, others: Sequence[str]) -> str:
    """What a broken file does, where Traefik holds routers of files or not, None if that is not known."""
    if held:
        return "Traefik garde ce qu’il avait lu avant, et ne verra aucun changement, d’aucun fichier"
    lost = f" ({listing(map(quoted, others[:3]))}{'…' if len(others) > 3 else ''})" if others else ""
    if held is None:
        return f"Traefik ne prend plus rien d’aucun fichier{lost}, ou garde ce qu’il avait lu avant"
    return f"Traefik ne sert plus rien d’aucun fichier{lost}"


# What only the static configuration declares.
_RESOLVER = re.compile(r"certificatesresolvers\.([^.]+)", re.IGNORECASE)
_ENTRYPOINT = re.compile(r"entrypoints\.([^.]+)", re.IGNORECASE)

_ORIGINS = {"file": "le fichier statique", "flags": "les options de lancement", "environment": "l’environnement"}


class Void(Fault):
    """A source of static options that another one makes void."""

    container: str | None
    origin: str
    winner: str = fact("Source retenue")
    location: str | None
    keys: tuple[str, ...] = fact("Réglages")
    named: str = word()
    count: str = word()
    shown: tuple[str, ...] = word()
    ignored: str = word()
    effective: str = word()
    place: str = word()

    @property
    def about(self) -> About:
        """The resolvers and entry points among the options."""
        resolvers = [name for key in self.keys for name in _RESOLVER.findall(key)]
        entrypoints = [name for key in self.keys for name in _ENTRYPOINT.findall(key)]
        return {
            "option": [
                *(f"résolveur {name.lower()}" for name in resolvers),
                *(f"point d’entrée {name.lower()}" for name in entrypoints),
            ]
        }


@check(
    "ROUTE-019",
    "medium",
    "Toute la configuration statique de Traefik est prise en compte",
    key=(),
    message="Traefik{named} ignore {count} ({shown}) que donne {ignored} : {effective} l’emporte, et Traefik ne réunit "
    "pas ces origines.",
    fix=Fix(
        "Mettre ces options dans {place}, ou les retirer, puis relancer Traefik.",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .Args}}}}' {container}",),
    ),
)
def effective_options(traefik_static: Rows[StaticOption], containers: Rows[Container] | None = None) -> Iterator[Void]:
    """Sources of static options that another one makes void (`cmd/traefik/traefik.go`): `low` when they say the same.

    `configfile` only tells where the file is, and is read from the options whatever wins.
    """
    ignored: dict[tuple[str | None, str], list[StaticOption]] = {}
    effective: dict[str | None, dict[str, StaticOption]] = {}
    for option in traefik_static:
        if option.effective:
            effective.setdefault(option.container, {})[option.key] = option
        elif option.effective is False and option.key != "configfile":
            ignored.setdefault((option.container, option.origin), []).append(option)
    for (container, _), void in ignored.items():
        if container in effective:
            yield _void(void, effective[container])
    if any(option.effective is None for option in traefik_static):
        raise AbsentTable("traefik_static", "la configuration statique en vigueur n’est pas connue avec certitude")


def _void(ignored: Sequence[StaticOption], effective: Mapping[str, StaticOption]) -> Void:
    """The fault of the options of one source, by those that are in force."""
    first, winner = ignored[0], next(iter(effective.values()))
    container, keys = first.container, tuple(option.key for option in ignored)
    same = all(option.key in effective and effective[option.key].value == option.value for option in ignored)
    subject = ("container", container) if container else ("source", "traefik_static")
    place = _ORIGINS[winner.origin]
    return Void(
        subjects=(subject, ("source", "environment")) if first.origin == "environment" else (subject,),
        severity="low" if same else "medium",
        container=container,
        origin=first.origin,
        winner=winner.origin,
        location=winner.location,
        keys=keys,
        named=f" ({quoted(container)})" if container else "",
        count=plural(len(keys), "option"),
        shown=(*keys[:3], f"{len(keys) - 3} autres") if len(keys) > 4 else keys,
        ignored=_origin(first.origin, first.location),
        effective=_origin(winner.origin, winner.location),
        place=f"{place} ({winner.location})" if winner.location else place,
    )


def _origin(origin: str, location: str | None) -> str:
    words = {"file": "son fichier", "flags": "sa ligne de commande", "environment": "son environnement"}
    return words[origin] + (f" {location}" if location else "")


# The first engine whose oldest API is beyond what older versions of Traefik speak (traefik.md, section 1.8).
_ENGINE_29 = 29
_VERSION_REMEDY = (
    "Passer Traefik à la version 3.6.1 ou plus (2.11.31 pour la version 2), qui s’accorde avec le moteur sur la "
    "version de l’API."
)


class Silent(Fault):
    """A Docker engine that gives Traefik nothing."""

    container: str | None
    version: str | None
    engine: str | None = fact("Version du moteur")
    cause: str | None
    example: str | None
    named: str = word()
    why: str = word()
    effect: str = word()
    remedy: str = word()
    api: str | None = word()

    @property
    def about(self) -> About:
        """The provider of what labels declare."""
        return {"provider": ("docker",)}


@check(
    "ROUTE-020",
    "critical",
    "Traefik peut interroger le moteur Docker",
    key=(),
    message="Traefik{named} n’obtient rien du moteur Docker ({why}) : {effect}.",
    fix=Fix("{remedy}", ("{compose} up -d {service}",), ("docker logs --tail 20 {container}", "curl -sS {api}")),
)
def engine_answers(
    traefik_static: Rows[StaticOption],
    containers: Rows[Container],
    docker_engine: Rows[DockerEngine] | None = None,
    traefik: Rows[Traefik] | None = None,
    traefik_services: Rows[TraefikService] | None = None,
    predicted_services: Rows[PredictedService] | None = None,
    log_events: Rows[LogEvent] | None = None,
) -> Iterator[Silent]:
    """A Docker provider that gives Traefik nothing, though containers ask for it or its log says that it fails.

    With the API read, what Traefik holds decides: a refusal in the log may be over since. Without it, only a refusal
    later than Traefik's last start counts.
    """
    if not reads_docker(options(traefik_static)):
        return
    if traefik_services is None and log_events is None:
        raise AbsentTable("traefik_services", "ni l’API de Traefik ni son journal n’ont été lus")
    refusal, predicted = _refusal(log_events or ()), _of_docker(predicted_services)
    if _of_docker(traefik_services) or (refusal is None and (traefik_services is None or not predicted)):
        return
    version = running_version(traefik, traefik_static, containers)
    engine = docker_engine[0].version if docker_engine else None
    outdated = _speaks_too_old(version, engine) or (refusal is not None and refusal.kind == "docker_version")
    cause = refusal.cause if refusal else None
    container = traefik_static[0].container
    yield Silent(
        subjects=(("container", container),) if container else (("source", "traefik_api"),),
        confidence="probable" if traefik_services is None else "certain",
        container=container,
        version=_spoken(version),
        engine=engine,
        cause="version" if outdated else cause,
        example=refusal.example if refusal else None,
        named=f" ({quoted(container)})" if container else "",
        why=_disagreement(_spoken(version), engine) if outdated else _why(cause),
        effect=f"ce que les étiquettes déclarent ({plural(predicted, 'service')}) ne répond pas"
        if predicted
        else "aucun conteneur ne peut être routé",
        remedy=_VERSION_REMEDY if outdated else _socket(cause),
        api=api_url(traefik, "overview"),
    )


def _speaks_too_old(version: Version | None, engine: str | None) -> bool:
    """Whether this version of Traefik speaks an API that this version of the engine has no more."""
    old = version is not None and (version < (2, 11, 31) or (3, 0, 0) <= version < (3, 6, 1))
    return old and engine is not None and number(engine)[0] >= _ENGINE_29


def _spoken(version: Version | None) -> str | None:
    """A version as it is written; an image's tag may leave the last number out."""
    return ".".join(map(str, version[:2] if version[2] == UNTOLD else version)) if version else None


def _disagreement(version: str | None, engine: str | None) -> str:
    spoken = f"sa version {version}" if version else "sa version"
    return f"{spoken} parle une API trop ancienne pour le moteur {engine or 'en service'}"


def _of_docker(services: Rows[TraefikService] | Rows[PredictedService] | None) -> int:
    """How many services are of the Docker provider."""
    return sum(service.provider == "docker" for service in services or ())


def _refusal(events: Iterable[LogEvent]) -> LogEvent | None:
    """The last refusal of the Docker engine since Traefik's last start, as its log tells."""
    dated = [(event.last, event) for event in events if event.last is not None]
    started = max((last for last, event in dated if event.kind == "started"), default=None)
    current = [(last, event) for last, event in dated if _refuses(event) and (started is None or last >= started)]
    return max(current, key=lambda pair: (pair[1].kind == "docker_version", pair[0]), default=(None, None))[1]


def _refuses(event: LogEvent) -> bool:
    """Whether the Docker engine refused Traefik."""
    return event.kind == "docker_version" or (event.kind == "provider_failed" and event.provider == "docker")


def _why(cause: str | None) -> str:
    words = {"permission": "accès refusé au socket", "connection": "connexion impossible au socket"}
    return words.get(cause or "", "rien de ce que les étiquettes déclarent n’est chargé")


def _socket(cause: str | None) -> str:
    if cause == "permission":
        return (
            "Donner à Traefik le droit de lire le socket (groupe de /var/run/docker.sock), ou autoriser CONTAINERS, "
            "NETWORKS, EVENTS, INFO et VERSION sur le mandataire du socket."
        )
    return (
        "Monter le socket dans le conteneur de Traefik (« /var/run/docker.sock:/var/run/docker.sock:ro »), ou corriger "
        "« providers.docker.endpoint »."
    )
