#!/bin/bash
# Every service of the product on this host is up.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
for unit in "${services[@]}"; do
  state=$(property "$unit" ActiveState)
  [ "$state" = active ] || { echo "$unit is $state" >&2; exit 1; }
done
echo "${services[*]}"
