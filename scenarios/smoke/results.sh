#!/bin/bash
# Every job completed with exit code 0, and its output came back.
set -euo pipefail
cd ~/itb-smoke
bad=$(condor_history "$(cat cluster)" -limit 10 -af ProcId JobStatus ExitCode RemoveReason |
  awk '$2 != 4 || $3 != 0' | sort --numeric-sort)
if [ -n "$bad" ]; then
  echo "job, state, exit code, reason of removal:"
  echo "$bad"
  read -r job state code _ <<<"$bad"
  echo "$(wc --lines <<<"$bad") of 10 jobs ended badly; job $job: state $state, exit code $code" >&2
  exit 1
fi
for job in {0..9}; do
  if ! grep --quiet "^itb job $job ran on " "$job.out"; then
    cat "$job.out" "$job.err"
    echo "the output of job $job did not come back" >&2
    exit 1
  fi
done
echo "10 of 10"
