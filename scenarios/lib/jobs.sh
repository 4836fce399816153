# shellcheck shell=bash
# A user's jobs; a script takes it with: source "$ITB_LIB/jobs.sh"
#
# ITB_SUBMIT_EXTRA: more lines of the submit file, as the product needs them; ITB_JOB_USER: another user than testuser.
# shellcheck source=htcondor.sh
source "$ITB_LIB/htcondor.sh"

user=${ITB_JOB_USER:-testuser}
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user" 2>/dev/null ||
  useradd --badname --create-home --shell /bin/bash "$user"
folder=$(getent passwd "$user" | cut --delimiter=: --fields=6)/itb-$ITB_SCENARIO

# submit_jobs COUNT SECONDS: submits so many jobs of so many seconds each.
submit_jobs() {
  install --directory --owner="$user" "$folder"
  cat >"$folder/jobs.sub" <<SUBMIT
executable = $ITB_LIB/job.sh
arguments = \$(Process) $2 $ITB_TRACES/$ITB_TRACE_ID.$(date +%s%N).\$(Process)
should_transfer_files = YES
log = jobs.log
request_memory = 32
request_disk = 10M
${ITB_SUBMIT_EXTRA:-}
queue $1
SUBMIT
  local range
  range=$(runuser --user="$user" -- env --chdir="$folder" condor_submit -terse jobs.sub)
  echo "${range%%.*}" >"$folder/cluster"
  echo "$1" >"$folder/count"
  echo "jobs $range"
}

# jobs_wait: good while no job has started.
jobs_wait() {
  local states
  states=$(condor_q -allusers "$(cat "$folder/cluster")" -af JobStatus)
  echo "jobs: $(tally <<<"$states")"
  [ "$(sort --unique <<<"$states")" = 1 ]
}

# jobs_ended: good once all jobs have ended with exit code 0.
jobs_ended() {
  local cluster count queued codes bad
  give_up_without_services
  cluster=$(cat "$folder/cluster")
  count=$(cat "$folder/count")
  queued=$(condor_q -allusers "$cluster" -af JobStatus)
  codes=$(condor_history "$cluster" -limit "$count" -af ExitCode)
  echo "$(wc --words <<<"$codes") of $count${ITB_JOB_USER:+ of user $user} ended; in the queue: $(tally <<<"$queued")"
  bad=$(grep --invert-match --line-regexp 0 <<<"$codes" | exit_codes) || true
  [ -z "$bad" ] || give_up "jobs ended: $bad"
  [ "$(wc --words <<<"$codes")" -eq "$count" ] && [ -z "$queued" ]
}
