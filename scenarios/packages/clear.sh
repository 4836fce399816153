#!/bin/bash
# Leaves the host as the next scenario wants it; what would not go by itself goes by force.
set -euo pipefail
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
make_bare
dnf --assumeyes autoremove
