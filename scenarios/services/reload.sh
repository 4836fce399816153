#!/bin/bash
# Each service that can reload does, and goes on; TAP.
# ITB_RELOAD_SETTLE: seconds until a service that dies of it has done so (2).
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
# systemctl does not wait for a service that reloads on a signal.
sleep "${ITB_RELOAD_SETTLE:-2}"
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
