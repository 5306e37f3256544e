"""The re-runnable check of this very server, as a POSIX shell script written from a snapshot.

What the script looks at again is fixed when it is written: the containers that ran, the networks of what is routed,
the ports and their owners, the domains, the databases, the ACME storage. Everything it says is French, everything it
runs only reads. All text from the machine is quoted by `shlex`; text that hides a control character cannot be typed
again, and is told as not verified.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

from auditlib.facts.frames import is_unknown
from auditlib.facts.legacy import Record, records
from auditlib.facts.snapshot import AbsentTable, Snapshot
from auditlib.french import day, instant, typography, visible
from auditlib.software import database_of, is_up
from auditlib.version import __version__
from auditlib.views.databases import trial_commands

# Where the Docker client looks by itself.
_DEFAULT_ENGINES = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")
# An address of the engine that a client can be given again, as it was shown: nothing was taken out of it.
_ENGINE = re.compile(r"(?:unix|tcp|ssh|fd|http|https)://[\w.@:/\[\]%~+-]+")
# Names of hosts and paths that need no more than quoting in a URL.
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)

_HEAD = r"""
set -u
LC_ALL=C
export LC_ALL
oks=0
ecarts=0
inverifies=0

titre() { printf '\n%s\n' "$1"; }
ok() { oks=$((oks + 1)) && printf '  ok           %s\n' "$1"; }
ecart() { ecarts=$((ecarts + 1)) && printf '  ÉCART        %s\n' "$1"; }
inverifie() { inverifies=$((inverifies + 1)) && printf '  non vérifié  %s\n' "$1"; }
present() { command -v "$1" >/dev/null 2>&1; }

# Aucune commande n’attend sans fin.
borne() {
  if present timeout; then timeout 15 "$@"; else "$@"; fi
}

# conteneur NOM SAIN : en marche, et sain si SAIN vaut « sain ».
conteneur() {
  if ! vu=$(borne docker inspect --type container \
    --format '{{.State.Status}}/{{with .State.Health}}{{.Status}}{{end}}' -- "$1" 2>/dev/null); then
    ecart "$1 : absent"
  elif [ "${vu%%/*}" != running ]; then
    ecart "$1 : ${vu%%/*}, attendu en marche"
  elif [ "$2" = sain ] && [ "${vu#*/}" != healthy ]; then
    ecart "$1 : en marche, contrôle de santé « ${vu#*/} », attendu « healthy »"
  else
    ok "$1 : en marche${2:+, sain}"
  fi
}

# attache NOM RÉSEAU… : attaché à l’un au moins de ces réseaux.
attache() {
  nom=$1
  shift
  if ! vu=$(borne docker inspect --type container \
    --format '{{json .NetworkSettings.Networks}}' -- "$nom" 2>/dev/null); then
    ecart "$nom : absent, réseau $*"
    return
  fi
  for reseau in "$@"; do
    case $vu in
      *"\"$reseau\":"*)
        ok "$nom : attaché à $reseau"
        return
        ;;
    esac
  done
  ecart "$nom : non attaché à $*"
}

# publie NOM PORT_INTERNE/PROTOCOLE PORT : le port de la machine est publié par ce conteneur.
publie() {
  if borne docker port -- "$1" "$2" 2>/dev/null | grep -q ":$3\$"; then
    ok "$3/${2#*/} : $1"
  else
    ecart "$3/${2#*/} : attendu publié par $1"
  fi
}

# ecoute PORT PROTOCOLE PROCESSUS TENANT : un processus de ce nom écoute ; sans nom, n’importe lequel.
ecoute() {
  if ! present ss; then
    inverifie "$1/$2 : $4 (commande ss absente)"
    return
  fi
  case $2 in udp) sorte=-u ;; *) sorte=-t ;; esac
  if ! vu=$(borne ss -Hlnp "$sorte" "sport = :$1" 2>/dev/null); then
    inverifie "$1/$2 : $4 (la commande ss échoue)"
    return
  fi
  case $vu in
    '') ecart "$1/$2 : personne n’écoute, attendu $4" ;;
    *"((\"$3\","* | *",(\"$3\","*) ok "$1/$2 : $4" ;;
    *'users:'*)
      if [ -n "$3" ]; then ecart "$1/$2 : tenu par un autre que $4"; else ok "$1/$2 : écouté"; fi
      ;;
    *)
      if [ -n "$3" ]; then
        inverifie "$1/$2 : écouté ; le tenant ($4) ne se voit qu’avec les droits de root"
      else
        ok "$1/$2 : écouté"
      fi
      ;;
  esac
}

# domaine URL ATTENDU OPTION VALEUR : la réponse du proxy local ; sans code attendu, toute réponse d’une application.
domaine() {
  if ! present curl; then
    inverifie "$1 (commande curl absente)"
    return
  fi
  vu=$(curl -gksS -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 -A "$agent" "$3" "$4" "$1" 2>/dev/null)
  case $2/$vu in
    "$vu/$vu") ok "$1 : $vu" ;;
    /000 | /404 | /502 | /503 | /504 | /'') ecart "$1 : ${vu:-000}, attendu la réponse d’une application" ;;
    /*) ok "$1 : $vu" ;;
    *) ecart "$1 : ${vu:-000}, attendu $2" ;;
  esac
}

# base NOM COMMANDE… : la commande aboutit.
base() {
  nom=$1
  shift
  if ! present "$1"; then
    inverifie "$nom (commande $1 absente)"
    return
  fi
  borne "$@" >/dev/null 2>&1 </dev/null
  code=$?
  case $1/$code in
    */0) ok "$nom : répond" ;;
    docker/126 | docker/127) inverifie "$nom (le conteneur n’a pas la commande $4)" ;;
    *) ecart "$nom : pas de réponse (code $code)" ;;
  esac
}

# mode CONTENEUR CHEMIN_INTERNE CHEMIN : le stockage ACME n’est lisible que de son propriétaire.
mode() {
  if [ -n "$3" ] && vu=$(stat -Lc %a -- "$3" 2>/dev/null); then
    :
  elif [ -n "$1" ]; then
    vu=$(borne docker exec "$1" stat -Lc %a -- "$2" 2>/dev/null)
  else
    vu=
  fi
  case $vu in
    600) ok "${3:-$2} : mode 600" ;;
    '') inverifie "${3:-$2} : absent, ou illisible sans les droits de root" ;;
    *) ecart "${3:-$2} : mode $vu, attendu 600" ;;
  esac
}

case ${1-} in
  '') ;;
  -h | --help)
    aide
    exit 0
    ;;
  *)
    aide >&2
    exit 2
    ;;
esac

if ! present docker; then
  echo 'Impossible : la commande docker est absente.' >&2
  exit 2
fi
if ! borne docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
  echo 'Impossible : le moteur Docker ne répond pas (arrêté, ou droits insuffisants).' >&2
  exit 2
fi
"""

_TAIL = r"""
printf '\nBilan : %d ok, %d en écart, %d non vérifié(s).\n' "$oks" "$ecarts" "$inverifies"
if [ "$ecarts" -gt 0 ]; then exit 1; fi
if [ "$oks" -eq 0 ] && [ "$inverifies" -gt 0 ]; then exit 2; fi
exit 0
"""

_HELP = """\
Usage : sh check_global.sh [--help]

Contrôle de la machine « {host} », écrit d’après l’audit du {day}.
Regarde à nouveau, sans rien modifier : conteneurs, réseaux, ports, domaines, bases de données et stockage ACME.
Une ligne par vérification : « ok », « ÉCART », ou « non vérifié » quand un outil ou un droit manque.

Code de sortie : 0 aucun écart ; 1 au moins un écart ; 2 impossible (Docker absent ou injoignable, rien de vérifiable).
"""


def script(snapshot: Snapshot) -> str:
    """The text of `check_global.sh`: POSIX, UTF-8, and the same for the same snapshot."""
    parts = [
        "#!/bin/sh",
        f"# Contrôle de {visible(snapshot.hostname)}, d’après l’état du {instant(snapshot.collected, snapshot.zone)}.",
        "# Écrit par auditlib. N’exécute que des lectures.",
        "# Les noms de la machine sont repris tels quels entre apostrophes (SC1112, SC2016), et une machine n’a pas",
        "# l’usage de toutes les fonctions (SC2317, SC2329).",
        "# shellcheck disable=SC1112,SC2016,SC2317,SC2329",
        _help(snapshot),
        *_engine(snapshot),
        f"agent={shlex.quote(f'auditlib/{__version__}')}",
        _HEAD.strip("\n"),
    ]
    for title, section in _SECTIONS.items():
        parts += ["", _call("titre", title)]
        try:
            lines = list(section(snapshot))
        except AbsentTable as absent:
            lines = [_call("inverifie", f"{title} : {absent.reason}")]
        parts += lines or ["echo '  rien à vérifier'"]
    return "\n".join([*parts, _TAIL.strip("\n")]) + "\n"


def _help(snapshot: Snapshot) -> str:
    text = typography(_HELP.format(host=visible(snapshot.hostname), day=day(snapshot.collected)))
    return "\n".join(["aide() {", f"  printf '%s' {shlex.quote(text)}", "}"])


def _engine(snapshot: Snapshot) -> Iterator[str]:
    """The audited engine, where the client would not find it by itself."""
    endpoint = next((row["endpoint"] for row in _rows(snapshot, "docker_engine")), None)
    if not endpoint or endpoint in _DEFAULT_ENGINES:
        return
    if _ENGINE.fullmatch(endpoint):
        yield f"DOCKER_HOST={shlex.quote(endpoint)}"
        yield "export DOCKER_HOST"
    else:
        yield f"# Moteur contrôlé : celui que désigne DOCKER_HOST (à l’audit : {visible(endpoint)})."


def _call(function: str, *words: object) -> str:
    """One line of the script: a function of its head and its words.

    A word that hides something, or a name that a program would take for an option, is not repeated.
    """
    texts = [str(word) for word in words]
    if any(visible(text) != text for text in texts) or texts[0].startswith("-"):
        return f"inverifie {shlex.quote(typography('nom illisible : ' + ' '.join(map(visible, texts))))}"
    if function in ("titre", "inverifie"):
        texts = [typography(text) for text in texts]
    return " ".join([function, *map(shlex.quote, texts)])


def _rows(snapshot: Snapshot, name: str) -> list[Record]:
    frame = getattr(snapshot, name, None)
    return [] if frame is None else records(frame)


def _remote(snapshot: Snapshot) -> bool:
    """Whether the engine is known to run on another machine: this one's ports and files are not its own."""
    return any(row["local"] is False for row in _rows(snapshot, "docker_engine"))


def _containers(snapshot: Snapshot) -> Iterator[str]:
    """Containers that ran or that the engine must keep running; healthy where they say how to tell."""
    for row in records(snapshot.containers):
        if is_up(row["state"]) or row["restart_policy"] == "always":
            yield _call("conteneur", row["name"], "sain" if row["healthcheck"] else "")


def _networks(snapshot: Snapshot) -> Iterator[str]:
    """Traefik on its networks, and what it routes on the network it takes the addresses of."""
    proxy = records(snapshot.proxy)[0]
    modes = {row["name"]: row["network_mode"] or "" for row in records(snapshot.containers)}
    if not proxy["container"] or proxy["network_mode"] == "host":
        return
    networks = sorted(proxy["networks"])
    holder = proxy["network_container"] or proxy["container"]
    yield from (_call("attache", holder, network) for network in networks)
    for row in records(snapshot.routed):
        mode = modes.get(row["container"], "")
        if mode in ("host", "none") or mode.startswith("container:"):
            continue
        label = row["network_label"]
        wanted = label if label is not None else proxy["designated"]
        if wanted or networks:
            yield _call("attache", row["container"], *([wanted] if wanted else networks))


def _ports(snapshot: Snapshot) -> Iterator[str]:
    """The ports of the machine and their owners. A port that the kernel chose changes at each start: left out."""
    host: Record = next(iter(_rows(snapshot, "host")), {})
    first, last = host.get("ephemeral_first"), host.get("ephemeral_last")
    for row in records(snapshot.host_ports):
        published = row["kind"] == "conteneur" and row["container_port"] is not None
        chosen = first and last and first <= row["port"] <= last
        if published:
            inside = f"{row['container_port']}/{row['protocol']}"
            yield _call("publie", row["owner"], inside, row["port"])
        elif row["kind"] == "unité" or not chosen:
            owner = f"{row['owner']} ({row['process']})" if row["process"] else row["owner"]
            yield _call("ecoute", row["port"], row["protocol"], row["process"] or "", owner)


def _domains(snapshot: Snapshot) -> Iterator[str]:
    """Each URL that the audit asked for, with the status it had; else each domain, for any answer of a program.

    What Traefik said itself, and what a program failed at, is not to be found again.
    """
    routes = [row for row in records(snapshot.routes) if row["protocol"] == "http"]
    probes = _rows(snapshot, "http_probes")
    asked = {(row["domain"], row["url"].partition(":")[0]) for row in probes}
    if _remote(snapshot):
        yield _call("inverifie", "le moteur est sur une autre machine : ses domaines ne passent pas par celle-ci")
        return
    for row in probes:
        status = row["status"]
        expected = status if status and status < 500 and not row["own_answer"] else ""
        yield _domain(row["url"], expected, row["address"])
    paths: dict[tuple[str, str], set[str]] = {}
    for row in routes:
        name, scheme = row["domain"], "https" if row["tls"] else "http"
        if name and _DOMAIN.fullmatch(name) and (name, scheme) not in asked:
            paths.setdefault((scheme, name), set()).add(row["path"] or "/")
    for (scheme, name), found in sorted(paths.items()):
        for path in ["/"] if "/" in found else sorted(found):
            yield _domain(f"{scheme}://{name}{quote(path, safe='/%:@!$&+,;=~*()')}", "", None)


def _domain(url: str, expected: object, address: str | None) -> str:
    try:
        parts = urlsplit(url)
        wanted = parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        return _call("inverifie", f"{url} : adresse mal formée")
    host, _, port = (address or f"127.0.0.1:{wanted}").rpartition(":")
    if port == str(wanted):
        return _call("domaine", url, expected, "--resolve", f"{parts.hostname}:{wanted}:{host}")
    return _call("domaine", url, expected, "--connect-to", f"{parts.hostname}:{wanted}:{host}:{port}")


def _databases(snapshot: Snapshot) -> Iterator[str]:
    """The databases that ran: a fixed command that reads, else their port on the machine."""
    for row in records(snapshot.databases):
        if row["running"] is False:
            continue
        name = row["database"]
        commands = trial_commands(row)
        port = next((place.rpartition(":")[2] for place in row["addresses"] or ()), None)
        over_http = database_of(row["kind"]).over_http
        inside = row["container"] and not row["container"].startswith("-") and not over_http
        # HTTP is asked from the machine, by the database's address: that of a container changes, but is all there is.
        if commands and (inside or (over_http and not _remote(snapshot))):
            # Already quoted, with its control characters made visible: split again, so that one rule quotes all.
            words = shlex.split(commands[-1])
            program = ["curl", "-f", "--noproxy", "*", "--max-time", "10", *words[1:]] if words[0] == "curl" else words
            yield _call("base", name, *program)
        elif port and not _remote(snapshot):
            yield _call("ecoute", port, "tcp", "" if row["container"] else row["process"] or "", name)
        else:
            yield _call("inverifie", f"{name} : ni commande fixe pour {row['kind']}, ni port sur cette machine")


def _storages(snapshot: Snapshot) -> Iterator[str]:
    """The files of ACME keys, one line each however many resolvers share it."""
    found = {}
    for row in records(snapshot.acme_storage):
        if row["kind"] in (None, "file") and not is_unknown(row["path"]):
            found[row["host_path"] or row["container"], row["path"]] = row
    for row in found.values():
        here = None if _remote(snapshot) else row["host_path"]
        if here or row["container"]:
            yield _call("mode", row["container"] or "", row["path"], here or "")


_SECTIONS: dict[str, Callable[[Snapshot], Iterator[str]]] = {
    "Conteneurs": _containers,
    "Réseaux du proxy": _networks,
    "Ports de la machine": _ports,
    "Domaines, à travers le proxy local": _domains,
    "Bases de données": _databases,
    "Stockage ACME": _storages,
}
