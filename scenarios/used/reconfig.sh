#!/bin/bash
# The product's own command reconfigures its running services (ITB_RECONFIG_<ROLE>); TAP.
# ITB_RELOAD_SETTLE: seconds until a service that is told by a signal has done it, or died of it (2).
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
reconfig=ITB_RECONFIG_${ITB_ROLE^^}
plan "$((1 + ${#services[@]}))"
own_command "the product's own reconfiguration" "$reconfig"
[ -z "${!reconfig:-}" ] || sleep "${ITB_RELOAD_SETTLE:-2}"
report_up
