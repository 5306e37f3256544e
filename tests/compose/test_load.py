"""Projects: lines kept through merges, names, problems with their places, bounds. Agreement is the oracle's."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlib.compose.document import Place, place_of
from auditlib.compose.load import load
from auditlib.compose.names import default_files, looks_compose, sets
from auditlib.compose.project import Project


def project(files: dict[str, str], *names: str, shell: dict[str, str] | None = None) -> Project:
    """The project of files in /p."""

    def read(path: str) -> str:
        if path.removeprefix("/p/") not in files:
            raise FileNotFoundError(2, "absent", path)
        return files[path.removeprefix("/p/")]

    return load([f"/p/{name}" for name in names or ("compose.yaml",)], "/p", read, shell)


def problems(found: Project) -> list[tuple[str, str, int]]:
    return [(one.kind, one.reason, one.place.line) for one in found.problems]


def test_lines_survive_overrides_extends_and_includes() -> None:
    files = {
        "compose.yaml": "include: [inc.yml]\nservices:\n  web:\n    extends: {file: base.yml, service: b}\n"
        '    image: nginx\n    container_name: web\n    ports:\n      - "80:80"\n',
        "over.yaml": 'services:\n  web:\n    ports:\n      - "81:81"\n    networks:\n'
        "      n:\nnetworks:\n  n: {external: true}\n",
        "base.yml": 'services:\n\n  b:\n    image: b\n    ports: ["82:82"]\n    environment:\n      A: 1\n',
        "inc.yml": 'services:\n  other:\n    image: o\n    ports:\n      - target: 90\n        published: "90"\n',
    }
    found = project(files, "compose.yaml", "over.yaml")
    assert found.problems == []
    web = found.services["web"]
    assert [port.place for port in web["ports"]] == [
        Place("/p/base.yml", 5),
        Place("/p/compose.yaml", 8),
        Place("/p/over.yaml", 4),
    ]
    assert place_of(web["container_name"]) == Place("/p/compose.yaml", 6)
    assert place_of(web["image"]) == Place("/p/compose.yaml", 5)
    assert place_of(web["environment"]["A"]) == Place("/p/base.yml", 7)
    assert [place_of(key) for key in web["networks"]] == [Place("/p/over.yaml", 6)]
    assert place_of(found.services["other"]["ports"][0]) == Place("/p/inc.yml", 5)
    assert found.read == {
        "/p/compose.yaml": "compose",
        "/p/over.yaml": "override",
        "/p/base.yml": "extends",
        "/p/inc.yml": "include",
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("services:\n  a: {image: x, port: []}\n", ("invalid", "clé inconnue dans « services.a » : « port »", 2)),
        (
            "services:\n  a:\n    image: a\n    ports: 80\n",
            ("invalid", "« services.a.ports » n’a pas la forme attendue", 4),
        ),
        ("services:\n  a:\n    restart: always\n", ("invalid", "le service « a » n’a ni image ni build", 2)),
        ("a: 1\n", ("invalid", "clé inconnue dans « le fichier » : « a »", 1)),
        ("- a\n", ("invalid", "le fichier n’est pas un bloc de clés", 1)),
        ("", ("invalid", "le fichier ne déclare rien", 1)),
        (
            "services:\n  a:\n    image: a:${TAG}\n",
            ("variable", "la variable TAG n’a pas de valeur : Compose la remplace par rien", 3),
        ),
        (
            "services:\n  a:\n    image: ${TAG:?non}\n",
            ("invalid", "la variable TAG, obligatoire, n’a pas de valeur", 3),
        ),
        (
            "services:\n  a:\n    image: a\n    env_file: [x.env]\n",
            ("unreadable", "le fichier /p/x.env n’existe pas", 4),
        ),
        (
            "include:\n  - https://example.org/compose.yaml\n",
            ("remote", "un fichier est demandé à une autre machine : il n’est pas lu", 2),
        ),
    ],
)
def test_problems_have_a_kind_a_reason_and_a_line(content: str, told: tuple[str, str, int]) -> None:
    assert told in problems(project({"compose.yaml": content}))


def test_a_missing_first_file_is_told() -> None:
    found = project({})
    assert problems(found) == [("unreadable", "le fichier /p/compose.yaml n’existe pas", 0)]
    assert (found.name, found.refused, found.services) == ("p", True, {})


def test_no_problem_quotes_a_value() -> None:
    secret = "hunter2-secret"
    for content in (
        f"services:\n  a: {{image: a, restart: [{secret}]}}\n",
        f"services:\n  a: {{image: a, ports: ['{secret}']}}\n",
        f"services:\n  a: {{image: a, privileged: {secret}}}\n",
        f"services:\n  a:\n    image: a\n    environment: {{A: [{secret}]}}\n",
        f"services:\n  a: {{image: a, x: {{{secret}\n",
    ):
        found = project({"compose.yaml": content})
        assert found.refused
        assert secret not in repr(found.problems)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            '    volumes:\n      - "${SOCK}:/var/run/docker.sock"\n    ports:\n      - "${PORT}:80"\n'
            "    labels:\n      - a=${TAG}\n",
            {"SOCK": "un montage est mal écrit, faute de valeur pour la variable SOCK"},
        ),
        (
            '    privileged: ${YES}\n    stop_grace_period: "${TIME:?}"\n',
            {
                "YES": "« services.a.privileged » n’a pas la forme attendue, faute de valeur pour la variable YES",
                "TIME": "la variable TIME, obligatoire, n’a pas de valeur",
            },
        ),
        ("    env_file: [x.env]\n", {"KEY": "la variable KEY, obligatoire, n’a pas de valeur"}),
        ("    ports: [$PORT, x]\n", {}),
        ("    networks: [$NET]\n", {}),
    ],
)
def test_files_that_lack_nothing_but_variables_name_them(content: str, told: dict[str, str]) -> None:
    files = {"compose.yaml": f"services:\n  a:\n    image: a\n{content}", "x.env": "K=${KEY:?}\n"}
    found = project(files)
    assert found.refused
    assert {one.name: one.reason for one in found.problems if one.kind != "variable" and one.name} == told
    given = {**dict.fromkeys(told, "true"), "TIME": "5s", "SOCK": "/s", "PORT": "1", "NET": "n"}
    assert project(files, shell=given).refused == (not told)


def test_names_of_projects() -> None:
    content = "services: {a: {image: a}}\n"
    assert project({"compose.yaml": content}).name == "p"
    assert project({"compose.yaml": "name: ${X:-My App}\n" + content}).name == "myapp"
    assert project({"compose.yaml": "name: n\n" + content, ".env": "COMPOSE_PROJECT_NAME=env"}).name == "env"
    assert project({"compose.yaml": "name: n\n" + content}, shell={"COMPOSE_PROJECT_NAME": "given"}).name == "given"


def test_names_of_files() -> None:
    named = ["docker-compose.yml", "compose.prod.yaml", "docker-compose_old.yml", "prod.compose.yml", "compose.yaml"]
    assert all(map(looks_compose, named))
    others = ["docker-compose.yml.bak", "composer.yml", "decompose.yml", "compose.json", "docker-compose.yml~"]
    assert not any(map(looks_compose, others))
    assert default_files(["docker-compose.yml", "compose.override.yml", "x"]) == (
        "docker-compose.yml",
        "compose.override.yml",
    )
    names = ["docker-compose.yml", "docker-compose.legacy.yml", "docker-compose.override.yml"]
    assert sets(names, {}) == (("docker-compose.yml", "docker-compose.override.yml"), ("docker-compose.legacy.yml",))
    assert sets(names, {"COMPOSE_FILE": "docker-compose.legacy.yml"})[0] == ("docker-compose.legacy.yml",)


def test_files_that_refer_to_each_other_for_ever_are_bounded() -> None:
    started = time.process_time()
    chain = {"compose.yaml": "include: [f0.yml]\nservices: {a: {image: a}}\n"}
    chain |= {f"f{n}.yml": f"include: [f{n + 1}.yml]\nservices: {{s{n}: {{image: a}}}}\n" for n in range(200)}
    assert project(chain).refused
    tree = {"compose.yaml": "include: [t0.yml]\n"}
    tree |= {f"t{n}.yml": f"include: [t{n + 1}.yml, t{n + 1}.yml]\nservices: {{s: {{image: a}}}}\n" for n in range(18)}
    assert project(tree).refused
    many = "services:\n" + "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(500)) + "  s500: {image: a}\n"
    assert project({"compose.yaml": many}).refused
    wide = "services:\n  b: {image: a, environment: {" + ", ".join(f"V{n}: x" for n in range(900)) + "}}\n"
    assert project({"compose.yaml": wide + "".join(f"  s{n}: {{extends: b}}\n" for n in range(2500))}).refused
    assert time.process_time() - started < 10


def test_ranges_of_ports_are_bounded_and_come_back_as_written() -> None:
    started = time.process_time()
    ranges = ", ".join(f'"{first}-{first + 99}:{first}-{first + 99}"' for first in range(1, 1000))
    many = "services:\n" + "".join(f"  s{n}: {{image: a, ports: [{ranges}]}}\n" for n in range(20))
    found = project({"compose.yaml": many})
    assert {len(service["ports"]) for service in found.services.values()} == {999}
    assert time.process_time() - started < 10


@given(st.text(alphabet="services:\n abc{}[]-image$&*!<", max_size=120))
@settings(max_examples=100)
def test_any_file_is_loaded_or_refused(content: str) -> None:
    found = project({"compose.yaml": content})
    assert found.services or found.refused
