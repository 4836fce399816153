#!/bin/bash
# Each service that can reload does, and goes on; TAP.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan "${#services[@]}"
declare -A before
for unit in "${services[@]}"; do
  before[$unit]=$(property "$unit" NRestarts)
  [ "$(property "$unit" CanReload)" != yes ] || systemctl reload "$unit" 2>&1 || before[$unit]=refused
done
sleep 2
for unit in "${services[@]}"; do
  if [ "$(property "$unit" CanReload)" != yes ]; then
    skipped "$unit reloads" "the unit has no reload"
  elif [ "$(property "$unit" ActiveState)" = active ] && [ "$(property "$unit" NRestarts)" = "${before[$unit]}" ]; then
    ok "$unit reloads"
  else
    not_ok "$unit reloads"
    cause "$unit"
  fi
done
