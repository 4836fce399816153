# shellcheck shell=bash
# Results one by one, in the Test Anything Protocol; a script takes it with: source "$ITB_LIB/tap.sh"
#
# The first comment line after a result that failed is its cause.

tap_number=0

# plan COUNT: how many results follow.
plan() { echo "1..$1"; }

# ok NAME, not_ok NAME, skipped NAME REASON: one result.
ok() { echo "ok $((++tap_number)) - $1"; }
not_ok() { echo "not ok $((++tap_number)) - $1"; }
skipped() { echo "ok $((++tap_number)) - $1 # SKIP $2"; }

# comment TEXT: evidence of the result before; nothing for an empty text.
comment() { [ -z "$1" ] || printf '# %s\n' "${1//$'\n'/$'\n'# }"; }

# clean NAME FINDINGS: good if there is no finding.
clean() {
  if [ -z "$2" ]; then
    ok "$1"
  else
    not_ok "$1"
    comment "$2"
  fi
}

# consequence CAUSE NAME FINDINGS: as clean; but with a cause that was reported before, findings follow from it.
consequence() {
  if [ -n "$1" ] && [ -n "$3" ]; then
    skipped "$2" "follows from: $1"
    comment "$3"
  else
    clean "$2" "$3"
  fi
}
