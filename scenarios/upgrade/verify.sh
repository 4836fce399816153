#!/bin/bash
# rpm -V of every package of the product; what the site changed is meant; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
settled
installed >"$work/now"
mapfile -t names <"$work/now"
cause=$(cat "$work/cause" 2>/dev/null || true) # an upgrade that failed leaves a mixture of two versions
plan "${#names[@]}"
for name in "${names[@]}"; do
  # Second column "c": a configuration file.
  consequence "$cause" "$name" "$(rpm --verify "$name" | grep --invert-match --extended-regexp '^[.SM5DLUGTP?]{8,9}  c ' || true)"
done
