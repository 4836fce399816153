#!/bin/bash
# Evidence: what the last pilots that ended had to say.
# ITB_PILOT_LOGS: glob of the files their output comes back to.
set -euo pipefail
if [ -z "${ITB_PILOT_LOGS:-}" ]; then
  echo "the product does not say where the output of pilots goes (ITB_PILOT_LOGS)"
  exit 77
fi
shopt -s globstar nullglob
# shellcheck disable=SC2206  # a glob
files=($ITB_PILOT_LOGS)
if [ "${#files[@]}" -eq 0 ]; then
  echo "no pilot has ended"
  exit 0
fi
mapfile -t newest < <(find "${files[@]}" -type f -size +0 -printf '%T@ %p\n' | sort --reverse --numeric-sort | head --lines=4 | cut --delimiter=' ' --fields=2-)
for file in "${newest[@]}"; do
  echo "== $file"
  tail --lines=60 "$file"
done
echo "${#files[@]} files of output"
