#!/bin/bash
# Leaves the host as the next scenario wants it.
set -euo pipefail
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
mapfile -t names < <(products)
[ "${#names[@]}" -eq 0 ] || dnf --assumeyes remove "${names[@]}" >/dev/null 2>&1 || true
make_bare
rm --recursive --force "${ITB_OWN_TESTS:?}"
