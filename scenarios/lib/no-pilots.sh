#!/bin/bash
# Removes every pilot of the factory, so that none is left to run jobs.
set -euo pipefail
# shellcheck source=htcondor.sh
source "$ITB_LIB/htcondor.sh"
for schedd in $(condor_status -schedd -af Name); do
  condor_rm -name "$schedd" -constraint 'JobUniverse == 9' >/dev/null 2>&1 || true
done
left=$(pilots JobStatus)
echo "pilots: $(tally <<<"$left")"
[ -z "$left" ]
