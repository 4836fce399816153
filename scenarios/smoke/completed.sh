#!/bin/bash
# All ten jobs have ended; says on the way how many have.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
cluster=$(cat ~/itb-smoke/cluster)
queued=$(condor_q "$cluster" -af JobStatus)
ended=$(condor_history "$cluster" -limit 10 -af JobStatus | wc --lines)
echo "$ended of 10 ended; in the queue: $(tally <<<"$queued")"
held=$(condor_q "$cluster" -constraint 'JobStatus == 5' -af HoldReason | head --lines=1)
[ -z "$held" ] || echo "held: $held"
[ "$ended" -eq 10 ] && [ -z "$queued" ]
