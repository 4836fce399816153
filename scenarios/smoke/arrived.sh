#!/bin/bash
# Jobs in the CE's queue, or its history, were authenticated with a SciToken.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
by_token='AuthTokenIssuer isnt undefined'
claims=(Owner AuthTokenIssuer AuthTokenSubject AuthTokenScopes)
job=$(ce_q -constraint "$by_token" -af "${claims[@]}" | head --lines=1)
[ -n "$job" ] || job=$(ce_history -constraint "$by_token" -limit 1 -af "${claims[@]}")
if [ -n "$job" ]; then
  read -r owner issuer subject scopes <<<"$job"
  echo "mapped to $owner: issuer $issuer, subject $subject, scopes $scopes"
  exit 0
fi
states=$(ce_q -af JobStatus)
if [ -z "$states" ]; then
  echo "no job in the CE's queue"
else
  echo "no job in the CE's queue carries AuthTokenIssuer; jobs: $(tally <<<"$states")"
fi
exit 1
