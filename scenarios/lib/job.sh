#!/bin/bash
# One user job: job.sh NUMBER SECONDS TRACE. It leaves a trace where it ran, for ran.sh to count
# there: the user pool's queue, history and output are on a host that is the candidate's.
set -eu
echo "itb job $1 ran on $(hostname)"
: 2>/dev/null >"$3" || true # not on a worker that is no host of the testbed
sleep "$2"
