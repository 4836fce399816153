#!/bin/bash
# Each service is restarted, comes up and stays up; one of the product's own ends when it is told to; TAP.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan "$((2 * ${#services[@]}))"
own=$(own_services)

# killed UNIT: what systemd says of one that it had to kill since $began, because it did not end.
killed() {
  grep --quiet --line-regexp --fixed-strings -- "$1" <<<"$own" || return 0
  journalctl --since="@$began" --output=cat --no-pager --quiet _PID=1 UNIT="$(property "$1" Id)" |
    grep --max-count=1 --extended-regexp 'timed out\. (Killing|Terminating|Aborting)' || true
}

declare -A restarts
for unit in "${services[@]}"; do
  began=$(date +%s)
  if ! { systemctl restart "$unit" && wait_up "$unit"; }; then
    not_ok "$unit restarts"
    cause "$unit"
  elif why=$(killed "$unit") && [ -n "$why" ]; then
    not_ok "$unit restarts"
    comment "$unit did not end when it was told to, and was killed after $(($(date +%s) - began)) s: $why"
  else
    ok "$unit restarts"
  fi
  restarts[$unit]=$(property "$unit" NRestarts)
done 2>&1
sleep 3 # a daemon that cannot work often starts well and ends a moment later
for unit in "${services[@]}"; do
  report_steady "$unit stays up" "$unit" "${restarts[$unit]}"
done
