#!/bin/bash
# One user job: job.sh NUMBER SECONDS TRACE. It leaves a trace where it ran, for ran.sh to count
# there: the user pool's queue, history and output are on a host that is the candidate's.
# A file TRACE_ID in the folder TRACES.end, which release.sh makes, ends it early.
set -eu
echo "itb job $1 ran on $(hostname)"
: 2>/dev/null >"$3" || true # not on a worker that is no host of the testbed
name=${3##*/}
deadline=$((SECONDS + $2))
while ((SECONDS < deadline)) && [ ! -e "${3%/*}.end/${name%%.*}" ]; do sleep 1; done
