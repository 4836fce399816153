#!/bin/bash
# Every job at the CE came with an accepted token.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
strange=$(ce_q -constraint 'AuthTokenIssuer is undefined' -af ClusterId Owner)
echo "$(ce_q -af ClusterId | wc --lines) jobs, without a token's claims: ${strange:-none}"
[ -z "$strange" ]
