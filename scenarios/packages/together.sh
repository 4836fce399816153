#!/bin/bash
# All packages of the candidate's repository on one host, and their scripts run; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
mapfile -t names < <(candidates)
[ "${#names[@]}" -gt 0 ] || {
  echo "the candidate's repository holds no package" >&2
  exit 1
}
log=/var/log/itb-together.log
plan "$((${#names[@]} + 1))"
status=0
# Packages that exclude each other by declaration are left out, and said so below.
dnf --assumeyes --setopt=install_weak_deps=False --setopt=strict=False --skip-broken install "${names[@]}" \
  >"$log" 2>&1 || status=$?
for name in "${names[@]}"; do
  why=''
  rpm --query --quiet "$name" ||
    why=$(grep --extended-regexp --max-count=20 'nothing provides|conflicts|Problem|Error|error:' "$log" || tail --lines=5 "$log")
  clean "$name" "$why"
done
wrong=$(scriptlets "$log")
[ "$status" -eq 0 ] || wrong+=${wrong:+$'\n'}"dnf ended with status $status: $(tail --lines=1 "$log")"
clean "the packages' scripts succeed" "$wrong"
comment "$(tail --lines=40 "$log")"
