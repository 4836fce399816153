#!/bin/bash
# Stops the product's own service, the last one on this host; HTCondor stays up.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
systemctl stop "${services[-1]}"
echo "${services[-1]} is $(property "${services[-1]}" ActiveState)"
[ "$(property "${services[-1]}" ActiveState)" = inactive ]
