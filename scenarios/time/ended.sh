#!/bin/bash
# Waits until the token has ended that the product was given last, or, with WHICH=before, the one before.
# What the frontend's logs say from then on counts for says-so.sh.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
mark_logs
read -r -a all <<<"$ITB_TOKEN_ENDS"
end=${all[-1]}
if [ "${WHICH:-}" = before ]; then end=${all[-2]}; fi
while (($(date +%s) <= end)); do sleep 0.5; done
echo "the token $(ends "$end")"
