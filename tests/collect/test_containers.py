"""Rows of the engine's tables, from recorded answers and from small ones made for one trap each."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from auditlib.collect import containers
from auditlib.collect.secrets import REMOVED
from auditlib.collect.source import Outcome, Source, gather
from auditlib.facts.table import Row
from auditlib.facts.tables import TABLES
from auditlib.facts.tables.docker import ContainerLabel, ContainerNetwork, ContainerVariable, DockerSwarm
from auditlib.parameters import Parameters
from tests.conftest import PAYLOADS, payload

IDENTIFIER = "db" + "0" * 62


def inspected(**changes: dict[str, Any]) -> dict[str, Any]:
    """A running container without anything special, then `changes` of its parts."""
    raw: dict[str, Any] = {
        "Id": IDENTIFIER,
        "Name": "/app",
        "Created": "2026-01-02T03:04:05.678901234Z",
        "State": {"Status": "running", "Running": True, "Pid": 42},
        "Config": {"Image": "app:1", "Labels": {}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {}, "Networks": {}},
    }
    for part, change in changes.items():
        raw[part] = {**raw[part], **change} if isinstance(raw.get(part), dict) else change
    return raw


def tables(*raw: dict[str, Any], **parts: Any) -> Mapping[str, Sequence[Row]]:
    """The rows of an engine with these containers and parts."""
    engine = {
        "endpoint": "unix:///run/docker.sock",
        "local": True,
        "version": {"Version": "29.0.1", "ApiVersion": "1.52"},
        "gaps": [],
        "containers": [*raw],
        **parts,
    }
    return containers.rows(engine).tables


def container(**changes: dict[str, Any]) -> Row:
    [row] = tables(inspected(**changes))["containers"]
    return row


def publications(configured: dict[str, Any], live: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    raw = inspected(HostConfig={"PortBindings": configured}, NetworkSettings={"Ports": live or {}})
    columns = ("protocol", "container_port", "host_ip", "host_port", "host_port_last", "live")
    return [tuple(getattr(row, column) for column in columns) for row in tables(raw)["publications"]]


def bound(port: str, ip: str = "") -> list[dict[str, str]]:
    return [{"HostIp": ip, "HostPort": port}]


@pytest.mark.parametrize("variant", ["faulty", "healthy"])
def test_recorded_answers_make_the_declared_tables(variant: str) -> None:
    recorded = payload(variant, "engine")
    made = containers.rows(recorded).tables
    read = {name: TABLES[name].rows(rows) for name, rows in made.items()}
    assert set(read) == {name for name, table in TABLES.items() if table.source == "engine"}
    for name in ("containers", "networks", "volumes", "images"):
        assert len(read[name]) == len(recorded[name]) > 0
    names = {containers.name(one) for one in recorded["containers"]}
    for name in ("container_networks", "mounts", "labels", "publications"):
        assert {row.container for row in read[name]} <= names


def test_the_recorded_ports_are_the_published_ones() -> None:
    rows = containers.rows(payload("faulty", "engine")).tables["publications"]
    live = Counter((row.container, row.host_port) for row in rows if row.live)
    assert live["ai-orchestrator-frontend", 8002] == live["traefik", 443] == live["agent-zero", 2222] == 2
    assert {row.host_ip for row in rows if row.live} == {"0.0.0.0", "::"}


def test_a_matrix_of_odd_containers_makes_the_declared_tables() -> None:
    odd = json.loads((PAYLOADS / "docker_matrix.json").read_text("utf-8"))["containers"]
    made = tables(*odd)
    read = {name: TABLES[name].rows(rows) for name, rows in made.items()}
    states = {row.name: row.health for row in read["containers"]}
    assert len(read["containers"]) == len(odd) == 62
    assert (states["t10healthy"], states["t10starting"], states["t10unhealthy"]) == ("healthy", "starting", "unhealthy")
    assert states["t10none"] is None
    assert len(read["labels"]) == sum(len(one["Config"]["Labels"] or {}) for one in odd)
    attached = read["container_networks"].grouped(ContainerNetwork.container)
    assert all(row.ipv6 for row in attached["t32v6"])
    assert not all(row.ipv4 for row in attached["t33emptyip"])


@pytest.mark.parametrize(
    ("configured", "live", "expected"),
    [
        # In force: told once, with the addresses that are really bound.
        (
            {"80/tcp": bound("8080")},
            {"80/tcp": [*bound("8080", "0.0.0.0"), *bound("8080", "::")]},
            [("tcp", 80, "0.0.0.0", 8080, None, True), ("tcp", 80, "::", 8080, None, True)],
        ),
        # Only configured: the container is stopped, or in the host's network.
        (
            {"80/tcp": bound("8080", "127.0.0.1")},
            {},
            [("tcp", 80, "127.0.0.1", 8080, None, False)],
        ),
        (
            {"80/tcp": bound("8080")},
            {"80/tcp": None},
            [("tcp", 80, "0.0.0.0", 8080, None, False), ("tcp", 80, "::", 8080, None, False)],
        ),
        # One of two is in force.
        (
            {"80/tcp": bound("80", "10.0.0.1"), "53/udp": bound("53", "10.0.0.1")},
            {"80/tcp": bound("80", "10.0.0.1")},
            [("tcp", 80, "10.0.0.1", 80, None, True), ("udp", 53, "10.0.0.1", 53, None, False)],
        ),
        # A port chosen by the engine: unknown until it is in force.
        ({"80/tcp": bound("", "::1")}, {}, [("tcp", 80, "::1", None, None, False)]),
        ({"80/tcp": bound("0", "::1")}, {}, [("tcp", 80, "::1", None, None, False)]),
        ({"80/tcp": bound("", "::1")}, {"80/tcp": bound("49153", "::1")}, [("tcp", 80, "::1", 49153, None, True)]),
        # A range where the engine chooses.
        ({"80/tcp": bound("8000-8010", "::1")}, {}, [("tcp", 80, "::1", 8000, 8010, False)]),
        # Two addresses for one port, IPv6 too; a protocol that is not said; an older engine's null.
        (
            {"80": [*bound("80", "10.0.0.1"), *bound("80", "2001:db8::1")], "81/tcp": None},
            {},
            [("tcp", 80, "10.0.0.1", 80, None, False), ("tcp", 80, "2001:db8::1", 80, None, False)],
        ),
        ({"5000/sctp": bound("5000", "::1")}, {}, [("sctp", 5000, "::1", 5000, None, False)]),
        # Exposed is not published.
        ({}, {"9090/tcp": None}, []),
    ],
)
def test_publications(configured: dict[str, Any], live: dict[str, Any], expected: list[tuple[Any, ...]]) -> None:
    assert publications(configured, live) == expected


def test_a_container_without_network_settings_has_only_what_it_claims() -> None:
    raw = {**inspected(HostConfig={"PortBindings": {"80/tcp": bound("80", "::1")}}), "NetworkSettings": None}
    assert [row.live for row in tables(raw)["publications"]] == [False]
    assert tables(raw)["container_networks"] == []


@pytest.mark.parametrize(
    ("part", "change", "column", "expected"),
    [
        ("State", {"Health": {"Status": "healthy"}}, "health", "healthy"),
        ("State", {"Health": {"Status": "none"}}, "health", None),
        ("State", {"Health": {"Status": ""}}, "health", None),
        ("State", {"Health": None}, "health", None),
        ("State", {}, "health", None),
        ("Config", {"Healthcheck": {"Test": ["CMD", "true"]}}, "healthcheck", True),
        ("Config", {"Healthcheck": {"Test": ["NONE"]}}, "healthcheck", False),
        ("Config", {"Healthcheck": {"Test": []}}, "healthcheck", False),
        ("Config", {"Healthcheck": None}, "healthcheck", False),
        ("HostConfig", {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "restart_max", 3),
        ("HostConfig", {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}, "restart_max", None),
        ("HostConfig", {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}, "restart_policy", "no"),
        ("HostConfig", {"RestartPolicy": None}, "restart_policy", "no"),
        ("HostConfig", {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}}, "log_max_size", "10m"),
        ("HostConfig", {"LogConfig": {"Type": "json-file", "Config": {}}}, "log_max_size", None),
        ("HostConfig", {"LogConfig": {"Type": "none", "Config": None}}, "log_max_size", None),
        ("HostConfig", {"Memory": 0}, "memory_limit", None),
        ("HostConfig", {"Memory": -1}, "memory_limit", None),
        ("HostConfig", {"Memory": 2**40}, "memory_limit", 2**40),
        ("HostConfig", {"NanoCpus": 0}, "nano_cpus", None),
        ("HostConfig", {"NanoCpus": 1_500_000_000}, "nano_cpus", 1_500_000_000),
        ("HostConfig", {"PidsLimit": None}, "pids_limit", None),
        ("HostConfig", {"PidsLimit": 0}, "pids_limit", None),
        ("HostConfig", {"PidsLimit": -1}, "pids_limit", None),
        ("HostConfig", {"PidsLimit": 100}, "pids_limit", 100),
        ("HostConfig", {"CpuShares": 0}, "cpu_shares", None),
        ("HostConfig", {"CpuShares": 512}, "cpu_shares", 512),
        ("HostConfig", {"CpuQuota": 50_000}, "cpu_quota", 50_000),
        ("HostConfig", {"Devices": None}, "devices", ()),
        ("HostConfig", {"Devices": [{"PathOnHost": "/dev/dri", "PathInContainer": "/dev/dri"}, {}]}, "devices",
         ("/dev/dri",)),
        ("HostConfig", {"Ulimits": None}, "ulimits", ()),
        ("HostConfig", {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}, "ulimits", ("nofile",)),
        ("HostConfig", {"CgroupParent": ""}, "cgroup_parent", None),
        ("HostConfig", {"CgroupParent": "/big"}, "cgroup_parent", "/big"),
        ("State", {"StartedAt": "0001-01-01T00:00:00Z"}, "started", None),
        ("State", {"FinishedAt": "0001-01-01T00:00:00Z"}, "finished", None),
        ("State", {"FinishedAt": ""}, "finished", None),
        ("State", {"StartedAt": "2026-01-02T03:04:05Z"}, "started",
         dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("State", {"Pid": 0}, "pid", None),
        ("State", {"Error": ""}, "start_error", None),
        ("State", {"Error": "exec: PGPASSWORD=4bcdef not found"}, "start_error",
         f"exec: PGPASSWORD={REMOVED} not found"),
        ("HostConfig", {"CapAdd": None}, "cap_add", ()),
        ("HostConfig", {"PidMode": ""}, "pid_mode", None),
        ("Config", {"User": ""}, "user", None),
        ("Config", {"ExposedPorts": {"53/udp": {}, "80/tcp": {}}}, "exposed_ports", ("53/udp", "80/tcp")),
        ("Config", {"Labels": {"com.docker.compose.project.config_files": "/a.yml,/b.yml"}}, "compose_files",
         ("/a.yml", "/b.yml")),
        ("Config", {"Labels": None}, "compose_project", None),
    ],
)  # fmt: skip
def test_a_field_that_says_nothing_is_unknown(part: str, change: dict[str, Any], column: str, expected: Any) -> None:
    assert getattr(container(**{part: change}), column) == expected


@pytest.mark.parametrize(
    ("end", "aliases"),
    [
        # Before engine 26: aliases, with the short id among them, and the name apart.
        ({"Aliases": ["web", IDENTIFIER[:12]]}, ("app", "web")),
        ({"Aliases": None}, ("app",)),
        # Since: the whole list.
        ({"Aliases": ["web"], "DNSNames": ["app", "web", "other", IDENTIFIER[:12]]}, ("app", "other", "web")),
        ({"Aliases": ["web"], "DNSNames": None}, ("app", "web")),
        # A service called « db » in a container whose id starts with these letters.
        ({"Aliases": ["db", IDENTIFIER[:12]]}, ("app", "db")),
    ],
)
def test_aliases(end: dict[str, Any], aliases: tuple[str, ...]) -> None:
    [row] = tables(inspected(NetworkSettings={"Networks": {"front": end}}))["container_networks"]
    assert (row.aliases, row.ipv4, row.ipv6) == (aliases, None, None)


@pytest.mark.parametrize(
    ("label", "value", "kept"),
    [
        ("com.docker.compose.project", "media", "media"),
        ("com.docker.compose.image", "sha256:0", None),
        ("com.docker.compose.environment_file", "/srv/.env", None),
        ("org.opencontainers.image.source", "https://exemple.fr", None),
        ("maintainer", "bob", None),
        ("project", "not Compose's", None),
        ("traefik.enable", "true", "true"),
        ("Traefik.HTTP.routers.A.Rule", "Host(`a.fr`)", "Host(`a.fr`)"),
        ("traefik.http.routers.auth.entrypoints", "websecure", "websecure"),
        ("traefik.http.middlewares.a.forwardauth.address", "http://auth:9000/check", "http://auth:9000/check"),
        ("traefik.http.middlewares.a.basicauth.usersfile", "/users", "/users"),
        ("traefik.http.routers.a.rule", "Header(`X-Token`, `abc`)", f"Header(`X-Token`, `{REMOVED}`)"),
        ("traefik.http.middlewares.a.forwardauth.address", "http://bob:s3cr3t@auth", "http://auth"),
        ("traefik.http.middlewares.a.basicauth.users", "bob:x", f"{REMOVED}:{REMOVED}"),
        ("traefik.http.middlewares.a.basicauth.users[0]", "bob", f"{REMOVED} seul"),
        (
            "traefik.http.middlewares.a.basicauth.users",
            "bob:x,eve:a:b,:c,",
            f"{REMOVED}:{REMOVED},{REMOVED}:{REMOVED}:{REMOVED},:{REMOVED},",
        ),
        ("traefik.http.middlewares.a.digestAuth.Users", "bob:realm:x", f"{REMOVED}:{REMOVED}:{REMOVED}"),
        ("traefik.http.middlewares.a.headers.customrequestheaders.X-Any", "x", REMOVED),
        ("traefik.http.middlewares.a.headers.customResponseHeaders.X-Any", "x", REMOVED),
        ("traefik.http.middlewares.a.plugin.bouncer.anything", "x", REMOVED),
        ("traefik.http.middlewares.a.ratelimit.redis.password", "x", REMOVED),
        ("traefik.http.middlewares.a.oidc.clientSecret", "x", REMOVED),
        ("traefik.http.services.a.loadbalancer.healthcheck.headers.X-Any", "x", REMOVED),
        ("traefik.frontend.auth.basic.users", "bob:x", REMOVED),
        ("traefik.frontend.headers.customRequestHeaders", "X-Any:x", REMOVED),
    ],
)
def test_labels_keep_what_the_audit_needs(label: str, value: str, kept: str | None) -> None:
    variant = 1 if kept not in (value, None) else None
    assert tables(inspected(Config={"Labels": {label: value}}))["labels"] == [
        ContainerLabel(container="app", label=label, value=kept, variant=variant)
    ]


def test_a_mounted_folder_is_known_as_far_as_it_was_looked_at() -> None:
    sources = ("/etc/nginx", "/etc/localtime", "/srv/data")
    raw = inspected(Mounts=[{"Type": "bind", "Source": one, "Destination": one} for one in sources])
    looked = tables(raw, folders={"/etc/nginx": True, "/etc/localtime": False})["mounts"]
    assert [row.folder for row in looked] == [True, False, None]
    assert [row.folder for row in tables(raw)["mounts"]] == [None, None, None]


def test_values_that_are_removed_are_told_apart_and_nothing_more() -> None:
    users = "traefik.http.middlewares.auth.basicauth.users"
    made = [
        inspected(Name=f"/c{n}", Config={"Labels": {users: value}}) for n, value in enumerate(("a:1", "b:2", "a:1"))
    ]
    made[2]["Config"]["Labels"] = {users.replace("users", "Users"): "a:1"}
    rows = tables(*made)["labels"]
    assert [(row.value, row.variant) for row in rows] == [(f"{REMOVED}:{REMOVED}", n) for n in (1, 2, 1)]


@pytest.mark.parametrize(
    "told",
    [
        {"Args": ["--providers.docker.constraints=Label(`zone`,`public`) || LabelRegex(`tier`, `a.*`)"]},
        {"Args": ["--Providers.Docker.Constraints", "Label(`zone`,`public`) && LabelRegex(`tier`, `a.*`)"]},
        {"Config": {"Env": ['TRAEFIK_PROVIDERS_DOCKER_CONSTRAINTS=Label("zone","public")||LabelRegex("tier","a")']}},
    ],
)
def test_labels_by_which_traefik_chooses_its_containers_keep_their_value(told: dict[str, Any]) -> None:
    labels = {"zone": "public", "tier": "https://bob:s3cr3t@a", "other": "x", "Zone": "x"}
    rows = tables(inspected(Name="/traefik", **told), inspected(Config={"Labels": labels}))["labels"]
    kept = {row.label: row.value for row in rows if row.container == "app"}
    assert kept == {"zone": "public", "tier": "https://a", "other": None, "Zone": None}


@pytest.mark.parametrize("value", ["true", "TRUE", "false", ""])
def test_a_switch_is_no_secret(value: str) -> None:
    label = "traefik.http.services.a.loadbalancer.sticky.cookie"
    assert tables(inspected(Config={"Labels": {label: value}}))["labels"][0].value == value


@pytest.mark.parametrize(
    ("part", "item", "column", "expected"),
    [
        ("images", {"Id": "i", "Created": -62135596800}, "created", None),  # the year 1
        ("images", {"Id": "i", "Created": 0}, "created", None),
        ("images", {"Id": "i", "Created": 1_700_000_000}, "created", dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)),
        ("images", {"Id": "i", "RepoTags": ["<none>:<none>"]}, "tags", ()),
        ("images", {"Id": "i", "RepoTags": None}, "tags", ()),
        ("volumes", {"Name": "v", "Driver": "local", "Labels": None}, "compose_project", None),
        ("volumes", {"Name": "v", "Driver": "local", "CreatedAt": "0001-01-01T00:00:00Z"}, "created", None),
        ("volumes", {"Name": "v", "Driver": "local", "Mountpoint": ""}, "mountpoint", None),
        ("networks", {"Name": "n", "Id": "1", "Driver": "host", "IPAM": {"Config": None}}, "subnets", ()),
        ("networks", {"Name": "n", "Id": "1", "Driver": "null", "IPAM": None}, "gateways", ()),
        ("networks", {"Name": "n", "Id": "1", "Driver": "bridge",
                      "IPAM": {"Config": [{"Subnet": "fd00::/64", "Gateway": "fd00::1/64"}]}},
         "gateways", ("fd00::1",)),
    ],
)  # fmt: skip
def test_parts(part: str, item: dict[str, Any], column: str, expected: Any) -> None:
    [row] = tables(**{part: [item]})[part]
    assert getattr(row, column) == expected
    assert len(TABLES[part].rows([row])) == 1


def test_instants_of_any_time_zone_are_read_as_utc() -> None:
    times = ["2026-11-23T10:40:31+01:00", "2026-06-23T10:40:31+02:00", "2026-06-23T08:40:31.123456789Z"]
    volumes = [{"Name": f"v{i}", "Driver": "local", "CreatedAt": time} for i, time in enumerate(times)]
    rows = TABLES["volumes"].rows(tables(volumes=volumes)["volumes"])
    assert [f"{row.created:%m-%d %H:%M}" for row in rows] == ["11-23 09:40", "06-23 08:40", "06-23 08:40"]


def test_an_engine_that_knows_no_swarm() -> None:
    [row] = tables(info={"Name": "serveur", "Swarm": None, "SecurityOptions": None})["docker_engine"]
    assert (row.name, row.swarm, row.security_options) == ("serveur", None, None)


@pytest.mark.parametrize("field", ["Id", "Name", "State", "Config", "HostConfig", "NetworkSettings"])
def test_a_required_field_that_is_missing_is_an_error(field: str) -> None:
    raw = inspected()
    del raw[field]
    with pytest.raises(KeyError, match=field):
        tables(raw)
    outcome = run({**payload("faulty", "engine"), "containers": [raw]})
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert outcome.reason == f"La réponse n’a pas la forme attendue (KeyError : '{field}')."


def test_rows_that_contradict_one_another_are_a_failure_of_the_source() -> None:
    outcome = run({**payload("faulty", "engine"), "containers": [inspected(), inspected(Config={"Image": "other"})]})
    assert (outcome.status, outcome.tables) == ("failed", {})
    assert "repeated" in outcome.reason


def run(fetched: dict[str, Any]) -> Outcome:
    source = Source("engine", "moteur Docker", (), lambda parameters, payloads: fetched, containers.rows)
    return gather([source], Parameters(), lambda outcome: None)["engine"]


def test_only_the_names_of_variables_are_kept() -> None:
    made = tables(
        inspected(Config={"Image": "app:1", "Env": ["PASSWORD=hunter2=x", "EMPTY=", "ALONE", "PASSWORD=again"]})
    )
    assert made["container_environment"] == [
        ContainerVariable(container="app", variable=name) for name in ("ALONE", "EMPTY", "PASSWORD")
    ]
    assert "hunter2" not in str(made)


@pytest.mark.parametrize(
    ("configured", "live", "chosen"),
    [
        (bound("8080"), bound("8080", "0.0.0.0"), [False]),
        (bound(""), bound("32768", "0.0.0.0"), [True]),
        (bound("8000-8010"), bound("8003", "0.0.0.0"), [True]),
        # « -P »: nothing was configured.
        (None, bound("32768", "0.0.0.0"), [True]),
        (bound("8080", "::1"), None, [False]),
        (bound("0", "::1"), None, [True]),
        (bound("8000-8010", "::1"), None, [True]),
    ],
)
def test_who_chose_a_published_port(
    configured: list[dict[str, str]] | None, live: list[dict[str, str]] | None, chosen: list[bool]
) -> None:
    raw = inspected(
        HostConfig={"PortBindings": {"80/tcp": configured} if configured else {}},
        NetworkSettings={"Ports": {"80/tcp": live} if live else {}},
    )
    assert [row.chosen for row in tables(raw)["publications"]] == chosen


SWARM = {
    "NodeID": "n1",
    "NodeAddr": "10.0.0.5",
    "LocalNodeState": "active",
    "ControlAvailable": True,
    "RemoteManagers": [{"NodeID": "n2", "Addr": "10.0.0.6:2377"}, {"NodeID": "n1", "Addr": "10.0.0.5:2400"}],
    "Nodes": 3,
    "Managers": 2,
    "Cluster": {
        "Spec": {
            "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000},
            "EncryptionConfig": {"AutoLockManagers": False},
        },
        "JoinTokens": {"Worker": "CANARI-jeton"},
    },
}


def swarm(**changes: Any) -> Sequence[Row] | None:
    recorded = payload("faulty", "engine")
    recorded["info"]["Swarm"] = {**SWARM, **changes}
    return containers.rows(recorded).tables.get("docker_swarm")


def test_the_swarm_of_a_manager() -> None:
    assert swarm() == [
        DockerSwarm(
            name=payload("faulty", "engine")["info"]["Name"],
            address="10.0.0.5",
            manager=True,
            port=2400,
            nodes=3,
            managers=2,
            autolock=False,
            certificate_days=90,
        )
    ]


def test_the_swarm_of_a_node_that_manages_nothing() -> None:
    found = swarm(ControlAvailable=False, Nodes=0, Managers=0, Cluster=None)
    columns = ("manager", "port", "nodes", "managers", "autolock", "certificate_days")
    assert found and [getattr(found[0], column) for column in columns] == [False, None, None, None, None, None]


@pytest.mark.parametrize(("state", "expected"), [("inactive", []), ("locked", None), ("error", None), ("", None)])
def test_a_node_outside_a_swarm_and_one_that_does_not_tell(state: str, expected: list[Any] | None) -> None:
    assert swarm(LocalNodeState=state) == expected


@pytest.mark.parametrize(
    ("driver", "options", "encrypted"),
    [
        ("overlay", {"com.docker.network.driver.overlay.vxlanid_list": "4098", "encrypted": ""}, True),
        ("overlay", {"com.docker.network.driver.overlay.vxlanid_list": "4097"}, False),
        ("overlay", None, False),
        ("bridge", {"encrypted": ""}, None),
    ],
)
def test_networks_of_a_swarm_are_encrypted_or_not(driver: str, options: Any, encrypted: bool | None) -> None:
    recorded = payload("faulty", "engine")
    recorded["networks"] = [{"Name": "n", "Id": "1", "Driver": driver, "Options": options}]
    [row] = containers.rows(recorded).tables["networks"]
    assert row.encrypted is encrypted
