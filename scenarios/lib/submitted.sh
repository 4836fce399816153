#!/bin/bash
# The factory's schedd holds pilots: jobs of the grid universe.
set -euo pipefail
# shellcheck source=htcondor.sh
source "$ITB_LIB/htcondor.sh"
states=$(pilots JobStatus)
if [ -z "$states" ]; then
  echo "no pilot in the factory's queue"
  exit 1
fi
if [ "$(echo "$states" | sort --unique)" = 5 ]; then
  echo "all pilots are held ($(tally <<<"$states")): $(pilots HoldReason | head --lines=1)"
  exit 1
fi
echo "pilots: $(tally <<<"$states")"
