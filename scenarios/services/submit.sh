#!/bin/bash
# Submits three short jobs as testuser.
set -euo pipefail
id testuser >/dev/null 2>&1 || useradd --create-home --shell /bin/bash testuser
folder=~testuser/itb-services
install --directory --owner=testuser "$folder"
cat >"$folder/three.sub" <<SUBMIT
executable = /bin/sleep
arguments = 2
transfer_executable = false
should_transfer_files = YES
log = three.log
request_memory = 32
request_disk = 10M
${ITB_SUBMIT_EXTRA:-}
queue 3
SUBMIT
range=$(runuser --user=testuser -- env --chdir="$folder" condor_submit -terse three.sub)
echo "${range%%.*}" >"$folder/cluster"
echo "jobs $range"
