#!/bin/bash
# Starts the services that are not up.
set -euo pipefail
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
for unit in "${services[@]}"; do
  state=$(property "$unit" ActiveState)
  [ "$state" = active ] || {
    echo "$unit was $state"
    systemctl start "$unit" 2>/dev/null || {
      last_words "$unit"
      exit 1
    }
  }
done
