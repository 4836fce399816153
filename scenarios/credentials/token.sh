#!/bin/bash
# Puts one of the run's tokens (named by the step: TOKEN) where the product reads its own, in one go.
set -euo pipefail
source=${ITB_TOKEN_DIR:-/nonexistent}/$TOKEN
if [ ! -e "$source" ]; then
  echo "no token $TOKEN was made: only the run's own issuer can"
  exit 77
fi
target=${ITB_BEARER_TOKEN_FILE:?}
next=$(mktemp --tmpdir="$(dirname "$target")" .itb.XXXXXX)
cat "$source" >"$next"
chown --reference="$target" "$next"
chmod --reference="$target" "$next"
mv "$next" "$target"
echo "$TOKEN is in $target"
