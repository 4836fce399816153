#!/bin/bash
# What was enabled is enabled, what ran runs, with the site's configuration and the new programs; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
settled

# runs UNIT: the unit's state after a restart, once it had time to die of its configuration.
runs() {
  timeout 60 systemctl restart "$1" || return 1
  local before
  before=$(systemctl show --property=MainPID,NRestarts "$1")
  sleep 2
  systemctl is-active --quiet "$1" && [ "$(systemctl show --property=MainPID,NRestarts "$1")" = "$before" ]
}

mapfile -t enabled <"$work/enabled"
plan "${#enabled[@]}"
for unit in "${enabled[@]}"; do
  why=''
  if ! systemctl is-enabled --quiet "$unit"; then
    why="$unit is no longer enabled"
  elif grep --quiet --line-regexp --fixed-strings "$unit" "$work/running" && ! runs "$unit"; then
    why="$unit ran before the upgrade and does not now: $(journalctl --unit="$unit" --output=cat --no-pager |
      grep --extended-regexp 'Error|ERROR|error' | tail --lines=1)"
  fi
  clean "$unit" "$why"
  [ -z "$why" ] || comment "$(journalctl --unit="$unit" --lines=20 --no-pager --quiet)"
done
