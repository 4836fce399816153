#!/bin/bash
# Starts the services that are not up; one that has failed, which nobody asked it to, fails the step all the same.
set -euo pipefail
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
died=''
for unit in "${services[@]}"; do
  state=$(property "$unit" ActiveState)
  [ "$state" = active ] || {
    echo "$unit was $state"
    [ "$state" != failed ] || died=${died:-$(last_words "$unit")}
    systemctl start "$unit" 2>/dev/null || {
      last_words "$unit"
      exit 1
    }
  }
done
if [ -n "$died" ]; then
  echo "$died"
  exit 1
fi
