#!/bin/bash
# Each service is restarted, comes up and stays up; TAP.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan "$((2 * ${#services[@]}))"

declare -A restarts
for unit in "${services[@]}"; do
  if systemctl restart "$unit" && wait_up "$unit"; then
    ok "$unit restarts"
  else
    not_ok "$unit restarts"
    cause "$unit"
  fi
  restarts[$unit]=$(property "$unit" NRestarts)
done 2>&1
sleep 3 # a daemon that cannot work often starts well and ends a moment later
for unit in "${services[@]}"; do
  if [ "$(property "$unit" ActiveState)" = active ] && [ "$(property "$unit" NRestarts)" = "${restarts[$unit]}" ]; then
    ok "$unit stays up"
  else
    not_ok "$unit stays up"
    cause "$unit"
  fi
done
