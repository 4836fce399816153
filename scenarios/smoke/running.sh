#!/bin/bash
# A job runs at the CE, or has run to a good end.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
states=$(ce_q -af JobStatus)
summary=$(tally <<<"$states")
if grep --quiet --line-regexp 2 <<<"$states"; then
  echo "pilots: $summary"
  exit 0
fi
ended=$(ce_history -limit 20 -af ExitCode)
if grep --quiet --line-regexp 0 <<<"$ended"; then
  echo "pilots ended well already; now: $summary"
  exit 0
fi
[ -z "$ended" ] || summary+="; ended: $(exit_codes <<<"$ended")"
# The words of a pilot, or of who submitted it: they begin no line.
held=$(ce_q -constraint 'JobStatus == 5' -af HoldReason | head --lines=1 | tr --delete '[:cntrl:]')
echo "no pilot runs at the CE; pilots: $summary${held:+; held: $held}"
exit 1
