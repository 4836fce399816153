#!/bin/bash
# Each service is restarted, comes up and stays up; TAP.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
echo "1..$((2 * ${#services[@]}))"
number=0
report() { echo "$1 $((++number)) - $2"; }

declare -A restarts
for unit in "${services[@]}"; do
  if systemctl restart "$unit" && wait_up "$unit"; then
    report ok "$unit restarts"
  else
    report "not ok" "$unit restarts"
    cause "$unit"
  fi
  restarts[$unit]=$(property "$unit" NRestarts)
done 2>&1
sleep 3 # a daemon that cannot work often starts well and ends a moment later
for unit in "${services[@]}"; do
  if [ "$(property "$unit" ActiveState)" = active ] && [ "$(property "$unit" NRestarts)" = "${restarts[$unit]}" ]; then
    report ok "$unit stays up"
  else
    report "not ok" "$unit stays up"
    cause "$unit"
  fi
done
