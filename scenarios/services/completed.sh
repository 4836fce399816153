#!/bin/bash
# The three jobs ended with exit code 0; says on the way how many have.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
give_up_without_services
cluster=$(cat ~testuser/itb-services/cluster)
queued=$(condor_q -allusers "$cluster" -af JobStatus)
codes=$(condor_history "$cluster" -limit 3 -af ExitCode)
echo "$(wc --words <<<"$codes") of 3 ended; in the queue: $(tally <<<"$queued")"
bad=$(grep --invert-match --line-regexp 0 <<<"$codes" | sed '/^$/d' | in_line) || true
[ -z "$bad" ] || give_up "jobs ended with exit code $bad"
[ "$(wc --words <<<"$codes")" -eq 3 ] && [ -z "$queued" ]
