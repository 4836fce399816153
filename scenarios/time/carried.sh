#!/bin/bash
# The token that the factory's pilots carry is the one that the product was given last: it has the same end.
# With CARRIED=renewed the files are those that pilots had the last time, whether there are pilots or not.
# ITB_TOKEN_ENDS: ends of the tokens that the product was given here, in seconds since the epoch.
set -euo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
known=/var/lib/itb/carried-tokens
if [ "${CARRIED:-}" != renewed ]; then
  rm --force "$known"
  files=$(pilots ScitokensFile)
  if [ -z "$files" ]; then
    echo "no pilot in the factory's queue"
    exit 1
  fi
  grep '^/' <<<"$files" | sort --unique >"$known" || {
    echo "pilots do not say which token they carry (ScitokensFile)"
    exit 77
  }
fi
[ -s "$known" ] || {
  echo "it is not known where pilots have their token"
  exit 77
}
given=${ITB_TOKEN_ENDS##* }
while read -r file; do
  end=$(end_of "$file") || {
    echo "$file: no token"
    exit 1
  }
  if [ "$end" -ne "$given" ]; then
    echo "pilots carry a token that $(ends "$end") ($file); the frontend has been given one that $(ends "$given")"
    exit 1
  fi
  echo "$file: a token that $(ends "$end")"
done <"$known"
