"""What is behind a Traefik service: its server, the container or process there, its network and its port."""

from auditlib.addresses import is_loopback
from auditlib.facts.legacy import Record
from auditlib.french import listing
from auditlib.french import quoted as said
from auditlib.software import is_running
from auditlib.views.hops import Known, Trace
from auditlib.views.routes import machine_of, network_of_address, target_of


def follow(done: Trace, known: Known, server: Record, *, several: bool) -> bool:
    """Add a server, the container or the process behind it, and whether Traefik reaches it."""
    done.server, done.container, done.network = server["url"], server["container"], server["network"]
    if server["status"] == "DOWN":
        fault = ("ROUTE-007", "service", server["service"])
        return done.add("server", server["url"], "broken", "Son contrôle de santé échoue : Traefik répond 503.", fault)
    machine = machine_of(known.frame("networks"), known.frame("listeners"), known.frame("proxy"))
    found = target_of(server, machine)
    note = "Un serveur parmi plusieurs." if several else ""
    subject = (server["service"], server["url"])
    match found["kind"]:
        case "conteneur":
            chosen = server.get("certain", True)
            told = note if chosen else "Traefik choisit au hasard entre plusieurs adresses du conteneur."
            done.add("server", server["url"], "ok" if chosen else "unknown", told)
            return _container(done, known, found["port"])
        case "machine":
            return _machine(done, known, found, subject)
        case "Traefik":
            reason = "Vue de Traefik, cette adresse est Traefik lui-même, pas la machine."
            return done.add("server", server["url"], "broken", reason, ("ROUTE-015", "service", subject[0]))
    addresses = {end for row in known.rows("container_networks") or [] for end in (row["ipv4"], row["ipv6"]) if end}
    nobodys = found["target"] not in addresses
    network = network_of_address(str(found["target"]), known.rows("networks") or [])
    if nobodys and ((known.live and str(done.service).endswith("@docker")) or network):
        inside = f" du réseau {said(network)}" if network else ""
        reason = f"Aucun conteneur n’a cette adresse{inside} : elle est périmée."
        return done.add("server", server["url"], "broken", reason, ("ROUTE-016", "service", subject[0]))
    return done.add("server", server["url"], "unknown", "Cette adresse n’est ni un conteneur ni la machine.")


def _machine(done: Trace, known: Known, found: Record, subject: tuple[str, str]) -> bool:
    """Add a server that is a process of the machine."""
    service, url = subject
    listeners = known.rows("listeners")
    if listeners is None:
        return done.add("server", url, "unknown", "Un processus de la machine ; ses écoutes n’ont pas été lues.")
    held = [row for row in listeners if row["protocol"] == "tcp" and row["port"] == found["port"]]
    fault = ("ROUTE-015", "service", service)
    if not held:
        return done.add("server", url, "broken", f"Rien n’écoute sur le port {found['port']} de la machine.", fault)
    proxy = (known.rows("proxy") or [{}])[0]
    inside = proxy.get("container") and proxy.get("network_mode") != "host"
    if inside and all(is_loopback(row["address"]) for row in held):
        reason = f"{found['target']} n’écoute que sur la boucle locale : Traefik, dans un conteneur, ne l’atteint pas."
        return done.add("server", url, "broken", reason, fault)
    return done.add("server", url, "ok", f"{found['target']}, sur la machine.")


def _container(done: Trace, known: Known, port: int | None) -> bool:
    """Add the container of a server, its network and the port it must listen to."""
    container = str(done.container)
    row: Record = next((one for one in known.rows("containers") or [] if one["name"] == container), {})
    if row and not is_running(row["state"]):
        return done.add(
            "container", container, "broken", "Il ne tourne pas.", ("ROUTE-016", "service", str(done.service))
        )
    if row.get("health") == "unhealthy":
        done.add(
            "container", container, "ok", "En marche, mais en mauvaise santé.", ("CONT-001", "container", container)
        )
    else:
        done.add("container", container, "ok", "En marche.")
    return _network(done, known, container) and _listening(done, known, container, port)


def _network(done: Trace, known: Known, container: str) -> bool:
    """Add the network between Traefik and a container."""
    proxy = (known.rows("proxy") or [{}])[0]
    if not proxy.get("container") or proxy["network_mode"] == "host" or done.network is None:
        return done.add("network", done.network or "", "ok", "Joignable depuis la machine." if done.network else "")
    if done.network not in (proxy["networks"] or ()):
        reason = (
            f"Traefik n’est pas sur ce réseau (il est sur {listing(map(said, proxy['networks'])) or 'aucun'}) : 504."
        )
        return done.add("network", done.network, "broken", reason, ("NET-002", "container", container))
    designated = proxy["designated"]
    labels = {row["container"]: row["network_label"] for row in known.rows("routed") or []}
    wanted = designated if labels.get(container) is None else labels[container]
    if wanted and wanted != done.network:
        reason = f"Traefik devait prendre {said(wanted)}, où le conteneur n’est pas : il se rabat sur celui-ci."
        return done.add("network", done.network, "ok", reason, ("NET-001", "container", container))
    return done.add("network", done.network, "ok", "Commun à Traefik et au conteneur.")


def _listening(done: Trace, known: Known, container: str, port: int | None) -> bool:
    """Add the port of the container: whether a process listens to it, beyond its own loopback."""
    listeners = known.rows("container_listeners")
    if listeners is None or port is None:
        return done.add("listening", str(port or ""), "unknown", "Les écoutes dans les conteneurs n’ont pas été lues.")
    # Containers that share a network share its ports, whichever of them listens.
    heard = [row for row in listeners if row["protocol"] == "tcp"]
    own = [row for row in heard if container in (row.get("network_of") or row["container"] or "").split(", ")]
    held = [row for row in own if row["port"] == port]
    fault = ("ROUTE-006", "container", container)
    if not held:
        others = listing(str(number) for number in sorted({row["port"] for row in own}))
        reason = f"Rien n’y écoute dans le conteneur (ports écoutés : {others or 'aucun'}) : 502."
        return done.add("listening", str(port), "broken", reason, fault)
    if all(is_loopback(row["address"]) for row in held):
        reason = "Le processus n’écoute que sur la boucle locale du conteneur : 502."
        return done.add("listening", str(port), "broken", reason, fault)
    return done.add("listening", str(port), "ok", f"{held[0]['process'] or 'Un processus'} y écoute.")
