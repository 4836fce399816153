#!/bin/bash
# The user pool has no worker any more.
set -euo pipefail
workers=$(condor_status -startd -af Name)
echo "workers: $(wc --words <<<"$workers")"
[ -z "$workers" ]
