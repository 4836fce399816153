# shellcheck shell=bash
# What scenarios ask HTCondor; a script takes it with: source "$ITB_LIB/htcondor.sh"

# What cannot come true any more ends a step's polling at once.
give_up() {
  echo "$*" >&2
  exit 99
}

# A service of this host (ITB_SERVICES) that has failed does not come back by itself: no job will run.
give_up_without_services() {
  local unit
  for unit in ${ITB_SERVICES:-}; do
    if systemctl is-failed --quiet "$unit" 2>/dev/null; then give_up "$unit has failed: no job will run"; fi
  done
}

# The queue and the history of a Compute Entrypoint: HTCondor-CE has tools of its own.
if command -v condor_ce_q >/dev/null; then
  ce_q() { condor_ce_q -allusers "$@"; }
  ce_history() { condor_ce_history "$@"; }
else
  ce_q() { condor_q -allusers "$@"; }
  ce_history() { condor_history "$@"; }
fi

# in_line: lines as one line.
in_line() { paste --serial --delimiters=' '; }

# pilots ATTRIBUTE...: of each pilot in any of the factory's queues. With
# -global, condor_q says in words that there is none.
pilots() {
  condor_q -global -allusers -constraint 'JobUniverse == 9' -af ClusterId "$@" | sed --quiet 's/^[0-9][0-9]* //p'
}

# exit_codes: lines of exit codes as words; a job that was removed, or ended by a signal, has none.
exit_codes() {
  local lines codes without
  lines=$(sed '/^$/d')
  codes=$(sed '/^undefined$/d' <<<"$lines" | in_line)
  without=$(grep --count --line-regexp undefined <<<"$lines") || true
  [ -z "$codes" ] || codes="exit code $codes"
  [ "$without" = 0 ] || codes+="${codes:+, }$without without an exit code (removed or ended by a signal)"
  echo "$codes"
}

# tally: lines of job states (numbers) as "3 idle, 2 running"; "none" if there are none.
tally() {
  local state number text="" words=(unexpanded idle running removed completed held transferring suspended)
  while read -r number state; do
    text+="${text:+, }$number ${words[state]:-in state $state}"
  done < <(sed '/^$/d' | sort | uniq --count)
  echo "${text:-none}"
}
