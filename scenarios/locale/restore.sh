#!/bin/bash
# Services run in the locale of the host again, with a description of plain letters.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
for unit in "${own[@]}"; do rm --force "$(drop_in "$unit")"; done
rm --force "$begun"
systemctl daemon-reload
describe "plain letters" || true
for unit in "${own[@]}"; do systemctl restart "$unit"; done
