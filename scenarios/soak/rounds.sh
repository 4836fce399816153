#!/bin/bash
# Jobs are submitted, and once they have ended, more of them, for ITB_DURATION seconds; each round has five minutes.
set -euo pipefail
# shellcheck source=../lib/jobs.sh
source "$ITB_LIB/jobs.sh"
seconds=${ITB_DURATION%.*}
patience=$(awk -v factor="${ITB_TIMEOUT_FACTOR:-1}" 'BEGIN { print int(300 * factor) }')
rounds=0
while ((SECONDS < seconds)); do
  submit_jobs "${ITB_USER_JOBS:-5}" 1 >/dev/null
  deadline=$((SECONDS + patience))
  until said=$(jobs_ended); do
    ((SECONDS < deadline)) || give_up "round $((rounds + 1)): $said; not within $patience s"
    sleep 1
  done
  rounds=$((rounds + 1))
  echo "round $rounds: $said"
done
echo "$rounds rounds of ${ITB_USER_JOBS:-5} jobs in $SECONDS s"
