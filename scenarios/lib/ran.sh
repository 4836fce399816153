#!/bin/bash
# The jobs of this scenario ran at the CE: ITB_RAN of them (ITB_USER_JOBS, or 5), and pilots that came with
# a token did, too. What a host with the candidate on it says does not count here.
set -euo pipefail
# shellcheck source=htcondor.sh
source "$ITB_LIB/htcondor.sh"
wanted=${ITB_RAN:-${ITB_USER_JOBS:-${ITB_JOBS:-5}}}  # ITB_JOBS: its earlier name
owners=$(find "$ITB_TRACES" -type f -name "$ITB_TRACE_ID.*" -printf '%u\n' | sort | uniq --count)
ran=$(awk '{ sum += $1 } END { print sum + 0 }' <<<"$owners")
by=$(awk 'NF { print $2 }' <<<"$owners" | in_line)
started='AuthTokenIssuer isnt undefined && (JobStatus == 2 || JobStartDate isnt undefined || ExitCode isnt undefined)'
pilots=$({
  ce_q -constraint "$started" -af ClusterId ProcId
  ce_history -constraint "$started" -af ClusterId ProcId
} | sort --unique | wc --lines)
echo "$ran of $wanted jobs ran here${by:+ as $by}; $pilots pilots with a token started here"
[ "$ran" -eq "$wanted" ] && [ "$pilots" -gt 0 ]
