#!/usr/bin/env bash
# Records both variants of the reference server as test data, and the snapshot that `make demo` replays.
# As root, from the repository's root, with Docker's programs installed. Images are built first, with the network; what
# is recorded runs in namespaces of its own, under the reference server's paths and a neutral host name.
set -euo pipefail
export AUDITLIB_TESTBED=/home/lalpha
python=.venv/bin/python
if [ ! -e "$AUDITLIB_TESTBED/images.json" ]; then
  $python -m tests.testbed up
  $python -m tests.testbed down
fi
record() { # variant, arguments of record.py
  unshare --net --uts --pid --fork --mount --mount-proc bash -euc '
    ip link set lo up
    hostname serveur
    python=$1 variant=$2
    shift 2
    trap "$python -m tests.testbed down" EXIT
    $python -m tests.testbed up --variant "$variant"
    $python -m tests.testbed.record "$@"' record "$python" "$@"
}
record healthy tests/payloads/healthy
record faulty tests/payloads/faulty parameters/demo/instantane
