#!/bin/bash
# The product's own commands after an upgrade, as its manual has them: services are stopped, upgraded and started, and
# reconfigured while they run; TAP. ITB_UPGRADE_<ROLE>, ITB_RECONFIG_<ROLE>: the commands, where the product has some.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
role=${ITB_ROLE^^}
upgrade=ITB_UPGRADE_$role
reconfig=ITB_RECONFIG_$role
log=/var/log/itb-own.log

# attempt COMMAND: runs it; prints why it failed, in one line, if it did.
attempt() {
  local status=0
  timeout 120 bash -c "$1" >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || echo "$1: exit status $status: $(grep --extended-regexp '^[A-Za-z_.]*(Error|Exception)|Error|ERROR' "$log" |
    tail --lines=1)"
}

# own: the services that the product's packages bring.
own() {
  local unit
  for unit in "${services[@]}"; do
    case $unit in condor | httpd) ;; *) echo "$unit" ;; esac
  done
}

mapfile -t units < <(own)
plan "$((2 + ${#services[@]}))"
if [ -n "${!upgrade:-}" ]; then
  for unit in "${units[@]}"; do systemctl stop "$unit"; done
  clean "the product's own upgrade" "$(attempt "${!upgrade}")"
  comment "$(tail --lines=30 "$log")"
else
  skipped "the product's own upgrade" "it has none ($upgrade)"
fi
for unit in "${services[@]}"; do systemctl start "$unit" 2>/dev/null || true; done
if [ -n "${!reconfig:-}" ]; then
  clean "the product's own reconfiguration" "$(attempt "${!reconfig}")"
  comment "$(tail --lines=30 "$log")"
  sleep "${ITB_RELOAD_SETTLE:-2}"
else
  skipped "the product's own reconfiguration" "it has none ($reconfig)"
fi
for unit in "${services[@]}"; do
  if wait_up "$unit"; then
    ok "$unit is up"
  else
    not_ok "$unit is up"
    cause "$unit"
  fi
done
