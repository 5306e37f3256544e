"""Nothing of a secret stays in a text, and a text without secrets stays as it is."""

import json
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from auditlib.collect.secrets import REMOVED, redact, redact_rule, secret_name
from auditlib.traefik import rules


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "PGPASSWORD", "POSTGRES_PASSWORD", "password", "passwd", "DB_PASS", "dbpass", "MYSQL_PWD"),
        *("mot_de_passe", "motDePasse", "passphrase", "SECRET_KEY", "clientSecret", "X-Api-Key", "apiKey", "APIKEY"),
        *("TS_AUTHKEY", "accesskey", "AccountKey", "GITHUB_TOKEN", "X-Token", "credentials", "Authorization", "Cookie"),
        *("set-cookie", "--auth", "REDIS_AUTH", "session", "sessionId", "hmacEncoded", "eab.kid", "SENTRY_DSN", "jwt"),
        *("SLACK_WEBHOOK_URL", "sig", "otp", "requirepass", "salt", "signature", "ssh_keys"),
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("KEYCLOAK_URL", "compass", "bypass", "author", "authentik", "keyboard", "monkey", "passage", "passthrough"),
        *("spine", "signal", "resolver", "POSTGRES_USER", "POSTGRES_DB", "address", "network", "X-Forwarded-For"),
        *("entrypoints", "keytype", "hostname", "port", "level", "pinned", ""),
    ],
)  # fmt: skip
def test_names_of_no_secret(name: str) -> None:
    assert not secret_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("error: PGPASSWORD=hunter2 not found", f"error: PGPASSWORD={REMOVED} not found"),
        ("env PASSWORD=a,b;c&d) x", f"env PASSWORD={REMOVED} x"),
        ("redis-server --requirepass hunter2 --port 6379", f"redis-server --requirepass {REMOVED} --port 6379"),
        ("mysqldump --password='a b' base", f"mysqldump --password={REMOVED} base"),
        ('{"password": "a\\"b", "user": "bob"}', f'{{"password": {REMOVED}, "user": "bob"}}'),
        ('{"user": "bob", "password": "coup', f'{{"user": "bob", "password": {REMOVED}'),
        ('{\\"token\\":\\"abc\\",\\"user\\":\\"bob\\"}', f'{{\\"token\\":{REMOVED},\\"user\\":\\"bob\\"}}'),
        ("password: 'it''s'", f"password: {REMOVED}"),
        ("user[password]=abc", f"user[password]={REMOVED}"),
        ("'password' => 'abc',", f"'password' => {REMOVED},"),
        ("map[password:abc user:bob]", f"map[password:{REMOVED} user:bob]"),
        ("curl -H 'X-Token: a b' http://x", f"curl -H 'X-Token: {REMOVED}' http://x"),
        ('cmd="x --token=abc"', f'cmd="x --token={REMOVED}"'),
        ("GET /x?token=abc&page=2 HTTP/1.1", f"GET /x?token={REMOVED} HTTP/1.1"),
        ("password=", "password="),
        ("postgres://bob:pw@db:5432/app?sslmode=require", "postgres://db:5432/app?sslmode=require"),
        ("redis://:p/w?x@h:6379/0", "redis://h:6379/0"),
        ("mongodb://u:p@h1:27017,h2:27017/db", "mongodb://h1:27017,h2:27017/db"),
        ("https://tok3n@github.com/x", "https://github.com/x"),
        ("HTTPS://u:p@h/x@y", "HTTPS://h/x@y"),
        ("http://u:p/w@h", "http://h"),
        ("root:pa@ss/w:d@tcp(db:3306)/app", "tcp(db:3306)/app"),
        ("Authorization: Token 9944b0", f"Authorization: {REMOVED}"),
        ('authorization: Digest username="bob", response="66"\nHost: x', f"authorization: {REMOVED}\nHost: x"),
        ("Cookie: a=b; session=c", f"Cookie: {REMOVED}"),
        ("sent Bearer abcDEF123 to x", f"sent Bearer {REMOVED} to x"),
        ("Basic dXNlcjpwYXNz", f"Basic {REMOVED}"),
        ("bob:$2y$05$abcdefghijklmnopqrstuv", f"bob:{REMOVED}"),
        ("bob:$$apr1$$abcdefgh$$ijklmnop", f"bob:${REMOVED}"),
        ("$argon2id$v=19$m=65536,t=3,p=4$c2Fsd$aGFzaGhhc2g", REMOVED),
        ("$1$saltsalt$0123456789abcdefghij", REMOVED),
        ("admin:{SHA}N5BtrPAEcY9e/OENa0/HhJc5aQ4=", f"admin:{REMOVED}"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc y", f"x {REMOVED} y"),
        ("key ghp_0123456789abcdefABCDEF", f"key {REMOVED}"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- b", f"a {REMOVED} b"),
        ("-----BEGIN PRIVATE KEY-----\nabc", REMOVED),
    ],
)
def test_secrets_are_removed(text: str, expected: str) -> None:
    assert redact(text) == expected


INNOCENT = [
    "",
    "token expired",
    "password authentication failed for user bob",
    "Basic authentication required",
    "basic Authentication is missing",
    "manifest digest mismatch, expected digest sha256:0123456789abcdef",
    "KEYCLOAK_URL=http://keycloak:8080",
    "http://auth:9000/outpost.goauthentik.io/auth/traefik",
    "https://token:8443",
    "h2c://session:50051",
    "http://[::1]:8080/@scope/paquet",
    "https://exemple.fr:8080/@scope/paquet@1.2",
    "mongodb://h1:27017,h2:27017/base",
    "oci://registre/app@sha256:0123",
    "registre:5000/app:1.2@sha256:0123456789abcdef",
    "unix:///run/user/1000/docker@1.sock",
    "git@github.com:organisation/depot.git",
    '["http://h:80","bob@exemple.fr"]',
    "https://$1$2quelquechose/$3",
    "${1}/$2$3",
    "Host(`secret.exemple.fr`) && PathPrefix(`/auth`)",
    "HostRegexp(`^(token|auth)\\.exemple\\.fr$`)",
    'middleware "auth@docker" does not exist',
    "the service \"token@file\" does not exist",
    "unknown TLS options: moderne@file",
    "field not found, node: passhostheader2",
    "unable to get ACME account: permissions 644 for /acme.json are too open, please use 600",
    "Bind for 0.0.0.0:8002 failed: port is already allocated",
    "driver failed programming external connectivity on endpoint auth (0123456789ab): address already in use",
    'OCI runtime create failed: exec: "/entrypoint.sh": permission denied: unknown',
    "dial tcp: lookup auth on 127.0.0.11:53: no such host",
    'error mounting "/srv/keys" to rootfs at "/keys": not a directory',
    "X-Auth-User,X-Auth-Groups",
    "open /run/secrets/db_password: permission denied",
    "l’API demande un mot de passe",
    "conteneur « clé » : 3 octets",
]  # fmt: skip


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == text
    assert redact_rule(text) == text


# What the patterns look at, so that any text made of it is near a border.
PIECES = st.sampled_from(
    [
        *("password", "token", "--auth", "Authorization", "Cookie", "name", "Bearer ", "basic ", "digest ", "é", "1"),
        *("://", "http://", "redis://", ":", "=", "=>", ":=", "@", "/", "?", "&", ",", ";", " ", "\n", "-", "\\"),
        *('"', "'", "`", "(", ")", "[", "]", "{", "}", "$", "$apr1$", "{SHA}", "eyJabcdefgh", REMOVED, REMOVED[:5]),
        *("-----BEGIN A-----", "-----END A-----", "Header(", "Query(", "X-Token", "/*", "*/", "tcp(", "a", "\x00"),
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text()


@given(TEXTS)
def test_redaction_is_idempotent(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    ruled = redact_rule(text)
    assert redact_rule(ruled) == ruled


# Neither blanks nor control characters (a value that may hold them is quoted), nor a quotation mark in front.
PASSWORDS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=6, max_size=24).filter(
    lambda text: text[0] not in "\"'`"
)
NAMES = st.sampled_from(["PGPASSWORD", "db_password", "X-Api-Key", "clientSecret", "GITHUB_TOKEN", "auth"])


def pieces(secret: str) -> set[str]:
    """What of a secret would be recognised: any four characters of it in a row."""
    return {secret[start : start + 4] for start in range(len(secret) - 3)}


def assert_hidden(frame: str, secret: str, written: str | None = None) -> None:
    """Nothing of `secret` is left where it stood, as `written`, in place of the ¤ of `frame`."""
    assume(not any(piece in frame or piece in REMOVED for piece in pieces(secret)))
    left = redact(frame.replace("¤", secret if written is None else written))
    assert [piece for piece in pieces(secret) if piece in left] == []
    assert redact(left) == left


@given(NAMES, PASSWORDS, st.sampled_from(["{}=¤", "exec {}=¤ failed", "-e {}=¤ image", "{}: ¤", "l’a : {}=¤, refusé"]))
@example("PGPASSWORD", "ab,cd;ef", "{}=¤")
@example("PGPASSWORD", "ab'cd\"ef", "{}=¤")
@example("auth", "12345678", "{}: ¤")
def test_name_and_value(name: str, secret: str, frame: str) -> None:
    assert_hidden(frame.format(name), secret)


@given(NAMES, PASSWORDS)
@example("auth", "=abcdef")
def test_option_and_value(name: str, secret: str) -> None:
    assume(not secret.startswith("-"))  # the next option, then
    assert_hidden(f"program --{name} ¤ --verbose", secret)
    assert_hidden(f"program --{name}=¤ --verbose", secret)


@given(NAMES, st.text(min_size=6), st.sampled_from([(", ", ": "), (",", ":")]), st.booleans())
@example("auth", 'ab"cd"ef', (",", ":"), True)
@example("auth", "ab cd\nef", (", ", ": "), False)
def test_json(name: str, secret: str, separators: tuple[str, str], plain: bool) -> None:
    written = json.dumps(secret, ensure_ascii=not plain)
    frame = json.dumps({"user": "bob", name: "¤", "port": 5432}, separators=separators, ensure_ascii=False)
    assert_hidden(frame.replace('"¤"', "¤"), written[1:-1], written)


@given(PASSWORDS, st.sampled_from(["postgres", "amqps", "redis", "mongodb+srv"]), st.sampled_from(["bob", ""]))
@example("p'w\"x@y/z", "postgres", "bob")
def test_connection_string(secret: str, scheme: str, user: str) -> None:
    # Read as the port of a machine called « bob ».
    assume(not re.match(r"\d{1,5}[/?#,;\"'`)\]}]", secret))
    assert_hidden(f"dial {scheme}://{user}:¤@db.exemple:5432/app failed", secret)


@given(PASSWORDS.filter(lambda text: not set(text) & set("/?#")), st.sampled_from(["http", "https"]))
def test_web_address(secret: str, scheme: str) -> None:
    assume(not re.match(r"\d{1,5}[,;\"'`)\]}]", secret))
    assert_hidden(f"GET {scheme}://bob:¤@exemple.fr/chemin@2 failed", secret)


@given(
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=("C",)), min_size=6), st.sampled_from("TBDA")
)
def test_authorization_header(secret: str, kind: str) -> None:
    scheme = {"T": "Token", "B": "Basic", "D": "Digest", "A": "AWS4-HMAC-SHA256"}[kind]
    assert_hidden(f"Authorization: {scheme} ¤\nHost: exemple.fr", secret)


BASE64 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./"


@given(
    st.text(BASE64, min_size=16, max_size=64),
    st.sampled_from(["$apr1$", "$1$ab$", "$2y$05$", "$5$ab$", "$6$rounds=5000$", "$y$j9T$", "$argon2id$v=19$m=4,t=3$"]),
)
def test_hash(secret: str, kind: str) -> None:
    assert_hidden(f"bob:{kind}¤,alice", secret)


HOSTS = st.lists(st.text("abcxyz019", min_size=1, max_size=8), min_size=1, max_size=3).map(".".join)
PATHS = st.text("abcxyz019/.", max_size=10).map("/{}".format)
VALUES = st.text(st.characters(exclude_characters="`\r", exclude_categories=("Cs",)), min_size=6)
SECRET_HEADERS = st.sampled_from(["X-Token", "Authorization", "x-api-key", "Cookie"])


@st.composite
def secret_rules(draw: st.DrawFn) -> tuple[str, str]:
    """A rule that holds a secret, and the secret: none of it stands elsewhere in the rule."""
    secret = draw(VALUES)
    header, quote = draw(SECRET_HEADERS), draw(st.sampled_from('`"'))
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    written = f"`{secret}`" if quote == "`" else f'"{escaped}"'
    matcher = draw(st.sampled_from(["Header({0}, {1})", "HeaderRegexp( {0} , {1} )", "Query({0},{1},)"]))
    hidden = matcher.format(f"{quote}{header}{quote}", written)
    host = draw(HOSTS.map("Host(`{}`)".format))
    path = draw(PATHS.map("PathPrefix(`{}`)".format) | HOSTS.map("HostRegexp(`^{}$`)".format))
    frame = draw(st.sampled_from(["{h} && {p} && {s}", "{s} && ({h} || {p})", "{h} && !{s}", "({s}) || {h} && {p}"]))
    around = frame.format(h=host, p=path, s=header) + REMOVED
    assume(not any(piece in around for piece in pieces(secret)))
    return frame.format(h=host, p=path, s=hidden), secret


@given(secret_rules())
def test_a_rule_stays_the_rule_without_its_secret(made: tuple[str, str]) -> None:
    rule, secret = made
    left = redact_rule(rule)
    assert [piece for piece in pieces(secret) if piece in left] == []
    assert rules.places(rules.parse(left)) == rules.places(rules.parse(rule))
    assert redact_rule(left) == left


@given(
    secret_rules(), st.integers(0, 200), st.sampled_from(["{}", "error while adding rule {}: no", 'invalid rule: "{}"'])
)
def test_a_rule_that_is_cut_or_quoted_keeps_no_secret(made: tuple[str, str], end: int, frame: str) -> None:
    rule, secret = made
    assume(not any(piece in frame for piece in pieces(secret)))
    left = redact_rule(frame.format(rule[:end]))
    assert [piece for piece in pieces(secret) if piece in left] == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Header(`X-Token`, `abc`)", f"Header(`X-Token`, `{REMOVED}`)"),
        ("headers(`X-Token`,`abc`)", f"headers(`X-Token`, `{REMOVED}`)"),
        ("HeaderRegexp(`X-Auth`, `^a b$`) && Host(`x`)", f"HeaderRegexp(`X-Auth`, `{REMOVED}`) && Host(`x`)"),
        ("Query(`token=abc`) && Host(`x`)", f"Query(`token={REMOVED}`) && Host(`x`)"),
        ("Query(`a=1`, `token=abc`)", f"Query(`a=1`, `token={REMOVED}`)"),
        ("Header(`X-Token`, /* ` */ `abc`)", f"Header(`X-Token`, `{REMOVED}`)"),
        ("Header('X-Token','abc')", f"Header('X-Token', `{REMOVED}`)"),
        ("Header(`X-Token`, `abc", f"Header(`X-Token`, `{REMOVED}`"),
        ('"Header(\\"X-Token\\", \\"abc\\")"', f'"Header(\\"X-Token\\", `{REMOVED}`)"'),
        ("Header(`X-Env`, `prod`)", "Header(`X-Env`, `prod`)"),
        ("Query(`page`, `2`)", "Query(`page`, `2`)"),
        ("Host(`a.fr`) || (Path(`/x`) && !Method(`POST`))", "Host(`a.fr`) || (Path(`/x`) && !Method(`POST`))"),
    ],
)  # fmt: skip
def test_rules(rule: str, expected: str) -> None:
    assert redact_rule(rule) == expected


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["a", "a=", "a:", "a.", "eyJ", "$1$", "{SHA}", "token\\", "'", '"', "--auth ", "token=a "]
)
def test_long_texts_take_no_time(piece: str) -> None:
    """A pattern whose time grows with the square of the text would take minutes here."""
    text = piece * (100_000 // len(piece))
    assert len(redact_rule(text)) <= len(text) * 8
