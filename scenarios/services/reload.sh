#!/bin/bash
# Each service that can reload does, and goes on, and what was configured anew is used then; TAP.
# ITB_RELOAD_SETTLE: seconds until a service that dies of it has done so (2).
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan "$((${#services[@]} + 1))"
describe=ITB_DESCRIBE_${ITB_ROLE^^} reconfig=ITB_RECONFIG_${ITB_ROLE^^} described=ITB_DESCRIBED_${ITB_ROLE^^}
export ITB_DESCRIPTION="read again $ITB_TRACE_ID"
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
  else
    report_steady "$unit reloads" "$unit" "${before[$unit]}"
  fi
done

# used: whether the product says that the new description has come to where it shows it.
used() {
  local deadline=$((SECONDS + 20))
  until bash -c "${!described}"; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

name="what is configured anew is used"
if [ -z "${!describe:-}" ] || [ -z "${!reconfig:-}" ] || [ -z "${!described:-}" ]; then
  skipped "$name" "the product does not say how it is seen ($described)"
elif ! bash -c "${!describe}" || ! said=$(timeout 100 bash -c "${!reconfig}" 2>&1); then
  not_ok "$name"
  comment "${!reconfig}: ${said##*$'\n'}"
elif used; then
  ok "$name"
else
  not_ok "$name"
  comment "after ${!reconfig} the description in the configuration is not used: ${!described} fails for 20 s"
fi
