#!/bin/bash
# The job submitted with the token has run, and its ad tells whose token it was.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
mine='ItbTokenTest =?= true'
claims=(JobStatus ExitCode Owner AuthTokenIssuer AuthTokenSubject AuthTokenScopes AuthTokenId)
# A spooled job stays in the queue when it has ended, until its output is fetched.
job=$(ce_q -constraint "$mine" -af "${claims[@]}" | tail --lines=1)
[ -n "$job" ] || job=$(ce_history -constraint "$mine" -limit 1 -af "${claims[@]}")
[ -n "$job" ] || give_up "the CE does not know the job"
read -r state code owner issuer subject scopes id <<<"$job"
echo "state $state, exit code $code, of $owner: issuer $issuer, subject $subject, scopes $scopes, id $id"
# It is held (reason 16) for the moment its files take to arrive.
held=$(ce_q -constraint "$mine && JobStatus == 5 && HoldReasonCode != 16" -af HoldReason | tail --lines=1)
[ -z "$held" ] || give_up "held: $held"
[ "$state" -eq 4 ] || exit 1
[ "$code" -eq 0 ] || give_up "the job ended with exit code $code"
[ "$issuer" != undefined ] || give_up "the job does not carry AuthTokenIssuer"
