#!/bin/bash
# The frontend tells of its credential in its logs.
# ITB_CREDENTIAL_LOGS: globs; ITB_CREDENTIAL_EXPIRED: what it says of an expired one (extended regular expression).
set -euo pipefail
if [ -z "${ITB_CREDENTIAL_EXPIRED:-}" ]; then
  echo "the product does not say how it tells of an expired credential (ITB_CREDENTIAL_EXPIRED)"
  exit 77
fi
shopt -s globstar nullglob
# shellcheck disable=SC2086  # globs
line=$(grep --no-filename --extended-regexp --ignore-case "$ITB_CREDENTIAL_EXPIRED" ${ITB_CREDENTIAL_LOGS:-} /dev/null | tail --lines=1) || true
[ -n "$line" ] || { echo "nothing in its logs about an expired credential"; exit 1; }
echo "$line"
