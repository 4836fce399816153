#!/bin/bash
# Starts the CE again.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
for unit in "${services[@]}"; do
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl start "$unit"
  wait_up "$unit"
done
echo "${services[*]} up"
