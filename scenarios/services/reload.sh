#!/bin/bash
# Each service that can reload does, and goes on; TAP.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
echo "1..${#services[@]}"
number=0
declare -A before
for unit in "${services[@]}"; do
  before[$unit]=$(property "$unit" NRestarts)
  [ "$(property "$unit" CanReload)" != yes ] || systemctl reload "$unit" 2>&1 || before[$unit]=refused
done
sleep 2
for unit in "${services[@]}"; do
  number=$((number + 1))
  if [ "$(property "$unit" CanReload)" != yes ]; then
    echo "ok $number - $unit reloads # SKIP the unit has no reload"
  elif [ "$(property "$unit" ActiveState)" = active ] && [ "$(property "$unit" NRestarts)" = "${before[$unit]}" ]; then
    echo "ok $number - $unit reloads"
  else
    echo "not ok $number - $unit reloads"
    cause "$unit"
  fi
done
