#!/bin/bash
# Every service of the product on this host is up.
set -euo pipefail
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
status=0
seen=()
for unit in "${services[@]}"; do
  state=$(property "$unit" ActiveState)
  enabled=$(systemctl is-enabled "$unit" 2>/dev/null || true)
  seen+=("$unit $state")
  if [ "$state" != active ]; then
    status=1
    seen[-1]+=" ($enabled)"
  fi
done
printf -v line '%s, ' "${seen[@]}"
echo "${line%, }"
exit "$status"
