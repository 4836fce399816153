#!/bin/bash
# The CE's schedd grants the right to submit to the run's own token.
set -euo pipefail
# shellcheck source=../lib/tokens.sh
source "$ITB_LIB/tokens.sh"
answer=$(ask_to_write "$ITB_BEARER_TOKEN_FILE") || {
  echo "$answer"
  echo "refused: $(grep --max-count=1 --extended-regexp 'AUTHENTICATE|DENIED|ERROR' <<<"$answer")" >&2
  exit 1
}
echo "$answer"
awk -F': *' '/^Remote Mapping/ {print "mapped to " $2}' <<<"$answer"
