#!/usr/bin/env bash
# Records what docker-bench-security and the audit's own collection say of one and the same engine, whose containers are
# traps for the checks of the CIS benchmark. As root, from the repository's root, with Docker's programs, gcc and a static
# busybox. The engine is private: it lives in namespaces of its own, and everything of it goes with them.
# Arguments: a checkout of docker-bench-security, and the folder to write (tests/payloads/cis).
set -euo pipefail
peer=$(realpath "$1") folder=$(realpath -m "$2") commit=$(git -C "$1" rev-parse HEAD)
if [ -z "${INSIDE:-}" ]; then
  INSIDE=1 exec unshare --net --uts --pid --ipc --mount --fork --mount-proc --kill-child "$0" "$peer" "$folder"
fi
python=${PYTHON:-.venv/bin/python}
project=$PWD

mount --make-rprivate /
for place in /run /etc/docker /var/lib /srv; do mount -t tmpfs tmpfs "$place"; done
mkdir -p /var/lib/docker /srv/shared /srv/data
mount --make-shared /srv
ip link set lo up
hostname serveur
echo 1 > /proc/sys/net/ipv4/ip_forward
# Options on which both can agree or not: some in the file, some on the command line.
echo '{"icc": false, "insecure-registries": ["registry.internal:5000"], "live-restore": true}' > /etc/docker/daemon.json
dockerd --log-level warn --host unix:///run/docker.sock --host tcp://127.0.0.1:2375 > /srv/dockerd.log 2>&1 &
daemon=$!
export DOCKER_HOST=unix:///run/docker.sock
for _ in $(seq 100); do docker version > /dev/null 2>&1 && break; sleep 0.2; done
docker version > /dev/null || { cat /srv/dockerd.log; exit 1; }

image() { # name, changes: an image of the files in /srv/root
  local name=$1
  shift
  tar -C /srv/root -c . | docker import "$@" - "$name" > /dev/null
}
mkdir -p /srv/root/bin /srv/root/tmp
cp "$(command -v busybox)" /srv/root/bin/
for applet in sh sleep nc; do ln -s busybox "/srv/root/bin/$applet"; done
# A server of this name is all that both look for.
cat > /srv/sshd.c << 'C'
#include <netinet/in.h>
#include <unistd.h>
int main(void) {
  int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(22)};
  if (bind(server, (struct sockaddr *)&any, sizeof any) || listen(server, 1)) return 1;
  for (;;) pause();
}
C
gcc -static -o /srv/root/bin/sshd /srv/sshd.c
image trap:1 --change 'CMD ["sleep", "infinity"]'
image healthy:1 --change 'CMD ["sleep", "infinity"]' --change 'HEALTHCHECK CMD true'
image account:1 --change 'CMD ["sleep", "infinity"]' --change 'USER 1000'
# What docker-bench-security runs in containers to find processes.
printf '#!/bin/sh\nexec busybox ps -o pid,comm\n' > /srv/root/bin/ps
chmod +x /srv/root/bin/ps
image with-ps:1 --change 'CMD ["sleep", "infinity"]'
docker network create own > /dev/null
docker network create --ipv6 --subnet fd00:5::/64 six > /dev/null

started() { # name, options, image, command: a container that runs, on a network of its own unless it says otherwise
  local name=$1
  shift
  local network=(--network own)
  [[ " $* " == *" --network "* ]] && network=()
  if ! docker run --detach --name "$name" "${network[@]}" "$@" > /dev/null 2> /srv/refused; then
    echo "$name does not start here: $(tail -n1 /srv/refused)"
    docker rm --force "$name" > /dev/null
  fi
}
started plain trap:1
started bridge --network bridge trap:1
started hardened --read-only --user 1000:1000 --memory 64m --cpus 0.5 --pids-limit 50 --ulimit nofile=100 \
  --security-opt no-new-privileges --cap-drop ALL --health-cmd true --restart on-failure:5 trap:1
# Accounts: root by its number, and an image's own.
started user-zeroes --user 0:0 trap:1
started user-image account:1
# Capabilities.
started cap-admin --cap-add SYS_ADMIN trap:1
started cap-net --cap-add NET_ADMIN --cap-add CHOWN trap:1
started cap-default --cap-add CHOWN --cap-add NET_RAW trap:1
started cap-bind --cap-add NET_BIND_SERVICE trap:1
# Folders of the machine.
started mount-etc --volume /etc:/mnt trap:1
started mount-etc-readonly --volume /etc:/mnt:ro trap:1
started mount-root --volume /:/mnt trap:1
started mount-dev --volume /dev:/mnt trap:1
started mount-file --volume /etc/hostname:/mnt trap:1
started mount-below --volume /etc/ssl:/mnt trap:1
started mount-docker --volume /var/lib/docker:/mnt trap:1
started mount-mixed --volume /usr:/mnt:ro --volume /srv/data:/data trap:1
started mount-volume --volume content:/usr trap:1
started mount-shared --volume /srv/shared:/mnt:rshared trap:1
started mount-slave --volume /srv/shared:/mnt:rslave trap:1
# Docker's socket.
started socket --volume /run/docker.sock:/var/run/docker.sock trap:1
started socket-readonly --volume /run/docker.sock:/var/run/docker.sock:ro trap:1
started socket-parent --volume /run:/mnt trap:1
started socket-namesake --volume docker.sock.backup:/backup trap:1
# Namespaces of the machine.
started host-network --network host trap:1
started host-pid --pid host with-ps:1
started host-ipc --ipc host trap:1
started host-uts --uts host trap:1
started host-users --userns host trap:1
started shared-pid --pid container:plain trap:1
# Ports.
started port-both --publish 8081:80 trap:1 nc -l -p 80
started port-four --publish 0.0.0.0:8082:80 trap:1
started port-six --publish '[::]:8083:80' trap:1
started port-loopback --publish 127.0.0.1:8084:80 trap:1
started port-low --publish 127.0.0.1:85:80 trap:1
started port-low-six --network six --publish '[::1]:86:80' trap:1
started port-1024 --publish 127.0.0.1:1024:80 trap:1
started port-unheard --publish 127.0.0.1:8087:80 trap:1 nc -l -p 81
# Options of security.
started seccomp-off --security-opt seccomp=unconfined trap:1
started privileges-kept --security-opt no-new-privileges:true trap:1
started privileges-gained --security-opt no-new-privileges:false trap:1
# Resources.
started cpu-shares --cpu-shares 512 trap:1
started cpu-quota --cpu-quota 50000 trap:1
started pids-unlimited --pids-limit -1 trap:1
started device --device /dev/null:/dev/given trap:1
started cgroup --cgroup-parent /apart trap:1
# What happens next.
started restart-often --restart on-failure:10 trap:1
started restart-always --restart always trap:1
started health-image healthy:1
started health-off --no-healthcheck healthy:1
# Servers.
started sshd with-ps:1 sshd
started sshd-alone trap:1 sshd
docker create --name stopped --privileged --network host trap:1 > /dev/null
# A socket that all may write to, by a mode that is a smaller number than 660.
chmod 606 /run/docker.sock
sleep 1

cd "$peer"
./docker-bench-security.sh -b -l /srv/peer.log > /dev/null 2>&1 || true
cd "$project"
"$python" -m tests.testbed.record_cis /srv/peer.log.json "$folder" "$commit"
docker ps --quiet | xargs docker rm --force > /dev/null
kill "$daemon"
wait "$daemon" || true
# What is empty only.
rmdir /sys/fs/cgroup/*/apart /sys/fs/cgroup/*/docker 2> /dev/null || true
