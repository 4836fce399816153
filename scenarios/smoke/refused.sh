#!/bin/bash
# The CE takes the run's own token and refuses the three that matter most; TAP.
set -euo pipefail
# shellcheck source=../lib/tokens.sh
source "$ITB_LIB/tokens.sh"
echo 1..4
number=0
as_comment() { printf '# %s\n' "${1//$'\n'/$'\n# '}"; }
report() {
  number=$((number + 1))
  echo "$1 $number - $2"
}
answer=$(ask_to_write "$ITB_BEARER_TOKEN_FILE") && result=ok || result="not ok"
report "$result" "the run's own token is accepted"
as_comment "$answer"
for kind in wrong-audience expired other-key; do
  file=${ITB_TOKEN_DIR:-/nonexistent}/$kind
  if [ ! -e "$file" ]; then
    report ok "$kind is refused # SKIP no such token was made (only the run's own issuer can)"
    continue
  fi
  answer=$(ask_to_write "$file") && accepted=yes || accepted=no
  if [ "$accepted" = no ] && grep --quiet --extended-regexp 'AUTHENTICATE:1004|DENIED' <<<"$answer"; then
    report ok "$kind is refused"
  else
    report "not ok" "$kind is refused"
    echo "# accepted: $accepted"
  fi
  as_comment "$answer"
done
