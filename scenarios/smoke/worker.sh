#!/bin/bash
# The user pool has a worker that no host of the test-bed is: a pilot brought it.
# ITB_WORKER_REFUSALS: how often the collector has refused the CE's host (at different seconds) when it is clear
# that no worker will come; without it they are waited for to the end.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
workers=$(condor_status -startd -af Name)
if [ -n "$workers" ]; then
  echo "$(wc --lines <<<"$workers") workers, $(head --lines=1 <<<"$workers") the first"
  exit 0
fi
# Workers that come and are not let in leave a trace in the collector's log only.
log=$(condor_config_val COLLECTOR_LOG)
refusals=$(grep --line-number --extended-regexp 'DC_AUTHENTICATE: .*failed|PERMISSION DENIED to' "$log" 2>/dev/null || true)
IFS=: read -r number refused < <(tail --lines=1 <<<"$refusals" | sed --regexp-extended 's/:[0-9/]+ [0-9:.]+ (\([^)]*\) )*/:/')
cause="no worker in the user pool${refused:+; its collector let one not in ($log:$number): $refused}"
address=$(getent ahostsv4 "${ITB_HOST_CE:-}" | awk 'NR == 1 { print $1 }' || true)
times=$(grep --fixed-strings --word-regexp -- "${address:-no address}" <<<"$refusals" |
  cut --delimiter=: --fields=2- | cut --delimiter=' ' --fields=1,2 | sort --unique | wc --lines || true)
if [ "$times" -ge "${ITB_WORKER_REFUSALS:-1000000}" ]; then give_up "$cause"; fi
echo "$cause"
exit 1
