"""ROUTE: what the labels of containers ask of Traefik, and what its Docker provider makes of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from auditlib.checks.routes import reads_docker
from auditlib.facts.table import Rows
from auditlib.facts.tables.docker import Container, ContainerLabel, ContainerListener
from auditlib.facts.tables.traefik import StaticOption, Traefik
from auditlib.findings.about import given_up
from auditlib.findings.check import About, Fault, Fix, check, fact, word
from auditlib.findings.commands import api_object, api_url
from auditlib.french import listing, quoted
from auditlib.software import is_up
from auditlib.traefik import spelling
from auditlib.traefik.decoding import FALSE
from auditlib.traefik.fields import LATEST
from auditlib.views.api_drift import ProviderDifference
from auditlib.views.decisions import DockerDecision, DockerName
from auditlib.views.entrypoints import options, running_version
from auditlib.views.predicted import PredictedRouter
from auditlib.views.proxy import traefiks

_ROUTING = ("traefik.http.routers.", "traefik.http.services.", "traefik.tcp.", "traefik.udp.")

# What to do, by the step where Traefik's Docker provider stopped.
_REMEDIES = {
    "provider": "Activer le fournisseur Docker de Traefik (« providers.docker »), ou retirer ces étiquettes.",
    "disabled": "Ajouter l’étiquette « traefik.enable=true » au service, puis le recréer.",
    "constraints": "Donner au conteneur l’étiquette que demande « providers.docker.constraints », ou corriger cette "
    "option.",
    "default_rule": "Corriger l’option « providers.docker.defaultRule » de Traefik, puis le redémarrer.",
    "stopped": "Lire pourquoi il s’est arrêté (`docker logs`), puis le démarrer.",
    "health": "Corriger le contrôle de santé ou ce qu’il constate : Traefik n’écrit rien de ces conteneurs dans son "
    "journal.",
    "options": "Corriger l’étiquette, puis recréer le conteneur.",
    "labels": "Corriger l’étiquette, puis recréer le conteneur : une seule fausse les fait perdre toutes.",
    "address": "Attacher le conteneur à un réseau de Traefik dans son fichier compose, puis le recréer.",
    "port": "Ajouter l’étiquette « traefik.http.services.<service>.loadbalancer.server.port » avec le port que le "
    "programme écoute, puis recréer le conteneur.",
    "url": "Garder l’étiquette de l’adresse ou celles du port et du schéma, pas les deux.",
    "services": "Nommer le service du routeur par l’étiquette « traefik.http.routers.<routeur>.service ».",
    "rule": "Donner au routeur une règle, par l’étiquette « traefik.http.routers.<routeur>.rule ».",
    "event": "Redémarrer le conteneur : Traefik ne relit les étiquettes qu’à un démarrage, un arrêt ou un changement "
    "de santé.",
    "disabled_router": "Corriger ce que Traefik refuse, puis recréer le conteneur.",
}
# Steps that no change of the container's own labels mends.
_NOT_ITS_LABELS = ("stopped", "event", "provider", "default_rule")


def _labels(labels: Rows[ContainerLabel], container: str) -> Mapping[str, str | None]:
    """The labels of a container, with their values."""
    return {label.label: label.value for label in labels.grouped(ContainerLabel.container).get(container, ())}


def _asks(labels: Mapping[str, str | None]) -> bool:
    """Whether labels ask for a route: enabled, or not said but with a router or a service."""
    lower = {label.lower(): value for label, value in labels.items()}
    if "traefik.enable" in lower:
        return lower["traefik.enable"] not in FALSE
    # A rule that stands elsewhere (« traefik.http.router.x.rule ») asks too, though Traefik refuses it.
    return any(
        label.startswith(_ROUTING) or (label.startswith("traefik.http.") and label.endswith(".rule")) for label in lower
    )


class Unrouted(Fault):
    """A container that asks for a route, and has not all that it asks for."""

    container: str
    step: str | None
    reason: str | None
    routers: tuple[str, ...] | None = fact("Routeurs")
    effect: str = word()
    remedy: str = word()
    stopped: str | None = word()
    paused: str | None = word()
    missed: str | None = word()
    recreated: str | None = word()  # its compose service, where other labels mend it
    url: str | None = word()

    @property
    def about(self) -> About:
        """The step, and the provider: what this Traefik does not look at may be another's."""
        looked_at = self.step not in ("provider", "constraints")
        return {"step": given_up([self.container], self.step), "provider": ["docker"] if looked_at else []}


@check(
    "ROUTE-002",
    "high",
    "Chaque conteneur qui demande à être routé l’est",
    key=("container",),
    message="Le conteneur « {container} » demande à être routé, mais {effect}. {reason}",
    fix=Fix(
        "{remedy}",
        ("docker start {stopped}", "docker unpause {paused}", "docker restart {missed}", "{compose} up -d {recreated}"),
        ("curl -sS {url}",),
    ),
)
def routed_as_asked(
    containers: Rows[Container],
    labels: Rows[ContainerLabel],
    docker_decisions: Rows[DockerDecision],
    traefik: Rows[Traefik] | None = None,
    provider_differences: Rows[ProviderDifference] | None = None,
    predicted_routers: Rows[PredictedRouter] | None = None,
    container_listeners: Rows[ContainerListener] | None = None,
) -> Iterator[Unrouted]:
    """Containers that ask for a route and have no live router, with the first cause in Traefik's own order.

    Left to others: names declared twice (ROUTE-003), routers that Traefik's API says are disabled (ROUTE-001), a
    provider that does not answer (ROUTE-020), and stacks that are wholly stopped (ROUTE-012). Replicas, and what
    `docker compose run` leaves behind, are served by the container of their service that is routed.
    """
    by_name = containers.by(Container.name)
    routed = {_service(by_name[decision.container]) for decision in docker_decisions if decision.decision == "routed"}
    active = {container.compose_project for container in containers if is_up(container.state)}
    proxies = [name for name in traefiks(containers, container_listeners) if is_up(by_name[name].state)]
    silent = _silent(provider_differences, predicted_routers)
    for decision in docker_decisions:
        container = by_name[decision.container]
        loss = _lost(decision) or silent.get(container.name)
        if loss is None or not _asks(_labels(labels, container.name)):
            continue
        replaced = decision.decision != "routed" and _service(container) in routed - {None}
        # Constraints share the containers of a machine among several Traefiks: one that is not seen may route it.
        shared = loss.step == "constraints" and len(proxies) > 1
        idle = loss.step == "stopped" and not _meant_to_run(container, active)
        if not (replaced or shared or idle):
            yield _unrouted(container, loss, decision.lost or decision.routers, api_url(traefik, "rawdata"))


class _Loss(NamedTuple):
    """The step where Traefik gave a container or some of its routers up, with what that does and why, in French."""

    step: str | None
    effect: str
    reason: str | None


def _unrouted(container: Container, loss: _Loss, routers: tuple[str, ...] | None, url: str | None) -> Unrouted:
    stopped = loss.step == "stopped"
    paused = stopped and container.state == "paused"
    remedy = _REMEDIES.get(loss.step or "", "Corriger ses étiquettes, puis recréer le conteneur.")
    return Unrouted(
        container=container.name,
        step=loss.step,
        reason="Le conteneur est en pause." if paused else loss.reason,
        routers=routers,
        confidence="probable" if loss.step in ("constraints", "provider") else "certain",
        effect=loss.effect,
        remedy="Le reprendre." if paused else remedy,
        stopped=container.name if stopped and not paused else None,
        paused=container.name if paused else None,
        missed=container.name if loss.step == "event" else None,
        recreated=None if loss.step in _NOT_ITS_LABELS else container.compose_service,
        url=url,
    )


def _service(container: Container) -> tuple[str, str] | None:
    project, service = container.compose_project, container.compose_service
    return (project, service) if project and service else None


def _meant_to_run(container: Container, active: Collection[str | None]) -> bool:
    """Whether a stopped container is a fault by itself: not with its whole stack, nor a task that ended well."""
    if container.compose_project:
        return container.compose_project in active
    return is_up(container.state) or container.exit_code != 0 or container.restart_policy not in (None, "no")


def _lost(decision: DockerDecision) -> _Loss | None:
    """The step where the provider gave a container up, or some of its routers."""
    if decision.step == "conflict":
        return None
    if decision.decision in ("filtered", "dropped"):
        return _Loss(decision.step, "n’a aucun routeur en service", decision.reason)
    losses = zip(decision.lost or (), decision.losses or (), strict=False)
    # What several containers declare differently is told once, for all of them.
    own = [(router, why) for router, why in losses if "plusieurs conteneurs" not in why]
    if not own:
        return None
    effect = f"perd {listing(quoted(router) for router, _ in own)}"
    return _Loss("services", effect, " ".join(dict.fromkeys(why for _, why in own)))


def _silent(
    provider_differences: Rows[ProviderDifference] | None, predicted_routers: Rows[PredictedRouter] | None
) -> Mapping[str, _Loss]:
    """Containers whose routers Traefik must have and has not, or must refuse as far as its API was not read."""
    if provider_differences is None:
        return _disabled(predicted_routers or ())
    missed = [
        difference
        for difference in provider_differences
        if (difference.kind, difference.side, difference.cause) == ("router", "predicted", "missed_event")
    ]
    return {
        container: _Loss("event", f"Traefik n’a pas {quoted(router.name)}", router.reason)
        for router in missed
        for container in router.containers or ()
    }


def _disabled(routers: Sequence[PredictedRouter]) -> Mapping[str, _Loss]:
    """Containers all of whose routers Traefik must refuse."""
    declared: dict[str, list[PredictedRouter]] = {}
    for router in routers:
        for container in router.containers or ():
            declared.setdefault(container, []).append(router)
    losses = {}
    for container, own in declared.items():
        if all(router.status == "disabled" for router in own):
            why = listing(own[0].errors or ("sans motif donné",))
            reason = f"Traefik doit refuser {quoted(own[0].router)} ({why})."
            losses[container] = _Loss("disabled_router", "n’a aucun routeur en service", reason)
    return losses


class Conflict(Fault):
    """A name that several containers declare differently."""

    kind: str
    name: str
    protocol: str
    containers: tuple[str, ...] = fact(about="container")
    noun: str = word()
    lost: str = word()
    proposal: str = word()
    container: str = word()  # the one to rename
    hint: str = word()
    url: str | None = word()

    @property
    def about(self) -> About:
        """What Traefik does not load, and the containers that it gives up."""
        return {
            **super().about,
            "object": [] if self.kind == "router" else [f"{self.kind} {self.name}"],
            "step": given_up(self.containers, "services", "event", "disabled_router"),
        }


@check(
    "ROUTE-003",
    "critical",
    "Aucun nom de Traefik n’est déclaré différemment par plusieurs conteneurs",
    key=(),
    message="Le {noun} « {name} » est déclaré par {containers:quoted} avec des configurations différentes : Traefik "
    "l’écarte partout, {lost}.",
    fix=Fix(
        "Donner à chacun un nom de {noun} à lui dans ses étiquettes, par exemple « {proposal} » pour « {container} », "
        "puis recréer le conteneur.{hint}",
        ("{compose} up -d {service}",),
        ("curl -sS {url}",),
    ),
)
def distinct_names(
    containers: Rows[Container], docker_names: Rows[DockerName], traefik: Rows[Traefik] | None = None
) -> Iterator[Conflict]:
    """Names that several containers declare differently. Identical labels on two services differ by their service."""
    for name in docker_names:
        if not name.dropped:
            continue
        router, holders = name.kind == "router", _holders(name, containers)
        alike = len({holder.compose_project for holder in holders}) == 1
        hint = " S’ils doivent partager ce routeur, nommer son service dans les étiquettes de chacun."
        yield Conflict(
            subjects=((name.kind, name.name),),
            kind=name.kind,
            name=name.name,
            protocol=name.protocol,
            containers=tuple(holder.name for holder in holders),
            noun="routeur" if router else name.kind,
            lost="et aucun ne répond" if router else "et les routeurs qui le nomment sont désactivés",
            proposal=_proposal(name.name, holders),
            container=holders[-1].name,
            hint=hint if alike and router else "",
            url=api_object(traefik, name.protocol, name.kind, name.name),
        )


class SharedService(Fault):
    """A service of Traefik whose servers are containers of several projects."""

    service: str
    protocol: str
    containers: tuple[str, ...]
    projects: tuple[str, ...]
    proposal: str = word()
    container: str = word()  # the one to rename
    recreated: str | None = word()
    url: str | None = word()


@check(
    "ROUTE-004",
    "high",
    "Aucun service de Traefik n’est partagé par plusieurs projets",
    key=("service",),
    message="Le service « {service} » est déclaré par {containers:quoted}, de projets différents ({projects}) : "
    "Traefik réunit leurs serveurs, et les requêtes vont tantôt à l’un, tantôt à l’autre.",
    fix=Fix(
        "Donner à chaque projet un nom de service à lui dans ses étiquettes, par exemple « {proposal} » pour "
        "« {container} », puis recréer le conteneur.",
        ("{compose} up -d {recreated}",),
        ("curl -sS {url}",),
    ),
)
def unshared_services(
    containers: Rows[Container], docker_names: Rows[DockerName], traefik: Rows[Traefik] | None = None
) -> Iterator[SharedService]:
    """Services whose servers are containers of several projects; a container of no project is one by itself.

    Containers of no project that run one image are replicas that somebody started by hand.
    """
    for name in docker_names:
        holders = _holders(name, containers)
        projects = {holder.compose_project or holder.name for holder in holders}
        if name.kind != "service" or name.dropped or len(projects) < 2 or _replicas(holders):
            continue
        yield SharedService(
            service=name.name,
            protocol=name.protocol,
            containers=tuple(holder.name for holder in holders),
            projects=tuple(sorted(projects)),
            proposal=_proposal(name.name, holders),
            container=holders[-1].name,
            recreated=holders[-1].compose_service,
            url=api_object(traefik, name.protocol, "service", name.name),
        )


def _holders(name: DockerName, containers: Rows[Container]) -> list[Container]:
    """The containers that declare a name."""
    return [containers.by(Container.name)[container] for container in name.containers or ()]


def _replicas(holders: Sequence[Container]) -> bool:
    """Whether containers of no project run one image."""
    alike = len({holder.image for holder in holders}) == 1
    return alike and all(holder.image and not holder.compose_project for holder in holders)


def _proposal(name: str, holders: Sequence[Container]) -> str:
    """Another name for the last of those that share one: after its project, or its service where that is the same."""
    last = holders[-1]
    alike = len({holder.compose_project for holder in holders}) == 1
    suffix = last.compose_service if alike else last.compose_project
    return f"{name.rpartition('@')[0]}-{suffix or last.name}"


# The end of a label, and the step at which Traefik gives up a container that lacks it.
_SPELLED = {".enable": "disabled", ".rule": "rule", ".port": "port"}


class Misspelt(Fault):
    """A container with labels that look like Traefik's and that it does not understand."""

    container: str
    labels: tuple[str, ...] = fact("Étiquettes")
    errors: tuple[str, ...]
    proposals: tuple[str, ...] = fact("Étiquettes proposées")
    drops: bool = fact("Écarte le conteneur")
    effect: str = word()
    shown: tuple[str, ...] = word()
    remedy: str = word()

    @property
    def about(self) -> About:
        """The steps at which Traefik gives the container up for these labels."""
        labels = [proposal.partition("=")[0] for proposal in self.proposals]
        steps = [step for end, step in _SPELLED.items() if any(label.endswith(end) for label in labels)]
        return {"step": given_up([self.container], *steps, *(("labels", "options") if self.drops else ()))}


@check(
    "ROUTE-021",
    "medium",
    "Chaque étiquette destinée à Traefik est comprise de lui",
    key=("container",),
    message="Le conteneur « {container} » porte des étiquettes que Traefik {effect} : {shown}.",
    fix=Fix(
        "{remedy}",
        ("{compose} up -d {service}",),
        ("docker inspect --format '{{{{json .Config.Labels}}}}' {container}",),
    ),
)
def understood_labels(
    containers: Rows[Container],
    labels: Rows[ContainerLabel],
    traefik_static: Rows[StaticOption],
    traefik: Rows[Traefik] | None = None,
) -> Iterator[Misspelt]:
    """Labels that look like Traefik's and that it ignores, or that make it drop the container.

    Labels that a constraint or the default rule of this Traefik refers to are somebody's own, and left alone.
    """
    static = options(traefik_static)
    if not reads_docker(static):
        return
    custom = f"{static.get('providers.docker.constraints', '')} {static.get('providers.docker.defaultrule', '')}"
    version = running_version(traefik, traefik_static, containers) or LATEST
    for container in containers:
        own = _labels(labels, container.name)
        if own.get("traefik.enable") in FALSE:
            continue
        faults = [fault for fault in spelling.faults(own, version) if fault.label not in custom]
        if faults:
            yield _misspelt(container, faults)


def _misspelt(container: Container, faults: Sequence[spelling.Fault]) -> Misspelt:
    drops = any(fault.drops for fault in faults)
    return Misspelt(
        container=container.name,
        labels=tuple(fault.shown for fault in faults),
        errors=tuple(fault.said for fault in faults),
        proposals=tuple(fault.proposal for fault in faults if fault.proposal),
        drops=drops,
        # A label of somebody's own may only look like Traefik's.
        confidence="certain" if all(fault.proposal or fault.drops for fault in faults) else "hint",
        effect="ne comprend pas, et qui lui font écarter tout le conteneur" if drops else "ignore sans rien dire",
        shown=tuple(f"{quoted(fault.shown)} ({fault.said})" for fault in faults),
        remedy=_spelled(faults),
    )


def _spelled(faults: Sequence[spelling.Fault]) -> str:
    spellings = [f"{quoted(fault.proposal)} au lieu de {quoted(fault.shown)}" for fault in faults if fault.proposal]
    others = listing(quoted(fault.shown) for fault in faults if not fault.proposal)
    parts = [f"Écrire {listing(spellings)}"] if spellings else []
    parts += [f"{'corriger ou retirer' if spellings else 'Corriger ou retirer'} {others}"] if others else []
    return f"{', '.join(parts)}, puis recréer le conteneur."
