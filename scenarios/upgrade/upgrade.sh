#!/bin/bash
# dnf upgrade of the product's packages; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
settled
mapfile -t names <"$work/installed"

plan "$((${#names[@]} + 2))"
status=0
dnf --assumeyes --refresh --setopt=install_weak_deps=False upgrade "${names[@]}" >"$log" 2>&1 || status=$?
why=''
[ "$status" -eq 0 ] || why=$(cause_of_dnf)
clean "dnf upgrade" "$why"
comment "$(tail --lines=40 "$log")"
# dnf ends with status 0 however the packages' own scripts end.
clean "the packages' scripts succeed" "$(grep --extended-regexp 'scriptlet failed|Error in [A-Z]+ scriptlet' "$log" || true)"
for name in "${names[@]}"; do
  found=$(dnf --quiet --cacheonly repoquery --installed --queryformat '%{evr} from %{from_repo}\n' "$name" | sed '/^$/d')
  why=''
  # A package the candidate has no more is gone, or another one has taken its place.
  [ -z "$found" ] || [[ $found == *" from $ITB_CANDIDATE_REPO" ]] || why="still $found"
  clean "$name is the candidate's" "$why"
done
