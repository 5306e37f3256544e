"""What Traefik must have loaded: every router, service, server and middleware, and the errors it must tell.

Computed from the containers, their labels, the files and the static configuration, as the running version does; so it
stands where Traefik's API does not answer, and is compared with it where it does.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from auditlib.facts.legacy import Record, records
from auditlib.facts.table import Row, flag, integer, several, table, text, view
from auditlib.facts.tables.traefik import LOADED
from auditlib.traefik.decoding import HIDDEN, json_name, quoted, unmarked
from auditlib.traefik.merge import Merged
from auditlib.traefik.routers import Router
from auditlib.traefik.statuses import Linked, References, qualified, states
from auditlib.traefik.versions import features
from auditlib.views.decisions import Prediction, predict


@table(
    "predicted_routers",
    "Routeurs prévus",
    "Les routeurs que Traefik doit avoir chargés, selon les étiquettes et les fichiers.",
    key=("protocol", "router"),
)
class PredictedRouter(Row):
    """A router that Traefik must have loaded."""

    router: str = text("Routeur")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole", "http, tcp ou udp.")
    rule: str | None = text("Règle", "Inconnue si elle vient d’un gabarit que l’audit n’évalue pas.")
    rule_syntax: str | None = text("Syntaxe")
    priority: int | None = integer("Priorité")
    entrypoints: tuple[str, ...] | None = several("Points d’entrée")
    tls: bool | None = flag("TLS")
    cert_resolver: str | None = text("Résolveur ACME")
    tls_options: str | None = text("Options TLS")
    parents: tuple[str, ...] | None = several("Routeurs parents")
    service: str | None = text("Service")
    middlewares: tuple[str, ...] | None = several("Middlewares")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


@table(
    "predicted_services", "Services prévus", "Les services que Traefik doit avoir chargés.", key=("protocol", "service")
)
class PredictedService(Row):
    """A service that Traefik must have loaded."""

    service: str = text("Service")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole")
    type: str | None = text("Type")
    health_check: bool | None = flag("Contrôle de santé")
    children: tuple[str, ...] | None = several("Services composés")
    used_by: tuple[str, ...] | None = several("Utilisé par")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


@table(
    "predicted_servers",
    "Serveurs prévus",
    "Les serveurs que Traefik doit avoir. Là où il choisit au hasard, chaque choix est une ligne.",
    key=("protocol", "service", "url", "container", "network"),
)
class PredictedServer(Row):
    """A server that Traefik must have; each possible choice is a row."""

    service: str = text("Service")
    protocol: str = text("Protocole")
    url: str = text("Adresse")
    container: str | None = text("Conteneur")
    network: str | None = text("Réseau")
    certain: bool | None = flag("Certain", "Faux : une parmi plusieurs adresses, Traefik en prend une au hasard.")
    status: str | None = text("État", "Inconnu : seul Traefik le sait.")


@table(
    "predicted_middlewares",
    "Middlewares prévus",
    "Les middlewares que Traefik doit avoir chargés.",
    key=("protocol", "middleware"),
)
class PredictedMiddleware(Row):
    """A middleware that Traefik must have loaded."""

    middleware: str = text("Middleware")
    provider: str | None = text("Fournisseur")
    protocol: str = text("Protocole")
    type: str | None = text("Type")
    chain: tuple[str, ...] | None = several("Chaîne")
    used_by: tuple[str, ...] | None = several("Utilisé par")
    status: str | None = text("État", "Prévu.", words=LOADED)
    errors: tuple[str, ...] | None = several("Erreurs", "Celles que l’API doit dire.")
    containers: tuple[str, ...] | None = several("Conteneurs", "Ceux dont les étiquettes le déclarent.")
    file: str | None = text("Fichier", "Celui qui le déclare.")


@dataclass
class _Loaded:
    """All that Traefik must have, before it checks references: rows by protocol and qualified name."""

    routers: dict[tuple[str, str], Record]
    services: dict[tuple[str, str], Record]
    servers: list[Record]
    middlewares: dict[tuple[str, str], Record]


def _loaded(found: Prediction, files: Mapping[str, pd.DataFrame | None]) -> _Loaded:
    loaded = _Loaded({}, {}, [], {})
    _from_labels(loaded, found.merged)
    if files["traefik_files"] is not None:
        _from_files(loaded, {name: records(frame) for name, frame in files.items() if frame is not None})
    return loaded


def _from_labels(loaded: _Loaded, merged: Merged) -> None:
    for (protocol, own), marked in merged.routers.items():
        name, tree = _qualified(own, "docker"), unmarked(marked)
        loaded.routers[protocol, name] = {
            "protocol": protocol,
            "router": name,
            "rule": tree.get("Rule"),
            "rule_syntax": tree.get("RuleSyntax"),
            "priority": tree.get("Priority"),
            "entrypoints": list(tree.get("EntryPoints") or []),
            "tls": "TLS" in tree,
            "cert_resolver": (tree.get("TLS") or {}).get("CertResolver"),
            "tls_options": (tree.get("TLS") or {}).get("Options"),
            "parents": [],
            "service": tree.get("Service") or None,
            "middlewares": tree.get("Middlewares") or [],
            "containers": sorted(set(merged.origins["router", (protocol, own)])),
        }
    for (protocol, own), tree in merged.services.items():
        name = _qualified(own, "docker")
        loaded.services[protocol, name] = {
            "protocol": protocol,
            "service": name,
            "type": "loadBalancer",
            "health_check": "HealthCheck" in (tree.get("LoadBalancer") or {}),
            "children": [],
            "containers": sorted(set(merged.origins["service", (protocol, own)])),
        }
        for server in merged.servers[protocol, own]:
            loaded.servers += [
                {
                    "protocol": protocol,
                    "service": name,
                    "url": unmarked(url),
                    "container": server.container,
                    "network": network,
                    "certain": len(set(server.urls)) == 1,
                }
                for url, network in zip(server.urls, server.networks, strict=True)
            ]
    for (protocol, own), marked in merged.middlewares.items():
        tree = unmarked(marked)
        loaded.middlewares[protocol, _qualified(own, "docker")] = {
            "protocol": protocol,
            "middleware": _qualified(own, "docker"),
            "type": next((json_name(key) for key in tree), None),
            "chain": (tree.get("Chain") or {}).get("Middlewares") or [],
            "containers": sorted(set(merged.origins["middleware", (protocol, own)])),
        }


def _from_files(loaded: _Loaded, files: Mapping[str, list[Record]]) -> None:
    """Add what the files declare: nothing at all when one of them is broken, since Traefik then takes none."""
    if any(row["status"] == "broken" for row in files["traefik_files"]):
        return
    for kind, target in (
        ("router", loaded.routers),
        ("service", loaded.services),
        ("middleware", loaded.middlewares),
    ):
        for row in files.get(f"traefik_file_{kind}s", ()):
            if row["effective"]:
                name = _qualified(row[kind], "file")
                kept = {key: value for key, value in row.items() if key not in ("path", "effective")}
                target[row["protocol"], name] = {**kept, kind: name, "file": row["path"]}
    for row in files.get("traefik_file_servers", ()):
        name = _qualified(row["service"], "file")
        if loaded.services.get((row["protocol"], name), {}).get("file") == row["path"]:
            loaded.servers.append({"protocol": row["protocol"], "service": name, "url": row["url"], "certain": True})


def _qualified(own: str, provider: str) -> str:
    return f"{own}@{provider}"


def _finish(loaded: _Loaded, points: list[Record], found: Prediction, *, files_known: bool) -> None:
    """Give routers their entry points, priorities and models, then say what Traefik finds wrong of each object."""
    split: dict[tuple[str, str], Record] = {}
    named: set[tuple[str, str]] = set()
    copies: dict[tuple[str, str], list[str]] = {}
    for (protocol, own), one in loaded.routers.items():
        for name, row in _modelled(own, _defaults(one, points), points):
            split[protocol, name] = row
            named |= {(protocol, name)} if one["entrypoints"] else set()
            copies.setdefault((protocol, own), []).append(name)
    loaded.routers = split
    v2 = found.settings.version < (3, 0, 0)
    for (_, name), row in loaded.routers.items():
        row["provider"] = name.rpartition("@")[2]
        row["service"] = qualified(row["service"], name) if row["service"] else None
        row["middlewares"] = [qualified(one, name) for one in row["middlewares"]]
        # A child of a router that was split is a child of all its parts.
        parents = [qualified(one, name) for one in row["parents"]]
        row["parents"] = [copy for one in parents for copy in copies.get((row["protocol"], one), [one])]
        own_options = row["tls_options"] not in (None, "default")
        row["tls_options"] = qualified(row["tls_options"], name) if own_options else "default" if row["tls"] else None
        row["rule_syntax"] = row["rule_syntax"] or ("v2" if v2 else None)
        # The length of a rule is not known when a secret was taken out of it.
        whole = row["rule"] and HIDDEN not in row["rule"]
        if not row["priority"] and not v2 and whole and row["protocol"] != "udp":
            row["priority"] = rule_length(row["rule"], row["protocol"])
    for references, objects in (("children", loaded.services), ("chain", loaded.middlewares)):
        for (_, name), row in objects.items():
            row |= {"provider": name.rpartition("@")[2], "status": "enabled", "errors": [], "used_by": []}
            row[references] = [qualified(one, name) for one in row[references] or []]
    faults = _faults(loaded.servers)
    what = features(".".join(map(str, found.settings.version)))
    told = states(
        [_asked(row, named=key in named) for key, row in loaded.routers.items()],
        {one["entrypoint"] for one in points},
        _known(loaded, faults, files_known=files_known),
        what,
    )
    for ((protocol, name), row), state in zip(loaded.routers.items(), told, strict=True):
        row |= {"status": state.status, "errors": state.errors}
        for one in dict.fromkeys(row["middlewares"]):
            _use(loaded.middlewares.get((protocol, one)), name)
        service = loaded.services.get((protocol, row["service"] or ""))
        _use(service, name)
        if service is not None and protocol == "http" and (fault := faults.get(service["service"])):
            service |= {"status": "disabled", "errors": [fault]}


def _use(used: Record | None, name: str) -> None:
    if used is not None:
        used["used_by"] = [*used["used_by"], name]


def rule_length(rule: str, protocol: str) -> int:
    """The priority of a rule without one: its length in bytes; the TCP rule that takes all is last."""
    if protocol == "tcp" and re.fullmatch(r"\s*(?i:hostsni)\(\s*[`\"]\*[`\"]\s*\)\s*", rule):
        return -1
    return len(rule.encode("utf-8", "surrogatepass"))


def _defaults(row: Record, points: list[Record]) -> Record:
    """The router, on the default entry points when it names none (a child and an udp router get none)."""
    if row["entrypoints"] or row["parents"] or row["protocol"] == "udp":
        return row
    named = sorted(point["entrypoint"] for point in points if point["default"] and point["protocol"] != "udp")
    return {**row, "entrypoints": named}


def _modelled(own: str, row: Record, points: list[Record]) -> Iterator[tuple[str, Record]]:
    """The router as the entry points' own options split it (`pkg/server/aggregator.go`, applyModel)."""
    models = {point["entrypoint"]: point for point in points if point["model"]}
    if row["protocol"] != "http" or row["parents"] or not any(one in models for one in row["entrypoints"]):
        yield own, dict(row)
        return
    plain = [one for one in row["entrypoints"] if one not in models]
    if plain:
        yield own, {**row, "entrypoints": plain}
    for entrypoint in row["entrypoints"]:
        if entrypoint in models:
            model = models[entrypoint]
            name = f"{entrypoint}-{own}" if len(row["entrypoints"]) > 1 else own
            added = [*(model["middlewares"] or ()), *row["middlewares"]]
            tls = row["tls"] or bool(model["tls"])
            yield name, {**row, "router": name, "entrypoints": [entrypoint], "middlewares": added, "tls": tls}


def _known(loaded: _Loaded, faults: Mapping[str, str], *, files_known: bool) -> dict[str, References]:
    """What the routers of each protocol may refer to."""
    return {
        protocol: References(
            {name for kind, name in loaded.services if kind == protocol},
            {name for kind, name in loaded.middlewares if kind == protocol},
            providers={"docker", "file"} if files_known else {"docker"},
            faults=faults if protocol == "http" else {},
        )
        for protocol in ("http", "tcp", "udp")
    }


def _asked(row: Record, *, named: bool) -> Linked:
    router = Router(
        row["router"],
        row["rule"] or "",
        tuple(row["entrypoints"]),
        row["tls"],
        row["priority"],
        row["rule_syntax"],
        tuple(row["parents"]),
        row["tls_options"] or "default",
        row["protocol"],
    )
    whole = row["rule"] is not None and HIDDEN not in row["rule"]
    return Linked(router, row["service"], row["middlewares"], named=named, whole=whole)


def _faults(servers: Iterable[Record]) -> dict[str, str]:
    """What Go's url.Parse refuses in the addresses of HTTP services, by service."""
    found: dict[str, str] = {}
    for row in servers:
        url = row["url"] if row["protocol"] == "http" else ""
        place = re.match(r"[\w+.-]+://(?:\[[^\]]*\]|[^/:]*)(:[^/]*)?", url)
        if place and place[1] and not re.fullmatch(r":\d*", place[1], re.ASCII):
            said = f"parse {quoted(url)}: invalid port {quoted(place[1])} after host"
            found.setdefault(row["service"], f"error parsing server URL {url}: {said}")
    return found


def _all(
    containers: pd.DataFrame,
    container_networks: pd.DataFrame,
    labels: pd.DataFrame,
    publications: pd.DataFrame,
    traefik_static: pd.DataFrame,
    entrypoints: pd.DataFrame,
    networks: pd.DataFrame | None = None,
    traefik: pd.DataFrame | None = None,
    traefik_files: pd.DataFrame | None = None,
    traefik_file_routers: pd.DataFrame | None = None,
    traefik_file_services: pd.DataFrame | None = None,
    traefik_file_servers: pd.DataFrame | None = None,
    traefik_file_middlewares: pd.DataFrame | None = None,
) -> _Loaded:
    """All that Traefik must have loaded."""
    found = predict(containers, container_networks, labels, publications, traefik_static, networks, traefik)
    files = {
        "traefik_files": traefik_files,
        "traefik_file_routers": traefik_file_routers,
        "traefik_file_services": traefik_file_services,
        "traefik_file_servers": traefik_file_servers,
        "traefik_file_middlewares": traefik_file_middlewares,
    }
    loaded = _loaded(found, files)
    states = {row["status"] for row in records(traefik_files)} if traefik_files is not None else {"unreadable"}
    # A broken file leaves nothing of the provider: that is known too.
    known = not found.files or "broken" in states or states <= {"read"}
    _finish(loaded, records(entrypoints), found, files_known=known)
    return loaded


def _part(pick: Callable[[_Loaded], Iterable[Record]]) -> Callable[..., Iterable[Record]]:
    """A view's function, which asks for the tables that `_all` does."""

    @functools.wraps(_all)
    def compute(**tables: pd.DataFrame) -> Iterable[Record]:
        return pick(_all(**tables))

    return compute


view(PredictedRouter)(_part(lambda loaded: loaded.routers.values()))
view(PredictedService)(_part(lambda loaded: loaded.services.values()))
view(PredictedServer)(_part(lambda loaded: loaded.servers))
view(PredictedMiddleware)(_part(lambda loaded: loaded.middlewares.values()))
