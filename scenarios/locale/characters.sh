#!/bin/bash
# Since this scenario began no service has failed to read or write a character: neither its journal nor the logs of the
# product's packages say so.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
error='Unicode(En|De)codeError|codec can.t (en|de)code|Wide character in|unsupported locale|Malformed UTF-8'
read -r -a names <<<"${ITB_PACKAGES:-}"
since=$(cat "$begun")
for unit in "${own[@]}"; do
  line=$(journalctl --unit="$unit" --since="@$since" --output=cat --no-pager --quiet |
    grep --extended-regexp "$error" | tail --lines=1) || true
  [ -z "$line" ] || {
    echo "$unit says: $line"
    exit 1
  }
done
while read -r folder; do
  [ -d "$folder" ] || continue
  found=$(find "$folder" -type f -newermt "@$since" \
    -exec grep --with-filename --line-number --text --extended-regexp "$error" {} + | tail --lines=1) || true
  [ -z "$found" ] || {
    IFS=: read -r file number line <<<"$found"
    echo "$line ($file:$number)"
    exit 1
  }
done < <(rpm --query --list "${names[@]}" | grep '^/var/log/' | sort --unique)
