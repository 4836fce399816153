#!/bin/bash
# All jobs that were submitted last run.
set -euo pipefail
# shellcheck source=../lib/jobs.sh
source "$ITB_LIB/jobs.sh"
states=$(condor_q -allusers "$(cat "$folder/cluster")" -af JobStatus)
echo "jobs: $(tally <<<"$states")"
[ "$(grep --count --line-regexp 2 <<<"$states")" -eq "$(cat "$folder/count")" ]
