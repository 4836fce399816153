#!/bin/bash
# The frontend says in its logs, since its restart or the last ended.sh, what became of its token: SAYS is RENEWED or
# EXPIRED.
# ITB_CREDENTIAL_LOGS: globs; ITB_CREDENTIAL_RENEWED, ITB_CREDENTIAL_EXPIRED: its words (extended regular expressions).
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
expression=ITB_CREDENTIAL_$SAYS
if [ -z "${!expression:-}" ]; then
  echo "the product does not say how it tells of it ($expression)"
  exit 77
fi
line=$(lines_since_mark | grep --extended-regexp --ignore-case "${!expression}" | tail --lines=1) || true
if [ -n "$line" ]; then
  echo "$line"
  exit 0
fi
given=${ITB_TOKEN_ENDS##* }
if [ "$SAYS" = EXPIRED ]; then
  echo "the frontend goes on with a token that $(ends "$given"), and does not say so in its logs"
else
  echo "the frontend does not say in its logs that it has a new token, which $(ends "$given")"
fi
exit 1
