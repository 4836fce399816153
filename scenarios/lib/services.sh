#!/bin/bash
# Every service of the product on this host is up; the last line has the own last words of the first that is not.
set -euo pipefail
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
down=''
seen=()
for unit in "${services[@]}"; do
  state=$(property "$unit" ActiveState)
  enabled=$(systemctl is-enabled "$unit" 2>/dev/null || true)
  seen+=("$unit $state")
  if [ "$state" != active ]; then
    down=${down:-$unit}
    seen[-1]+=" ($enabled)"
  fi
done
printf -v line '%s, ' "${seen[@]}"
echo "${line%, }"
[ -n "$down" ] || exit 0
last_words "$down"
exit 1
