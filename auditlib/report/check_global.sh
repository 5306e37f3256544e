#!/bin/sh
# Contrôle de @host@, d’après l’état du @moment@.
# Écrit par auditlib. N’exécute que des lectures.
# Les noms de la machine sont repris tels quels entre apostrophes (SC1112, SC2016), et une machine n’a pas
# l’usage de toutes les fonctions (SC2317, SC2329).
# shellcheck disable=SC1112,SC2016,SC2317,SC2329
aide() {
  printf '%s' @help@
}
@engine@
agent=@agent@
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
@sections@
printf '\nBilan : %d ok, %d en écart, %d non vérifié(s).\n' "$oks" "$ecarts" "$inverifies"
if [ "$ecarts" -gt 0 ]; then exit 1; fi
if [ "$oks" -eq 0 ] && [ "$inverifies" -gt 0 ]; then exit 2; fi
exit 0
