"""Edits of compose files at their line, which keep every comment and touch nothing else.

The lines are those of the table `compose_lines`: some are unknown, since they may hold secrets. An edit is made only
where the file is understood from what is known, and its result is read again: nothing else must have changed.
Otherwise `Unsafe` is raised, with a French clause, and an override file (`auditlib.compose.overrides`) may do the same.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, ParamSpec

import yaml

from auditlib.compose.document import NOWHERE, Invalid, Map
from auditlib.compose.ports import Port, PublishedPort, parse
from auditlib.compose.written import PLAIN, Change, File, Line, Unsafe, scalar
from auditlib.french import visible

_PATH = re.compile(r"[\w.@+-][\w.@+ -]*(?:/[\w.@+ -]+)*")

P = ParamSpec("P")
Changes = Callable[Concatenate[File, str, P], list[Change]]
Edit = Callable[Concatenate[Sequence[Line], str, P], list[Line]]


def check_path(path: str) -> None:
    """Raises Unsafe for a path that a patch cannot name, or that leads out of the folder it is applied in."""
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise Unsafe("le chemin du fichier ne peut s’écrire dans un correctif")


def edits(key: str) -> Callable[[Changes[P]], Edit[P]]:
    """Make an edit of the lines of a file out of a function that gives the changes of the file for a service.

    The edit may change one key of the service, and for `networks` those that the file declares: it raises Unsafe when
    anything else would read otherwise.
    """

    def declare(changes: Changes[P]) -> Edit[P]:
        @functools.wraps(changes)
        def edit(lines: Sequence[Line], service: str, /, *args: P.args, **kwargs: P.kwargs) -> list[Line]:
            file = File(lines)
            edited = file.changed(changes(file, service, *args, **kwargs))
            try:
                after = File(edited)
            except Unsafe:
                raise Unsafe("le fichier corrigé ne se lirait plus") from None
            if _rest(file.tree, service, key) != _rest(after.tree, service, key):
                raise Unsafe("la correction changerait autre chose que ce qui est voulu")
            return edited

        return edit

    return declare


def _rest(tree: Map, service: str, key: str) -> Any:
    """What a file says but for one key of a service, and the networks of the file when that is what is edited."""
    rest = {name: value for name, value in tree.items() if (name, key) != ("networks", "networks")}
    services = dict(rest["services"])
    services[service] = {name: value for name, value in services[service].items() if name != key}
    return {**rest, "services": services}


@edits("ports")
def publish(file: File, service: str, published: PublishedPort, wanted: tuple[str, int] | None) -> list[Change]:
    """Publish a port elsewhere: at an address ("" for every one) and port of the machine; None: publish it no more."""
    found = file.own(file.service(service), "ports")
    if not found or not isinstance(found[1], yaml.SequenceNode):
        raise Unsafe("le service ne publie rien dans ce fichier")
    key, ports = found
    items = [(item, port) for item in ports.value if (port := _port(item)) is None or published.matches(port)]
    if len(items) != 1 or items[0][1] is None:
        raise Unsafe("le port ne se reconnaît pas sûrement parmi ceux du service (variable, plage ou doublon)")
    [(item, _)] = items
    if wanted is None:
        return [_drop(file, key, ports, item)]
    if isinstance(item, yaml.ScalarNode):
        text = published.at(*wanted)
        return [file.replaced(item, f"'{text}'" if item.style == "'" else f'"{text}"')]
    return list(_long_port(file, item, *wanted))


def _long_port(file: File, item: yaml.MappingNode, address: str, number: int) -> Iterator[Change]:
    published, host = file.own(item, "published"), file.own(item, "host_ip")
    if not published:
        raise Unsafe("le port publié n’est pas écrit")
    quote = f'"{number}"' if getattr(published[1], "style", None) else str(number)
    if host:
        if host[1].start_mark.line == published[1].start_mark.line:
            raise Unsafe("le port est écrit sur une ligne")
        yield file.replaced(host[1], scalar(address or "0.0.0.0"))  # noqa: S104 - what the file says
        yield file.replaced(published[1], quote)
    elif item.flow_style:
        yield file.replaced(published[1], quote + (f', host_ip: "{address}"' if address else ""))
    else:
        change = file.replaced(published[1], quote)
        margin = " " * published[0].start_mark.column
        extra = (f'{margin}host_ip: "{address}"',) if address else ()
        yield change._replace(texts=(*change.texts, *extra))


def _port(item: yaml.Node) -> Port | None:
    """The port that an entry publishes; None when it cannot be known from the file alone."""
    try:
        if isinstance(item, yaml.ScalarNode) and "$" not in item.value:
            return parse(item.value, NOWHERE)
        if isinstance(item, yaml.MappingNode):
            pairs = {key.value: value.value for key, value in item.value}
            if not any("$" in str(value) for value in pairs.values()):
                host, published = pairs.get("host_ip", ""), pairs.get("published", "")
                host = f"[{host}]:" if ":" in host else f"{host}:" if host else ""
                short = f"{host}{published}{':' if host or published else ''}{pairs['target']}"
                return parse(f"{short}/{pairs.get('protocol', 'tcp')}", NOWHERE)
    except (Invalid, KeyError, TypeError):
        pass
    return None


def _drop(file: File, key: yaml.Node, items: Any, item: Any) -> Change:
    """Take an item out of a list, and the list itself with the last one."""
    last = len(items.value) == 1
    if items.flow_style:
        if last:
            return file.removed(items, key)
        line, at = file.line(item), items.value.index(item)
        if not file.single(item):
            raise Unsafe("la liste tient plusieurs lignes")
        first = at == 0
        start = item.start_mark.column if first else items.value[at - 1].end_mark.column
        end = items.value[1].start_mark.column if first else item.end_mark.column
        neighbour = items.value[1] if first else items.value[at - 1]
        if not neighbour.start_mark.line == neighbour.end_mark.line == item.start_mark.line:
            raise Unsafe("la liste tient plusieurs lignes")
        return Change(item.start_mark.line, item.start_mark.line + 1, (line[:start] + line[end:],))
    if isinstance(item, yaml.ScalarNode):
        change = file.removed(item, item)
    else:
        first, end = item.start_mark.line, max(one.end_mark.line for pair in item.value for one in pair) + 1
        whole = file.line(item)[: item.start_mark.column].strip() == "-"
        if not whole or any(line.text is None for line in file.lines[first:end]):
            raise Unsafe("l’entrée à retirer n’est pas connue en entier")
        change = Change(first, end, ())
    if not last:
        return change
    if file.line(key)[: key.start_mark.column].strip():
        raise Unsafe("le bloc n’est pas écrit à raison d’une clé par ligne")
    between = file.lines[key.start_mark.line + 1 : change.first]
    following = file.lines[change.last :]
    end = next((at for at, line in enumerate(following) if re.match(r"\s*[^#\s]", line.text or "")), len(following))
    if any(line.text is None for line in following[:end]):
        raise Unsafe("une autre entrée de la liste est peut-être inconnue")
    if any(line.text is None or line.text.strip() for line in between):
        raise Unsafe("un commentaire ou une ligne inconnue précède la seule entrée de la liste")
    return Change(key.start_mark.line, change.last, ())


def _append(file: File, items: yaml.SequenceNode, text: str) -> Change:
    """Add an item behind the last one of a list that is not empty."""
    if not items.value or not isinstance(items.value[-1], yaml.ScalarNode) or not file.single(items.value[-1]):
        raise Unsafe("la liste n’a pas d’élément d’une ligne après lequel écrire")
    last = items.value[-1]
    line = file.line(last)
    if id(last) in file.shared:
        raise Unsafe("le dernier élément de la liste est un alias")
    if items.flow_style:
        made = f"{line[: last.end_mark.column]}, {text}{line[last.end_mark.column :]}"
        return Change(last.end_mark.line, last.end_mark.line + 1, (made,))
    before = line[: last.start_mark.column]
    if before.strip() != "-":
        raise Unsafe("la liste n’est pas écrite à raison d’un élément par ligne")
    return file.after(last, f"{before}{text}")


def _first(file: File, block: yaml.MappingNode, name: str, value: str, *more: str) -> Change:
    """Add a key in front of the first one of a mapping that is not empty; `value` on its line, or `more` below."""
    if not block.value:
        raise Unsafe("le bloc est vide")
    key = block.value[0][0]
    if block.flow_style:
        line, at = file.line(key), key.start_mark
        made = f"{line[: at.column]}{name}: {value}, {line[at.column :]}"
        return Change(at.line, at.line + 1, (made,))
    if more:
        return file.inserted(key, f"{name}:", *(f"  {text}" for text in more))
    return file.inserted(key, f"{name}: {value}")


@edits("networks")
def join(file: File, service: str, network: str) -> list[Change]:
    """Attach a service to an existing network, declared as external where the file does not know it."""
    block = file.service(service)
    if not PLAIN.fullmatch(network):
        raise Unsafe("le nom du réseau ne peut s’écrire tel quel")
    if file.own_or_none(block, "network_mode"):
        raise Unsafe("le service prend le réseau d’un autre (« network_mode »)")
    declared = file.own(file.root, "networks")
    known = _declared(declared[1]) if declared else {}
    named = next((key for key, name in known.items() if name == network), None)
    changes = [] if named else [_declare(file, declared, network)]
    if named is None and network in known:
        raise Unsafe(f"le fichier nomme « {network} » un autre réseau")
    key, found = named or network, file.own(block, "networks")
    if found is None:
        # Naming a network leaves the project's own, which a service that names none is on.
        changes.append(file.new_key(block, "networks:", "  - default", f"  - {key}"))
    elif isinstance(found[1], yaml.SequenceNode):
        if any(item.value == key for item in found[1].value):
            raise Unsafe("le service demande déjà ce réseau")
        changes.append(_append(file, found[1], key))
    elif isinstance(found[1], yaml.MappingNode):
        if file.own_or_none(found[1], key):
            raise Unsafe("le service demande déjà ce réseau")
        changes.append(_first(file, found[1], key, "{}"))
    else:
        raise Unsafe("les réseaux du service sont vides")
    return changes


def _declared(block: yaml.Node) -> dict[str, str | None]:
    """The networks that a file declares and that exist under a known name: key to real name, None if not known."""
    if not isinstance(block, yaml.MappingNode):
        raise Unsafe("les réseaux du fichier sont vides")
    found: dict[str, str | None] = {}
    for key, value in block.value:
        parts = {one.value: two.value for one, two in value.value} if isinstance(value, yaml.MappingNode) else {}
        external = parts.get("external") in ("true", "True", "TRUE")
        name = parts.get("name") or (key.value if external else None)
        found[key.value] = name if isinstance(name, str) and "$" not in name else None
    return found


def _declare(file: File, declared: tuple[yaml.Node, yaml.Node] | None, network: str) -> Change:
    if declared and isinstance(declared[1], yaml.MappingNode):
        return _first(file, declared[1], network, "{external: true}", "external: true")
    if file.root.flow_style:
        raise Unsafe("le fichier est écrit sur une ligne")
    services = file.own(file.root, "services")
    end = len(file.lines)
    if file.lines[-1].text and not file.lines[-1].text.startswith(("...", "---")):
        return Change(end, end, ("", "networks:", f"  {network}:", "    external: true"))
    if not services:
        raise Unsafe("le fichier ne déclare aucun service")
    return file.inserted(services[0], "networks:", f"  {network}:", "    external: true", "")


@edits("networks")
def leave(file: File, service: str, network: str) -> list[Change]:
    """Take a service off a network; another must be left to it, since one that names none is on the project's own."""
    found, declared = file.own(file.service(service), "networks"), file.own(file.root, "networks")
    known = _declared(declared[1]) if declared else {}
    keys = {key for key, name in known.items() if name == network}
    if network.endswith("_default") and "default" not in known:
        keys.add("default")
    if not found or not isinstance(found[1], yaml.SequenceNode | yaml.MappingNode) or len(found[1].value) < 2:
        raise Unsafe("le service n’a pas d’autre réseau dans ce fichier")
    if isinstance(found[1], yaml.SequenceNode):
        items = [item for item in found[1].value if item.value in keys]
        if len(items) == 1:
            return [_drop(file, *found, items[0])]
    elif not found[1].flow_style:
        pairs = [pair for pair in found[1].value if pair[0].value in keys]
        if len(pairs) == 1:
            return [file.removed(pairs[0][1], pairs[0][0])]
    raise Unsafe("le réseau ne se reconnaît pas sûrement parmi ceux du service")


@edits("restart")
def restart(file: File, service: str, policy: str) -> list[Change]:
    """Give a service a restart policy."""
    block = file.service(service)
    if found := file.own(block, "restart"):
        return [file.replaced(found[1], scalar(policy, found[1]))]
    return [file.new_key(block, f"restart: {scalar(policy)}")]


@edits("container_name")
def rename(file: File, service: str, name: str | None) -> list[Change]:
    """Give another `container_name` to a service, or none."""
    block = file.service(service)
    found = file.own(block, "container_name")
    if not found or not isinstance(found[1], yaml.ScalarNode):
        raise Unsafe("ce fichier n’impose pas de nom au conteneur")
    if name is not None:
        return [file.replaced(found[1], scalar(name, found[1]))]
    if len(block.value) == 1:
        raise Unsafe("le service ne dit rien d’autre dans ce fichier")
    return [file.removed(found[1], found[0])]


@edits("labels")
def label(file: File, service: str, name: str, value: str, instead: str | None = None) -> list[Change]:
    """Give a label to a service, in place of its value if it has one, or of the label `instead` that was meant."""
    block = file.service(service)
    found = file.own(block, "labels")
    # Compose replaces variables in labels: a dollar is written twice.
    value = value.replace("$", "$$")
    entry = scalar(f"{name}={value}")
    if found is None:
        return [file.new_key(block, "labels:", f"  - {entry}")]
    labels = found[1]
    if isinstance(labels, yaml.SequenceNode):
        same = [item for item in labels.value if str(item.value).partition("=")[0] == (instead or name)]
        if instead and not same:
            raise Unsafe(f"l’étiquette « {visible(instead)} » n’est pas dans ce fichier")
        return [file.replaced(same[0], entry)] if same else [_append(file, labels, entry)]
    if not isinstance(labels, yaml.MappingNode):
        raise Unsafe("les étiquettes du service sont vides")
    if known := file.own(labels, instead or name):
        renamed = f"{scalar(name)}: {scalar(value)}"
        return [file.replaced(known[1], scalar(value)) if instead is None else _renamed(file, *known, renamed)]
    if instead:
        raise Unsafe(f"l’étiquette « {visible(instead)} » n’est pas dans ce fichier")
    key = name if re.fullmatch(r"[A-Za-z][\w.-]*", name) else scalar(name)
    return [_first(file, labels, key, scalar(value))]


def _renamed(file: File, key: yaml.Node, value: yaml.Node, entry: str) -> Change:
    """An entry of a mapping becomes another, name and value."""
    if key.start_mark.line != value.end_mark.line:
        raise Unsafe("l’étiquette tient plusieurs lignes")
    line = file.line(key)
    text = line[: key.start_mark.column] + entry + line[value.end_mark.column :]
    return Change(key.start_mark.line, key.start_mark.line + 1, (text,))


@edits("command")
def flag(file: File, service: str, name: str, wanted: str | None) -> list[Change]:
    """Give an option of a command, named without its dashes, another value, or take it away."""
    found = file.own(file.service(service), "command")
    if not found or not isinstance(found[1], yaml.SequenceNode):
        raise Unsafe("la commande du service n’est pas une liste dans ce fichier")
    items = [item for item in found[1].value if _option(item) == name.lower()]
    if len(items) != 1 or (wanted is None and len(found[1].value) == 1):
        raise Unsafe(f"l’option « {visible(name)} » ne se reconnaît pas sûrement dans la commande")
    if wanted is None:
        return [_drop(file, *found, items[0])]
    text = f"{items[0].value.partition('=')[0]}={wanted}".replace("$", "$$")
    simple = re.fullmatch(r"--[\w.-]+=[\w./:-]*\w", text) and not items[0].style
    return [file.replaced(items[0], text if simple else scalar(text, items[0]))]


def _option(item: yaml.Node) -> str:
    return str(item.value).partition("=")[0].lstrip("-").lower() if str(item.value).startswith("-") else ""
