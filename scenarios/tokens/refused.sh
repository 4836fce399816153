#!/bin/bash
# usage: refused.sh KIND|none    the CE's schedd must not let this token submit
# A CE that is down refuses too: only an answer of its security layer counts.
set -euo pipefail
# shellcheck source=../lib/tokens.sh
source "$ITB_LIB/tokens.sh"
file=${ITB_TOKEN_DIR:-/nonexistent}/$1
if [ "$1" != none ] && [ ! -e "$file" ]; then
  echo "no token of sort $1 was made: only the run's own issuer can"
  exit 77
fi
status=0
answer=$(ask_to_write "$file") || status=$?
echo "$answer"
if [ "$status" -eq 0 ]; then
  echo "accepted: $1" >&2
  exit 1
fi
reason=$(refusal "$answer")
if [ -z "$reason" ]; then
  echo "neither accepted nor refused: $(tail --lines=1 <<<"$answer")" >&2
  exit 1
fi
echo "refused: $reason"
