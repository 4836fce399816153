#!/bin/bash
# Each service of the product's own that was killed with all its processes, as when memory or power is gone, starts
# again and stays up; TAP. What it has left behind, such as a PID file or a lock, must not keep it from that.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan "${#services[@]}"
own=$(own_services)
declare -A restarts
for unit in $own; do
  process=$(property "$unit" MainPID)
  [ "$process" != 0 ] || continue # it has done its work
  systemctl kill --signal=KILL "$unit"
  # Its Restart= may be quicker than anybody looks.
  while [ "$(property "$unit" MainPID)" = "$process" ]; do sleep 0.1; done
  # Or slower than anybody here waits.
  systemctl reset-failed "$unit"
  systemctl start "$unit" || true
  wait_up "$unit" || true
  restarts[$unit]=$(property "$unit" NRestarts)
done 2>&1
sleep 3 # a daemon that cannot work often starts well and ends a moment later
for unit in "${services[@]}"; do
  if [ -z "${restarts[$unit]:-}" ]; then
    skipped "$unit starts again after it was killed" "it has no process, or no package of the product brings it"
  else
    report_steady "$unit starts again after it was killed" "$unit" "${restarts[$unit]}"
  fi
done
