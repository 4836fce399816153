#!/bin/bash
# What an administrator does after dnf's upgrade, as the product's manual has it: its services are stopped, its own
# command upgrades what they have (ITB_UPGRADE_<ROLE>, where it has one), and they are started; TAP.
set -euo pipefail
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=tap.sh
source "$ITB_LIB/tap.sh"
upgrade=ITB_UPGRADE_${ITB_ROLE^^}
plan "$((1 + ${#services[@]}))"
mapfile -t units < <(own_services)
for unit in "${units[@]}"; do systemctl stop "$unit" || true; done
own_command "the product's own upgrade" "$upgrade"
for unit in "${services[@]}"; do systemctl start "$unit" 2>/dev/null || true; done
report_up
