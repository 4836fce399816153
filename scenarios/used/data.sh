#!/bin/bash
# Keys, tokens and databases that services had before the upgrade are still there, and the keys are the same; TAP.
set -euo pipefail
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
work=/var/lib/itb/upgrade
mapfile -t names <"$work/installed"
mapfile -t here < <(rpm --query --queryformat '%{NAME}\n' "${names[@]}" | grep --invert-match ' is not')
lost=$(bash "$ITB_SCENARIO_DIR/keys.sh" "${here[@]}" | comm -13 - "$work/keys" | awk '{ print $2 }')
plan 1
why=''
if [ -n "$lost" ]; then
  first=${lost%%$'\n'*}
  why="gone, or not the same as before the upgrade: $(paste --serial --delimiters=' ' <<<"$lost")"
  why+=$(grep --fixed-strings --max-count=1 -e "$first" -e "${first%/*}/" "$work/ran" | sed 's/^/; /') || true
fi
clean "keys, tokens and databases" "$why"
comment "$(wc --lines <"$work/keys") looked at"
