#!/bin/bash
# All packages of the candidate's repository on one host, and their scripts run; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
only_bare
mapfile -t names < <(candidates)
[ "${#names[@]}" -gt 0 ] || {
  echo "the candidate's repository holds no package" >&2
  exit 1
}
log=/var/log/itb-together.log
plan "$((${#names[@]} + 1))"

# reasons: dnf's lines that say why a package is not there, causes before consequences.
reasons() {
  python3 "$ITB_LIB/dnf_log.py" refused "$log"
  grep --extended-regexp 'Problem|Error|error:' "$log" || tail --lines=5 "$log"
}

# excluded NAME: the declaration that keeps a package from being on one host with another.
excluded() {
  grep --extended-regexp '(conflicts with|obsoletes) .* provided by' "$log" | sed 's/^[ -]*//' |
    grep --max-count=1 --fixed-strings -- "$1-"
}

status=0
dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True --setopt=strict=False --skip-broken \
  install "${names[@]}" >"$log" 2>&1 || status=$?
for name in "${names[@]}"; do
  if rpm --query --quiet "$name"; then
    ok "$name"
  elif apart=$(excluded "$name"); then
    skipped "$name" "$apart"
  else
    clean "$name" "$(reasons)"
  fi
done
wrong=$(scriptlets "$log")
[ "$status" -eq 0 ] || wrong+=${wrong:+$'\n'}"dnf ended with status $status: $(tail --lines=1 "$log")"
clean "the packages' scripts succeed" "$wrong"
comment "$(tail --lines=40 "$log")"
