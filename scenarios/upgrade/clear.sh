#!/bin/bash
# Removes what this scenario installed, so that the host can be used again.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
settled
installed >"$work/now"
mapfile -t names <"$work/now"
[ "${#names[@]}" -eq 0 ] || dnf --assumeyes --quiet remove "${names[@]}"
while read -r file; do
  rm --force "$file".rpmsave "$file".rpmnew "$file".rpmorig
done <"$work/configuration"
rm --recursive --force "$work"
