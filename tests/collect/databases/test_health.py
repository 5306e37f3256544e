"""Health checks: what is shown of them, and that nothing of a password is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.collect.databases.health import HIDDEN, read

ENVIRONMENT = {"POSTGRES_USER": "lalpha", "POSTGRES_DB": "main"}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (["CMD-SHELL", "pg_isready -U lalpha -d main"], ("pg_isready -U lalpha -d main", "lalpha", "main")),
        (["CMD", "pg_isready", "--username=lalpha", "-dmain"],
         ("pg_isready --username=lalpha -dmain", "lalpha", "main")),
        (["CMD-SHELL", 'pg_isready -U "$POSTGRES_USER" -d ${POSTGRES_DB} || exit 1'],
         ("pg_isready -U lalpha -d main || exit 1", "lalpha", "main")),
        (["CMD-SHELL", "pg_isready -U $SECRET_NAME"], ("pg_isready -U …", None, None)),
        (["CMD-SHELL", "pg_isready -d postgres://u:hunter2@h/main"], ("pg_isready -d …", None, None)),
        (["CMD", "redis-cli", "ping"], ("redis-cli ping", None, None)),
        (["CMD", "/usr/local/bin/redis-cli", "-a", "hunter2", "ping"], ("redis-cli … ping", None, None)),
        (["CMD-SHELL", "redis-cli --pass hunter2 ping | grep PONG"], ("redis-cli … ping | grep PONG", None, None)),
        (["CMD-SHELL", "redis-cli -u redis://:hunter2@localhost ping"], ("redis-cli … ping", None, None)),
        (["CMD-SHELL", "mysqladmin ping -h localhost -u root -phunter2"],
         ("mysqladmin ping -h localhost -u root …", "root", None)),
        (["CMD", "mysqladmin", "ping", "-p", "hunter2"], ("mysqladmin ping …", None, None)),
        (["CMD-SHELL", "mariadb-admin ping -uroot --password=hunter2"], ("mariadb-admin ping -uroot …", "root", None)),
        (["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"],
         ("healthcheck.sh --connect --innodb_initialized", None, None)),
        (["CMD-SHELL", "mongosh --quiet -u root -p hunter2 --eval 'db.hello()'"],
         ("mongosh --quiet … --eval …", None, None)),
        (["CMD", "curl", "-f", "http://localhost:8000/api/v2/heartbeat"],
         ("curl -f http://localhost:8000/api/v2/heartbeat", None, None)),
        (["CMD", "curl", "-H", "X-Token: hunter2", "http://h/x?token=hunter2"], ("curl … http://h/x", None, None)),
        (["CMD", "curl", "-u", "admin:hunter2", "http://admin:hunter2@h/"], ("curl …", None, None)),
        (["CMD-SHELL", "PGPASSWORD=hunter2 psql -U a -c 'select 1'"], ("… psql -U a -c …", "a", None)),
        (["CMD-SHELL", "echo 'hunter2"], (HIDDEN, None, None)),
        (["NONE"], (None, None, None)),
        ([], (None, None, None)),
    ],
)  # fmt: skip
def test_health_checks(test: list[str], expected: tuple[str | None, ...]) -> None:
    assert read({"Test": test}, ENVIRONMENT) == expected


def test_no_health_check() -> None:
    assert read(None, {}) == (None, None, None)
    assert read({}, {}) == (None, None, None)


_PLACES = [
    "redis-cli -a {} ping", "redis-cli --pass={} ping", "mysqladmin -p{} ping", "mysqladmin --password={} ping",
    "PGPASSWORD={} pg_isready", "curl -u a:{} http://h/", "curl http://h/?k={}", "curl http://a:{}@h/", "mongosh -p {}",
    "psql postgres://a:{}@h/d", "wget --header='X: {}' http://h/", "echo {}", "/opt/{} ping",
]  # fmt: skip


@given(st.sampled_from(_PLACES), st.from_regex(r"[A-Za-z0-9!$%&/=?+*_.:@#-]{10,20}", fullmatch=True))
def test_no_password_is_shown_wherever_it_stands(place: str, secret: str) -> None:
    for test in (["CMD-SHELL", place.format(secret)], ["CMD", *place.format(secret).split()]):
        shown = " ".join(filter(None, read({"Test": test}, {})))
        assert secret not in shown
        assert secret[:8] not in shown


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_check_is_read(words: list[str]) -> None:
    for head in ("CMD", "CMD-SHELL"):
        read({"Test": [head, *words]}, {})
