#!/bin/bash
# Starts the product's own service again.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
systemctl start "${services[-1]}"
wait_up "${services[-1]}"
echo "${services[-1]} is $(property "${services[-1]}" ActiveState)"
