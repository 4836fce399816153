#!/bin/bash
# The user pool has a worker that no host of the test-bed is: a pilot brought it.
set -euo pipefail
workers=$(condor_status -startd -af Name)
if [ -n "$workers" ]; then
  echo "$(wc --lines <<<"$workers") workers, $(head --lines=1 <<<"$workers") the first"
  exit 0
fi
# Workers that come and are not let in leave a trace in the collector's log only.
log=$(condor_config_val COLLECTOR_LOG)
refused=$(grep --extended-regexp 'DC_AUTHENTICATE: .*failed|PERMISSION DENIED to' "$log" 2>/dev/null | tail --lines=1 |
  sed --regexp-extended 's/^[0-9/]+ [0-9:.]+ (\([^)]*\) )*//' || true)
echo "no worker in the user pool${refused:+; its collector let one not in: $refused}"
exit 1
