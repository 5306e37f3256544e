"""What the audit knows of well-known programs: the states of containers, Traefik, databases, internal interfaces."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Database:
    """What is known of a kind of database, by the documentation of its official images and of Bitnami's.

    Where several are listed, the first is the default or the preferred one. Templates of commands are words for a
    shell, with {container}, {client}, {user}, {name}, {host}, {port}, {place} (host:port), {api}, {data_dir}.
    """

    images: tuple[str, ...] = ()  # words of the names of its images
    ports: tuple[int, ...] = ()  # those of its own protocol
    programs: tuple[str, ...] = ()  # its servers
    tools: tuple[str, ...] = ()  # other programs of its images
    folders: tuple[str, ...] = ()  # where it keeps its data
    schemes: tuple[str, ...] = ()  # of its connection strings
    words: tuple[str, ...] = ()  # in the names of variables that hold its address: REDIS_HOST
    over_http: bool = False  # its protocol is HTTP
    # Variables of its images: an account, a database, the folder of the data.
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    # Options of its server.
    folder_options: tuple[str, ...] = ()
    port_options: tuple[str, ...] = ()
    # The program that asks it, by product where it depends on it, and the account that it always has.
    client: str = ""
    clients: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    # What asks whether it is well: a health check; by hand, in its container and from the machine.
    health: str = ""
    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    proof: str = ""  # what shows that it asks for no password
    trusts_loopback: bool = True  # it may ask its own machine for no password, and others for one
    # In French: how it asks for a password, how it listens on the loopback alone.
    guard: str = "Exiger un mot de passe"
    bind: str = "son adresse d’écoute sur 127.0.0.1"

    def program(self, product: str | None) -> str:
        """The program that asks a product of this kind."""
        return self.clients.get(product or "", self.client)


DATABASES: dict[str, Database] = {
    "PostgreSQL": Database(
        images=("postgres", "postgresql", "postgis", "pgvector", "timescaledb"),
        ports=(5432,),
        programs=("postgres",),
        tools=("psql", "pg_dump", "pg_dumpall"),
        folders=("/var/lib/postgresql/data", "/var/lib/postgresql", "/bitnami/postgresql"),
        schemes=("postgres", "postgresql", "pgsql"),
        words=("POSTGRES", "POSTGRESQL", "PG"),
        users=("POSTGRES_USER", "POSTGRESQL_USERNAME", "PGUSER"),
        names=("POSTGRES_DB", "POSTGRESQL_DATABASE", "PGDATABASE"),
        data=("PGDATA", "POSTGRESQL_DATA_DIR"),
        folder_options=("-D", "--pgdata", "data_directory"),
        port_options=("-p", "--port", "port"),
        client="psql",
        account="postgres",
        health="pg_isready -U {user} -d {name}",
        inside=(r"{client} -U {user} -d {name} -c '\l'", "{client} -U {user} -d {name} -c 'SELECT now();'"),
        outside=("pg_isready -h {host} -p {port}",),
        proof="docker exec {container} grep -n trust {data_dir}/pg_hba.conf",
        guard="Retirer « trust » de pg_hba.conf (et POSTGRES_HOST_AUTH_METHOD) au profit de « scram-sha-256 »",
        bind="« listen_addresses = localhost » dans postgresql.conf",
    ),
    "MySQL": Database(
        images=("mysql", "mariadb", "percona"),
        ports=(3306, 33060),
        programs=("mysqld", "mariadbd"),
        tools=("mysql", "mariadb", "mysqldump", "mariadb-dump"),
        folders=(
            *("/var/lib/mysql", "/bitnami/mysql/data", "/bitnami/mariadb/data"),
            *("/bitnami/mysql", "/bitnami/mariadb"),
        ),
        schemes=("mysql", "mysql2", "mariadb"),
        words=("MYSQL", "MARIADB"),
        users=("MARIADB_USER", "MYSQL_USER"),
        names=("MARIADB_DATABASE", "MYSQL_DATABASE"),
        data=("MARIADB_DATA_DIR", "MYSQL_DATA_DIR"),
        folder_options=("--datadir",),
        port_options=("-P", "--port"),
        client="mysqladmin",
        clients={"MariaDB": "mariadb-admin"},
        health="{client} ping -h 127.0.0.1 --silent",
        inside=("{client} ping",),
        outside=("{client} -h {host} -P {port} ping",),
        bind="« bind-address = 127.0.0.1 » sous [mysqld]",
    ),
    "Redis": Database(
        images=("redis", "valkey", "keydb", "dragonfly"),
        ports=(6379,),
        programs=("redis-server", "valkey-server", "keydb-server"),
        tools=("redis-sentinel", "redis-cli", "valkey-cli"),
        folders=("/data", "/bitnami/redis/data", "/bitnami/valkey/data", "/var/lib/redis"),
        schemes=("redis", "rediss", "valkey", "valkeys"),
        words=("REDIS", "VALKEY"),
        folder_options=("--dir",),
        port_options=("--port",),
        client="redis-cli",
        clients={"Valkey": "valkey-cli"},
        health="{client} ping",
        inside=("{client} PING",),
        outside=("{client} -h {host} -p {port} PING",),
        proof="docker exec {container} {client} PING",
        guard="Donner un mot de passe (« --requirepass », lu d’une variable du fichier .env)",
        bind="« bind 127.0.0.1 -::1 » dans redis.conf",
    ),
    "MongoDB": Database(
        images=("mongo", "mongodb", "ferretdb"),
        ports=(27017,),
        programs=("mongod",),
        tools=("mongosh", "mongo", "mongodump"),
        folders=("/data/db", "/bitnami/mongodb/data", "/bitnami/mongodb", "/var/lib/mongodb"),
        schemes=("mongodb", "mongodb+srv"),
        words=("MONGO", "MONGODB"),
        users=("MONGO_INITDB_ROOT_USERNAME",),
        names=("MONGO_INITDB_DATABASE",),
        folder_options=("--dbpath",),
        port_options=("--port",),
        client="mongosh",
        health="{client} --quiet --eval db.hello().ok",
        inside=("{client} --eval db.hello()",),
        outside=("{client} --host {host} --port {port} --eval db.hello()",),
        proof="docker exec {container} {client} --quiet --eval 'db.adminCommand({{listDatabases: 1}})'",
        guard="Créer un compte administrateur et démarrer avec « --auth »",
        bind="« net.bindIp: 127.0.0.1 » dans mongod.conf",
    ),
    "ChromaDB": Database(
        images=("chroma", "chromadb"),
        ports=(8000,),
        programs=("chroma",),
        folders=("/data", "/chroma/chroma"),
        words=("CHROMA", "CHROMADB"),
        over_http=True,
        data=("PERSIST_DIRECTORY",),
        folder_options=("--path",),
        port_options=("--port",),
        client="curl",
        health="{client} -fsS http://127.0.0.1:{port}/api/v2/heartbeat",
        outside=("{client} -sS http://{place}/api/{api}/heartbeat",),
        proof=r"{client} -sS -o /dev/null -w '%{{http_code}}\n' http://{place}/api/v2/heartbeat",
        trusts_loopback=False,
        guard="Placer devant elle un proxy qui authentifie, car ChromaDB 1.x ne le fait pas",
        bind="l’option « --host 127.0.0.1 »",
    ),
}

# The kind of a server by its program; and by a port or a folder that tells it without its image. ChromaDB's port is
# that of many web applications, two of the folders that of others too, or of copies.
DATABASE_PROGRAMS = {program: kind for kind, known in DATABASES.items() for program in known.programs}
_TELLING_PORTS = {port: kind for kind, known in DATABASES.items() for port in known.ports if port != 8000}
TELLING_FOLDERS = {
    folder: kind
    for kind, known in DATABASES.items()
    for folder in known.folders
    if folder not in ("/data", "/var/lib/postgresql")
}


def database_of(kind: str) -> Database:
    """What is known of a kind of database: nothing of one that is not in `DATABASES`, as a newer audit may tell."""
    return DATABASES.get(kind, Database())


def command(template: str, **facts: object) -> list[str]:
    """The words of a template of a command, with these facts in their places."""
    return [word.format(**facts) for word in shlex.split(template)]


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


def joined_container(mode: str | None) -> str | None:
    """The container whose namespace a mode joins (`container:NAME`), by its name or identifier; None for another."""
    kind, colon, bearer = (mode or "").partition(":")
    return bearer if (kind, colon) == ("container", ":") else None


def borrows(mode: str | None) -> bool:
    """Whether a network mode takes the network of the machine, or of another container."""
    return mode == "host" or joined_container(mode) is not None


def is_traefik(image: str | None, programs: Iterable[str] = ()) -> bool:
    """Whether a container is Traefik itself: by its image, or by the programs that it starts or that listen in it.

    An image of one's own ends with the name (`edge-traefik`); Traefik's helpers start with it (`traefik-forward-auth`).
    """
    return image_words(image)[-1] == "traefik" or any(one.rpartition("/")[2] == "traefik" for one in programs)


def database(image: str | None, port: int) -> str | None:
    """The kind of database that serves `port` in a container of `image`, or None.

    An image says it by its name; without one, a port that only one database uses does.
    """
    words = image_words(image)
    for kind, known in DATABASES.items():
        if port in known.ports and {*known.images} & {*words}:
            return kind
    return None if is_tool(words) else database_port(port)


def database_image(image: str | None) -> str | None:
    """The kind of database that an image is, by the words of its name alone; None for a companion of a database."""
    words = image_words(image)
    kinds = (kind for kind, known in DATABASES.items() if {*known.images} & {*words})
    return None if is_tool(words) else next(kinds, None)


def database_port(port: int) -> str | None:
    """The kind of database that a port tells by itself, if it is of one only."""
    return _TELLING_PORTS.get(port)


# Protocols in which the server speaks first, before its client has said any name, by the port that is theirs.
_SERVER_FIRST = {21: "FTP", 22: "SSH", 25: "SMTP", 110: "POP3", 143: "IMAP", 587: "SMTP", 3306: "MySQL"}


def first_speaker(image: str | None, port: int | None) -> str | None:
    """The protocol of a server that speaks before its clients, by its image, else by its port; None for any other."""
    return "MySQL" if database_image(image) == "MySQL" else _SERVER_FIRST.get(port or 0)


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
