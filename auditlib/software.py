"""What the audit knows of well-known programs: which ones hold ports for Docker, which images are databases."""

from collections.abc import Iterable

# Programs that hold a published port on behalf of a container: the engine's own, and its rootless forms.
PORT_HOLDERS = frozenset({"docker-proxy", "dockerd", "rootlesskit", "rootlessport", "slirp4netns", "pasta"})


def is_up(state: str | None) -> bool:
    """Whether a container in this state of Docker's is in service: running, paused, or between two starts."""
    return state in ("running", "paused", "restarting")


def is_attached(state: str | None) -> bool:
    """Whether a container has its processes, its networks and its ports now: a paused one keeps them."""
    return state in ("running", "paused")


def is_running(state: str | None) -> bool:
    """Whether the processes of a container run now, so that they answer: those of a paused one keep silent."""
    return state == "running"


# Databases: the words of their images' names, and the ports that their own protocol is served on.
_DATABASES: dict[str, tuple[frozenset[str], frozenset[int]]] = {
    "PostgreSQL": (frozenset({"postgres", "postgresql", "postgis", "pgvector", "timescaledb"}), frozenset({5432})),
    "MySQL": (frozenset({"mysql", "mariadb", "percona"}), frozenset({3306, 33060})),
    "Redis": (frozenset({"redis", "valkey", "keydb", "dragonfly"}), frozenset({6379})),
    "MongoDB": (frozenset({"mongo", "mongodb", "ferretdb"}), frozenset({27017})),
    "ChromaDB": (frozenset({"chroma", "chromadb"}), frozenset({8000})),
}
# ChromaDB's port is that of many web applications: it tells nothing without the image.
_TELLING = {port: kind for kind, (_, ports) in _DATABASES.items() for port in ports if port != 8000}

# The port that each database serves by default, the programs that are its server, and where it keeps its data: the
# documentation of the official images and of Bitnami's.
DATABASE_PORTS = {kind: min(ports) for kind, (_, ports) in _DATABASES.items()}
DATABASE_PROGRAMS: dict[str, str] = {
    "postgres": "PostgreSQL",
    "mysqld": "MySQL",
    "mariadbd": "MySQL",
    "redis-server": "Redis",
    "valkey-server": "Redis",
    "keydb-server": "Redis",
    "mongod": "MongoDB",
    "chroma": "ChromaDB",
}
DATABASE_FOLDERS: dict[str, tuple[str, ...]] = {
    "PostgreSQL": ("/var/lib/postgresql/data", "/var/lib/postgresql", "/bitnami/postgresql"),
    "MySQL": ("/var/lib/mysql", "/bitnami/mysql/data", "/bitnami/mariadb/data", "/bitnami/mysql", "/bitnami/mariadb"),
    "Redis": ("/data", "/bitnami/redis/data", "/bitnami/valkey/data", "/var/lib/redis"),
    "MongoDB": ("/data/db", "/bitnami/mongodb/data", "/bitnami/mongodb", "/var/lib/mongodb"),
    "ChromaDB": ("/data", "/chroma/chroma"),
}
# Folders that only one kind of database has: a mount there tells the kind of a container.
TELLING_FOLDERS = {
    folder: kind
    for kind, folders in DATABASE_FOLDERS.items()
    for folder in folders
    if folder not in ("/data", "/var/lib/postgresql")
}

# `container_name` values that a second stack is likely to want too.
GENERIC_NAMES = frozenset(
    {"postgres", "postgresql", "db", "database", "mysql", "mariadb", "redis", "mongo", "mongodb", "web", "app", "api"}
    | {"frontend", "backend", "nginx", "proxy", "server", "cache", "worker"}
)


# Folders of the machine that no container should write to (CIS Docker Benchmark, 5.6), and two that give it as much.
SENSITIVE_FOLDERS = ("/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/root", "/var/lib/docker")


def below_sensitive(path: str) -> bool:
    """Whether a path is strictly below one of the sensitive folders."""
    return any(path.startswith(f"{folder}/") for folder in SENSITIVE_FOLDERS)


def image_words(image: str | None) -> list[str]:
    """The words of an image's name, without registry, tag and digest: `ghcr.io/acme/my-redis:7` → my, redis."""
    repository = (image or "").partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    return repository.replace("_", "-").split("-")


def is_traefik(image: str | None, programs: Iterable[str] = ()) -> bool:
    """Whether a container is Traefik itself: by its image, or by the programs that it starts or that listen in it.

    An image of one's own ends with the name (`edge-traefik`); Traefik's helpers start with it (`traefik-forward-auth`).
    """
    return image_words(image)[-1] == "traefik" or any(one.rpartition("/")[2] == "traefik" for one in programs)


def database(image: str | None, port: int) -> str | None:
    """The kind of database that serves `port` in a container of `image`, or None.

    An image says it by its name; without one, a port that only one database uses does.
    """
    for kind, (words, ports) in _DATABASES.items():
        if port in ports and words & set(image_words(image)):
            return kind
    return None if is_tool(image_words(image)) else _TELLING.get(port)


def database_image(image: str | None) -> str | None:
    """The kind of database that an image is, by the words of its name alone; None for a companion of a database."""
    words = set(image_words(image))
    kinds = (kind for kind, (known, _) in _DATABASES.items() if known & words)
    return None if is_tool(words) else next(kinds, None)


def database_port(port: int) -> str | None:
    """The kind of database that a port tells by itself, if it is of one only."""
    return _TELLING.get(port)


def is_tool(words: Iterable[str]) -> bool:
    """Whether an image's words name a companion of a database (exporter, admin interface), not the database."""
    return bool({"exporter", "admin", "commander", "insight", "backup", "proxy", "ui", "express"} & set(words))


# Interfaces made for people and programs inside: the words of an image or program that all must be there, the ports,
# and whether it asks for a password of its own as it ships: Adminer's form is the database's. No port: any of them.
# From each project's own documentation.
_INTERFACES: tuple[tuple[str, frozenset[str], frozenset[int], bool], ...] = tuple(
    (kind, frozenset(words.split()), frozenset(ports), authenticates)
    for kind, words, ports, authenticates in (
        ("un exporteur Prometheus", "exporter", (), False),
        ("Prometheus", "prometheus", (9090,), False),
        ("Alertmanager", "alertmanager", (9093,), False),
        ("Pushgateway", "pushgateway", (9091,), False),
        ("cAdvisor", "cadvisor", (8080,), False),
        ("Loki", "loki", (3100,), False),
        ("VictoriaMetrics", "victoria", (8428,), False),
        ("Jaeger", "jaeger", (16686,), False),
        ("Zipkin", "zipkin", (9411,), False),
        ("Adminer", "adminer", (8080,), False),
        ("pgweb", "pgweb", (8081,), False),
        ("Redis Insight", "redisinsight", (5540, 8001), False),
        ("Redis Commander", "redis commander", (8081,), False),
        ("Dozzle", "dozzle", (8080,), False),
        ("Glances", "glances", (61208,), False),
        ("Netdata", "netdata", (19999,), False),
        ("Mailpit", "mailpit", (8025,), False),
        ("MailHog", "mailhog", (8025,), False),
        ("MailDev", "maildev", (1080,), False),
        ("MailCatcher", "mailcatcher", (1080,), False),
        ("AKHQ", "akhq", (8080,), False),
        ("Kowl", "kowl", (8080,), False),
        ("Cerebro", "cerebro", (9000,), False),
        ("Elasticvue", "elasticvue", (8080,), False),
        ("ttyd", "ttyd", (7681,), False),
        ("un relais du socket de Docker", "socket proxy", (2375,), False),
        ("Portainer", "portainer", (9000, 9443), True),
        ("Grafana", "grafana", (3000,), True),
        ("code-server", "code server", (8080, 8443), True),
        ("phpMyAdmin", "phpmyadmin", (80,), True),
        ("pgAdmin", "pgadmin4", (80, 443), True),
        ("Jupyter", "jupyter", (8888,), True),
        ("Jupyter", "notebook", (8888,), True),
    )
)


def interface(program: str | None, port: int) -> tuple[str, bool] | None:
    """The internal interface that an image or a program serves on `port`, and whether it asks for a password."""
    words = set(image_words(program))
    found = (one for one in _INTERFACES if one[1] <= words and (not one[2] or port in one[2]))
    return next(((kind, authenticates) for kind, _, _, authenticates in found), None)


# Tools whose settings decide whether they ask for a password: only their answer tells.
_UNDECIDED = frozenset({"kibana", "flower", "spark", "homepage"})


def answers_anyone(image: str | None) -> bool:
    """Whether an image is a tool that may give its pages to whoever asks, on whatever port it serves them."""
    words = set(image_words(image))
    return bool(words & _UNDECIDED) or any(
        known <= words for _, known, _, authenticates in _INTERFACES if not authenticates
    )
