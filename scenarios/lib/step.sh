# shellcheck shell=bash
# Runs one step of a scenario inside its host:
#
#   step.sh once COMMAND...
#   step.sh poll WITHIN EVERY EACH COMMAND...    (seconds)
#
# It gives the step its user's home and a folder for result files, $ITB_RESULTS, in a new folder of its own, where
# nobody else can put a name: the host may have users that are the candidate's.  Polling
# happens here and not outside so that it costs one call of the container
# engine and not one a try.  Lines that begin with the mark, which is the first line of
# standard input, are for itb to read: neither the step nor who reads environments
# gets to know it.  The first one says that the host was entered.
set -uo pipefail
IFS= read -r mark
echo "$mark begun" >&2

finish() {
  if ! rmdir -- "$ITB_RESULTS" 2>/dev/null && { [ -e "$ITB_RESULTS" ] || [ -L "$ITB_RESULTS" ]; }; then
    echo "$mark result files in $ITB_RESULTS" >&2
  else
    rm -rf -- "$work"
  fi
  exit "$1"
}

# 0 passed, 77 cannot be tried here, 99 cannot pass any more (as automake has them).
is_final() {
  case $1 in 0 | 77 | 99) return 0 ;; *) return 1 ;; esac
}

# A try that takes too long is ended with all it started, and the processes of
# that moment are in its output.  A try's output goes to a file: a pipe would be held open by a daemon that a
# step starts.  Only what changed since the last try is printed.
poll() {
  local within=$1 every=$2 each=$3 out=$work/out tries=0 last='' before=0 left status text
  local never dog
  shift 3
  mkfifo -- "$out"
  exec {never}<>"$out" # nobody ever writes to it: to read from it is to wait
  rm -f -- "$out"
  while :; do
    tries=$((tries + 1))
    left=$((within - SECONDS))
    ((left >= 1)) || left=1
    ((left <= each)) || left=$each
    status=0
    : >"$out"
    {
      read -r -t "$left" _ <&"$never" || {
        : >"$out.late"
        bash "$ITB_LIB/reap.sh" "$ITB_COMMAND.$tries" "$$" >>"$out" 2>&1
      }
    } &
    dog=$!
    # The shell itself would say "Terminated" of a try that was ended, and hide what that printed.
    { ITB_COMMAND=$ITB_COMMAND.$tries "$@" >>"$out" 2>&1 </dev/null; } 2>/dev/null || status=$?
    [ -e "$out.late" ] || kill "$dog" 2>/dev/null
    wait "$dog" 2>/dev/null
    if [ -e "$out.late" ]; then
      status=124
      rm -f -- "$out.late"
    fi
    text=$(tail --bytes=65536 -- "$out" | tr -d '\000')
    # Cut off by the end of all tries, long before its own limit: the try before said how things are.
    if ((status == 124 && 2 * left < each && tries > 1)); then
      status=$before text=$last
    fi
    before=$status
    if is_final "$status" || [ "$tries" -eq 1 ] || [ "$text" != "$last" ]; then
      printf '%s try %d after %d s: exit status %d\n%s\n' "$mark" "$tries" "$SECONDS" "$status" "$text"
      last=$text
    fi
    if is_final "$status"; then break; fi
    if ((SECONDS >= within)); then
      printf '%s gave up after %d s, %d tries\n' "$mark" "$within" "$tries"
      break
    fi
    sleep "$every"
  done
  finish "$status"
}

# Root's home is given: the host's accounts may be the candidate's. itb lets no user name pass that a shell could
# take for more.
[ "$USER" = root ] || eval "HOME=~$USER"
export HOME
cd -- "$HOME" 2>/dev/null || cd /
work=${ITB_RESULTS%/*}
# Its name cannot be foreseen, and it is not taken as it is found: who has made it could change what is in it.
# Users that a step hands its results to may go through it.
if ! mkdir --mode=0711 -- "$work"; then
  echo "$work cannot be made for the files of the step" >&2
  exit 1
fi
mkdir -- "$ITB_RESULTS"

how=$1
shift
if [ "$how" = poll ]; then
  poll "$@"
else
  "$@" </dev/null
  finish "$?"
fi
