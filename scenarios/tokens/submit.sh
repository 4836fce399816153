#!/bin/bash
# Submits one job straight to the CE, with the run's own token and no other means.
set -euo pipefail
# shellcheck source=../lib/tokens.sh
source "$ITB_LIB/tokens.sh"
cd "$(mktemp --directory)"
cat >job.sub <<'SUBMIT'
executable = /bin/true
transfer_executable = false
+ItbTokenTest = true
log = job.log
queue
SUBMIT
with_token "$ITB_BEARER_TOKEN_FILE" condor_submit -spool -pool "$ITB_CE_ADDRESS" -name "$ITB_HOST_CE" -terse job.sub
