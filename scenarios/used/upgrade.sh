#!/bin/bash
# dnf upgrades the product on a host where it has worked; TAP. What it has then is written down before.
set -euo pipefail
work=/var/lib/itb/upgrade
mapfile -t names <"$work/installed"
bash "$ITB_SCENARIO_DIR/keys.sh" "${names[@]}" >"$work/keys"
exec python3 "$ITB_LIB/dnf_operation.py"
