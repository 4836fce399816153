#!/bin/bash
# The CE takes the run's own token and refuses the three that matter most; TAP.
# One after the other: HTCondor's daemons let simultaneous authentications by SciTokens wait for their deadline.
set -euo pipefail
# shellcheck source=../lib/tokens.sh
source "$ITB_LIB/tokens.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
plan 4
ce_schedd=$(schedd_address 2>/dev/null) || true
if answer=$(ask_to_write "$ITB_BEARER_TOKEN_FILE"); then
  ok "the run's own token is accepted"
else
  not_ok "the run's own token is accepted"
fi
comment "$answer"
for kind in wrong-audience expired other-key; do
  file=${ITB_TOKEN_DIR:-/nonexistent}/$kind
  if [ ! -e "$file" ]; then
    skipped "$kind is refused" "no such token was made: only the run's own issuer can"
    continue
  fi
  if answer=$(ask_to_write "$file"); then
    not_ok "$kind is refused"
    comment "accepted"
  elif [ -n "$(refusal "$answer")" ]; then
    ok "$kind is refused"
  else
    not_ok "$kind is refused"
    comment "neither accepted nor refused"
  fi
  comment "$answer"
done
