#!/bin/bash
# Removes what this scenario installed, so that the host can be used again. What does not go by itself goes by
# force: the next scenario shall not find it, nor be blamed for it.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
settled
installed >"$work/now"
mapfile -t names <"$work/now"
[ "${#names[@]}" -eq 0 ] || dnf --assumeyes --quiet remove "${names[@]}" || true
while read -r file; do
  rm --force "$file".rpmsave "$file".rpmnew "$file".rpmorig
done <"$work/configuration"
find /var -xdev -name itb-was-here -delete
make_bare
rm --recursive --force "$work"
