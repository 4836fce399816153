#!/bin/bash
# Files that came with a valid token are in uploads; uploads_unauthorized would hold others.
set -euo pipefail
rpm --query --quiet glideinwms-logserver || {
  echo "there is no log server (--variant logserver)"
  exit 77
}
area=/var/lib/gwms-logserver/web-area
echo "$(find "$area/uploads" -type f | wc --lines) files taken, $(find "$area/uploads_unauthorized" -type f | wc --lines) refused"
[ -n "$(find "$area/uploads" -type f -size +0 -print -quit)" ]
