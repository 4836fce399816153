#!/bin/bash
# Reconfigures twice: the second time changes nothing, and services stay as they were; TAP.
# ITB_RECONFIG_<ROLE>: the product's command; ITB_CONFIGURED_<ROLE>: folders it makes;
# ITB_RELOAD_SETTLE: seconds until a service that is told by a signal has done it, or died of it (2).
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
role=${ITB_ROLE^^}
command=ITB_RECONFIG_$role
folders=ITB_CONFIGURED_$role
if [ -z "${!command:-}" ]; then
  echo "the product does not say how to reconfigure its $ITB_ROLE ($command)"
  exit 77
fi
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

# state FILE: the content of every file the command makes.
state() {
  # shellcheck disable=SC2086  # a list of folders
  { [ -z "${!folders:-}" ] || find ${!folders} -type f -print0; } | sort --zero-terminated | xargs --null --no-run-if-empty sha256sum >"$1"
}

plan "$((3 + ${#services[@]}))"
for number in 1 2; do
  why=''
  timeout 100 bash -c "${!command}" >"$work/log" 2>&1 || why="exit status $?: $(grep --extended-regexp 'Error|ERROR' "$work/log" | tail --lines=1)"
  clean "reconfigures $number of 2" "$why"
  comment "${!command}"
  comment "$(tail --lines=30 "$work/log")"
  sleep "${ITB_RELOAD_SETTLE:-2}"
  state "$work/$number"
done
changed=$({ diff "$work/1" "$work/2" || [ "$?" -eq 1 ]; } | awk '/^[<>]/ {print $3}' | sort --unique)
count=$(sed '/^$/d' <<<"$changed" | wc --lines)
if [ -n "${!folders:-}" ]; then
  clean "the second time changes nothing" "${changed:+$count files are new or others, the first is ${changed%%$'\n'*}}"
  comment "$changed"
else
  skipped "the second time changes nothing" "the product does not say what it makes ($folders)"
fi
for unit in "${services[@]}"; do
  if [ "$(property "$unit" ActiveState)" = active ]; then
    ok "$unit is up"
  else
    not_ok "$unit is up"
    cause "$unit"
  fi
done
