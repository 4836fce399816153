#!/bin/bash
# The token's file has no bits for group and others, and is one line.
set -euo pipefail
file=${ITB_BEARER_TOKEN_FILE:?}
mode=$(stat --format=%a "$file")
echo "$file: mode $mode, owner $(stat --format=%U:%G "$file"), $(wc --lines <"$file") line"
case $mode in 400 | 600) ;; *)
  echo "$file can be read by others: mode $mode" >&2
  exit 1
  ;;
esac
