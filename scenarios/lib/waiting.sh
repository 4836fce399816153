#!/bin/bash
# No job runs, none is lost: for ten seconds they all stay idle. The user pool may still
# list workers that died without notice, but they take no job.
set -euo pipefail
# shellcheck source=jobs.sh
source "$ITB_LIB/jobs.sh"
for _ in {1..5}; do
  said=$(jobs_wait) || { echo "$said, all should wait" >&2; exit 1; }
  sleep 2
done
echo "$said"
