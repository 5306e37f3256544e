"""What Traefik says of HTTP routers once it built them, and which of them serve (`pkg/server/router/router.go`).

Since 3.6 routers may have parents: the tree is checked first, then each root is built with what is below it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from auditlib.traefik.building import Builder, Built, Finding
from auditlib.traefik.conflicts import Linked, warnings
from auditlib.traefik.decoding import quoted
from auditlib.traefik.routers import MAX_USER_PRIORITY, STILL_SERVES, Router
from auditlib.traefik.versions import Features

# Deeper than any tree that a person wrote.
_MAX_DEPTH = 100


@dataclass
class Node:
    """A router: what is found of it, the names of its children, and whether it serves."""

    link: Linked
    finding: Finding = field(default_factory=Finding)
    children: list[str] = field(default_factory=list)
    reached: bool = False
    serves: bool = False
    built: bool = False


class HttpRouters:
    """The HTTP routers of a configuration, built as one version does."""

    def __init__(
        self,
        links: Sequence[Linked],
        points: Collection[str],
        builder: Builder,
        what: Features,
        refused: Callable[[Router], str | None],
    ) -> None:
        self.nodes: dict[str, Node] = {link.router.name: Node(link) for link in links}
        self.points = points
        self.builder = builder
        self.what = what
        self.refused = refused

    def build(self) -> Mapping[str, Node]:
        """Build all of them, in the order that they are given in."""
        if self.what.parents:
            self._tree()
        for tls in (False, True):
            self._entry_points(tls=tls)
        links = [node.link for node in self.nodes.values()]
        for name, error, critical in warnings(links, sorted(self.points), self.what.version):
            self.nodes[name].finding.add(error, critical=critical)
        return self.nodes

    def _tree(self) -> None:
        roots = []
        for name, node in self.nodes.items():
            if not node.link.router.parents:
                roots.append(name)
                continue
            for parent in node.link.router.parents:
                if parent in self.nodes:
                    self.nodes[parent].children += [name] if name not in self.nodes[parent].children else []
                else:
                    node.finding.add(f"parent router {quoted(parent)} does not exist", critical=True)
            if own := _own_configuration(node.link):
                node.finding.add(f"non-root router cannot have {own} configuration", critical=True)
        for root in sorted(roots):
            self._walk(root, [])
        for node in self.nodes.values():
            if fault := _misplaced(node):
                node.finding.add(fault, critical=True)

    def _walk(self, name: str, path: list[str]) -> None:
        """Reach a router and those below it; a link back to one of its ancestors is cut."""
        if name in path:
            cycle = " -> ".join([*path[path.index(name) :], name])
            guilty = self.nodes[path[-1]]
            guilty.finding.add(f"cyclic reference detected in router tree: {cycle}", critical=False)
            guilty.children.remove(name)
            return
        node = self.nodes[name]
        if node.reached:
            return
        node.reached = True
        if len(path) == _MAX_DEPTH:
            node.finding.sure = False
            return
        for child in sorted(node.children):
            self._walk(child, [*path, name])

    def _entry_points(self, *, tls: bool) -> None:
        """Build the routers of all entry points, those with TLS or those without."""
        those = {name: node for name, node in self.nodes.items() if node.link.router.tls is tls}
        for node in those.values():
            router = node.link.router
            for point in router.entrypoints:
                if point not in self.points:
                    node.finding.add(f"entryPoint {quoted(point)} doesn't exist", critical=False)
            if not router.parents and not any(point in self.points for point in router.entrypoints):
                node.finding.add("no valid entryPoint for this router", critical=True)
        for point in sorted(self.points):
            for name, node in those.items():
                if point in node.link.router.entrypoints:
                    self._on_entry_point(name, node)

    def _on_entry_point(self, name: str, node: Node) -> None:
        router = node.link.router
        if router.rank > MAX_USER_PRIORITY and router.provider != "internal":
            words = f"exceeds the max user-defined priority {MAX_USER_PRIORITY}"
            node.finding.add(f"the router priority {router.rank} {words}", critical=True)
        elif not router.parents:
            self._route(name, node, 0)

    def _route(self, name: str, node: Node, depth: int) -> bool:
        """Build a router and add it to a muxer; whether it is there."""
        built = self._handler(name, node, depth)
        fault = built.fault
        if not fault and not node.link.whole:
            built = built._replace(sure=False)
        elif not fault:
            fault = self.refused(node.link.router)
        node.finding.sure = node.finding.sure and built.sure
        if fault:
            node.finding.add(fault, critical=True)
        node.serves = node.serves or not fault
        return not fault

    def _handler(self, name: str, node: Node, depth: int) -> Built:
        router = node.link.router
        if node.built:
            return Built()
        if depth == _MAX_DEPTH:
            return Built(sure=False)
        sure = True
        if router.tls:
            built = self.builder.tls_options(router.options)
            if built.fault:
                return Built(f"building router handler: {built.fault}", built.sure)
            sure = built.sure
        built = self._inner(node, depth)
        if not built.fault:
            sure = sure and built.sure
            built = self.builder.chain(node.link.middlewares)
        node.built = not built.fault
        return Built(built.fault, sure and built.sure)

    def _inner(self, node: Node, depth: int) -> Built:
        """Build what a router leads to: its children, or its service."""
        if node.children:
            return self._children(node, depth)
        if node.link.service:
            return self.builder.service(node.link.service)
        if self.what.parents:
            return Built("router must have either a service or child routers")
        return Built("the service is missing on the router")

    def _children(self, node: Node, depth: int) -> Built:
        added = certain = 0
        for name in node.children:
            child = self.nodes[name]
            if not child.finding.errors and self._route(name, child, depth + 1):
                added += 1
                certain += child.finding.sure
        if added:
            return Built(sure=certain > 0)
        skipped = f"({len(node.children)} skipped)"
        return Built(f"building child routers muxer: no child routers could be added to muxer {skipped}")


def _own_configuration(link: Linked) -> str | None:
    """What a child may not say, the first that it says."""
    if link.router.tls:
        return "TLS"
    if link.observed:
        return "Observability"
    return "Entrypoints" if link.named else None


def _misplaced(node: Node) -> str | None:
    """What is wrong with the place of a router in the tree."""
    if not node.reached:
        return "router is not reachable"
    if not node.link.service and not node.children:
        return "router has no service and no child routers"
    return STILL_SERVES if node.link.service and node.children else None
