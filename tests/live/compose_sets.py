"""Random sets of compose files: fields in every form, overrides, `extends`, `include`, profiles, variables.

About one value in eight is one that Compose refuses, or that only another file makes right.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

Files = dict[str, str]  # texts by path

SERVICES = ["a", "b", "c", "web-1"]
POOLS = yaml.safe_load((Path(__file__).parent / "compose_fields.yaml").read_text("utf-8"))
INCLUDES: list[Any] = [
    ["sub/inc.yaml"],
    [{"path": "sub/inc.yaml", "project_directory": "."}],
    [{"path": ["sub/inc.yaml", "base.yaml"]}],
    [{"path": "sub/inc.yaml", "env_file": "x.env"}],
    None,
    [],
]
# What the services of a file that is whole ask for.
DECLARED: dict[str, Any] = {
    "networks": {"front": {}, "back": None},
    "volumes": {"data": None, "vol": {}},
    "secrets": {"s": {"file": "s"}},
    "configs": {"k": {"content": "x"}},
    "models": {"m": {"model": "x"}},
}


def a_set(chance: random.Random) -> Files:
    """The files of a project, by their path in its folder."""
    files = {"x.env": _lines(chance, "lines"), "y.env": _lines(chance, "lines"), "bad.env": "B=${NOWHERE?given}\n"}
    if chance.random() < 0.6:
        files[".env"] = _lines(chance, "variables") + (_lines(chance, "bad_variables") if chance.random() < 0.1 else "")
    if chance.random() < 0.5:
        files["sub/.env"] = _lines(chance, "variables")
    strange = chance.choice([0, 0, 0, 0.02, 0.06])
    main = _part(chance, strange, whole=True)
    if chance.random() < 0.3:
        main["include"] = chance.choice([*INCLUDES, ["nowhere.yaml"], ["compose.yaml"]] if strange else INCLUDES)
    files["compose.yaml"] = _dumped(chance, main)
    files["base.yaml"] = _dumped(chance, _part(chance, strange, whole=False, names=SERVICES))
    names = ["inc"] if chance.random() < 0.9 else ["inc", "b"]
    files["sub/inc.yaml"] = _dumped(chance, _part(chance, strange, whole=False, names=names, image="inc:1"))
    if chance.random() < 0.5:
        files["compose.override.yaml"] = _dumped(chance, _part(chance, strange, whole=False))
    return files


def _lines(chance: random.Random, pool: str) -> str:
    lines = chance.sample(POOLS[pool], chance.randint(1, 5))
    return chance.choice(["\n", "\n", "\r\n"]).join([*lines, ""] if chance.random() < 0.9 else lines)


def _dumped(chance: random.Random, tree: Any) -> str:
    if chance.random() < 0.02:
        return chance.choice(["", "# nothing\n", "---\n", "- a\n", "a: [\n"])
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text


def _fields(chance: random.Random, where: str, count: int, strange: float) -> dict[str, Any]:
    """Some fields of a service or of a file, each with a value of its pool."""
    made = {}
    for field in chance.sample(sorted(POOLS[where]), count):
        pools = POOLS[where][field]
        right, wrong = pools.get("right", []), pools.get("wrong", [])
        if values := wrong if wrong and chance.random() < strange else right:
            made[field] = chance.choice(values)
    return made


def _part(
    chance: random.Random, strange: float, *, whole: bool, names: Sequence[str] = (), image: str = ""
) -> dict[str, Any]:
    """A file; one that is whole has what its services need, and another may be an override or a base."""
    if not names:
        names = SERVICES[: chance.randint(2, 4)] if whole else chance.sample(SERVICES, chance.randint(1, 2))
    tree: dict[str, Any] = dict(DECLARED) if whole else {}
    if whole or chance.random() < 0.95:
        tree["services"] = {}
        for rank, name in enumerate(names):
            tree["services"][name] = _service(chance, strange, names[:rank], image or ("x:1" if whole else ""))
    return tree | _fields(chance, "top", chance.choice([0, 0, 0, 1, 2]), strange)


def _service(chance: random.Random, strange: float, earlier: Sequence[str], image: str) -> Any:
    if not image and chance.random() < 0.06:
        return None
    made: dict[str, Any] = {"image": image} if image else {}
    made |= _fields(chance, "services", chance.choice([0, 1, 2, 3, 5]), strange)
    extended: list[Any] = [form for name in earlier for form in (name, {"service": name})]
    if image:
        extended += [{"file": "base.yaml", "service": chance.choice(SERVICES)}]
    if image == "x:1":
        extended += [{"file": "./sub/inc.yaml", "service": "inc"}]
    if extended and chance.random() < (0.25):
        made["extends"] = chance.choice(extended)
    return made


def shrunk(files: Files, fails: Callable[[Files], bool]) -> Files:
    """A smaller set that still fails: without a file, a block or a field."""
    for path in list(files):
        smaller = {name: text for name, text in files.items() if name != path}
        if "compose.yaml" in smaller and fails(smaller):
            files = smaller
    for path in [name for name in files if name.endswith(".yaml")]:
        tree = yaml.safe_load(files[path])
        for keys in _paths(tree):
            copy = yaml.safe_load(files[path])
            parent = copy
            for key in keys[:-1]:
                parent = parent.get(key) if isinstance(parent, dict) else None
            if isinstance(parent, dict) and keys[-1] in parent:
                del parent[keys[-1]]
                smaller = {**files, path: yaml.safe_dump(copy, sort_keys=False)}
                if fails(smaller):
                    files = smaller
    return files


def _paths(tree: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict) or len(above) > 3:
        return []
    return [path for key, value in tree.items() for path in ((*above, key), *_paths(value, (*above, key)))]
