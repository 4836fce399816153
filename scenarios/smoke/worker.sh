#!/bin/bash
# The user pool has a worker that no host of the test-bed is: a pilot brought it.
set -euo pipefail
workers=$(condor_status -startd -af Name)
if [ -z "$workers" ]; then
  echo "no worker in the user pool"
  exit 1
fi
echo "$(wc --lines <<<"$workers") workers, $(head --lines=1 <<<"$workers") the first"
