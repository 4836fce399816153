#!/bin/bash
# A host that another umask has made otherwise gets the candidate once more.
set -euo pipefail
if [ ! -e /var/lib/itb/other-umask ]; then
  echo "it is the same"
  exit 0
fi
rm --force /var/lib/itb/other-umask
# shellcheck source=../lib/candidate.sh
source "$ITB_LIB/candidate.sh"
