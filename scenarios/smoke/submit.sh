#!/bin/bash
# Submits ten jobs as a user would, from the user's home.
# ITB_SITE_ATTRIBUTE: attribute of workers to keep in the job; ITB_SUBMIT_EXTRA: more lines.
set -euo pipefail
rm -rf ~/itb-smoke
mkdir ~/itb-smoke
cd ~/itb-smoke
cp "$ITB_LIB/job.sh" .
{
  echo "arguments = \$(Process) 1 $ITB_TRACES/$ITB_TRACE_ID.$(date +%s%N).\$(Process)"
  cat <<'SUBMIT'
executable = job.sh
output = $(Process).out
error = $(Process).err
log = jobs.log
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_memory = 32
request_disk = 10M
SUBMIT
  [ -z "${ITB_SITE_ATTRIBUTE:-}" ] || echo "job_machine_attrs = $ITB_SITE_ATTRIBUTE"
  [ -z "${ITB_SUBMIT_EXTRA:-}" ] || echo "$ITB_SUBMIT_EXTRA"
  echo "queue 10"
} >ten.sub
range=$(condor_submit -terse ten.sub)
echo "${range%%.*}" >cluster
echo "jobs $range"
